"""The paper as data: equations, tables, figures and claims, with their code, test and chapter.

H. Tanaka and D. Kunin, Noether's Learning Dynamics: Role of Symmetry Breaking in Neural Networks, NeurIPS 2021,
arXiv 2105.02716. Numbers are the manuscript's. The tests demand that every name here exists.
"""

from dataclasses import dataclass

PROVED, CHECKED = "proved symbolically", "checked numerically"

QUESTION = "book/symmetry-of-the-loss"
MECHANICS = "book/learning-as-mechanics"
BREAKING = "book/kinetic-symmetry-breaking"
NOETHER = "book/noethers-learning-dynamics"
NORMALIZATION = "book/normalization-as-adaptive-optimization"
LIMITS = "book/where-the-closed-form-ends"
BENEFIT = "book/what-symmetry-breaking-buys"


@dataclass(frozen=True)
class Equation:
    """A numbered equation.

    Args:
        number: in the manuscript.
        title: what it is, in a few words.
        latex: in the book's notation.
        code: dotted name of the function that is it.
        test: the test that would fail if it were wrong.
        chapter: where it is derived.
        badge: ``PROVED`` or ``CHECKED``, how far the test goes.
        remark: a correction or condition that the paper does not print.
    """

    number: int
    title: str
    latex: str
    code: str
    test: str
    chapter: str
    badge: str
    remark: str = ""

    @property
    def label(self) -> str:
        """Anchor in the book, fixed for good: people cite it."""
        return f"eq-paper-{self.number}"


@dataclass(frozen=True)
class TableRow:
    """A row of Table 1: functions of the Bregman Lagrangian and the motion they give."""

    title: str
    scaling: str
    potential: str
    motion: str
    code: str
    test: str


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


