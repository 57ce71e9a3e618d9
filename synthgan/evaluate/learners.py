"""The judges: boosted trees and linear models of fixed strength, on one matrix of features.

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

__all__ = ["BOOSTERS", "Booster", "features", "make_booster", "make_linear", "quietly"]

Booster = Literal["hist_gradient_boosting", "xgboost"]

N_TREES = 150
#: Levels beyond this many share one code: boosters store a code in one byte.
MAX_LEVELS = 254

Floats = npt.NDArray[np.float64]


def features(train: Table, test: Table) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
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
    """
    x, y = train.matrix(), test.matrix()
    codes = np.array([column.kind == "categorical" for column in train.columns], dtype=bool)
    keep = ~np.isnan(x).all(axis=0)
    x, y, codes = x[:, keep], y[:, keep], codes[keep]
    if not keep.any():
        return np.zeros((len(x), 1)), np.zeros((len(y), 1)), np.zeros(1, dtype=bool)
    for k, code in enumerate(codes):
        if code:
            x[:, k], y[:, k] = np.minimum(x[:, k], MAX_LEVELS), np.minimum(y[:, k], MAX_LEVELS)
        else:
            x[:, k], y[:, k] = _scaled(x[:, k], y[:, k])
    return x, y, codes


def _scaled(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    with np.errstate(over="ignore"):
        for _ in range(2):  # first to at most 1 in size, so that the range cannot overflow
            size = float(np.nanmax(np.abs(x))) or 1.0
            x, y = x / size, np.clip(y / size, -1e30, 1e30)
            centre = float(np.nanmedian(x))
            x, y = x - centre, y - centre
    return x, y


def _hist_gradient_boosting(task: Task, codes: npt.NDArray[np.bool_], seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    classify = task == "classification"
    model = HistGradientBoostingClassifier if classify else HistGradientBoostingRegressor
    return model(
        max_iter=N_TREES,
        early_stopping=False,  # "auto" would change the strength with the number of rows
        categorical_features=codes,
        random_state=seed % 2**32,
    )


def _xgboost(task: Task, codes: npt.NDArray[np.bool_], seed: int) -> Any:
    try:
        import xgboost
    except ImportError as error:
        raise ParameterError(
            'booster="xgboost" needs xgboost: pip install "synthgan[xgboost]".'
        ) from error
    model = xgboost.XGBClassifier if task == "classification" else xgboost.XGBRegressor
    return model(
        n_estimators=N_TREES,
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
    BOOSTERS[booster]("classification", np.zeros(1, dtype=bool), 0)
    return cast(Booster, booster)


def make_booster(booster: Booster, task: Task, codes: npt.NDArray[np.bool_], seed: int) -> Any:
    """Return unfitted boosted trees: 150 of them, learning rate 0.1.

    Parameters
    ----------
    booster : {"hist_gradient_boosting", "xgboost"}
    task : {"classification", "regression"}
    codes : ndarray of shape (columns,), bool
        Which features are categories.
    seed : int
    """
    return BOOSTERS[booster](task, codes, seed)


def make_linear(task: Task, codes: npt.NDArray[np.bool_]) -> Any:
    """Return an unfitted logistic or ridge regression behind imputing, scaling and one-hot."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    prepare = ColumnTransformer(
        [
            ("numbers", numbers, np.flatnonzero(~codes)),
            ("categories", OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(codes)),
        ]
    )
    last = LogisticRegression(max_iter=300) if task == "classification" else Ridge()
    return make_pipeline(prepare, last)


@contextmanager
def quietly() -> Iterator[None]:
    """Run judges on one thread and keep their warnings (convergence, overflow) to themselves."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with warnings.catch_warnings(), threadpool_limits(1), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield
