"""Records with fewer digits in files: bits beyond those that are asked for are zeros, which compress to nothing.

A file that is rounded is a netCDF file like any other. Each variable says in netCDF's own attribute how many bits of
its mantissas are kept.
"""

import math

import numpy as np
import xarray as xr

from nld.errors import InvalidInput
from nld.monitor.quantities import QUANTITIES

BITS = "_QuantizeBitRoundNumberOfSignificantBits"  # as the netCDF library names it


def require_digits(digits: int | None) -> None:
    """See that a number of digits is one, or None for all that there are.

    Raises:
        ValueError: it is not.
    """
    if digits is not None and (isinstance(digits, bool) or not isinstance(digits, int) or digits < 1):
        raise InvalidInput(
            f"expected digits to be how many significant digits a file keeps, 1 or more, got {digits!r}; None keeps all"
        )


def rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """Floating-point numbers rounded to ``bits`` of their mantissa, half to even.

        |rounded - value| <= 2^-(bits + 1) |value|

    What is not finite stays as it is, and so does what has no more bits. Of what would be infinite, once rounded, the
    bits are cut off.

    Args:
        values: of single or double precision, any shape.
        bits: without the first one, which is not written.
    """
    mantissa, integer = np.finfo(values.dtype).nmant, np.dtype(f"u{values.dtype.itemsize}")
    beyond = integer.type(mantissa - min(bits, mantissa))
    if not beyond or not values.size:
        return values
    whole = values.view(integer)
    last = (whole >> beyond) & integer.type(1)
    half = (integer.type(1) << (beyond - integer.type(1))) - integer.type(1)
    keep = ~((integer.type(1) << beyond) - integer.type(1))
    up, cut = ((whole + half + last) & keep).view(values.dtype), (whole & keep).view(values.dtype)
    return np.where(np.isfinite(values), np.where(np.isfinite(up), up, cut), values)


def unit_roundoff(variable: xr.DataArray) -> float:
    """By what share of itself a variable's numbers may have been rounded when they were written; 0 if they were not."""
    return 2.0 ** -(int(variable.attrs[BITS]) + 1) if BITS in variable.attrs else 0.0


def with_digits(record: xr.Dataset, digits: int | None) -> xr.Dataset:
    """A record whose quantities of units have relative errors up to 0.5 · 10^-digits, or as it is with None.

    Quantities that are made of rounding have one digit fewer: of these only the size means something.
    """
    require_digits(digits)
    if digits is None:
        return record
    variables = {}
    for name, variable in record.data_vars.items():
        spare = QUANTITIES[str(name)].spare if name in QUANTITIES else 0
        bits = math.ceil(max(digits - spare, 1) * math.log2(10))
        if "unit" in variable.dims and bits < np.finfo(variable.dtype).nmant:
            attributes = variable.attrs | {BITS: np.int32(min(bits, variable.attrs.get(BITS, bits)))}
            variables[name] = (variable.dims, rounded(np.ascontiguousarray(variable.values), bits), attributes)
    return record.assign(variables)
