"""What `nld` says before it begins: the paper's scale, chapters that a parameter leaves alone, and parameter files."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from nld import figures
from nld.cli import main
from nld.errors import ParameterError
from nld.experiment.runs import fingerprint
from nld.publish.execution import build as builder
from nld.publish.execution.foreword import paper_scale
from nld.publish.execution.parameters import read_file
from tests.publish.scratch import PARAMETERS, Scratch

PROFILE = 'profile = "quick"  # one of quick, paper: size of the experiments'


@pytest.fixture
def book(tmp_path) -> Scratch:
    return Scratch(tmp_path / "book").make(
        {
            "plain": [PARAMETERS, "print(seed)"],
            "notation": ["seed = 0  # from 0 to 99: seed"],
            "pictures": [PROFILE, 'import nld\nnld.figures.show("fig-1", profile)\nnld.figures.show("fig-2", profile)'],
        }
    )


@pytest.fixture
def built(book, monkeypatch, capsys):
    """Run `nld book build` without building; returns status, what it says, and the options of the build."""
    asked = []
    monkeypatch.setattr(builder, "build", lambda root, options: asked.append(options) or 0)

    def run(*arguments):
        asked.clear()
        status = main(["book", "build", "--root", str(book.root), *arguments])
        return status, "".join(capsys.readouterr()), asked[0] if asked else None

    return run


@pytest.mark.parametrize("name", ["", "NVIDIA H200"])
def test_the_paper_profile_says_what_it_asks_for_and_whether_it_is_here(built, monkeypatch, name):
    monkeypatch.setattr(fingerprint, "gpu", lambda: name)
    status, said, options = built("--profile", "paper")
    assert (status, options.profile) == (0, "paper")
    assert "fig-1 trains on a GPU, for hours (never timed here); 1 other figures are as in the quick profile." in said
    assert ("There is no GPU that this PyTorch can use: fig-1 will fail" in said) == (not name)
    assert ("The GPU is NVIDIA H200." in said) == bool(name)
    assert "profile changes 03 pictures; it is no parameter of 01 plain, 02 notation, which stay as they are." in said


@pytest.mark.parametrize(
    "line", ["figure show fig-1 --profile paper", "figure show fig-2 --profile paper", "claims --profile paper"]
)
def test_figures_and_claims_say_so_first(line, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(fingerprint, "gpu", lambda: "")
    monkeypatch.setenv("NLD_STORE", str(tmp_path))
    heard = []

    def shown(name, profile="quick", **_):
        heard.append(capsys.readouterr().err)
        raise OSError(28, "no space", str(tmp_path))

    monkeypatch.setattr(figures, "show", shown)
    assert main(line.split()) == 1
    assert heard[0].startswith("The paper profile: ")
    assert ("There is no GPU" in heard[0]) == ("fig-2" not in line)


def test_a_time_that_is_known_is_said(tmp_path):
    folder = tmp_path / "figures" / "fig-dyt" / "key"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text('{"profile": "paper", "wall_seconds": 1234.4}')
    assert "fig-dyt runs larger on the processor, for minutes to an hour (fig-dyt took 1,234 s here)" in paper_scale(
        ["fig-dyt", "fig-2"], tmp_path
    )


def test_the_figures_that_ask_for_a_gpu_are_known():
    """fig-1 alone trains on one; if another does, it must be found."""
    said = paper_scale(figures.names())
    assert "fig-1 trains on a GPU" in said
    assert "fig-dyt, " in said


def test_the_quick_profile_without_parameters_says_nothing(built):
    assert built() == (0, "", built()[2])


def test_chapters_without_the_parameter_are_named(built):
    _, said, _ = built("-p", "learning_rate", "0.2")
    assert "learning_rate changes 01 plain; it is no parameter of 02 notation, 03 pictures, which stay" in said
    _, said, _ = built("-p", "seed", "3", "-p", "seed", "4")
    assert said.count("seed changes 01 plain, 02 notation; it is no parameter of 03 pictures") == 1
    _, said, _ = built("--chapter", "plain", "-p", "seed", "3")
    assert said == ""


def test_a_file_of_parameters_is_as_if_typed_and_what_is_typed_wins(built, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("learning_rate: 0.2\nseed: 7\nstart: far\n")
    status, _, options = built("--chapter", "plain", "--parameters", str(path), "-p", "seed", "8")
    assert status == 0
    assert dict(options.parameters) == {"learning_rate": "0.2", "seed": "8", "start": "far"}
    assert len(options.parameters) == 3
    (plan,) = builder.make_plans([c for c in builder.read_chapters(path.parent / "book") if c.name == "plain"], options)
    assert plan.changed == {"learning_rate": 0.2, "seed": 8, "start": "far"}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"- seed\n", "expected names and values"),
        (b"", "expected names and values"),
        (b"seed: [1\n", "expected YAML"),
        (b"seed: 1\nseed: 2\n", "it names 'seed' twice"),
        (b"seed: [1, 2]\n", r"expected a number, a text, true or false for 'seed', got \[1, 2\]"),
        (b"seed:\n", "expected a number, a text, true or false for 'seed', got None"),
        (b"3: 4\n", "expected the name of a parameter, got 3"),
        (b"\xff\xfe\x00", "not valid UTF-8"),
        (b"seed: !!python/object/apply:os.getpid []\n", "expected YAML"),
    ],
)
def test_a_bad_file_of_parameters_is_told(tmp_path, content, expected):
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ParameterError, match=expected) as told:
        read_file(path)
    assert str(path) in str(told.value)


def test_a_parameter_of_a_file_is_checked_as_a_typed_one(built, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("learnig_rate: 0.2\n")
    status, said, options = built("--parameters", str(path))
    assert (status, options) == (2, None)
    assert "unknown parameter 'learnig_rate'; did you mean 'learning_rate'?" in said
    status, said, _ = built("--parameters", str(tmp_path / "absent.yaml"))
    assert (status, "expected a file of parameters at" in said) == (2, True)


VALUES = st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(st.from_regex(r"p_[a-z]{1,8}", fullmatch=True), VALUES, min_size=1))
def test_values_come_back_as_they_were(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("parameters") / "mine.yaml"
    path.write_text(yaml.safe_dump(values))
    assert {name: type(values[name])(eval(text)) for name, text in read_file(path)} == values
