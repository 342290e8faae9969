"""`nld run`: one experiment from a TOML file, computed if the store has not got it."""

import tomllib
from pathlib import Path

from nld import experiment
from nld.commands import add_command
from nld.commands.sweep import compute, read_spec, write
from nld.errors import UsageError

EXAMPLE = """examples:
  nld run digits.toml                          fields of an Experiment, such as: learning_rate = 0.1
  nld run digits.toml --set constrained=true --set steps=500

Every field has a default; a wrong name lists them all.
"""


def add_parser(subparsers) -> None:
    """Add `nld run`."""
    parser = add_command(subparsers, "run", "train one experiment and store its record", EXAMPLE, run=run_one)
    parser.add_argument("spec", type=Path, metavar="SPEC", help="TOML file with the fields of the experiment")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="change a field; the value is TOML"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="also write the record to this netCDF file")


def run_one(args) -> int:
    """Carry out `nld run`; returns the exit status."""
    spec = read_spec(args.spec)
    if isinstance(spec, experiment.Sweep):
        raise UsageError(f"{args.spec} is a sweep: use nld sweep run {args.spec}")
    for assignment in args.set:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set expects FIELD=VALUE, got {assignment!r}")
        try:
            changes = tomllib.loads(f"value = {value}")
        except tomllib.TOMLDecodeError:
            changes = {"value": value}  # a bare word is text
        spec = spec.replace(**{name.strip(): changes["value"]})
    store = experiment.RunStore.default()
    run = compute([spec], store, "ensemble", {}).isel(run=0)
    if bool(run.diverged):
        print(f"diverged after {int(run.last_step)} steps")
    else:
        print(f"test accuracy {float(run.test_accuracy[-1]):.4f}, test loss {float(run.test_loss[-1]):.4f}")
    print(store.path(spec) / "record.nc")
    if args.output:
        write(store.load(spec), args.output)
    return 0
