"""Optimizer groups from the symmetries of the loss, where others choose them by the names of tensors."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

from nld.advice import words
from nld.advice.scale_classes import Part, Scale, classify, is_of_one, is_ray
from nld.errors import InvalidInput, did_you_mean
from nld.finder import Block, Symmetries, find_symmetries
from nld.finder.wrappers import unwrap

VECTORS = "gains and biases"  # the group of vectors without a scale symmetry


class ParamGroups(list[dict[str, Any]]):
    """Parameter groups for any optimizer; each is a dict of ``params`` and of what holds for all of them.

    Keys beside ``params``: ``names`` of the parameters; ``scale``, a ``Scale`` or "gains and biases";
    ``decay_acts_on``: "effective rate" where a scale symmetry hides the norm from the loss, else "function";
    ``weight_decay``, if it was asked for. ``print`` shows a table in words, ``explain`` what is known of one tensor.

    Args:
        symmetries: what the groups were made from; its ``not_analysed`` says what was not followed.
        parameters: every trainable parameter by its name.
        parts: what was found of every part of them.
        aliases: further names of parameters that are used more than once, and the name each is listed under.
    """

    def __init__(
        self,
        groups: Sequence[dict[str, Any]],
        symmetries: Symmetries,
        parameters: dict[str, nn.Parameter],
        parts: Sequence[Part],
        aliases: dict[str, str],
    ):
        super().__init__(groups)
        self.symmetries, self.parameters, self.aliases = symmetries, parameters, aliases
        self.parts = {name: [part for part in parts if part.cell.parameter == name] for name in parameters}

    @property
    def not_analysed(self) -> tuple[str, ...]:
        """Operations that no symmetry is followed through, and candidates that the measurement refused."""
        return self.symmetries.not_analysed

    def scale_of(self, name: str) -> Scale:
        """Whose the size of a tensor is; of a tensor whose parts differ, the one that binds it most.

        Raises:
            ValueError: the model has no trainable parameter of this name.
        """
        return weakest(self._parts(name))

    def explain(self, name: str) -> str:
        """All that is known of one tensor, in sentences.

        Raises:
            ValueError: the model has no trainable parameter of this name.
        """
        blocks = [block for block in self.symmetries if self.aliases.get(name, name) in block.parameters]
        return words.explanation(name, self._parts(name), blocks, self.symmetries)

    def scale_blocks(self, shared: bool = False) -> list[Block]:
        """Scale symmetries of one tensor each, and if ``shared``, also those of several; no entry is in two of them."""
        vectors = {name for name, parts in self.parts.items() if parts[0].cell.is_vector}
        blocks = [block for block in self.symmetries if is_ray(block)]
        blocks.sort(key=lambda block: (not is_of_one(block, vectors), -block.units))
        taken = {name: torch.zeros(p.shape, dtype=torch.bool) for name, p in self.parameters.items()}
        chosen = []
        for block in blocks:
            rows = [member.rows(taken[member.parameter]) for member in block.members]
            if (shared or is_of_one(block, vectors)) and not any(bool(row.any()) for row in rows):
                chosen.append(block)
                for member in block.members:
                    member.write(taken[member.parameter], torch.ones_like(member.rows(taken[member.parameter])))
        return sorted(chosen, key=self.symmetries.index)

    def _parts(self, name: str) -> list[Part]:
        name = self.aliases.get(name, name)
        if name not in self.parts:
            raise InvalidInput(
                f"expected the name of a trainable parameter, got {name!r}{did_you_mean(name, self.parts)}; print the "
                "groups to see all of them"
            )
        return self.parts[name]

    def __str__(self) -> str:
        return words.table(self)


def param_groups(
    model: nn.Module,
    example_inputs: Any,
    loss: Callable[..., torch.Tensor] | None = None,
    *,
    weight_decay: float | None = None,
    symmetries: Symmetries | None = None,
) -> ParamGroups:
    """Groups of a model's trainable parameters by what the symmetries of its loss say of their sizes.

    For a tensor q, and c > 0, the loss L obeys one of

        L(c q, rest) = L(q, rest)                  a scale symmetry of its own
        L(c q, c p, rest) = L(q, p, rest)          one shared with other matrices p (embedding, residual writers)
        L(c q, p/c, rest) = L(q, p, rest)          compensated: another tensor p, such as a gain, undoes it
        none of these                              the loss sees its size

    From this follows how each is to be treated:

    - own: each unit's norm may be held (``nld.hold_norms``); weight decay only sets the effective learning rate
      η/‖q‖², and under a schedule γ a decay λ that is to act alike throughout is λ γ/γ_max (``nld.correct_decay``);
    - shared: the same is true of the joint norm of all that share it, not of each tensor;
    - compensated: the norm is no property of the function, provided that what undoes it stays free to carry it;
    - none: decay and held norms change the function; a learnable gain behind it would make its norm free.

    Args:
        model: untouched; in the mode, train or eval, that it is trained in.
        example_inputs, loss: see ``find_symmetries``.
        weight_decay: written into every group, 0 into that of gains and biases; None leaves it to the optimizer.
        symmetries: what ``find_symmetries`` returned for this model, if it was asked before.

    Returns:
        A list of dicts, empty groups left out, in an order that does not depend on names. Parts of one tensor that
        differ (a fused query-key-value weight) put it where the part belongs that binds it most.

    Warns:
        UserWarning: something was not analysed, so that a symmetry may be missing; the table lists it, too.

    Raises:
        ValueError: as ``find_symmetries``; or weight_decay is negative or not finite.

    References: the finder's symmetries; Defazio 2025 (arXiv 2506.02285) for the corrected decay.
    """
    if weight_decay is not None and not 0 <= weight_decay < float("inf"):
        raise InvalidInput(f"expected weight_decay to be a finite number >= 0 or None, got {weight_decay!r}")
    if symmetries is None:
        symmetries = find_symmetries(model, example_inputs, loss)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    names = {id(p): name for name, p in parameters.items()}
    every = model.named_parameters(remove_duplicate=False)
    aliases = {name: names[id(p)] for name, p in every if id(p) in names and names[id(p)] != name}
    parts = classify(_known(symmetries, parameters), {name: tuple(p.shape) for name, p in parameters.items()})
    if symmetries.not_analysed:
        warnings.warn(
            f"{unwrap(model)[0].__class__.__name__}: not everything was analysed, so that a symmetry may be missing: "
            + "; ".join(symmetries.not_analysed),
            stacklevel=2,
        )
    groups = ParamGroups([], symmetries, parameters, parts, aliases)
    for scale in (*Scale, VECTORS):
        members = [name for name in parameters if _group_of(groups.parts[name]) == scale]
        if members:
            groups.append(_group(str(scale), members, parameters, weight_decay))
    return groups


def weakest(parts: Sequence[Part]) -> Scale:
    """The class that binds a tensor most, among those of its parts."""
    order = list(Scale)
    return max((part.scale for part in parts), key=order.index)


def _group_of(parts: Sequence[Part]) -> str:
    scale = weakest(parts)
    return VECTORS if parts[0].cell.is_vector and scale not in (Scale.OWN, Scale.SHARED) else scale


def _group(scale: str, names: Sequence[str], parameters: dict[str, nn.Parameter], decay: float | None) -> dict:
    hidden = scale in (Scale.OWN, Scale.SHARED)
    group: dict[str, Any] = {
        "params": [parameters[name] for name in names],
        "names": list(names),
        "scale": scale,
        "decay_acts_on": "effective rate" if hidden else "function",
    }
    return group if decay is None else group | {"weight_decay": 0.0 if scale == VECTORS else float(decay)}


def _known(symmetries: Symmetries, parameters: dict[str, nn.Parameter]) -> Symmetries:
    unknown = [name for block in symmetries for name in block.parameters if name not in parameters]
    if unknown:
        raise InvalidInput(
            f"expected symmetries of this model, got some of {unknown[0]!r}, which is no trainable parameter of it; "
            "find them again, or leave symmetries out"
        )
    return symmetries
