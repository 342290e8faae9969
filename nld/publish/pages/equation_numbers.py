"""Numbers of equations: the paper's own, never to be taken for the book's.

An equation of Tanaka and Kunin, labelled ``eq-paper-17``, is shown and cited as T&K (17); the book's own are counted
without them, in reading order.
"""

import re

PAPER = re.compile(r"eq-paper-(\d+)")
_NAMED = re.compile(r"\bT&K \((\d+)\)|\bEq (\d+)\b")  # in figures' texts; registrations, which never change, say Eq 17
_SHOWN = re.compile(r'(id="equation-(?P<label>[\w-]+)">\s*<span class="eqno">)\(\d+\)')
_CITED = re.compile(r'(href="[^"]*#equation-(?P<label>[\w-]+)">(?:<span[^>]*>)?)\(\d+\)')


def number(label: str, own: dict[str, int]) -> str:
    """How the equation with this label is cited, as HTML; ``own`` has the numbers of the book's own by label."""
    paper = PAPER.fullmatch(label)
    return f"T&amp;K ({paper[1]})" if paper else f"({own[label]})"


def as_roles(text: str) -> str:
    """MyST text whose mentions of the paper's equations are references.

    >>> as_roles("within 5 % of T&K (17)")
    'within 5 % of {eq}`eq-paper-17`'
    """
    return _NAMED.sub(lambda match: f"{{eq}}`eq-paper-{match[1] or match[2]}`", text)


def own_numbers(fignumbers: dict[str, dict[str, dict[str, tuple]]]) -> dict[str, int]:
    """Number of each of the book's own equations, by label, from Sphinx's numbers of all that it numbers."""
    counted = [
        (numbers, identifier.removeprefix("equation-"))
        for kinds in fignumbers.values()
        for kind, equations in kinds.items()
        if kind.rpartition("/")[2] == "displaymath"  # on one page for all chapters: "chapter/displaymath"
        for identifier, numbers in equations.items()
    ]
    own = [label for _, label in sorted(counted) if not PAPER.fullmatch(label)]
    return {label: place for place, label in enumerate(own, 1)}


def renumber(body: str, own: dict[str, int]) -> str:
    """The HTML of a page with the numbers of its equations, and of those that it cites, replaced."""

    def replaced(match: re.Match) -> str:
        return match[1] + number(match["label"], own)

    return _CITED.sub(replaced, _SHOWN.sub(replaced, body))


def number_equations(app, page: str, template: str, context: dict, doctree) -> None:
    """Write the numbers into a page before it is laid out."""
    if "body" in context:
        context["body"] = renumber(context["body"], own_numbers(app.env.toc_fignumbers))
