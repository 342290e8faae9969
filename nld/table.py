"""A table of text and formulas that a page prints."""

from dataclasses import dataclass

from nld.errors import InvalidInput


@dataclass(frozen=True)
class Table:
    """Rows of MyST text; a notebook displays it as a table, ``print`` as Markdown.

    Args:
        columns: headings.
        rows: cells, formulas between dollar signs.

    Raises:
        ValueError: a row has another length than the headings, or a cell has a vertical bar.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __post_init__(self):
        for row in (self.columns, *self.rows):
            if len(row) != len(self.columns):
                raise InvalidInput(f"expected {len(self.columns)} cells in each row, got {len(row)}: {row}")
            if any("|" in cell for cell in row):
                raise InvalidInput(
                    f"expected cells without a vertical bar, which ends a cell, got {row}; write \\lvert"
                )

    def __str__(self) -> str:
        lines = [self.columns, ("---",) * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)

    def _repr_markdown_(self) -> str:
        return str(self)
