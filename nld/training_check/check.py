"""Run some steps of a training loop, compute each a second time, and say what differs."""

import copy
import itertools
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch

from nld.errors import InvalidInput
from nld.monitor.optimizers import Adapter, adapter_for
from nld.training_check import coverage, weights
from nld.training_check.findings import Finding, TrainingCheck, merged, require_topics
from nld.training_check.gradients import GradientAudit, decay_in
from nld.training_check.loads import noticed_loads
from nld.training_check.loop import TrainingLoop, read_loop
from nld.training_check.replay import Gradients
from nld.training_check.rounding import RoundedAway
from nld.training_check.watch import Step, Watch

PATIENCE = 32  # iterations without a step after which the rest is not waited for


def check_training(
    loop: TrainingLoop | Callable[[], Any] | tuple | dict, steps: int = 20, allow: Collection[str] = ()
) -> TrainingCheck:
    """Whether a training loop does what it says, over some of its steps.

    Of every step: the gradient that the optimizer was given is that of the loss, computed again on a copy of the model
    with the same weights, buffers and random numbers, |g − ∂loss| ≤ tolerance · |∂loss| for each tensor; the momentum
    is β π + c (g + k q) with the optimizer's own numbers; weights change in the step and nowhere else. Of all: every
    parameter is trained, by one optimizer, in training mode, and its steps are not rounded away. The model is trained
    by these steps; give a loop that is made for this. Memory: some copies of the model.

    Args:
        loop: a TrainingLoop, the tuple or dictionary of its fields, or a function without arguments that makes one:
            then what is loaded in it is seen too.
        steps: how many steps of the optimizer.
        allow: topics of findings that are meant, beside those that the loop allows.

    Raises:
        ValueError: it is none of these, or the loss cannot be computed a second time; the message says what to do.

    Example:
        def loop():
            model = make_model()
            optimizer = torch.optim.AdamW(model.parameters())

            def loss(model, batch):
                return F.cross_entropy(model(batch[0]), batch[1])

            def step(batch):
                optimizer.zero_grad()
                loss(model, batch).backward()
                optimizer.step()

            return model, optimizer, loss, make_loader(), step

        print(nld.check_training(loop))
    """
    if steps < 1:
        raise InvalidInput(f"expected steps to be 1 or more, got {steps}")
    require_topics(allow)
    with noticed_loads() as loads:
        loop = read_loop(loop() if callable(loop) else loop)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            count = torch.distributed.get_world_size()
            if count > 1:
                raise InvalidInput(f"expected one process, got {count}; check the loop on one of them")
        watch = Watch(loop, loads)
        findings = list(coverage.of_optimizers(loop.model, loop.optimizers))
        audit = _Audit(loop, watch)
        with watch.attached():
            for batch in _batches(loop, watch, steps):
                watch.begin(copy.deepcopy(batch))
                loop.step(batch)
                findings += audit.findings()
        watch.look_for_rewrites(watch.named, behind_forward=False)
        findings += audit.findings()
    findings += coverage.of_optimizers(loop.model, loop.optimizers)
    findings += coverage.of_steps(loop.optimizers, watch.counts)
    findings += coverage.of_modes(watch.sleeping)
    findings += coverage.of_reach(audit.stepped, audit.reached)
    findings += audit.rounding.findings()
    allowed = {*loop.allow, *allow}
    wrong = [finding for finding in merged(findings) if finding.topic not in allowed]
    notes = [f"{one.topic} is allowed: {one.text}" for one in merged(findings) if one.topic in allowed]
    notes += dict.fromkeys(audit.notes)
    return TrainingCheck(wrong, notes, max(watch.counts, default=0), audit.difference)


def _batches(loop: TrainingLoop, watch: Watch, steps: int) -> Iterator[Any]:
    """Batches until enough steps were taken; those that can be gone through again are, when they end."""
    idle, before = 0, 0
    for rounds in itertools.count():
        count = 0
        for batch in loop.batches:
            count += 1
            yield batch
            taken = max(watch.counts)
            idle, before = (0 if taken > before else idle + 1), taken
            if taken >= steps or idle >= PATIENCE:
                return
        if not count:
            if not rounds:
                raise InvalidInput("expected at least one batch, got none; see what the loader is made of")
            return


