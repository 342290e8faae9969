"""Whether an optimizer was given the gradient of the loss; and if not, what was done to it."""

from collections.abc import Collection, Iterator, Mapping

import torch

from nld.training_check.closeness import Closeness, exponent, norm
from nld.training_check.findings import Finding
from nld.training_check.watch import Step

Tensors = Mapping[str, torch.Tensor]
CLIPPING_EPSILON = 1e-6  # that torch.nn.utils.clip_grad_norm_ adds to the norm


def clipped_by(size: float, clip_norm: float | None) -> float:
    """The factor of a gradient of this norm when it is clipped."""
    return 1.0 if clip_norm is None else min(1.0, clip_norm / (size + CLIPPING_EPSILON))


def decay_in(gradients: Tensors, weights: Tensors) -> float | None:
    """λ where some gradients are λ q, as those of λ|q|²/2 are; else None."""
    g, q = ({name: tensors[name].double() for name in gradients} for tensors in (gradients, weights))
    factor = sum(float((g[name] * q[name]).sum()) for name in g) / max(norm(q) ** 2, 1e-300)
    rest = {name: g[name] - factor * q[name] for name in g}
    return factor if factor > 0 and norm(rest) <= 1e-2 * norm(g) else None


class GradientAudit:
    """One step's gradients beside those of the loss.

    Args:
        step: what was seen.
        expected: the gradient of the mean loss over the step's window, of all parameters, by name.
        clip_norm: the norm to which the loop says that it clips.
    """

    def __init__(self, step: Step, expected: Tensors, clip_norm: float | None):
        self.step, self.clip_norm, self.close = step, clip_norm, Closeness(expected)
        self.names = [name for name in step.before if name in step.gradients or name in expected]
        zero = {name: torch.zeros_like(step.before[name]) for name in self.names}
        self.given: Tensors = {name: step.gradients.get(name, zero[name]) for name in self.names}
        self.expected: Tensors = {name: expected.get(name, zero[name]) for name in self.names}
        self.added: Tensors = {
            name: sum((one.gradient for one in step.fresh(name)), zero[name]) for name in self.names
        }  # by backward passes since the last step
        whole, own = norm(expected), norm(self.expected)
        self.meant = next(
            (f for f in (clipped_by(whole, clip_norm), clipped_by(own, clip_norm)) if self._is(self.expected, f)),
            clipped_by(whole, clip_norm),
        )

    def _is(self, other: Tensors, factor: float = 1.0, names: Collection[str] | None = None) -> bool:
        return self.close.near(self.given, other, self.names if names is None else names, factor)

    @property
    def difference(self) -> float:
        """The largest relative difference of any tensor."""
        return max(
            (
                self.close.difference(self.given[n], self.meant * self.expected[n].double(), self.meant)
                for n in self.names
            ),
            default=0.0,
        )

    def findings(self) -> Iterator[Finding]:
        """What is wrong with them, if anything is."""
        lost = [name for name in self.names if not bool(torch.isfinite(self.given[name]).all())]
        if lost:
            yield self._finding("not-finite", "the optimizer was given a gradient that is not finite", lost)
            return
        wrong = [name for name in self.names if not self._is(self.expected, self.meant, [name])]
        if not wrong:
            return
        old = [name for name in wrong if len(self.step.fresh(name)) < len(self.step.passes[name])]
        if old:
            text = "gradients of earlier steps are still there when backward adds new ones; call optimizer.zero_grad() "
            yield self._finding("not-zeroed", text + "once a step, before backward", old)
            wrong = [name for name in wrong if name not in old]
        if wrong:
            yield self._of_backward(wrong) if self._only_as_declared() else self._of_change(wrong)

    def _only_as_declared(self) -> bool:
        """Whether all that was done to what backward passes added is unscaling, and the clipping that was declared."""
        factor = self.close.factor(self.given, self.added, self.names)
        if factor is None:
            return False
        power = exponent(factor)
        clipped = self.clip_norm is not None and abs(norm(self.given) / self.clip_norm - 1) < self.close.tolerance
        return (power is not None and power <= 0) or clipped

    def _of_backward(self, names: list[str]) -> Finding:
        """The passes themselves gave something else."""
        passes, window = max(len(self.step.fresh(name)) for name in names), len(self.step.window)
        factor = self.close.factor(self.given, self.expected, names)
        if passes > window:
            if factor is not None and abs(factor - passes / window) < 1e-2 and not self._repeated(names):
                return self._undivided(passes, names)
            text = f"{passes} backward passes added to the gradient where the loss was evaluated {window} times; call "
            return self._finding("second-backward", text + "backward once on what loss returns", names)
        divisor = None if factor is None else round(window / factor)
        if factor is not None and window > 1 and divisor and abs(window / factor - divisor) < 1e-3:
            return self._undivided(window, names, divisor)
        if factor is not None and self.clip_norm is not None and abs(factor - 1) < 1e-2:
            text = f"the gradient's norm is {norm(self.given):.3g}, though it is said to be clipped to "
            return self._finding("norm-clipping", f"{text}{self.clip_norm:g}; clip it between backward and step", names)
        if factor is not None:
            return self._scaled(factor, names)
        return self._decay(names) or self._finding(
            "other-gradient",
            "backward gives another gradient than the loss: another loss, a hook on tensors that changes it, or part "
            f"of the loss detached; its relative difference is {self._share(names):.1e}",
            names,
        )

    def _repeated(self, names: list[str]) -> bool:
        """Whether a second pass was of the same loss at the same moment."""
        for name in names:
            fresh = self.step.fresh(name)
            pairs = [(a, b) for i, a in enumerate(fresh) for b in fresh[:i] if a.moment == b.moment]
            if any(self.close.difference(a.gradient, b.gradient) > self.close.tolerance for a, b in pairs):
                return False
        return True

    def _of_change(self, names: list[str]) -> Finding:
        """Something changed what the passes had added."""
        factor = self.close.factor(self.given, self.expected, names)
        scale = exponent(self.close.factor(self.added, self.expected, names))
        window, size = len(self.step.window), norm(self.given)
        if not norm({name: self.given[name] for name in names}):
            text = "gradients are gone when the optimizer takes its step; call zero_grad before backward, not behind it"
            return self._finding("changed-gradient", text, names)
        if factor is not None and factor < 1 and scale is not None and scale > 0 and 2**scale != window:
            text = (
                f"gradients are clipped while they are multiplied by the loss scale 2^{scale}: what is left of their "
            )
            text += f"norm is {size:.2g}; call scaler.unscale_(optimizer) before clipping"
            return self._finding("clipped-before-unscaling", text, names)
        if factor is not None and window > 1 and abs(factor - window) < 1e-2:
            return self._undivided(window, names)
        if factor is not None and factor < 1:
            text = (
                f"gradients are scaled to the norm {size:.3g} after backward; if they are clipped on purpose, say so: "
            )
            return self._finding("norm-clipping", f"{text}clip_norm={size:.3g}", names)
        if factor is not None:
            return self._scaled(factor, names)
        limit = max(float(self.given[name].abs().max()) for name in names if self.given[name].numel())
        cut = {name: self.expected[name].double().clamp(-limit, limit) for name in names}
        if limit and self._is(cut, names=names):
            beyond = sum(int((self.expected[name].abs() > limit).sum()) for name in names)
            text = f"{beyond} entries of the gradient are clipped to ±{limit:.3g} after backward, which turns it; clip "
            return self._finding("value-clipping", text + "its norm, or nothing", names)
        each = [self.close.factor(self.given, self.expected, [name]) for name in names]
        if all(one is not None and one < 1 for one in each):
            return self._finding("norm-clipping", "gradients are scaled tensor by tensor after backward", names)
        return self._decay(names) or self._finding(
            "changed-gradient",
            "gradients are changed between backward and step, neither scaled nor clipped: noise, or other numbers "
            f"written there; their relative difference is {self._share(names):.1e}",
            names,
        )

    def _undivided(self, count: int, names: list[str], divisor: int = 1) -> Finding:
        how = "summed" if divisor == 1 else f"summed and divided by {divisor}"
        text = (
            f"the gradients of {count} losses are {how}: {count / divisor:.3g} times that of their mean; divide each "
        )
        return self._finding("accumulation", text + "loss by their number", names)

    def _scaled(self, factor: float, names: list[str]) -> Finding:
        power = exponent(factor)
        text = f"gradients are {factor:.6g} times those of the loss"
        if power is not None and power > 3:
            text += ", as if the loss scale were still in them; unscale them before the step"
        return self._finding("gradient-scale", text, names)

    def _decay(self, names: list[str]) -> Finding | None:
        """λ q in the gradient, beside the loss's."""
        rest = {name: self.given[name].double() - self.expected[name].double() for name in names}
        weights = {name: self.step.before[name].double() for name in names}
        factor = decay_in(rest, weights)
        if factor is None:
            return None
        decay = max(float(self.step.groups[name].get("weight_decay", 0.0)) for name in names)
        text = f"gradients hold {factor:.3g} times the weights beside the loss's gradient"
        text += f", and the optimizer decays by {decay:g} again" if decay else ""
        return self._finding("decay", f"{text}; leave the decay to the optimizer, or put it into the loss", names)

    def _share(self, names: list[str]) -> float:
        size = norm({name: self.expected[name] for name in names})
        return norm({name: self.given[name] - self.expected[name] for name in names}) / max(size, 1e-300)

    def _finding(self, topic: str, text: str, names: list[str]) -> Finding:
        return Finding(topic, text, tuple(names), (self.step.number,))
