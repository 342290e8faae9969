"""`nld check-training MODULE:FACTORY`: whether a training loop does what it says."""

import argparse

from nld.commands import add_command, importable, positive
from nld.errors import NldError

DESCRIPTION = """\
Run some steps of a training loop, compute each a second time on a copy of the model, and say what differs: whether
the gradient is the loss's and the momentum the optimizer's, whether anything clips, decays or rewrites weights behind
one's back, whether all parameters are trained, and whether rounding eats the steps.

FACTORY takes no arguments and returns model, optimizer, loss, batches, step:
  optimizer   one, or a list of all that the loop steps
  loss        loss(model, batch), a scalar: what the training is to minimize
  batches     what the data loader gives
  step        step(batch), one iteration as it stands in the script: zero_grad, backward, clipping, optimizer.step
or an nld.TrainingLoop of these, which also declares what is meant: TrainingLoop(..., clip_norm=1.0).
"""
EXAMPLE = """examples:
  nld check-training train:loop
  nld check-training train:loop --steps 5 --allow norm-clipping --allow eval-mode

exit status: 0 the loop is sound, 1 something was found or the loop failed, 2 wrong usage
"""


def add_parser(subparsers) -> None:
    """Add `nld check-training`."""
    parser = add_command(
        subparsers,
        "check-training",
        "whether a training loop does what it says, for twenty steps",
        EXAMPLE,
        run=run,
        description=DESCRIPTION,
    )
    parser.add_argument("loop", metavar="MODULE:FACTORY", help="importable function that returns the loop")
    parser.add_argument(
        "--steps", type=positive(int), default=20, metavar="N", help="steps of the optimizer (default: 20)"
    )
    parser.add_argument(
        "--allow",
        action="append",
        default=[],
        metavar="TOPIC",
        help="a topic of findings that is meant; repeat for more",
    )


def run(args: argparse.Namespace) -> int:
    """Print what was found; returns the exit status."""
    factory = importable(args.loop, "train:loop")

    from nld.training_check import check_training

    try:
        check = check_training(factory, args.steps, allow=args.allow)
    except NldError:
        raise
    except Exception as error:  # whatever a loop of somebody else raises
        raise NldError(f"{args.loop} failed: {type(error).__name__}: {error}") from error
    print(check)
    return 0 if check.sound else 1
