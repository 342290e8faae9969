"""What a user types wrong at each command: one line that says what was expected, and the right exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nld.cli import main, make_parser

ROOT = Path(__file__).parents[1]


@pytest.fixture
def typed(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder with a few files; returns its exit status and what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLD_STORE", str(tmp_path / ".nld"))
    monkeypatch.setenv("NLD_CACHE", str(tmp_path / "cache"))
    files = {
        "run.toml": "steps = 0",
        "word.toml": "steps = 'many'",
        "wrong.toml": "stepz = 3",
        "sweep.toml": "[base]\nsteps = 0\n[vary]\nlearning_rate = [0.1, 0.2]",
        "one.toml": "[vary]\nlearning_rate = 0.1",
        "mine.py": "import torch\nmodel = torch.nn.Linear(2, 2)\n\ndef number():\n    return 3\n",
        "loops.py": "def broken():\n    raise KeyError('data')\n",
        "notes.txt": "no archive",
        "fast.yaml": "learning_rate: fast",
        "list.yaml": "- learning_rate",
        "open.yaml": "learning_rate: [0.1",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    def run(line: str) -> tuple[int, str]:
        try:
            status = main(line.split())
        except SystemExit as stopped:
            status = int(stopped.code or 0)
        return status, "".join(capsys.readouterr())

    return run


WRONG = {
    "run word.toml": (2, "nld run: word.toml: Experiment.steps must be a whole number, got 'many'"),
    "run wrong.toml": (2, "an experiment has no field stepz; it has network,"),
    "run run.toml --set steps=many": (2, "nld run: Experiment.steps must be a whole number, got 'many'"),
    "run run.toml --set augment=1": (2, "Experiment.augment must be true or false, got 1"),
    "run run.toml --set steps": (2, "--set expects FIELD=VALUE, got 'steps'"),
    "run sweep.toml": (2, "use nld sweep run sweep.toml"),
    "run absent.toml": (2, "absent.toml"),
    "sweep run one.toml": (2, "must have a list for each field, got one value for learning_rate"),
    "sweep run sweep.toml --workers 2": (2, "--workers is for --executor pool"),
    "sweep run sweep.toml --minutes 5": (2, "--minutes is for --executor slurm"),
    "sweep run sweep.toml --parameter a b": (2, "--parameter is for --executor slurm"),
    "sweep run sweep.toml --no-wait": (2, "--no-wait is for --executor slurm"),
    "sweep run sweep.toml --members 0": (2, "invalid positive int value: '0'"),
    "sweep gather sweep.toml --output s.nc": (1, "so far: 2 waiting"),
    "data fetch imagenet": (2, "unknown data set 'imagenet'; there are tiny-imagenet, cifar-10"),
    "data fetch cifar-10 --jobs 0": (2, "invalid positive int value: '0'"),
    "data fetch cifar-10 --from absent": (1, "absent does not exist; give a folder or an archive of cifar-10"),
    "data fetch cifar-10 --from notes.txt": (1, "notes.txt is not a whole zip or tar archive"),
    "data verify cifar-10": (1, "Fetch it: nld data fetch cifar-10"),
    "figure show": (2, "name a figure or give --all; there are: fig-1,"),
    "figure show fig-lanscape": (2, "did you mean 'fig-landscape'?"),
    "figure show fig-2 -p rate 1": (2, "expected parameters of fig-2 among ['learning_rate'], got ['rate']"),
    "figure show fig-photographs -p seed 1": (2, "expected no parameters, as fig-photographs has none, got ['seed']"),
    "figure show fig-2 -p learning_rate fast": (2, "expected learning_rate of fig-2 to be a number, such as 0.02"),
    "figure show fig-1 -p seed 1.5": (2, "expected seed of fig-1 to be a whole number, such as 0, got 1.5"),
    "figure show fig-2 --parameters absent.yaml": (
        2,
        "expected a file of parameters at absent.yaml, got: No such file",
    ),
    "figure show fig-2 --parameters list.yaml": (
        2,
        "expected names and values in list.yaml, got \"['learning_rate']\"",
    ),
    "figure show fig-2 --parameters open.yaml": (2, "expected YAML in open.yaml, got: "),
    "figure show fig-2 --parameters fast.yaml": (2, "expected learning_rate of fig-2 to be a number, such as 0.02"),
    "book build --parameters list.yaml": (2, "nld book build: expected names and values in list.yaml"),
    "figure verify --all": (2, "no references in results/reference; run this in the root of a checkout"),
    "figure verify fig-2 --under abacus": (2, "no references in results/reference"),
    "claims --gather fig-2": (2, "nld claims: expected a figure that keeps judging seeds, one of fig-advised-rate,"),
    "claims --gather fig-lanscape": (2, "did you mean 'fig-landscape'?"),
    "claims --against absent.json": (
        2,
        "nld claims: expected a ledger that `nld claims --save` wrote, got absent.json",
    ),
    "claims --against notes.txt": (2, "expected a ledger that `nld claims --save` wrote, got notes.txt"),
    "figure cite fig-2": (2, "expected _toc.yml, found none; run this in the root of the book"),
    "notebook 01": (2, "_toc.yml, found none"),
    "report absent.nc": (1, "nld report: expected a monitor's record at absent.nc, got nothing there"),
    "report .": (1, "got a folder"),
    "symmetries mine --input 1,2": (2, "nld symmetries: expected MODULE:FACTORY, got 'mine'"),
    "symmetries absent:model --input 1,2": (2, "is it importable from this folder?"),
    "symmetries mine:absent --input 1,2": (2, "is it importable from this folder?"),
    "symmetries mine:model --input 1,2": (1, "a function or class that returns the model, got a Linear"),
    "symmetries mine:number --input 1,2": (1, "to return a torch.nn.Module, got a int"),
    "symmetries torch.nn:Linear --input 1,2": (1, "missing a required argument: 'in_features'; name a function"),
    "check-training mine": (2, "nld check-training: expected MODULE:FACTORY, got 'mine'; such as train:loop"),
    "check-training absent:loop": (2, "is it importable from this folder?"),
    "check-training mine:number": (2, "nld check-training: expected an nld.TrainingLoop, or a tuple"),
    "check-training loops:broken": (1, "nld check-training: loops:broken failed: KeyError: 'data'"),
    "check-training loops:broken --steps 0": (2, "invalid positive int value: '0'"),
    "check-training loops:broken --allow clipping": (2, "did you mean 'norm-clipping'?"),
    "symmetries mine:model --input 1,x": (2, "expected sizes such as 8,3,32,32, got '1,x'"),
    "symmetries mine:model --input 0,2": (2, "expected sizes such as 8,3,32,32, got '0,2'"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_command_says_what_was_expected(typed, line):
    status, said = typed(line)
    expected, words = WRONG[line]
    assert (status, words in said) == (expected, True), said
    assert "Traceback" not in said


def test_an_output_that_cannot_be_written_is_told(typed):
    status, said = typed("run run.toml --output notes.txt/run.nc")
    assert status == 1
    assert "nld run: cannot write notes.txt/run.nc" in said


@pytest.mark.parametrize("command", ["figure show fig-landscape", "claims"])
def test_a_figure_that_cannot_be_kept_is_told(typed, command):
    Path(".nld").write_text("no folder")
    status, said = typed(command)
    assert status == 1
    assert f"nld {command.removesuffix(' fig-landscape')}: cannot write" in said
    assert ".nld/figures" in said


def test_a_fault_of_one_figure_is_no_wrong_usage_and_the_others_have_their_turn(typed, monkeypatch):
    from nld import figures

    asked = []

    def fail(name, *_, **__):
        asked.append(name)
        raise ValueError(f"{name} has a fault")

    monkeypatch.setattr(figures, "show", fail)
    Path("results/reference").mkdir(parents=True)
    status, said = typed("figure verify fig-1 fig-2")
    assert (status, asked) == (1, ["fig-1", "fig-2"])
    assert said == "nld figure verify: fig-1 has a fault\nnld figure verify: fig-2 has a fault\n"
    assert typed("figure show fig-1 -p seed 1") == (2, "nld figure show: fig-1 has a fault\n")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_goes_away_is_no_fault(unbuffered):
    """As `nld store path | head -0` does; also when the lines wait in a buffer until the end."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered}
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "nld.cli", "store", "path"]
    ended = subprocess.run(command, env=environment, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_runs_of_a_figure_that_fail_are_told_not_traced(typed, monkeypatch):
    from nld import figures
    from nld.errors import SweepError

    def fail(*_, **__):
        raise SweepError("6 of 6 runs failed; the first: no GPU")

    monkeypatch.setattr(figures, "show", fail)
    for command in ("figure show fig-1", "claims"):
        name = command.removesuffix(" fig-1")
        assert typed(command) == (1, f"nld {name}: 6 of 6 runs failed; the first: no GPU\n")


def test_a_package_of_an_extra_that_is_missing_is_told_with_what_brings_it(typed, monkeypatch):
    from nld import figures

    def fail(*_, **__):
        raise ModuleNotFoundError("No module named 'yaml'", name="yaml")

    monkeypatch.setattr(figures, "show", fail)
    status, said = typed("figure show fig-1")
    assert status == 1
    assert "expected the package yaml, which is not installed" in said
    assert "pip install '.[dev]'" in said


@pytest.mark.parametrize("fault", [RuntimeError("ours"), ModuleNotFoundError("ours", name="nld.figures.fig_3")])
def test_other_errors_keep_their_traceback(typed, monkeypatch, fault):
    from nld import figures

    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(figures, "show", fail)
    with pytest.raises(type(fault), match="ours"):
        typed("figure show fig-1")


def parsers(parser, name="nld"):
    yield name, parser
    for action in parser._actions:
        for word, child in (action.choices if isinstance(action.choices, dict) else {}).items():
            yield from parsers(child, f"{name} {word}")


PARSERS = dict(parsers(make_parser()))


@pytest.mark.parametrize("name", PARSERS)
def test_every_help_explains_each_option_and_has_an_example_that_parses(name):
    parser = PARSERS[name]
    silent = [action.dest for action in parser._actions if not action.help and action.dest not in ("command", "action")]
    assert silent == []
    lines = [line.strip() for line in (parser.epilog or "").splitlines()]
    examples = [line.removeprefix("example: ").split("  ")[0].split() for line in lines if "nld " in line[:13]]
    examples = [words[1:] for words in examples if words[0] == "nld"]
    assert examples or name == "nld figure list", f"{name} --help has no example"
    for words in examples:
        make_parser().parse_args(words)
