"""The monitor: exact Noether bookkeeping around a training loop that does not know of it."""

import functools
import json
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
import xarray as xr

from nld.errors import InvalidInput
from nld.finder.block import Block
from nld.finder.preconditions import require_modes
from nld.finder.wrappers import unwrap
from nld.monitor import monitor_record as records
from nld.monitor.before_load import BeforeLoad
from nld.monitor.finished_steps import FinishedSteps, no_steps
from nld.monitor.measurement_buffer import MeasurementBuffer
from nld.monitor.optimizer_wrappers import unwrap_optimizers
from nld.monitor.optimizers import Adapter, adapters_of
from nld.monitor.precision import GradientPrecision, Unmoved
from nld.monitor.preconditions import require_optimizers
from nld.monitor.rounds import Rounds
from nld.monitor.scalars import Log, scalars
from nld.monitor.schedule import action, schedule
from nld.monitor.significant_digits import require_digits
from nld.monitor.stream import Stream
from nld.monitor.tracked_parameters import TrackedParameters

LOG = 1.0  # seconds after which scalars are logged


class Monitor:
    """Keeps the books of every symmetry's Noether charge, from construction until ``close`` or the end of ``with``.

        charge_{n+1} - charge_n = dissipation + kinetic symmetry breaking + weight decay + residual

    holds exactly at every step n, for any step size and mini-batch, with
    charge_{n+1} = ⟨π_{n+1}, A(q_n)⟩; see nld.monitor.charge_balance. Nothing in the loop or in the training
    changes: the monitor listens to the optimizer's own step hooks, draws no random numbers and
    writes to no tensor but its own. It counts calls of ``optimizer.step``; a step that a gradient
    scaler skips inside a fused optimizer counts and moves nothing.

    Memory: a copy of tracked parameters, measurements and pages (26 MiB; on a GPU 176), products of units and heads.

    Args:
        model: the model; wrapped in DistributedDataParallel or compiled is fine. So is one that ``fully_shard`` has
            sharded, with blocks found before: each process then attaches a monitor and calls ``record`` and ``close``
            when the others do, since every recorded step gathers the tensors that are measured whole.
        optimizer: one of nld.monitor.optimizers.ADAPTERS, or any with ``adapter``; in a wrapper such as accelerate's
            is fine. Or a list of several, each with parameters of its own: a step is then one of each, all gradients
            are there before the first, and a block that spans several has its books.
        blocks: the symmetries, as from ``find_symmetries``; None finds them with ``example_inputs`` and ``loss``.
        every: which steps to record: 1 for each, n for every n-th (long runs: 10), "log" for 20 a decade, or a list.
        units: "all", or "mean" for one value a block: the mean over its units (of relative_residual, the maximum).
        stream: a file that the record is appended to, so that memory stays bounded on long runs. It is there after
            the second step that is recorded, at most half a minute behind, and another process may read it
            meanwhile (``nld.monitor.load``, not ``lazy``). Of processes that share a sharded model the first writes it,
            and ``record`` of the others has at most the last step.
        digits: significant digits that the stream's file keeps, as in ``nld.monitor.save``; None for every bit.
        adapter: where the optimizer keeps its momentum, if it is not one of those known; of several optimizers a list,
            with None for those known.
        first_step: the number of the first step, where a training is resumed.
        log: called as ``log({"nld/charge/BLOCK": value, …}, step)`` for each step that is recorded, in order, within
            about a second; see ``nld.integrations.log_to``. What it raises goes through to the training.
        example_inputs, loss: see ``find_symmetries``; what was taken as output is the record's attribute ``output``.

    Raises:
        TypeError: the optimizer is not known and there is no adapter.
        ValueError: neither blocks nor example inputs, a block names a parameter that the model lacks, the optimizer has
            none of the model's parameters or shares some with another, parameters are on the meta device, or a file to
            stream to exists or has no folder. Before the first step: the symmetries were found in the other mode (train
            or eval), and a submodule computes otherwise in it; or a later optimizer's gradient is not there yet.

    Example:
        with nld.Monitor(model, optimizer, blocks) as monitor:
            train()
        record = monitor.record()
    """

    def __init__(
        self,
        model: torch.nn.Module,
        optimizer: Any,
        blocks: Sequence[Block] | None = None,
        *,
        every: int | str | Iterable[int] = 1,
        units: str = "all",
        stream: str | os.PathLike | None = None,
        digits: int | None = None,
        adapter: Adapter | Sequence[Adapter | None] | None = None,
        example_inputs=None,
        loss: Callable[..., torch.Tensor] | None = None,
        first_step: int = 0,
        log: Log | None = None,
    ):
        if first_step < 0:
            raise InvalidInput(f"expected first_step to be the number of a step, 0 or more, got {first_step!r}")
        if units not in ("all", "mean"):
            raise InvalidInput(f"expected units to be 'all' or 'mean', got {units!r}")
        require_digits(digits)
        if digits is not None and stream is None:
            raise InvalidInput(
                f"expected a stream whose file keeps digits={digits!r}, got none; give stream=, or the digits to "
                "nld.monitor.save: records in memory have all"
            )
        optimizers = unwrap_optimizers(optimizer)
        require_optimizers(model, optimizers)
        adapters = adapters_of(optimizers, adapter)
        if blocks is None:
            if example_inputs is None:
                raise InvalidInput(
                    "expected blocks, or example_inputs to find them with, got neither; give one of them"
                )
            from nld.finder import find_symmetries

            blocks = find_symmetries(unwrap(model)[0], example_inputs, loss)
        self.blocks = list(blocks)
        self._model = model
        self._modes: Mapping[str, bool] | None = getattr(blocks, "modes", {})  # None once they were compared
        self._due = schedule(every)
        self._means = units == "mean"
        self._tracked = TrackedParameters(model, optimizers, self.blocks, adapters)
        self._stream = None if stream is None else Stream(stream, self._tracked.parameters, digits)
        self._rounds = Rounds(optimizers, self._tracked.parameters)
        self._buffer = MeasurementBuffer(self._tracked)
        self._gradient_precision = GradientPrecision(self._tracked.parameters, self._model)
        self._unmoved = Unmoved(self._tracked.named())
        self._attributes = records.provenance(model, self._tracked) | records.of_search(blocks)
        self._finished: list[FinishedSteps] = []
        self._step = self._first_step = int(first_step)
        self._log = log
        self._log_due = 0.0  # when scalars are logged next, by the monotonic clock
        self._fresh = True  # the positions of the last step are not known
        before: Any = torch.compiler.disable(self._before_step)
        self._handles = [unwrap(model)[0].register_load_state_dict_pre_hook(BeforeLoad(self._before_load))]
        for which, one in enumerate(optimizers):
            self._handles += [
                one.register_step_pre_hook(functools.partial(before, which)),
                one.register_step_post_hook(functools.partial(self._after_step, which)),
                one.register_load_state_dict_pre_hook(self._before_load),
            ]

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def attached(self) -> bool:
        """Whether it still listens: not once it is closed."""
        return bool(self._handles)

    def close(self) -> None:
        """Finish the last step's books and detach from the optimizer; the training may go on."""
        if not self._handles:
            return
        for handle in self._handles:
            handle.remove()
        self._gradient_precision.close()
        self._handles = []
        try:
            self._end_step()
        finally:  # whatever became of the parameters, the steps before are kept
            self._flush()

    def record(self) -> xr.Dataset:
        """Everything written down so far, as an xarray.Dataset with dimensions step, block and unit.

        The variables are nld.monitor.quantities.QUANTITIES. Blocks with fewer units than the largest are
        filled up with NaN. The charge of a general_linear or rotation block is a d x d matrix for
        each unit; the record has the Frobenius norms of its terms and of the residual matrix.
        Streaming monitors return what their file holds: read into memory while they are attached,
        since an open file cannot be appended to, lazily once they are closed.
        """
        self._flush()
        finished = list(self._finished)
        if self._handles and self._pending():
            finished += [self._reduced(steps) for steps in self._buffer.provisional(self._due)]
        if self._stream is not None and (written := self._stream.read(lazy=not self._handles)) is not None:
            return written
        return self._dataset(FinishedSteps.join(finished) if finished else self._reduced(no_steps(self._tracked)))

    def _reduced(self, finished: FinishedSteps) -> FinishedSteps:
        return finished.over_units(self.blocks) if self._means else finished

    def _dataset(self, finished: FinishedSteps) -> xr.Dataset:
        seen = {}
        if coarse := self._gradient_precision.coarsest():
            seen["gradient_precision"] = coarse
        if shares := self._unmoved.shares():
            seen["unmoved"] = json.dumps(shares)
        return records.dataset(finished, self._tracked, self._attributes | seen, unit_means=self._means)

    def _before_step(self, which, _, args, kwargs):
        """Measure now, or, if the gradient is yet to be computed by a closure, right after that."""
        if self._modes is not None:
            require_modes(self._model, self._modes)
            self._modes = None
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self.begin_step(which)
            return None
        calls = 0

        def counted():
            nonlocal calls
            calls += 1
            if calls > 1:
                raise RuntimeError(
                    "expected the optimizer to call its closure once a step, got a second call: with several "
                    "gradients in one step the exact law does not apply; close the monitor or use another optimizer"
                )
            loss = closure()
            self.begin_step(which)
            return loss

        if len(args) > 1:
            return (args[0], counted, *args[2:]), kwargs
        return args, {**kwargs, "closure": counted}

    def begin_step(self, which: int = 0) -> None:
        """Measure now: gradients are there, and the optimizer is about to move the weights.

        Hooks call it; whoever attaches a monitor inside an optimizer's closure does so at its end.
        """
        if self._rounds.begins(which):
            self._fresh |= self._rounds.begun and not self._rounds.whole
            self._rounds.begin()
            self._measure()

    def _after_step(self, which, *_):
        self._gradient_precision.close()
        self._step += not self._rounds.begun
        self._rounds.end_step(which)
        if self._rounds.whole:
            self._unmoved.after_step()

    def _before_load(self, *_):
        """New weights or momenta are about to come: end the last step with those that made it."""
        self._end_step()

    def _pending(self) -> bool:
        """Whether the last step was written down but for its end."""
        whole = not self._rounds.begun or self._rounds.whole
        return whole and not self._fresh and self._buffer.last_step == self._step - 1 and self._due(self._step - 1)

    def _end_step(self) -> None:
        if self._pending():
            self._take(self._tracked.updates(), fresh=False, keep=False, final=True)
        self._fresh = True

    def _measure(self) -> None:
        if self._buffer.last_step == self._step and not self._fresh:
            self._fresh = True  # the step was begun before and did not come to its end
        before, now, after = (self._due(self._step + n) for n in (-1, 0, 1))
        if not (before or now or after):  # most steps of a long run
            self._fresh = True
            return
        updates = self._tracked.updates()
        bare = any(update.buffer is None for update in updates)
        before = before and self._step > self._first_step
        todo = action(now=now, before=before, after=after, bare=bare, fresh=self._fresh)
        if todo.start:
            self._buffer.remember()
        if todo.measure:
            self._take(updates, fresh=self._fresh, keep=todo.keep)
        self._fresh = not todo.keep
        if now:
            self._unmoved.before_step(self._tracked.skipping()[0])

    def _take(self, updates: tuple, fresh: bool, keep: bool, final: bool = False) -> None:
        now = time.monotonic()
        late = (self._stream is not None and self._stream.late(now)) or (self._log is not None and now >= self._log_due)
        if self._buffer.full or late:
            self._flush()
        self._buffer.measure(updates, self._step, fresh, keep, final)

    def _flush(self) -> None:
        """Turn what the device has measured into finished steps, and move them to memory or disk."""
        finished = self._buffer.finished(self._due)
        if finished is not None:
            self._finished.append(self._reduced(finished))
        try:
            if finished is not None and self._log is not None:
                self._log_due = time.monotonic() + LOG
                for values, step in scalars(finished, self.blocks, records.labels(self.blocks)):
                    self._log(values, step)
        finally:
            if self._stream is not None and self._finished:
                taken = self._stream.take(self._dataset(FinishedSteps.join(self._finished)))
                self._finished = [] if taken else self._finished
