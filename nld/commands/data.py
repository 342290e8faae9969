"""`nld data`: bring a data set here, once, and check that it is still what it was."""

import contextlib
import os
import shutil
import sys
import time
from pathlib import Path

from nld.commands import add_actions, add_command, positive
from nld.errors import DataError, UsageError

EXAMPLE = """examples:
  nld data fetch tiny-imagenet                            download (248 MB) and decode
  nld data fetch tiny-imagenet --from tiny-imagenet-200/  from a folder or an archive you have
  NLD_DATA=/data nld data fetch cifar-10                  the same, from a folder that holds several
  nld data verify tiny-imagenet

The decoded images go to NLD_CACHE, or to your cache folder.
"""


def add_parser(subparsers) -> None:
    """Add `nld data`."""
    actions = add_actions(subparsers, "data", "fetch and verify data sets", EXAMPLE)
    for name, text in {
        "fetch": "download or take what you have, decode it into the cache; a fetch that was interrupted is resumed",
        "verify": "check the cache against its checksums",
    }.items():
        action = add_command(actions, name, text, EXAMPLE, run=run_action)
        action.add_argument("name", metavar="NAME", help="tiny-imagenet or cifar-10")
        if name == "fetch":
            action.add_argument(
                "--from",
                dest="given",
                nargs="+",
                type=Path,
                default=[],
                metavar="PATH",
                help="the unpacked folder, a folder that holds it, or its archives (default: NLD_DATA, else download)",
            )
            action.add_argument("--again", action="store_true", help="also when the cache is whole")
            action.add_argument(
                "--jobs", type=positive(int), metavar="N", help="processes that decode (default: one a core)"
            )


def run_action(args) -> int:
    """Carry out `nld data ACTION`; returns the exit status."""
    from nld.experiment.datasets import cache
    from nld.experiment.datasets.fetch import SOURCES

    if args.name not in SOURCES:
        raise UsageError(f"unknown data set {args.name!r}; there are {', '.join(SOURCES)}")
    source = SOURCES[args.name]
    if args.action == "fetch":
        fetch(source, args)
    else:
        meta, _ = cache.read(source)
        print(f"{args.name} is whole: checksum {meta['checksum'][:16]}")
    return 0


def fetch(source, args) -> None:
    """Put the data set into the cache, from what is given, from NLD_DATA, or from its host."""
    from tqdm import tqdm

    from nld.experiment.datasets import cache
    from nld.experiment.datasets.fetch import download, official_folder

    if not args.again:
        with contextlib.suppress(DataError):  # missing or damaged: that is what fetch mends
            cache.read(source)
            print(f"{source.name} is in {cache.root() / source.name}, whole")
            return

    def bar(text: str, unit: str):
        shown = tqdm(desc=text, unit=unit, unit_scale=True, disable=not sys.stderr.isatty(), leave=False)

        def progress(done: int, total: int) -> None:
            shown.total = total
            shown.update(done - shown.n)

        return progress

    given = args.given or ([Path(os.environ["NLD_DATA"])] if os.environ.get("NLD_DATA") else [])
    scratch = cache.root() / "scratch"
    try:
        if not given:
            print(f"downloading {source.url}", flush=True)
            given = [download(source, cache.root() / "archives", bar("download", "B"))]
        print("unpacking", flush=True)
        official = official_folder(source, given, scratch)
        print("decoding", flush=True)
        clock = time.perf_counter()
        target = cache.build(source, official, workers=args.jobs, progress=bar("decode", "image"))
        print(f"{target}: {source.train + source.test} images in {time.perf_counter() - clock:.0f} s")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
