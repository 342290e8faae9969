"""A release is refused while its records contradict each other, and its wheel works where no checkout is."""

import datetime
import subprocess

import pytest

from nld import __version__
from nld.errors import NldError, ToolError
from nld.publish.exports import release

TODAY = datetime.date.today().isoformat()


def project(root, version=__version__, released=TODAY, heading=None):
    """A project with the records of a version, committed."""
    (root / "CITATION.cff").write_text(f'version: {version}\ndate-released: "{released}"\n')
    (root / "CHANGELOG.md").write_text(f"# Changes\n\n## {heading or f'{__version__} ({TODAY})'}\n")
    (root / ".gitignore").write_text("dist\n")
    run = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    subprocess.run([*run, "init", "-q"], cwd=root, check=True)
    subprocess.run([*run, "add", "."], cwd=root, check=True)
    subprocess.run([*run, "commit", "-qm", "x"], cwd=root, check=True)
    return root


def test_records_that_agree_contradict_nothing(tmp_path):
    assert release.contradictions(project(tmp_path)) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"version": "9.9.9"}, "CITATION.cff has version 9.9.9"),
        ({"heading": f"{__version__} (not yet released)"}, "says 'not yet released'"),
        ({"heading": f"9.9.9 ({TODAY})"}, "begins with 9.9.9"),
        ({"released": "2999-01-01", "heading": f"{__version__} (2999-01-01)"}, "yet to come"),
    ],
)
def test_each_contradiction_is_named(tmp_path, options, said):
    (found,) = release.contradictions(project(tmp_path, **options))
    assert said in found


def test_work_that_is_not_committed_and_a_version_that_was_released_are_named(tmp_path):
    project(tmp_path)
    subprocess.run(["git", "tag", f"v{__version__}"], cwd=tmp_path, check=True)
    (tmp_path / "new.txt").write_text("x")
    changed, tagged = release.contradictions(tmp_path)
    assert "new.txt" in changed
    assert "choose the next version" in tagged


def test_nothing_is_packed_while_something_is_wrong(tmp_path):
    with pytest.raises(NldError, match=r"(?s)not ready.*CITATION"):
        release.prepare(project(tmp_path, version="9.9.9"))
    (tmp_path / "CITATION.cff").write_text(f'version: {__version__}\ndate-released: "{TODAY}"\n')
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qam", "y"], cwd=tmp_path)
    with pytest.raises(NldError, match="make archive"):
        release.prepare(tmp_path)
    assert not (tmp_path / "dist").exists()


@pytest.mark.slow
def test_the_wheel_holds_what_the_package_needs_and_works_alone(tmp_path, monkeypatch):
    from nld.results.places import PACKAGE

    pytest.importorskip("hatchling")
    wheel, source = release.pack(PACKAGE.parent, tmp_path)
    assert source.name.endswith(".tar.gz")
    version, path = release.try_out(wheel).split()
    assert version == __version__
    assert str(PACKAGE) not in path
    monkeypatch.setattr(release, "TRIAL", "raise SystemExit(1)")
    with pytest.raises(ToolError, match="does not work"):
        release.try_out(wheel)
