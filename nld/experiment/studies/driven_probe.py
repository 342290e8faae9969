"""A particle with nonlinear friction in a bath and a spring that is stiffened slowly: how much entropy that makes.

x' = p, p' = -lambda x + F - phi(p/T), e' = p phi(p/T) with phi = sinh: the bath gains as heat what the particle loses
to friction. With e = c T and the entropy S = c log e, energy p^2/2 + lambda x^2/2 - F x + e is conserved while lambda
stands still. A system of GENERIC form (Beyen and Maes 2024).
"""

import numpy as np
from scipy.integrate import solve_ivp

HEAT, FORCE, START = 3.0, 1.0, (1.0, 0.0, 3.0)  # c, F, and (x, p, e) at rest in lambda = 1


def driven(speed: float) -> tuple[float, float]:
    """Gain of entropy, and of energy beyond the work of the spring, while lambda goes from 1 to 2 in a time 1/speed."""

    def slope(t, state):
        x, p, e, _ = state
        stiffness = 1 + speed * t
        friction = np.sinh(HEAT * p / e)
        return [p, -stiffness * x + FORCE - friction, p * friction, speed * x * x / 2]

    state = solve_ivp(slope, (0, 1 / speed), [*START, 0.0], "DOP853", rtol=1e-11, atol=1e-12).y[:, -1]
    entropy = HEAT * np.log(state[2] / START[2])
    return float(entropy), float(_energy(state, 2.0) - _energy(np.array(START), 1.0) - state[3])


def _energy(state: np.ndarray, stiffness: float) -> float:
    x, p, e = state[:3]
    return p * p / 2 + stiffness * x * x / 2 - FORCE * x + e
