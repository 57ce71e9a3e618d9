"""What predicted probabilities of classes are worth: discrimination, loss, calibration, F1.

References
----------
.. [1] C. Guo et al., "On Calibration of Modern Neural Networks", ICML 2017: the expected
   calibration error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan.evaluate.roc import weighted_auc
from synthgan.evaluate.score import Direction

__all__ = ["STATISTICS_OF_CLASSES", "Statistic", "Weights", "statistics_of_classes"]

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.int64]
#: A figure, given how often each test row counts.
Statistic = Callable[[Weights], float]

_LEAST_PROBABILITY = 1e-6
_CALIBRATION_BINS = 10

#: The main one first: name, which way is better, best value.
STATISTICS_OF_CLASSES: list[tuple[str, Direction, float]] = [
    ("auc", "higher", 1.0),
    ("log_loss", "lower", 0.0),
    ("ece", "lower", 0.0),
    ("minority_f1", "higher", 1.0),
]


def statistics_of_classes(
    probability: Floats, classes: npt.NDArray[Any], y: npt.NDArray[Any], minority: Any
) -> dict[str, Statistic]:
    """Return, per name, a function of the weights of the test rows.

    Parameters
    ----------
    probability : ndarray of float64, shape (rows, classes)
        A column for each of `classes`.
    classes : ndarray, shape (classes,)
        In ascending order.
    y : ndarray, shape (rows,)
        The true classes; those that `classes` lacks count as a probability of 0.
    minority : scalar
        The class of ``minority_f1``.

    Returns
    -------
    dict of str to callable
        ``auc`` (mean of one-versus-rest over the classes of `y`), ``log_loss``, ``ece`` (expected
        calibration error [1]_ of the likeliest class, 10 bins) and ``minority_f1``.
    """
    return {
        "auc": _mean_auc(probability, classes, y),
        "log_loss": _log_loss(probability, classes, y),
        "ece": _calibration_error(probability, classes, y),
        "minority_f1": _f1(probability, classes, y, minority),
    }


def _mean_auc(probability: Floats, classes: npt.NDArray[Any], y: npt.NDArray[Any]) -> Statistic:
    """Return the mean one-versus-rest AUC over the classes of `y` that have weight."""
    present = list(np.unique(y))
    if len(present) == 2 and set(present) == set(classes):
        present = present[1:]  # the two curves mirror each other
    column = {label: k for k, label in enumerate(classes)}
    curves = [
        weighted_auc(probability[:, column[c]] if c in column else np.zeros(len(y)), y == c)
        for c in present
    ]

    def mean(weights: Weights) -> float:
        known = [auc for curve in curves if np.isfinite(auc := curve(weights))]
        return float(np.mean(known)) if known else np.nan

    return mean


def _log_loss(probability: Floats, classes: npt.NDArray[Any], y: npt.NDArray[Any]) -> Statistic:
    place = np.searchsorted(classes, y).clip(max=len(classes) - 1)
    known = classes[place] == y
    of_truth = np.where(known, probability[np.arange(len(y)), place], 0.0)
    losses = -np.log(np.maximum(of_truth, _LEAST_PROBABILITY))
    return lambda weights: float(np.average(losses, weights=weights))


def _calibration_error(
    probability: Floats, classes: npt.NDArray[Any], y: npt.NDArray[Any]
) -> Statistic:
    best = probability.argmax(axis=1)
    confidence = probability[np.arange(len(y)), best]
    gaps = (classes[best] == y) - confidence
    bins = np.minimum((confidence * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
    return lambda weights: float(
        np.abs(np.bincount(bins, weights=gaps * weights)).sum() / weights.sum()
    )


def _f1(
    probability: Floats, classes: npt.NDArray[Any], y: npt.NDArray[Any], positive: Any
) -> Statistic:
    guessed, true = classes[probability.argmax(axis=1)] == positive, y == positive
    hits, size = guessed & true, guessed.astype(np.int64) + true

    def f1(weights: Weights) -> float:
        total = float((size * weights).sum())
        return 2 * float((hits * weights).sum()) / total if total else 0.0

    return f1
