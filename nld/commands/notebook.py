"""`nld notebook`: a chapter as a plain notebook."""

import argparse
import sys
from pathlib import Path

EXAMPLE = """examples:
  nld notebook symmetry-of-the-loss                writes symmetry-of-the-loss.ipynb here
  nld notebook 01 --to notebooks                   the same chapter by its number
"""


def add_parser(subparsers) -> None:
    """Add `nld notebook`."""
    parser = subparsers.add_parser(
        "notebook",
        help="write a chapter as a plain notebook that runs anywhere",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="name or number of the chapter")
    parser.add_argument("--to", type=Path, default=Path(), metavar="FOLDER", help="where to (default: here)")
    parser.add_argument("--force", action="store_true", help="replace a notebook there that differs")
    parser.add_argument("--root", type=Path, default=Path(), help="folder with _toc.yml (default: here)")
    parser.set_defaults(run=run_notebook)


def run_notebook(args) -> int:
    """Write the notebook and print where it is."""
    import nbformat

    from nld.errors import UsageError
    from nld.publish.execution.chapters import find_chapter, read_chapters
    from nld.publish.exports.plain_notebook import plain_notebook
    from nld.results import store

    try:
        root = args.root.resolve()
        chapter = find_chapter(read_chapters(root), args.name)
        notebook = plain_notebook(root, chapter)
    except UsageError as error:
        print(f"nld notebook: {error}", file=sys.stderr)
        return 2
    path, text = args.to / f"{chapter.name}.ipynb", nbformat.writes(notebook) + "\n"
    try:
        if path.exists() and path.read_bytes() != text.encode() and not args.force:  # somebody's work
            advice = "--force replaces it, --to FOLDER writes elsewhere"
            print(f"nld notebook: {path} exists and differs; {advice}", file=sys.stderr)
            return 2
        store.write_atomically(path, text)
    except OSError as error:
        print(f"nld notebook: cannot write {path}: {error.strerror}", file=sys.stderr)
        return 1
    print(path)
    return 0
