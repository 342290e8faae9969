r"""Formulas of claims as plain text, for terminals and for what a browser shows when it is pointed at something.

Claims are written in MyST, with formulas between dollar signs; `plain` reads the little LaTeX that they use.
"""

import re

from nld.errors import InvalidInput

_WORDS = {
    r"\alpha": "α", r"\beta": "β", r"\eta": "η", r"\rho": "ρ", r"\lambda": "λ", r"\mu": "μ", r"\nabla": "∇",
    r"\hat g": "ĝ", r"\dot q": "q̇", r"\langle": "⟨", r"\rangle": "⟩", r"\lVert": "‖", r"\rVert": "‖", r"\log": "log",
    r"\exp": "exp", r"\le": "≤", r"\ge": "≥", r"\cdot": "·", r"\,": " ", r"\;": " ", r"\top": "T", r"\ast": "*",
}  # fmt: skip
# The longest first; one that ends in a letter does not begin a longer one.
_COMMAND = re.compile(
    "|".join(
        re.escape(command) + (r"(?![a-zA-Z])" if command[-1].isalpha() else "")
        for command in sorted(_WORDS, key=len, reverse=True)
    )
)
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"


def plain(text: str) -> str:
    r"""The text with its formulas spelled out.

    >>> plain(r"by $\frac{1+\beta}{(1-\beta)^3}$, or $\sqrt{1-\rho}$")
    'by (1+β)/((1-β)^3), or √(1-ρ)'

    Raises:
        ValueError: a formula uses a command that is not known here; add it to the table.
    """
    return re.sub(r"\$([^$]+)\$", lambda formula: _spelled(formula.group(1)), text)


def _spelled(latex: str) -> str:
    text = re.sub(r"\\frac" + _GROUP + _GROUP, r"(\1)/(\2)", latex)
    text = re.sub(r"\\sqrt" + _GROUP, r"√(\1)", text)
    text = _COMMAND.sub(lambda command: _WORDS[command.group(0)], text)
    text = re.sub(r"\^" + _GROUP, lambda m: f"^{m.group(1)}" if len(m.group(1)) == 1 else f"^({m.group(1)})", text)
    text = re.sub("_" + _GROUP, r"_\1", text)
    if left := re.findall(r"\\[a-zA-Z]+|[{}]", text):
        raise InvalidInput(f"expected formulas of known commands, got {', '.join(left)} in ${latex}$")
    return text
