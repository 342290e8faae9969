"""Which parameters the monitor follows, on which sheet, and which numbers the optimizer applies to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.wrappers import clean_name, unwrap
from nld.monitor.charge_balance import MatrixBooks, Rows
from nld.monitor.inner_products.inner_products import Sheet, Use
from nld.monitor.optimizers import Adapter, Rule, rule_of


@dataclass
class Account:
    """The blocks of one sheet whose units carry a charge matrix of the same size.

    Args:
        sheet: index of the sheet.
        size: d.
        rows: which unit each row belongs to.
        columns: place of each unit among the units of all blocks.
        books: for d > 1, what is kept on the device.
    """

    sheet: int
    size: int
    rows: Rows
    columns: np.ndarray
    books: MatrixBooks | None


class Ledger:
    """The tracked parameters, laid out on sheets, and the optimizer's numbers for them.

    Args:
        model, optimizer, blocks, adapter: see Monitor.

    Raises:
        ValueError: a block names a parameter that the model lacks, or one block lies on several
            devices, or mixes double precision with another.
    """

    def __init__(self, model, optimizer: torch.optim.Optimizer, blocks: Sequence[Block], adapter: Adapter):
        own = dict(model.named_parameters(remove_duplicate=False))
        # The model's own names come last, so that they count: it may have a submodule that is called "module".
        bare = dict(unwrap(model)[0].named_parameters(remove_duplicate=False))
        named = {clean_name(name): parameter for name, parameter in own.items()} | own | bare
        for block in blocks:
            missing = [name for name in block.parameters if name not in named]
            if missing:
                raise InvalidInput(
                    f"expected the parameters of block {block.name!r} in the model, got none named "
                    f"{', '.join(missing)}; give the model that the blocks were found in"
                )
        self.blocks, self.optimizer, self.adapter = list(blocks), optimizer, adapter
        self.parameters = list({id(named[n]): named[n] for b in blocks for n in b.parameters}.values())
        place = {id(parameter): i for i, parameter in enumerate(self.parameters)}
        self._followed: list[list[int]] = []  # of each sheet, places of its parameters
        self.first_parameter = [place[id(named[block.parameters[0]])] for block in blocks]
        self._members = [[place[id(named[name])] for name in block.parameters] for block in blocks]
        keys = [_key(block, [self.parameters[i] for i in m]) for block, m in zip(blocks, self._members, strict=True)]
        offsets = np.cumsum([0, *(block.units for block in blocks)])
        self.units = int(offsets[-1])
        self.sheets: list[Sheet] = []
        self.accounts: list[Account] = []
        for key in dict.fromkeys(keys):
            chosen = [i for i, other in enumerate(keys) if other == key]
            followed = list(dict.fromkeys(p for i in chosen for p in self._members[i]))
            uses, firsts, columns, totals = {}, {}, {}, {}
            for i in chosen:
                block = blocks[i]
                first = sum(len(c) for c in columns.get(block.size, []))
                columns.setdefault(block.size, []).append(np.arange(offsets[i], offsets[i + 1]))
                for member in block.members:
                    row = totals.get(block.size, 0)
                    local = followed.index(place[id(named[member.parameter])])
                    uses.setdefault(block.size, []).append(Use(i, block.kind, member, local, row, block.size))
                    firsts.setdefault(block.size, []).append(first)
                    totals[block.size] = row + member.units
            sheet = Sheet([self.parameters[p] for p in followed], [u for group in uses.values() for u in group])
            for size, group in uses.items():
                rows = Rows(group, firsts[size], sum(len(c) for c in columns[size]))
                books = None if size == 1 else MatrixBooks(rows, size, sheet.device, sheet.dtype)
                self.accounts.append(Account(len(self.sheets), size, rows, np.concatenate(columns[size]), books))
            self.sheets.append(sheet)
            self._followed.append(followed)
        self.notes = [""] * len(blocks)
        self._read_groups()

    def _read_groups(self) -> None:
        """Which parameter group each parameter is in, and what follows from that for the blocks."""
        self._sizes = [len(group["params"]) for group in self.optimizer.param_groups]
        groups = {id(p): i for i, group in enumerate(self.optimizer.param_groups) for p in group["params"]}
        self.group = [groups.get(id(parameter)) for parameter in self.parameters]
        # Of each sheet, its parameters and their groups.
        self._tracked = [[(self.parameters[p], self.group[p]) for p in followed] for followed in self._followed]
        self._numbers: list[tuple] = [(None, None)] * len(self.sheets)
        rules = self._rules()
        notes = [self._note(members, rules) for members in self._members]
        self.notes = [
            f"{old} until the optimizer was given another parameter group" if old and not new else new
            for old, new in zip(self.notes, notes, strict=True)
        ]
        self.equilibrium = [self._equilibrium(members, rules) for members in self._members]

    def rules(self) -> tuple[Rule, ...]:
        """The optimizer's numbers for each of its parameter groups, as they are now."""
        if [len(group["params"]) for group in self.optimizer.param_groups] != self._sizes:
            self._read_groups()
        return self._rules()

    def _rules(self) -> tuple[Rule, ...]:
        return tuple(rule_of(self.adapter, group) for group in self.optimizer.param_groups)

    def _note(self, members: list[int], rules: tuple[Rule, ...]) -> str:
        still = [i for i in members if self.group[i] is None or not self.parameters[i].requires_grad]
        if still and len(still) < len(members):
            return "some of its parameters are not trained by this optimizer: the charge is not balanced"
        mine = [rules[group] for i in members if (group := self.group[i]) is not None]
        if len({rule.coefficient for rule in mine}) > 1:
            return "its parameters take up the gradient with different coefficients c: the charge is not balanced"
        if len({rule.decay for rule in mine}) > 1:
            return "its parameters have different momentum: each term is a sum over members, each with its own beta"
        return "not trained by this optimizer" if still else ""

    def _equilibrium(self, members: list[int], rules: tuple[Rule, ...]) -> str | None:
        mine = {rules[group].equilibrium for i in members if (group := self.group[i]) is not None}
        return mine.pop() if len(mine) == 1 else None

    def state(self, sheet: int, rules: tuple[Rule, ...]):
        """Gradients, momenta, parameters and numbers of a sheet's parameters, as they are now.

        Returns:
            Three lists of tensors, None where there is none, and an array of books' DECAY,
            COEFFICIENT, COUPLED and BARE, (4, parameters).
        """
        states, nothing, tracked = self.optimizer.state, {}, self._tracked[sheet]
        buffers = [rule.buffer for rule in rules]
        gradients = [None if group is None else parameter.grad for parameter, group in tracked]
        momenta = [
            None if group is None or buffers[group] is None else states.get(parameter, nothing).get(buffers[group])
            for parameter, group in tracked
        ]
        key = rules, [gradient is None for gradient in gradients], [momentum is None for momentum in momenta]
        if self._numbers[sheet][0] != key:
            numbers = [
                _numbers(None if group is None else rules[group], gradient is not None, momentum is not None)
                for (_, group), gradient, momentum in zip(tracked, gradients, momenta, strict=True)
            ]
            self._numbers[sheet] = (key, np.array(numbers).T)
        return gradients, momenta, self.sheets[sheet].parameters, self._numbers[sheet][1]

    def hyperparameters(self, rules: tuple[Rule, ...]) -> list[tuple]:
        """Learning rate, momentum, coefficient and weight decay of each group; tensors stay on their device."""
        return [
            (_kept(group["lr"]), rule.decay, rule.coefficient, rule.weight_decay)
            for group, rule in zip(self.optimizer.param_groups, rules, strict=True)
        ]

    def remember(self) -> None:
        """Copy all positions: the last step's displacement is not known, and starts from here."""
        for sheet in self.sheets:
            sheet.remember(sheet.parameters)
        for account in self.accounts:
            if account.books is not None:
                account.books.forget()


def _kept(value):
    """A number, or a snapshot of a device's tensor that is read when the books are written."""
    if isinstance(value, torch.Tensor):
        return float(value) if value.device.type == "cpu" else value.detach().clone()
    return value


def _numbers(rule: Rule | None, has_gradient: bool, has_momentum: bool) -> tuple[float, float, float, float]:
    """β, c, c k and whether π is the bare gradient, of one parameter at one step."""
    if rule is None or not has_gradient:  # the optimizer passes it over: nothing changes
        bare = rule is None or rule.buffer is None
        return (0.0, 0.0, 0.0, 1.0) if bare else (1.0, 0.0, 0.0, 0.0)
    c = rule.coefficient if has_momentum or rule.buffer is None else rule.first_coefficient
    return rule.decay, c * rule.sign, c * rule.coupled_decay, float(rule.buffer is None)


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
