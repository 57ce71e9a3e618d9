"""Proof: fidelity, utility and copies of a synthetic table, whoever made it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from tqdm import tqdm

from synthgan._runtime import seed_from
from synthgan.evaluate.attacks import dcr_share, exact_match_rate
from synthgan.evaluate.detection import c2st
from synthgan.evaluate.learners import Booster, check_booster
from synthgan.evaluate.report import Report, build_report
from synthgan.evaluate.score import REFERENCES, Score, attach_references
from synthgan.evaluate.similarity import Similarity, similarity
from synthgan.evaluate.tables import Table, Tables, read_tables, reference_tables
from synthgan.evaluate.utility import train_and_test

__all__ = ["Report", "Score", "evaluate"]

Measure = Callable[[Table], Sequence[Score]]


def evaluate(
    train: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    target: str | None = None,
    categorical: Iterable[str] | None = None,
    task: str | None = None,
    booster: str = "hist_gradient_boosting",
    privacy: str | None = None,
    random_state: Any = 0,
    progress: bool = False,
) -> Report:
    """Measure a synthetic table against the real one, each number beside its reference rows.

    Parameters
    ----------
    train : DataFrame, Arrow table, polars frame or path
        The rows that the generator learned from. A path ends in ``.parquet`` or ``.csv``.
    synthetic : DataFrame, Arrow table, polars frame or path
        The same columns, in any order.
    holdout : DataFrame, Arrow table, polars frame or path, optional
        Real rows that the generator never saw. Without them there is no test of utility, no DCR
        share, and no reference for overfitting.
    target : str, optional
        The column that a user would predict: adds "train on synthetic, test on real".
    categorical : list of str, optional
        Numeric columns that are codes. Text, booleans and pandas categories need no mention.
    task : {"classification", "regression"}, optional
        By default classification if `target` is categorical or has at most 20 distinct integers.
    booster : {"hist_gradient_boosting", "xgboost"}
        The judge of C2ST and utility. Papers use XGBoost; it needs the extra ``xgboost``.
    privacy : str, optional
        First line of every rendering, if the generator gives a formal guarantee, for example
        ``"Differential privacy: epsilon = 1, delta = 1e-5 (add/remove one row)."``
    random_state : int, Generator or None, default 0
        The same int gives the same report, to the last digit.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    Report
        Scores of similarity (Shape, Trend, C2ST), of utility (if `target` is given) and smoke
        tests for copies. What cannot be computed says why.

    Raises
    ------
    DataError
        If the tables do not fit each other, or a name is not a column.
    ParameterError
        If an argument is outside its range, or `booster` is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> rng = np.random.default_rng(0)
    >>> x = rng.normal(size=2000)
    >>> real = pd.DataFrame({"x": x, "y": np.where(x > 0, "up", "down")})
    >>> fake = pd.DataFrame({"x": x, "y": rng.permutation(real["y"])})
    >>> report = evaluate(real[:1000], fake[:1000], holdout=real[1000:], target="y")
    >>> report.scores["c2st_auc"].value > 0.7
    True
    >>> print(report.privacy)
    No formal privacy guarantee.
    """
    judge = check_booster(booster)
    seed = seed_from(random_state)
    forced = categorical if categorical is None or isinstance(categorical, str) else [*categorical]
    tables = read_tables(train, synthetic, holdout, categorical=forced, target=target, task=task)
    candidates = {"synthetic": tables.synthetic, **reference_tables(tables, seed)}
    found = similarity(tables.train, tables.synthetic)
    measures = _measures(tables, found, judge, seed)
    steps = [(k, row) for k, (_, rows) in enumerate(measures) for row in rows if row in candidates]
    results: list[dict[str, Sequence[Score]]] = [{} for _ in measures]
    for k, row in tqdm(steps, desc="evaluate", disable=not progress):
        results[k][row] = measures[k][0](candidates[row])
    scores = [score for by_table in results for score in attach_references(by_table)]
    settings = {
        "target": tables.target,
        "task": tables.task,
        "categorical": sorted(map(str, forced or ())),
        "booster": judge,
        "random_state": seed,
    }
    return build_report(tables, scores, found, privacy=privacy, settings=settings)


def _measures(
    tables: Tables, found: Similarity, booster: Booster, seed: int
) -> list[tuple[Measure, Sequence[str]]]:
    """Return what is measured, and on which of the tables it makes sense."""
    train, holdout = tables.train, tables.holdout

    def alike(table: Table) -> list[Score]:
        known = table is tables.synthetic
        return found.scores if known else similarity(train, table).scores

    everywhere = ("synthetic", *REFERENCES)
    # A holdout cannot train the model that it tests, nor lie nearer to train than to itself.
    not_holdout = everywhere[:-1]
    measures: list[tuple[Measure, Sequence[str]]] = [
        (alike, everywhere),
        (lambda table: [c2st(train, table, booster=booster, seed=seed)], everywhere),
    ]
    if tables.target is not None and tables.task is not None:
        use = partial(
            train_and_test,
            test=holdout,
            target=tables.target,
            task=tables.task,
            booster=booster,
            seed=seed,
        )
        measures += [(use, not_holdout), (lambda _: use(train, prefix="trtr"), ("synthetic",))]
    return [
        *measures,
        (lambda table: [dcr_share(train, holdout, table, seed=seed)], not_holdout),
        (lambda table: [exact_match_rate(train, holdout, table)], everywhere),
    ]
