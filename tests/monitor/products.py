"""What a sheet measures by its definition, for one parameter of three axes in the ways that blocks arrange it."""

import torch

from nld.finder import Member
from nld.monitor.inner_products.products import COLUMNS


def defined(kind: str, member: Member, gradient, momentum, old, new) -> torch.Tensor:
    """COLUMNS by their definition, (columns, units)."""
    g, m, q, d = (member.rows(each) for each in (gradient, momentum, old, new - old))
    one, zero = torch.ones_like(q), torch.zeros_like(q)
    a, da = (one, zero) if kind == "translation" else (q, d)
    pairs = ((g, g), (m, m), (q, q), (d, d), (q, d), (g, a), (g, da), (m, a), (m, da), (q, a))
    assert len(pairs) == len(COLUMNS)
    return torch.stack([(a * b).sum(1) for a, b in pairs])


MEMBERS = {
    "rows": lambda a, b, c: Member("a", (a, b, c)),
    "columns": lambda a, b, c: Member("a", (a, b, c), unit_axes=(1,), coefficient=-1.0),
    "groups of rows": lambda a, b, c: Member("a", (a // 2, 2, b, c) if a % 2 == 0 else (1, a, b, c)),
    "groups of columns": lambda a, b, c: Member("a", (a, 1, b, c), unit_axes=(1,)),
    "all": lambda a, b, c: Member("a", (1, a, b, c)),
}
