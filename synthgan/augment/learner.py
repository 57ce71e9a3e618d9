"""Classifiers for tables as they are: categories, dates and missing cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

__all__ = ["LEARNERS", "make_table_learner"]


def make_table_learner(name: str = "boosting") -> Pipeline:
    """Return an unfitted classifier that takes any frame.

    Parameters
    ----------
    name : {"boosting", "linear", "forest"}
    """
    return LEARNERS[name]()


def plain_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return numbers, booleans and dates as float64, all else as text; missing cells as NaN."""
    return pd.DataFrame({name: _plain(frame[name]) for name in frame}, index=frame.index)


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    if pd.api.types.is_datetime64_any_dtype(values) or pd.api.types.is_timedelta64_dtype(values):
        return values.astype("int64").astype("float64").where(values.notna())
    if pd.api.types.is_numeric_dtype(values):  # booleans too
        return values.astype("float64")
    return values.astype("string").astype(object).where(values.notna(), np.nan)


def _pipeline(numbers: Any, categories: Any, model: Any) -> Pipeline:
    columns = ColumnTransformer(
        [
            ("numbers", numbers, make_column_selector(dtype_include="number")),
            ("categories", categories, make_column_selector(dtype_exclude="number")),
        ]
    )
    return make_pipeline(FunctionTransformer(plain_columns), columns, model)


def _boosting() -> Pipeline:
    codes = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=np.nan, encoded_missing_value=np.nan
    )
    return _pipeline("passthrough", codes, HistGradientBoostingClassifier(random_state=0))


def _imputed() -> tuple[Any, Any]:
    numbers = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler()
    )
    return numbers, OneHotEncoder(handle_unknown="ignore")


def _linear() -> Pipeline:
    return _pipeline(*_imputed(), LogisticRegression(max_iter=1000))


def _forest() -> Pipeline:
    return _pipeline(*_imputed(), RandomForestClassifier(min_samples_leaf=2, random_state=0))


#: By name; boosted trees take missing cells as they are, the others see medians.
LEARNERS: dict[str, Callable[[], Pipeline]] = {
    "boosting": _boosting,
    "linear": _linear,
    "forest": _forest,
}
