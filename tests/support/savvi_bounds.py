"""Computes bounds with savvi, a published implementation, run by the Python of build/savvi.

Reads cases as JSON from standard input: successes, n, alpha, a, b. Writes for each the logarithm of
the evidence against the prior's mean, and the lower and the upper bound.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from savvi.multinomial import Multinomial  # type: ignore[import-not-found]

CLOSE = {"tol_gap_abs": 1e-13, "tol_gap_rel": 1e-13, "tol_feas": 1e-13}
"""By default its solver stops at 1e-8."""


def bounds(successes: int, n: int, alpha: float, a: float, b: float) -> list[float]:
    """Return what savvi says of the first of two outcomes."""
    mean = a / (a + b)
    two = Multinomial(alpha, np.array([mean, 1 - mean]), a + b)
    two.update(np.array([successes, n - successes]))
    lower, upper = two.calculate_conf_int(solver="CLARABEL", **CLOSE)[0]
    return [float(np.log(two.odds)), float(lower), float(upper)]


json.dump([bounds(*case) for case in json.load(sys.stdin)], sys.stdout)
