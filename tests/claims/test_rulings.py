"""At which scales a claim is ruled on, and where it is not yet tested."""

import pytest

from nld import paper
from nld.claims import rulings
from nld.claims.rulings import Ruling
from nld.errors import InvalidInput
from nld.inference.registration import Part, Registration
from nld.inference.verdict import REPRODUCED, UNTESTED, Verdict

CLAIM = paper.CLAIMS[0]


def registered(scale: str, source: str) -> Registration:
    part = Part(name="it holds", estimand="a difference of rounding")
    return Registration(
        claim=CLAIM.name, type="deterministic", scale=scale, source_scale=source, family="a family", date="2026-01-01",
        explored=False, parts=(part,),
    )  # fmt: skip


def ruled(registration: Registration) -> Ruling:
    verdict = Verdict(CLAIM.name, REPRODUCED, "It holds.", scale=registration.scale)
    return Ruling(CLAIM, verdict, registration, "fig-1", "quick", registration.scale)


# Scales of the rulings, in the order in which figures give them; the source's scale; scales at which it is untested.
CASES = [
    ((), "toy", ("toy",)),
    (("toy",), "toy", ()),
    (("digits",), "paper", ("paper",)),
    (("photographs", "digits"), "paper", ("paper",)),
    (("paper", "digits"), "paper", ()),
    (("language",), "photographs", ()),  # larger than the source's
]


@pytest.mark.parametrize("several", [False, True], ids=["registered once", "registered at several scales alone"])
@pytest.mark.parametrize(("scales", "source", "untested"), CASES, ids=str)
def test_a_claim_is_untested_at_its_source_s_scale_where_no_ruling_is_as_large(
    scales, source, untested, several, monkeypatch
):
    by_scale = {f"{CLAIM.name}@{scale}": registered(scale, source) for scale in scales}
    once = {CLAIM.name: registered(scales[0] if scales else source, source)}
    monkeypatch.setattr(rulings, "registrations", lambda: by_scale if several and scales else once)
    found = rulings._with_untested(CLAIM, [ruled(registered(scale, source)) for scale in scales], "quick")
    order = [scale for scale in ("toy", "digits", "photographs", "language", "paper") if scale in (*scales, *untested)]
    assert [ruling.scale for ruling in found] == order
    assert [ruling.scale for ruling in found if ruling.verdict.label == UNTESTED] == list(untested)
    for ruling in found:
        assert ruling.verdict.scale == ruling.scale
        assert ruling.registration.source_scale == source
        assert (ruling.figure == "") == (ruling.scale in untested)


def test_a_claim_that_nobody_registered_is_an_error(monkeypatch):
    monkeypatch.setattr(rulings, "registrations", dict)
    with pytest.raises(InvalidInput, match=f"registration of {CLAIM.name}"):
        rulings._with_untested(CLAIM, [], "quick")
