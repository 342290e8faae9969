"""`nld sweep`: many experiments from a TOML file: run what is missing, look at it from anywhere, gather the records."""

import argparse
import sys
import threading
from pathlib import Path

from nld.commands import positive

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
    parser = subparsers.add_parser(
        "sweep",
        help="run, watch and gather sweeps",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, text in {
        "run": "compute the runs that the store has not; run again, it goes on where it stopped",
        "status": "say how far it is; exit status 0 if all runs are done, else 1",
        "watch": "follow it, with the time left",
        "gather": "write the records of all runs to one netCDF file",
    }.items():
        action = actions.add_parser(
            name, help=text, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        action.add_argument("spec", type=Path, metavar="SPEC", help="TOML file of the sweep")
        action.add_argument(
            "--keep-stale", action="store_true", help="accept stored runs although their source changed since"
        )
        action.set_defaults(run=run_action)
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
            action.add_argument(
                "--parameter",
                nargs=2,
                action="append",
                default=[],
                metavar=("NAME", "VALUE"),
                help="slurm: for submitit, such as slurm_partition gpu",
            )
        if name == "gather":
            action.add_argument("--output", type=Path, required=True, metavar="FILE", help="the netCDF file")
            action.add_argument("--summary", action="store_true", help="medians over filters and few steps only")


def run_action(args) -> int:
    """Carry out `nld sweep ACTION`; returns the exit status."""
    from nld.experiment.runs import sweep as sweeps
    from nld.experiment.runs.run_store import RunStore
    from nld.experiment.runs.spec import Experiment, load
    from nld.experiment.runs.specs import summary as summarized

    try:
        sweep = load(args.spec)
    except (OSError, ValueError, TypeError) as error:
        print(f"nld sweep: {error}", file=sys.stderr)
        return 2
    experiments = [sweep] if isinstance(sweep, Experiment) else list(sweep.experiments)
    store = RunStore.default(args.keep_stale)
    if args.action == "run":
        for name, executors in EXECUTORS_WITH.items():
            if getattr(args, name) and args.executor not in executors:
                option = "--" + name.replace("_", "-")
                print(f"nld sweep run: {option} is for --executor {', '.join(executors)}", file=sys.stderr)
                return 2
        options = {name: value for name in ("workers", "members", "minutes") if (value := getattr(args, name))}
        if args.executor == "slurm":
            options["parameters"] = {name: int(v) if v.isdigit() else v for name, v in args.parameter}
        if args.no_wait:
            from nld.experiment.runs.executors import slurm

            try:
                slurm([e for e in experiments if not store.is_done(e)], store, wait=False, **options)
            except (RuntimeError, OSError) as error:
                print(f"nld sweep run: {error}", file=sys.stderr)
                return 1
            return 0
        return 0 if compute("nld sweep", experiments, store, args.executor, options) is not None else 1
    if args.action == "gather":
        try:
            gathered = sweeps.gather(experiments, store)
        except FileNotFoundError as error:
            print(f"nld sweep gather: {error}; so far: {sweeps.status(experiments, store)}", file=sys.stderr)
            return 1
        status = write("nld sweep gather", summarized(gathered) if args.summary else gathered, args.output)
        if not status:
            print(args.output)
        return status
    if args.action == "watch":
        state = sweeps.watch(experiments, store, show=line(), seconds=2.0)
        print()
        return 0 if state.finished else 1
    state = sweeps.status(experiments, store)
    print(state)
    for experiment in experiments:
        if error := store.error(experiment):
            print(f"{experiment.key} failed: {error.strip().splitlines()[-1]}")
    return 0 if state.finished else 1


def write(command: str, record, output: Path) -> int:
    """Write a record to a netCDF file, compressed; returns the exit status after saying what failed."""
    from nld.results import stored_results

    encoding = {name: {"zlib": True} for name, values in record.data_vars.items() if values.ndim}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        record.to_netcdf(output, engine="h5netcdf", encoding=encoding)
        stored_results.note(output)
    except OSError as error:
        print(f"{command}: cannot write {output}: {error}", file=sys.stderr)
        return 1
    return 0


def compute(command: str, experiments: list, store, executor: str, options: dict):
    """Run the sweep with its progress on standard error; the gathered records, or None after saying what failed."""
    from nld.experiment.runs import sweep as sweeps

    finished = threading.Event()
    show = line(sys.stderr)
    watcher = threading.Thread(
        target=sweeps.watch,
        args=(experiments, store),
        kwargs={"show": show, "seconds": 1.0, "until": finished.is_set, "settled": False},
        daemon=True,
    )
    watcher.start()
    try:
        return sweeps.run_sweep(experiments, store=store, executor=executor, **options)
    except (sweeps.SweepError, RuntimeError, OSError) as error:
        failure = str(error)
    finally:
        finished.set()
        watcher.join()
        if sys.stderr.isatty():
            print(file=sys.stderr)
    print(f"{command}: {failure}", file=sys.stderr)
    return None


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
