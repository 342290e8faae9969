"""The figures and the claims of the paper, with their chapters; what other works claim stands beside the figures."""

from dataclasses import dataclass

from nld.paper.chapters import BENEFIT, BREAKING, LIMITS, MECHANICS, NOETHER, NORMALIZATION, QUESTION


@dataclass(frozen=True)
class Figure:
    """A figure of the paper and what it says."""

    name: str
    title: str
    message: str
    panels: tuple[str, ...]
    chapter: str


@dataclass(frozen=True)
class Claim:
    """A statement that a measurement can contradict; its verdict is computed elsewhere.

    Args:
        name: of the claim, unique in the ledger.
        statement: one sentence.
        equations: numbers of the manuscript's equations that it rests on; none for the claim of another work.
        figure: where the source shows it, or, for another work, the figure that rules on it ("" if none).
        chapter: where the book discusses it.
        source: who claims it, a key of the bibliography.
    """

    name: str
    statement: str
    equations: tuple[int, ...]
    figure: str
    chapter: str
    source: str = "tanaka2021noether"


FIGURES = (
    Figure(
        "fig-1", "Symmetry of the loss and of learning",
        "A symmetry of the loss need not be a symmetry of the learning dynamics.", ("a", "b"), QUESTION,
    ),
    Figure(
        "fig-2", "Noether charge from underdamped to overdamped",
        "Friction damps the Noether charge: conserved without it, dead at once in the massless limit.", (), NOETHER,
    ),
    Figure(
        "fig-experiments", "Unconstrained and constrained filter norms",
        "Learning rate, momentum and weight decay help through the freedom of the norm.",
        ("A-1", "A-2", "B-1", "B-2", "C-1", "C-2"), BENEFIT,
    ),
)  # fmt: skip

CLAIMS = (
    Claim(
        "loss-symmetry-is-not-learning-symmetry",
        "Multiplying the filters at initialization leaves the loss as it is and changes the loss curve.",
        (5, 6), "fig-1", QUESTION,
    ),
    Claim("rotation-carries-the-motion", "Where loss and kinetic energy are symmetric, rotating the start rotates the "
          "whole motion and leaves its energy.", (4, 6), "fig-1", QUESTION),
    Claim("modified-equation-order", "Gradient descent with momentum follows its modified equation of motion, one "
          "order closer than gradient flow.", (3,), "", MECHANICS),
    Claim("general-metric-energy", "In any geometry the kinetic energy is that of the metric, up to the order of "
          r"$e^{-2\alpha}$.", (7,), "", BREAKING),
    Claim("charge-balance", "In training a Noether charge moves by friction, kinetic symmetry breaking and weight "
          "decay, and by nothing else.", (10, 12), "", "book/keeping-the-books"),
    Claim("overdamped-charges-are-conserved", "In the overdamped limit charges of translation, scale and rescale are "
          "conserved; finite learning rates move them in proportion.", (13,), "", NOETHER),
    Claim("metric-breaks-rotation", "A metric other than the Euclidean breaks rotation symmetry of the kinetic energy.",
          (6, 7), "", "book/the-metric-breaks-it"),
    Claim("effective-learning-rate", "The direction of a scale-invariant weight moves at the learning rate over its "
          "squared norm.", (15,), "", NORMALIZATION),
    Claim("finite-steps-grow-norms", "On a scale-invariant loss every finite step leaves the sphere outward, by the "
          "kinetic energy of the angle.", (14, 16), "", NORMALIZATION),
    Claim("charge-decays", r"Without kinetic symmetry breaking a Noether charge decays as $e^{-\mu t/m}$.",
          (12,), "fig-2", NOETHER),
    Claim("implicit-rmsprop", "Learning rate, momentum and weight decay break scale symmetry and so run an implicit "
          "RMSProp: the squared norm is the root of an exponential average of squared gradients.",
          (16, 17, 18), "fig-experiments", NORMALIZATION),
    Claim("finite-learning-rate", "The implicit adaptation needs a finite learning rate: constrained and unconstrained "
          "training agree as it goes to zero, and at a large one free norms are better.", (17,), "fig-experiments",
          BENEFIT),
    Claim("momentum-advantage", "The advantage of free norms grows with momentum.", (17,), "fig-experiments", BENEFIT),
    Claim("weight-decay-helps", "Weight decay improves final accuracy and loss where norms are free.", (17,),
          "fig-experiments", BENEFIT),
    Claim("momentum-amplification", r"Momentum amplifies the adaptation by $(1+\beta)/(1-\beta)^3$, 1900-fold at 0.9.",
          (17,), "fig-experiments", LIMITS),
    Claim("weight-decay-forgets", r"Weight decay plays the role of $1-\rho$: it sets how fast old gradients are "
          "forgotten.", (17, 18), "fig-experiments", NORMALIZATION),
    Claim("norm-closed-form", "The squared norm follows the closed form.", (17,), "fig-experiments", LIMITS),
    Claim("scale-breaking-power", r"The kinetic energy of scale breaks by $e^{-2\alpha}\lVert\dot q\rVert^2$.", (6,),
          "", BREAKING),
)  # fmt: skip
