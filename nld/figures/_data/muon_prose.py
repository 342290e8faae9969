"""Numbers for the caption, the verdicts and the prose about the figure of Muon's symmetry."""

import xarray as xr

from nld.figures._render.text import number, power_above


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    kept, lost, half = data["twin_kept"], data["twin_lost"].values, data["twin_half"].values
    turned, turning = data["turned"].isel(step=-1), data["turning"].mean("step")
    table, condition = data["products_lost"], data["condition"].values
    ratio = abs(data["stretched_polar"] / data["stretched"]).isel(step=-1)
    left = data["left"]
    return {
        "steps": str(data.sizes["step"]),
        "twins": power_above(kept.sel(twin=["heavy ball", "Muon"]).max()),
        "permuted": power_above(kept.sel(twin="Adam, permuted").max()),
        "adam-apart": f"{lost[-1]:.2f}",
        "adam-apart-largest": f"{lost.max():.2f}",
        "half": power_above(half.max()),
        "kept": power_above(data["turned_kept"].max()),
        "lookahead": power_above(turned.sel(rule="Muon, lookahead")),
        "adam": power_above(turned.sel(rule="Adam")),
        "law": power_above(abs(data["turned"] - data["turned_predicted"]).max()),
        "turning": f"{float(turning.sel(turning_rule='Muon')):.3f}",
        "turning-adam": f"{float(turning.sel(turning_rule='Adam')):.3f}",
        "turning-kept": power_above(data["turning_kept"].max()),
        "stretch-residual": power_above(data["stretch_residual"]),
        "stretched": number(1e3 * data["stretched"][-1], ".1f"),
        "polar-ratio": f"{float(ratio):.2f}",
        "products-kept": power_above(data["products_kept"].max()),
        "adam-products": " and ".join(f"{x:.2f}" for x in table.sel(adapter_rule="Adam").values[1:]),
        "best": f"{float(data['condition_least']):.1f}",
        "conditions": f"{condition[1:].min():.1f} to {condition.max():.0f}",
        "imbalance": f"{float(data['imbalance'].max()):.2f}",
        "named": ", ".join(
            f"{count} {words}"
            for count, words in zip(
                data["named"].values, ("without biases", "with drawn ones", "with trained ones"), strict=True
            )
        ),
        "left": ", ".join(str(x) for x in left.sel(group="all").values),
        "rotations-left": ", ".join(str(x) for x in left.sel(group="rotations").values),
    }
