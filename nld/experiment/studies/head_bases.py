"""A language model and a twin whose heads begin in other bases: which rules keep them twins, and the heads' charges.

The loss sees of a head's values and outputs their product alone, so that q_V -> G q_V, q_O -> q_O G^{-1} changes
nothing. A rule that commutes with G takes twins to twins.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from nld.experiment.datasets import source_text
from nld.experiment.training.language_model import LanguageModel, language_model, next_byte_loss, text_batches
from nld.experiment.training.loop import Step, training
from nld.learning_rules.rules import LearningRule, adam, heavy_ball
from nld.learning_rules.spectral import muon, newton_schulz

SHAPE = {"width": 32, "layers": 2, "heads": 4, "hidden": 64}
BATCH = {"batch_size": 8, "context": 32}
EPSILON = 1e-12  # of Adam, below all gradients


def polar_factor(matrix: torch.Tensor) -> torch.Tensor:
    """U V^T of the singular value decomposition U S V^T."""
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


def in_half_precision(matrix: torch.Tensor) -> torch.Tensor:
    """Newton and Schulz's iterations in bfloat16, as PyTorch's Muon computes them."""
    return newton_schulz(matrix.bfloat16()).to(matrix)


RULES: dict[str, LearningRule] = {
    "heavy ball": heavy_ball(0.05, 0.9),
    "Muon": muon(0.02, 0.9),
    "Muon, exact polar factor": muon(0.02, 0.9, orthogonalized=polar_factor),
    "Muon, half precision": muon(0.02, 0.9, orthogonalized=in_half_precision),
    "Muon, lookahead": muon(0.02, 0.9, lookahead=True),
    "Adam": adam(3e-3, 0.9, 0.99, epsilon=EPSILON),
}


def by_parameter(model: torch.nn.Module, rule: LearningRule) -> dict[str, LearningRule]:
    """The rule for the matrices between embedding and head; Adam for all else if it is Muon, as is usual."""
    rest = RULES["Adam"] if rule.name == "Muon" else rule
    hidden = {name for name, q in model.named_parameters() if name.startswith("layers.") and q.dim() == 2}
    return {name: rule if name in hidden else rest for name, _ in model.named_parameters()}


def rotations(heads: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Random orthogonal matrices, (heads, size, size)."""
    return np.stack([np.linalg.qr(random.normal(size=(size, size)))[0] for _ in range(heads)])


def signed_permutations(heads: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Random matrices that permute coordinates and turn some round, (heads, size, size)."""
    return np.stack(
        [random.choice([-1.0, 1.0], (size, 1)) * np.eye(size)[random.permutation(size)] for _ in range(heads)]
    )


def invertibles(heads: int, size: int, random: np.random.Generator) -> np.ndarray:
    """Random matrices with singular values from 1/2 to 2, (heads, size, size)."""
    left, right = rotations(heads, size, random), rotations(heads, size, random)
    return (left * np.exp2(random.uniform(-1, 1, (heads, 1, size)))) @ right


Draw = Callable[[int, int, np.random.Generator], np.ndarray]


@torch.no_grad()
def turn_heads(model: LanguageModel, matrices: np.ndarray) -> None:
    """Change every head's values by G, (layers, heads, size, size), and its outputs by G^{-1}, in place."""
    for layer, turned in enumerate(torch.as_tensor(matrices)):
        value, out = (model.get_parameter(f"layers.{layer}.attention.{name}.weight") for name in ("value", "out"))
        value_rows, out_rows = head_rows(value, out, len(turned))
        value.copy_((turned @ value_rows).flatten(0, 1))
        out.copy_((torch.linalg.inv(turned).mT @ out_rows).flatten(0, 1).mT)


def head_rows(value: torch.Tensor, out: torch.Tensor, heads: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Values and outputs, or their gradients or momenta, head by head: q_V and q_O^T, (heads, size, width) both."""
    return value.unflatten(0, (heads, -1)), out.mT.unflatten(0, (heads, -1))


def steps_of(model: LanguageModel, rule: LearningRule, steps: int, seed: int) -> Iterator[Step]:
    """Training of a model on the text of the standard library; every parameter is observed."""
    batches = text_batches(source_text.training_text(), range(steps), seed=seed, **BATCH)
    names = [name for name, _ in model.named_parameters()]
    return training(model, by_parameter(model, rule), batches, loss=next_byte_loss, observe=names)


def distance_of_twins(rule: LearningRule, draw: Draw, steps: int, seed: int = 0) -> np.ndarray:
    """|q' - G q| / |q - q_0| after each step, (steps,), with q' of the twin that began at G q_0; both see the same."""
    model, twin, moved = (language_model(seed, torch.float64, **SHAPE) for _ in range(3))
    random, heads = np.random.default_rng([seed, 1]), SHAPE["heads"]
    matrices = np.stack([draw(heads, SHAPE["width"] // heads, random) for _ in range(SHAPE["layers"])])
    turn_heads(twin, matrices)
    start = {name: q.detach().clone() for name, q in model.named_parameters()}
    distances = []
    for one, other in zip(steps_of(model, rule, steps, seed), steps_of(twin, rule, steps, seed), strict=True):
        moved.load_state_dict(one.after)
        turn_heads(moved, matrices)
        apart = [(other.after[name] - q.detach()).norm() for name, q in moved.named_parameters()]
        gone = [(one.after[name] - q).norm() for name, q in start.items()]
        distances.append(float(torch.stack(apart).norm() / torch.stack(gone).norm()))
    return np.array(distances)


@dataclass(frozen=True)
class HeadPath:
    """Values and outputs of the heads of the first layer in training.

    Args:
        incoming, outgoing: q_V and q_O^T before each step and after the last, (steps + 1, heads, size, width).
        incoming_momentum, outgoing_momentum: of each step, the gradient of its batch included, (steps, heads, size,
            width).
    """

    incoming: np.ndarray
    outgoing: np.ndarray
    incoming_momentum: np.ndarray
    outgoing_momentum: np.ndarray


def head_path(rule: LearningRule, steps: int, seed: int = 0) -> HeadPath:
    """The heads' path under a rule, and momenta from the batches' gradients: pi <- beta pi + c g."""
    model, heads = language_model(seed, torch.float64, **SHAPE), SHAPE["heads"]
    value, out = (f"layers.0.attention.{name}.weight" for name in ("value", "out"))
    first = model.get_parameter(value).detach().clone(), model.get_parameter(out).detach().clone()
    points, momenta = [head_rows(first[0], first[1], heads)], []
    pi = {name: torch.zeros_like(model.get_parameter(name)) for name in (value, out)}
    for step in steps_of(model, rule, steps, seed):
        pi = {name: rule.momentum * buffer + rule.gradient_weight * step.gradients[name] for name, buffer in pi.items()}
        points.append(head_rows(step.after[value], step.after[out], heads))
        momenta.append(head_rows(pi[value], pi[out], heads))
    incoming, outgoing = (torch.stack(side).numpy() for side in zip(*points, strict=True))
    incoming_momentum, outgoing_momentum = (torch.stack(side).numpy() for side in zip(*momenta, strict=True))
    return HeadPath(incoming, outgoing, incoming_momentum, outgoing_momentum)
