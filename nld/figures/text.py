"""Numbers in captions, alt texts and prose."""

from typing import SupportsFloat

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: SupportsFloat, form: str) -> str:
    """A formatted number whose sign, if it is negative, is a minus and not a hyphen.

    >>> number(-0.152, ".2f")
    '−0.15'
    """
    return format(float(value), form).replace("-", "−")


def power(value: SupportsFloat, digits: int = 0) -> str:
    r"""A number in powers of ten as plain text, with spaces that no line is broken at.

    >>> power(1.9e-7)
    '2\xa0×\xa010⁻⁷'
    """
    mantissa, exponent = f"{float(value):.{digits}e}".split("e")
    return f"{mantissa}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10{str(int(exponent)).translate(_SUPERSCRIPT)}"
