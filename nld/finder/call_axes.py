"""Along which axes of its input an operation works, as its arguments say."""

from nld.finder.aten_families import POOLS
from nld.finder.tape import Call


def reduced_axes(call: Call) -> list[int]:
    """The axes of its input that a reduction sums over, counted from the first; all if it names none."""
    count = len(call.arguments["self"].shape)
    axes = call.arguments.get("dim")
    if axes is None or axes == []:
        axes = list(range(count))
    return [axis % max(count, 1) for axis in ([axes] if isinstance(axes, int) else axes)]


def pooled_axes(call: Call) -> range:
    """The axes that a pool, an interpolation or a padding works on."""
    ndim = len(call.arguments["self"].shape)
    return range(ndim - (POOLS[call.name] or len(call.arguments["pad"]) // 2), ndim)


def normalization(call: Call) -> tuple[tuple[int, ...], list[int] | None, tuple[int, ...]]:
    """What a normalization takes together.

    Returns a view of its input, the axes of this view that a mean is over (None where means are kept from before), and
    the view of its gain and bias that lies beside the input.
    """
    shape = call.arguments["input"].shape
    if call.name == "native_layer_norm":
        outer = len(shape) - len(call.arguments["normalized_shape"])
        return shape, list(range(outer, len(shape))), (*[1] * outer, *shape[outer:])
    place = (1, shape[1], *[1] * (len(shape) - 2))
    if call.name == "native_group_norm":
        return (shape[0], call.arguments["group"], -1), [2], place
    if call.arguments.get("training", call.arguments.get("train", True)) is False:
        return shape, None, place
    return shape, [axis for axis in range(len(shape)) if axis != 1], place
