"""The claims about symmetries of data, outputs and physics, what rules on each, and numbers for caption and prose."""

import numpy as np
import xarray as xr

from nld.figures._render.text import at_most, power_above
from nld.inference import Evidence
from nld.paper import Claim

PLACE = ((), "fig-two-meanings", "book/two-meanings")
CLAIMS = (
    Claim("moved-data-move-training", "Ours, with their embedding: moving all events in time rotates the whole run of "
          "training under gradient descent and heavy ball, and not under Adam.", *PLACE, "gao2023noether"),
    Claim("lags-are-found", "An embedding in which time translations are rotations finds the lag of related events "
          "and tells them from unrelated ones.", *PLACE, "gao2023noether"),
    Claim("orbit-error-is-a-ratio", "Kernel regression on two orbits of a cyclic group errs at a point that was left "
          "out by the inverse eigenvalue of the labels over the mean inverse one.", *PLACE, "perin2024ability"),
    Claim("constant-inputs-are-a-rate", "Ours, on their expansion of inputs: $K$ constant inputs $c$ are one bias "
          "whose rate is multiplied by $1 + Kc^2$ under gradient descent and by $1 + K|c|$ under Adam.",
          *PLACE, "zhang2024symmetry"),
    Claim("fine-tuning-keeps-the-cue", "A network that is fine-tuned on images without the cue that it learned stays "
          "connected to its start by a line of low loss, and goes on to follow the cue.", *PLACE,
          "lubana2023mechanistic"),
    Claim("equivariant-maps-keep-symmetries", "The output of an equivariant map has all symmetries of its input; a map "
          "that picks a representative breaks them and is equivariant up to them.", *PLACE, "kaba2023symmetry"),
    Claim("slow-driving-keeps-entropy", "Driven slowly, a system with friction makes entropy in proportion to the "
          "speed, so that in the limit it is conserved.", *PLACE, "beyen2024noether"),
)  # fmt: skip


def entropy_orders(data: xr.Dataset) -> np.ndarray:
    """Slopes of log |entropy| over log speed between neighbouring speeds, the fastest first."""
    return np.diff(np.log(np.abs(data["entropy"].values))) / np.diff(np.log(data["speed"].values))


def slow(data: xr.Dataset) -> np.ndarray:
    """Of these slopes, those between speeds of at most 0.03."""
    return entropy_orders(data)[data["speed"].values[:-1] <= 0.03]


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    error, accuracy = data["path_error"].max("step"), data["accuracy"]
    near = data["lag_distance"].values
    means = accuracy.mean("judging_seed")
    smallest, largest = (float(x) for x in (data["left_out"].min(), data["left_out"].max()))
    barrier, last = data["barrier"], data["left_out"].isel(points=-1)
    expanded, _, plain = data["bias"].values[:, -1]
    return {
        "carried": power_above(error[:2].max()),
        "adam": f"{100 * float(data['path_error'].sel(rule='Adam')[-1]):.0f}",
        "lags": f"{int(data['lags_found'])}",
        "near": f"{near[0]:.2f}",
        "far": f"{near[1]:.2f}",
        "gap": power_above(data["left_out_gap"].max()),
        "errors": f"{largest:.2f} to {smallest:.3f}",
        "last-errors": " to ".join(f"{float(x):.2f}" for x in (last.min(), last.max())),
        "first-errors": f"{float(data['left_out'].isel(points=0).min()):.2f}",
        "constants": power_above(data["constant_gap"].max()),
        "constant-charge": power_above(data["constant_charge"][0]),
        "constant-adam": f"{float(data['constant_charge'][1]):.1g}",
        "bias-ratio": f"{expanded / plain:.0f}",
        "tuned-random": f"{float(means.sel(cue_network='tuned', cue='random')):.2f}",
        "tuned-none": f"{float(means.sel(cue_network='tuned', cue='none')):.2f}",
        "cued-none": f"{float(means.sel(cue_network='cued', cue='none')):.2f}",
        "plain-random": f"{float(means.sel(cue_network='plain', cue='random')):.2f}",
        "barrier": at_most(barrier.sel(barrier_to="tuned").max()),
        "plain-barrier": " to ".join(f"{float(x):.1f}" for x in (barrier[1].min(), barrier[1].max())),
        "seeds": str(data.sizes["judging_seed"]),
        "fails": ", ".join(
            str(int(x)) for x in data["symmetries"].values[data["respected"].sel(map="by position").values < 12]
        ),
        "vacuous": " and ".join(
            str(int(x)) for x in data["symmetries"].values[data["respected"].sel(map="by position").values == 12]
        ),
        "coloured": ", ".join(f"{float(x):.3f}" for x in data["one_coloured"]),
        "slopes": ", ".join(f"{x:.3f}" for x in slow(data)),
        "entropies": " to ".join(f"{float(x):.2g}" for x in (data["entropy"][0], data["entropy"][-1])),
        "energy": power_above(data["energy_error"].max()),
    }


