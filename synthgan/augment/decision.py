"""Do synthetic rows help? A trial on the same folds, and the answer with its reason."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.dummy import DummyClassifier
from sklearn.metrics import get_scorer
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from tqdm import tqdm

from synthgan._runtime import seed_from
from synthgan.augment.learner import make_table_learner
from synthgan.augment.page import gains_in_words, page_of
from synthgan.augment.trial import (
    NOTHING,
    SIGNS,
    WEIGHTS,
    Fold,
    Trial,
    differences,
    run_fold,
)
from synthgan.augment.variations import ClassRows, as_frame, stack
from synthgan.augment.ways import DEFAULT_WAYS, SIMPLE, Labels, Way, class_counts
from synthgan.exceptions import DataError, ParameterError
from synthgan.files import write_text

__all__ = ["Augmentation", "augment"]


@dataclass(frozen=True, slots=True, eq=False)
class Augmentation:
    """The answer of :func:`augment`.

    Attributes
    ----------
    accepted : bool
        Whether synthetic rows were added.
    reason : str
        Why, or why not, in a sentence.
    X, y : as given
        The rows to train on: with the synthetic ones below, or as they were.
    n_added : int
        Synthetic rows among them.
    way : Way or None
        How they were made.
    best_simple : str
        The best of training on the rows as they are, class weights, random oversampling and SMOTE.
    table : DataFrame
        By method: the mean of every figure over the folds, and the gain over training on the rows
        as they are (``gain``, ``low``, ``high``; positive is better) in the figure that decides.
    gains : DataFrame
        One row per method and figure: ``method``, ``figure``, and its paired ``gain`` over training
        on the rows as they are, with ``low`` and ``high``.
    against_best : DataFrame
        By way: gain over `best_simple`, with the interval that decides.
    folds : DataFrame
        Every figure of every fold.
    scoring : str
        The figure that decides.
    """

    accepted: bool
    reason: str
    X: Any = field(repr=False)
    y: Any = field(repr=False)
    n_added: int
    way: Way | None
    best_simple: str
    table: pd.DataFrame = field(repr=False)
    gains: pd.DataFrame = field(repr=False)
    against_best: pd.DataFrame = field(repr=False)
    folds: pd.DataFrame = field(repr=False)
    scoring: str

    def to_dict(self) -> dict[str, Any]:
        """Return the answer without rows, JSON-able."""
        return {
            "accepted": self.accepted,
            "reason": self.reason,
            "n_added": self.n_added,
            "way": None if self.way is None else str(self.way),
            "scoring": self.scoring,
            "best_simple": self.best_simple,
            "table": self.table.reset_index().to_dict("records"),
            "gains": self.gains.to_dict("records"),
            "against_best": self.against_best.reset_index().to_dict("records"),
        }

    def __str__(self) -> str:
        means = self.table.drop(columns=["gain", "low", "high"]).round(4).to_string()
        gains = gains_in_words(self.gains).to_string()
        title = f"gains over {NOTHING}, with intervals (above 0 is better)"
        return f"{self.reason}\n\n{means}\n\n{title}\n{gains}"

    def to_html(self, path: str | os.PathLike[str]) -> None:
        """Write the answer, its table and its plot as one HTML file."""
        write_text(path, page_of(self.to_dict(), whole=True))

    def _repr_html_(self) -> str:
        return page_of(self.to_dict(), whole=False)


def augment(
    X: Any,
    y: Any,
    estimator: Any = None,
    *,
    scoring: Any = "auc",
    cv: Any = 5,
    repeats: int = 2,
    margin: float = 0.0,
    confidence: float = 0.95,
    ways: Sequence[Way] = DEFAULT_WAYS,
    generator: Any = None,
    n_jobs: int | None = None,
    random_state: Any = None,
    progress: bool = False,
) -> Augmentation:
    """Add synthetic rows to a training table if, and only if, they are shown to help.

    On every training fold a generator is fitted, and the estimator is trained in several ways: on
    the rows as they are, with class weights, with random oversampling, with SMOTE (SMOTE-NC if
    there are categories), and with synthetic rows of several kinds and numbers. All are tested on
    the same real rows. Synthetic rows are accepted if the interval of their gain over the best of
    the simple ways lies above `margin`. The interval is corrected for overlapping folds, and for
    the number of ways that were tried.

    Parameters
    ----------
    X : DataFrame or array, shape (rows, features)
    y : array-like, shape (rows,)
        Classes.
    estimator : scikit-learn classifier, default None
        With ``predict_proba``; it is given rows of X with their types, and missing cells if there
        are some. None takes boosted trees.
    scoring : str or callable, default "auc"
        The figure that decides: ``"auc"``, ``"log_loss"``, ``"ece"`` (calibration error),
        ``"minority_f1"``, or any scorer of scikit-learn.
    cv : int or splitter of scikit-learn, default 5
        Folds, stratified by class.
    repeats : int, default 2
        How often to cut the table into folds, if `cv` is a number.
    margin : float, default 0.0
        What the gain must exceed for sure.
    confidence : float, default 0.95
    ways : sequence of Way
    generator : TabularGAN, default None
        See :class:`GANOverSampler`.
    n_jobs : int or None, default None
        Folds at the same time, each on one thread, by joblib; None is one.
    random_state : int, Generator, RandomState or None, default None
    progress : bool, default False
        Show a bar on standard error.

    Returns
    -------
    Augmentation

    Raises
    ------
    DataError, ParameterError, ValueError
        Before any work: for one class, classes smaller than the number of folds, targets that are
        no classes, an estimator without ``predict_proba``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from synthgan import TabularGAN, TrainingOptions
    >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    >>> quick = TabularGAN(options=TrainingOptions(steps=20), width=16, verbose=0)
    >>> found = augment(
    ...     X[:200], y[:200], LogisticRegression(max_iter=10), cv=2, repeats=1,
    ...     ways=[Way(more=1.0)], generator=quick, random_state=0,
    ... )
    >>> found.accepted, found.n_added
    (False, 0)
    """
    estimator = make_table_learner() if estimator is None else estimator
    labels = _check(X, y, estimator, margin, confidence, ways)
    _check_scoring(scoring, labels)
    seed = seed_from(random_state)
    frame = as_frame(X)
    folds = _folds(cv, repeats, frame, labels, seed)
    trial = Trial(frame, labels, estimator, scoring, tuple(ways), generator, seed)
    figures = pd.DataFrame(_run(trial, folds, n_jobs, progress))
    column = scoring if scoring in SIGNS else "score"
    tested = float(np.mean([len(test) / len(train) for train, test in folds]))
    simple = [m for m in (NOTHING, WEIGHTS, *SIMPLE) if m in set(figures["method"])]
    names_of_figures = [str(name) for name in figures if name not in ("fold", "method")]
    every = {
        name: differences(figures, NOTHING, name, tested, confidence) for name in names_of_figures
    }
    gains = every[column]
    best_simple = str(gains.loc[simple, "gain"].idxmax())
    names = [str(way) for way in ways]
    # Bonferroni: the best of several ways looks better than it is
    strict = 1 - (1 - confidence) / len(names)
    against = differences(figures, best_simple, column, tested, strict).loc[names]
    means = figures.drop(columns="fold").groupby("method").mean().loc[[*simple, *names]]
    accepted = float(against["low"].max()) > margin
    best = str(against["low" if accepted else "gain"].idxmax())
    gain, low, high = against.to_dict("index")[best].values()
    found = f"{gain:+.4f} ({low:+.4f} to {high:+.4f})"
    title = column if column in SIGNS else str(scoring)
    if not accepted:
        reason = (
            f"No synthetic rows were added: the gain in {title} of the best way ({best}) over "
            f"{best_simple} is {found}, not surely above {margin:g}."
        )
        result = {"X": X, "y": y, "n_added": 0, "way": None}
    else:
        way = ways[names.index(best)]
        known = ClassRows.fit(frame, labels, generator, seed)
        new = known.draw(
            way.counts(class_counts(labels)), keep=way.keep, focus=way.focus, seed=seed
        )
        reason = (
            f"{len(new.labels)} synthetic rows were added ({best}): their gain in {title} over "
            f"{best_simple} is {found}."
        )
        result = {"X": stack(X, new.rows), "y": _joined(y, new.labels)}
        result |= {"n_added": len(new.labels), "way": way}
    return Augmentation(
        accepted=accepted,
        reason=reason,
        best_simple=best_simple,
        table=means.join(gains),
        gains=pd.concat(every, names=["figure"]).loc[(slice(None), means.index), :].reset_index(),
        against_best=against,
        folds=figures,
        scoring=title,
        **result,
    )


def _check(
    X: Any, y: Any, estimator: Any, margin: float, confidence: float, ways: Sequence[Way]
) -> Labels:
    """Return the classes, if everything is as it should be."""
    if not hasattr(estimator, "predict_proba"):
        raise ParameterError(
            f"augment: {type(estimator).__name__} has no predict_proba, which AUC and log-loss "
            "need; wrap it in sklearn.calibration.CalibratedClassifierCV."
        )
    if not (margin >= 0 and 0 < confidence < 1) or not ways:
        raise ParameterError(
            "augment: margin must be at least 0, confidence in (0, 1), and ways not empty."
        )
    if len({str(way) for way in ways}) < len(ways):
        raise ParameterError("augment: two of the ways are the same.")
    classes = pd.Series(column_or_1d(y)).infer_objects()
    if classes.isna().any():
        raise DataError("y has missing classes; leave these rows out.")
    labels = classes.to_numpy()
    check_classification_targets(labels)
    if len(labels) != np.shape(X)[0]:
        raise DataError(f"X has {np.shape(X)[0]} rows and y has {len(labels)}.")
    if len(np.unique(labels)) < 2:
        raise DataError("The target 'y' needs to have more than 1 class. Got 1 class instead.")
    return labels


def _check_scoring(scoring: Any, labels: Labels) -> None:
    """Raise if the scorer is none, or cannot score such classes."""
    if callable(scoring) or scoring in SIGNS:
        return
    rows = np.zeros((len(labels), 1))
    try:
        get_scorer(scoring)(DummyClassifier().fit(rows, labels), rows, labels)
    except ValueError as error:
        known = ", ".join(SIGNS)
        raise ParameterError(
            f"augment: scoring must be one of {known}, or a scorer of scikit-learn that fits the "
            f"classes; got {scoring!r} ({error})."
        ) from error


def _folds(cv: Any, repeats: int, frame: pd.DataFrame, labels: Labels, seed: int) -> list[Fold]:
    if hasattr(cv, "split"):
        folds = [(np.asarray(a), np.asarray(b)) for a, b in cv.split(frame, labels)]
        for train, test in folds:
            if min(len(np.unique(labels[train])), len(np.unique(labels[test]))) < 2:
                raise DataError("A fold has one class only; give cv=a stratified splitter.")
            if min(class_counts(labels[train]).values()) < 2:
                raise DataError("A training fold has one row of a class; give fewer folds.")
        return folds
    if not (isinstance(cv, Integral) and int(cv) >= 2):
        raise ParameterError(f"augment: cv must be at least 2 folds or a splitter; got {cv!r}.")
    if not (isinstance(repeats, Integral) and int(repeats) >= 1):
        raise ParameterError(f"augment: repeats must be at least 1; got {repeats!r}.")
    counts = class_counts(labels)
    if min(counts.values()) < max(cv, 4):
        raise DataError(
            f"A class has {min(counts.values())} rows, too few for {cv} folds; give a smaller cv "
            "(with at least 4 rows of each class), or leave the class out."
        )
    splitter = RepeatedStratifiedKFold(n_splits=cv, n_repeats=repeats, random_state=seed % 2**32)
    return list(splitter.split(frame, labels))


def _run(
    trial: Trial, folds: Sequence[Fold], n_jobs: int | None, progress: bool
) -> Iterator[dict[str, Any]]:
    """Yield the figures of all folds."""
    from joblib import Parallel, delayed, parallel_config

    with parallel_config(backend="loky", inner_max_num_threads=1):
        jobs = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(run_fold)(trial, number, fold) for number, fold in enumerate(folds)
        )
        for found in tqdm(jobs, total=len(folds), desc="folds", disable=not progress):
            yield from found


def _joined(y: Any, new: Labels) -> Any:
    """Return the classes of all rows, in the form of `y`."""
    if isinstance(y, pd.DataFrame):
        more = pd.DataFrame({y.columns[0]: new}).astype(y.dtypes.to_dict())
        return pd.concat([y, more], ignore_index=True)
    if isinstance(y, pd.Series):
        return pd.concat([y, pd.Series(new, name=y.name).astype(y.dtype)], ignore_index=True)
    return np.concatenate([np.ravel(y), new])
