"""What a loop does to gradients, weights and momenta, seen by hooks while it runs."""

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from nld.finder.wrappers import unwrap
from nld.training_check.coverage import asleep
from nld.training_check.loads import Loads
from nld.training_check.loop import TrainingLoop
from nld.training_check.random_state import random_state
from nld.training_check.replay import Moment, dense

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """What one backward pass added to one parameter's gradient."""

    moment: int  # number of the Moment whose forward pass it belongs to
    after: int  # how many steps its optimizers had taken
    gradient: torch.Tensor


@dataclass
class Step:
    """One step of one optimizer.

    Args:
        number, optimizer: which.
        gradients: what the optimizer was given, by name; no entry where there was none.
        passes: of each parameter, what was added to its gradient since it was zero last.
        before, after: weights.
        state_before, state_after: the optimizer's tensors of each parameter.
        groups: the parameter group of each, as it was.
        loaded_weights, loaded_state: whether these were loaded since the last step.
    """

    number: int
    optimizer: int
    gradients: Tensors
    passes: dict[str, list[Pass]]
    before: Tensors
    state_before: dict[str, Tensors]
    groups: dict[str, dict]
    loaded_weights: bool
    loaded_state: bool
    after: Tensors = field(default_factory=dict)
    state_after: dict[str, Tensors] = field(default_factory=dict)

    def fresh(self, name: str) -> list[Pass]:
        """The passes since this optimizer's last step."""
        return [one for one in self.passes.get(name, []) if one.after == self.number]

    @property
    def window(self) -> set[int]:
        """The moments whose passes make up this step's gradient."""
        return {one.moment for name in self.passes for one in self.fresh(name)}


@dataclass(frozen=True)
class Rewrite:
    """Weights that changed outside of a step: before the forward pass of the step ``number``, or behind it."""

    number: int
    behind_forward: bool
    loaded: bool
    old: Tensors
    new: Tensors


