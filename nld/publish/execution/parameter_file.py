"""Parameters from a file: a YAML mapping of names to values, as one would type them after `-p`.

learning_rate: 0.2
seed: 7
"""

from pathlib import Path

import yaml

from nld.errors import ParameterError

EXAMPLE = "write lines such as 'learning_rate: 0.2'"


class _Once(yaml.SafeLoader):
    """A mapping that names a key twice is an error, not its last value."""

    def construct_mapping(self, node, deep=False):
        names = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"it names {twice[0]!r} twice", node.start_mark)
        return super().construct_mapping(node, deep)


def read_file(path: Path) -> tuple[tuple[str, str], ...]:
    """Names and values, as text, in the order of the file.

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
        raise ParameterError(f"expected YAML in {path}, got: {' '.join(str(error).split())}; {EXAMPLE}") from None
    if not isinstance(content, dict):
        raise ParameterError(f"expected names and values in {path}, got {str(content)[:60]!r}; {EXAMPLE}")
    for name, value in content.items():
        if not isinstance(name, str):
            raise ParameterError(f"{path}: expected the name of a parameter, got {name!r}; {EXAMPLE}")
        if not isinstance(value, bool | int | float | str):
            raise ParameterError(
                f"{path}: expected a number, a text, true or false for {name!r}, got {value!r}; {EXAMPLE}"
            )
    return tuple((name, str(value)) for name, value in content.items())
