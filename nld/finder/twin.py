"""The copy of a model that is studied in its place, at a generic point, in float64 where the model can, and what of it
a symmetry must not change: its output, or the loss of it."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map, tree_map_only

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.check import Violation, overlaps, violations
from nld.finder.coupled import Coupled
from nld.finder.coupled_search import CoupledViolation, coupled_violations
from nld.finder.outputs import output_of, single_tensor
from nld.finder.tape import Tape, WithoutEpsilon, elementary, record, tensors

TOLERANCE = {torch.float64: 1e-7, torch.float32: 1e-3}  # what rounding may make of a symmetry
DECIDED = 1e-4  # what violates less than this in single precision holds; more is measured again in double precision
_LEAVES = (torch.Tensor, torch.dtype, int, float, str, type(None))  # arguments that hold no tensors but themselves
SEEN = 1e-6  # a part of the gradient that an epsilon makes and that books in single precision may show


class Twin:
    """A copy of a model at a generic point, and what of it a symmetry must not change.

    Args:
        model: is left alone, and stays the place where a loss finds what it closes over.
        example_inputs: for one forward pass.
        loss: of the output, or None.
        precision: float64; float32 for models of which two copies in float64 are too large: what that cannot decide is
            then measured in float64; None for the model's own, where it cannot have another.
    """

    def __init__(self, model: nn.Module, example_inputs: Any, loss, precision: torch.dtype | None):
        self.original, self.precision = model, precision
        self.model = _copied(model, precision)
        self.epsilons: set[float] = set()  # of the denominators, once they are recorded
        self.outcome = Outcome(converted(example_inputs, precision), loss)
        self.standing_in = StandIn(model, self.model, precision)
        make_generic(self.model.parameters())
        with torch.enable_grad(), elementary(), self.standing_in:
            self.scalar = scalar_of(self.outcome(self.model), loss)

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """The parameters of the copy, by name."""
        return dict(self.model.named_parameters())

    def record(self) -> Tape:
        """The operations of one forward pass."""
        with self.standing_in:
            tape = record(lambda: self.outcome(self.model), self.parameters)
        self.epsilons = tape.epsilons
        return tape

    def measure(self, candidates: Sequence[Block]) -> list[tuple[Violation, bool]]:
        """The violation of each candidate, and whether that is a symmetry but for rounding."""
        if self.precision is not torch.float32:
            tolerance = TOLERANCE[torch.float64 if self.precision else torch.float32]
            return [(v, v.holds(tolerance)) for v in self._violations(candidates, tolerance)]
        result = [(v, v.holds(DECIDED)) for v in self._violations(candidates, DECIDED)]
        undecided = [violation.block for violation, holds in result if not holds]
        if undecided:
            self._double()
            again = iter(self.measure(undecided))
            result = [pair if pair[1] else next(again) for pair in result]
        return result

    def measure_coupled(self, candidates: Sequence[Coupled]) -> list[tuple[CoupledViolation, bool]]:
        """The violation of each candidate whose generator depends on other weights, and whether it is a symmetry."""
        if not candidates:
            return []
        tolerance = DECIDED if self.precision is torch.float32 else TOLERANCE[self.precision or torch.float32]
        result = [(v, v.holds(tolerance)) for v in self._coupled(candidates, tolerance)]
        undecided = [violation.coupled for violation, holds in result if not holds]
        if undecided and self.precision is torch.float32:
            self._double()
            again = iter(self.measure_coupled(undecided))
            result = [pair if pair[1] else next(again) for pair in result]
        return result

    def broken_by_epsilon(self, blocks: Sequence[Block]) -> dict[Block, float]:
        """The part of the gradient along scalings that the epsilons make, of those blocks that have such a part."""
        scalings = [block for block in blocks if self.epsilons and not (block.kind.is_matrix or block.kind.is_constant)]
        if not scalings:
            return {}

        @contextlib.contextmanager
        def context() -> Iterator[None]:
            with elementary(), self.standing_in:
                yield

        parts = overlaps(self.model, lambda model: self.scalar(self.outcome(model)), scalings, context)
        least = SEEN if self.precision is torch.float64 else DECIDED  # what rounding may make of none
        return {block: part for block, part in zip(scalings, parts, strict=True) if part > least}

    def _coupled(self, candidates: Sequence[Coupled], tolerance: float) -> list[CoupledViolation]:
        buffers = [(buffer, buffer.detach().clone()) for buffer in self.model.buffers()]

        def loss() -> torch.Tensor:
            with torch.no_grad():
                for buffer, value in buffers:
                    buffer.copy_(value)
            return self.scalar(self.outcome(self.model))

        return coupled_violations(self.model, loss, candidates, self._exact, tolerance)

    def _violations(self, candidates: Sequence[Block], tolerance: float) -> list[Violation]:
        return violations(
            self.model,
            lambda model: self.scalar(self.outcome(model)),
            candidates,
            context=self._exact,
            tolerance=tolerance,
        )

    @contextlib.contextmanager
    def _exact(self) -> Iterator[None]:
        with elementary(), self.standing_in, WithoutEpsilon(self.epsilons):
            yield

    def _double(self) -> None:
        """Go on in double precision, one tensor after the other in the place of its single one."""
        self.precision = torch.float64
        self.model.double()
        self.outcome.convert(self.precision)
        self.standing_in = StandIn(self.original, self.model, self.precision)


def _copied(model: nn.Module, precision: torch.dtype | None) -> nn.Module:
    """A copy in a precision, or in the model's own; tensors that modules keep inside a graph are detached."""
    held = [v for module in model.modules() for v in vars(module).values() if isinstance(v, torch.Tensor)]
    twin = copy.deepcopy(model, {id(v): v.detach().clone() for v in held if not v.is_leaf})
    if precision is None:
        return twin
    return twin.double() if precision is torch.float64 else twin.float()  # complex parameters stay complex


