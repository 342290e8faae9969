"""The exact discrete law, term by term: what a charge did and what it should have done.

For an affine generator A with linear part DA, ⟨g, A(q)⟩ = 0 and π_{n+1} = β π_n + c (g_n + k q_n),

    charge_{n+1} - charge_n = (β - 1) charge_n + β ⟨π_n, DA Δq_{n-1}⟩ + c k ⟨q_n, A(q_n)⟩
                              dissipation        kinetic symm. breaking  weight decay

with charge_{n+1} = ⟨π_{n+1}, A(q_n)⟩. The left side is measured from the new momentum, the right
side from the old one and the displacement; their difference is the residual, which equals
c ⟨g_n, A(q_n)⟩ and vanishes where the symmetry is exact. Members of a block may have different
β, c and k, as where Muon moves one and AdamW the other: each term is summed member by member, with π
weighted by c of the first member over its own c, so that all take up g alike and the law stays exact.
Reference: the discrete form of Eq 8, with no limit taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from nld.monitor.charge_rows import BARE, COEFFICIENT, COUPLED, DECAY, WEIGHT, Part, Rows
from nld.monitor.inner_products.products import COLUMNS, MATRICES, SQUARES
from nld.monitor.quantities import BALANCE, ratio

# What a matrix balance writes at every measurement: of the step that ends, and of the one that begins.
_FINISH = (
    "charge", "weight_decay_term", "residual", "squared_norm", "squared_step", "radial_step", "squared_momentum",
    "imbalance",
)  # fmt: skip
_START = ("dissipation", "kinetic_symmetry_breaking", "squared_gradient", "violation")
MATRIX_COLUMNS = (*_FINISH, *_START)
TERMS = (*MATRIX_COLUMNS, "charge_bound", "generator_step")


def scalar_terms(
    rows: Rows,
    measured: Sequence[np.ndarray],
    starts: np.ndarray | slice,
    ends: np.ndarray | slice,
    numbers: np.ndarray,
    joined: np.ndarray,
    columns: np.ndarray,
    out: Mapping[str, np.ndarray],
) -> None:
    """TERMS of blocks with one charge a unit, for T steps at once.

    Args:
        measured: COLUMNS, one after the other several of (measurements, columns, rows).
        starts, ends: of each step the measurement when its gradient was there, and the one a step later.
        numbers: DECAY, COEFFICIENT, COUPLED, BARE, WEIGHT of each row at each step, (T or 1, 5, rows).
        joined: whether the step before is the previous one in the list, (T,). The last charge of
            a row whose π is the bare gradient is known only then.
        columns: place of each unit among all units.
        out: for each of TERMS (T, all units), is written to; charge has the unit of ⟨π, A(q)⟩, squared quantities of
            their vectors.
    """
    turned = np.diff(numbers[:, WEIGHT], axis=0, prepend=numbers[:1, WEIGHT])
    turned = joined[:, None] * turned if turned.any() else None
    together = {name: np.empty((len(joined), rows.units)) for name in _TOGETHER}
    features = np.empty(rows.units)
    longest = max((part.rows.count for part in rows.parts), default=0)  # memory is taken once: new pages cost time
    products, terms = (
        np.empty(count * longest) for count in (sum(map(len, measured)) * len(COLUMNS), len(_TOTALS) * len(joined))
    )
    for part in rows.parts:
        some, units, count = part.of_rows, part.of_units, part.rows.count
        features[units] = part.rows.total(part.first * part.features)
        known = products[: len(products) // longest * count].reshape(-1, len(COLUMNS), count)
        np.concatenate([each[..., some] for each in measured], out=known)
        of_rows = terms[: len(terms) // longest * count].reshape(len(_TOTALS), len(joined), count)
        _terms_of_rows(
            part,
            known[starts],
            known[ends],
            numbers[..., some],
            joined,
            None if turned is None else turned[:, some],
            dict(zip(_TOTALS, of_rows, strict=True)),
        )
        places = runs(columns[units])
        for name, values in zip(_TOTALS, part.rows.total(of_rows), strict=True):
            if name in together:
                together[name][:, units] = values
            if name in out:
                place_in(out[name], places, values)
    momentum, gradient, size, along = together.values()
    # A unit of one entry that a symmetry moves (a key's bias) has no gradient but rounding errors, and
    # all of it lies along the generator: it is measured against the typical entry of the other blocks.
    typical_momentum, typical_gradient = (_at_least_typical(each, features) for each in (momentum, gradient))
    places = runs(columns)
    place_in(out["charge_bound"], places, np.sqrt(typical_momentum * size))
    place_in(out["violation"], places, ratio(np.abs(along), np.sqrt(typical_gradient * size)))


def runs(columns: np.ndarray) -> list[tuple[slice, slice]]:
    """Columns that follow one another, as slices, and where they are in the list."""
    edges = [0, *np.flatnonzero(np.diff(columns) != 1) + 1, len(columns)]
    return [(slice(columns[a], columns[a] + b - a), slice(a, b)) for a, b in pairwise(edges) if a < b]


def place_in(out: np.ndarray, places: Sequence[tuple[slice, slice]], values: np.ndarray) -> None:
    """Values, (T, units), where ``runs`` says."""
    for place, of in places:
        out[:, place] = values[:, of]


# What is a sum over the members of each unit.
_TOTALS = (*BALANCE, "squared_norm", "imbalance", "squared_step", "radial_step", "squared_gradient", "squared_momentum")
_TOTALS = (*_TOTALS, "generator_step", "size", "gradient")
_TOGETHER = ("squared_momentum", "squared_gradient", "size", "gradient")  # of which all units are compared


def _terms_of_rows(part: Part, start, finish, numbers, joined, turned, out: dict[str, np.ndarray]) -> None:
    """_TOTALS of each row, (T, rows), to ``out``; arguments as for `scalar_terms`, of the part's rows alone."""
    start_of = dict(zip(COLUMNS, np.moveaxis(start, 1, 0), strict=True))
    finish_of = dict(zip(COLUMNS, np.moveaxis(finish, 1, 0), strict=True))
    decay, coefficient, coupled, bare, weight = np.moveaxis(numbers, 1, 0)
    sign, first = part.sign, part.first
    weighted = sign * weight
    gradient, weight_decay, charge = (out[name] for name in ("gradient", "weight_decay_term", "charge"))
    np.multiply(sign, start_of["gradient_generator"] + start_of["gradient_moved"], out=gradient)
    np.multiply(coupled * weighted, finish_of["position_generator"], out=weight_decay)
    taken_up = bare * (coefficient * weight * gradient + weight_decay)
    np.add(weighted * finish_of["momentum_generator"], taken_up, out=charge)
    before = weighted * start_of["momentum_generator"]
    squared_momentum = finish_of["momentum_momentum"]
    if bare.any():
        last = np.concatenate([np.zeros_like(charge[:1]), charge[:-1]]) * joined[:, None]
        before = np.where(bare > 0, last, before)
        size = np.abs(coefficient) * np.sqrt(start_of["gradient_gradient"])
        size = size + coupled * np.sqrt(finish_of["position_position"])
        squared_momentum = np.where(bare > 0, size**2, squared_momentum)
    np.multiply(decay - 1, before, out=out["dissipation"])
    if turned is not None:  # a schedule of one member's momentum: its charge is now counted with another weight
        out["dissipation"] += turned * sign * start_of["momentum_generator"]
    moved = weighted * start_of["momentum_moved"]
    np.multiply(decay, moved, out=out["kinetic_symmetry_breaking"])
    moved += before
    np.subtract(charge, np.add(decay * moved, weight_decay, out=moved), out=out["residual"])
    np.multiply(first, finish_of["position_position"], out=out["squared_norm"])
    np.multiply(sign, finish_of["position_generator"], out=out["imbalance"])
    np.multiply(first, finish_of["displacement_displacement"], out=out["squared_step"])
    np.multiply(first, finish_of["position_displacement"], out=out["radial_step"])
    np.multiply(sign, finish_of["position_displacement"], out=out["generator_step"])
    np.copyto(out["generator_step"], np.nan, where=part.constant)
    np.multiply(first, start_of["gradient_gradient"], out=out["squared_gradient"])
    np.multiply(first * weight**2, squared_momentum, out=out["squared_momentum"])
    squares = np.where(part.constant, part.features, finish_of["position_position"])
    np.multiply(sign**2, squares, out=out["size"])
    out["size"] *= part.affine


