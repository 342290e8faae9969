"""How many functions of the parameters training conserves on any data: counted, and compared with known symmetries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import grad, vmap

from nld.errors import InvalidInput, did_you_mean
from nld.finder.block import Block
from nld.finder.flat_parameters import FlatParameters, flat
from nld.finder.known_laws import generators_of, momentum_laws, momentum_mirror_laws, position_laws
from nld.finder.lie_algebra import Family, lie_span, numerical_rank
from nld.symmetry import Symmetry

FLOWS = ("gradient", "momentum", "mirror", "momentum mirror")
SYMMETRY_TOLERANCE = 1e-7  # of |<∇phi, A>| over the lengths, for a symmetry that phi has
Metric = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class ConservationLaws:
    """What ``count_conservation_laws`` counted; ``int`` of it is the number of independent laws.

    Args:
        flow: "gradient", "momentum", "mirror" or "momentum mirror".
        dimension: D coordinates of the parameters; under momentum 2 D + 1, with velocities and time.
        ranks: dimension of the Lie algebra at the point, with brackets of 1, 2, 3, … fields.
        settled: whether the last brackets added nothing; otherwise the count is only an upper bound.
        smallest_kept: smallest singular value that counted, over the largest.
        largest_dropped: largest one that did not; a count is sound if the two are decades apart.
        known: number of independent laws that the given symmetries explain, a lower bound.
    """

    flow: str
    dimension: int
    ranks: tuple[int, ...]
    settled: bool
    smallest_kept: float
    largest_dropped: float
    known: int

    def __int__(self) -> int:
        return self.dimension - self.ranks[-1]

    __index__ = __int__

    @property
    def complete(self) -> bool:
        """Whether the given symmetries explain every law: lower and upper bound meet."""
        return self.known == int(self)

    def __str__(self) -> str:
        bound = "" if self.settled else "at most "
        ranks = ", ".join(str(rank) for rank in self.ranks)
        missing = "all of them" if self.complete else f"{self.known} of them"
        return (
            f"{bound}{int(self)} laws under {self.flow} flow: {self.dimension} dimensions, Lie algebra of rank "
            f"{ranks}; the given symmetries explain {missing}"
        )


def count_conservation_laws(
    phi: Callable[[Any], Any],
    theta: Any,
    flow: str = "gradient",
    *,
    symmetries: Sequence[Block | Symmetry] = (),
    friction: float | Callable[[Tensor], Tensor] = 1.0,
    inverse_metric: Metric | None = None,
    rounds: int = 6,
    tolerance: float = 1e-9,
    seed: int = 0,
) -> ConservationLaws:
    """The number of independent conservation laws of a flow, for any loss that sees the parameters through phi.

    A function h is conserved whatever the data if it is constant along every field of the flow, hence along all their
    brackets: count = dimension - dim Lie(fields). The fields are

    - gradient: X_i = ∇phi_i, on D coordinates;
    - mirror: X_i = F(q)^{-1} ∇phi_i;
    - momentum, q'' + tau(t) q' = -∇L, on the 2 D + 1 coordinates (t, q, v): X_0 = (1, v, -tau v), X_i = (0, 0, ∇phi_i);
    - momentum mirror, y' = -F(y)^{-1} ∇L(q) with y = q + q'/tau, which is q'' + tau q' = -tau F(y)^{-1} ∇L: X_0 as
      before, X_i = (0, 0, tau F(y)^{-1} ∇phi_i). F = ∇²h, and <∇h(y), A> is a law for a constant generator A;
      a linear one A q gives exp(tau t) <∇h(y), A q> if it leaves h alone, as the entropy is left alone by none.

    Holds if theta is generic (random, no zero biases) and ``.settled``. Then no law is missing and none is listed
    twice; ``.ranks``, ``.smallest_kept`` and ``.largest_dropped`` show how it was decided.

    Args:
        phi: from parameters like theta to a tensor (or several) through which the loss sees them: U @ V of two linear
            layers, or a network's outputs on inputs. Few inputs see little: take enough that more do not change the
            count.
        theta: a tensor, or a mapping or sequence of tensors; computed with in float64.
        flow: "gradient", "momentum", "mirror" or "momentum mirror".
        symmetries: blocks of ``find_symmetries``, for which theta is a mapping of their names, or ``Symmetry`` values
            that act on theta's tensors in order. They give ``.known``, under momentum mirror by constant
            generators alone.
        friction: tau of the momentum flow, a number or a function of time; Nesterov's is ``lambda t: 3 / t``. Of the
            momentum mirror flow a number above zero.
        inverse_metric: (theta, gradient) -> F(theta)^{-1} gradient of the mirror flows, linear in the gradient, such
            as ``Potential.inverse_metric``. None is the entropy's, theta * gradient.
        rounds: the deepest brackets nest so many fields; each costs five times the last,
            unless the fields are affine.
        tolerance: singular values below it, over the largest, count as zero.
        seed: of the random brackets, velocities and neighbouring point.

    Raises:
        ValueError: the flow is unknown, theta is empty or not generic, or phi does not have a given symmetry.

    References:
        Marcotte, Gribonval, Peyré (2023, 2024).
    """
    if flow not in FLOWS:
        raise InvalidInput(f"expected a flow among {', '.join(FLOWS)}, got {flow!r}{did_you_mean(flow, FLOWS)}")
    if inverse_metric is not None and "mirror" not in flow:
        raise InvalidInput(f"expected an inverse_metric only with flow='mirror', got one with {flow!r}; leave it out")
    ahead = None
    if flow == "momentum mirror":
        if callable(friction) or not friction > 0:
            raise InvalidInput(f"expected a number > 0 as friction of momentum mirror flow, got {friction!r}; give one")
        ahead = 1 / friction
    parameters, random = FlatParameters.of(theta), torch.Generator().manual_seed(seed)
    raised = _raised(parameters, inverse_metric) if "mirror" in flow else lambda point, gradient: gradient
    tau = friction if callable(friction) else lambda time: friction + 0 * time
    slope = _slopes(parameters.outputs(phi))
    outputs = len(parameters.outputs(phi)(parameters.point))
    points = (parameters.point, parameters.nearby(random))
    family, size, states = (lambda w, point: raised(point, slope(w, point))), outputs, points
    if "momentum" in flow:
        family, size = _with_momentum(slope, tau, raised, ahead), outputs + 1
        states = [_state(point, random) for point in points]
    span = lie_span(family, size, states[0], rounds, tolerance, seed)
    beside = lie_span(family, size, states[1], 2, tolerance, seed)  # no need for the costly deep brackets
    if span.ranks[:2] != beside.ranks[:2]:
        raise InvalidInput(
            f"expected a generic theta, got ranks {span.ranks[:2]} there and {beside.ranks[:2]} beside it; "
            "start from random values (no zero biases, no equal units)"
        )
    generators = generators_of(symmetries, parameters)
    _refuse_broken(slope, outputs, generators(points[0]), points[0], random)
    if flow == "momentum":
        laws = momentum_laws(generators, states[0], tau, points)
    elif ahead is not None:
        laws = momentum_mirror_laws(generators, _lowered(raised), states[0], ahead, points)
    else:
        laws = position_laws(generators, _lowered(raised), points)
    known = numerical_rank(_unit_rows(laws), tolerance)[0]
    return ConservationLaws(
        flow, len(states[0]), span.ranks, span.settled, span.smallest_kept, span.largest_dropped, known
    )


def _slopes(outputs: Callable[[Tensor], Tensor]) -> Family:
    """(w, point) -> sum_i w_i ∇phi_i."""
    return lambda w, point: grad(lambda q: outputs(q) @ w)(point)


def _with_momentum(
    slope: Family, friction: Callable[[Tensor], Tensor], raised: Metric, ahead: float | None = None
) -> Family:
    """The fields of momentum on (t, q, v): w_0 (1, v, -tau v) + sum_i w_i (0, 0, ∇phi_i).

    ``ahead`` is 1/tau of momentum mirror, whose metric is that at q + v/tau.
    """

    def family(w: Tensor, state: Tensor) -> Tensor:
        time, (q, v) = state[:1], state[1:].chunk(2)
        force = slope(w[1:], q)
        if ahead is not None:
            force = raised(q + ahead * v, force) / ahead
        return torch.cat([w[:1], w[0] * v, force - w[0] * friction(time) * v])

    return family


def _state(point: Tensor, random: torch.Generator) -> Tensor:
    """A time between 1 and 2, the point, and a velocity, which are random."""
    time = 1 + torch.rand(1, generator=random, dtype=point.dtype)
    return torch.cat([time, point, torch.randn(len(point), generator=random, dtype=point.dtype)])


def _raised(parameters: FlatParameters, inverse_metric: Metric | None) -> Metric:
    """(q, g) -> F(q)^{-1} g in coordinates."""
    if inverse_metric is None:
        return lambda point, gradient: point * gradient
    return lambda point, gradient: flat(inverse_metric(parameters.theta(point), parameters.theta(gradient)))


def _lowered(raised: Metric) -> Metric:
    """(q, vectors) -> F(q) vectors, each a row."""

    def lowered(point: Tensor, vectors: Tensor) -> Tensor:
        inverse = vmap(partial(raised, point))(torch.eye(len(point), dtype=point.dtype))  # symmetric
        return torch.linalg.solve(inverse, vectors.mT).mT

    return lowered


def _unit_rows(rows: Tensor) -> Tensor:
    lengths = rows.norm(dim=1, keepdim=True)
    return torch.where(lengths > 0, rows / lengths, 0.0)


def _refuse_broken(slope: Family, size: int, directions: Tensor, point: Tensor, random: torch.Generator) -> None:
    """Raise InvalidInput if phi changes along one of the directions."""
    if not len(directions):
        return
    g = slope(torch.randn(size, generator=random, dtype=point.dtype), point)
    angle = float((_unit_rows(directions) @ (g / g.norm())).abs().max())
    if angle > SYMMETRY_TOLERANCE:
        raise InvalidInput(
            f"expected symmetries of phi, got one along which it changes (cosine {angle:.1e} with a gradient); "
            "find them again for this phi, and set a normalization's eps to zero"
        )
