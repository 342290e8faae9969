"""Formulas of claims are spelled out where no page renders them."""

import pytest

from nld.claims import rulings as claims
from nld.publish.pages.plain_math import plain


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (r"as $e^{-\mu t/m}$.", "as e^(-μ t/m)."),
        (r"$\frac{\eta}{4}\lVert\nabla f\rVert^2$", "(η)/(4)‖∇ f‖^2"),
        (r"$\sqrt{1-\rho}$ and $T^{1/2}$", "√(1-ρ) and T^(1/2)"),
        (r"$D_h(q^\ast, q + e^{-\alpha}\dot q)$", "D_h(q^*, q + e^(-α)q̇)"),
        ("no formula", "no formula"),
    ],
)
def test_a_formula_is_spelled_out(formula, text):
    assert plain(formula) == text


def test_an_unknown_command_is_refused():
    with pytest.raises(ValueError, match=r"expected formulas of known commands, got \\mathfrak"):
        plain(r"$\mathfrak g$")


def test_every_claim_can_be_read_in_a_terminal():
    for claim in claims.known().values():
        text = plain(claim.statement)
        assert not set(text) & set("\\{}$"), text
