"""The claims about rich and lazy learning, and what rules on each."""

import numpy as np
import xarray as xr

from nld.figures._data.rich_prose import numbers
from nld.inference import Evidence
from nld.paper import Claim

PLACE, KUNIN = ((), "fig-rich-lazy", "book/get-rich-quick"), "kunin2024rich"
CLAIMS = (
    Claim("one-neuron-in-closed-form", "Gradient flow of a linear neuron keeps its imbalance $a^2-|w|^2$, and on "
          "whitened inputs its weights follow a closed form.", *PLACE, KUNIN),
    Claim("imbalance-chooses-the-interpolator", "Among all linear functions that fit the data, a neuron finds that of "
          "least potential, and the imbalance chooses the potential.", *PLACE, KUNIN),
    Claim("richness-needs-its-time", "A balanced linear neuron is rich at once, one with large output weights lazy for "
          "good, and one with large input weights lazy first and rich later.", *PLACE, KUNIN),
    Claim("layer-rates-choose-the-charge", "Learning rates of layers change which imbalance is conserved, to that of "
          r"their metric, $\eta_w a^2-\eta_a|w|^2$.", *PLACE, KUNIN),
    Claim("large-output-weights-learn-rich-and-fast", "In two-layer ReLU networks of small scale a start with large "
          "output weights turns the kernel most and generalizes fastest.", *PLACE, KUNIN),
    Claim("without-relu-the-order-turns", "In two-layer linear networks a start with large output weights is the "
          "laziest.", *PLACE, KUNIN),
)  # fmt: skip


def contrasts(data: xr.Dataset) -> dict[str, np.ndarray]:
    """Per judging seed, in decades: how much richer and faster large output weights are, and the linear order."""
    distance, loss = data["judged_kernel_distance"], data["judged_test_loss"]

    def steps(table: xr.DataArray, lesson: str) -> np.ndarray:
        """Logarithms of the value at -1 over that at 0, and at 0 over that at 1, shape (seeds, 2)."""
        return -np.diff(np.log10(table.sel(lesson=lesson).values), axis=1)

    return {
        "rich": -steps(distance, "ReLU").sum(1) - np.log10(1.5),
        "fast": steps(loss, "ReLU").min(1),
        "linear": steps(distance, "linear").min(1),
    }


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told, samples = numbers(data), contrasts(data)
    early, late = data["start_distance"].values
    at = {float(delta): i for i, delta in enumerate(data["delta"].values)}
    balanced = at[0.0]
    return [
        Evidence("one-neuron-in-closed-form",
                 f"The imbalance drifts by {told['flow-drift']} w² at most; weights are within {told['flow-gap']} of "
                 "the closed form.",
                 checks={"charge": bool(data["flow_drift"] < 1e-9),
                         "path": bool((data["flow_gap"] < 1e-8) & (data["alignment_gap"] < 1e-8))}),
        Evidence("imbalance-chooses-the-interpolator",
                 f"The least potential to {told['optimality']}; one sample within {told['interpolator-gap']} w².",
                 checks={"least potential": bool((data["optimality"] < 1e-8).all()),
                         "one sample": bool(data["interpolator_gap"] < 1e-8)}),
        Evidence("richness-needs-its-time",
                 f"Kernel distance from imbalances of −4, 0 and 4 w²: {told['early']} at T = 5, {told['late']} at "
                 "T = 20 w²/ℓ.",
                 checks={"early": bool(early[at[-4.0]] < early[balanced]),
                         "late": bool((np.diff(late) < 0).all()),
                         "balanced is done": bool(abs(early[balanced] / late[balanced] - 1) < 0.01)}),
        Evidence("layer-rates-choose-the-charge",
                 f"Steps leave {told['grid-residual']} w² of the law; two rates and a rescaled start differ by "
                 f"{told['twin-gap']} w²; the imbalance of equal rates moves by {told['plain-drift']} w².",
                 checks={"law": bool(data["grid_residual"] < 1e-12), "same function": bool(data["twin_gap"] < 1e-12),
                         "same student": bool(data["student_twin_gap"] < 1e-6),
                         "plain charge lost": bool(data["plain_drift"] > 0.1)}),
        Evidence("large-output-weights-learn-rich-and-fast",
                 f"From −1 to 1 w² the mean kernel distance goes from {told['relu-distance-low']} to "
                 f"{told['relu-distance-high']}, the mean test loss from {told['relu-loss-low']} to "
                 f"{told['relu-loss-high']} ℓ, at T = {told['judged-time']} w²/ℓ.",
                 {"rich": samples["rich"], "fast": samples["fast"]}),
        Evidence("without-relu-the-order-turns",
                 f"Mean kernel distance from −1, 0 and 1 w²: {told['linear-distances']}, at T = {told['judged-time']} "
                 "w²/ℓ.",
                 {"kernel": samples["linear"]}),
    ]  # fmt: skip
