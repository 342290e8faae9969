"""Inner products by their definition, for one parameter of three axes in the ways that blocks arrange it."""

import torch

from nld.finder import Member
from nld.monitor.inner_products.products import COLUMNS


def defined(kind: str, member: Member, gradient, momentum, old, new) -> torch.Tensor:
    """COLUMNS by what their names say, (columns, units)."""
    g, m, q, d = (member.rows(each) for each in (gradient, momentum, old, new - old))
    one, zero = torch.ones_like(q), torch.zeros_like(q)
    a, da = (one, zero) if kind == "translation" else (q, d)
    factors = {"gradient": g, "momentum": m, "position": q, "displacement": d, "generator": a, "moved": da, "ones": one}
    pairs = [name.split("_") for name in COLUMNS]
    return torch.stack([(factors[left] * factors[right]).sum(1) for left, right in pairs])


MEMBERS = {
    "rows": lambda a, b, c: Member("a", (a, b, c)),
    "columns": lambda a, b, c: Member("a", (a, b, c), unit_axes=(1,), coefficient=-1.0),
    "groups of rows": lambda a, b, c: Member("a", (a // 2, 2, b, c) if a % 2 == 0 else (1, a, b, c)),
    "groups of columns": lambda a, b, c: Member("a", (a, 1, b, c), unit_axes=(1,)),
    "all": lambda a, b, c: Member("a", (1, a, b, c)),
}
