"""ROC curves, the area under them, and how sure it is.

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

from synthgan.evaluate.intervals import Z95, clopper_pearson

__all__ = ["auc_with_interval", "roc_curve", "true_positive_rate", "weighted_auc"]

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


def true_positive_rate(
    positive: Floats, negative: Floats, false_positive_rate: float = 0.01
) -> tuple[float, tuple[float, float]]:
    """Return the share of positives found when at most a given share of negatives is.

    Parameters
    ----------
    positive, negative : ndarray of shape (m,), (n,)
    false_positive_rate : float, default 0.01

    Returns
    -------
    float
    (float, float)
        Clopper-Pearson's interval, the threshold taken as given.

    Examples
    --------
    >>> true_positive_rate(np.array([0.9, 5.0]), np.linspace(0, 1, 100))[0]
    0.5
    """
    allowed = int(false_positive_rate * len(negative))
    threshold = np.sort(negative)[len(negative) - 1 - allowed]
    found = int((positive > threshold).sum())
    return found / len(positive), clopper_pearson(found, len(positive))


def roc_curve(positive: Floats, negative: Floats, n_points: int = 60) -> list[list[float]]:
    """Return [false positive rates, true positive rates] at most `n_points` long, for a picture."""
    from sklearn.metrics import roc_curve as all_points

    scores, labels = (
        np.concatenate([positive, negative]),
        np.repeat([1, 0], [len(positive), len(negative)]),
    )
    false, true, _ = all_points(labels, scores)
    at = np.unique(np.linspace(0, len(false) - 1, n_points).round().astype(int))
    return [np.round(rate[at], 4).tolist() for rate in (false, true)]
