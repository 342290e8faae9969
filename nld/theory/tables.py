"""Tables of the derivations, each cell computed: Table 1, and what each geometry breaks and conserves."""

import sympy as sp

from nld import symmetry
from nld.learning_rules.rules import heavy_ball
from nld.table import Table
from nld.theory import bregman, noether
from nld.theory.lagrangian import coordinates, euler_lagrange, velocities

_TIME = sp.Symbol("t", positive=True)
_MASS, _FRICTION = sp.symbols("m mu", positive=True)


def bregman_table() -> Table:
    """Scalings of the Bregman Lagrangian and the motions that ``euler_lagrange`` gives them. Paper: Table 1."""
    rate, momentum = sp.symbols("eta beta", positive=True)
    damped = bregman.damped_scaling(_MASS, _FRICTION, _TIME)
    heavy = bregman.rule_scaling(heavy_ball(rate, momentum), _TIME)
    rows = [
        ("Nesterov flow", bregman.nesterov_scaling(_TIME), euclidean_motion),
        ("damped particle", damped, euclidean_motion),
        (r"natural gradient flow: any $h$, $m \to 0$", damped, massless_motion),
        ("heavy ball", heavy, euclidean_motion),
    ]
    return Table(
        ("learning rule", "motion", r"$\alpha_t$", r"$\beta_t$", r"$\gamma_t$"),
        tuple(
            (
                title,
                motion(scaling),
                *(_formula(sp.logcombine(x)) for x in (scaling.alpha, scaling.beta, scaling.gamma)),
            )
            for title, scaling, motion in rows
        ),
    )


def euclidean_motion(scaling: bregman.Scaling) -> str:
    """The Euler-Lagrange equation of a scaling with h = |q|^2/2, divided by the coefficient of grad f."""
    (q,), loss = coordinates("q", 1, _TIME), sp.Function("f")
    action = bregman.bregman_lagrangian(bregman.euclidean, loss(q), (q,), scaling, _TIME)
    equation = sp.expand(euler_lagrange(action, (q,), _TIME)[0])
    force, speed, push = sp.diff(loss(q), q), sp.diff(q, _TIME), sp.diff(q, _TIME, 2)
    factors = [sp.factor(sp.simplify(equation.coeff(x) / equation.coeff(force))) for x in (push, speed)]
    return rf"${_coefficient(factors[0])}\ddot q + {_coefficient(factors[1])}\dot q + \nabla f = 0$"


def massless_motion(scaling: bregman.Scaling) -> str:
    """The limit m -> 0 of the Euler-Lagrange equation for every polynomial h of degree four: mu F q' + grad f = 0.

    Raises:
        ArithmeticError: the limit is another.
    """
    (q,), loss, metric = coordinates("q", 1, _TIME), sp.Function("f"), sp.Symbol("F")

    def polynomial(x):
        return sp.Add(*(sp.Symbol(f"c{i}") * x[0] ** i for i in range(5)))

    action = bregman.bregman_lagrangian(polynomial, loss(q), (q,), scaling, _TIME)
    (equation,) = euler_lagrange(action, (q,), _TIME)
    limit = sp.expand(sp.expand(equation) * sp.exp(-scaling.gamma)).subs(_MASS, 0)
    friction = sp.simplify(limit.coeff(sp.diff(q, _TIME)) / limit.coeff(sp.diff(loss(q), q)))
    factor = sp.simplify(friction / bregman.hessian(polynomial, (q,))[0] * metric)
    if factor != _FRICTION * metric:
        raise ArithmeticError(f"expected the friction mu F in the limit m -> 0, got {factor}")
    return rf"${_tex(_FRICTION)}\,\dot q + F^{{-1}}\nabla f = 0$"


FAMILIES = {
    "translation": symmetry.translation((1, 1)),
    "rotation": symmetry.rotation(),
    "scale": symmetry.scale(),
    "rescale": symmetry.rescale((1, -1)),
}
GEOMETRIES = {
    "Euclidean": (bregman.euclidean, r"\frac12\lVert q\rVert^2"),
    "quadratic form": (bregman.quadratic_form(sp.Matrix(2, 2, sp.symbols("a b b c"))), r"\frac12\langle q, Mq\rangle"),
    "entropy": (bregman.entropy, r"\sum q\log q - q"),
    "Burg": (bregman.burg, r"-\sum\log q"),
}


def metric_breaking(geometry: str, family: str):
    """d/ds of <q', F q'>/2 in symbols q_i and v_i: kinetic symmetry breaking over e^{-alpha_t}, to leading order.

    Paper: Eq 7.
    """
    q = coordinates("q", 2, _TIME)
    unit = bregman.Scaling(0, 0, 0)
    energy = noether.leading_kinetic_energy(GEOMETRIES[geometry][0], q, unit, _TIME)
    breaking = noether.variation(energy, q, FAMILIES[family], _TIME)
    swaps = [*zip(velocities(q, _TIME), sp.symbols("v1 v2"), strict=True)]
    swaps += zip(q, sp.symbols("q1 q2", positive=True), strict=True)
    return sp.simplify(breaking.subs(swaps))


def breaking_table() -> Table:
    """Kinetic symmetry breaking of each symmetry in each geometry, over e^{-alpha_t}, to leading order. Paper: Eq 7."""
    rows = [
        (f"{name}, ${h}$", *(_formula(sp.expand(metric_breaking(name, family))) for family in FAMILIES))
        for name, (_, h) in GEOMETRIES.items()
    ]
    return Table(("geometry", *FAMILIES), tuple(rows))


def conservation_table() -> Table:
    """What the gradient flow of each geometry conserves under each symmetry; a dash where nothing. Paper: Eq 13."""
    x = sp.symbols("q1 q2", positive=True)
    rows = []
    for name, (h, formula) in GEOMETRIES.items():
        charges = [noether.conserved_charge(h, x, family) for family in FAMILIES.values()]
        cells = ["–" if charge is None else _formula(sp.expand_log(sp.expand(charge))) for charge in charges]
        rows.append((f"{name}, ${formula}$", *cells))
    return Table(("geometry", *FAMILIES), tuple(rows))


def _coefficient(factor) -> str:
    if factor == 1:
        return ""
    return rf"({_tex(factor)})\," if factor.is_Add else rf"{_tex(factor)}\,"


def _tex(expression) -> str:
    # table cells are narrow: no growing brackets
    return sp.latex(expression).replace(r"\left(", "(").replace(r"\right)", ")").replace(r"\frac", r"\tfrac")


def _formula(expression) -> str:
    return f"${_tex(expression)}$"
