"""`nld notebook`: a chapter as a plain notebook."""

from pathlib import Path

from nld.commands import add_command, writing
from nld.errors import UsageError
from nld.results import store

EXAMPLE = """examples:
  nld notebook symmetry-of-the-loss                writes symmetry-of-the-loss.ipynb here
  nld notebook 01 --to notebooks                   the same chapter by its number
"""


def add_parser(subparsers) -> None:
    """Add `nld notebook`."""
    parser = add_command(
        subparsers, "notebook", "write a chapter as a plain notebook that runs anywhere", EXAMPLE, run=run_notebook
    )
    parser.add_argument("name", help="name or number of the chapter")
    parser.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)")
    parser.add_argument("--force", action="store_true", help="replace a notebook there that differs")
    parser.add_root()


def run_notebook(args) -> int:
    """Write the notebook and print where it is."""
    import nbformat

    from nld.publish.execution.chapters import find_chapter, read_chapters
    from nld.publish.exports.plain_notebook import plain_notebook

    root = args.root.resolve()
    chapter = find_chapter(read_chapters(root), args.name)
    text = nbformat.writes(plain_notebook(root, chapter)) + "\n"
    path = args.to / f"{chapter.name}.ipynb"
    with writing(path):
        if path.exists() and path.read_bytes() != text.encode() and not args.force:  # somebody's work
            raise UsageError(f"{path} exists and differs; --force replaces it, --to FOLDER writes elsewhere")
        store.write_atomically(path, text)
    print(path)
    return 0