EQUATIONS = (
    Equation(
        1, "Euler-Lagrange equation",
        r"\frac{d}{dt}\frac{\partial L}{\partial \dot q} = \frac{\partial L}{\partial q}",
        "nld.theory.lagrangian.euler_lagrange", "test_eq01_euler_lagrange_is_stationary_action", MECHANICS, PROVED,
    ),
    Equation(
        2, "Bregman Lagrangian",
        r"L = e^{\alpha_t+\gamma_t}\left(D_h(q+e^{-\alpha_t}\dot q,\,q) - e^{\beta_t} f(q)\right)",
        "nld.theory.bregman.bregman_lagrangian",
        "test_eq02_bregman_lagrangian_has_the_motion_of_wibisono_wilson_and_jordan", MECHANICS, PROVED,
    ),
    Equation(
        3, "Modified equation of gradient descent with momentum and weight decay",
        r"\frac{\eta}{2}(1+\beta)\,\ddot q + (1-\beta)\,\dot q + \nabla f(q) + k q = 0",
        "nld.theory.continuum.modified_equation", "test_eq03_modified_equation_is_derived_from_the_update",
        MECHANICS, PROVED, "Iterates from an empty buffer follow it to second order from velocity -grad f/(1 + beta).",
    ),
    Equation(
        4, "Lagrangian of gradient descent with momentum and weight decay",
        r"L = e^{\frac{2(1-\beta)}{\eta(1+\beta)}t}\left[\frac{\eta(1+\beta)}{4}\|\dot q\|^2"
        r" - \left(f(q) + \frac{k}{2}\|q\|^2\right)\right]",
        "nld.theory.lagrangian.heavy_ball_lagrangian", "test_eq04_lagrangian_has_eq03_as_its_motion", MECHANICS, PROVED,
    ),
    Equation(
        5, "Kinetic energy of a Bregman geometry",
        r"T_h = e^{\alpha_t} D_h(q+e^{-\alpha_t}\dot q,\,q)",
        "nld.theory.bregman.kinetic_energy", "test_eq05_breaking_is_the_derivative_of_the_transformed_energy",
        BREAKING, PROVED,
    ),
    Equation(
        6, "Kinetic symmetry breaking, Euclidean",
        r"\partial_s T = \frac{e^{-\alpha_t}}{2}\,\partial_s\|\dot Q\|^2",
        "nld.theory.noether.euclidean_symmetry_breaking", "test_eq06_euclidean_breaking", BREAKING, PROVED,
        "The example for scale prints e^{-2 alpha_t}; the equation gives e^{-alpha_t}.",
    ),
    Equation(
        7, "Kinetic energy of a general metric",
        r"T_h = \frac{e^{-\alpha_t}}{2}\langle\dot Q, \nabla^2 h(Q)\,\dot Q\rangle + O(e^{-2\alpha_t})",
        "nld.theory.noether.leading_kinetic_energy", "test_eq07_metric_energy_is_the_leading_order", BREAKING, PROVED,
        "Proved for every polynomial potential of degree 4.",
    ),
    Equation(
        8, "Noether's theorem without a symmetry",
        r"\frac{d}{dt}\left\langle\frac{\partial L}{\partial\dot q},\,\partial_s Q\right\rangle"
        r" = \partial_s L = \partial_s T - \partial_s V",
        "nld.theory.noether.noether_residual", "test_eq08_unrestricted_noether", NOETHER, PROVED,
    ),
    Equation(
        9, "Noether's theorem for an invariant loss",
        r"\frac{d}{dt}\left\langle\frac{\partial L}{\partial\dot q},\,\partial_s Q\right\rangle"
        r" = e^{\alpha_t+\gamma_t}\,\partial_s D_h(Q+e^{-\alpha_t}\dot Q,\,Q)",
        "nld.theory.noether.invariant_loss_residual", "test_eq09_with_an_invariant_loss", NOETHER, PROVED,
    ),
    Equation(
        10, "Noether's learning dynamics",
        r"\frac{d}{dt}\langle\Delta_h,\partial_s Q\rangle + \dot\gamma_t\langle\Delta_h,\partial_s Q\rangle"
        r" = \langle\Delta_h,\partial_s\dot Q\rangle"
        r" + e^{\alpha_t}\langle\Delta_h - e^{-\alpha_t}\nabla^2h(q)\,\dot q,\;\partial_s Q\rangle",
        "nld.theory.noether.noethers_learning_dynamics", "test_eq10_full_law_on_shell_for_every_h_loss_and_symmetry",
        NOETHER, PROVED, "Weight decay adds -e^{alpha_t + beta_t} k <q, A(q)>: it breaks the potential.",
    ),
    Equation(
        11, "Displacement in the dual space",
        r"\Delta_h = \nabla h(q+e^{-\alpha_t}\dot q) - \nabla h(q)",
        "nld.theory.bregman.dual_displacement", "test_eq11_dual_displacement_is_the_scaled_momentum", NOETHER, PROVED,
    ),
    Equation(
        12, "Damped Noether charge",
        r"m\frac{d}{dt}\langle\Delta_h,\partial_s Q\rangle + \mu\langle\Delta_h,\partial_s Q\rangle = m\,\partial_s T",
        "nld.theory.noether.damped_residual", "test_eq12_damped_form_follows_from_eq10", NOETHER, PROVED,
    ),
    Equation(
        13, "Overdamped limit: the conservation laws of gradient flow",
        r"\langle\nabla h(q+e^{-\alpha_t}\dot q) - \nabla h(q),\;\partial_s Q\rangle = 0",
        "nld.theory.noether.overdamped_constraint", "test_eq13_conserved_charges_of_gradient_flow", NOETHER, PROVED,
    ),
    Equation(
        14, "Lagrangian in polar coordinates and radial motion",
        r"m\ddot r + \mu\dot r = (m\|\dot{\hat q}\|^2 - k)\,r",
        "nld.theory.adaptive.radial_equation", "test_eq14_radial_equation_by_a_multiplier", NORMALIZATION, PROVED,
    ),
    Equation(
        15, "Angular motion at an effective learning rate",
        r"m\ddot{\hat q} + \mu\dot{\hat q} = -\frac{\hat g}{r^2}",
        "nld.theory.adaptive.angular_equation", "test_eq15_angular_equation_up_to_its_second_order_terms",
        NORMALIZATION, PROVED,
        "Holds for the components tangential to the sphere; along q the constraint adds -m |dq/dt|^2, of first order.",
    ),
    Equation(
        16, "Motion of the squared norm",
        r"m\,\partial_t^2 r^2 + \mu\,\partial_t r^2 = -2k\,r^2 + \frac{2m\|\hat g\|^2}{\mu^2 r^2}",
        "nld.theory.adaptive.squared_norm_equation", "test_eq16_residual_vanishes_with_the_learning_rate",
        NORMALIZATION, CHECKED, "Of leading order in both m and k; exact with 2 m |dq/dt|^2 as its last term.",
    ),
    Equation(
        17, "Closed form of the squared norm",
        r"r^2(t) = \sqrt{\frac{2\eta(1+\beta)}{(1-\beta)^3}\int_0^t e^{-\frac{4k}{1-\beta}(t-\tau)}"
        r"\|\hat g(\tau)\|^2 d\tau + e^{-\frac{4k}{1-\beta}t}\,r^4(0)}",
        "nld.theory.solutions.predict_squared_norm", "test_eq17_solves_eq16_without_inertia", NORMALIZATION, PROVED,
        "Assumes gradients that are smooth over 1/(1 - beta) steps; white ones need the factor (1 - beta)/(1 + beta).",
    ),
    Equation(
        18, "Closed form of RMSProp",
        r"\sqrt{G(t)} = \sqrt{\frac{1-\rho}{\eta}\int_0^t e^{-\frac{1-\rho}{\eta}(t-\tau)}\|g(\tau)\|^2 d\tau"
        r" + e^{-\frac{1-\rho}{\eta}t}\,G(0)}",
        "nld.theory.solutions.predict_root_mean_square", "test_eq18_solves_the_equation_of_rmsprop",
        NORMALIZATION, PROVED,
    ),
)  # fmt: skip

