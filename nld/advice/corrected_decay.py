"""Weight decay in proportion to the scheduled learning rate, for exactly those weights whose norm the loss ignores."""

import torch

from nld.advice.param_groups import ParamGroups
from nld.advice.scale_classes import Scale
from nld.errors import InvalidInput


class CorrectedDecay:
    """What ``correct_decay`` returns: a handle, and a context manager that lets go at its end."""

    def __init__(self, optimizer: torch.optim.Optimizer, chosen: list[tuple[dict, float]]):
        self._chosen = chosen
        self._asked: list[float] = []  # weight decays between the hooks of a step
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]

    def remove(self) -> None:
        """Let go; the groups keep the weight decay that they were given."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> "CorrectedDecay":
        return self

    def __exit__(self, *_) -> None:
        self.remove()

    def _before_step(self, *_) -> None:
        self._asked = [group["weight_decay"] for group, _ in self._chosen]
        for (group, maximum), decay in zip(self._chosen, self._asked, strict=True):
            group["weight_decay"] = decay * float(group["lr"]) / maximum

    def _after_step(self, *_) -> None:
        for (group, _), decay in zip(self._chosen, self._asked, strict=True):
            group["weight_decay"] = decay


def correct_decay(
    optimizer: torch.optim.Optimizer, groups: ParamGroups, maximum: float | None = None
) -> CorrectedDecay:
    """Decay λ γ/γ_max instead of λ during each step, for the groups whose norms the loss does not see.

    In equilibrium such a block has ‖g‖/‖w‖ = √(2λ/γ) under SGD, so that a schedule γ that falls makes gradients rise;
    with λ γ/γ_max the ratio stays. Other groups keep λ, where decay regularizes the function. Between steps, and in
    ``state_dict``, the groups have the λ that they were given.

    Args:
        optimizer: made of ``groups``, with its scheduler already there if it has one.
        groups: what ``nld.param_groups`` returned.
        maximum: γ_max; None takes the scheduler's, ``max_lr`` or ``initial_lr`` of each group, else the rate of now.

    Raises:
        ValueError: a group of the optimizer mixes weights with and without a scale symmetry, no group has one, or
            γ_max is not positive.

    References: Defazio 2025, AdamC and SGDC (arXiv 2506.02285).
    """
    hidden = {id(p) for name, p in groups.parameters.items() if groups.scale_of(name) in (Scale.OWN, Scale.SHARED)}
    chosen = []
    for number, group in enumerate(optimizer.param_groups):
        inside = [id(p) in hidden for p in group["params"]]
        if any(inside) and not all(inside):
            raise InvalidInput(
                f"expected groups of weights that are alike, got group {number} of {len(inside)} tensors of which only "
                f"{sum(inside)} have a scale symmetry; make the optimizer from nld.param_groups(...)"
            )
        if any(inside):
            top = maximum if maximum is not None else group.get("max_lr", group.get("initial_lr", group["lr"]))
            if not 0 < float(top) < float("inf"):
                raise InvalidInput(f"expected a largest learning rate > 0, got {top!r} of group {number}; pass maximum")
            chosen.append((group, float(top)))
    if not chosen:
        raise InvalidInput("expected an optimizer of weights with a scale symmetry, got none; print(groups) says why")
    return CorrectedDecay(optimizer, chosen)
