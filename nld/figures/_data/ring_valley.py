"""f(q) = (|q|² - 1)²/4, a valley around a circle, which a rotation leaves alone; shapes (..., 2)."""


def potential(q):
    """f(q); shape (..., 2) to (...)."""
    return ((q**2).sum(-1) - 1) ** 2 / 4


def gradient(q):
    """Gradient of ``potential``: (|q|² - 1) q."""
    return ((q**2).sum(-1, keepdims=True) - 1) * q