class _Audit:
    """Judges what a watch has seen, call by call."""

    def __init__(self, loop: TrainingLoop, watch: Watch):
        self._loop, self._watch = loop, watch
        self.rounding = RoundedAway()
        self.stepped: dict[str, None] = {}  # parameters that an optimizer stepped, in their order
        self.notes: list[str] = []
        self.reached: set[str] = set()  # parameters that the loss depended on
        self.difference = 0.0
        self._gradients: dict[int, tuple[Gradients, ...]] = {}  # of the loss, by the number of the moment
        self._last: dict[int, Step] = {}
        self._adapters = [self._adapter(optimizer) for optimizer in loop.optimizers]

    def _adapter(self, optimizer: torch.optim.Optimizer) -> Adapter | None:
        try:
            return adapter_for(optimizer)
        except TypeError:
            self.notes.append(
                f"the momentum of {type(optimizer).__name__} is not checked: nobody told where it is kept"
            )
            return None

    def findings(self) -> Iterator[Finding]:
        """Of the steps since the last call."""
        seen, rewrites = self._watch.steps, self._watch.rewrites
        self._watch.steps, self._watch.rewrites = [], []
        for rewrite in rewrites:
            yield from weights.of_rewrite(rewrite)
        for number in [number for number in self._watch.moments if number not in self._gradients]:
            self._evaluate(number)
        for step in seen:
            if step.optimizer not in self._last:
                yield from self._of_penalty(step)
            yield from self._of_step(step)
            self._last[step.optimizer] = step
            self.rounding.add(step)
            self.stepped |= dict.fromkeys(step.before)
        newest = max(self._watch.moments, default=0)
        self._watch.moments = {number: m for number, m in self._watch.moments.items() if number == newest}
        waited_for = min((max(step.window, default=-1) for step in self._last.values()), default=-1)
        self._gradients = {number: g for number, g in self._gradients.items() if number > waited_for}

    def _evaluate(self, number: int) -> None:
        both = self._gradients[number] = self._watch.moments[number].alternatives(self._loop.loss)
        self.reached |= {name for gradients in both for name, gradient in gradients.items() if bool(gradient.any())}

    def _of_step(self, step: Step) -> Iterator[Finding]:
        if not step.before:
            return  # an optimizer of other tensors, which coverage tells
        yield from weights.of_memory(step, self._last.get(step.optimizer))
        adapter = self._adapters[step.optimizer]
        if adapter is not None:
            yield from weights.of_momentum(step, adapter)
        window = [number for number in step.window if number in self._gradients]
        if not window:
            text = "the optimizer takes a step without a backward pass since its last one"
            yield Finding("changed-gradient", text, (), (step.number,))
            return
        audits = [GradientAudit(step, mean, self._loop.clip_norm) for mean in self._means(window)]
        found = [list(audit.findings()) for audit in audits]
        sound = [audit.difference for audit, wrong in zip(audits, found, strict=True) if not wrong]
        if sound:
            self.difference = max(self.difference, min(sound))
        elif reason := self._no_judgement():
            self.notes.append(reason)
        else:
            yield from found[0]

    def _of_penalty(self, step: Step) -> Iterator[Finding]:
        """Whether weights decay twice: by a penalty in the loss, and by the optimizer."""
        beside = self._watch.moments[max(self._watch.moments)].beside_output(self._loop.loss)
        twice = {n: g for n, g in beside.items() if n in step.groups and float(step.groups[n].get("weight_decay") or 0)}
        factor = decay_in(twice, step.before) if twice else None
        if factor is not None:
            text = (
                f"the loss holds {factor / 2:.3g} |q|² of weights that the optimizer decays too; leave one of them out"
            )
            yield Finding("decay", text, tuple(twice), (step.number,))

    def _means(self, window: list[int]) -> Iterator[Gradients]:
        """The gradient of the mean loss, by each way to replay its random numbers; nothing counts as zero."""
        for way in range(max(len(self._gradients[number]) for number in window)):
            total: Gradients = {}
            for number in window:
                of_moment = self._gradients[number]
                for name, gradient in of_moment[min(way, len(of_moment) - 1)].items():
                    total[name] = total[name] + gradient if name in total else gradient
            yield {name: gradient / len(window) for name, gradient in total.items()}

    def _no_judgement(self) -> str:
        """Why a difference of gradients says nothing, if so."""
        moment = self._watch.moments[max(self._watch.moments)]
        if not moment.is_repeatable(self._loop.loss):
            return (
                "gradients are not checked: the loss is another at the same weights and random state; let it draw from "
                "torch's, numpy's or Python's global generator, or hand over the noise in the batch"
            )
        if hasattr(self._loop.model, "_orig_mod") and moment.is_random(self._loop.loss):
            return (
                "gradients are not checked: a compiled model draws other random numbers than the same model does "
                "uncompiled; check it without torch.compile, or without dropout"
            )
        return ""
