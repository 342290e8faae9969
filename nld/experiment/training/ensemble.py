"""Ensembles: many networks of one architecture trained as one batched program, each with numbers of its own."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from nld.experiment.training import batched


class Ensemble:
    """Networks of one architecture, their parameters stacked along a first dimension, one slice per member.

    Each member sees images of its own, and no member sees another. A member's network is a view of its slice: it sees
    every update.
    """

    def __init__(self, members: Sequence[nn.Sequential]):
        self.members = list(members)
        self.parameters: batched.Parameters = {
            name: torch.stack([member.get_parameter(name).detach() for member in members]).requires_grad_()
            for name, _ in members[0].named_parameters()
        }
        for index, member in enumerate(members):
            for name, parameter in self.named_parameters():
                member.get_parameter(name).data = parameter.data[index]

    def named_parameters(self):
        """Names and stacked parameters, as those of an ``nn.Module``."""
        return self.parameters.items()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (member × image × class) of images (member × image × channel × height × width)."""
        return batched.forward(self.members[0], self.parameters, images)


class MemberHeavyBall:
    """``buf ← β buf + (g + k q)``, ``q ← q − η buf`` with each member's η, β and k.

    Args:
        parameters: (member, ...) by name; moved in place.
        learning_rate: η of each member at a step of that index, in w²/ℓ.
        momentum: β of each member.
        weight_decay: k of each member, in ℓ/w².
        factors: by which the learning rate of a parameter is multiplied, one a member, by name.
        buffers: what they start from, by name, in ℓ/w; zero if not given.
    """

    def __init__(
        self,
        parameters: Mapping[str, torch.Tensor],
        learning_rate: Callable[[int], Sequence[float]],
        momentum: Sequence[float],
        weight_decay: Sequence[float],
        *,
        factors: Mapping[str, Sequence[float]] | None = None,
        buffers: Mapping[str, torch.Tensor] | None = None,
    ):
        self.names, self.parameters = list(parameters), list(parameters.values())
        self.learning_rate = learning_rate
        self.momentum, self.weight_decay = self._per_member(momentum), self._per_member(weight_decay)
        self.factors = {self.names.index(name): self._per_member(values) for name, values in (factors or {}).items()}
        self.buffers = [buffers[name].clone() if buffers else torch.zeros_like(q) for name, q in parameters.items()]
        self._rates: tuple[float, ...] = ()

    def _per_member(self, values: Sequence[float]) -> list[torch.Tensor]:
        """One value per member, shaped to multiply each parameter."""
        column = torch.tensor(values, dtype=self.parameters[0].dtype, device=self.parameters[0].device)
        return [column.reshape(-1, *[1] * (parameter.dim() - 1)) for parameter in self.parameters]

    @torch.no_grad()
    def __call__(self, index: int, gradients: Mapping[str, torch.Tensor]) -> None:
        rates = tuple(self.learning_rate(index))
        if rates != self._rates:
            self._rates, self._minus_rates = rates, self._per_member([-rate for rate in rates])
            for parameter, factors in self.factors.items():
                self._minus_rates[parameter] = self._minus_rates[parameter] * factors[parameter]
        torch._foreach_mul_(self.buffers, self.momentum)
        torch._foreach_add_(self.buffers, [gradients[name] for name in self.names])
        torch._foreach_addcmul_(self.buffers, self.weight_decay, self.parameters)
        torch._foreach_addcmul_(self.parameters, self._minus_rates, self.buffers)
