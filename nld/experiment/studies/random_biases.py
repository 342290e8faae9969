"""What fixed random biases of queries and values leave of an attention head's change of basis.

A head that adds b to its queries and values before they are used sees of its maps what G leaves only where G b = b. So
each bias that a batch brings takes a dimension away from the bases that may still turn.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.func import functional_call, jvp

from nld.experiment.training.loop import Tensors
from nld.experiment.training.networks import from_seed

WIDTH, SIZE, INPUTS, TOKENS = 6, 4, 12, 5
BIASES = ("query_bias", "value_bias")


class BiasedAttention(nn.Module):
    """One softmax head, width -> size -> width.

    Args:
        biases: "none"; "drawn": buffers that nobody trains (Silverstein et al. 2026); or "trained".
    """

    def __init__(self, biases: str):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, SIZE, bias=False) for _ in range(3))
        self.out = nn.Linear(SIZE, WIDTH, bias=False)
        for name in BIASES:
            bias = torch.randn(SIZE)
            if biases == "trained":
                self.register_parameter(name, nn.Parameter(bias))
            else:
                self.register_buffer(name, bias if biases == "drawn" else None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, value = self.query(x), self.value(x)
        if self.query_bias is not None:
            query, value = query + self.query_bias, value + self.value_bias
        return self.out(torch.softmax(query @ self.key(x).mT, -1) @ value)


def head(biases: str = "none", seed: int = 0) -> tuple[BiasedAttention, torch.Tensor]:
    """A head and inputs for it, in double precision."""
    model = from_seed(seed, lambda: BiasedAttention(biases), torch.float64)
    generator = torch.Generator().manual_seed(seed)
    return model, torch.randn(INPUTS, TOKENS, WIDTH, dtype=torch.float64, generator=generator)


def generators_left(draws: int, *, rotations: bool, seed: int = 0) -> int:
    """Dimension of the changes of basis that no output notices, after so many draws of the two biases.

    Counted from derivatives of the outputs along all generators of the two pairs of maps: as many as these are,
    minus their rank.

    Args:
        rotations: whether antisymmetric generators are counted, or all.
    """
    model, x = head("drawn", seed)
    parameters = {name: q.detach() for name, q in model.named_parameters()}
    generator = torch.Generator().manual_seed(seed + 1)
    drawn = torch.randn(max(draws, 1), 2, SIZE, dtype=torch.float64, generator=generator) * bool(draws)
    settings = [dict(zip(BIASES, pair, strict=True)) for pair in drawn]

    def derivatives(tangent: Tensors) -> torch.Tensor:
        moved = [
            jvp(lambda q, b=biases: functional_call(model, q | b, (x,)), (parameters,), (tangent,))[1].flatten()
            for biases in settings
        ]
        return torch.cat(moved)

    columns = [derivatives(tangent) for tangent in _tangents(parameters, rotations)]
    return len(columns) - int(torch.linalg.matrix_rank(torch.stack(columns, 1), rtol=1e-9))


def _tangents(parameters: Tensors, rotations: bool) -> Iterator[Tensors]:
    """A_B(q) = (B q_in, -q_out B) of both pairs of maps, for a basis of generators B."""
    query, key, value, out = (parameters[f"{name}.weight"] for name in ("query", "key", "value", "out"))
    zero = {name: torch.zeros_like(q) for name, q in parameters.items()}
    for i in range(SIZE):
        for j in range(i if rotations else SIZE):
            b = torch.zeros(SIZE, SIZE, dtype=torch.float64)
            b[i, j] = 1
            if rotations:
                b[j, i] = -1
            yield zero | {"query.weight": b @ query, "key.weight": -b.mT @ key}
            yield zero | {"value.weight": b @ value, "out.weight": -out @ b}
