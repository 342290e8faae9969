r"""Formulas of claims as plain text, for terminals and for what a browser shows when it is pointed at something.

Claims are written in MyST, with formulas between dollar signs; `plain` reads the little LaTeX that they use. What is
registered may not change, and was written as plain text; `typeset` puts its formulas between dollar signs.
"""

import re

from nld.errors import InvalidInput

_WORDS = {
    r"\alpha": "α", r"\beta": "β", r"\eta": "η", r"\rho": "ρ", r"\lambda": "λ", r"\mu": "μ", r"\nabla": "∇",
    r"\hat g": "ĝ", r"\dot q": "q̇", r"\langle": "⟨", r"\rangle": "⟩", r"\lVert": "‖", r"\rVert": "‖", r"\log": "log",
    r"\pi": "π", r"\chi": "χ", r"\ln": "ln ", r"\lvert": "|", r"\rvert": "|", r"\tau": "τ", r"\mathsf T": "T",
    r"\exp": "exp", r"\le": "≤", r"\ge": "≥", r"\cdot": "·", r"\,": " ", r"\;": " ", r"\top": "T", r"\ast": "*",
    r"\sum": "Σ",
}  # fmt: skip
# The longest first; one that ends in a letter does not begin a longer one.
_COMMAND = re.compile(
    "|".join(
        re.escape(command) + (r"(?![a-zA-Z])" if command[-1].isalpha() else "")
        for command in sorted(_WORDS, key=len, reverse=True)
    )
)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Formulas of registrations and of findings, as they are written there.
_PLAIN = {
    "exp(-2 alpha)": r"e^{-2\alpha}", "exp(-alpha)": r"e^{-\alpha}", "exp(-friction time/mass)": r"e^{-\mu t/m}",
    "4 k/(1 - beta)": r"4k/(1-\beta)", "(1 + beta)/(1 - beta)": r"(1+\beta)/(1-\beta)",
    "|pi| |A(q)|": r"\lVert\pi\rVert\,\lVert A(q)\rVert", "C t^p f/E(0)": "C t^p f/E(0)", "t^p": "t^p",
    "|<g, A>|": r"\lvert\langle g, A\rangle\rvert", "H A + DA^T g": r"HA + DA^\top g", "K/sqrt(T)": r"K/\sqrt{T}",
    "|C|/2": r"\lvert C\rvert/2", "ln beta - ln(rho)/2": r"\ln\beta - (\ln\rho)/2",
}  # fmt: skip
_GREEK = r"\b(alpha|beta|chi|eta|pi|rho)\b"
_TYPED = re.compile("|".join([*map(re.escape, sorted(_PLAIN, key=len, reverse=True)), r"\b1e-\d+\b", _GREEK]))
_GROUP = r"\{((?:[^{}]|\{[^{}]*\})*)\}"


def plain(text: str) -> str:
    r"""The text with its formulas spelled out.

    >>> plain(r"by $\frac{1+\beta}{(1-\beta)^3}$, or $\sqrt{1-\rho}$")
    'by (1+β)/((1-β)³), or √(1-ρ)'

    Raises:
        ValueError: a formula uses a command that is not known here; add it to the table.
    """
    return re.sub(r"\$([^$]+)\$", lambda formula: _spelled(formula.group(1)), text)


def typeset(text: str) -> str:
    r"""The text with the formulas that it has in plain letters between dollar signs, as MyST writes them.

    >>> typeset("off by (1 + beta)/(1 - beta) to 1e-8, $\\beta$ being beta")
    'off by $(1+\\beta)/(1-\\beta)$ to $10^{-8}$, $\\beta$ being $\\beta$'
    """
    parts = re.split(r"(\$[^$]+\$)", text)
    parts[::2] = [_TYPED.sub(lambda found: f"${_latex(found.group(0))}$", part) for part in parts[::2]]
    return "".join(parts)


def _latex(formula: str) -> str:
    if formula.startswith("1e-"):
        return f"10^{{-{int(formula[3:])}}}"
    return _PLAIN.get(formula, "\\" + formula)


def _spelled(latex: str) -> str:
    text = re.sub(r"\\frac" + _GROUP + _GROUP, r"(\1)/(\2)", latex)
    text = re.sub(r"\\sqrt" + _GROUP, r"√(\1)", text)
    text = _COMMAND.sub(lambda command: _WORDS[command.group(0)], text)
    text = re.sub(r"\^" + _GROUP, lambda m: f"^{m.group(1)}" if len(m.group(1)) == 1 else f"^({m.group(1)})", text)
    text = re.sub("_" + _GROUP, r"_\1", text)
    text = re.sub(r"\^(?:(\d)|\((-?\d+)\))", lambda m: (m.group(1) or m.group(2)).translate(_SUPERSCRIPT), text)
    if left := re.findall(r"\\[a-zA-Z]+|[{}]", text):
        raise InvalidInput(f"expected formulas of known commands, got {', '.join(left)} in ${latex}$")
    return text
