"""ROC curves, the area under them, and how sure it is.

References
----------
.. [1] E. DeLong, D. DeLong, D. Clarke-Pearson, "Comparing the Areas under Two or More Correlated
   Receiver Operating Characteristic Curves", Biometrics 44, 1988.
.. [2] X. Sun, W. Xu, "Fast Implementation of DeLong's Algorithm", IEEE Signal Processing Letters
   21, 2014.
.. [3] G. Zou, A. Donner, "Construction of Confidence Limits about Effect Measures: A General
   Approach", Statistics in Medicine 27, 2008.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from synthgan.evaluate.intervals import Z95, clipped, clopper_pearson
from synthgan.evaluate.score import Score

__all__ = ["auc_score", "auc_with_interval", "found_at", "roc_curve", "weighted_auc"]

Floats = npt.NDArray[np.float64]


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


def auc_score(name: str, positive: Floats, negative: Floats) -> Score:
    """Return the AUC with its interval as a score; 0.5 is best."""
    auc, interval = auc_with_interval(positive, negative)
    return Score(name, auc, "near", 0.5, interval)


def found_at(
    name: str, positive: Floats, negative: Floats, false_positive_rate: float, note: str = ""
) -> Score:
    """Return the share of positives found when at most a given share of negatives is.

    Parameters
    ----------
    name : str
    positive, negative : ndarray of shape (m,), (n,)
    false_positive_rate : float
    note : str

    Returns
    -------
    Score
        `best` is what positives that are no different from negatives score on average. Both the
        share and the threshold are uncertain, the first as Clopper and Pearson have it, the
        second by the order statistics around it; the interval adds the two in squares ([3]_).
        Not computable with too few negatives to say where the threshold is: at 1 %, 368.

    Examples
    --------
    >>> found = found_at("found", np.arange(1000) + 500.0, np.arange(1000.0), 0.01)
    >>> found.value, [round(end, 2) for end in found.interval], round(found.best, 3)
    (0.51, [0.48, 0.54], 0.011)
    >>> found_at("found", np.arange(50.0), np.arange(50.0), 0.01).reason
    'needs at least 368 rows to find the 1 % of them that score highest, got 50'
    """
    from scipy.stats import binom

    m, n = len(positive), len(negative)
    # With fewer, one time in forty not even the largest negative would be beyond the threshold.
    least = int(np.ceil(np.log(0.025) / np.log1p(-false_positive_rate)))
    if n < least:
        share = f"{100 * false_positive_rate:g} %"
        reason = f"needs at least {least} rows to find the {share} of them that score highest"
        return Score.not_computable(name, f"{reason}, got {n}", "near", false_positive_rate, note)
    ordered = np.sort(negative)[::-1]
    allowed = int(false_positive_rate * n)
    fewest, most = (int(k) for k in binom.ppf([0.025, 0.975], n, false_positive_rate))
    places = (allowed, max(fewest - 1, 0), min(most, n - 1))
    found, if_high, if_low = (int((positive > ordered[place]).sum()) for place in places)
    low, high = clopper_pearson(found, m)
    rate = found / m
    down, up = np.hypot(rate - low, rate - if_high / m), np.hypot(high - rate, if_low / m - rate)
    ends = clipped((rate - float(down), rate + float(up)), rate, 0.0, 1.0)
    return Score(name, rate, "near", (allowed + 1) / (n + 1), ends, note=note)


def roc_curve(positive: Floats, negative: Floats) -> list[list[float]]:
    """Return [false positive rates, true positive rates] at 60 points or fewer, for a picture."""
    from sklearn.metrics import roc_curve as all_points

    scores, labels = (
        np.concatenate([positive, negative]),
        np.repeat([1, 0], [len(positive), len(negative)]),
    )
    false, true, _ = all_points(labels, scores)
    at = np.unique(np.linspace(0, len(false) - 1, 60).round().astype(int))
    return [np.round(rate[at], 4).tolist() for rate in (false, true)]
