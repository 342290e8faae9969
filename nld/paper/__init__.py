"""The paper as data: equations, tables, figures and claims, with their code, test and chapter.

H. Tanaka and D. Kunin, Noether's Learning Dynamics: Role of Symmetry Breaking in Neural Networks, NeurIPS 2021,
arXiv 2105.02716. Numbers are the manuscript's. The tests demand that every name here exists.
"""

from nld.paper.claims import CLAIMS, FIGURES, Claim, Figure
from nld.paper.equations import CHECKED, EQUATIONS, PROVED, TABLE_1, Equation, TableRow, equation

__all__ = [
    "CHECKED",
    "CLAIMS",
    "EQUATIONS",
    "FIGURES",
    "PROVED",
    "TABLE_1",
    "Claim",
    "Equation",
    "Figure",
    "TableRow",
    "equation",
]
