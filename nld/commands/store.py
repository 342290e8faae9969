"""`nld store`: look after what is kept: find damage, mend it, and remove what nothing needs."""

import contextlib
import os
import sys
from pathlib import Path

from nld.commands import add_actions, add_command
from nld.errors import NldError
from nld.results import store, stored_results

EXAMPLE = """examples:
  nld store check             read everything; exit status 1 if something is damaged
  nld store repair            set damaged entries aside and restore results/ from git
  nld store gc --dry-run      what may be removed, and how large it is
  nld store path
"""
TEXTS = {
    "check": "read everything that is kept and list what is damaged; exit status 1 if anything is",
    "repair": "set damaged entries aside, so that the next command computes them again; restore results/ from git",
    "gc": "remove what is out of date, what killed processes left, and what was set aside; nothing current",
    "path": "print the folder of the store",
}


def add_parser(subparsers) -> None:
    """Add `nld store`."""
    actions = add_actions(subparsers, "store", "check, repair and clear what is kept", EXAMPLE)
    runs = {"check": run_check, "repair": run_repair, "gc": run_gc, "path": run_path}
    for name, text in TEXTS.items():
        example = f"example:\n  nld store {name}" + (" --dry-run\n" if name == "gc" else "\n")
        action = add_command(actions, name, text, example, run=runs[name], description=text)
        action.add_root("_toc.yml and results/")
        if name == "gc":
            action.add_argument("--dry-run", action="store_true", help="only list, with sizes")


def run_path(args) -> int:
    """Print the folder of the store."""
    print(_top(args))
    return 0


def run_check(args) -> int:
    """List what is damaged; returns 1 if anything is."""
    from nld.publish import inventory

    top = _top(args)
    flaws = [words for _, words in inventory.damaged(top)]
    flaws += [flaw.words for folder in _results(args) for flaw in stored_results.flaws(folder)]
    for words in flaws:
        print(words)
    count = sum(1 for _ in inventory.entries(top))
    print(f"{len(flaws)} damaged; {count} entries in {top}", file=sys.stderr if flaws else sys.stdout)
    return int(bool(flaws))


def run_repair(args) -> int:
    """Set aside what is damaged and restore what git holds; returns 1 if something is lost."""
    from nld.publish import inventory

    top, lost = _top(args), False
    for path, _ in inventory.damaged(top):
        store.heal(path, top)
    for folder in _results(args):
        for restored, line in inventory.restore(top, folder):
            lost |= not restored
            print(line)
    return int(lost)


def run_gc(args) -> int:
    """Remove what nothing needs, or list it."""
    from filelock import FileLock, Timeout

    from nld.publish import inventory

    top, total = _top(args), 0
    removes = not args.dry_run and top.is_dir()
    try:
        with FileLock(top / "build.lock", timeout=0) if removes else contextlib.nullcontext():
            for entry in inventory.stale(top, args.root.resolve()):
                size = entry.size
                total += size
                print(f"{size:>12,} bytes  {entry.path.relative_to(top)}: {entry.reason}")
                if removes:
                    inventory.remove(entry)
            print(f"{total:>12,} bytes {'may be' if args.dry_run else 'were'} removed from {top}")
    except Timeout:
        raise NldError("a build runs on this store; wait until it ends") from None
    return 0


def _top(args) -> Path:
    return Path(os.environ.get("NLD_STORE") or args.root / ".nld").absolute()


def _results(args) -> list[Path]:
    """The folders results/ here and, where that is another one, beside the code."""
    folders = [root.resolve() / "results" for root in (args.root, *stored_results.ROOTS)]
    return [folder for folder in dict.fromkeys(folders) if folder.is_dir()]