class Watch:
    """Follows a loop from ``attached`` on; ``steps``, ``rewrites`` and ``moments`` are to be taken from it."""

    def __init__(self, loop: TrainingLoop, loads: Loads):
        self._loop, self._loads = loop, loads
        self._optimizers = loop.optimizers
        self.named = dict(unwrap(loop.model)[0].named_parameters())
        self._names = {id(parameter): name for name, parameter in self.named.items()}
        self.steps: list[Step] = []
        self.rewrites: list[Rewrite] = []
        self.moments: dict[int, Moment] = {}
        self.counts = [0] * len(self._optimizers)  # steps of each optimizer
        self.sleeping: set[str] = set()  # modules that were in evaluation mode in a forward pass with gradients
        self._passes: dict[str, list[Pass]] = {name: [] for name in self.named}
        self._last: Tensors = {name: parameter.detach().clone() for name, parameter in self.named.items()}
        self._moment, self._batch, self._begins, self._earlier = -1, None, True, random_state()
        self._open: dict[int, Step] = {}

    @contextlib.contextmanager
    def attached(self) -> Iterator[None]:
        """Inside, the loop is followed."""
        forward: Any = torch.compiler.disable(self._before_forward)
        handles: list[Any] = [self._loop.model.register_forward_pre_hook(forward)]
        for name, parameter in self.named.items():
            if parameter.requires_grad:
                handles.append(parameter.register_hook(lambda gradient, name=name: self._added(name, gradient)))
        for number, optimizer in enumerate(self._optimizers):
            handles += [
                optimizer.register_step_pre_hook(functools.partial(self._about_to_step, number)),
                optimizer.register_step_post_hook(functools.partial(self._after_step, number)),
            ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def begin(self, batch: Any) -> None:
        """The loop is about to be given a batch."""
        self._batch, self._begins = batch, True
        self._moment += 1
        self._earlier = random_state()
        self.moments[self._moment] = Moment.now(self._loop.model, batch, self._earlier)

    def _before_forward(self, model: nn.Module, *_) -> None:
        if not torch.is_grad_enabled():
            return
        self.sleeping |= asleep(unwrap(model)[0])
        if not self._begins:
            return
        self._begins = False
        self.look_for_rewrites(self.named, behind_forward=False)
        if self._moment in {one.moment for passes in self._passes.values() for one in passes}:
            self._moment += 1  # a second step with the same batch
            self._earlier = random_state()
        self.moments[self._moment] = Moment.now(model, self._batch, self._earlier)

    def look_for_rewrites(self, names, behind_forward: bool) -> None:
        """Whether weights are no longer what the last step left."""
        changed = [name for name in names if not same(self.named[name], self._last[name])]
        if changed:
            old = {name: self._last[name] for name in changed}
            self._last |= {name: self.named[name].detach().clone() for name in changed}
            new = {name: self._last[name] for name in changed}
            loaded = any(id(self.named[name]) in self._loads.weights for name in changed)
            self.rewrites.append(Rewrite(max(self.counts), behind_forward, loaded, old, new))

    def _added(self, name: str, gradient: torch.Tensor) -> None:
        parameter = self.named[name]
        if parameter.grad is None or not bool(dense(parameter.grad).any()):
            self._passes[name] = []
        steps = max((self.counts[i] for i, o in enumerate(self._optimizers) if _has(o, parameter)), default=0)
        self._passes[name].append(Pass(self._moment, steps, dense(gradient)))

    def _about_to_step(self, which: int, _, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        """Look now, or right after a closure has computed the gradient."""
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._before_step(which)
            return None

        def watched():
            loss = closure()
            if which not in self._open:
                self._before_step(which)
            return loss

        if len(args) > 1:
            return (args[0], watched, *args[2:]), kwargs
        return args, {**kwargs, "closure": watched}

    def _before_step(self, which: int) -> None:
        optimizer = self._optimizers[which]
        if bool(getattr(optimizer, "found_inf", 0)):
            return  # a fused optimizer that will skip the step
        scale = getattr(optimizer, "grad_scale", None)
        groups = {
            self._names[id(p)]: group
            for group in optimizer.param_groups
            for p in group["params"]
            if id(p) in self._names
        }
        given = {name: dense(p.grad) for name in groups if (p := self.named[name]).grad is not None}
        if scale is not None:
            given = {name: gradient / scale.to(gradient.device) for name, gradient in given.items()}
        self.look_for_rewrites(groups, behind_forward=True)
        self._open[which] = Step(
            number=self.counts[which],
            optimizer=which,
            gradients=given,
            passes={name: list(self._passes[name]) for name in groups},
            before={name: self._last[name] for name in groups},
            state_before=self._state(optimizer, groups),
            groups={name: {k: v for k, v in group.items() if k != "params"} for name, group in groups.items()},
            loaded_weights=any(id(self.named[name]) in self._loads.weights for name in groups),
            loaded_state=id(optimizer) in self._loads.states,
        )

    def _after_step(self, which: int, *_) -> None:
        step = self._open.pop(which, None)
        self._begins = True
        if step is None:
            return
        self.counts[which] += 1
        self._last |= {name: self.named[name].detach().clone() for name in step.before}
        step.after = {name: self._last[name] for name in step.before}
        step.state_after = self._state(self._optimizers[which], step.before)
        self.steps.append(step)

    def _state(self, optimizer: torch.optim.Optimizer, names) -> dict[str, Tensors]:
        states = {}
        for name in names:
            parameter = self.named[name]
            state = optimizer.state.get(parameter, {})
            states[name] = {key: v.detach().clone() for key, v in state.items() if _is_memory(v, parameter)}
        return states


def _is_memory(value: Any, parameter: torch.Tensor) -> bool:
    return isinstance(value, torch.Tensor) and value.shape == parameter.shape and value.is_floating_point()


def _has(optimizer: torch.optim.Optimizer, parameter: torch.Tensor) -> bool:
    return any(parameter is other for group in optimizer.param_groups for other in group["params"])


def same(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN with NaN."""
    return torch.equal(a, b) or torch.allclose(a, b, rtol=0.0, atol=0.0, equal_nan=True)