def evidence(data: xr.Dataset) -> list[Evidence]:
    """Each claim by the numbers that it states."""
    told, error, accuracy = numbers(data), data["path_error"].max("step"), data["accuracy"]
    respected, spread = data["respected"], data["output_spread"]
    tuned, plain, cued = (accuracy.sel(cue_network=name) for name in ("tuned", "plain", "cued"))
    gap, charge = data["constant_gap"].values, data["constant_charge"].values
    near, orders, entropy = data["lag_distance"].values, slow(data), data["entropy"].values
    return [
        Evidence("moved-data-move-training",
                 f"Gradient descent and heavy ball: {told['carried']} of the distance trained; Adam {told['adam']} %.",
                 checks={"isometric rules": bool((error[:2] < 1e-11).all()), "Adam": bool(error[2] > 1e-2)}),
        Evidence("lags-are-found",
                 f"{told['lags']} of 20 lags; distances up to {told['near']}, of unrelated ones from {told['far']}.",
                 checks={"lags": bool(data["lags_found"] >= 19), "told apart": bool(near[1] - near[0] > 0.5)}),
        Evidence("orbit-error-is-a-ratio", f"Errors of {told['errors']}, each within {told['gap']} of the ratio.",
                 checks={"errors": bool((data["left_out_gap"] < 1e-8).all())}),
        Evidence("constant-inputs-are-a-rate", f"Within {told['constants']} w, by either rule.",
                 checks={"gradient descent": bool(gap[0] < 1e-12), "Adam": bool(gap[1] < 1e-12),
                         "charges": bool(charge[0] < 1e-12)}),
        Evidence("fine-tuning-keeps-the-cue",
                 f"With a random cue {told['tuned-random']} right after fine-tuning, {told['plain-random']} where no "
                 f"cue was ever seen; barrier at most {told['barrier']} ℓ.",
                 samples={"cue": (plain - tuned).sel(cue="random").values,
                          "learned": (tuned - cued).sel(cue="none").values},
                 checks={"connected": bool((data["barrier"].sel(barrier_to="tuned") < 0.02).all())}),
        Evidence("equivariant-maps-keep-symmetries",
                 f"Edges of one colour, equivariant, by position, by representative: {told['coloured']}. By position "
                 f"fails for inputs with {told['fails']} symmetries.",
                 checks={"kept": bool(spread.sel(map="equivariant") < 1e-12)
                         and bool(data["one_coloured"].sel(map="equivariant") >= 0.5),
                         "broken": bool(data["one_coloured"].sel(map="by representative") < 0.01),
                         "up to symmetries": bool((respected.sel(map="by representative") == 12).all()),
                         "test can fail": bool((respected.sel(map="by position") < 12).any())}),
        Evidence("slow-driving-keeps-entropy", f"Orders {told['slopes']} at speeds of at most 0.03.",
                 checks={"order": bool((np.abs(orders - 1) < 0.05).all()), "gain": bool((entropy > 0).all()),
                         "energy": bool((data["energy_error"] < 1e-8).all())}),
    ]  # fmt: skip
