# `make book` and `make test` need only Python 3.11 to 3.13; each makes .venv when it is missing.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
READY = $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help book pdf archive test lint bench figures clean

help:  ## show these targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	@echo "Installing nld and what it needs into $(VENV) (once; again when pyproject.toml or constraints.txt change)."
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[book,test,browser,slurm,archive,fast]"
	@touch $@

book: $(READY)  ## execute the chapters that changed and build the pages
	@$(RUN) -m nld.cli book build

pdf: $(READY)  ## print the book to _build/book.pdf (needs Chromium)
	@$(RUN) -m nld.cli book pdf

archive: $(READY)  ## pack pages, PDF, notebooks and data into dist/ (needs Chromium)
	@$(RUN) -m nld.cli book archive

test: $(READY)  ## the whole test suite but the slow ones
	@$(RUN) -m pytest -n auto -m "not slow"
	@echo "The tests are in tests/; the slow ones run with: $(RUN) -m pytest -m slow"

lint: $(READY)  ## style, types and import contracts
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check .
	@$(RUN) -m pyright --pythonpath $(RUN) && $(VENV)/bin/lint-imports

bench: $(READY)  ## time what must be fast; tables go to results/bench/
	@$(RUN) -m benchmarks
	@echo "The tables are in results/bench/."

figures: $(READY)  ## compute and draw every figure into the store
	@$(RUN) -m nld.cli figure show --all

clean:  ## remove what was built: pages and executed chapters
	@rm -rf _build .nld
