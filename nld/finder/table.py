"""The symmetries of a model as a table in plain text."""

from nld.finder.find import Symmetries


def table(symmetries: Symmetries, width: int = 100) -> str:
    """One line for each block (kind, units, matrix size, parameters), then what was not followed and why.

    Args:
        symmetries: what ``find_symmetries`` returned.
        width: columns at which the list of parameters is cut.
    """
    rows = [("kind", "units", "size", "parameters")]
    rows += [(b.kind.words, str(b.units), str(b.size), b.name) for b in symmetries]
    columns = [max(len(row[i]) for row in rows) for i in range(3)]
    room = max(20, width - sum(columns) - 6)
    lines = [
        f"{kind:<{columns[0]}}  {units:>{columns[1]}}  {size:>{columns[2]}}  "
        f"{where if len(where) <= room else where[: room - 1] + '…'}"
        for kind, units, size, where in rows
    ]
    lines.insert(1, "-" * max(len(line) for line in lines))
    if not symmetries:
        lines.append("none found")
    if symmetries.epsilons:
        values = ", ".join(f"{value:g}" for value in symmetries.epsilons)
        lines += ["", f"Scale symmetries hold up to eps / variance of the normalization behind them (eps: {values})."]
    if symmetries.not_analysed:
        lines += ["", "Not analysed:", *(f"  {note}" for note in symmetries.not_analysed)]
    return "\n".join(lines)
