"""New rows of a class near real ones: some cells are kept, the others are drawn given them.

A fitted masked generator knows the distribution of any cells given any others, so a real row can be
varied along what the columns have learned of each other, where SMOTE draws a straight line to a
neighbour. With a share of kept cells of 0 the rows are wholly synthetic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import clone

from synthgan._runtime import numpy_generator
from synthgan.estimators.table_form import resolve_schema
from synthgan.estimators.tabular_gan import TabularGAN
from synthgan.exceptions import DataError, ParameterError
from synthgan.io import read_table
from synthgan.schema import Column, Schema

__all__ = ["ClassRows", "Drawn", "as_frame", "stack"]

Labels = npt.NDArray[Any]

#: Candidates for each row that a focus chooses.
_CANDIDATES = 4


@dataclass(frozen=True, slots=True)
class Drawn:
    """New rows.

    Attributes
    ----------
    rows : DataFrame
        Features, under the names of the fitted ones.
    labels : ndarray
        Their classes.
    rejected : dict
        How many rows of each class were drawn and thrown away.
    """

    rows: pd.DataFrame
    labels: Labels
    rejected: dict[Any, int]


@dataclass(frozen=True, slots=True)
class ClassRows:
    """Real rows with their classes, and a generator that was fitted to them.

    Attributes
    ----------
    model : TabularGAN
    frame : DataFrame
        The features, and the class as text of its number.
    labels : ndarray, shape (rows,)
        The classes.
    target : str
        Name of the column of the class.
    """

    model: TabularGAN
    frame: pd.DataFrame
    labels: Labels
    target: str

    @classmethod
    def fit(cls, features: pd.DataFrame, labels: Labels, generator: Any, seed: int) -> ClassRows:
        """Fit a copy of a generator.

        Parameters
        ----------
        features : DataFrame
            Names of columns are text.
        labels : ndarray, shape (rows,)
        generator : TabularGAN or None
            Unfitted; None takes ``TabularGAN(verbose=0)``.
        seed : int

        Raises
        ------
        ParameterError
            If the generator cannot vary rows.
        DataError, SchemaError
            If it cannot be fitted to the table.
        """
        generator = TabularGAN(verbose=0) if generator is None else clone(generator)
        if not isinstance(generator, TabularGAN) or generator.privacy is not None:
            raise ParameterError(
                "generator must be a TabularGAN without privacy, since new rows keep cells of "
                "real ones. Rows of a private model come from its own sample()."
            )
        schema = resolve_schema(generator.schema, read_table(features), generator.min_count)
        target = "class"
        while target in features:
            target += "_"
        classes, codes = np.unique(labels, return_inverse=True)
        levels = tuple(str(k) for k in range(len(classes)))  # declared: no class is too rare
        schema = Schema((*schema, Column(target, "categorical", "string", levels=levels)))
        frame = features.assign(**{target: codes.astype(str)})
        if generator.options is None or isinstance(generator.options, Mapping):
            # cells are drawn one by one, which needs no latent classes
            generator.options = {"classes": 0, **(generator.options or {})}
        generator.set_params(schema=schema, random_state=seed)
        return cls(generator.fit(frame, target=target), frame, labels, target)

    def draw(
        self,
        counts: Mapping[Any, int],
        *,
        keep: float,
        focus: float = 0.0,
        reject: float = 0.0,
        seed: int,
    ) -> Drawn:
        """Return new rows.

        Parameters
        ----------
        counts : mapping of class to int
        keep : float
            The chance of a cell of a real row to be kept. Keys are always new.
        focus : float, default 0.0
            Power of the probability of the class, by which candidates are chosen.
        reject : float, default 0.0
            Share of the drawn rows of each class that is thrown away, the least likely ones.
        seed : int
        """
        parts, labels, rejected = [self.frame[:0]], [self.labels[:0]], {}
        for k, (label, count) in enumerate(counts.items()):
            rng = numpy_generator(seed, "rows", k)
            members = np.flatnonzero(self.labels == label)
            wanted = math.ceil(count / (1 - reject))
            # each real row as often as the others, as far as numbers allow
            start = np.resize(rng.permutation(members), wanted * (_CANDIDATES if focus else 1))
            rows = self._vary(self.frame.iloc[start], keep, seed + k)
            if focus and count:
                rows = rows.iloc[_in_proportion(self._own_class(rows) ** focus, wanted, rng)]
            if wanted > count:
                scores = np.asarray(self.model.score_samples(rows))
                rows = rows.iloc[np.sort(np.argsort(-scores, kind="stable")[:count])]
            parts.append(rows)
            labels.append(np.full(count, label, dtype=self.labels.dtype))
            rejected[label] = wanted - count
        found = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
        return Drawn(found.drop(columns=self.target), np.concatenate(labels), rejected)

    def _own_class(self, rows: pd.DataFrame) -> npt.NDArray[np.float64]:
        """Return the probability of the class of each row, given its other cells."""
        chances = self.model.level_probabilities(rows, self.target)
        own = chances.columns.get_indexer(pd.Index(rows[self.target]))
        return np.asarray(chances.to_numpy()[np.arange(len(rows)), own])

    def _vary(self, rows: pd.DataFrame, keep: float, seed: int) -> pd.DataFrame:
        """Return one new row of the same class for each row."""
        table = read_table(rows)
        rng = numpy_generator(seed, "kept cells")
        columns = []
        for column in self.model.schema_:
            values = table[column.name]
            kept = rng.random(len(values)) < keep
            if column.kind == "identifier":
                kept[:] = False
            if column.name != self.target:
                values = pc.if_else(pa.array(kept), values, pa.scalar(None, values.type))
            columns.append(values)
        given = pa.Table.from_arrays(columns, names=list(self.model.schema_.names))
        steps = given.num_columns
        drawn: pd.DataFrame = self.model.sample(conditions=given, steps=steps, random_state=seed)
        return drawn


def _in_proportion(
    weights: npt.NDArray[np.float64], count: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Return so many positions, each as often as its weight says (systematic sampling)."""
    total = weights.cumsum()
    if total[-1] <= 0:
        return np.arange(count)
    steps = (rng.random() + np.arange(count)) / count * total[-1]
    return np.searchsorted(total, steps).clip(max=len(weights) - 1)


