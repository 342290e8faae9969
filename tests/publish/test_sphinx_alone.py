"""What leaving Jupyter Book 1 would take: the settings that it derives from `_config.yml`, and nothing else of it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
from jupyter_book.config import get_final_config

JUPYTER_BOOK = {"jupyter_book", "sphinx_jupyterbook_latex", "sphinx_comments"}  # extensions that went with it


def sums(folder: Path) -> dict[str, str]:
    """Checksum of every file but Sphinx's note of its own settings."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != ".buildinfo"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_sphinx_alone_writes_the_same_pages(book, tmp_path):
    built = book.build()
    assert built.returncode == 0, built.stdout
    asked = {"external_toc_path": "_toc.yml", "latex_individualpages": False}  # as its command asks
    settings, _ = get_final_config(user_yaml=book.root / "_config.yml", cli_config=asked, sourcedir=book.root)
    settings["extensions"] = [name for name in settings["extensions"] if name not in JUPYTER_BOOK]
    settings["html_static_path"] = [str(book.root / path) for path in settings["html_static_path"]]
    settings["html_favicon"] = str(book.root / settings["html_favicon"])
    for name in ("use_jupyterbook_latex", "comments_config"):
        settings.pop(name, None)
    (tmp_path / "conf.py").write_text("\n".join(f"{name} = {value!r}" for name, value in sorted(settings.items())))
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-b", "html", "-c", tmp_path, "-d", tmp_path / "trees",
         book.root, tmp_path / "html"],
        env={**os.environ, "PYTHONPATH": str(book.root)}, cwd=book.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sums(tmp_path / "html") == sums(book.root / "_build" / "html")
    assert len(list((tmp_path / "html" / "book").glob("*.html"))) == 4
