"""The equations of the paper and its Table 1, with their code, test and chapter."""

from dataclasses import dataclass

from nld.paper.chapters import BREAKING, MECHANICS, NOETHER, NORMALIZATION

PROVED, CHECKED = "proved symbolically", "checked numerically"


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


def equation(number: int) -> Equation:
    """The equation with this number.

    Raises:
        ValueError: the paper has no such equation.
    """
    for candidate in EQUATIONS:
        if candidate.number == number:
            return candidate
    raise ValueError(f"expected the number of an equation, 1 to {len(EQUATIONS)}, got {number!r}; see paper.EQUATIONS")
