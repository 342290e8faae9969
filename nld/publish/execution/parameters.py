"""The parameters of a chapter, read from the text of its `parameters` cell, and files of values for them.

A line of the cell declares a parameter, its default, its range and its meaning:

    seed = 0             # from 0 to 9999: first random seed
    profile = "quick"    # one of quick, paper: size of the experiments
    learning_rate = 0.1  # from 0.001 to 1, w²/ℓ: step size
    constrained = False  # true or false: whether filters keep their length
"""

import ast
import contextlib
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from nld.errors import ParameterError

_RANGE = re.compile(r"from\s+(?P<low>\S+)\s+to\s+(?P<high>[^\s,:]+)(?:,\s*(?P<unit>[^:]+))?\s*:\s*(?P<meaning>.+)")
_CHOICE = re.compile(r"one of\s+(?P<choices>[^:]+):\s*(?P<meaning>.+)")
_BOOL = re.compile(r"true or false\s*:\s*(?P<meaning>.+)")
_ADVICE = "write lines such as 'learning_rate: 0.2'"


@dataclass(frozen=True)
class Parameter:
    """One parameter: default, admissible values, unit and meaning."""

    name: str
    default: bool | int | float | str
    low: float | None = None
    high: float | None = None
    choices: tuple[int | float | str, ...] = ()
    unit: str = ""
    meaning: str = ""

    @property
    def range(self) -> str:
        """The admissible values in words."""
        if self.choices:
            return "one of " + ", ".join(map(str, self.choices))
        kind = type(self.default).__name__
        if self.low is None:
            return "true or false" if kind == "bool" else kind
        return f"{kind} from {self.low:g} to {self.high:g}" + (f" {self.unit}" if self.unit else "")

    @property
    def example(self) -> str:
        """A value that is not the default, as one types it: the double, the other end of the range, another choice."""
        if self.choices:
            values = [*self.choices]
        elif isinstance(self.default, bool):
            values = [not self.default]
        elif isinstance(self.default, str):
            values = []
        else:
            double = 2 * self.default or 7
            values = [double if self.high is None else min(double, self.high), self.high, self.low]
        for value in values:
            text = f"{value:.15g}" if isinstance(value, float) else str(value)
            with contextlib.suppress(ParameterError):
                if self.parse(text) != self.default:
                    return text
        return str(self.default)

    def parse(self, text: str) -> bool | int | float | str:
        """The value that ``text`` denotes.

        Raises:
            ParameterError: wrong type, or outside the range.
        """
        kind = type(self.default)
        try:
            value = {"true": True, "false": False}[text.strip().lower()] if kind is bool else kind(text)
        except (ValueError, KeyError):
            raise ParameterError(f"parameter {self.name!r}: expected {self.range}, got {text!r}") from None
        outside = isinstance(value, int | float) and self.low is not None and not self.low <= value <= self.high  # type: ignore[operator]
        if outside or (self.choices and value not in self.choices):
            raise ParameterError(f"parameter {self.name!r}: expected {self.range}, got {text!r}")
        return value


def read_parameters(source: str, where: str) -> dict[str, Parameter]:
    """The parameters that a cell declares, by name.

    Raises:
        ParameterError: a line that is not ``name = literal``.
    """
    parameters = {}
    for number, line in enumerate(source.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        code, _, comment = line.partition("#")
        try:
            (statement,) = ast.parse(code.strip()).body
            assert isinstance(statement, ast.Assign)
            (target,) = statement.targets
            assert isinstance(target, ast.Name)
            default = ast.literal_eval(statement.value)
            assert isinstance(default, bool | int | float | str)
        except (SyntaxError, ValueError, AssertionError):
            raise ParameterError(
                f"{where}, parameters cell, line {number}: expected 'name = number, text or bool', got {line.strip()!r}"
            ) from None
        parameters[target.id] = _describe(target.id, default, comment.strip(), f"{where}, parameters cell")
    return parameters


def _describe(name: str, default, comment: str, where: str) -> Parameter:
    kind = type(default)
    try:
        if kind is bool and (match := _BOOL.fullmatch(comment)):
            parameter = Parameter(name, default, meaning=match["meaning"])
        elif kind is not bool and (match := _CHOICE.fullmatch(comment)):
            choices = tuple(kind(choice.strip()) for choice in match["choices"].split(","))
            parameter = Parameter(name, default, choices=choices, meaning=match["meaning"])
        elif kind in (int, float) and (match := _RANGE.fullmatch(comment)):
            low, high, unit = float(match["low"]), float(match["high"]), (match["unit"] or "").strip()
            parameter = Parameter(name, default, low, high, unit=unit, meaning=match["meaning"])
        else:
            parameter = None
    except ValueError:
        raise ParameterError(f"{where}: expected numbers after {name!r}, got {comment!r}") from None
    if parameter is None:
        raise ParameterError(
            f"{where}: expected a comment '# from LOW to HIGH, UNIT: meaning', '# one of A, B: meaning' or "
            f"'# true or false: meaning' that fits {name} = {default!r}, got {comment!r}"
        )
    try:
        parameter.parse(str(default))
    except ParameterError as error:
        raise ParameterError(f"{where}: {error}") from None
    return parameter


class _Once(yaml.SafeLoader):
    """A mapping that names a key twice is an error, not its last value."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"it names {twice[0]!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_file(path: Path) -> tuple[tuple[str, str], ...]:
    """Names and values of a YAML file, as one would type them after `-p`, in its order.

    Raises:
        ParameterError: no such file, not YAML, or not a mapping of names to numbers, texts, true or false.
    """
    try:
        content = yaml.load(path.read_text("utf-8"), _Once)  # a SafeLoader: plain values only
    except OSError as error:
        raise ParameterError(f"expected a file of parameters at {path}, got: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ParameterError(f"expected text in {path}, got bytes that are not valid UTF-8: {error}") from None
    except yaml.YAMLError as error:
        raise ParameterError(f"expected YAML in {path}, got: {' '.join(str(error).split())}; {_ADVICE}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"expected names and values in {path}, got {str(content)[:60]!r}; {_ADVICE}")
    for name, value in content.items():
        if not isinstance(name, str):
            raise ParameterError(f"{path}: expected the name of a parameter, got {name!r}; {_ADVICE}")
        if not isinstance(value, bool | int | float | str):
            raise ParameterError(
                f"{path}: expected a number, a text, true or false for {name!r}, got {value!r}; {_ADVICE}"
            )
    return tuple((name, str(value)) for name, value in content.items())
