"""The tape: every tensor operation that one forward pass of a model performs.

The pass is recorded where PyTorch dispatches its operations, below autograd, and not through
``torch.fx.symbolic_trace`` or ``torch.export``. Symbolic tracing fails on Python control flow, on
``nn.MultiheadAttention`` and on ``torch.utils.checkpoint``; export also on data-dependent branches, on modules that
change their own attributes and on custom autograd functions, and it compiles for seconds. The dispatcher sees
whatever the model really does, in some hundred ATen operations to which the composite ones (linear, einsum, instance
norm, scaled dot-product attention) are already reduced. The price: a branch on data is recorded as taken. Reading a
number out of a tensor is therefore an operation on the tape too, and no symmetry may change what it reads.
"""

import contextlib
import functools
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from nld.finder.aten_families import COPIES, FILLS, HOMOGENEOUS, MOVES, ZEROS

EPSILON = 1e-3  # a positive constant up to this, added to a denominator or its floor, is an epsilon


@dataclass(frozen=True)
class Ref:
    """A tensor on the tape: its number, shape, which axes it may vary along, its value if that is an integer, and the
    number that fills it if the code says so."""

    index: int
    shape: tuple[int, ...]
    varies: tuple[bool, ...] = ()
    value: torch.Tensor | None = field(default=None, compare=False, repr=False)
    constant: float | None = None


@dataclass(frozen=True)
class Call:
    """One operation: its name without the in-place underscore, arguments by name, and what it returned."""

    name: str
    arguments: dict[str, Any]
    outputs: tuple[Ref, ...]
    function: Any = None

    @functools.cached_property
    def inputs(self) -> list[Ref]:
        """Every tensor argument, lists of tensors flattened."""
        return [leaf for leaf in tree_leaves(self.arguments) if isinstance(leaf, Ref)]


@dataclass
class Tape:
    """Calls in order, the parameters they start from, what must not change (``results``), and the small constants of
    denominators (``epsilons``)."""

    calls: list[Call] = field(default_factory=list)
    parameters: dict[str, Ref] = field(default_factory=dict)
    results: list[Ref] = field(default_factory=list)
    epsilons: set[float] = field(default_factory=set)

    def denominators(self) -> set[int]:
        """Tensors that end up only below a fraction bar, where a small constant is an epsilon."""
        below: set[int] = set()
        elsewhere: set[int] = {ref.index for ref in self.results}
        for call in reversed(self.calls):
            passes = call.name in COPIES | MOVES | {"sqrt"} or (
                call.name == "pow" and call.arguments["exponent"] == 0.5
            )
            outputs = {ref.index for ref in call.outputs}
            if passes and not outputs & elsewhere:
                below.update(ref.index for ref in call.inputs if outputs & below)
                continue
            exponent = call.arguments.get("exponent") if call.name == "pow" else None
            inverts = call.name in ("rsqrt", "reciprocal") or (isinstance(exponent, (int, float)) and exponent < 0)
            for ref in call.inputs:
                divides = call.name == "div" and ref is call.arguments["other"] and ref is not call.arguments["self"]
                (below if inverts or divides else elsewhere).add(ref.index)
        return below - elsewhere

    def zeros(self) -> set[int]:
        """Tensors that are zero whatever the parameters are, as the code says."""
        zero: set[int] = set()
        for call in self.calls:
            inputs = [ref.index in zero for ref in call.inputs]
            filled = call.name in ZEROS or all(ref.constant == 0 for ref in call.outputs)
            passed = call.name in MOVES | COPIES | HOMOGENEOUS and all(inputs)
            product = (call.name == "mul" and any(inputs)) or (call.name == "div" and inputs[0])
            if filled or (inputs and (passed or product)):
                zero.update(ref.index for ref in call.outputs)
        return zero


