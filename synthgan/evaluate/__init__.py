"""Proof: fidelity, utility and attacks on privacy of a synthetic table, whoever made it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from synthgan._runtime import numpy_generator, seed_from
from synthgan.evaluate import targets, utility
from synthgan.evaluate.attacks import (
    copies,
    inference,
    linkability,
    membership,
    shadow,
    singling_out,
)
from synthgan.evaluate.diagnosis import diagnose
from synthgan.evaluate.fidelity import columns, coverage, dependence, detection, similarity
from synthgan.evaluate.images import ImageReport, evaluate_images
from synthgan.evaluate.learners import check_booster
from synthgan.evaluate.measure import Measure, Measurement, Setting, finished, run_plan
from synthgan.evaluate.report import Report, build_report
from synthgan.evaluate.score import Score, attach_references
from synthgan.evaluate.tables import Table, Tables, read_alike, read_tables, reference_tables
from synthgan.exceptions import DataError, ParameterError
from synthgan.io import read_frame

__all__ = ["ImageReport", "Report", "Score", "evaluate", "evaluate_images"]

_EVERYWHERE = ("independent_columns", "bootstrap", "holdout")
#: A holdout cannot train the model that it tests.
_NOT_HOLDOUT = ("independent_columns", "bootstrap")
_POWER = ("copy_of_train", "fresh_rows")

#: What is measured, in the order of the report.
PLAN = [
    Measure("similarity", "fidelity", similarity.measure, _EVERYWHERE),
    Measure("columns", "fidelity", columns.measure, _EVERYWHERE),
    Measure("dependence", "fidelity", dependence.measure, _EVERYWHERE, quick=False),
    Measure("detection", "fidelity", detection.measure, _EVERYWHERE),
    Measure("coverage", "fidelity", coverage.measure, _EVERYWHERE, quick=False),
    Measure("utility", "utility", utility.tstr, _NOT_HOLDOUT),
    Measure("utility of train", "utility", utility.trtr, ()),
    Measure("augmentation", "utility", utility.augmented, (), quick=False),
    Measure("ranking", "utility", utility.ranking, ("bootstrap",), quick=False),
    Measure("every target", "utility", targets.measure, _NOT_HOLDOUT, quick=False),
    Measure("groups", "utility", utility.groups, _NOT_HOLDOUT),
    Measure("membership", "privacy", membership.measure, _POWER),
    Measure("inference", "privacy", inference.measure, _POWER, quick=False),
    Measure("linkability", "privacy", linkability.measure, _POWER, quick=False),
    Measure("singling out", "privacy", singling_out.measure, _POWER, quick=False),
    Measure("rare values", "privacy", copies.rare_values, _POWER),
    Measure("copies", "privacy", copies.measure, _POWER),
]

#: Rows of each table that level "quick" looks at.
QUICK_ROWS = 10_000

#: ``recipe(frame, seed)`` fits a generator to a table and returns a synthetic one as large.
Recipe = Callable[[pd.DataFrame, int], Any]


def evaluate(
    train: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    target: str | None = None,
    task: str | None = None,
    categorical: Iterable[str] | None = None,
    sensitive: Iterable[str] | None = None,
    level: str = "full",
    booster: str = "hist_gradient_boosting",
    shadow_recipe: Recipe | None = None,
    shadow_models: int = 16,
    history: Sequence[Mapping[str, Any]] | None = None,
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
        Real rows that the generator never saw. Without them there is no test of utility, no
        attack, and no reference for overfitting.
    target : str, optional
        The column that a user would predict: adds "train on synthetic, test on real".
    task : {"classification", "regression"}, optional
        By default classification if `target` is categorical or has at most 20 distinct integers.
    categorical : list of str, optional
        Numeric columns that are codes. Text, booleans and pandas categories need no mention.
    sensitive : list of str, optional
        Columns whose groups utility is split by, and whose values attribute inference goes for.
    level : {"full", "quick"}
        ``"quick"`` looks at 10,000 rows of each table and leaves out dependence, coverage,
        augmentation, rankings, other targets, and three of the attacks: seconds, for the time
        while a model is being worked on.
    booster : {"hist_gradient_boosting", "xgboost"}
        The judge of C2ST and utility. Papers use XGBoost; it needs the extra ``xgboost``.
    shadow_recipe : callable, optional
        ``recipe(frame, seed)`` fits the generator to a DataFrame and returns a synthetic table of
        as many rows. Adds the shadow-model attack, which fits `shadow_models` of them on 500
        rows each: minutes to hours, and the sharpest test there is here of the *recipe*.
    shadow_models : int, default 16
        At least 16: one half teaches the attack, the other is attacked.
    history : list of dict, optional
        ``history_`` of the fitted estimator, to be read for overfitting and the like.
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
        Scores of fidelity, utility (if `target` and `holdout` are given) and privacy, each with
        an interval and its references; findings with advice. What cannot be computed says why.

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
    >>> report = evaluate(real[:1000], fake[:1000], holdout=real[1000:], target="y", level="quick")
    >>> report.scores["c2st_auc"].value > 0.7
    True
    >>> print(report.privacy)
    No formal privacy guarantee.
    """
    judge = check_booster(booster)
    seed = seed_from(random_state)
    forced = categorical if categorical is None or isinstance(categorical, str) else [*categorical]
    _check(level, shadow_models, shadow_recipe)
    tables = read_tables(train, synthetic, holdout, categorical=forced, target=target, task=task)
    named = _sensitive_columns(sensitive, tables)
    if level == "quick":
        tables = _cut(tables, seed)
    setting = Setting(tables.train, tables.holdout, tables.target, tables.task, named, judge, seed)
    plan = [m for m in PLAN if level == "full" or m.quick]
    if tables.target is None:
        plan = [m for m in plan if m.section != "utility" or m.name == "every target"]
    if not named:
        plan = [m for m in plan if m.name != "groups"]
    scores, details = _run(plan, setting, tables, progress)
    if shadow_recipe is not None:
        found = _attack_recipe(
            setting, train, holdout, forced, shadow_recipe, shadow_models, progress
        )
        scores += [finished(score, "privacy") for score in found.scores]
        details |= found.details
    findings = diagnose(setting, tables.synthetic, {s.name: s for s in scores}, history)
    settings = {
        "target": tables.target,
        "task": tables.task,
        "categorical": sorted(map(str, forced or ())),
        "sensitive": list(named),
        "level": level,
        "booster": judge,
        "shadow_models": shadow_models if shadow_recipe is not None else 0,
        "random_state": seed,
    }
    return build_report(
        tables,
        scores,
        details,
        findings,
        history=history or (),
        privacy=privacy,
        settings=settings,
    )


