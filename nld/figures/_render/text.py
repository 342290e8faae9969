"""Numbers in captions, alt texts and prose."""

import math
from typing import SupportsFloat

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: SupportsFloat, form: str) -> str:
    """A formatted number whose sign, if it is negative, is a minus and not a hyphen.

    >>> number(-0.152, ".2f")
    '−0.15'
    """
    return format(float(value), form).replace("-", "−")


def at_most(value: SupportsFloat, digits: int = 2) -> str:
    """A number that stands after "at most": rounded up in its last significant digit, away from the claim.

    >>> at_most(1.402), at_most(0.0), at_most(2.0)
    ('1.5', '0', '2')
    """
    if float(value) == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(value)))) - digits + 1
    # A hair of slack, so that a number that is round already is not rounded up for its last bit.
    scaled = float(value) / 10.0**exponent
    raised = math.ceil(scaled - 1e-9 * abs(scaled)) * 10.0**exponent
    return f"{raised:.{digits}g}"


def power(value: SupportsFloat, digits: int = 0) -> str:
    r"""A number in powers of ten as plain text, with spaces that no line is broken at.

    >>> power(1.9e-7)
    '2\xa0×\xa010⁻⁷'
    >>> power(0.0), power(-2e-7)
    ('0', '−2\xa0×\xa010⁻⁷')
    """
    if float(value) == 0:
        return "0"
    mantissa, exponent = f"{float(value):.{digits}e}".split("e")
    mantissa = mantissa.replace("-", "−")
    return f"{mantissa}\N{NO-BREAK SPACE}×\N{NO-BREAK SPACE}10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def power_above(value: SupportsFloat, digits: int = 0) -> str:
    r"""``power`` for a number that stands after "at most", "below" or "within": rounded up, away from the claim.

    >>> power_above(1.42e-5), power_above(2e-5), power_above(9.1e-3)
    ('2\xa0×\xa010⁻⁵', '2\xa0×\xa010⁻⁵', '1\xa0×\xa010⁻²')
    """
    return power(float(at_most(value, digits + 1)), digits)
