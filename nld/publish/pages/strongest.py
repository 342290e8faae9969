"""The strongest results in four sentences, each with its numbers, for the first page and the last."""

import numpy as np

from nld import figures
from nld.figures._data import experiment_contrasts as contrasts
from nld.figures._render.text import number, power_above
from nld.inference.verdict import PASSES
from nld.publish.pages.ruling import Myst


def strongest(profile: str) -> Myst:
    """What came out, as a list; what could come out otherwise elsewhere is chosen by the data."""
    sentences = (_closed_form, _exact_law, _benefit, _instrument)
    return Myst("\n".join(f"- {sentence(profile)}" for sentence in sentences))


def _closed_form(profile: str) -> str:
    ratio = figures.load("fig-closures").ratios(figures.show("fig-closures", profile).data)
    low, high = np.sort(ratio.sel(closure="smooth").isel(member=slice(1, None)).values)[[0, -1]]
    size = f"{low:.1f} to {high:.1f} times" + (" too large" if low > 1 else " as large as what is measured")
    return (
        "**The closed form** that the paper draws from continuous time, {eq}`eq-paper-17`, holds where gradients are "
        f"smooth. Where they come from mini-batches and there is momentum, its squared norms are {size}: "
        "{doc}`where-the-closed-form-ends`."
    )


def _exact_law(profile: str) -> str:
    data = figures.show("fig-books", profile).data
    return (
        "**A law of finite steps** takes its place, for steps of any size and any mini-batch. Over every step and the "
        f"{int(data['charges'].sum())} charges of {data.sizes['network']} networks it leaves less than "
        f"{power_above(figures.load('fig-books').worst(data)['float64'])} of their size: {{doc}}`keeping-the-books`."
    )


def _benefit(profile: str) -> str:
    (verdict,) = (
        verdict
        for verdict in figures.load("fig-experiments").judge(figures.show("fig-experiments", profile).data)
        if verdict.claim == "finite-learning-rate"
    )
    (lead,) = (finding for finding in verdict.findings if finding.part.startswith("lead"))
    points = number(lead.effect or 0.0, ".0f")
    rate = contrasts.registered_values("digits")["A"]
    can = "can forgive a learning rate" if lead.outcome == PASSES else "need not forgive a learning rate"
    return (
        f"**The broken symmetry** {can} that is too large. On digits at $\\eta = {rate:g}$ w²/ℓ a network whose norms "
        f"are free leads one whose norms are held by {points} points of accuracy, in the mean over "
        f"{lead.n} seeds: {{doc}}`what-symmetry-breaking-buys`."
    )


def _instrument(profile: str) -> str:
    data = figures.show("fig-decision", profile).data
    (default, chosen), (before, after) = figures.load("fig-decision").decisions(data)
    return (
        "**The law is an instrument.** What does not obey it is a fault of the training loop, and what it measures "
        f"changes decisions: at the monitor's word we raised a weight decay from {default:g} to {chosen:g} 1/w, and "
        f"accuracy went from {100 * before:.1f} to {100 * after:.1f} %: {{doc}}`a-monitor-for-your-network`."
    )
