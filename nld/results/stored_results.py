"""Results that took too long to compute in each build, in results/: checked against results/SHA256SUMS when read.

They cannot be computed again here, so a damaged one is an error, which says how to bring it back.
``python -m nld.results.stored_results`` writes the checksums of what lies there, once a result was kept on purpose.
"""

import fnmatch
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nld.errors import Damaged, Missing
from nld.results import seals, store
from nld.results.places import ROOTS, SHIPPED

# Timings, which every `make bench` writes anew and no figure reads.
UNLISTED = {"bench"}


@dataclass(frozen=True)
class Flaw:
    """A file of a folder results/ that is not what its checksums say, and what is wrong, in words.

    Args:
        listed: whether the checksums name it; what they do not name is somebody's work, which no history holds.
    """

    path: Path
    words: str
    listed: bool = True


def whole(path: Path) -> Path:
    """The path of a stored result, once its checksum was found to hold.

    A folder results/ without SHA256SUMS is somebody's own and is not checked, unless it lies beside the code.

    Args:
        path: of a file in a folder below one named results.

    Raises:
        nld.errors.Missing: there is no such file; it is a FileNotFoundError.
        nld.errors.Damaged: its checksum does not hold, or is not there; the message says how to bring it back.
    """
    path = path.absolute()
    folder = _results(path)
    listed = None if folder is None else _sums(folder)
    name = "" if folder is None else path.relative_to(folder).as_posix()
    if folder is None or listed is None or name not in listed:
        if not path.exists():
            raise Missing(f"expected a stored result at {path}, found none")
        if folder is None or listed is None:
            return path
        advice = "if it is a result to keep, list it: python -m nld.results.stored_results"
        raise Damaged(f"{path} is not listed in {folder / seals.SUMS}; {advice}")
    if words := seals.difference(path, listed[name]):
        raise Damaged(f"{words}{_cure(folder, path)}")
    return path


def matching(root: Path, pattern: str) -> list[Path]:
    """Stored results below ``root`` by a pattern such as "results/paper/*.nc", each found whole.

    Raises:
        nld.errors.Damaged: as ``whole``, also for one that is listed and lost.
    """
    folder = root / "results"
    listed = (_sums(folder) or {}) if folder.is_dir() else {}
    names = {f"results/{name}" for name in listed if fnmatch.fnmatchcase(f"results/{name}", pattern)}
    names |= {path.relative_to(root).as_posix() for path in root.glob(pattern)}
    return [whole(root / name) for name in sorted(names)]


def flaws(folder: Path) -> list[Flaw]:
    """Each file of a folder results/ that is not what its checksums say."""
    sums = folder / seals.SUMS
    try:
        listed = set(_sums(folder) or ())
    except Damaged as error:
        return [Flaw(sums, str(error))]
    damaged = []
    for name in sorted(listed | {path.relative_to(folder).as_posix() for path in _files(folder)}):
        try:
            whole(folder / name)
        except Damaged as error:
            damaged.append(Flaw(folder / name, str(error), listed=name in listed))
    return damaged


def list_again(folder: Path, path: Path | None = None) -> Path:
    """Write the checksums of all stored results below ``folder``, or of one among them; the file that holds them."""
    sums = folder / seals.SUMS
    names = {each.relative_to(folder).as_posix(): each for each in ([path] if path else _files(folder))}
    before = seals.read_sums(sums) if path and sums.exists() else {}
    store.write_atomically(sums, seals.sums((before | {n: seals.digest(file) for n, file in names.items()}).items()))
    return sums


def note(path: Path) -> None:
    """List a result that was just written, if its folder results/ keeps checksums; timings are not listed."""
    folder = _results(path.absolute())
    if folder is not None and (folder / seals.SUMS).exists() and path.absolute() in _files(folder):
        list_again(folder, path.absolute())


def _sums(folder: Path) -> dict[str, str] | None:
    """The checksums that a folder results/ keeps; None where it keeps none and need not."""
    sums = folder / seals.SUMS
    try:
        return seals.read_sums(sums)
    except FileNotFoundError:
        if folder.parent not in ROOTS:
            return None
        raise Damaged(f"{sums} is missing{_cure(folder, sums)}") from None
    except ValueError as error:
        raise Damaged(f"{error}{_cure(folder, sums)}") from None


def _cure(folder: Path, path: Path) -> str:
    if folder.parent == SHIPPED:
        return "; install nld again"
    return f"; restore it, in {folder.parent}: git checkout -- {path.relative_to(folder.parent).as_posix()}"


def _results(path: Path) -> Path | None:
    """The folder results/ that a path lies below, at least one folder deep."""
    return next((parent for parent in list(path.parents)[1:] if parent.name == "results"), None)


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).parts
        if path.is_file() and len(place) > 1 and place[0] not in UNLISTED and not path.name.startswith("."):
            yield path


def main() -> None:
    """Write results/SHA256SUMS of the checkout."""
    print(list_again(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOTS[0] / "results"))


if __name__ == "__main__":
    main()
