"""Whether weights and momenta change in the optimizer's step only, and there as it says."""

from collections.abc import Iterator, Mapping

import torch

from nld.monitor.optimizers import Adapter, momentum_update
from nld.training_check.closeness import TOLERANCE, Closeness
from nld.training_check.findings import Finding
from nld.training_check.watch import Rewrite, Step, same

Tensors = Mapping[str, torch.Tensor]


def of_rewrite(rewrite: Rewrite) -> Iterator[Finding]:
    """What changed weights between two steps."""
    if rewrite.loaded and not rewrite.behind_forward:
        return  # a checkpoint: whether momenta came with it, of_memory says
    names, steps = tuple(rewrite.old), (rewrite.number,)
    if lost := tuple(name for name in names if not bool(torch.isfinite(rewrite.new[name]).all())):
        yield Finding("not-finite", "weights are not finite", lost, steps)
        return
    where = "between the forward pass and the step" if rewrite.behind_forward else "between two steps"
    share = _decayed(rewrite)
    if share is not None:
        text = f"weights shrink by {share:.3g} of themselves {where}, outside of the optimizer; leave decay to its "
        yield Finding("decay", text + "weight_decay", names, steps)
        return
    limit = max(float(rewrite.new[name].abs().max()) for name in names)
    if all(same(rewrite.old[name].clamp(-limit, limit), rewrite.new[name]) for name in names):
        how = f"entries are clipped to ±{limit:.3g}"
    else:
        how = "such as by an average that was swapped in (EMA) and not swapped out, or by hand"
    yield Finding("rewritten-weights", f"weights change {where}, outside of the optimizer: {how}", names, steps)


def _decayed(rewrite: Rewrite) -> float | None:
    """The largest λ of new = (1 − λ) old, if each tensor has one between 0 and 1."""
    shares = []
    for name, old in rewrite.old.items():
        new = rewrite.new[name].double()
        kept = float((new * old.double()).sum() / old.double().square().sum().clamp_min(1e-300))
        rounding = torch.finfo(old.dtype).eps * float(old.double().norm())
        if not (0 < kept < 1 and float((new - kept * old.double()).norm()) <= rounding):
            return None
        shares.append(1 - kept)
    return max(shares, default=None)


def of_memory(step: Step, last: Step | None) -> Iterator[Finding]:
    """Whether an optimizer's memory is that of the weights it moves."""
    held = [name for name, state in step.state_before.items() if any(bool(value.any()) for value in state.values())]
    advice = "load the optimizer's state with the weights, or make a new optimizer"
    if step.loaded_weights and not step.loaded_state and held:
        text = f"weights were loaded and the optimizer kept the momentum of other weights; {advice}"
        yield Finding("stale-momentum", text, tuple(held), (step.number,))
        return
    if last is None:
        return
    changed = [name for name in held if _differs(step.state_before[name], last.state_after.get(name, {}))]
    if changed and step.loaded_state and not step.loaded_weights:
        text = f"the optimizer's state was loaded and the weights were not; {advice}"
        yield Finding("stale-momentum", text, tuple(changed), (step.number,))
    elif changed and not step.loaded_state:
        text = "the optimizer's state was changed between two steps"
        yield Finding("momentum", text, tuple(changed), (step.number,))


def _differs(now: Tensors, then: Tensors) -> bool:
    return now.keys() != then.keys() or any(not same(now[key], then[key]) for key in now)


def of_momentum(step: Step, adapter: Adapter) -> Iterator[Finding]:
    """Whether π_{n+1} = β π_n + c (g_n + k q_n); see nld.monitor.Adapter."""
    wrong = []
    for name, gradient in step.gradients.items():
        update = momentum_update(adapter, step.groups[name])
        now = step.state_after[name].get(update.buffer or "")
        if now is None:
            continue
        then = step.state_before[name].get(update.buffer or "")
        c = update.coefficient if then is not None else update.first_coefficient
        q, g = step.before[name].double(), update.sign * gradient.double()
        expected = c * (g + update.coupled_decay * q) + (0.0 if then is None else update.decay * then.double())
        rounding = TOLERANCE.get(now.dtype, 1e-4)
        if Closeness({name: expected}).difference(now, expected) > rounding:
            wrong.append(name)
    if wrong:
        yield Finding(
            "momentum",
            "after its step the optimizer's momentum is not β π + c (g + k q) with its own numbers",
            tuple(wrong),
            (step.number,),
        )
