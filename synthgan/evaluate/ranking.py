"""The area under the ROC curve and how sure it is.

References
----------
.. [1] E. DeLong, D. DeLong, D. Clarke-Pearson, "Comparing the Areas under Two or More Correlated
   Receiver Operating Characteristic Curves", Biometrics 44, 1988.
.. [2] X. Sun, W. Xu, "Fast Implementation of DeLong's Algorithm", IEEE Signal Processing Letters
   21, 2014.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = ["auc_with_interval", "bootstrap_interval", "weighted_auc"]

Floats = npt.NDArray[np.float64]

#: Two-sided 95 % of a normal distribution.
Z95 = 1.959963984540054


def auc_with_interval(positive: Floats, negative: Floats) -> tuple[float, tuple[float, float]]:
    """Return the AUC of scores and its 95 % DeLong interval, cut to [0, 1].

    Parameters
    ----------
    positive, negative : ndarray of shape (m,), (n,)
        Scores of the two classes, at least two each.

    Examples
    --------
    >>> auc_with_interval(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    (1.0, (1.0, 1.0))
    """
    m, n = len(positive), len(negative)
    ranks = _midranks(np.concatenate([positive, negative]))
    above = (ranks[:m] - _midranks(positive)) / n  # share of negatives below each positive
    below = 1 - (ranks[m:] - _midranks(negative)) / m
    auc = float(above.mean())
    half = Z95 * float(np.sqrt(above.var(ddof=1) / m + below.var(ddof=1) / n))
    return auc, (max(auc - half, 0.0), min(auc + half, 1.0))


def _midranks(values: Floats) -> Floats:
    """Return ranks from 1, ties sharing the middle of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def weighted_auc(
    scores: Floats, positive: npt.NDArray[np.bool_]
) -> Callable[[npt.NDArray[np.int64]], float]:
    """Return a function that gives the AUC when each row counts as often as its weight says.

    Sorting once makes many bootstrap draws cheap. The AUC is NaN if a class has no weight.
    """
    _, place = np.unique(scores, return_inverse=True)
    n_places = int(place.max()) + 1

    def auc(weights: npt.NDArray[np.int64]) -> float:
        up = np.bincount(place, weights=weights * positive, minlength=n_places)
        down = np.bincount(place, weights=weights * ~positive, minlength=n_places)
        total = up.sum() * down.sum()
        if total == 0:
            return float("nan")
        return float((up * (np.cumsum(down) - down / 2)).sum() / total)

    return auc


def bootstrap_interval(
    statistic: Callable[[npt.NDArray[np.int64]], float],
    n_rows: int,
    generator: np.random.Generator,
    n_resamples: int = 200,
) -> tuple[float, float] | None:
    """Return the 95 % percentile interval of a statistic over resampled rows.

    Parameters
    ----------
    statistic : callable
        Takes how often each row was drawn, int64 of shape (n_rows,); may return NaN.
    n_rows : int
    generator : numpy.random.Generator
    n_resamples : int, default 200

    Returns
    -------
    (float, float) or None
        None if fewer than half of the resamples gave a number.
    """
    values = np.empty(n_resamples)
    for k in range(n_resamples):
        drawn = generator.integers(n_rows, size=n_rows)
        values[k] = statistic(np.bincount(drawn, minlength=n_rows))
    values = values[np.isfinite(values)]
    if 2 * len(values) < n_resamples:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