def as_frame(features: Any, categorical: Sequence[int | str] | None = None) -> pd.DataFrame:
    """Return features as a dense frame whose columns are named by text.

    Parameters
    ----------
    features : DataFrame, array or sparse matrix
    categorical : sequence of int or str, optional
        Columns of numbers that are codes.

    Raises
    ------
    DataError
        If names repeat, or `categorical` names no column.
    """
    if not hasattr(features, "iloc") and hasattr(features, "__arrow_c_stream__"):
        raise DataError("X must be a pandas DataFrame or an array; give X.to_pandas().")
    dense = features.toarray() if hasattr(features, "toarray") else features
    frame = pd.DataFrame(dense).reset_index(drop=True)
    if not hasattr(dense, "iloc"):
        frame = frame.infer_objects()
    frame = frame.set_axis([f"{name}" for name in frame], axis=1)
    if not frame.columns.is_unique:
        raise DataError("X has two columns of one name; rename one.")
    for name in frame.columns[[isinstance(t, pd.SparseDtype) for t in frame.dtypes]]:
        frame[name] = np.asarray(frame[name])
    codes: list[Any] = list(categorical) if categorical is not None else []
    if len(codes) == frame.shape[1] and all(isinstance(code, (bool, np.bool_)) for code in codes):
        codes = np.flatnonzero(codes).tolist()
    for code in codes:
        if not (code in frame if isinstance(code, str) else 0 <= code < frame.shape[1]):
            raise DataError(f"categorical_features names no column of X: {code!r}.")
        name = code if isinstance(code, str) else frame.columns[code]
        frame[name] = frame[name].astype("category")
    return frame


def stack(features: Any, new: pd.DataFrame) -> Any:
    """Return the given rows and the new ones below them, in the form of the given ones."""
    if hasattr(features, "iloc"):
        names, types = features.columns, features.dtypes
        new = new.set_axis(names, axis=1).astype(dict(zip(names, types, strict=True)))
        return pd.concat([features, new], ignore_index=True)
    features = features if hasattr(features, "toarray") else np.asarray(features)
    values = new.to_numpy(dtype=features.dtype)
    if hasattr(features, "toarray"):
        from scipy import sparse

        return sparse.vstack([features, sparse.csr_matrix(values)], format=features.format)
    return np.vstack([features, values])
