"""Numbers and sentences for the chapter on auto-tuning and schedules, from the data of fig-schedules."""

import xarray as xr

from nld.figures._data.schedule_runs import CALM, RESTLESS_GRADIENT, differences
from nld.figures._data.schedules_evidence import noise_slopes, share_of_bound, smallest_slope
from nld.figures._render.text import at_most, number, power, power_above


def numbers(data: xr.Dataset) -> dict[str, str]:
    """Numbers for prose about the figure."""
    clean, noisy, found = data["effective_rate"].sel(noise=0), data["effective_rate"].sel(noise=1), differences(data)
    share, spread = share_of_bound(data), noisy.isel(rate=slice(1, 8))
    constant = data["smallest_gradient_bound"].values * data.attrs["tuning_steps"] ** 0.5
    ratio = data["norm"].sel(run="exponential") / data["norm"].sel(run="weight decay") / data["scale"]
    settles, jumps = data["step_difference"].values
    calm, restless = data["restless"].values
    excess = data["schedule"].values[-1] / data["warm_schedule"].values[-1] - 1
    return {
        "tuned-most": f"{float(clean.max()):.2f}",
        "tuned-least": power(clean.min(), 1),
        "identity": power_above(data["identity"].max()),
        "tuned-steps": f"{data.attrs['tuning_steps']}",
        "noisy-limit": power((2 * data.attrs["tuning_steps"]) ** -0.5, 2),
        "form-from": f"{data['rate'].values[data['form_diverged'].values == 1].min():.2g}",
        "noisy-low": power(spread.min(), 2),
        "noisy-high": power(spread.max(), 2),
        "bound-share": power_above(share.max(), 1),
        "constant-low": f"{constant.min():.1f}",
        "constant-high": power(constant.max(), 1),
        "slowest-gradient": f"{float(data['smallest_gradient'].isel(tuning_step=-1, rate=-1).max()):.2g}",
        "slowest-slope": at_most(smallest_slope(data)).replace("-", "−"),
        "noise-slope": number(noise_slopes(data).mean(), ".2f"),
        "alpha": f"{data.attrs['alpha']:.6f}",
        "growth": f"{float(data['schedule'][-1] / data['schedule'][0]):.3g}",
        "exact": power_above(max(found["exponential"], found["empty buffer"])),
        "cosine": power_above(data["cosine"].sel(run=["exponential", "empty buffer"]).max()),
        "naive": f"{found['naive']:.2g}",
        "dropped": f"{found['decay dropped']:.2g}",
        "excess": f"{100 * excess:.1f} %",
        "norm-error": power_above(abs(ratio - 1).max()),
        "settles": power_above(settles),
        "jumps": power(jumps, 1),
        "rate-error": power(data["rate_error"]),
        "rough": power(data["rough_difference"], 1),
        "calm": power_above(calm.max()),
        "restless": " to ".join(dict.fromkeys(f"{end:.2f}" for end in (restless.min(), restless.max()))),
        "starts": f"{data.sizes['judging_seed']}",
        "together": (
            "Normalization alone converges; a quadratic form with decay alone converges; together they do not."
            if calm.max() < CALM and restless.min() > RESTLESS_GRADIENT
            else "At these values normalization and decay do not keep each other from converging."
        ),
    }
