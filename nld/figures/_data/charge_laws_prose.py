"""Numbers for the chapter, the caption and the verdicts of fig-neural-mechanics."""

import xarray as xr

from nld.figures._render.text import power, power_above


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for the caption and for prose about the figure."""
    worst = data["largest_error"]
    plain, heavy, last = worst.isel(column=slice(0, 3)), worst.isel(column=slice(3, 5)), data.isel(column=-1)
    norm = last["charge"].sel(kind="scale")
    better = heavy.sel(law="integral") / heavy.sel(law="started")
    squares = better.sel(kind=["scale", "rescale"])
    started = heavy.sel(law="started")
    percent = 100 * worst.sel(law="gradient flow", kind="scale")
    return {
        "exact": power_above(worst.sel(law="exact").max(), 1),
        "integral-plain": power_above(plain.sel(law="integral").max(), 1),
        "integral-no-decay": power(worst.isel(column=0).sel(law="integral").max()),
        "integral-short": power_above(heavy.isel(column=0).sel(law="integral").max(), 1),
        "integral-long": power_above(heavy.isel(column=1).sel(law="integral").max(), 1),
        "started": power_above(started.max(), 1),
        "flow-sums": power_above(plain.sel(law="gradient flow", kind="translation").max()),
        "flow-sums-heavy": f"{100 * float(heavy.sel(law='gradient flow', kind='translation').max()):.2g} %",
        "better-sums": " and ".join(f"{float(x):.0f}" for x in better.sel(kind="translation")),
        "better-squares": f"{float(squares.min()):.1f} to {float(squares.max()):.1f}",
        "flow-scale": f"{float(percent.min()):.0f} to {float(percent.max()):.0f} %",
        "translation-kept": power(worst.isel(column=0).sel(law="gradient flow", kind="translation")),
        "crossings": f"{int(last['crossings'])}",
        "critical-short": f"{float(data['critical_weight_decay'].isel(column=3).sel(kind='translation')):.2g}",
        "critical-long": power(last["critical_weight_decay"].sel(kind="translation"), 1),
        "times-critical": f"{float(last['weight_decay'] / last['critical_weight_decay'].sel(kind='translation')):.2g}",
        "gradient-constraint": power_above(data["gradient_constraint"].max()),
        "hessian-constraint": power_above(data["hessian_constraint"].max()),
        "tallest": f"{float(norm.max() / norm.isel(time=0).max()):.0f}",
    }
