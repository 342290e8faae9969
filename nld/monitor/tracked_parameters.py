"""Which parameters the monitor follows, what measures them, and which numbers the optimizer applies to them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from nld.errors import InvalidInput
from nld.finder.block import Block, Member
from nld.finder.wrappers import clean_name, unwrap
from nld.monitor.charge_balance import MatrixBalance
from nld.monitor.charge_rows import Rows
from nld.monitor.inner_products.inner_products import InnerProducts
from nld.monitor.inner_products.layout import Use, squeezed
from nld.monitor.optimizers import Adapter, MomentumUpdate, momentum_update
from nld.monitor.sharded import gathered, is_sharded
from nld.symmetry import Kind


@dataclass
class ChargeGroup:
    """The blocks that are measured together and whose units carry a charge matrix of the same size."""

    measured_by: int  # index of their inner products
    size: int  # d
    rows: Rows
    columns: np.ndarray  # place of each unit among the units of all blocks
    balance: MatrixBalance | None  # for d > 1, what stays on the device


class TrackedParameters:
    """The parameters of all blocks, what measures them, and the optimizer's numbers for them.

    Args:
        model, blocks: see Monitor.
        optimizers: one or several, each with parameters of its own.
        adapters: of each optimizer.

    Raises:
        ValueError: a block names a parameter that the model lacks, or one block lies on several
            devices, or mixes double precision with another.
    """

    def __init__(
        self,
        model,
        optimizers: Sequence[torch.optim.Optimizer],
        blocks: Sequence[Block],
        adapters: Sequence[Adapter],
    ):
        named = _named_parameters(model)
        for block in blocks:
            missing = [name for name in block.parameters if name not in named]
            if missing:
                raise InvalidInput(
                    f"expected the parameters of block {block.name!r} in the model, got none named "
                    f"{', '.join(missing)}; give the model that the blocks were found in"
                )
        self.blocks, self.optimizers, self._adapters = list(blocks), list(optimizers), list(adapters)
        self._order: list[tuple[int, int]] = []  # of each group, its optimizer and its number there
        self.parameters = list({id(named[n]): named[n] for b in blocks for n in b.parameters}.values())
        self._sharded = any(is_sharded(parameter) for parameter in self.parameters)
        numbers = {id(parameter): i for i, parameter in enumerate(self.parameters)}
        self._place = {name: numbers[id(named[name])] for block in blocks for name in block.parameters}
        self._of_block = [[self._place[name] for name in block.parameters] for block in blocks]
        self.first_parameter = [places[0] for places in self._of_block]
        edges = np.cumsum([0, *(block.units for block in blocks)])
        self.units = int(edges[-1])
        self.inner_products: list[InnerProducts] = []
        self.charge_groups: list[ChargeGroup] = []
        self._measured: list[list[int]] = []  # by each of the inner products: places of parameters
        keys = [_key(block, [self.parameters[i] for i in p]) for block, p in zip(blocks, self._of_block, strict=True)]
        for key in dict.fromkeys(keys):
            self._measure_together([i for i, other in enumerate(keys) if other == key], edges)
        self.notes = [""] * len(blocks)
        self._read_groups()

    def _measure_together(self, chosen: Sequence[int], edges: np.ndarray) -> None:
        """Inner products and charge groups of the chosen blocks; ``edges``: between the units of blocks."""
        measured = list(dict.fromkeys(p for i in chosen for p in self._of_block[i]))
        alike: dict[int, list[int]] = defaultdict(list)  # blocks by the size of their matrices
        for i in chosen:
            alike[self.blocks[i].size].append(i)
        rows_of = {size: self._rows(numbers, measured) for size, numbers in alike.items()}
        uses = [use for rows in rows_of.values() for use in rows.uses]
        products = InnerProducts([self.parameters[p] for p in measured], uses)
        for size, rows in rows_of.items():
            balance = None if size == 1 else MatrixBalance(rows, size, products.device, products.dtype)
            columns = np.concatenate([np.arange(edges[i], edges[i + 1]) for i in alike[size]])
            self.charge_groups.append(ChargeGroup(len(self.inner_products), size, rows, columns, balance))
        self.inner_products.append(products)
        self._measured.append(measured)

    def _rows(self, numbers: Sequence[int], measured: list[int]) -> Rows:
        """The members of some blocks, block after block; ``measured``: places of what is measured with them."""
        uses, first_units = [], []
        row = unit = 0
        for number in numbers:
            block = self.blocks[number]
            for member in block.members:
                place = measured.index(self._place[member.parameter])
                for use in _uses(number, block, member, place, row):
                    uses.append(use)
                    first_units.append(unit)
                    row += member.units
            unit += block.units
        return Rows(uses, first_units, unit)

    def _read_groups(self) -> None:
        """Which parameter group each parameter is in, and what follows from that for the blocks."""
        self._sizes = self._group_sizes()
        numbers = [(i, n) for i, optimizer in enumerate(self.optimizers) for n in range(len(optimizer.param_groups))]
        self._order += [place for place in numbers if place not in self._order]  # later groups come last
        groups = {id(p): i for i, group in enumerate(self._groups()) for p in group["params"]}
        self.group = [groups.get(id(parameter)) for parameter in self.parameters]
        # Of each of the inner products, its parameters and their groups.
        self._grouped = [[(self.parameters[p], self.group[p]) for p in measured] for measured in self._measured]
        self._numbers: list[tuple] = [(None, None)] * len(self.inner_products)
        updates = self._updates()
        notes = [self._note(parameters, updates) for parameters in self._of_block]
        self.notes = [
            f"{old} until the optimizer was given another parameter group" if old and not new else new
            for old, new in zip(self.notes, notes, strict=True)
        ]
        self.equilibrium = [self._equilibrium(parameters, updates) for parameters in self._of_block]

    def named(self) -> dict[str, torch.Tensor]:
        """The parameters by the names that blocks give them."""
        return {name: self.parameters[place] for name, place in self._place.items()}

    def updates(self) -> tuple[MomentumUpdate, ...]:
        """The optimizer's numbers for each of its parameter groups, as they are now."""
        if self._group_sizes() != self._sizes:
            self._read_groups()
        return self._updates()

    def _updates(self) -> tuple[MomentumUpdate, ...]:
        groups = zip(self._order, self._groups(), strict=True)
        return tuple(momentum_update(self._adapters[i], group) for (i, _), group in groups)

    def _group_sizes(self) -> list[list[int]]:
        return [[len(group["params"]) for group in optimizer.param_groups] for optimizer in self.optimizers]

    def _groups(self) -> list[dict]:
        """The parameter groups of all optimizers."""
        return [self.optimizers[i].param_groups[n] for i, n in self._order]

    def skipping(self) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """What a gradient scaler tells a fused optimizer: whether to skip the step, and the scale of the gradients."""
        if len(self.optimizers) > 1:
            return None, None
        return getattr(self.optimizers[0], "found_inf", None), getattr(self.optimizers[0], "grad_scale", None)

    def _note(self, parameters: list[int], updates: tuple[MomentumUpdate, ...]) -> str:
        still = [i for i in parameters if self.group[i] is None or not self.parameters[i].requires_grad]
        if still and len(still) < len(parameters):
            return "some of its parameters are not trained by this optimizer: the charge is not balanced"
        applied = [updates[group] for i in parameters if (group := self.group[i]) is not None]
        if len({update.coefficient for update in applied}) > 1:
            text = "its parameters take up the gradient with different coefficients c: "
            if any(update.constant_coefficient is None for update in applied):
                return text + "the charge is not balanced"
            return text + "each term is a sum over members, each moved by its own rule and counted in units of its c"
        if len({update.decay for update in applied}) > 1:
            return "its parameters have different momentum: each term is a sum over members, each with its own beta"
        return "not trained by this optimizer" if still else ""

    def _equilibrium(self, parameters: list[int], updates: tuple[MomentumUpdate, ...]) -> str | None:
        forms = {updates[group].equilibrium for i in parameters if (group := self.group[i]) is not None}
        return forms.pop() if len(forms) == 1 else None

    def state(self, which: int, updates: tuple[MomentumUpdate, ...]):
        """Gradients, momenta, parameters and numbers of what the inner products ``which`` measure, as they are now.

        Returns:
            Three lists of tensors, None where there is none, and an array of the balance's DECAY,
            COEFFICIENT, COUPLED, BARE and WEIGHT, (5, parameters).
        """
        states, nothing, grouped = [self.optimizers[i].state for i, _ in self._order], {}, self._grouped[which]
        buffers = [update.buffer for update in updates]
        gradients = [None if group is None else parameter.grad for parameter, group in grouped]
        momenta = [
            None
            if group is None or buffers[group] is None
            else states[group].get(parameter, nothing).get(buffers[group])
            for parameter, group in grouped
        ]
        key = updates, [gradient is None for gradient in gradients], [momentum is None for momentum in momenta]
        if self._numbers[which][0] != key:
            numbers = [
                _numbers(None if group is None else updates[group], gradient is not None, momentum is not None)
                for (_, group), gradient, momentum in zip(grouped, gradients, momenta, strict=True)
            ]
            self._numbers[which] = (key, np.array(numbers).T)
        parameters = self.inner_products[which].parameters
        if self._sharded:
            gradients, momenta, parameters = gathered(gradients), gathered(momenta), gathered(parameters)
        return gradients, momenta, parameters, self._numbers[which][1]

    def hyperparameters(self, updates: tuple[MomentumUpdate, ...]) -> list[tuple]:
        """Learning rate, momentum, coefficient and weight decay of each group; tensors stay on their device."""
        return [
            (_snapshot(group.get("lr")), update.decay, update.coefficient, update.weight_decay)
            for group, update in zip(self._groups(), updates, strict=True)
        ]

    def remember(self) -> None:
        """Copy all positions: the last step's displacement is not known, and starts from here."""
        for products in self.inner_products:
            products.remember(gathered(products.parameters) if self._sharded else products.parameters)
        for charges in self.charge_groups:
            if charges.balance is not None:
                charges.balance.forget()


