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
    parser.add_argument("--root", type=Path, default=Path(), help="folder with _toc.yml (default: here)")
    parser.set_defaults(run=run_notebook)


def run_notebook(args) -> int:
    """Write the notebook and print where it is."""
    import nbformat

    from nld import store
    from nld.publish.chapters import UsageError, find_chapter, read_chapters
    from nld.publish.plain import plain_notebook

    try:
        root = args.root.resolve()
        chapter = find_chapter(read_chapters(root), args.name)
        notebook = plain_notebook(root, chapter)
    except UsageError as error:
        print(f"nld notebook: {error}", file=sys.stderr)
        return 2
    path = args.to / f"{chapter.name}.ipynb"
    store.write_atomically(path, nbformat.writes(notebook) + "\n")
    print(path)
    return 0
