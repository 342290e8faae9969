"""A linear neuron f(x) = a <w, x> in closed form: its path under gradient flow, and what its imbalance decides.

The loss is |X (beta - b)|^2/2 with beta = a w. Gradient flow with the rates eta_a and eta_w is gradient flow in the
metric diag(1/eta_a, 1/eta_w), and its rescale charge is that of the metric,

    delta = (eta_w a^2 - eta_a |w|^2)/eta,    eta = sqrt(eta_a eta_w).

``equal_rates`` leaves one rate, eta; everything else here is stated for it, with time in units of 1/eta. Reference:
Kunin and others 2024. The closed form of all weights, and that layer-wise rates rescale the start, are ours.
"""

import math

import numpy as np
from scipy.special import exprel

from nld.errors import InvalidInput


def equal_rates(a, w, rate_a: float, rate_w: float):
    """The point (a', w') that gradient descent with the rate sqrt(eta_a eta_w) for both moves as theirs moves (a, w).

    a' = (eta_w/eta_a)^{1/4} a and w' = (eta_a/eta_w)^{1/4} w: the same function, exactly, at every step of any size.

    Returns:
        (a', w', rate).
    """
    factor = (rate_w / rate_a) ** 0.25
    return factor * np.asarray(a), np.asarray(w) / factor, math.sqrt(rate_a * rate_w)


def imbalance(a, w):
    """delta = a^2 - |w|^2, which gradient flow conserves; w of shape (..., inputs)."""
    return np.asarray(a) ** 2 - (np.asarray(w) ** 2).sum(-1)


def imbalance_change(rate: float, gradient_a, gradient_w):
    """eta^2 (g_a^2 - |g_w|^2), by which a step of gradient descent of any size moves delta."""
    return rate**2 * imbalance(gradient_a, gradient_w)


def sizes(beta_norm, delta):
    """|a| and |w| of the neuron with |a| |w| = |beta| and the imbalance delta."""
    kappa = np.sqrt(np.square(delta) + 4 * np.square(beta_norm))
    return np.sqrt((kappa + delta) / 2), np.sqrt((kappa - delta) / 2)


def mobility(beta, delta):
    """M with beta' = -M X^T X (beta - b): a^2 + w w^T, across beta (kappa + delta)/2, and along it kappa.

    kappa = sqrt(delta^2 + 4 |beta|^2). It is the kernel of the inputs' coordinates.

    Args:
        beta: shape (..., inputs).
        delta: the imbalance, shape (...).
    """
    beta = np.asarray(beta, float)
    a, w = sizes(np.linalg.norm(beta, axis=-1), delta)
    direction = beta / np.linalg.norm(beta, axis=-1, keepdims=True)
    outer = direction[..., :, None] * direction[..., None, :]
    return np.square(a)[..., None, None] * np.eye(beta.shape[-1]) + np.square(w)[..., None, None] * outer


def kernel_distance(first, second):
    """1 - <M_0, M>/(|M_0| |M|), the distance of two kernels of whitened inputs from their ``mobility``."""
    inner, one, other = ((x * y).sum((-2, -1)) for x, y in ((first, second), (first, first), (second, second)))
    return 1 - inner / np.sqrt(one * other)


def final_kernel_distance(delta):
    """1/(2 a^8 + 2 a^4 + 1), a^2 = (delta + sqrt(delta^2 + 4))/2: of an endless turn by a right angle, |beta| = 1."""
    fourth = sizes(1.0, delta)[0] ** 4
    return 1 / (2 * fourth**2 + 2 * fourth + 1)