def _check(level: str, shadow_models: int, recipe: Recipe | None) -> None:
    if level not in ("full", "quick"):
        raise ParameterError(f"level must be 'full' or 'quick', got {level!r}.")
    if not isinstance(shadow_models, int) or shadow_models < shadow.MIN_MODELS:
        least = shadow.MIN_MODELS
        raise ParameterError(f"shadow_models must be an int >= {least}, got {shadow_models!r}.")
    if recipe is not None and not callable(recipe):
        raise ParameterError("shadow_recipe must be a callable: recipe(frame, seed) -> table.")


def _sensitive_columns(sensitive: Iterable[str] | None, tables: Tables) -> tuple[str, ...]:
    if isinstance(sensitive, str):
        raise ParameterError("sensitive must be a list of column names, got one string.")
    named = tuple(dict.fromkeys(str(name) for name in sensitive or ()))
    for name in named:
        if name not in tables.train.names:
            raise DataError(f"sensitive names no column of the train table: {name!r}.")
    return named


def _cut(tables: Tables, seed: int) -> Tables:
    def cut(part: Table, k: int) -> Table:
        return part.sample(QUICK_ROWS, numpy_generator(seed, "cut", k))

    return dataclasses.replace(
        tables,
        train=cut(tables.train, 0),
        synthetic=cut(tables.synthetic, 1),
        holdout=None if tables.holdout is None else cut(tables.holdout, 2),
    )


def _run(
    plan: Sequence[Measure], setting: Setting, tables: Tables, progress: bool
) -> tuple[list[Score], dict[str, Any]]:
    """Run each measure on the synthetic table and on its reference rows."""
    candidates = {"synthetic": tables.synthetic, **reference_tables(tables, setting.seed)}
    attacked = setting
    if tables.holdout is not None and len(tables.holdout) > 1:
        control, fresh = _halves(tables.holdout, setting.seed)
        attacked = dataclasses.replace(setting, control=control)
        candidates |= {"copy_of_train": tables.train, "fresh_rows": fresh}
    settings = {"fidelity": setting, "utility": setting, "privacy": attacked}
    return run_plan(plan, settings, candidates, progress)


def _halves(holdout: Table, seed: int) -> tuple[Table, Table]:
    """Return the control rows of attacks, and the fresh rows that they must fail on."""
    order = numpy_generator(seed, "control").permutation(len(holdout))
    half = (len(holdout) + 1) // 2
    return holdout.take(np.sort(order[:half])), holdout.take(np.sort(order[half:]))


def _attack_recipe(
    setting: Setting,
    train: Any,
    holdout: Any,
    forced: Sequence[str] | None,
    recipe: Recipe,
    n_models: int,
    progress: bool,
) -> Measurement:
    """Make tables from random halves of a pool of real rows, then attack them together."""
    frames = [read_frame(part) for part in (train, holdout) if part is not None]
    frames = [frame.set_axis(frame.columns.map(str), axis=1) for frame in frames]
    whole = pd.concat([frame[list(frames[0].columns)] for frame in frames], ignore_index=True)
    chosen = numpy_generator(setting.seed, "shadow pool").permutation(len(whole))
    pool = whole.iloc[chosen[: shadow.MAX_POOL_ROWS]].reset_index(drop=True)
    rows = shadow.shadow_rows(len(pool), n_models, setting.seed)
    made = {
        f"shadow {k}": recipe(pool.iloc[members].reset_index(drop=True), setting.seed + k)
        for k, members in enumerate(tqdm(rows, desc="shadow models", disable=not progress))
    }
    codes = list(forced or ())
    if setting.task == "classification" and setting.target not in codes:
        codes.append(str(setting.target))
    rest = whole.iloc[chosen[shadow.MAX_POOL_ROWS :]].reset_index(drop=True)
    extra = {"rest": rest} if len(rest) >= len(rows[0]) else {}
    tables = read_alike({"train": pool, **extra, **made}, categorical=codes)
    people, strangers = tables.pop("train"), tables.pop("rest", None)
    candidates = {
        "synthetic": list(tables.values()),
        "copy_of_train": [people.take(members) for members in rows],
    }
    if strangers is not None:
        candidates["fresh_rows"] = [
            strangers.sample(len(rows[0]), numpy_generator(setting.seed, "strangers", k))
            for k in range(n_models)
        ]
    found = {row: shadow.measure(setting, people, rows, part) for row, part in candidates.items()}
    scores = attach_references({row: part.scores for row, part in found.items()})
    return Measurement(scores, found["synthetic"].details)
