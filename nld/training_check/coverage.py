"""Whether every parameter is trained, by one optimizer, in the mode that training needs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import nn

from nld.finder.wrappers import unwrap
from nld.training_check.findings import Finding


def of_optimizers(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[Finding]:
    """Parameters in no optimizer or in several, and tensors in one that are not the model's."""
    named = dict(unwrap(model)[0].named_parameters())
    holders = Counter(id(p) for o in optimizers for group in o.param_groups for p in group["params"])
    missing = tuple(name for name, p in named.items() if p.requires_grad and id(p) not in holders)
    if missing:
        text = "parameters that want a gradient are in no optimizer; give them to one, or set requires_grad=False"
        yield Finding("left-out", text, missing)
    twice = tuple(name for name, p in named.items() if holders[id(p)] > 1)
    if twice:
        text = "parameters are moved by more than one optimizer; give each to one of them"
        yield Finding("two-optimizers", text, twice)
    strangers = len(holders.keys() - {id(p) for p in named.values()})
    if strangers:
        text = f"{strangers} tensors of the optimizers are not parameters of the model; make the optimizer after the "
        yield Finding("not-the-models", text + "model was copied, moved or given new weights")


def of_steps(optimizers: Sequence[torch.optim.Optimizer], counts: Sequence[int]) -> Iterator[Finding]:
    """Optimizers that took no step."""
    idle = [type(o).__name__ for o, count in zip(optimizers, counts, strict=True) if not count]
    if idle:
        text = f"{', '.join(idle)} took no step; call its step in step(batch), or leave it out of the loop"
        yield Finding("never-stepped", text)


def of_modes(model: nn.Module, sleeping: set[str]) -> Iterator[Finding]:
    """Modules in evaluation mode among parameters that are trained; what is frozen with them is meant."""
    inner = unwrap(model)[0]
    modules = tuple(name for name in sorted(sleeping) if _surroundings_train(inner, name))
    if modules:
        text = (
            f"{modules[0] or 'the model'} is in evaluation mode while it is trained: its statistics are frozen, or it "
        )
        text += f"drops nothing ({len(modules)} modules); call model.train() before the step, or freeze its parameters"
        yield Finding("eval-mode", text)


def _surroundings_train(model: nn.Module, name: str) -> bool:
    """Whether the smallest module around one that has parameters has some that are trained."""
    path = name.split(".") if name else []
    for length in range(len(path), -1, -1):
        parameters = list(model.get_submodule(".".join(path[:length])).parameters())
        if parameters:
            return any(parameter.requires_grad for parameter in parameters)
    return False


def of_reach(stepped: Iterable[str], reached: set[str]) -> Iterator[Finding]:
    """Parameters in an optimizer that the loss never depended on."""
    lost = tuple(name for name in stepped if name not in reached)
    if lost:
        text = (
            "parameters are in an optimizer, but the loss does not depend on them at any step; leave them out, or see "
        )
        yield Finding("no-gradient", text + "what detaches or ignores them", lost)
