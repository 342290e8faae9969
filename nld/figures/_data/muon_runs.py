"""What the figure of Muon's symmetry measures, one function a panel, each with what theory says beside it."""

import numpy as np

from nld.experiment.studies import head_bases, low_rank_adapters, random_biases
from nld.experiment.studies.head_bases import RULES, HeadPath
from nld.finder import find_symmetries
from nld.learning_rules.rules import LearningRule
from nld.learning_rules.spectral import COEFFICIENTS, ITERATIONS
from nld.symmetry import linear_charges
from nld.theory import adapters, spectral_laws

STEPS, ADAPTER_STEPS, PLACES = 30, 100, 40
COMMUTING, OTHERS = ("heavy ball", "Muon"), ("Muon, lookahead", "Adam")
# With how many of the changes of basis, each a case of the next, a rule commutes.
COMMUTES = {"Adam": 1, "heavy ball": 2, "Muon": 2, "scaled gradient": 3}
SIDES = (1, -1)  # values turn by G, outputs by its inverse transpose


def twins(seed: int) -> dict:
    """How far a twin whose heads began in another basis is, by rule; of Adam also if coordinates are only permuted."""
    kept = [head_bases.distance_of_twins(RULES[name], head_bases.rotations, STEPS, seed) for name in COMMUTING]
    kept.append(head_bases.distance_of_twins(RULES["Adam"], head_bases.signed_permutations, STEPS, seed))
    lost = head_bases.distance_of_twins(RULES["Adam"], head_bases.rotations, STEPS, seed)
    half = head_bases.distance_of_twins(RULES["Muon, half precision"], head_bases.rotations, STEPS, seed)
    return {
        "twin_kept": (("twin", "step"), kept, {"units": "1", "long_name": "distance of twins over distance gone"}),
        "twin_lost": ("step", lost, {"units": "1"}),
        "twin_half": ("step", half, {"units": "1"}),
        "twin": ("twin", [*COMMUTING, "Adam, permuted"]),
        "step": ("step", np.arange(1, STEPS + 1)),
    }


def charges(seed: int) -> dict:
    """Charges of the first layer's heads by rule, what the exact law makes of them, and how far a step turns heads."""
    paths = {name: head_bases.head_path(RULES[name], STEPS, seed) for name in (*COMMUTING, *OTHERS)}
    turned = {name: _turned(path, _momenta(path)) for name, path in paths.items()}
    turning = {name: _turned(path, _moved(path)) for name, path in paths.items()}
    law = {name: _turned_by_law(RULES[name], paths[name]) for name in OTHERS}
    stretched, foreseen, exact = (
        _charges(paths["Muon"]),
        _stretched_by_law(RULES["Muon"], paths["Muon"], _newton_schulz),
        _stretched_by_law(RULES["Muon"], paths["Muon"], spectral_laws.polar_response),
    )
    scales = [np.trace(each[:, 0], axis1=1, axis2=2) for each in (stretched, foreseen, exact)]
    return {
        "turned_kept": (("kept_rule", "step"), [turned[name] for name in COMMUTING], {"units": "1"}),
        "turned": (("rule", "step"), [turned[name] for name in OTHERS], {"units": "1"}),
        "turned_predicted": (("rule", "step"), [law[name] for name in OTHERS], {"units": "1"}),
        "turning_kept": ("step", turning["heavy ball"], {"units": "1"}),
        "turning": (("turning_rule", "step"), [turning[name] for name in ("Muon", "Adam")], {"units": "1"}),
        "stretched": ("step", scales[0], {"units": "ℓ", "long_name": "charge of a head's scale"}),
        "stretched_predicted": ("step", scales[1], {"units": "ℓ"}),
        "stretched_polar": ("step", scales[2], {"units": "ℓ"}),
        "stretch_residual": float(np.abs(stretched - foreseen).max() / np.abs(stretched).max()),
        "kept_rule": ("kept_rule", list(COMMUTING)),
        "rule": ("rule", list(OTHERS)),
        "turning_rule": ("turning_rule", ["Muon", "Adam"]),
    }


def adapter_twins(seed: int) -> dict:
    """How far apart the products of adapters end that began at two places of an orbit, by rule and change of basis."""
    rules = (*low_rank_adapters.RULES, "scaled gradient")
    changes = tuple(low_rank_adapters.CHANGES)
    apart = np.array([
        [low_rank_adapters.distance_of_products(name, change, ADAPTER_STEPS, seed) for change in changes]
        for name in rules
    ])  # fmt: skip
    commutes = np.array([[column < COMMUTES[name] for column in range(len(changes))] for name in rules])
    return {
        "products_kept": (("adapter_rule", "change"), np.where(commutes, apart, 0.0), {"units": "1"}),
        "products_lost": (("adapter_rule", "change"), np.where(commutes, 0.0, apart), {"units": "1"}),
        "adapter_rule": ("adapter_rule", list(rules)),
        "change": ("change", list(changes)),
    }


