"""Fits multinomial logistic regression that keeps to the declared direction of each feature's risk.

The model gives level k the logit ``b_k + w_k · f(x)`` for terms ``f`` of the features. Walk along
one feature x away from its normal band, all else being equal, and let ``s_k`` be the slope of the
logit of level k: the sum of ``w_k`` over the active terms of x. The log odds of reaching level k,
``log(sum over i >= k of exp(logit_i)) - log(sum over i < k of exp(logit_i))``, then have the slope
(mean of ``s_i`` over i >= k) - (mean of ``s_i`` over i < k), each mean weighted by the levels'
probabilities. If ``s_0 <= s_1 <= ... <= s_last``, no mean above k is less than one below it, so
P(level >= k) never falls, for every k, every record and every x: the patient never looks better.

So the fit is over the *gaps* ``w_(k+1) - w_k``, and what is bounded is the sum of gaps over the
active terms of each segment. The matrix ``basis`` (``design.py``) turns these slopes into gaps of
terms. All constraints are bounds then, the problem stays convex, and L-BFGS-B (Byrd, Lu, Nocedal &
Zhu, SIAM J. Sci. Comput. 1995) finds its only minimum.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRADIENT: Final = 1e-8
"""Largest component of the projected gradient at the minimum, of the log loss per record."""
_ITERATIONS: Final = 20_000


class FitError(ValueError):
    """The optimiser found no minimum; the message says what to change."""


def fit_weights(
    terms: NDArray[np.float64],
    levels: NDArray[np.int64],
    count: int,
    basis: NDArray[np.float64],
    bounded: NDArray[np.bool_],
    inverse_regularisation: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Minimise the penalised log loss; return weights of shape (count, p) and intercepts (count,).

    ``terms`` are standardised, of shape (n, p); ``levels`` are n indices below ``count``. The gaps
    of two successive levels are ``basis @ u`` for p variables u, of which those that are
    ``bounded`` are 0 or more. The objective is that of scikit-learn's LogisticRegression: the log
    loss summed over records times C, plus half the squared weights; intercepts are free. Raises
    FitError.
    """
    n, p = terms.shape
    # Weights of a level: the gaps below it, less the mean of the levels, which the penalty wants 0.
    steps = np.tril(np.ones((count, count - 1)), -1)
    steps -= steps.mean(axis=0)
    columns = terms @ basis
    spread = columns.std(axis=0)
    spread[spread == 0] = 1.0
    columns /= spread
    back = basis / spread
    gram, level_gram = back.T @ back, steps.T @ steps
    truth = np.zeros((n, count))
    truth[np.arange(n), levels] = 1.0
    penalty = 1.0 / (inverse_regularisation * n)
    split = (count - 1) * p

    def objective(packed: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        slopes, gaps = packed[:split].reshape(count - 1, p), packed[split:]
        logits = (columns @ slopes.T + gaps) @ steps.T
        total = logsumexp(logits, axis=1, keepdims=True)
        residual = (np.exp(logits - total) - truth) @ steps / n
        penalised = penalty * (level_gram @ slopes @ gram)
        loss = float((total[:, 0] - (logits * truth).sum(axis=1)).mean())
        loss += 0.5 * float((penalised * slopes).sum())
        return loss, np.concatenate(
            [(residual.T @ columns + penalised).ravel(), residual.sum(axis=0)]
        )

    free = (None, None)
    limits = [(0.0, None) if bound else free for bound in bounded] * (count - 1)
    # For matrices as small as these, more threads only wait for each other.
    with threadpool_limits(limits=1):
        found = minimize(
            objective,
            np.zeros(split + count - 1),
            jac=True,
            method="L-BFGS-B",
            bounds=[*limits, *[free] * (count - 1)],
            options={
                "maxiter": _ITERATIONS,
                "maxfun": 2 * _ITERATIONS,
                "ftol": 1e-15,
                "gtol": _GRADIENT,
            },
        )
    if not np.isfinite(found.fun) or found.nit >= _ITERATIONS:
        raise FitError(f"the fit found no minimum ({found.message}); train on more records")
    slopes = found.x[:split].reshape(count - 1, p)
    return steps @ (slopes @ back.T), steps @ found.x[split:]
