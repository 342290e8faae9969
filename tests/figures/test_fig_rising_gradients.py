"""The judges of the claims about gradients that rise, part by part, and the words that depend on the data."""

import numpy as np
import pytest
import xarray as xr

from nld.figures import fig_rising_gradients
from nld.figures._data import rising_evidence as claims
from nld.figures._data.rising_prose import rise, rise_by_norm, sentences, shrinking_law
from nld.figures._data.rising_runs import CORRECTED, DIGITS, LANGUAGE, PARTS, SCHEDULES, WINDOWS
from nld.inference.verdict import CORRECTED as WITH_A_CORRECTION
from nld.inference.verdict import REFUTED, REPRODUCED, UNDECIDED
from tests.figures.judged import labels, outcomes, row

SEEDS = 12
RISES = {"nothing": 0.5, "scale-symmetric": 0.0, "others": 0.5, "all": 0.0}
SETTING = {"language": LANGUAGE, "digits": DIGITS}


def logs(mean: float, place: int) -> np.ndarray:
    return row(mean, 0.004 + 0.001 * place, SEEDS)


def made(network="", gain=0.02, ratio=0.0, shrunk=0.0, forecast=0.0, cosine=0.0, **rises):
    """Judging seeds of which all claims hold, but for what is said of one network.

    Args:
        network: of which the rest is said; both if empty.
        gain: of the correction, in ℓ.
        ratio: log of gradient over weight, over that of equilibrium.
        shrunk, forecast, cosine: log of the weights' factor over the closed form, and of the forecasts of the rise
            over the measured ones, under both schedules.
        rises: log of the gradient's factor, by what is corrected ("scale" for scale-symmetric).
    """
    variables = {}
    for each, parts in PARTS.items():
        said = network in ("", each)
        wanted = RISES | ({name.replace("scale", "scale-symmetric"): x for name, x in rises.items()} if said else {})
        gradient = np.ones((SEEDS, len(SCHEDULES), len(CORRECTED), len(parts), WINDOWS))
        weight = np.ones_like(gradient)
        for place, name in enumerate(CORRECTED):
            gradient[:, :, place, :, -1] = np.exp(logs(wanted[name], place))[:, None, None]
        weight[:, :, 0, :, -1] = np.exp(logs(shrinking_law(SETTING[each]) + shrunk * said, 5))[:, None, None]
        ahead = [np.exp(logs(wanted["nothing"] + off * said, 6)) for off in (forecast, cosine)]
        dims = ("judging_seed", "schedule", "corrected", f"{each}_part", "window")
        variables |= {
            f"{each}_gradient": (dims, gradient),
            f"{each}_weight": (dims, weight),
            f"{each}_forecast": (("judging_seed", "schedule"), np.stack(ahead, 1)),
            f"{each}_part": list(parts),
        }
    loss = np.stack([2.0 - logs(x, 7) for x in (0.0, gain, 0.01, 0.03)], 1)
    plain = np.ones((SEEDS, len(PARTS["digits"]), WINDOWS))
    off = np.sqrt(2 * DIGITS.decay * (1 - DIGITS.momentum) / DIGITS.rate) * np.exp(logs(ratio, 8))
    dims = ("judging_seed", "digits_part", "window")
    variables |= {
        "language_loss": (("judging_seed", "schedule", "corrected"), np.stack([loss, loss], 1)),
        "plain_gradient": (dims, plain * off[:, None, None]),
        "plain_weight": (dims, plain),
        "learned_gradient": (dims, plain),
        "learned_weight": (dims, plain),
    }
    coordinates = {"judging_seed": range(SEEDS), "schedule": list(SCHEDULES), "corrected": list(CORRECTED)}
    return xr.Dataset(variables, coordinates)


def test_fig_rising_gradients_reproduces_all_where_all_holds():
    assert set(labels(fig_rising_gradients, made()).values()) == {REPRODUCED}


