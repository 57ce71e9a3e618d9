"""Classifiers for tables as they are: categories, dates and missing cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

__all__ = ["LEARNERS", "make_table_learner"]


def make_table_learner(name: str = "boosting") -> Pipeline:
    """Return an unfitted classifier that takes any frame.

    Parameters
    ----------
    name : {"boosting", "linear", "forest"}
    """
    return LEARNERS[name]()


class PlainColumns(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Any frame as numbers and text.

    Numbers, booleans and dates become float64, all else text, missing cells NaN. Columns without a
    value in the training rows are left out; names become text.
    """

    def fit(self, frame: pd.DataFrame, y: Any = None) -> PlainColumns:
        """Note which columns have values."""
        self.kept_ = [k for k in range(frame.shape[1]) if frame.iloc[:, k].notna().any()]
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the plain columns."""
        columns = {f"{frame.columns[k]}": _plain(frame.iloc[:, k]) for k in self.kept_}
        return pd.DataFrame(columns, index=frame.index)


def _plain(values: pd.Series[Any]) -> pd.Series[Any]:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        values = values.dt.tz_convert("UTC").dt.tz_localize(None)
    for unit in ("datetime64[ns]", "timedelta64[ns]"):  # one unit, whatever the frame has
        if values.dtype.kind == unit[0].replace("d", "M").replace("t", "m"):
            return values.astype(unit).astype("int64").astype("float64").where(values.notna())
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
    return make_pipeline(PlainColumns(), columns, model)


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


#: By name; boosted trees see missing cells and codes of categories, the others medians and one-hot.
LEARNERS: dict[str, Callable[[], Pipeline]] = {
    "boosting": _boosting,
    "linear": _linear,
    "forest": _forest,
}
