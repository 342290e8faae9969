"""Groups of parameters in words: a table of all of them, and what is known of one."""

import textwrap
from collections.abc import Sequence

from nld.advice.scale_classes import Part, Scale
from nld.finder import Block, Symmetries

WIDTH = 110
HEADINGS = {
    "own": "a scale symmetry of its own: each unit's norm may be held; weight decay only sets the effective learning "
    "rate, and under a schedule γ it is to be λ γ/γ_max",
    "shared": "one scale symmetry for several tensors: their joint norm may be held, not each one's; weight decay "
    "only sets their effective learning rate, and under a schedule γ it is to be λ γ/γ_max",
    "compensated": "other tensors undo their factor: a norm may be held while what undoes it stays free, and fast "
    "enough, to carry it; steps of one size, as Adam's, let a gain in front of an output head fall behind (derived, "
    "not measured here); weight decay acts on the product",
    "none": "the loss sees their size: weight decay regularizes the function; a norm is not to be held, unless a "
    "learnable gain behind the matrix, which is missing, carries it",
    "gains and biases": "vectors without a scale symmetry: they carry sizes and shifts of the function",
}
ADVICE = {
    Scale.OWN: "Its norm may be held, unit by unit (nld.hold_norms). Weight decay does not change the function, it "
    "only sets the effective learning rate η/‖q‖²; for a decay that acts alike under a schedule γ, take λ γ/γ_max.",
    Scale.SHARED: "Only the joint norm of all of these may be held without changing what the model can express. Weight "
    "decay of all of them only sets their effective learning rate; for a decay that acts alike under a schedule γ, "
    "take λ γ/γ_max.",
    Scale.COMPENSATED: "Its norm is no property of the function as long as what undoes it is trained and free. To hold "
    "it asks that this is fast enough, too. Of an output head, whose norm is a temperature of the predictions, that is "
    "doubtful: if every entry moves by the same step, as under Adam at one learning rate, a size r changes by the "
    "share η/r a step, so a gain near 1 by less than a head of smaller entries. This is derived under these "
    "assumptions, not measured in this model; what runs have decided of it is in `nld claims` and the chapter Which "
    "weights may be held? Weight decay acts on the product of both.",
    Scale.NONE: "Its norm is a property of the function: to hold it restricts the model, and weight decay "
    "regularizes it. A learnable gain behind it would make its norm free.",
}


def table(groups) -> str:
    """Every group with its heading, one line a tensor: name, shape, and what goes with it; then what was not followed.

    Args:
        groups: a ParamGroups.
    """
    width = max((len(name) for name in groups.parameters), default=0)
    shapes = {name: _shape(tuple(p.shape)) for name, p in groups.parameters.items()}
    across = max((len(shape) for shape in shapes.values()), default=0)
    lines = []
    for group in groups:
        decay = f" (weight decay {group['weight_decay']:g})" if "weight_decay" in group else ""
        lines += textwrap.wrap(f"{group['scale'].upper()}{decay}: {HEADINGS[group['scale']]}.", WIDTH)
        for name in group["names"]:
            start = f"  {name:<{width}}  {shapes[name]:>{across}}  "
            said = [(start + _summary(groups.parts[name], most)).rstrip() for most in (3, 2, 1)]
            line = next((line for line in said if len(line) <= WIDTH), said[-1])
            lines.append(line if len(line) <= WIDTH else line[: WIDTH - 1] + "…")
        lines.append("")
    return "\n".join([*lines, *_reservations(groups.symmetries, WIDTH)]).rstrip()


def explanation(name: str, parts: Sequence[Part], blocks: Sequence[Block], symmetries: Symmetries) -> str:
    """Sentences about one tensor.

    Args:
        name: as it was asked for.
        parts: of it, with what was found.
        blocks: all symmetries that move it.
        symmetries: what was found in the model.
    """
    cell = parts[0].cell
    tied = "" if name == cell.parameter else f", the same tensor as {cell.parameter},"
    if len(parts) == 1:
        said = [f"{name}{tied} ({_shape(cell.shape)}): {_relation(parts[0])}. {_advice(parts[0])}"]
    else:
        said = [f"{name}{tied} ({_shape(cell.shape)}) has parts that differ."]
        said += [f"{part.cell.entries}: {_relation(part)}. {_advice(part)}" for part in parts]
        said.append("An optimizer treats a tensor as one: split it where its parts are to be treated differently.")
    if blocks:
        said += ["Symmetries that move it:", *(f"  {block.describe()}" for block in blocks)]
    return "\n".join([*said, *_reservations(symmetries)])


def _relation(part: Part) -> str:
    """Whose the size of a part is."""
    if part.block is None:
        return "no symmetry that was found multiplies it by a factor"
    units, reason = _units(part.block.units), part.block.reason
    if part.scale is Scale.OWN:
        joint = f" (together {_factors(part)})" if part.partners else ""
        return f"a scale symmetry of its own{joint}, {units}: {reason}"
    if part.scale is Scale.SHARED:
        return f"one scale symmetry, {units}, shared {_factors(part)}: {reason}"
    return f"no scale symmetry, but a {part.block.kind.words} one, {_factors(part)}: {reason}"


def _advice(part: Part) -> str:
    """What follows; a gain or a bias needs no gain behind it."""
    if part.scale is Scale.NONE and part.cell.is_vector:
        return "It carries a size or a shift of the function."
    return ADVICE[part.scale]


def _summary(parts: Sequence[Part], most: int) -> str:
    """A few words for the line of a table, with so many names of partners at most."""
    if len(parts) == 1:
        (part,) = parts
        units = [_units(part.block.units)] if part.block and part.scale is Scale.OWN else []
        return ", ".join([*units, *filter(None, [_factors(part, most)])])
    said = []
    for scale in Scale:
        alike = [part.cell.entries.removeprefix(part.cell.parameter) for part in parts if part.scale is scale]
        said += [f"{scale} in {_some(alike, most)}"] if alike else []
    return "; ".join(said)


def _factors(part: Part, most: int | None = None) -> str:
    """Who else is multiplied or divided when a part is multiplied by c; ``most``: so many names at most of each."""
    together = [_power(entries, power) for entries, power in part.partners.items() if power > 0]
    undoing = [_power(entries, -power) for entries, power in part.partners.items() if power < 0]
    said = [f"with {_some(together, most)}"] if together else []
    return ", ".join([*said, f"undone by {_some(undoing, most)}"] if undoing else said)


def _some(names: Sequence[str], most: int | None) -> str:
    """All names, or the first few and how many more."""
    if most is None or len(names) <= most:
        return ", ".join(names)
    if most == 1:
        return f"{len(names)} tensors"
    return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"


def _power(entries: str, power: float) -> str:
    return entries if power == 1 else f"{entries} (c^{power:g})"


def _reservations(symmetries: Symmetries, width: int | None = None) -> list[str]:
    """What was not followed, and up to what scale symmetries hold."""
    said = []
    if symmetries.epsilons:
        values = ", ".join(f"{value:g}" for value in symmetries.epsilons)
        said.append(f"Scale symmetries hold up to eps / variance of the normalization behind them (eps: {values}).")
    if symmetries.not_analysed:
        said.append("Not analysed, so that a symmetry may be missing:")
        said += [f"  {note}" for note in symmetries.not_analysed]
    else:
        said.append("Every operation was analysed.")
    return said if width is None else [line for text in said for line in textwrap.wrap(text, width) or [""]]


def _units(count: int) -> str:
    return "one unit" if count == 1 else f"{count} units"


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a number"
