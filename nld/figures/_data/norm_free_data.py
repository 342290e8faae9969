"""The data of the figure on dynamic tanh: trained networks, shapes of layer normalization, alphas, charges, drifts."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from nld.experiment.studies import input_output, norm_free, residual_stream
from nld.learning_rules.rules import heavy_ball
from nld.theory.discrete import predict_quadratic_charge_from_steps

SEEDS = {"quick": 3, "paper": 5}
EPOCHS = {"quick": 15, "paper": 60}
RATE = 5e-3  # of AdamW
STEPS, MOMENTUM = 300, 0.9  # of SGD
RULES = ["LayerNorm", "DyT"]
RATES, TIME = (8e-3, 4e-3, 2e-3), 0.08  # of gradient descent on full batches, and its training time in w²/ℓ
IMAGES = 128
DOTS, INTERVALS, REACH = 240, 40, 5.0  # dots a panel, intervals of x that share them, deviations of x that are drawn
OUTLIERS = "two outliers"
FACTOR = 1.7  # of the writers, in the test of invariance
SQUASHED = 0.9  # of the line of the middle: less makes the pooled map of a layer an S
PARITY = 1.5  # points of accuracy within which two norms count as alike, as registered
EXTREMES = {"units": "1", "long_name": "outputs of the 1 % extreme inputs over the line of the middle"}


def trained(seeds: Sequence[int], epochs: int) -> dict[str, norm_free.Trained]:
    """Networks with each norm after AdamW, by norm."""
    return {
        norm: norm_free.train_transformers(norm, seeds, learning_rate=RATE, epochs=epochs) for norm in norm_free.NORMS
    }


def drawn(profile: str, seed: int, settings: dict) -> list[xr.Dataset]:
    """Shapes, alphas and accuracies after AdamW; both charges under SGD; their drift under gradient descent.

    Args:
        settings: learning_rate, weight_decay, momentum and steps under SGD.
    """
    seeds = list(range(seed, seed + SEEDS[profile]))
    networks = trained(seeds, EPOCHS[profile])
    untrained = [norm_free.build("LayerNorm", seed=each) for each in seeds]
    accuracy = (("norm", "seed"), [each.accuracy for each in networks.values()], {"units": "1"})
    return [
        shapes(networks["LayerNorm"].models, seeds, untrained),
        alphas(networks["DyT"].models, seeds),
        xr.Dataset({"accuracy": accuracy}, {"norm": list(networks), "seed": seeds}),
        charges(settings, seed),
        drifts(seed),
    ]


def shapes(models: Sequence, seeds: Sequence[int], untrained: Sequence) -> xr.Dataset:
    """Inputs and outputs of each LayerNorm, with those of artificial tokens as one more layer; the curves drawn."""
    found = [input_output.pairs(model) for model in models]
    before = [input_output.pairs(model) for model in untrained]
    layers = [*found[0], OUTLIERS]
    for seed, *each in zip(seeds, found, before, strict=True):
        tokens = input_output.outlier_tokens(seed=seed)
        for pairs in each:
            pairs[OUTLIERS] = tokens, input_output.normalized(tokens)
    fits = [[[input_output.line(*p[name]), *(input_output.fit(*p[name], curve) for curve in input_output.CURVES)]
             for name in layers] for p in found]  # fmt: skip
    extremes = [[[input_output.extremes(*p[name]) for name in layers] for p in each] for each in (before, found)]
    draw = np.random.default_rng(seeds[0])
    dots, curves, deviations = [], [], []
    for name, (_, tanh, _) in zip(layers, fits[0], strict=True):
        x, y = (values.ravel() for values in found[0][name])
        picked, straight = _spread(x, draw), input_output.middle(x, y)
        dots.append([x[picked], y[picked]])
        deviations.append(x.std())
        curves.append([[fit.amplitude, fit.slope, fit.offset] for fit in (straight, tanh)])
    explained = [[[fit.explained for fit in row] for row in each] for each in fits]
    bend = [max(input_output.bends(*p[name]) for p in found) for name in layers]
    return xr.Dataset(
        {
            "explained": (("seed", "layer", "curve"), explained, {"units": "1", "long_name": "R²"}),
            "extremes": (("state", "seed", "layer"), extremes, EXTREMES),
            "dots": (("layer", "axis", "dot"), dots, {"units": "w for inputs, 1 for outputs"}),
            "drawn": (("layer", "line", "coefficient"), curves, {"long_name": "amplitude, slope, offset"}),
            "input_deviation": ("layer", deviations, {"units": "w"}),
            "bend": ("layer", bend, {"units": "1", "long_name": "largest 1 - R² of one token's own line"}),
        },
        coords={
            "layer": layers,
            "curve": ["line", *input_output.CURVES],
            "line": ["middle", "tanh"],
            "state": ["untrained", "trained"],
            "seed": list(seeds),
        },
    )


def _spread(x: np.ndarray, draw: np.random.Generator) -> np.ndarray:
    """Which of many dots are drawn: a few in each equal interval of x, so that tails show, and the rest anywhere."""
    edges = np.linspace(-REACH * x.std(), REACH * x.std(), INTERVALS + 1)
    shuffled = draw.permutation(len(x))
    interval = np.digitize(x[shuffled], edges)
    few = [shuffled[interval == i][: DOTS // INTERVALS] for i in range(1, INTERVALS + 1)]
    picked = np.concatenate(few)
    rest = np.setdiff1d(shuffled, picked, assume_unique=True)
    return np.concatenate([picked, rest[np.linspace(0, len(rest) - 1, DOTS - len(picked), dtype=int)]])


def alphas(models: Sequence, seeds: Sequence[int]) -> xr.Dataset:
    """Alpha of each DyT layer and the standard deviation of what it reads."""
    alpha = [norm_free.alphas(model) for model in models]
    deviation = [[x.std() for x, _ in input_output.pairs(model).values()] for model in models]
    names = list(norm_free.norms(models[0]))
    return xr.Dataset(
        {
            "alpha": (("seed", "norm_layer"), alpha, {"units": "w"}),
            "deviation": (("seed", "norm_layer"), deviation, {"units": "w"}),
        },
        coords={"norm_layer": names, "seed": seeds},
        attrs={"parameters": sum(p.numel() for p in models[0].parameters())},
    )


def charges(settings: dict, seed: int) -> xr.Dataset:
    """Both charges under SGD at every point, measured, predicted from the steps, and without the steps."""
    points = np.arange(settings["steps"] + 1)
    rule = heavy_ball(settings["learning_rate"], settings["momentum"], settings["weight_decay"])
    rows = []
    for norm in RULES:
        record = residual_stream.follow(norm, seed=seed, **settings)
        charge, source = ((record[v][:, 0] - record[v][:, 1]).values for v in ("squared_norm", "squared_step"))
        law, without = (predict_quadratic_charge_from_steps(rule, s, charge[0]).value for s in (source, 0 * source))
        sides = (record[name].values for name in ("squared_norm", "squared_step"))
        rows.append((*sides, charge, law, without, record["loss"].values))
    norms, moved, charge, law, without, loss = (np.array(column) for column in zip(*rows, strict=True))
    return xr.Dataset(
        {
            "squared_norm": (("rule", "point", "side"), norms, {"units": "w²"}),
            "squared_step": (("rule", "step", "side"), moved, {"units": "w²"}),
            "charge": (("rule", "point"), charge, {"units": "w²", "long_name": "writers minus readers"}),
            "predicted": (("rule", "point"), law, {"units": "w²"}),
            "without": (("rule", "point"), without, {"units": "w²", "long_name": "weight decay alone"}),
            "loss": (("rule", "step"), loss, {"units": "ℓ"}),
        },
        coords={"rule": RULES, "point": points, "step": points[:-1], "side": residual_stream.SIDES},
    )


def drifts(seed: int) -> xr.Dataset:
    """Both charges after gradient descent on a full batch at three rates; how exact both symmetries are."""
    drift, law, writers = (np.zeros((len(RULES), len(RATES))) for _ in range(3))
    for row, norm in enumerate(RULES):
        for column, rate in enumerate(RATES):
            record = residual_stream.follow(norm, rate, round(TIME / rate), seed=seed, images=IMAGES)
            norms, squared = record["squared_norm"].values, record["squared_gradient"].values
            drift[row, column] = (norms[-1] - norms[0]) @ [1, -1]
            law[row, column] = rate**2 * (squared @ [1, -1]).sum()
            writers[row, column] = norms[-1, 0] - norms[0, 0]
    changes = [residual_stream.change_of_output(norm, FACTOR, seed=seed) for norm in RULES]
    return xr.Dataset(
        {
            "drift": (("rule", "rate"), drift, {"units": "w²", "long_name": "change of the charge"}),
            "predicted_drift": (("rule", "rate"), law, {"units": "w²", "long_name": "from the gradients"}),
            "writers_change": (("rule", "rate"), writers, {"units": "w²"}),
            "invariance": (("rule", "transformed"), changes, {"units": "1", "long_name": "change of the logits"}),
        },
        coords={"rule": RULES, "rate": list(RATES), "transformed": ["both sides", "writers alone"]},
    )


def slopes(data: xr.Dataset) -> np.ndarray:
    """Order of the drift in the learning rate, (rule)."""
    rate = np.log(data["rate"].values)
    return np.polyfit(rate, np.log(np.abs(data["drift"].values)).T, 1)[0]


def gain(data: xr.Dataset) -> xr.DataArray:
    """Explained variance of tanh less that of a line, median over seeds, by layer."""
    explained = data["explained"].median("seed")
    return explained.sel(curve="tanh") - explained.sel(curve="line")


def judged(networks: dict, seeds: Sequence[int]) -> xr.Dataset:
    """Per-seed numbers that rule: accuracy by norm; extremes of the first and last layer; rank correlation of alpha.

    Args:
        networks: ``norm_free.Trained`` by norm.
    """
    found = [input_output.pairs(model) for model in networks["LayerNorm"].models]
    ends = [(names[0], names[-1]) for names in map(list, found)]
    extremes = [[input_output.extremes(*p[name]) for name in names] for p, names in zip(found, ends, strict=True)]
    correlation = rank_correlations(alphas(networks["DyT"].models, list(seeds)))
    accuracy = np.array([each.accuracy for each in networks.values()]).T
    return xr.Dataset(
        {
            "judged_accuracy": (("judging_seed", "trained_norm"), accuracy, {"units": "1"}),
            "judged_extremes": (("judging_seed", "end_layer"), extremes, EXTREMES),
            "judged_correlation": (("judging_seed",), correlation, {"units": "1"}),
        },
        coords={"judging_seed": list(seeds), "trained_norm": list(networks), "end_layer": ["first", "last"]},
    )


def rank_correlations(data: xr.Dataset) -> np.ndarray:
    """Spearman's correlation over layers between alpha and one over the deviation of its inputs: (seed,)."""
    ranks = [np.argsort(np.argsort(v, axis=1), axis=1) for v in (data["alpha"].values, 1 / data["deviation"].values)]
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)])


def rank_correlation(data: xr.Dataset) -> float:
    """Their median over the seeds that are drawn."""
    return float(np.median(rank_correlations(data)))


def residual(data: xr.Dataset) -> xr.DataArray:
    """|measured - predicted| over the largest change of the charge."""
    change = abs(data["charge"] - data["charge"].isel(point=0)).max("point")
    return abs(data["charge"] - data["predicted"]) / change