def path(time, a: float, w, target):
    """(a, w) at these times of the flow of whitened inputs, X^T X = 1, from any start.

    y' = [[delta, b^T], [b, 0]] y is linear, and (a, w) = y/sqrt(1 + 2 int y_a^2) with y = (a, w) at first. Derivation:
    along the flow a' = a (<w, b>/a + delta - a^2) and w' = a b - a^2 w, and the root takes away both -a^2.

    Args:
        time: in w²/ℓ, shape (times).
        a: outgoing weight.
        w: incoming weights, shape (inputs).
        target: b, shape (inputs).

    Returns:
        a of shape (times) and w of shape (times, inputs).

    Raises:
        ValueError: the target is zero.
    """
    t, w, target = (np.asarray(each, float) for each in (time, w, target))
    size = float(np.linalg.norm(target))
    if size == 0:
        raise InvalidInput("expected a target other than zero, got zero; there the neuron only decays")
    delta = float(imbalance(a, w))
    root = math.hypot(delta, 2 * size)
    fast, slow = (delta + root) / 2, (delta - root) / 2  # the rates at which y grows and falls
    along = float(w @ target) / size
    other = (delta * a + 2 * along * size) / root
    grown, fallen = (a + other) / 2, (a - other) / 2
    # all that follows is divided by e^{fast t}, which would overflow
    shrink = np.exp(-root * t)
    y_a, y_along = grown + fallen * shrink, (-slow * grown - fast * fallen * shrink) / size
    faded = np.exp(-2 * fast * t)
    integral = t * (
        grown**2 * exprel(-2 * fast * t)
        + 2 * grown * fallen * _between(delta - 2 * fast, -2 * fast, t)
        + fallen**2 * _between(2 * slow - 2 * fast, -2 * fast, t)
    )
    normal = np.sqrt(faded + 2 * integral)
    direction = target / size
    across = w - along * direction
    rest = np.exp(-fast * t)[:, None] * across
    return y_a / normal, (y_along[:, None] * direction + rest) / normal[:, None]


def _between(one: float, other: float, t):
    """(e^{one t} - e^{other t})/((one - other) t), from the larger rate, so that nothing overflows."""
    return np.exp(max(one, other) * t) * exprel(-abs(one - other) * t)


def alignment(time, start: float, delta: float, size: float):
    """nu = <w, b>/a, which solves nu' = s^2 - delta nu - nu^2 with s = |b|.

    nu = (-delta + R tanh(R t/2 + artanh((delta + 2 nu_0)/R)))/2 with R = sqrt(delta^2 + 4 s^2); where the argument is
    beyond 1 the logarithms of both have one imaginary part, and a hyperbolic cotangent stands in.
    """
    root = math.hypot(delta, 2 * size)
    phase = np.arctanh(complex((delta + 2 * start) / root))
    return ((-delta + root * np.tanh(root * np.asarray(time) / 2 + phase)) / 2).real


def potential(beta_norm, delta):
    """q(|beta|) with grad q = (3/2) |w| beta/|beta|: a (kappa/2 - delta) at the ``sizes`` of beta.

    While a keeps its sign the flow is mirror flow of q at the varying rate 3|a|/2, so that of all beta with no loss it
    finds the least q(beta) - <grad q(beta_0), beta>.
    """
    kappa = np.sqrt(np.square(delta) + 4 * np.square(beta_norm))
    return sizes(beta_norm, delta)[0] * (kappa / 2 - delta)


def potential_gradient(beta, delta):
    """grad q = (3/2) sqrt(sqrt(|beta|^2 + delta^2/4) - delta/2) beta/|beta|, shape (..., inputs)."""
    norm = np.linalg.norm(beta, axis=-1)
    return 1.5 * (sizes(norm, delta)[1] / norm)[..., None] * np.asarray(beta)


def interpolator(a: float, w, shortest):
    """Where the flow of one sample ends, in two dimensions or more: the shortest solution plus what w keeps across it.

    Across the sample w never moves. With k the length of that part a^4 - (delta + k^2) a^2 - |shortest|^2 = 0, and
    the solution has the part |a| k there.

    Args:
        a, w: the start; a has the sign that it keeps.
        shortest: the multiple of the sample that fits it.
    """
    w, shortest = np.asarray(w, float), np.asarray(shortest, float)
    across = w - (w @ shortest) / (shortest @ shortest) * shortest
    half = (float(imbalance(a, w)) + across @ across) / 2
    size = math.sqrt(half + math.sqrt(half**2 + shortest @ shortest))
    return shortest + math.copysign(size, a) * across
