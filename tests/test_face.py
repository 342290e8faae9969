"""The face of the package: what completion offers, what type checkers know, old names."""

import ast
import importlib
import os
import pkgutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import nld
from nld import deprecation

ROOT = Path(__file__).parents[1]
PACKAGES = ["nld"] + [m.name for m in pkgutil.walk_packages(nld.__path__, "nld.") if m.ispkg]
LAZY = [name for name in PACKAGES if (ROOT / name.replace(".", "/") / "__init__.pyi").exists()]


def public(package):
    return [name for name in dir(importlib.import_module(package)) if not name.startswith("_")]


# What people import; a name that goes from here goes from their programs.
EXPORTED = {
    "nld": {
        "Block", "LearningRule", "Monitor", "Symmetry", "check_symmetries", "find_symmetries", "gradient_descent",
        "heavy_ball", "nesterov", "count_conservation_laws", "advice", "param_groups", "hold_norms", "correct_decay",
        "forecast", "compare", "errors", "experiment", "figures", "finder", "integrations", "learning_rules", "monitor",
        "paper", "series", "symmetry", "theory",
        "TrainingLoop", "check_training", "training_check",
    },
    "nld.finder": {
        "Block", "ConservationLaws", "Member", "Symmetries", "Violation", "check_symmetries", "count_conservation_laws",
        "find_symmetries",
    },
    "nld.monitor": {
        "ADAPTERS", "Adapter", "Difference", "Finding", "Monitor", "differences", "findings", "load", "save",
    },
    "nld.integrations": {"log_to"},
    "nld.training_check": {"Finding", "TOPICS", "TrainingCheck", "TrainingLoop", "check_training"},
    "nld.experiment": {"Experiment", "RunStore", "Sweep", "gather", "run", "run_sweep", "status"},
    "nld.theory": {"predict_squared_norm", "predict_quadratic_charge", "predict_linear_charge", "noether", "bregman"},
    "nld.figures": {"Shown", "load", "names", "parameters", "show"},
    "nld.learning_rules": {
        "LearningRule", "adam", "adamp", "gradient_descent", "heavy_ball", "iterate", "k_adam", "lion", "mirror",
        "natural_gradient", "nesterov", "rmsprop", "sgdp",
    },
    "nld.advice": {
        "CorrectedDecay", "HeldNorms", "ParamGroups", "Part", "Scale", "correct_decay", "forecast", "forecast_findings",
        "hold_norms", "param_groups",
    },
    "nld.inference": {"Evidence", "Finding", "Verdict", "registrations", "rule"},
}  # fmt: skip


@pytest.mark.parametrize("package", EXPORTED)
def test_exported_members_stay(package):
    module = importlib.import_module(package)
    assert EXPORTED[package] <= set(module.__all__)
    assert all(hasattr(module, name) for name in EXPORTED[package])


@pytest.mark.parametrize("package", EXPORTED)
def test_completion_offers_public_names_and_nothing_else(package):
    code = f"import {package} as m; print(*sorted(n for n in dir(m) if not n.startswith('_')))"
    fresh = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    module = importlib.import_module(package)
    offered = fresh.stdout.split()
    assert offered == sorted(name for name in module.__all__ if not name.startswith("_"))
    assert not {"importlib", "attach", "install", "annotations", "np", "torch"} & set(offered)


@pytest.mark.parametrize("package", LAZY)
def test_the_stub_names_what_is_there(package):
    stub = ast.parse((ROOT / package.replace(".", "/") / "__init__.pyi").read_text("utf-8"))
    named = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert None not in named, "a stub exports a name only as `name as name`"
    module = importlib.import_module(package)
    assert named == set(module.__all__) - {"__version__"}
    for name in sorted(named):
        assert getattr(module, name) is not None


def test_a_type_checker_knows_the_names_and_refuses_others(tmp_path):
    good = "import nld\n\nmonitor = nld.Monitor\nrule = nld.heavy_ball(learning_rate=0.1)\nnld.theory.noether\n"
    lines = {
        "good.py": good,
        "wrong.py": "import nld\n\nnld.Monitr\n",
        "deep.py": "import nld.finder as f\n\nf.find_symetries\n",
    }
    for name, text in lines.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{ROOT}"], "typeCheckingMode": "basic"}}')
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    said = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    wrong = [line for line in said.stdout.splitlines() if " error: " in line]
    assert len(wrong) == 2, said.stdout
    assert any('"Monitr" is not a known attribute' in line for line in wrong)
    assert any('"find_symetries" is not a known attribute' in line for line in wrong)


def test_a_wrong_name_says_which_there_are():
    with pytest.raises(AttributeError, match=r"has no attribute 'Monitr'; it has .*Monitor"):
        _ = nld.Monitr


@pytest.mark.parametrize(("old", "new"), deprecation.MODULES.items())
def test_a_moved_module_is_imported_by_its_old_name_with_a_warning(old, new):
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = importlib.import_module(old)
    there = importlib.import_module(new)
    name = next(name for name in dir(there) if not name.startswith("_"))
    assert getattr(module, name) is getattr(there, name)
    with pytest.raises(AttributeError):
        _ = module.no_such_name


@pytest.mark.parametrize(
    ("package", "name", "new"),
    [(p, name, new) for p, names in deprecation.NAMES.items() for name, new in names.items()],
)
def test_a_moved_name_is_the_new_one_and_warns_whoever_asks(package, name, new):
    module, _, attribute = new.rpartition(".")
    with pytest.warns(DeprecationWarning, match=f"{package}.{name} is now {new}") as caught:
        value = getattr(importlib.import_module(package), name)
    assert value is getattr(importlib.import_module(module), attribute)
    assert caught[0].filename == __file__


def test_new_names_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for package, names in EXPORTED.items():
            for name in names:
                getattr(importlib.import_module(package), name)
