"""The claims about the advised learning rate, and what rules on each."""

import xarray as xr

from nld.figures._data.advised_prose import gain, gain_again, numbers, of_scale
from nld.figures._data.advised_runs import EFFECT, SCALES
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-advised-rate", "book/a-monitor-for-your-network", "nld2026companion")
HELPS, SILENCE = "following-the-advice-helps", "silence-of-the-report-costs-little"
CLAIMS = (
    Claim(HELPS, "If the report of a run of 150 steps advises a larger learning rate, following it once lowers the "
          "test loss by 0.1 ℓ or more.", *PLACE),
    Claim(SILENCE, "Followed repeatedly, the report falls silent, and there the same change brings less than 0.1 ℓ.",
          *PLACE),
)  # fmt: skip


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim at each scale, by the numbers that it states."""
    told, ruled = numbers(data), []
    for scale in SCALES:
        names = of_scale(scale)
        ruled += [
            Evidence(f"{HELPS}@{scale}", f"Followed once, the advice lowers the test loss by {told[f'{scale}-gains']} "
                     f"ℓ in the mean over {told['seeds']}.", {name: gain(data, name) - EFFECT for name in names}),
            Evidence(f"{SILENCE}@{scale}", f"{told[f'{scale}-silent']} last reports advise nothing; the first change "
                     f"once more brings {told[f'{scale}-again']} ℓ in the mean.",
                     {f"again, {name}": gain_again(data, name) for name in names},
                     {"silent": bool(data["judged_silent"].sel(setting=names).all())}),
        ]  # fmt: skip
    return ruled
