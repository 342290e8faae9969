"""The subcommands of `nld`: each module here with ``add_parser`` is one."""

from collections.abc import Callable


def positive(kind: type) -> Callable[[str], int | float]:
    """The type of an option whose value is a number of this kind above zero."""

    def positive(text: str):
        value = kind(text)
        if not value > 0:
            raise ValueError
        return value

    positive.__name__ = f"positive {kind.__name__}"  # argparse names it in its error
    return positive
