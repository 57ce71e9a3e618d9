"""The judges: models of fixed strength on one matrix of features.

A score such as C2ST depends on the strength of its judge, so these settings are part of the
definition: change them and old numbers no longer compare.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt

from synthgan.evaluate.tables import Table, Task
from synthgan.exceptions import ParameterError

__all__ = [
    "BOOSTERS",
    "Booster",
    "blocks",
    "check_booster",
    "features",
    "make_booster",
    "make_learner",
    "quietly",
    "row_limit",
]

Booster = Literal["hist_gradient_boosting", "xgboost"]

N_TREES = 150
#: Judges see about this many cells at most; see :func:`row_limit`.
MAX_CELLS = 5_000_000
#: Levels beyond this many share one code: boosters store a code in one byte.
MAX_LEVELS = 254
#: Levels of a column that get an axis each in :func:`blocks`.
MAX_AXES = 10

Floats = npt.NDArray[np.float64]


def row_limit(n_columns: int, most: int) -> int:
    """Return how many rows a judge is given, so that wide tables take no longer than long ones.

    Examples
    --------
    >>> row_limit(15, 50_000), row_limit(500, 50_000)
    (50000, 10000)
    """
    return min(most, max(MAX_CELLS // n_columns, 2_000))


def features(
    train: Table, test: Table
) -> tuple[Floats, Floats, npt.NDArray[np.bool_], tuple[str, ...]]:
    """Return what a judge learns from and what it is tested on.

    Numbers are centred and scaled by those of `train`, since judges may compute in float32;
    columns without a value in `train` are left out.

    Returns
    -------
    ndarray of shape (rows of train, columns), float64
        Numbers, and codes below 255 of categories; NaN for missing.
    ndarray of shape (rows of test, columns), float64
    ndarray of shape (columns,), bool
        Which columns are codes.
    tuple of str
        Names of the columns that are left.
    """
    x, y = train.matrix(), test.matrix()
    codes = np.array([column.kind == "categorical" for column in train.columns], dtype=bool)
    keep = np.array([not np.isnan(column).all() for column in x.T], dtype=bool)
    x, y, codes = x[:, keep], y[:, keep], codes[keep]
    if not keep.any():
        return np.zeros((len(x), 1)), np.zeros((len(y), 1)), np.zeros(1, dtype=bool), ("",)
    for k, code in enumerate(codes):
        if code:
            x[:, k], y[:, k] = np.minimum(x[:, k], MAX_LEVELS), np.minimum(y[:, k], MAX_LEVELS)
        else:
            x[:, k], y[:, k] = _scaled(x[:, k], y[:, k])
    names = tuple(name for name, kept in zip(train.names, keep, strict=True) if kept)
    return x, y, codes, names


def _scaled(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    with np.errstate(over="ignore"):
        for _ in range(2):  # first to at most 1 in size, so that the range cannot overflow
            size = float(np.nanmax(np.abs(x))) or 1.0
            x, y = x / size, np.clip(y / size, -1e30, 1e30)
            centre = float(np.nanmedian(x))
            x, y = x - centre, y - centre
    return x, y


def blocks(train: Table, table: Table) -> tuple[Floats, Floats]:
    """Return both tables as matrices: ranks of numbers, one-hot codes of frequent levels.

    Returns
    -------
    ndarray of shape (rows of train, features)
    ndarray of shape (rows of table, features)
        Ranks lie in [0, 1], 0.5 for missing; codes are 0 or 0.71, so that two unequal levels are
        as far apart as the two ends of a number.
    """
    x, y, codes, _ = features(train, table)
    parts: list[tuple[Floats, Floats]] = []
    for k, code in enumerate(codes):
        a, b = x[:, k], y[:, k]
        if code:
            levels = np.arange(MAX_AXES)
            parts.append(((a[:, None] == levels) / np.sqrt(2), (b[:, None] == levels) / np.sqrt(2)))
            continue
        ordered = np.sort(a[~np.isnan(a)])
        parts.append((_ranks(a, ordered)[:, None], _ranks(b, ordered)[:, None]))
    left, right = (np.concatenate([part[side] for part in parts], axis=1) for side in (0, 1))
    return left, right


def _ranks(values: Floats, ordered: Floats) -> Floats:
    ends = np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    return np.where(np.isnan(values), 0.5, ends / (2 * len(ordered)))


def _hist_gradient_boosting(
    task: Task, codes: npt.NDArray[np.bool_], seed: int, n_trees: int
) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classify = task == "classification"
    model = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    return model(
        max_iter=n_trees,
        early_stopping=False,  # "auto" would change the strength with the number of rows
        categorical_features=codes,
        random_state=seed % 2**32,
    )


def _xgboost(task: Task, codes: npt.NDArray[np.bool_], seed: int, n_trees: int) -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise ParameterError(
            'booster="xgboost" needs xgboost: pip install "synthgan[xgboost]".'
        ) from error
    model = xgboost.XGBClassifier if task == "classification" else xgboost.XGBRegressor
    return model(
        n_estimators=n_trees,
        max_depth=6,
        learning_rate=0.1,  # real rows of Adult: AUC .927 on the test table, as papers report
        tree_method="hist",
        enable_categorical=True,
        feature_types=["c" if code else "q" for code in codes],
        n_jobs=1,
        random_state=seed % 2**31,
    )


BOOSTERS = {"hist_gradient_boosting": _hist_gradient_boosting, "xgboost": _xgboost}


def check_booster(booster: str) -> Booster:
    """Return `booster` if it is known and installed.

    Raises
    ------
    ParameterError
        Otherwise.
    """
    if booster not in BOOSTERS:
        raise ParameterError(f"booster must be one of {sorted(BOOSTERS)}, got {booster!r}.")
    BOOSTERS[booster]("classification", np.zeros(1, dtype=bool), 0, N_TREES)
    return cast(Booster, booster)


def make_booster(
    booster: Booster,
    task: Task,
    codes: npt.NDArray[np.bool_],
    seed: int,
    n_trees: int = N_TREES,
) -> Any:
    """Return unfitted boosted trees with learning rate 0.1.

    Parameters
    ----------
    booster : {"hist_gradient_boosting", "xgboost"}
    task : {"classification", "regression"}
    codes : ndarray of shape (columns,), bool
        Which features are categories.
    seed : int
    n_trees : int, default 150
    """
    return BOOSTERS[booster](task, codes, seed, n_trees)


def make_learner(
    name: str, booster: Booster, task: Task, codes: npt.NDArray[np.bool_], seed: int
) -> Any:
    """Return an unfitted model: ``"boosting"`` or one of :data:`OTHERS`.

    Models other than boosted trees see imputed, scaled numbers and one-hot categories.
    """
    if name == "boosting":
        return make_booster(booster, task, codes, seed)
    from sklearn.pipeline import make_pipeline

    return make_pipeline(_prepared(codes), OTHERS[name](task == "classification", seed % 2**31))


def _prepared(codes: npt.NDArray[np.bool_]) -> Any:
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    return ColumnTransformer(
        [
            ("numbers", numbers, np.flatnonzero(~codes)),
            ("categories", OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(codes)),
        ]
    )


def _linear(classify: bool, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    return LogisticRegression(max_iter=300) if classify else Ridge()


def _mlp(classify: bool, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    model = MLPClassifier if classify else MLPRegressor
    return model(
        hidden_layer_sizes=(64, 32), batch_size=128, max_iter=20, alpha=1e-3, random_state=seed
    )


def _tree(classify: bool, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    model = DecisionTreeClassifier if classify else DecisionTreeRegressor
    return model(max_depth=6, min_samples_leaf=5, random_state=seed)


def _forest(classify: bool, seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    model = RandomForestClassifier if classify else RandomForestRegressor
    return model(50, max_depth=12, min_samples_leaf=3, max_features="sqrt", random_state=seed)


def _neighbours(classify: bool, seed: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    return (KNeighborsClassifier if classify else KNeighborsRegressor)(25)


#: Models besides boosted trees, by name: ``make(classify, seed)``.
OTHERS = {
    "linear": _linear,
    "mlp": _mlp,
    "tree": _tree,
    "forest": _forest,
    "neighbours": _neighbours,
}


@contextmanager
def quietly() -> Iterator[None]:
    """Run judges on one thread and keep their warnings (convergence, overflow) to themselves."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with warnings.catch_warnings(), threadpool_limits(1), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