class _Recorder(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.tape = Tape()
        self.count = 0
        self.refs: dict[int, Ref] = {}
        self.stale: dict[int, tuple[Ref, ...]] = {}  # tensor -> its value before and the writes that changed its memory
        self.alive: list[torch.Tensor] = []  # no tensor is freed, so that ids stay unique
        self.sharing: dict[int, list[torch.Tensor]] = defaultdict(list)

    def new(self, tensor: torch.Tensor, constant: float | None = None) -> Ref:
        """Give a tensor a new number."""
        value = None if tensor.is_floating_point() or tensor.is_complex() else tensor.detach().clone()
        stride = tensor.stride() if tensor.layout is torch.strided else [1] * tensor.ndim
        varies = tuple(n > 1 and step != 0 for n, step in zip(tensor.shape, stride, strict=True))
        ref = Ref(self.count, tuple(tensor.shape), varies, value, constant)
        self.count += 1
        if id(tensor) not in self.refs:
            self.alive.append(tensor)
            self.sharing[_memory(tensor)].append(tensor)
        self.refs[id(tensor)] = ref
        self.stale.pop(id(tensor), None)
        return ref

    def ref(self, tensor: torch.Tensor) -> Ref:
        """The number of a tensor; one whose memory was written through another view is an unknown mixture."""
        if id(tensor) in self.stale:
            mixture = self.stale.pop(id(tensor))
            self.tape.calls.append(Call("overwritten", {"mixture": mixture}, (self.new(tensor),)))
        return self.refs[id(tensor)] if id(tensor) in self.refs else self.new(tensor)

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        schema = func._schema
        arguments = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
        arguments |= {a.name: v for a, v in zip(schema.arguments, args, strict=False)} | (kwargs or {})
        recorded = tree_map_only(torch.Tensor, self.ref, arguments)
        name = schema.name.split("::")[1]
        before = _layout(args[0]) if name.startswith("as_strided") else None
        result = func(*args, **(kwargs or {}))
        written = [a.name for a in schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        written = [arguments[n] for n in written if isinstance(arguments.get(n), torch.Tensor)]
        leaves = [leaf for leaf in tree_leaves(result) if isinstance(leaf, torch.Tensor)]
        if before is not None and before == _layout(result):
            name = "alias"
        constant = _constant(name, recorded, leaves)
        outputs = tuple(self.new(leaf, constant) for leaf in leaves)
        in_place = name.endswith("_") and len(written) == 1
        for tensor in written:
            if not any(tensor is leaf for leaf in leaves):
                outputs += (self.new(tensor),)
            for other in self.sharing[_memory(tensor)]:
                if all(other is not known for known in (tensor, *leaves)) and _overlap(other, tensor):
                    before = self.stale.get(id(other), (self.refs[id(other)],))
                    self.stale[id(other)] = (*before, self.refs[id(tensor)])
        self.tape.calls.append(Call(name.rstrip("_") if in_place else name, recorded, outputs, func))
        return result


@functools.cache
def _name(function: Any) -> str:
    """The name of one of PyTorch's operations."""
    return function._schema.name.split("::")[1]


def _layout(tensor: torch.Tensor) -> tuple:
    """Where the entries of a tensor lie; equal for two views that show the same."""
    steps = [step for step, size in zip(tensor.stride(), tensor.shape, strict=True) if size > 1]
    return tuple(tensor.shape), steps, tensor.storage_offset()


def _constant(name: str, arguments: dict[str, Any], results: list[torch.Tensor]) -> float | None:
    """The number written in the code that fills what a call returns."""
    if name in FILLS:
        return float(arguments[FILLS[name]])
    if name == "lift_fresh" and results[0].numel() == 1 and not results[0].is_complex():
        return float(results[0])
    return next((v.constant for v in arguments.values() if isinstance(v, Ref)), None) if name in COPIES else None


def _memory(tensor: torch.Tensor) -> int:
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except (NotImplementedError, RuntimeError):  # sparse and other tensors without storage
        return id(tensor)


def _overlap(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two tensors of one storage have an entry in common (large ones are taken to have)."""
    if (left.storage_offset(), left.stride()) == (right.storage_offset(), right.stride()):
        return True
    if max(left.numel(), right.numel()) > 1_000_000:
        return True
    places = []
    for tensor in (left, right):
        place = torch.tensor(tensor.storage_offset())
        for size, stride in zip(tensor.shape, tensor.stride(), strict=True):
            place = place.unsqueeze(-1) + stride * torch.arange(size)
        places.append(place.reshape(-1))
    return bool(torch.isin(*places).any())


def epsilons(name: str, arguments: dict[str, Any]) -> dict[float, str]:
    """The arguments of a call that are a normalization's small constant: value -> name of the argument."""
    values = {}
    for argument in _may_be_epsilon(name):
        value = arguments.get(argument)
        if isinstance(value, float) and 0 < value <= EPSILON:
            values[value] = argument
    return values


@functools.cache
def _may_be_epsilon(name: str) -> tuple[str, ...]:
    """Names of the arguments of an operation that may be a normalization's small constant."""
    sums = {"add": ("other",), "add_": ("other",), "clamp_min": ("min",), "clamp": ("min",)}
    return sums.get(name, ("eps", "epsilon") if "norm" in name else ())


class WithoutEpsilon(TorchDispatchMode):
    """Runs a model with every normalization's epsilon smaller by eleven orders, for an exact check in float64.

    Args:
        values: the constants that are epsilons, as a tape's ``epsilons``; None takes every small one for one, also
            where it is added to something else than a denominator.
    """

    def __init__(self, values: Collection[float] | None = None):
        super().__init__()
        self.values = values

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = _name(func)
        if not _may_be_epsilon(name):
            return func(*args, **(kwargs or {}))
        schema = func._schema
        arguments = {a.name: v for a, v in zip(schema.arguments, args, strict=False)} | (kwargs or {})
        small = {
            argument: value * 1e-11
            for value, argument in epsilons(name, arguments).items()
            if self.values is None or value in self.values
        }
        if not small:
            return func(*args, **(kwargs or {}))
        names = [a.name for a in schema.arguments]
        args = tuple(small.pop(names[i], value) for i, value in enumerate(args))
        return func(*args, **{**(kwargs or {}), **small})


@contextlib.contextmanager
def elementary():
    """Composite operations run as their elementary parts: attention as products and a softmax, no fused layers."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@contextlib.contextmanager
def _unfused():
    """Recurrent layers run as their elementary parts, which oneDNN computes as one in single precision."""
    enabled = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False
    try:
        yield
    finally:
        torch.backends.mkldnn.enabled = enabled


def record(function, parameters: Mapping[str, torch.Tensor]) -> Tape:
    """The tape of ``function()``, whose tensors returned are the results; parameters keep their names."""
    recorder = _Recorder()
    recorder.tape.parameters = {name: recorder.ref(tensor) for name, tensor in parameters.items()}
    with elementary(), _unfused(), recorder:
        results = function()
    tape = recorder.tape
    tape.results = [recorder.ref(leaf) for leaf in tensors(results)]
    below = tape.denominators()
    for call in tape.calls:
        if "norm" in call.name or (call.outputs and call.outputs[0].index in below):
            tape.epsilons.update(epsilons(call.name, call.arguments))
    return tape


def tensors(output: Any, depth: int = 4) -> list[torch.Tensor]:
    """Every tensor in what a model returns, also inside objects that PyTorch does not look into."""
    leaves = []
    for leaf in tree_leaves(output):
        if isinstance(leaf, torch.Tensor):
            leaves.append(leaf)
        elif depth and hasattr(leaf, "__dict__") and not isinstance(leaf, (type, torch.nn.Module)):
            leaves += tensors(vars(leaf), depth - 1)
    return leaves
