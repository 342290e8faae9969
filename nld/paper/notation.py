"""The notation of the book as data: one letter, one name in code, one meaning, one unit."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Symbol:
    """A symbol, its name in code, its meaning and its unit in weights w and losses ℓ."""

    latex: str
    code: str
    meaning: str
    unit: str = ""


SYMBOLS = (
    Symbol(r"q \in \mathbb R^N", "q", "parameters of the network, the position", "w"),
    Symbol(r"f(q)", "loss", "loss, the potential energy", "ℓ"),
    Symbol(r"g = \nabla f", "gradient", "gradient of the loss", "ℓ/w"),
    Symbol(r"\eta", "learning_rate", "learning rate", "w²/ℓ"),
    Symbol(r"\beta", "momentum", "momentum of heavy ball"),
    Symbol(r"k", "weight_decay", "weight decay", "ℓ/w²"),
    Symbol(r"t = n\eta", "time", "time after n steps", "w²/ℓ"),
    Symbol(r"m = \eta(1+\beta)/2", "mass", "mass", "w²/ℓ"),
    Symbol(r"\mu = 1-\beta", "friction", "friction"),
    Symbol(r"r^2 = \|q\|^2", "squared_norm", "squared norm of a scale-invariant unit", "w²"),
    Symbol(r"\hat q = q/r", "direction", "direction of a scale-invariant unit"),
    Symbol(r"\hat g = r\,g", "unit_gradient", "gradient at unit norm", "ℓ"),
    Symbol(r"Q(q, s)", "transform", "a one-parameter symmetry", "w"),
    Symbol(r"A(q) = \partial_s Q|_{s=0}", "generator", "its generator", "w"),
    Symbol(r"L", "lagrangian", "Lagrangian", "ℓ"),
    Symbol(r"T_h", "kinetic_energy", "kinetic energy of the geometry h", "ℓ"),
    Symbol(r"\partial_s T", "kinetic_symmetry_breaking", "kinetic symmetry breaking", "ℓ"),
    Symbol(r"h", "potential", "distance-generating function of a Bregman divergence", "w²"),
    Symbol(r"D_h(y, x)", "divergence", "Bregman divergence", "w²"),
    Symbol(r"F = \nabla^2 h", "hessian", "metric"),
    Symbol(r"\alpha_t, \beta_t, \gamma_t", "scaling", "functions of time in the Bregman Lagrangian", "logarithms"),
    Symbol(r"\Delta_h", "dual_displacement", "displacement in the dual space", "w"),
    Symbol(r"\langle\Delta_h, \partial_s Q\rangle", "noether_charge", "Noether charge", "w²"),
    Symbol(r"\rho", "square_decay", "memory of RMSProp"),
    Symbol(r"G", "mean_square", "exponential average of squared gradients", "ℓ²/w²"),
    Symbol(r"\chi", "closure", "correlation sum of successive gradients"),
)
