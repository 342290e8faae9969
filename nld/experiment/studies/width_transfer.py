"""A byte model at several widths, whose matrices have a scale symmetry: angles, alignment, and which rate is best.

The next byte is read off the last eight. Each byte enters as a fixed random vector; three matrices follow, each before
a norm without gains, so that the loss sees of each its direction alone; of the head it sees more. The input matrix is
held at one rate, and the head has its own, the same in all runs. What is compared is how rate and decay of the other
two, whose fan-in is the width, go with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
import xarray as xr
from torch import nn

from nld.experiment.datasets import source_text
from nld.experiment.training.language_model import text_batches
from nld.experiment.training.loop import Step, Tensors, cross_entropy, training
from nld.experiment.training.networks import from_seed
from nld.learning_rules.held import held
from nld.learning_rules.rules import LearningRule, adam, heavy_ball

CONTEXT, CODE = 8, 16  # bytes that are seen, and numbers that a byte enters as
BASE = 32  # the width at which a rate is what it is called
INPUT, HIDDEN, HEAD = "1.weight", ("4.weight", "7.weight"), "10.weight"
SCHEMES = ("coupled decay", "independent decay", "held norms")
DECAY = 1.0  # k at the base width
MOMENTUM, SQUARE_DECAY, EPSILON = 0.9, 0.95, 1e-12
INPUT_RATE, HEAD_RATE = 2.0**-9, 0.01  # of the input matrix, and of the head at the base width
BATCH, PROBE, VALIDATION = 64, 512, 4096  # windows of a step, of a look at alignments, and of a validation loss
PLATEAU = 0.7  # part of the steps at a constant rate, which then falls linearly to zero


class Codes(nn.Module):
    """Bytes (batch, CONTEXT) to the fixed vectors that stand for them, side by side, (batch, CONTEXT CODE)."""

    def __init__(self):
        super().__init__()
        table = np.random.default_rng(0).normal(size=(source_text.VOCABULARY, CODE))
        self.table = nn.Parameter(torch.from_numpy(table), requires_grad=False)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return F.embedding(tokens, self.table).flatten(1)


def network(width: int, seed: int, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    """Codes, three matrices, each before a norm without gains and a SiLU, and a head; PyTorch's initialization."""

    def layers() -> nn.Sequential:
        stages: list[nn.Module] = [Codes()]
        for fan_in in (CONTEXT * CODE, width, width):
            matrix = nn.Linear(fan_in, width, bias=False)
            stages += [matrix, nn.RMSNorm(width, EPSILON, elementwise_affine=False), nn.SiLU()]
        return nn.Sequential(*stages, nn.Linear(width, source_text.VOCABULARY, bias=False))

    return from_seed(seed, layers, dtype)


class Stack:
    """Copies of one network that learn under rates of their own: parameters (member, out, in), activations alike."""

    def __init__(self, start: nn.Sequential, members: int):
        self.start = start
        self.parameters: Tensors = {
            name: q.detach().expand(members, *q.shape).clone().requires_grad_()
            for name, q in start.named_parameters()
            if q.requires_grad
        }

    def named_parameters(self):
        """Names and stacked parameters."""
        return self.parameters.items()

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Logits (member, batch, byte) of bytes (batch, CONTEXT), in the place of images."""
        return self.activations(images, self.parameters)["logits"]

    def activations(self, tokens: torch.Tensor, parameters: Tensors) -> Tensors:
        """The input of each matrix by the name of the matrix, (member, batch, fan-in), and the logits."""
        inputs, x = {}, tokens
        for name, layer in self.start.named_children():
            if isinstance(layer, nn.Linear):
                inputs[f"{name}.weight"] = x
                x = x @ parameters[f"{name}.weight"].mT
            else:
                x = layer(x)
        return inputs | {"logits": x}


def rule(scheme: str, rate: torch.Tensor, fan_in: int) -> LearningRule:
    """AdamW with the rate η/m and the decay k or k m, where m = fan-in/BASE; or with η/√m on a sphere, without decay.

    Args:
        scheme: of SCHEMES.
        rate: η at the base width, one a member, (members, 1).
    """
    m = fan_in / BASE
    if scheme == "held norms":
        return held(_adam(rate / m**0.5))
    return _adam(rate / m, DECAY * (m if scheme == "independent decay" else 1.0))


def steps_of(stack: Stack, hidden: Callable[[float], LearningRule], steps: int, seed: int) -> Iterator[Step]:
    """Training of all members on the same text.

    Args:
        hidden: the rule of the hidden matrices, for the factor by which the schedule has lowered the rate.
    """
    width = stack.parameters[HEAD].shape[-1]
    states: dict[str, tuple] = dict.fromkeys(stack.parameters, ())

    @torch.no_grad()
    def update(index: int, gradients: Tensors) -> None:
        fade = min(1.0, (steps - index) / ((1 - PLATEAU) * steps))
        rules = dict.fromkeys(HIDDEN, hidden(fade))
        rules |= {INPUT: held(_adam(INPUT_RATE * fade)), HEAD: _adam(HEAD_RATE * BASE / width * fade)}
        for name, q in stack.parameters.items():
            # A row holds a whole matrix: what its norm, of all outputs together, divides out.
            gradient = gradients[name].flatten(1)
            moved, states[name] = rules[name].step(q.flatten(1), states[name], lambda _, gradient=gradient: gradient)
            q.copy_(moved.view_as(q))

    batches = windows(source_text.training_text(), range(steps), BATCH, seed)
    return training(stack, update, batches, observe=(INPUT, *HIDDEN))


def windows(
    text: np.ndarray, steps: Iterable[int], size: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Bytes (size, CONTEXT) and the byte that follows each window, (size,)."""
    for tokens, targets in text_batches(text, steps, batch_size=size, context=CONTEXT, seed=seed):
        yield tokens, targets[:, -1]


