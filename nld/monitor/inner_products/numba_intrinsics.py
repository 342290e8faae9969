"""What compiled loops need of the machine beyond numba: addresses as pointers, and tickets that threads draw."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

REGISTER = 256  # bits of a vector register; with more, registers would run out where there are sixteen
FUSED = ("contract",)
spliced: Any = intrinsic


@spliced
def pointer(_, address, like):
    """An address as a pointer to numbers like those of an array."""
    kind = types.CPointer(like.dtype)

    def code(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(kind))

    return kind(address, like), code


@spliced
def ticket(_, address):
    """The whole number at an address, which is one more for whoever asks next."""

    def code(context, builder, signature, arguments):
        word = ir.IntType(64)
        place = builder.inttoptr(arguments[0], word.as_pointer())
        return builder.atomic_rmw("add", place, ir.Constant(word, 1), "seq_cst")

    return types.int64(types.int64), code