TABLE_1 = (
    TableRow(
        "Nesterov's acceleration", r"\alpha=\log 2-\log t,\ \beta=2\log t+\log\tfrac14,\ \gamma=2\log t",
        r"\tfrac12\|x\|^2", r"\ddot q + \tfrac{3}{t}\dot q + \nabla f = 0",
        "nld.theory.bregman.nesterov_scaling", "test_table1_nesterov_row",
    ),
    TableRow(
        "Damped motion", r"\alpha=-\log m,\ \beta=\log m,\ \gamma=\mu t/m",
        r"\tfrac12\|x\|^2", r"m\ddot q + \mu\dot q + \nabla f = 0",
        "nld.theory.bregman.damped_scaling", "test_table1_damped_row_is_the_caldirola_kanai_lagrangian",
    ),
    TableRow(
        "Natural gradient flow", r"\alpha=-\log m,\ \beta=\log m,\ \gamma=\mu t/m,\ m\to0",
        r"h", r"\mu\dot q + F^{-1}\nabla f = 0,\ F=\nabla^2h",
        "nld.theory.continuum.gradient_flow", "test_table1_natural_gradient_row",
    ),
    TableRow(
        "Gradient descent with momentum", r"m=\tfrac{\eta}{2}(1+\beta),\ \mu=1-\beta",
        r"\tfrac12\|x\|^2", r"\tfrac{\eta}{2}(1+\beta)\ddot q + (1-\beta)\dot q + \nabla f = 0",
        "nld.theory.bregman.rule_scaling", "test_table1_momentum_row",
    ),
)  # fmt: skip

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


def equation(number: int) -> Equation:
    """The equation with this number.

    Raises:
        ValueError: the paper has no such equation.
    """
    for candidate in EQUATIONS:
        if candidate.number == number:
            return candidate
    raise ValueError(f"expected the number of an equation, 1 to {len(EQUATIONS)}, got {number!r}; see paper.EQUATIONS")
