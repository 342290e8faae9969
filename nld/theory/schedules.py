"""Weight decay of scale-invariant weights traded for a growing learning rate: the same directions, step for step.

Let x_n > 0 be what heavy ball makes of a weight that feels no gradient,

    (x_{n+1} - x_n)/eta_n = beta (x_n - x_{n-1})/eta_{n-1} - k x_n .

Under a loss with gradient(c q) = gradient(q)/c, heavy ball with decay k and rates eta_n visits q_n exactly when heavy
ball of the same momentum, *without* decay, visits q_n / x_n at the rates eta_n/(x_n x_{n+1}). For a constant rate
x_n = alpha^n is a solution, and the rates grow as alpha^{-2n-1}. Reference: Li and Arora 2020 (constant rates); the
form for any schedule and any positive x is ours.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from nld.errors import InvalidInput
from nld.learning_rules.rules import LearningRule, heavy_ball

STARTS = ("exponential", "empty buffer")


@dataclass(frozen=True, eq=False)
class Schedule:
    """Heavy ball without weight decay that visits the directions of heavy ball with it.

    Args:
        learning_rate: of each step, in w^2/ℓ, shape (steps,).
        log_scale: log of |q~_n|/|q_n| = 1/x_n, shape (steps + 1,), 0 first.
        buffer: the momentum buffer of the scheduled run starts at the original's plus this times q_0, in ℓ/w^2.
    """

    learning_rate: np.ndarray
    log_scale: np.ndarray
    buffer: float


def slow_eigenvalue(rule: LearningRule) -> float:
    """alpha, by which heavy ball's decay shrinks a weight without gradient in a step, once its buffer has settled.

    The larger root of x^2 - (1 + beta - eta k) x + beta = 0: an eigenvalue of the linear map (q, buffer) of the rule,
    and alpha^2 the slow one of what that map does to squared norm, charge and kinetic energy.

    Raises:
        ValueError: eta k > (1 - sqrt(beta))^2, where the weight oscillates through zero; or another rule.
    """
    return 1 - _shrinking(rule)


def matched_buffer(rule: LearningRule) -> float:
    """Buffer over weight with which the exponential schedule starts: -(1 - alpha)/(eta alpha), in ℓ/w^2."""
    lost = _shrinking(rule)
    return -lost / (rule.learning_rate * (1 - lost))


def exponential_schedule(rule: LearningRule, learning_rate, start: str = "exponential") -> Schedule:
    """The schedule without decay that is equivalent to ``rule`` with its decay at the given learning rates.

    With a_n = x_{n+1}/x_n the recursion of the module is a_n = 1 + beta (eta_n/eta_{n-1})(1 - 1/a_{n-1}) - eta_n k,
    whose fixed point is alpha. Exact for every schedule; where the rate is piecewise constant, the growth settles to
    that of the new rate within a few 1/(1 - beta) steps.

    Args:
        rule: heavy ball or gradient descent, with its momentum and weight decay; its learning rate is not used.
        learning_rate: of the run with decay, shape (steps,).
        start: "exponential" grows by alpha^-2 from the first step and needs a buffer that is not zero;
            "empty buffer" needs none, and warms up to that growth instead.

    Raises:
        ValueError: rates that are not positive, an unknown start, or decay so strong that x passes zero.
    """
    rates = np.asarray(learning_rate, float)
    if rates.ndim != 1 or not len(rates) or not (rates > 0).all() or not np.isfinite(rates).all():
        raise InvalidInput(
            f"expected learning rates > 0 of shape (steps,), got shape {rates.shape}; give one rate a step"
        )
    if start not in STARTS:
        raise InvalidInput(f"expected start to be one of {', '.join(STARTS)}, got {start!r}; choose one")
    beta, k = _checked(rule).momentum, rule.weight_decay
    # b_n = 1 - a_n, which is small, is advanced, not a_n, so that no digits cancel
    lost = np.empty(len(rates))
    before = _shrinking(_with_rate(rule, rates[0])) if start == "exponential" else 0.0
    for n, rate in enumerate(rates):
        ratio = rate / rates[n - 1] if n else 1.0
        before = lost[n] = beta * ratio * before / (1 - before) + rate * k
        if not before < 1:
            raise InvalidInput(
                f"expected a decay that no weight passes zero under, but at step {n} with eta k = {rate * k:g} one "
                "does; lower the weight decay or the learning rate"
            )
    log_scale = np.concatenate([[0.0], -np.cumsum(np.log1p(-lost))])
    buffer = matched_buffer(_with_rate(rule, rates[0])) if start == "exponential" else 0.0
    return Schedule(rates * np.exp(log_scale[1:] + log_scale[:-1]), log_scale, buffer)


def tapered_schedule(rule: LearningRule, learning_rate) -> np.ndarray:
    """Rates that grow by alpha^-2 of the rate in force, with a jump where it changes; shape (steps,).

    eta_n/(x_n x_{n+1}) with x_{n+1}/x_n = alpha(eta_n): step decay as Li and Arora trade it. At a change the buffer
    still holds the decay of the old rate, and the growth that is exact settles within a few 1/(1 - beta) steps; this
    one jumps, an error of second order in eta k that stays.
    """
    rates = np.asarray(learning_rate, float)
    root = {rate: _shrinking(_with_rate(rule, rate)) for rate in np.unique(rates)}
    log_scale = np.concatenate([[0.0], -np.cumsum(np.log1p([-root[rate] for rate in rates]))])
    return rates * np.exp(log_scale[1:] + log_scale[:-1])


def doubled_batches(rule: LearningRule, doublings: int) -> LearningRule:
    """The rule after j doublings of the batch that keep the noise of weights and of the momentum buffer.

    The noise of a gradient is sigma^2/B. Kept are eta/(2 B (1 - beta)), the temperature, and 1/(B (1 - beta^2)), the
    variance of the buffer, so that with B_j = 2^j B

        1 - beta_j^2 = (1 - beta^2)/2^j,    eta_j = 2^j eta (1 - beta_j)/(1 - beta) = eta (1 + beta)/(1 + beta_j).

    At fixed weight decay this keeps a scale-invariant weight's norm in equilibrium and, counted in examples, the time
    it takes to settle and the diffusion of its direction, to leading order in eta k. Source of the two invariants: the
    code of Kunin et al. 2021.

    Args:
        rule: heavy ball, or gradient descent, which becomes heavy ball.
        doublings: j; negative halves the batch.

    Raises:
        ValueError: so small a batch has no momentum that keeps both, or another rule.
    """
    rest = (1 - _checked(rule).momentum ** 2) / 2.0**doublings
    if rest > 1:
        raise InvalidInput(
            f"expected a batch of at least 1 - beta^2 = {1 - rule.momentum**2:g} of the given one, got 2^{doublings}; "
            "there momentum is zero and cannot fall"
        )
    momentum = math.sqrt(1 - rest)
    return heavy_ball(rule.learning_rate * (1 + rule.momentum) / (1 + momentum), momentum, rule.weight_decay)


def _shrinking(rule: LearningRule) -> float:
    """1 - alpha, the smaller root of y^2 - (1 - beta + eta k) y + eta k = 0, without cancellation."""
    rate = _checked(rule).learning_rate * rule.weight_decay
    total = rule.friction + rate
    square = total**2 - 4 * rate
    if square < 0 or rate >= 1:
        raise InvalidInput(
            f"expected eta k <= (1 - sqrt(beta))^2 = {(1 - math.sqrt(rule.momentum)) ** 2:g}, got {rate:g}; beyond it "
            "decay makes a weight oscillate, and no positive scale follows it"
        )
    return 2 * rate / (total + math.sqrt(square))


def _with_rate(rule: LearningRule, learning_rate: float) -> LearningRule:
    return replace(rule, learning_rate=float(learning_rate))


def _checked(rule: LearningRule) -> LearningRule:
    rule.require_linear("only their decay is linear")
    return rule
