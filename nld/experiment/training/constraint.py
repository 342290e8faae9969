"""A constraint on training: filters that keep their norms."""

from collections.abc import Sequence

import torch


class FixedNorms:
    """Scales each filter back to the norm it had at first: ``q ← q ‖q(0)‖ / ‖q‖``, in place, when called.

    Args:
        filters: (filter, ...) each; of an ensemble (member, filter, ...).
        members: of an ensemble, those to hold; None if it is none.
    """

    def __init__(self, filters: Sequence[torch.Tensor], members: Sequence[int] | None = None):
        self.filters = list(filters)
        self.members = None if members is None else torch.tensor(members, device=self.filters[0].device)
        self.norms = [self._norms(weight.detach()) for weight in self.filters]

    def _norms(self, weight: torch.Tensor) -> torch.Tensor:
        if self.members is None:
            return weight.flatten(1).square().sum(1).sqrt()
        return weight[self.members].flatten(2).square().sum(2).sqrt()

    @torch.no_grad()
    def __call__(self) -> None:
        for weight, norms in zip(self.filters, self.norms, strict=True):
            factor = norms / self._norms(weight)
            factor = factor.reshape(*factor.shape, *[1] * (weight.dim() - factor.dim()))
            if self.members is None:
                weight.mul_(factor)
            else:
                weight[self.members] *= factor
