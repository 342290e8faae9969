"""Mutants: small changes of a source file, by cosmic-ray's operators, that its tests should notice.

Left out is what no test of values can judge: changes inside annotations, operators that the types refuse at once
(a shift of floats), and identity in place of equality, which for small numbers and short texts is the same.
"""

import ast
import difflib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# A replacement by another kind of operator only fails by its type, and says nothing about the tests.
LEFT_OUT = re.compile(
    r"ReplaceBinaryOperator_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)_(RShift|LShift|BitOr|BitAnd|BitXor)"
    r"|ReplaceBinaryOperator_(RShift|LShift|BitOr|BitAnd|BitXor)_(Add|Sub|Mul|Div|FloorDiv|Mod|Pow)"
    r"|ReplaceComparisonOperator_(Eq|NotEq|Lt|LtE|Gt|GtE)_(Is|IsNot)"
    r"|ReplaceComparisonOperator_(Is|IsNot)_(Eq|NotEq|Lt|LtE|Gt|GtE)"
    r"|Variable(Replacer|Inserter)"
)


@dataclass(frozen=True)
class Mutant:
    """One change of one file: the ``occurrence``-th place where an operator of cosmic-ray applies.

    Args:
        file: path from the root of the checkout.
        operator: cosmic-ray's name of it.
        line: number of the line that changes, from 1.
    """

    file: str
    operator: str
    occurrence: int
    line: int

    def apply(self, source: str) -> str:
        """The changed file."""
        changed = mutate_code(source, get_operator(self.operator)(), self.occurrence)
        assert changed is not None, f"{self} is not in the file it was found in"
        return changed

    def change(self, source: str) -> tuple[str, str]:
        """The lines before and after the change, without their indentation."""
        lines = list(difflib.ndiff(source.splitlines(), self.apply(source).splitlines()))
        before, after = (" ".join(t[2:].strip() for t in lines if t.startswith(sign)) for sign in ("- ", "+ "))
        return before, after


@cache
def _operators() -> dict:
    return {name: get_operator(name)() for name in operator_names() if not LEFT_OUT.search(name)}


def mutants(file: str, source: str) -> Iterator[Mutant]:
    """All mutants of a file, in its order."""
    spared = _spared(source)
    counts = dict.fromkeys(_operators(), 0)
    for node in ast_nodes(get_ast(source)):
        if node.type in ("name", "string", "newline", "endmarker"):  # no operator applies to these
            continue
        for name, operator in _operators().items():
            for (line, column), _ in operator.mutation_positions(node):
                if not any(start <= (line, column) < end for start, end in spared):
                    yield Mutant(file, name, counts[name], line)
                counts[name] += 1


def _spared(source: str) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where nothing is changed: annotations, and what only a type checker reads."""
    found: list[ast.AST | None] = []
    for node in ast.walk(ast.parse(source)):
        found += [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            found.append(node)
    return [
        ((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset))  # pyright: ignore[reportAttributeAccessIssue]
        for n in found
        if n is not None
    ]


def sample(every: list[Mutant], size: int, seed: int) -> list[Mutant]:
    """A random sample; a smaller one of the same seed is its beginning."""
    return random.Random(seed).sample(every, len(every))[:size]


def statement(source: str, line: int) -> tuple[range, bool]:
    """The lines of the statement that a line belongs to, and whether it runs when a function is called, not on import.

    Of a statement with a body only the head counts.
    """
    within, called = range(line, line + 1), False
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
            body = getattr(node, "body", None)
            end = body[0].lineno if body else (node.end_lineno or 0) + 1
            if line < end or not body:
                within = range(node.lineno, max(end, node.lineno + 1))
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                called = True
    return within, called
