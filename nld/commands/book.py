"""`nld book`: execute the chapters and build the pages, print them, and pack everything into an archive."""

from pathlib import Path

from nld.commands import add_actions, add_command, announce_scale, positive, read_parameters

EXAMPLE = """examples:
  nld book build                                    the whole book
  nld book build --chapter 01 -p learning_rate 0.2  one chapter with another learning rate
  nld book build --chapter 01 --parameters FILE     the same from a YAML file, with lines such as learning_rate: 0.2
  nld book build --why                              list what runs again, and the reasons
"""
PDF = """example:
  nld book pdf --to book.pdf                       the whole book, after executing what changed
"""
ARCHIVE = """example:
  nld book archive                                 pages, PDF, data and package in dist/nld-VERSION.zip
"""


def add_parser(subparsers) -> None:
    """Add `nld book`."""
    actions = add_actions(subparsers, "book", "build, print and pack the book", EXAMPLE)
    build = add_command(
        actions, "build", "execute the chapters that changed and render all pages", EXAMPLE, run=run_build
    )
    build.add_root()
    build.add_profile()
    build.add_argument(
        "--chapter", action="append", default=[], metavar="NAME", help="only this chapter: name or number"
    )
    build.add_parameters()
    build.add_argument("--jobs", type=positive(int), metavar="N", help="chapters at once (default: one a core)")
    build.add_argument("--force", action="store_true", help="run chapters also when nothing changed")
    build.add_argument("--why", action="store_true", help="say why each chapter runs")
    build.add_argument("--timeout", type=positive(float), metavar="SECONDS", help="wall-clock limit of a chapter")
    build.add_argument("--no-html", dest="html", action="store_false", help="execute only, render no page")
    pdf = add_command(actions, "pdf", "execute what changed and print the book", PDF, run=run_pdf)
    pdf.add_argument(
        "--to", type=Path, default=Path("_build/book.pdf"), metavar="FILE", help="where to (default: _build/book.pdf)"
    )
    pdf.add_root()
    archive = add_command(actions, "archive", "build, print and pack the book with its data", ARCHIVE, run=run_archive)
    archive.add_argument("--to", type=Path, default=Path("dist"), metavar="FOLDER", help="where to (default: dist)")
    archive.add_root()


def run_build(args) -> int:
    """Carry out `nld book build`; returns the exit status."""
    from nld.publish.execution.build import Options, build

    root = args.root.resolve()
    options = Options(
        profile=args.profile,
        chapters=tuple(args.chapter),
        parameters=tuple(read_parameters(args)),
        jobs=args.jobs,
        force=args.force,
        why=args.why,
        timeout=args.timeout,
        html=args.html,
    )
    _say_first(root, options)
    return build(root, options)


def _say_first(root: Path, options) -> None:
    """Tell what a build will do beyond the ordinary, once what was typed is known to be right."""
    if not options.parameters and options.profile == "quick":
        return
    from nld.publish.execution.build import make_plans
    from nld.publish.execution.chapters import read_chapters
    from nld.publish.execution.foreword import figures_of, left_alone

    chapters = [plan.chapter for plan in make_plans(read_chapters(root), options)]
    asked = [name for name, _ in options.parameters] + ["profile"] * (options.profile != "quick")
    for sentence in left_alone(chapters, asked):
        print(sentence, flush=True)
    announce_scale(options.profile, figures_of(chapters), root / ".nld")


def run_pdf(args) -> int:
    """Carry out `nld book pdf`; returns the exit status."""
    from nld.publish.execution.build import Options, build
    from nld.publish.exports.pdf import print_book

    def pack(root: Path) -> None:
        print("Printing.", flush=True)
        print_book(root, args.to)
        print(f"The printed book is in {args.to}.")

    return build(args.root.resolve(), Options(html=False), then=pack)  # printing renders the chapters itself


def run_archive(args) -> int:
    """Carry out `nld book archive`; returns the exit status."""
    from nld import __version__
    from nld.publish.execution.build import Options, build
    from nld.publish.exports.archive import write_archive
    from nld.publish.exports.pdf import print_book

    def pack(root: Path) -> None:
        pdf, path = root / "_build" / "book.pdf", args.to / f"nld-{__version__}.zip"
        print("Printing and packing.", flush=True)
        print_book(root, pdf)
        write_archive(root, pdf, path)
        print(f"The archive is {path} ({path.stat().st_size / 1e6:.1f} MB).")

    return build(args.root.resolve(), Options(), then=pack)
