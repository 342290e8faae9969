"""Where the package lies, and where stored results do."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Below which a folder results/ holds stored results: the root of a checkout; in a wheel, which carries a copy, this.
SHIPPED = PACKAGE / "shipped"
ROOTS = (PACKAGE.parent, SHIPPED)
