"""`nld symmetries MODULE:FACTORY`: the continuous symmetries of a model, as a table."""

import argparse

from nld.commands import add_command, importable, positive
from nld.errors import InvalidInput, NldError

EXAMPLE = """examples:
  nld symmetries torchvision.models:resnet18 --input 8,3,64,64
  nld symmetries mymodels:gpt --input 4,16 --tokens 50257 --loss cross_entropy --describe
"""


def add_parser(subparsers) -> None:
    """Add `nld symmetries`."""
    parser = add_command(
        subparsers,
        "symmetries",
        "the continuous symmetries of a model's loss in its parameters",
        EXAMPLE,
        run=run,
        description="Build the model, run it once, and list the symmetries of its loss, each confirmed by measurement.",
    )
    parser.add_argument("model", metavar="MODULE:FACTORY", help="importable function or class that returns the model")
    parser.add_argument(
        "--input",
        required=True,
        action="append",
        type=_shape,
        metavar="SIZES",
        help="sizes of a random input with its batch, such as 8,3,32,32; repeat for several arguments",
    )
    parser.add_argument(
        "--tokens", type=positive(int), metavar="N", help="inputs are integers below N instead of real numbers"
    )
    parser.add_argument(
        "--loss", choices=("none", "cross_entropy", "mse"), default="none", help="loss of the output (default: any)"
    )
    parser.add_argument("--eval", action="store_true", help="in evaluation mode instead of training mode")
    parser.add_argument("--describe", action="store_true", help="also a sentence about each block")


def run(args: argparse.Namespace) -> int:
    """Print the table; returns the exit status."""
    factory = importable(args.model, "mymodels:resnet")

    import torch

    from nld.finder.find import find_symmetries, table

    losses = {"none": None, "cross_entropy": torch.nn.functional.cross_entropy, "mse": torch.nn.functional.mse_loss}
    try:
        model = _model(args.model, factory).train(not args.eval)
        inputs = tuple(torch.randint(args.tokens, s) if args.tokens else torch.randn(s) for s in args.input)
        symmetries = find_symmetries(model, inputs, loss=losses[args.loss])
    except Exception as error:  # whatever a model of somebody else raises
        raise NldError(f"{args.model} failed: {type(error).__name__}: {error}") from error
    print(table(symmetries))
    if args.describe:
        print()
        for block in symmetries:
            print(block.describe())
    return 0


def _model(name: str, factory):
    """What the factory builds, called without arguments."""
    import inspect

    import torch

    if not callable(factory) or isinstance(factory, torch.nn.Module):
        raise InvalidInput(f"expected a function or class that returns the model, got a {type(factory).__name__}")
    try:
        inspect.signature(factory).bind()
    except TypeError as error:
        raise InvalidInput(
            f"expected to call it without arguments, but {error}; name a function that gives them"
        ) from None
    except ValueError:
        pass  # a builtin without a signature
    model = factory()
    if not isinstance(model, torch.nn.Module):
        raise InvalidInput(f"expected {name} to return a torch.nn.Module, got a {type(model).__name__}")
    return model


def _shape(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(size) for size in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"expected sizes such as 8,3,32,32, got {text!r}")
    return sizes