def course(
    scheme: str, width: int, rates: Sequence[float], looks: Sequence[int], *, steps: int, seed: int
) -> xr.Dataset:
    """Train one width under one scheme at several rates.

    Args:
        rates: η at the base width.
        looks: indices of the steps that are looked at.

    Returns:
        validation_loss (rate) in ℓ at the end; and of each look and hidden matrix (look, matrix, rate): angle of the
        step in radians, squared_norm before it in w², and alignment, |ΔW x|/|ΔW| over |W x|/|W| for the inputs x of
        held-out windows: by how much more a change of W moves its outputs than W's own size would say.
    """
    stack, rate = Stack(network(width, seed), len(rates)), torch.tensor(rates)[:, None]
    ((probe, _),) = windows(source_text.validation_text(), [0], PROBE, seed)
    rows = []
    for step in steps_of(stack, lambda fade: rule(scheme, rate * fade, width), steps, seed):
        if step.index in looks:
            inputs = stack.activations(probe, step.before | {HEAD: stack.parameters[HEAD].detach()})
            rows.append([_look(step.before[name], step.after[name], inputs[name]) for name in HIDDEN])
    with torch.no_grad():
        ((tokens, targets),) = windows(source_text.validation_text(), [1], VALIDATION, seed)
        loss = cross_entropy(stack, tokens, targets)
    table = np.array(rows)
    dims = ("look", "matrix", "rate")
    return xr.Dataset(
        {name: (dims, table[:, :, i]) for i, name in enumerate(("angle", "squared_norm", "alignment"))}
        | {"validation_loss": ("rate", loss.numpy())},
        coords={"look": list(looks), "rate": list(rates)},
    )


def moved_by_decay(family: str, rates: Sequence[float], decay: float, steps: int, seed: int) -> np.ndarray:
    """Angle between directions of a held matrix with weight decay and without, after some steps, (rates,), in radians.

    Args:
        family: "AdamW", "heavy ball", whose decay is a part of the gradient, or "AdamW, larger rate": what has no decay
            learns with η/(1 − η k) instead.
        rates: η of the hidden matrices, in double precision.
    """
    rate = torch.tensor(rates, dtype=torch.float64)[:, None]
    plain = rate / (1 - rate * decay) if family == "AdamW, larger rate" else rate
    make = _heavy_ball if family == "heavy ball" else _adam
    ends = []
    for hidden in (held(make(rate, decay)), held(make(plain))):
        stack = Stack(network(BASE, seed, torch.float64), len(rates))
        for _ in steps_of(stack, lambda _, hidden=hidden: hidden, steps, seed):
            pass
        last = stack.parameters[HIDDEN[0]].detach().flatten(1)
        ends.append(last / last.norm(dim=1, keepdim=True))
    return 2 * torch.arcsin((ends[0] - ends[1]).norm(dim=1) / 2).numpy()


def _look(before: torch.Tensor, after: torch.Tensor, inputs: torch.Tensor) -> np.ndarray:
    """Angle, squared norm and alignment of a matrix of each member, (3, members)."""
    old, new = before.double(), after.double()
    size = old.flatten(1).norm(dim=1)
    chord = old / size[:, None, None] - new / new.flatten(1).norm(dim=1)[:, None, None]
    moved = new - old
    gain, own = ((inputs.double() @ w.mT).flatten(1).norm(dim=1) / w.flatten(1).norm(dim=1) for w in (moved, old))
    return torch.stack([2 * torch.arcsin(chord.flatten(1).norm(dim=1) / 2), size**2, gain / own]).numpy()


def _adam(rate: float | torch.Tensor, decay: float = 0.0) -> LearningRule:
    return adam(rate, MOMENTUM, SQUARE_DECAY, decay, EPSILON, decoupled=True)


def _heavy_ball(rate: torch.Tensor, decay: float = 0.0) -> LearningRule:
    return heavy_ball(rate, MOMENTUM, decay)
