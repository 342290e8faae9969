"""The figures, one file each: `fig_name.py` defines `compute`, `draw`, `caption` and `alt`.

- ``compute(profile, **parameters) -> xarray.Dataset``: run or load what the figure shows;
- ``draw(data) -> matplotlib.figure.Figure``: picture of that data, nothing else;
- ``caption(data) -> str``: MyST text; its first sentence states the message;
- ``alt(data) -> str``: what a reader who cannot see the figure needs to know.

It defines ``judge(data) -> list[Verdict]`` to rule on claims, with ``CLAIMS`` when these are not the paper's own, or
says in ``EXPLORATORY`` why it rules on none. Judging seeds that take too long for each build are kept: ``EVIDENCE``
names the file and ``measure(seeds)`` computes them.

What takes more room than a figure has, or serves several, is in `_data`, and drawing that they share in `_render`. No
figure imports another: a new one is a new file, and nothing else has to be told.
"""

from nld.deprecation import attach

__getattr__, __dir__, __all__ = attach(__name__, __file__)
