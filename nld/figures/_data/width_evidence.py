"""The claims about one schedule for all widths, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.width_contrasts import contrasts, orders
from nld.figures._data.width_prose import numbers
from nld.inference import Evidence
from nld.paper import Claim

PLACE = (), "fig-widths", "book/one-schedule-for-all-widths"
CLAIMS = (
    Claim("decay-on-a-sphere-is-second-order", "On a sphere of fixed norm weight decay changes a step's direction at "
          "second order in the learning rate only.", *PLACE, "ren2026rethinking"),
    Claim("independent-decay-keeps-relative-updates", "With learning rates that fall as one over the width, "
          "independent weight decay keeps relative updates the same at every width, and coupled decay does not.",
          *PLACE, "kosson2025weight"),
    Claim("independent-decay-transfers-the-rate", "Independent weight decay transfers the best learning rate over "
          "widths better than coupled decay.", *PLACE, "kosson2025weight"),
    Claim("held-norms-transfer-the-rate", "Held norms of weights and updates transfer the best learning rate over "
          "widths better than decoupled weight decay.", *PLACE, "wen2026fantastic"),
    Claim("alignment-holds-briefly", "That wider matrices move their outputs by more than their relative update is "
          "true only briefly at the start.", *PLACE, "kosson2025weight"),
    Claim("a-multiplier-carries-the-size", "With a learnable multiplier a matrix stays at the norm where noise and "
          "decay balance, and the multiplier learns the size.", *PLACE, "velikanov2026learnable"),
)  # fmt: skip


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told, samples = numbers(data), contrasts(data)
    return [
        Evidence("decay-on-a-sphere-is-second-order",
                 f"Powers of {told['orders']}; with the larger rate directions are {told['sphere-same']} apart.",
                 checks={"order": bool((np.abs(orders(data) - 2) < 0.05).all()),
                         "larger rate": bool((data["sphere_same"] < 1e-12).all())}),
        Evidence("independent-decay-keeps-relative-updates",
                 f"Angle per step goes as the width to the power {told['power-independent']} with independent and "
                 f"{told['power-coupled']} with coupled decay.",
                 {"independent": samples["independent"], "coupled": samples["coupled"]}),
        Evidence("independent-decay-transfers-the-rate",
                 f"Per doubling of the width the best rate moves by {told['moves-coupled']} octaves with coupled and "
                 f"{told['moves-independent']} with independent decay.",
                 {"best rate": samples["rate, independent"]}),
        Evidence("held-norms-transfer-the-rate",
                 f"Per doubling of the width the best rate moves by {told['moves-coupled']} octaves with coupled decay "
                 f"and {told['moves-held']} with held norms.",
                 {"best rate": samples["rate, held"]}),
        Evidence("alignment-holds-briefly",
                 f"Alignment at widths 32 to 128: {told['alignment-early']} in the first steps, "
                 f"{told['alignment-late']} at the end.",
                 {"alignment": samples["alignment"]}),
        Evidence("a-multiplier-carries-the-size",
                 f"For sizes of 1/4 to 4 the norm is {told['norms-with']} w with a multiplier and "
                 f"{told['norms-without']} w without.",
                 {"with": samples["with"], "without": samples["without"]}),
    ]  # fmt: skip
