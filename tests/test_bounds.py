"""What stands after "at most", "below" or "within" is rounded away from its claim."""

import re

import pytest

from nld.figures._render.text import at_most, power_above
from tests.test_chapters import ROOT

FIGURES = sorted((ROOT / "nld" / "figures").glob("*.py"))
BOUND = re.compile(r'(?:at most|below|within)\s+(?:"\s*f?")?\{(power\(|[^{}]*:\.\d[fg]\})')


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_no_bound_is_rounded_to_the_nearest(path):
    assert not BOUND.findall(path.read_text("utf-8")), "use at_most or power_above of nld.figures._render.text"


@pytest.mark.parametrize("value", [1.42e-5, 2.26e-14, 0.0105, 1.0, 99.9, 1e-300, 7.7])
@pytest.mark.parametrize("digits", [1, 2, 3])
def test_law_a_bound_holds_and_is_tight(value, digits):
    bound = float(at_most(value, digits))
    assert value * (1 - 1e-9) <= bound <= value * (1 + 10.0 ** (1 - digits))
    mantissa, exponent = power_above(value, digits - 1).replace("\N{NO-BREAK SPACE}", "").split("×10")
    superscripts = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
    assert float(f"{mantissa}e{exponent.translate(superscripts)}") == pytest.approx(bound)


def test_zero_is_zero():
    assert at_most(0.0) == power_above(0.0) == "0"
