"""Sentences of the chapter on Adam and normalization that compare, each chosen by the data of fig-meta-adaptive."""

import numpy as np
import xarray as xr

from nld.figures._data.adam_stages import best


def sentences(data: xr.Dataset) -> dict[str, str]:
    """Sentences that compare norms and optimizers, chosen by the data."""
    norm, law = data["norm"], data["norm_predicted"].sel(closure="charge")
    always, end = norm / law, norm.isel(norm_step=-1)
    quotient = end.isel(norm_momentum=1) / end.isel(norm_momentum=0)
    ends = f"{float(quotient.min()):.2f} to {float(quotient.max()):.2f}"
    alike = float(abs(np.log(quotient)).max()) < np.log(1.5)
    loss = data["method_loss"].median("member")
    ahead = int((loss[1] < loss[0]).sum())
    _, *twice, normalized = best(data).values()
    return {
        "with-charge-always": f"{float(always.min()):.2f} to {float(always.max()):.2f}",
        "coincide": (
            f"That the measured curves with and without momentum nearly coincide is worth a second look: they end at "
            f"quotients of {ends}."
            if alike
            else f"The measured curves with and without momentum end at quotients of {ends}, where white gradients "
            "would make them one."
        ),
        "either-way": (
            "A comparison at one learning rate can therefore come out either way."
            if 0 < ahead < data.sizes["rate"]
            else "Here the comparison comes out one way at every rate."
        ),
        "worth-having": (
            "But it is not what makes a normalization layer worth having on this task: the best of 2-Adam, at "
            f"{min(twice):.3f} ℓ, stays above Adam with normalization, at {normalized:.3f} ℓ."
            if min(twice) > normalized
            else f"On this task 2-Adam, at {min(twice):.3f} ℓ, needs no normalization, with which Adam ends at "
            f"{normalized:.3f} ℓ."
        ),
    }
