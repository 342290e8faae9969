"""Any optimizer on the product of spheres: norms that the loss does not see are held, everything else is trained."""

from typing import Any

import numpy as np
import torch
import xarray as xr

from nld.advice.param_groups import ParamGroups
from nld.advice.spheres import Sphere, require_positive
from nld.errors import InvalidInput
from nld.monitor.monitor_record import labels


class HeldNorms:
    """What ``hold_norms`` returns: a handle, and a context manager that lets go at its end.

    Its ``state_dict`` is for a training that is resumed; the optimizer's own is as it would be without it.

    Args:
        optimizer: whose step is followed.
        spheres: what is held.
        norms: of each sphere r_n, (steps, units), for a run that repeats another one; None holds them as they are.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, spheres: list[Sphere], norms: list[torch.Tensor] | None):
        self._optimizer, self._spheres, self._norms = optimizer, spheres, norms
        self._radii = [sphere.norms() for sphere in spheres]
        self._deviation = 0.0
        self.step = 0
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    @property
    def radii(self) -> dict[str, torch.Tensor]:
        """The norms that are held: label of the block -> (units,), in w."""
        return {sphere.label: radii.clone() for sphere, radii in zip(self._spheres, self._radii, strict=True)}

    @property
    def deviation(self) -> float:
        """Largest |r - r_n|/r_n so far, of what the steps made of the norms and the norms that were to be repeated."""
        return self._deviation

    def remove(self) -> None:
        """Let go; weights and the optimizer's state stay as they are."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def state_dict(self) -> dict[str, Any]:
        """Radii and the number of the next step."""
        return {"step": self.step, "radii": self.radii}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another training stopped.

        Raises:
            ValueError: the state is that of other blocks.
        """
        if {name: len(r) for name, r in state["radii"].items()} != {name: len(r) for name, r in self.radii.items()}:
            raise InvalidInput(
                f"expected the radii of {', '.join(self.radii)}, got those of {', '.join(state['radii'])}; load the "
                "state of a training of the same model"
            )
        self.step = int(state["step"])
        self._radii = [state["radii"][sphere.label].to(sphere.norms()) for sphere in self._spheres]

    def __enter__(self) -> "HeldNorms":
        return self

    def __exit__(self, *_) -> None:
        self.remove()

    def _before_step(self, _, args: tuple, kwargs: dict) -> None:
        # a closure computes the gradient later, at the weights that it then finds
        there = not (len(args) > 1 or kwargs.get("closure"))
        for number, sphere in enumerate(self._spheres):
            if there:
                sphere.project_gradients()
            if self._norms is not None:
                repeated = self._repeated(self._norms[number])
                norms = sphere.retract(repeated)
                if there:
                    sphere.multiply_gradients(norms / repeated)

    def _after_step(self, *_) -> None:
        self.step += 1
        for number, (sphere, radii) in enumerate(zip(self._spheres, self._radii, strict=True)):
            norms = sphere.retract(radii)
            if self._norms is not None and self.step < len(self._norms[number]):
                expected = self._norms[number][self.step]
                self._deviation = max(self._deviation, float(((norms - expected).abs() / expected).max()))

    def _repeated(self, norms: torch.Tensor) -> torch.Tensor:
        if self.step >= len(norms):
            raise InvalidInput(
                f"expected at most {len(norms)} steps, for which there are norms to repeat, got one more; give a "
                "longer record, or call remove() before"
            )
        return norms[self.step]


def hold_norms(
    optimizer: torch.optim.Optimizer,
    groups: ParamGroups,
    *,
    shared: bool = False,
    norms: xr.Dataset | None = None,
) -> HeldNorms:
    """Hold the norm of every unit that has a scale symmetry of its own, under any optimizer, by its step hooks.

    Before a step the gradient loses its part along q, which only a normalization's epsilon can give it; after it

        q <- r q/|q|,    r the norm of the unit when this was called.

    The loss does not notice: L(c q) = L(q). The learning rate of the optimizer is then an angle, η‖u‖/r a step for an
    update u, and a decoupled weight decay changes this angle only by its share of order η². Weights of other groups
    are not touched. The loop stays as it is.

    With ``norms`` a run repeats another one, in which decay and steps changed the norms r_n: before its step n each
    unit is taken to norm r_n, where its gradient is the held one's times r/r_n, and back to r after it,

        q = r_n v,  g = ĝ(v)/r_n,   step of the optimizer,   v <- q/|q|.

    The directions v_n are then those of the other run, exactly, for every rule and per unit. (An adaptive rule on the
    held gradients, with the rates alone rescaled, would only come near it: it remembers their sizes.) For heavy ball,
    in the variables of the sphere and with P = r_{n-1} π, this is

        P <- β (r_n/r_{n-1}) P + ĝ(v) + k r_n² v,    v <- (v - (η/r_n²) P)/|v - (η/r_n²) P| .

    Norms from a forecast instead of a record make a schedule that is known beforehand.

    Args:
        optimizer: made of ``groups``, or of some of their parameters: a model trained by several optimizers holds
            each one's. Give it weight decay where it is to have one.
        groups: what ``nld.param_groups`` returned; what it does not say is of its own is not held.
        shared: also hold the joint norm of tensors that share a scale symmetry.
        norms: a record of ``nld.Monitor`` with every step and all units, or a forecast; its ``squared_norm`` at step n
            is |q_n|², for the n-th step from now on.

    Returns:
        A handle: ``remove()`` or the end of ``with`` lets go; ``radii``, ``deviation`` from the norms to be repeated,
        ``state_dict()`` for a training that is resumed.

    Raises:
        ValueError: nothing can be held, the optimizer has only some of the tensors that one symmetry moves, a unit is
            zero, or the norms are not those of these blocks. At a step: there are no more norms to repeat.

    References: Hyperball optimizers (arXiv 2606.16899; read in abstract only) hold all matrices; here the symmetry
    chooses. The repetition is ours.
    """
    if not isinstance(groups, ParamGroups):
        raise InvalidInput(f"expected what nld.param_groups returns, got a {type(groups).__name__}; call that first")
    trained = {id(p) for group in optimizer.param_groups for p in group["params"]}
    names = dict(zip(map(id, groups.symmetries), labels(groups.symmetries), strict=True))
    spheres = []
    for block in groups.scale_blocks(shared):
        missing = [name for name in block.parameters if id(groups.parameters[name]) not in trained]
        if len(missing) == len(block.parameters):
            continue
        if missing:
            raise InvalidInput(
                f"expected all tensors of {block.name} in one optimizer, got it without {', '.join(missing)}; their "
                "joint norm is held"
            )
        own = {name: groups.parameters[name] for name in block.parameters}
        spheres.append(Sphere(names[id(block)], block, own))
    if not spheres:
        raise InvalidInput(
            "expected an optimizer of parameters with a scale symmetry of their own, got none; print(groups) says what "
            "each tensor has, and shared=True also holds joint norms"
        )
    for sphere in spheres:
        require_positive(sphere)
    return HeldNorms(optimizer, spheres, None if norms is None else [_norms(norms, sphere) for sphere in spheres])


def _norms(record: xr.Dataset, sphere: Sphere) -> torch.Tensor:
    """r_n of a sphere's units, (steps, units)."""
    if "squared_norm" not in record or sphere.label not in record.block:
        there = ", ".join(map(str, record.block.values)) if "block" in record.coords else "no blocks"
        raise InvalidInput(f"expected squared norms of {sphere.label!r}, got {there}; record or forecast that block")
    if (np.diff(record.step.values) != 1).any():
        raise InvalidInput("expected the norms of every step, got a record with gaps; monitor with every=1")
    values = record.squared_norm.sel(block=sphere.label).transpose("step", "unit").values[:, : sphere.block.units]
    if values.shape[1] < sphere.block.units or not np.isfinite(values).all() or not (values > 0).all():
        raise InvalidInput(
            f"expected positive norms of all {sphere.block.units} units of {sphere.label}, got {values.shape[1]} with "
            f"{int((~(values > 0)).sum())} that are none; monitor with units='all'"
        )
    return torch.from_numpy(np.sqrt(values.astype(float))).to(sphere.norms())
