# `make book` and `make test` need only Python 3.11 to 3.13; each makes .venv when it is missing.
PYTHON ?= python3
VENV ?= .venv
RUN = $(VENV)/bin/python
READY = $(VENV)/.installed
# Asked before .venv is made: with another Python it would be of no use, and stay.
SUPPORTED = import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else \
  "expected Python 3.11 to 3.13, got %d.%d; name another, such as: make book PYTHON=python3.12" % sys.version_info[:2])

.DEFAULT_GOAL := help
.PHONY: help book pdf archive release test lint bench mutants figures clean

help:  ## show these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-12s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@echo "Installing nld and what it needs into $(VENV) (once; again when pyproject.toml or constraints.txt change)."
	@$(RUN) -m pip --version >/dev/null 2>&1 || { $(PYTHON) -c '$(SUPPORTED)' && $(PYTHON) -m venv $(VENV); }
	@$(RUN) -m pip install --quiet --constraint constraints.txt --editable ".[book,test,browser,slurm,archive,fast]"
	@touch $@

book: $(READY)  ## execute the chapters that changed and build the pages
	@$(RUN) -m nld.cli book build

pdf: $(READY)  ## print the book to _build/book.pdf (needs Chromium)
	@$(RUN) -m nld.cli book pdf

archive: $(READY)  ## pack pages, PDF, notebooks and data into dist/ (needs Chromium)
	@$(RUN) -m nld.cli book archive

release: archive test  ## check and pack what a release needs into dist/; signs and sends nothing
	@$(RUN) -m nld.publish.exports.release

test: $(READY)  ## the whole test suite but the slow ones
	@$(RUN) -m pytest -n auto -m "not slow"
	@echo "The tests are in tests/; the slow ones run with: $(RUN) -m pytest -m slow"

lint: $(READY)  ## style, types and import contracts
	@$(RUN) -m ruff check . && $(RUN) -m ruff format --check .
	@$(RUN) -m pyright --pythonpath $(RUN) && $(VENV)/bin/lint-imports

bench: $(READY)  ## time what must be fast; tables go to results/bench/
	@$(RUN) -m benchmarks
	@echo "The tables are in results/bench/."

mutants: $(READY)  ## change the sources a little, many times: do the tests notice? (an hour or two)
	@$(RUN) -m pip install --quiet --editable ".[mutants]" --constraint constraints.txt
	@$(RUN) -m benchmarks.mutants

figures: $(READY)  ## compute and draw every figure into the store
	@$(RUN) -m nld.cli figure show --all

clean:  ## remove what was built: pages, executed chapters, figures, and all trained runs in .nld
	@rm -rf _build .nld
