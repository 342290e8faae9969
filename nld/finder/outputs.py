"""What of a model's return value is its output: the loss, or all but caches and inner states.

Libraries return objects: Hugging Face's ``ModelOutput``, a mapping, a tuple. Beside the logits these may hold the
keys and values of an attention, hidden states or attention maps. No loss is made of these, yet to hold them fixed
forbids nearly every symmetry of the layers behind them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from nld.errors import InvalidInput
from nld.finder.tape import tensors

# How the fields of a return value end that hold a model's state, and not what it computes.
INNER = (
    "past_key_values",
    "past_buckets_states",
    "cache",
    "cache_params",
    "mems",
    "hidden_states",
    "attentions",
    "encoder_last_hidden_state",
)
BEHIND_LOGITS = ("last_hidden_state",)  # the output of a model without a head; an inner state of one with logits


class Output(NamedTuple):
    """What was taken as the output: tensors in any nest, and the words that say so; empty if it is all there was."""

    value: Any
    words: str = ""


def output_of(returned: Any) -> Output:
    """The output in a model's return value.

    The field ``loss`` where it is a tensor; else all fields but caches, hidden states and attentions. Of a tuple the
    scalar that comes first, which is the loss; else all but caches. A tensor is the output itself.
    """
    if isinstance(returned, torch.Tensor):
        return Output(returned)
    fields = _fields(returned)
    if not fields:
        return Output(returned)
    place = "output.{}" if not isinstance(returned, (tuple, list)) else "output[{}]"
    loss, inner = _loss(fields), _inner(fields)
    taken = [loss] if loss is not None else [name for name in fields if name not in inner]
    if len(taken) == len(fields):
        return Output(returned)
    words = ", ".join(place.format(name) for name in taken)
    words += f"; not followed: {', '.join(str(name) for name in fields if name not in taken)}"
    return Output(fields[taken[0]] if len(taken) == 1 else {name: fields[name] for name in taken}, words)


def single_tensor(returned: Any) -> Output:
    """The one tensor that a criterion of output and target is applied to: the logits, or all there is.

    Raises:
        ValueError: there is none, or more than one.
    """
    if isinstance(returned, torch.Tensor):
        return Output(returned)
    fields = _fields(returned)
    if isinstance(fields.get("logits"), torch.Tensor):
        return Output(fields["logits"], "output.logits")
    inner = _inner(fields)
    rest = {name: value for name, value in fields.items() if name not in inner}
    floating = [tensor for tensor in tensors(rest) if tensor.is_floating_point()]
    if len(floating) != 1:
        raise InvalidInput(
            f"expected one tensor as output for a loss with a target, got {type(returned).__name__} with "
            f"{len(floating)} of them; say which: loss=lambda output: criterion(output[0], target)"
        )
    return Output(floating[0], f"the only tensor in the {type(returned).__name__} returned")


def _fields(returned: Any) -> dict[Any, Any]:
    """The fields of a return value that are filled, by name or number."""
    if isinstance(returned, Mapping):
        items = dict(returned).items()
    elif isinstance(returned, tuple) and hasattr(returned, "_fields"):  # a namedtuple
        items = zip(returned._fields, returned, strict=True)  # pyright: ignore[reportAttributeAccessIssue]
    elif isinstance(returned, (tuple, list)):
        items = enumerate(returned)
    else:
        items = getattr(returned, "__dict__", {}).items()
    return {name: value for name, value in items if value is not None}


def _loss(fields: Mapping[Any, Any]) -> Any:
    """The name of the loss among several fields, or None; in a tuple it is a scalar that comes first."""
    for name in ("loss", 0):
        value = fields.get(name)
        if isinstance(value, torch.Tensor) and value.is_floating_point() and (name == "loss" or value.ndim == 0):
            return name
    return None


def _inner(fields: Mapping[Any, Any]) -> list[Any]:
    """The fields that hold a state; none if there would be nothing left."""
    endings = INNER + (BEHIND_LOGITS if "logits" in fields else ())
    inner = [
        name for name, value in fields.items() if (isinstance(name, str) and name.endswith(endings)) or _is_cache(value)
    ]
    return inner if len(inner) < len(fields) else []


def _is_cache(value: Any) -> bool:
    """A cache of keys and values, or of a state space's states: an object that is called one."""
    return not isinstance(value, (torch.Tensor, Mapping, Sequence)) and type(value).__name__.endswith("Cache")
