"""Whether every parameter is trained, by one optimizer, in the mode that training needs."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import nn

from nld.finder.preconditions import modes
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


def of_modes(modules: Iterable[str]) -> Iterator[Finding]:
    """Modules that were in evaluation mode among parameters that are trained; see `asleep`."""
    modules = sorted(modules)
    if modules:
        text = (
            f"{modules[0] or 'the model'} is in evaluation mode while it is trained: its statistics are frozen, or it "
        )
        text += f"drops nothing ({len(modules)} modules); call model.train() before the step, or freeze its parameters"
        yield Finding("eval-mode", text)


def asleep(model: nn.Module) -> set[str]:
    """Normalizations and dropouts that are in evaluation mode now, together with parameters that are trained.

    One that has parameters sleeps if these are trained; one without if what is around it sleeps and is trained. A
    module that was put to sleep alone, or whose parameters are frozen with it, is meant.
    """
    return {name for name, training in modes(model).items() if not training and _is_trained(model, name)}


def _is_trained(model: nn.Module, name: str) -> bool:
    """Whether the smallest module with parameters around one is in evaluation mode, and some of them are trained."""
    path = name.split(".") if name else []
    for length in range(len(path), -1, -1):
        around = model.get_submodule(".".join(path[:length]))
        if parameters := list(around.parameters()):
            return not around.training and any(parameter.requires_grad for parameter in parameters)
    return False


def of_reach(stepped: Iterable[str], reached: set[str]) -> Iterator[Finding]:
    """Parameters in an optimizer that the loss never depended on."""
    lost = tuple(name for name in stepped if name not in reached)
    if lost:
        text = (
            "parameters are in an optimizer, but the loss does not depend on them at any step; leave them out, or see "
        )
        yield Finding("no-gradient", text + "what detaches or ignores them", lost)
