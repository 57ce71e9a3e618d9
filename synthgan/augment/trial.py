"""The same folds for every way of training: synthetic rows in training folds only."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone
from sklearn.metrics import get_scorer

from synthgan._runtime import numpy_generator
from synthgan.augment.variations import ClassRows
from synthgan.augment.ways import SIMPLE, Labels, Way, class_counts, weighted
from synthgan.evaluate.classification import STATISTICS_OF_CLASSES, statistics_of_classes

__all__ = ["NOTHING", "SIGNS", "WEIGHTS", "Fold", "Trial", "differences", "run_fold"]

NOTHING, WEIGHTS = "nothing", "class weights"
#: 1 if a higher figure is better, -1 if a lower one is.
SIGNS = {name: 1.0 if way == "higher" else -1.0 for name, way, _ in STATISTICS_OF_CLASSES}

Fold = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried on every fold.

    Attributes
    ----------
    features : DataFrame
    labels : ndarray
    estimator : scikit-learn classifier
        Unfitted.
    scoring : str or callable
        ``"auc"``, ``"log_loss"``, ``"ece"``, ``"minority_f1"``, or what scikit-learn calls so.
    ways : sequence of Way
    generator : TabularGAN or None
    seed : int
    """

    features: pd.DataFrame
    labels: Labels
    estimator: Any
    scoring: Any
    ways: Sequence[Way]
    generator: Any
    seed: int


def run_fold(trial: Trial, number: int, fold: Fold) -> list[dict[str, Any]]:
    """Return the figures of every way of training on one fold, one dict each.

    Returns
    -------
    list of dict
        ``fold``, ``method``, the four statistics, and ``score`` if scoring is none of them.
    """
    seed = int(numpy_generator(trial.seed, "fold", number).integers(2**31))
    train, test = fold
    x, y = trial.features.iloc[train].reset_index(drop=True), trial.labels[train]
    ready: dict[str, tuple[Any, pd.DataFrame, Labels]] = {NOTHING: (trial.estimator, x, y)}
    if (balanced := weighted(trial.estimator)) is not None:
        ready[WEIGHTS] = (balanced, x, y)
    for name, change in SIMPLE.items():
        ready[name] = (trial.estimator, *change(x, y, seed))
    known = ClassRows.fit(x, y, trial.generator, seed)
    for k, way in enumerate(trial.ways):
        new = known.draw(
            way.counts(class_counts(y)), keep=way.keep, focus=way.focus, seed=seed + 1000 * k
        )
        rows = pd.concat([x, new.rows.astype(x.dtypes.to_dict())], ignore_index=True)
        ready[str(way)] = (trial.estimator, rows, np.concatenate([y, new.labels]))
    tested = trial.features.iloc[test], trial.labels[test]
    return [
        {"fold": number, "method": name, **_figures(trial, model, rows, labels, *tested)}
        for name, (model, rows, labels) in ready.items()
    ]


def _figures(
    trial: Trial, estimator: Any, x: pd.DataFrame, y: Labels, x_test: pd.DataFrame, y_test: Labels
) -> dict[str, float]:
    with warnings.catch_warnings():  # of convergence and the like: the same on every fold
        warnings.simplefilter("ignore")
        model = clone(estimator).fit(x, y)
        probability = np.asarray(model.predict_proba(x_test), np.float64)
    counts = class_counts(trial.labels)
    minority = min(counts, key=lambda label: counts[label])
    found = statistics_of_classes(probability, model.classes_, y_test, minority)
    once = np.ones(len(y_test), np.int64)
    figures = {name: float(figure(once)) for name, figure in found.items()}
    if trial.scoring not in SIGNS:
        figures["score"] = float(get_scorer(trial.scoring)(model, x_test, y_test))
    return figures


def differences(
    figures: pd.DataFrame, base: str, column: str, share_tested: float, level: float
) -> pd.DataFrame:
    """Return how much better every method is than one of them, with intervals.

    Parameters
    ----------
    figures : DataFrame
        Of all folds, as :func:`run_fold` makes them.
    base : str
        The method that others are compared with.
    column : str
        Which figure.
    share_tested : float
        Rows of a test fold over rows of its training fold.
    level : float
        Of the intervals, such as 0.95.

    Returns
    -------
    DataFrame
        By method: ``gain`` (above 0 is better), ``low`` and ``high``.

    Notes
    -----
    Training folds overlap, so their figures vary less than those of fresh tables would. The
    variance is that of the corrected resampled t-test: with k folds, s**2 * (1 / k + share tested).

    References
    ----------
    C. Nadeau, Y. Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003.
    """
    from scipy.stats import t

    table = figures.pivot(index="fold", columns="method", values=column)
    gains = table.sub(table[base], axis=0) * SIGNS.get(column, 1.0)
    n_folds = len(gains)
    error = gains.std(ddof=1) * np.sqrt(1 / n_folds + share_tested)
    half = error * t.isf((1 - level) / 2, n_folds - 1)
    mean = gains.mean()
    return pd.DataFrame({"gain": mean, "low": mean - half, "high": mean + half})
