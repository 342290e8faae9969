"""`nld sweep`: many experiments from a TOML file: run what is missing, look at it from anywhere, gather the records."""

import sys
import threading
from pathlib import Path

from nld import experiment
from nld.commands import add_actions, add_command, positive, writing
from nld.errors import SweepError, UsageError
from nld.results import stored_results

EXAMPLE = """examples:
  nld sweep run rates.toml                              as batched ensembles in this process
  nld sweep run rates.toml --executor pool --workers 4  on the cores or GPUs of this machine
  nld sweep run rates.toml --executor slurm --minutes 60 --parameter slurm_partition gpu
  NLD_THREADS=4 nld sweep run rates.toml                each run with four threads, not one
  nld sweep watch rates.toml                            from another terminal or node
  nld sweep gather rates.toml --output rates.nc
  nld sweep gather rates.toml --summary --output results/paper/rates.nc   small enough to commit

a sweep file:
  name = "rates"
  [base]
  steps = 400
  [vary]
  learning_rate = [0.01, 0.1, 1.0]
  constrained = [false, true]
"""


# The executors that have each option.
EXECUTORS_WITH = {"workers": ("pool",), "minutes": ("slurm",), "parameter": ("slurm",), "no_wait": ("slurm",)}


def add_parser(subparsers) -> None:
    """Add `nld sweep`."""
    actions = add_actions(subparsers, "sweep", "run, watch and gather sweeps", EXAMPLE)
    for name, text in {
        "run": "compute the runs that the store has not; run again, it goes on where it stopped",
        "status": "say how far it is; exit status 0 if all runs are done, else 1",
        "watch": "follow it, with the time left",
        "gather": "write the records of all runs to one netCDF file",
    }.items():
        action = add_command(actions, name, text, EXAMPLE, run=run_action)
        action.add_argument("spec", type=Path, metavar="SPEC", help="TOML file of the sweep")
        action.add_argument(
            "--keep-stale", action="store_true", help="accept stored runs although their source changed since"
        )
        if name == "run":
            action.add_argument(
                "--executor",
                choices=("ensemble", "pool", "slurm"),
                default="ensemble",
                help="where: in this process (default), on this machine's cores or GPUs, or on a cluster",
            )
            action.add_argument("--workers", type=positive(int), metavar="N", help="pool: processes")
            action.add_argument(
                "--members", type=positive(int), metavar="N", help="largest ensemble; 1 trains each run alone"
            )
            action.add_argument("--minutes", type=positive(int), metavar="N", help="slurm: time limit of a task")
            action.add_argument("--no-wait", action="store_true", help="slurm: return once the tasks are submitted")
            action.add_pairs("--parameter", help="slurm: for submitit, such as slurm_partition gpu")
        if name == "gather":
            action.add_argument("--output", type=Path, required=True, metavar="FILE", help="the netCDF file")
            action.add_argument("--summary", action="store_true", help="medians over filters and few steps only")


def run_action(args) -> int:
    """Carry out `nld sweep ACTION`; returns the exit status."""
    sweep = read_spec(args.spec)
    experiments = [sweep] if isinstance(sweep, experiment.Experiment) else list(sweep.experiments)
    actions = {"run": _run, "gather": _gather, "watch": _watch, "status": _status}
    return actions[args.action](args, experiments, experiment.RunStore.default(args.keep_stale))


def _run(args, experiments: list, store) -> int:
    for name, executors in EXECUTORS_WITH.items():
        if getattr(args, name) and args.executor not in executors:
            raise UsageError(f"--{name.replace('_', '-')} is for --executor {', '.join(executors)}")
    options = {name: value for name in ("workers", "members", "minutes") if (value := getattr(args, name))}
    if args.executor == "slurm":
        options["parameters"] = {name: int(v) if v.isdigit() else v for name, v in args.parameter}
    if args.no_wait:
        from nld.experiment.runs.executors import slurm

        slurm([e for e in experiments if not store.is_done(e)], store, wait=False, **options)
    else:
        compute(experiments, store, args.executor, options)
    return 0


def _gather(args, experiments: list, store) -> int:
    from nld.experiment.runs.specs import summary as summarized

    try:
        gathered = experiment.gather(experiments, store)
    except FileNotFoundError as error:
        raise SweepError(f"{error}; so far: {experiment.status(experiments, store)}") from error
    write(summarized(gathered) if args.summary else gathered, args.output)
    print(args.output)
    return 0


def _watch(args, experiments: list, store) -> int:
    from nld.experiment.runs.sweep import watch

    state = watch(experiments, store, show=line(), seconds=2.0)
    print()
    return 0 if state.finished else 1


def _status(args, experiments: list, store) -> int:
    state = experiment.status(experiments, store)
    print(state)
    for each in experiments:
        if error := store.error(each):
            print(f"{each.key} failed: {error.strip().splitlines()[-1]}")
    return 0 if state.finished else 1


def read_spec(path: Path):
    """The experiment or sweep in a TOML file; a UsageError where it cannot be read."""
    from nld.experiment.runs.spec import load

    try:
        return load(path)
    except OSError as error:
        raise UsageError(f"expected a TOML file at {path}, got: {error.strerror}") from None


def write(record, output: Path) -> None:
    """Write a record to a netCDF file, compressed."""
    encoding = {name: {"zlib": True} for name, values in record.data_vars.items() if values.ndim}
    with writing(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        record.to_netcdf(output, engine="h5netcdf", encoding=encoding)
        stored_results.note(output)


def compute(experiments: list, store, executor: str, options: dict):
    """Run the sweep with its progress on standard error; the gathered records.

    Raises:
        SweepError: some runs failed; the others are stored.
    """
    from nld.experiment.runs.sweep import watch

    finished = threading.Event()
    shown = {"show": line(sys.stderr), "seconds": 1.0, "until": finished.is_set, "settled": False}
    watcher = threading.Thread(target=watch, args=(experiments, store), kwargs=shown, daemon=True)
    watcher.start()
    try:
        return experiment.run_sweep(experiments, store=store, executor=executor, **options)
    finally:
        finished.set()
        watcher.join()
        if sys.stderr.isatty():
            print(file=sys.stderr)


def line(stream=None):
    """A function that shows one line: in place on a terminal, elsewhere as a new line when it changed."""
    stream, last = stream or sys.stdout, [""]

    def show(text: str) -> None:
        if stream.isatty():
            print(f"\r\x1b[K{text}", end="", file=stream, flush=True)
        elif text.split(";")[0] != last[0]:
            last[0] = text.split(";")[0]
            print(text, file=stream, flush=True)

    return show