TURNS = [
    (claims.RISE, "rises", {"nothing": 0.0, "scale": -0.3}),
    (claims.RISE, "decay does it", {"scale": 0.5}),
    (claims.BEFOREHAND, "forecast", {"forecast": 0.25}),
    (claims.BEFOREHAND, "forecast", {"forecast": -0.25}),
    (claims.BEFOREHAND, "norms", {"shrunk": 0.2}),
    (claims.ENDS, "ends", {"nothing": 0.7, "scale": 0.25}),
    (claims.ENDS, "more than half", {"nothing": 0.08, "scale": 0.06}),
    (claims.ONLY, "others do not", {"others": 0.3}),
    (claims.ONLY, "all do as well", {"all": 0.3}),
]


@pytest.mark.parametrize("network", ["language", "digits"])
@pytest.mark.parametrize(("claim", "part", "said"), TURNS)
def test_fig_rising_gradients_each_part_turns_in_its_network_alone(network, claim, part, said):
    holds, fails = fig_rising_gradients.judge(made()), fig_rising_gradients.judge(made(network, **said))
    changed = {
        (before.claim, before.scale, old.part)
        for before, after in zip(holds, fails, strict=True)
        for old, new in zip(before.findings, after.findings, strict=True)
        if old.outcome != new.outcome and before.claim == claim
    }
    assert changed == {(claim, network, part)}


def test_fig_rising_gradients_judges_the_ratio_and_the_loss_by_themselves():
    assert labels(fig_rising_gradients, made(ratio=0.1))[claims.RATIO] != REPRODUCED
    assert labels(fig_rising_gradients, made(gain=-0.02))[claims.LOSS] == REFUTED
    few = made(gain=0.02).isel(judging_seed=slice(2))
    assert labels(fig_rising_gradients, few)[claims.LOSS] == UNDECIDED


def test_fig_rising_gradients_a_rise_that_is_more_than_halved_is_a_correction():
    found = [v for v in fig_rising_gradients.judge(made(nothing=0.7, scale=0.25)) if v.claim == claims.ENDS]
    assert [verdict.label for verdict in found] == [WITH_A_CORRECTION] * 2
    assert outcomes(fig_rising_gradients, made(), claims.RATIO) == {"ratio": "passes"}


def test_fig_rising_gradients_splits_a_rise_into_norms_and_the_rest():
    data = made(nothing=0.5)
    for network, setting in SETTING.items():
        by_norm = rise_by_norm(data, network, "nothing")
        assert by_norm.mean() == pytest.approx(-shrinking_law(setting), rel=1e-6)
        assert rise(data, network, "nothing").mean() == pytest.approx(0.5, rel=1e-6)
        assert rise_by_norm(data, network, "all") == pytest.approx(0)


@pytest.mark.parametrize(
    ("name", "said", "expected", "otherwise"),
    [
        ("rest", {"nothing": 0.9}, "rises in both networks", "falls"),
        ("rest", {"nothing": 0.1}, "falls in both networks", "rises"),
        ("forecast", {"forecast": 0.2}, "too high in both networks", "low"),
        ("forecast", {"forecast": -0.2, "network": "language"}, "too low in the language model and right to 5 % in the",
         "high"),
        ("remedy", {"scale": 0.2}, "still rises in both networks", "falls"),
        ("remedy", {"scale": -0.2, "network": "digits"}, "stays in the language model and even falls in the digits",
         "still"),
        ("controls", {}, "So it is these blocks", "do not account"),
        ("controls", {"others": 0.1}, "do not account", "So it is"),
        ("losses", {"gain": 0.03}, "it lowers the loss.", "cannot tell"),
        ("losses", {"gain": -0.03}, "it raises the loss.", "cannot tell"),
        ("losses", {"gain": 0.0}, "these seeds cannot tell.", "lowers"),
        ("cosine", {"cosine": -0.4}, "is what fails there", "as good"),
        ("cosine", {"cosine": 0.0}, "as good as", "fails"),
    ],
)  # fmt: skip
def test_fig_rising_gradients_words_follow_the_data(name, said, expected, otherwise):
    text = sentences(made(**said))[name]
    assert expected in text
    assert otherwise not in text