def _uses(number: int, block: Block, member: Member, place: int, row: int) -> list[Use]:
    """A member's use; c (q + a) of a member with an offset is c q, and beside it the constant c a."""
    member = squeezed(member)
    uses = [Use(number, block.kind, member, place, row, block.size)]
    if member.offset:
        constant = replace(member, coefficient=member.coefficient * member.offset)
        uses.append(Use(number, Kind.TRANSLATION, constant, place, row + member.units, 1, again=True))
    return uses


def _named_parameters(model) -> Mapping[str, torch.Tensor]:
    """All parameters by the names that blocks may give them: with wrappers' prefixes and without."""
    own = dict(model.named_parameters(remove_duplicate=False))
    # The model's own names come last, so that they count: it may have a submodule that is called "module".
    bare = dict(unwrap(model)[0].named_parameters(remove_duplicate=False))
    return {clean_name(name): parameter for name, parameter in own.items()} | own | bare


def _snapshot(value):
    """A number, or a copy of a device's tensor that is read when steps are finished; NaN of an optimizer's own rate."""
    if value is None:
        return np.nan
    if isinstance(value, torch.Tensor):
        return float(value) if value.device.type == "cpu" else value.detach().clone()
    return value


def _numbers(update: MomentumUpdate | None, has_gradient: bool, has_momentum: bool) -> tuple[float, ...]:
    """β, c, c k, whether π is the bare gradient, and the c of every step, of one parameter at one step."""
    always = None if update is None else update.constant_coefficient
    always = np.nan if update is None or always is None else always * update.sign
    if update is None or not has_gradient:  # the optimizer passes it over: nothing changes
        bare = update is None or update.buffer is None
        return (0.0, 0.0, 0.0, 1.0, always) if bare else (1.0, 0.0, 0.0, 0.0, always)
    c = update.coefficient if has_momentum or update.buffer is None else update.first_coefficient
    return update.decay, c * update.sign, c * update.coupled_decay, float(update.buffer is None), always


def _key(block: Block, parameters: list[torch.Tensor]) -> tuple:
    """Device and precision of a block."""
    if any(parameter.is_complex() for parameter in parameters):
        raise InvalidInput(f"expected real parameters in block {block.name!r}, got complex ones; leave the block out")
    keys = {(parameter.device, parameter.dtype == torch.float64) for parameter in parameters}
    if len(keys) > 1:
        raise InvalidInput(
            f"expected all parameters of block {block.name!r} on one device and in one precision, "
            f"got {sorted({(str(p.device), str(p.dtype)) for p in parameters})}; leave the block out"
        )
    return keys.pop()
