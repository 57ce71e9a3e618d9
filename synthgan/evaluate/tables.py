"""The door of evaluation: any tables become arrays that share columns, kinds and levels.

Numbers, dates and durations become float64 with NaN for missing; everything else becomes integer
codes with -1 for missing, one numbering for all tables, most frequent level first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import numpy_generator
from synthgan.exceptions import DataError, ParameterError
from synthgan.io import read_frame

__all__ = [
    "Column",
    "Table",
    "Tables",
    "infer_task",
    "listed",
    "read_alike",
    "read_named",
    "read_tables",
    "reference_tables",
]

Kind = Literal["numerical", "categorical"]
Task = Literal["classification", "regression"]

#: An integer target with at most this many distinct values is taken as a class label.
MAX_INTEGER_CLASSES = 20
#: Larger numbers could not be squared and summed.
MAX_NUMBER = 1e140

_INFERRED_FAMILIES = {
    "string": "text",
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "date": "datetime",
    "datetime": "datetime",
    "datetime64": "datetime",
    "timedelta": "duration",
    "timedelta64": "duration",
    "time": "time of day",
    "bytes": "bytes",
    "interval": "interval",
    "period": "period",
}
_MEASURED = ("number", "datetime", "datetime with time zone", "duration")


@dataclass(frozen=True, slots=True)
class Column:
    """What all tables agree on about one column.

    Attributes
    ----------
    name : str
    kind : {"numerical", "categorical"}
    family : str or None
        What the values are ("number", "text", "datetime", ...); None if all are missing.
    levels : tuple of str
        Display text of the levels, most frequent first; empty for numerical columns.
    """

    name: str
    kind: Kind
    family: str | None
    levels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """One table as arrays.

    Attributes
    ----------
    columns : tuple of Column
    values : tuple of ndarray
        Per column either float64 of shape (n_rows,) with NaN for missing (numerical) or int64
        codes with -1 for missing (categorical).
    """

    columns: tuple[Column, ...]
    values: tuple[npt.NDArray[Any], ...]

    def __len__(self) -> int:
        return len(self.values[0])

    @property
    def names(self) -> tuple[str, ...]:
        """Column names in order."""
        return tuple(column.name for column in self.columns)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.values[self.names.index(name)]

    def column(self, name: str) -> Column:
        """Return the description of one column."""
        return self.columns[self.names.index(name)]

    def take(self, rows: npt.NDArray[Any]) -> Table:
        """Return the table of the given row numbers (or boolean mask)."""
        return Table(self.columns, tuple(values[rows] for values in self.values))

    def stack(self, other: Table) -> Table:
        """Return the rows of this table followed by those of `other`."""
        pairs = zip(self.values, other.values, strict=True)
        return Table(self.columns, tuple(np.concatenate(pair) for pair in pairs))

    def drop(self, name: str) -> Table:
        """Return the table without one column."""
        keep = [i for i, column in enumerate(self.columns) if column.name != name]
        return Table(tuple(self.columns[i] for i in keep), tuple(self.values[i] for i in keep))

    def matrix(self) -> npt.NDArray[np.float64]:
        """Return (rows, columns) as float64: numbers as they are, codes, NaN for missing."""
        matrix = np.column_stack([np.asarray(v, dtype=np.float64) for v in self.values])
        categorical = [c.kind == "categorical" for c in self.columns]
        matrix[:, categorical] = np.where(
            matrix[:, categorical] < 0, np.nan, matrix[:, categorical]
        )
        return matrix

    def row_keys(self) -> list[bytes]:
        """Return one key per row; two rows have the same key if all their cells are equal."""
        matrix = np.ascontiguousarray(self.matrix() + 0.0)  # + 0.0 turns -0.0 into 0.0
        matrix[np.isnan(matrix)] = np.nan  # one bit pattern for missing
        return [row.tobytes() for row in matrix]

    def sample(self, n_rows: int, generator: np.random.Generator) -> Table:
        """Return at most `n_rows` rows, drawn without replacement."""
        if len(self) <= n_rows:
            return self
        return self.take(np.sort(generator.choice(len(self), n_rows, replace=False)))


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """The tables of one evaluation, with the task that the target poses."""

    train: Table
    synthetic: Table
    holdout: Table | None = None
    target: str | None = None
    task: Task | None = None


def read_tables(
    train: Any,
    synthetic: Any,
    holdout: Any = None,
    *,
    categorical: Iterable[str] | None = None,
    target: str | None = None,
    task: str | None = None,
) -> Tables:
    """Read tables that must have the same columns, in any order.

    Parameters
    ----------
    train, synthetic, holdout : DataFrame, Arrow table, polars frame or path
        A path ends in ``.parquet`` or ``.csv``. `holdout` may be None.
    categorical : iterable of str, optional
        Columns to treat as categorical although they hold numbers or dates.
    target : str, optional
        The column that a user of the data would predict. It counts as categorical if the task is
        classification.
    task : {"classification", "regression"}, optional
        None infers it, see :func:`infer_task`.

    Returns
    -------
    Tables
        Booleans, text and pandas categories are categorical; numbers, dates and durations are
        numerical. The train table decides.

    Raises
    ------
    DataError
        If a table is empty, columns differ, a column holds different things in two tables, mixes
        types or is infinite, or `target` or `categorical` name no column.
    ParameterError
        If `task` is unknown.
    """
    frames = {"train": read_named("train", train), "synthetic": read_named("synthetic", synthetic)}
    if holdout is not None:
        frames["holdout"] = read_named("holdout", holdout)
    names = list(frames["train"].columns)
    target = None if target is None else str(target)
    forced = _named_columns(categorical, names)
    chosen = _choose_task(frames["train"], target, task)
    if chosen == "classification":
        forced.add(str(target))
    read = _read_alike(frames, forced)
    if chosen == "regression" and read["train"].column(str(target)).kind == "categorical":
        raise DataError(
            f"Target {target!r} is not a number; use task='classification', or a numeric target."
        )
    return Tables(
        read["train"],
        read["synthetic"],
        read.get("holdout"),
        target,
        chosen,
    )


def read_alike(frames: Mapping[str, Any], *, categorical: Iterable[str] = ()) -> dict[str, Table]:
    """Read any number of tables that must have the columns of the first, named ``"train"``.

    Parameters
    ----------
    frames : dict of str to DataFrame, Arrow table, polars frame or path
    categorical : iterable of str

    Returns
    -------
    dict of str to Table
        Levels have the same codes in all of them.
    """
    read = {name: read_named(name, frame) for name, frame in frames.items()}
    return _read_alike(read, _named_columns(categorical, list(read["train"].columns)))


def _read_alike(frames: Mapping[str, pd.DataFrame], forced: set[str]) -> dict[str, Table]:
    names = list(frames["train"].columns)
    for table in frames:
        _require_columns(table, list(frames[table].columns), names)
    pairs = [
        _encode(name, {table: frame[name] for table, frame in frames.items()}, name in forced)
        for name in names
    ]
    columns = tuple(column for column, _ in pairs)
    return {table: Table(columns, tuple(arrays[table] for _, arrays in pairs)) for table in frames}


def infer_task(values: pd.Series[Any]) -> Task:
    """Return the task that a target column poses.

    Text, booleans, categories, and whole numbers with at most 20 distinct values are classified;
    other numbers, dates and durations are regressed.

    Examples
    --------
    >>> infer_task(pd.Series([0, 1, 1, 0]))
    'classification'
    >>> infer_task(pd.Series([0.5, 1.5, 2.5]))
    'regression'
    """
    family = _family(values, str(values.name), "train")
    if isinstance(values.dtype, pd.CategoricalDtype) or family not in _MEASURED:
        return "classification"
    numbers = _numbers(values, family)
    distinct = np.unique(numbers[~np.isnan(numbers)])
    few = len(distinct) <= MAX_INTEGER_CLASSES and bool((distinct == np.round(distinct)).all())
    return "classification" if family == "number" and few else "regression"


def reference_tables(tables: Tables, seed: int) -> dict[str, Table]:
    """Return the tables that a score is read against.

    Parameters
    ----------
    tables : Tables
    seed : int

    Returns
    -------
    dict of str to Table
        ``independent_columns``: every column of train permuted by itself, the fake that marginals
        cannot tell; ``bootstrap``: train rows drawn with replacement, the noise floor; both with
        as many rows as the synthetic table. ``holdout``: the real holdout, if there is one.
    """
    train, n_rows = tables.train, len(tables.synthetic)
    shuffled = []
    for i, values in enumerate(train.values):
        order = numpy_generator(seed, "independent columns", i).permutation(len(train))
        shuffled.append(values[np.resize(order, n_rows)])
    rows = numpy_generator(seed, "bootstrap of train").integers(len(train), size=n_rows)
    references = {
        "independent_columns": Table(train.columns, tuple(shuffled)),
        "bootstrap": train.take(rows),
    }
    if tables.holdout is not None:
        references["holdout"] = tables.holdout
    return references


def read_named(table: str, data: Any) -> pd.DataFrame:
    """Return any table as a frame with text names; `table` is what errors call it.

    Raises
    ------
    DataError
        If it has no rows or columns, or repeats a name.
    """
    frame = read_frame(data)
    names = [_printable(label) for label in frame.columns]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise DataError(f"The {table} table has repeated column names: {listed(repeated)}.")
    if not names or not len(frame):
        raise DataError(f"The {table} table has {len(frame)} rows and {len(names)} columns.")
    return frame.set_axis(pd.Index(names), axis=1).reset_index(drop=True)


def _require_columns(table: str, found: list[str], expected: list[str]) -> None:
    missing = [name for name in expected if name not in set(found)]
    extra = [name for name in found if name not in set(expected)]
    if missing or extra:
        parts = [f"lacks {listed(missing)}"] if missing else []
        parts += [f"has the extra {listed(extra)}"] if extra else []
        raise DataError(
            f"The {table} table must have the columns of the train table; it {' and '.join(parts)}."
        )


def listed(names: Sequence[str]) -> str:
    """Return names in quotes: the first five, and how many more there are."""
    shown = ", ".join(repr(name) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def _named_columns(categorical: Iterable[str] | None, names: list[str]) -> set[str]:
    if isinstance(categorical, str):
        raise ParameterError("categorical must be a list of column names, got one string.")
    forced = {str(name) for name in categorical or ()}
    unknown = sorted(forced - set(names))
    if unknown:
        raise DataError(f"categorical names no column of the train table: {listed(unknown)}.")
    return forced


def _choose_task(train: pd.DataFrame, target: str | None, task: str | None) -> Task | None:
    if task not in (None, "classification", "regression"):
        raise ParameterError(f"task must be 'classification' or 'regression', got {task!r}.")
    if target is None:
        return None
    if target not in train.columns:
        raise DataError(f"target {target!r} is not a column of the train table.")
    return cast(Task, task) if task else infer_task(train[target])


def _family(values: pd.Series[Any], name: str, table: str) -> str | None:
    """Return what the values of a column are, None if all are missing."""
    dtype = values.dtype
    if not values.notna().any():
        return None
    if isinstance(dtype, pd.CategoricalDtype):
        return _family(pd.Series(dtype.categories), name, table)
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_complex_dtype(dtype):
        raise DataError(f"Column {name!r} of the {table} table is complex; split it into two.")
    if pd.api.types.is_numeric_dtype(dtype):
        return "number"
    if pd.api.types.is_datetime64_any_dtype(dtype):
        aware = isinstance(dtype, pd.DatetimeTZDtype) or "tz=" in str(dtype)
        return "datetime with time zone" if aware else "datetime"
    if pd.api.types.is_timedelta64_dtype(dtype):
        return "duration"
    present = values.astype(object).dropna()
    family = _INFERRED_FAMILIES.get(pd.api.types.infer_dtype(present, skipna=True))
    if family is None:
        raise DataError(
            f"Column {name!r} of the {table} table mixes types or holds nested values; give it "
            "one type."
        )
    aware = family == "datetime" and getattr(present.iloc[0], "tzinfo", None) is not None
    return "datetime with time zone" if aware else family


def _encode(
    name: str, series: Mapping[str, pd.Series[Any]], forced: bool
) -> tuple[Column, dict[str, npt.NDArray[Any]]]:
    families = {table: _family(values, name, table) for table, values in series.items()}
    family = next((f for f in families.values() if f is not None), None)
    for table, found in families.items():
        if found not in (family, None) and {found, family} != {"boolean", "number"}:
            raise DataError(
                f"Column {name!r} holds {family} values in one table and {found} values in the "
                f"{table} table; give it the same type everywhere."
            )
    if forced or _is_categorical(series["train"], family):
        codes, levels = _codes(series)
        return Column(name, "categorical", family, levels), codes
    numbers = {table: _numbers(values, family) for table, values in series.items()}
    for table, array in numbers.items():
        largest = np.nanmax(np.abs(array), initial=0.0)
        if largest > MAX_NUMBER:
            what = "infinite values" if np.isinf(largest) else f"numbers beyond {MAX_NUMBER:g}"
            raise DataError(
                f"Column {name!r} of the {table} table holds {what}; replace them by smaller "
                "or missing ones."
            )
    return Column(name, "numerical", family), dict(numbers)


def _is_categorical(train: pd.Series[Any], family: str | None) -> bool:
    if isinstance(train.dtype, pd.CategoricalDtype):
        return True
    if family is None:
        return bool(train.dtype == object or pd.api.types.is_bool_dtype(train.dtype))
    return family not in _MEASURED


def _numbers(values: pd.Series[Any], family: str | None) -> npt.NDArray[np.float64]:
    """Return float64 with NaN; dates and durations in microseconds."""
    if not values.notna().any():
        return np.full(len(values), np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(object)
    if family == "number":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    unit = "timedelta64[us]" if family == "duration" else "datetime64[us]"
    try:
        if family == "duration":
            ticks = pd.to_timedelta(values).to_numpy().astype(unit)
        else:
            moments = pd.to_datetime(values, utc=True).dt.tz_localize(None)
            ticks = moments.to_numpy().astype(unit)
    except (ValueError, OverflowError, TypeError):
        raise DataError(
            f"Column {values.name!r} holds dates or durations outside the range of pandas."
        ) from None
    return np.where(np.isnat(ticks), np.nan, ticks.astype(np.int64).astype(np.float64))


def _codes(
    series: Mapping[str, pd.Series[Any]],
) -> tuple[dict[str, npt.NDArray[Any]], tuple[str, ...]]:
    """Give levels of all tables one numbering, most frequent first."""
    pooled = np.concatenate([s.astype(object).to_numpy(dtype=object) for s in series.values()])
    codes, levels = pd.factorize(pooled)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    order = np.argsort(-counts, kind="stable")
    rank = np.empty(len(levels) + 1, dtype=np.int64)
    rank[order] = np.arange(len(levels))
    rank[-1] = -1  # codes of -1 (missing) index the last entry
    ends = np.cumsum([len(s) for s in series.values()])
    parts = np.split(rank[codes], ends[:-1])
    return dict(zip(series, parts, strict=True)), tuple(_label(levels[i]) for i in order)


def _label(level: Any) -> str:
    whole = isinstance(level, float) and level.is_integer()
    return _printable(int(level) if whole else level)


def _printable(name: Any) -> str:
    """Return the text of a name or level without what no file can hold (lone surrogates)."""
    return str(name).encode("utf-8", "replace").decode("utf-8")