def converted(inputs: Any, precision: torch.dtype | None) -> Any:
    """Inputs for a twin in a precision, apart from any graph."""

    def convert(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().to(precision) if tensor.is_floating_point() else tensor.detach().clone()

    return inputs if precision is None else tree_map_only(torch.Tensor, convert, inputs)


def make_generic(parameters: Iterable[torch.Tensor]) -> None:
    """Move parameters to a generic point: initial zeros and ones have symmetries that training destroys."""
    with torch.no_grad():
        for p in parameters:
            if p.is_floating_point():
                size = float(p.abs().mean()) or 0.1
                p.add_(torch.randn_like(p).mul_(0.2 * size))


class StandIn(TorchFunctionMode):
    """Wherever a loss or a hook reaches for a tensor of the model, it gets that of the twin that is studied.

    A penalty on ``model.parameters()`` in the loss is the common case: it breaks scale symmetry, but only the twin's
    parameters are on the tape. Where the twin computes in double precision, so does what a model casts to single
    precision by itself, as normalizations do that are written for low precision.
    """

    def __init__(self, model: nn.Module, twin: nn.Module, precision: torch.dtype | None = None):
        super().__init__()
        self.double = precision is torch.float64
        originals, stand_ins = ([*m.parameters(), *m.buffers()] for m in (model, twin))
        pairs = zip(originals, stand_ins, strict=True)
        self.twins = {id(original): (original, stand_in) for original, stand_in in pairs}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        args = [self._all_exchanged(value) for value in args]
        kwargs = {name: self._all_exchanged(value) for name, value in (kwargs or {}).items()}
        return (torch.Tensor.double if self.double and func is torch.Tensor.float else func)(*args, **kwargs)

    def _all_exchanged(self, value: Any) -> Any:
        # Most arguments are no collections, and walking all of them as such took a sixth of a search.
        return self._exchanged(value) if isinstance(value, _LEAVES) else tree_map(self._exchanged, value)

    def _exchanged(self, leaf):
        if self.double and leaf is torch.float32:
            return torch.float64
        return self.twins.get(id(leaf), (leaf, leaf))[1]


class Outcome:
    """Model to what must not change: its output (see ``nld.finder.outputs``), or the loss of it.

    ``words`` says after the first call what was taken as the output; empty if that is all the model returns.
    """

    def __init__(self, example_inputs: Any, loss):
        self.example_inputs, self.loss = example_inputs, loss
        self.wants_target = loss is not None and _wants_target(loss)
        self.target: torch.Tensor | None = None
        self.words = ""

    def __call__(self, model: nn.Module) -> Any:
        returned = self._forward(model)
        if self.loss is None:
            output, self.words = output_of(returned)
            return output
        if not self.wants_target:
            return self.loss(returned)
        output, self.words = single_tensor(returned)
        if self.target is None:
            self.target = _target(self.loss, output.detach())
        return self.loss(output, self.target)

    def convert(self, precision: torch.dtype) -> None:
        """Go on with inputs and target in another precision."""
        self.example_inputs, self.target = converted((self.example_inputs, self.target), precision)

    def _forward(self, model: nn.Module) -> Any:
        torch.manual_seed(1)
        inputs = self.example_inputs
        if isinstance(inputs, Mapping):
            return model(**inputs)
        return model(*inputs) if isinstance(inputs, (tuple, list)) else model(inputs)


def _wants_target(loss) -> bool:
    function = loss.forward if isinstance(loss, nn.Module) else loss
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty]
    return len([p for p in needed if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]) > 1


def _target(loss, output: torch.Tensor) -> torch.Tensor:
    classes = (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
    if isinstance(loss, classes) or loss in (F.cross_entropy, F.nll_loss, F.multi_margin_loss):
        axis = 1 if output.ndim > 1 else 0
        shape = [n for a, n in enumerate(output.shape) if a != axis]
        return torch.randint(output.shape[axis], shape, device=output.device)
    if isinstance(loss, (nn.BCELoss, nn.BCEWithLogitsLoss)):
        return torch.rand_like(output)
    return torch.randn_like(output)


def scalar_of(example: Any, loss) -> Callable[[Any], torch.Tensor]:
    """A generic linear functional of every floating-point output."""

    def floats(output) -> list[torch.Tensor]:
        return [t for t in tensors(output) if t.is_floating_point()]

    if not floats(example):
        raise InvalidInput(
            f"expected floating-point tensors as output, got {type(example)}; return the logits or the loss"
        )
    if not any(t.requires_grad for t in floats(example)):
        raise InvalidInput(
            "expected an output that depends on the parameters, got one without gradient; take torch.no_grad, "
            ".detach() and .item() out of the forward pass and the loss, or unfreeze the parameters that it uses"
        )
    weights = [torch.randn_like(t.detach()) if loss is None else torch.ones_like(t.detach()) for t in floats(example)]
    return lambda output: sum((w * t).sum() for w, t in zip(weights, floats(output), strict=True))  # pyright: ignore