def conditions(seed: int) -> dict:
    """The Hessian's condition number at places of an orbit, balanced adapters first, and the least of the orbit."""
    model, _, _ = low_rank_adapters.adapted(seed)
    a, b = (part.detach().numpy() for part in (model.a, model.b))
    places = list(zip(*low_rank_adapters.along_an_orbit(*adapters.balanced(a, b), PLACES, seed), strict=True))
    return {
        "condition": ("place", [low_rank_adapters.hessian_condition(*place) for place in places], {"units": "1"}),
        "condition_predicted": ("place", [adapters.condition_number(*place) for place in places], {"units": "1"}),
        "imbalance": ("place", [adapters.imbalance(*place) for place in places], {"units": "1"}),
        "condition_least": adapters.best_condition_number(a, b),
    }


def biases(seed: int) -> dict:
    """Changes of basis left after draws of the two biases, and how many blocks of matrices the finder names."""
    draws, size = np.arange(random_biases.SIZE + 2), random_biases.SIZE
    free = np.maximum(size - draws, 0)
    left = [[random_biases.generators_left(int(k), rotations=only, seed=seed) for k in draws] for only in (False, True)]
    named = [
        sum(block.kind.is_matrix for block in find_symmetries(*random_biases.head(kind, seed)))
        for kind in ("none", "drawn", "trained")
    ]
    return {
        "left": (("group", "draws"), left),
        "left_predicted": (("group", "draws"), np.stack([2 * size * free, free * (free - 1)])),
        "named": ("biases", named),
        "group": ("group", ["all", "rotations"]),
        "draws": ("draws", draws),
        "biases": ("biases", ["none", "drawn", "trained"]),
    }


def _products(path: HeadPath, vectors: tuple[np.ndarray, np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """p q^T of values and outputs at each step, (steps, heads, size, size), and sum |p| |q| over the two, (steps,)."""
    pairs = list(zip(vectors, (path.incoming[:-1], path.outgoing[:-1]), strict=True))
    return [p @ q.mT for p, q in pairs], np.sum([_norm(p) * _norm(q) for p, q in pairs], axis=0)


def _momenta(path: HeadPath) -> tuple[np.ndarray, np.ndarray]:
    return path.incoming_momentum, path.outgoing_momentum


def _moved(path: HeadPath) -> tuple[np.ndarray, np.ndarray]:
    return np.diff(path.incoming, axis=0), np.diff(path.outgoing, axis=0)


def _charges(path: HeadPath) -> np.ndarray:
    """C of every head, (steps, heads, size, size)."""
    return np.asarray(linear_charges(_products(path, _momenta(path))[0], SIDES))


def _turned(path: HeadPath, vectors: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The part of momenta or steps along rotations of the heads, over |p| |q|, (steps,)."""
    products, sizes = _products(path, vectors)
    return _norm(np.asarray(linear_charges(products, SIDES, antisymmetric=True))) / sizes


def _turned_by_law(rule: LearningRule, path: HeadPath) -> np.ndarray:
    """The same of momenta by C <- beta (C + kinetic symmetry breaking), from the measured steps."""
    broken = [p @ d.mT for p, d in zip(_momenta(path), _moved(path), strict=True)]
    sources = np.asarray(linear_charges(broken, SIDES, antisymmetric=True))
    charges = [np.zeros_like(sources[0])]
    for source in sources[:-1]:
        charges.append(rule.momentum * (charges[-1] + source))
    return _norm(np.stack(charges)) / _products(path, _momenta(path))[1]


def _stretched_by_law(rule: LearningRule, path: HeadPath, response: spectral_laws.Response) -> np.ndarray:
    """All charges by ``spectral_laws``, from the momenta of the whole matrices, (steps, heads, size, size).

    From zero: the loss does not notice a change of basis, so that the first gradient leaves no charge.
    """
    heads, size = path.incoming.shape[1:3]
    whole, predicted = np.zeros((heads * size, heads * size)), []
    for incoming, outgoing in zip(*_momenta(path), strict=True):
        predicted.append(whole.reshape(heads, size, heads, size)[np.arange(heads), :, np.arange(heads)])
        incoming, outgoing = (momentum.reshape(heads * size, -1) for momentum in (incoming, outgoing))
        whole = spectral_laws.next_charges(rule, whole, incoming, outgoing, response)
    return np.stack(predicted)


def _newton_schulz(singular_values: np.ndarray) -> np.ndarray:
    return spectral_laws.newton_schulz_response(singular_values, COEFFICIENTS, ITERATIONS)


def _norm(x: np.ndarray) -> np.ndarray:
    """Over all axes but the first."""
    return np.sqrt((x**2).reshape(len(x), -1).sum(1))