def _at_least_typical(squares: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Squares of units, of one-entry units at least the mean square of an entry over all units at each step."""
    single = np.flatnonzero(features == 1)
    if not len(single):
        return squares
    typical, at_least = squares.sum(-1, keepdims=True) / features.sum(), squares.copy()
    at_least[:, single] = np.maximum(squares[:, single], typical)
    return at_least


@dataclass(frozen=True)
class RowNumbers:
    """DECAY, COEFFICIENT, COUPLED, BARE, WEIGHT of one step on the device."""

    of_rows: torch.Tensor  # (5, rows)
    of_units: torch.Tensor | None  # (5, units), where all rows of a unit have the same

    def unless(self, skipped: torch.Tensor) -> "RowNumbers":
        """The same, or if ``skipped`` is positive those of a step that is not taken."""

        def chosen(numbers: torch.Tensor) -> torch.Tensor:
            still = torch.zeros_like(numbers)
            still[DECAY] = 1 - numbers[BARE]
            still[[BARE, WEIGHT]] = numbers[[BARE, WEIGHT]]
            return torch.where((skipped > 0).to(numbers.device), still, numbers)

        return RowNumbers(chosen(self.of_rows), None if self.of_units is None else chosen(self.of_units))


class MatrixBalance:
    """The charge balance of general_linear and rotation blocks, whose charge is a d x d matrix a unit.

    The matrix ⟨π, A_B(q)⟩ over all B never leaves the device; its Frobenius norm does, and those of
    dissipation, kinetic symmetry breaking, weight decay and residual. For rotation the
    antisymmetric part is kept: the charges of an orthonormal basis of antisymmetric B.
    """

    def __init__(self, rows: Rows, size: int, device: torch.device, dtype: torch.dtype):
        self.rows, self.device, self.dtype = rows, device, dtype
        uses = list(zip(rows.uses, rows.first_unit, strict=True))
        self._unit = torch.cat([torch.arange(unit, unit + use.member.units) for use, unit in uses]).to(device)
        self._rotation = torch.zeros(rows.units, 1, 1, dtype=torch.bool, device=device)
        for use, unit in uses:
            self._rotation[unit : unit + use.member.units] = use.kind.is_antisymmetric
        self._rotates = any(use.kind.is_antisymmetric for use in rows.uses)
        zeros = torch.zeros(rows.units, size, size, device=device, dtype=dtype)
        nothing = torch.zeros(5, self._unit.numel(), device=device, dtype=dtype)
        self._zeros = zeros, zeros, RowNumbers(nothing, nothing[:, : rows.units])
        # Of the step that has begun: β (charge + moved), c ⟨g, A⟩ of bare rows, and its numbers.
        self.state = self._zeros

    def forget(self) -> None:
        """Start anew: the last step is not the one before the next."""
        self.state = self._zeros

    def numbers(self, of_rows: np.ndarray) -> "RowNumbers":
        """Numbers of rows, (5, rows), on the device."""
        unit = self._unit.cpu().numpy()
        of_units = np.zeros((len(of_rows), self.rows.units))
        of_units[:, unit] = of_rows
        same = np.array_equal(of_units[:, unit], of_rows, equal_nan=True)
        both = (torch.from_numpy(each).to(self.device, self.dtype) for each in (of_rows, of_units))
        return RowNumbers(next(both), next(both) if same else None)

    def _summed(self, values: torch.Tensor) -> torch.Tensor:
        """Sums over the members of every unit, of each product: (products, rows, …) to (products, units, …)."""
        total = values.new_zeros(len(values), self.rows.units, *values.shape[2:]).index_add_(1, self._unit, values)
        if values.ndim == 2 or not self._rotates:
            return total
        return torch.where(self._rotation, (total - total.transpose(2, 3)) / 2, total)

    @torch.no_grad()
    def measure(self, matrices: torch.Tensor, squares: torch.Tensor, numbers: "RowNumbers", out: torch.Tensor) -> None:
        """End one step and begin the next.

        Args:
            matrices: products.MATRICES, (products, rows, d, d).
            squares: products.SQUARES, (products, rows).
            numbers: DECAY, COEFFICIENT, COUPLED, BARE, WEIGHT of the step that begins.
            out: MATRIX_COLUMNS, (columns, units), is written to.
        """
        predicted, bare_charge, last_numbers = self.state
        if numbers.of_units is not None and last_numbers.of_units is not None:  # sums first: there are fewer
            matrices, squares = self._summed(matrices), self._summed(squares)
            now, last, total = numbers.of_units, last_numbers.of_units, _weighted
        else:
            now, last = numbers.of_rows, last_numbers.of_rows

            def total(values: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
                return self._summed(_weighted(values, weight)[None])[0]

        of = dict(zip((*MATRICES, *SQUARES), (*matrices, *squares), strict=True))
        on_momentum, on_position = of["momentum_generator"], of["position_generator"]
        decay, coefficient, _, bare, weight = now
        last_weight = torch.where(last[WEIGHT] == 0, weight, last[WEIGHT])  # 0 where no step ends
        coupled = last[COUPLED] * last_weight
        weight_decay = total(on_position, coupled)
        charge = total(on_momentum, last_weight) + bare_charge + total(on_position, coupled * last[BARE])
        moved = total(of["momentum_moved"], decay * weight)
        remaining = total(on_momentum, decay * weight)
        values = {
            "charge": _norm(charge),
            "weight_decay_term": _norm(weight_decay),
            "residual": _norm(charge - predicted - weight_decay),
            "squared_norm": total(of["position_position"]),
            "squared_step": total(of["displacement_displacement"]),
            "radial_step": total(of["position_displacement"]),
            "squared_momentum": total(of["momentum_momentum"], last_weight**2),
            "imbalance": _norm(total(on_position)),
            "dissipation": _norm(remaining - charge),
            "kinetic_symmetry_breaking": _norm(moved),
            "squared_gradient": total(of["gradient_gradient"]),
            "violation": _norm(total(of["gradient_now"])),
        }
        torch.stack([values[name] for name in MATRIX_COLUMNS], out=out)
        self.state = remaining + moved, total(of["gradient_now"], coefficient * bare * weight), numbers


def _weighted(values: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Values of rows or units, each times its weight."""
    return values if weight is None else values * weight.view(-1, *[1] * (values.ndim - 1))


def _norm(matrices: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(matrices, dim=(1, 2))


def matrix_terms(rows: Rows, start: np.ndarray, finish: np.ndarray, numbers: np.ndarray) -> dict:
    """TERMS of blocks with a matrix of charges a unit, from MATRIX_COLUMNS, (T, columns, units).

    ``numbers`` as for scalar_terms. All charges are Frobenius norms. A matrix ⟨Δq, A(q)⟩ would be a product of its own.
    """
    values = {name: finish[:, MATRIX_COLUMNS.index(name)] for name in _FINISH}
    values |= {name: start[:, MATRIX_COLUMNS.index(name)] for name in _START}
    members = rows.total(np.ones_like(numbers[:, BARE]))
    bare, coefficient = rows.total(numbers[:, BARE]) / members, rows.total(numbers[:, COEFFICIENT]) / members
    norm = np.sqrt(values["squared_norm"])
    bare_momentum = coefficient**2 * values["squared_gradient"]
    values["squared_momentum"] = np.where(bare > 0, bare_momentum, values["squared_momentum"])
    values["charge_bound"] = np.sqrt(values["squared_momentum"]) * norm
    values["generator_step"] = np.full_like(norm, np.nan)
    values["violation"] = ratio(values["violation"], np.sqrt(values["squared_gradient"]) * norm)
    return values
