"""The exponent of a power law, as orders of accuracy and rates of decay are fitted in every figure."""

import numpy as np


def exponent(x, y) -> float:
    """Least-squares slope of log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
