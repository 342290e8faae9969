"""Formulas of claims are spelled out where no page renders them."""

import re

import pytest

from nld import figures
from nld.claims import rulings as claims
from nld.inference.registration import registrations
from nld.publish.pages.plain_math import plain, typeset
from tests.figures.test_captions import reference


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (r"as $e^{-\mu t/m}$.", "as e^(-μ t/m)."),
        (r"$\frac{\eta}{4}\lVert\nabla f\rVert^2$", "(η)/(4)‖∇ f‖²"),
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


@pytest.mark.parametrize(
    ("text", "formula", "spelled"),
    [
        ("forgets at 4 k/(1 - beta), to 5 %", r"forgets at $4k/(1-\beta)$, to 5 %", "forgets at 4k/(1-β), to 5 %"),
        (
            "below 1e-13 for |<g, A>|",
            r"below $10^{-13}$ for $\lvert\langle g, A\rangle\rvert$",
            "below 10⁻¹³ for |⟨ g, A⟩|",
        ),
        ("beta, not $\\beta$ or alphabet", "$\\beta$, not $\\beta$ or alphabet", "β, not β or alphabet"),
    ],
)
def test_a_formula_in_plain_letters_is_typeset(text, formula, spelled):
    assert typeset(text) == formula
    assert plain(typeset(text)) == spelled


def texts():
    """All that the page of claims prints of registrations, and of what the references say of claims."""
    for registration in registrations().values():
        for part in registration.parts:
            yield from (part.name, part.estimand)
    for name in figures.names():
        if hasattr(module := figures.load(name), "judge"):
            yield from (verdict.numbers for verdict in module.judge(reference(name)))


def test_no_formula_is_left_in_plain_letters():
    for text in texts():
        left = re.sub(r"\$[^$]+\$", "", typeset(text))
        assert not re.search(r"\b(beta|rho|eta|chi|alpha|sqrt|exp)\b|\^|[a-z]\*[a-z]|\|", left), text
        assert not set(plain(typeset(text))) & set("\\{}$"), text
