"""What is known of an image, as a vector: a class, several attributes, or a vector already."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan.exceptions import ConditionError, DataError, ModelFileError

__all__ = ["ConditionCoder"]

Floats = npt.NDArray[np.float32]

MAX_LEVELS = 1_000
MAX_WIDTH = 4_096
#: Combinations of attributes that fewer images have are never drawn unasked.
MIN_COUNT = 2


@dataclass(frozen=True, slots=True, eq=False)
class ConditionCoder:
    """Labels to vectors, and draws of labels.

    Attributes
    ----------
    kind : {"none", "classes", "attributes", "vectors"}
    columns : dict of str to list
        The levels of each attribute, sorted; one entry ``""`` for classes.
    combinations : list of (tuple of int, float)
        Combinations of levels, by their numbers, and the shares of images that have them.
    centre, scale : ndarray of float64, shape (numbers,)
        Mean and deviation of vectors; empty for the other kinds.
    """

    kind: str
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    combinations: Sequence[tuple[tuple[int, ...], float]] = ()
    centre: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    scale: npt.NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @classmethod
    def fit(cls, labels: Any) -> ConditionCoder:
        """Learn the levels, or the scale.

        Parameters
        ----------
        labels : ndarray, DataFrame or None
            As in :class:`synthgan.images.ImageSet`.

        Raises
        ------
        DataError
            If a class has a single image, there are too many of them, or labels mix types.
        """
        if labels is None:
            return cls("none")
        if not isinstance(labels, pd.DataFrame) and labels.ndim == 2:
            if not 1 <= labels.shape[1] <= MAX_WIDTH:
                raise DataError(f"Vectors must have 1 to {MAX_WIDTH} numbers.")
            scale = labels.std(axis=0)
            return cls("vectors", centre=labels.mean(axis=0), scale=np.where(scale > 0, scale, 1.0))
        kind = "attributes" if isinstance(labels, pd.DataFrame) else "classes"
        frame = labels if isinstance(labels, pd.DataFrame) else pd.DataFrame({"": labels})
        columns = {str(name): _levels(str(name), frame[name]) for name in frame.columns}
        coder = cls(kind, columns)
        codes = coder._codes(frame)
        found, counts = np.unique(codes, axis=0, return_counts=True)
        if kind == "classes" and counts.min() < MIN_COUNT:
            raise DataError(
                "A class has a single image, which a model could only repeat; remove it, or merge "
                "it with another class."
            )
        kept = counts >= MIN_COUNT
        if not kept.any():
            raise DataError("No two images have the same attributes; leave some attributes out.")
        shares = counts[kept] / counts[kept].sum()
        rows = [tuple(int(code) for code in row) for row in found[kept]]
        return cls(kind, columns, list(zip(rows, shares.tolist(), strict=True)))

    @property
    def width(self) -> int:
        """Length of the vectors."""
        return len(self.centre) or sum(map(len, self.columns.values()))

    @property
    def classes(self) -> list[Any]:
        """The classes in order; empty unless there is one class per image."""
        return list(self.columns[""]) if self.kind == "classes" else []

    def encode(self, labels: Any, n_images: int | None = None) -> Floats:
        """Return one vector per label, float32 of shape (labels, width).

        Parameters
        ----------
        labels : ndarray, DataFrame or None
            In the form that `fit` got.
        n_images : int, optional
            How many, if there are no labels.

        Raises
        ------
        ConditionError
            If a level is unknown, or vectors have another length.
        """
        if self.kind in ("none", "vectors"):
            unlabelled = np.zeros((n_images or 0, 0))
            found = unlabelled if labels is None else np.asarray(labels, dtype=np.float64)
            if found.ndim != 2 or found.shape[1] != len(self.centre):
                raise ConditionError(f"Vectors must have shape (images, {len(self.centre)}).")
            if not np.isfinite(found).all():
                raise ConditionError("Vectors must be finite.")
            return ((found - self.centre) / self.scale).astype(np.float32)
        frame = labels if isinstance(labels, pd.DataFrame) else pd.DataFrame({"": labels})
        codes = self._codes(frame)
        parts = [
            np.eye(len(levels), dtype=np.float32)[codes[:, k]]
            for k, levels in enumerate(self.columns.values())
        ]
        return np.concatenate(parts, axis=1)

    def choose(self, n: int | None, labels: Any, generator: np.random.Generator) -> Any:
        """Return the labels of `n` images, as they were asked for, or drawn.

        Parameters
        ----------
        n : int or None
            None if `labels` says how many.
        labels : None, level, sequence of levels, dict, DataFrame or array
            None draws them as often as they were seen; one level, or a dict of some attributes,
            holds for all images; the rest is drawn given those. For vectors, one or several.
        generator : numpy.random.Generator

        Returns
        -------
        ndarray or DataFrame
            In the form that `fit` got.

        Raises
        ------
        ConditionError
            If what is asked for is unknown, was never seen together, or contradicts `n`.
        """
        if self.kind == "none":
            if labels is not None:
                raise ConditionError("The model was fitted without labels.")
            return np.zeros((1 if n is None else n, 0))
        if self.kind == "vectors":
            return self._vectors(n, labels)
        if labels is None or isinstance(labels, Mapping):
            return self._drawn(1 if n is None else n, labels or {}, generator)
        if self.kind == "classes" and np.ndim(labels) == 0:
            return self._drawn(1 if n is None else n, {"": labels}, generator)
        found = labels if isinstance(labels, pd.DataFrame) else np.asarray(labels)
        if self.kind == "attributes" and not isinstance(found, pd.DataFrame):
            raise ConditionError(
                "Give a dict of attributes, or a DataFrame with one row per image."
            )
        self._require_length(n, len(found))
        self.encode(found)  # says what is unknown
        return found

    def _vectors(self, n: int | None, labels: Any) -> npt.NDArray[np.float64]:
        if labels is None:
            raise ConditionError(
                "The model was fitted with vectors, which are not kept; give labels=..., one "
                "vector or one per image."
            )
        found = np.atleast_2d(np.asarray(labels, dtype=np.float64))
        if len(found) == 1 and n is not None:
            found = found.repeat(n, axis=0)
        self._require_length(n, len(found))
        return found

    @staticmethod
    def _require_length(n: int | None, length: int) -> None:
        if n is not None and n != length:
            raise ConditionError(f"{n} images are asked for, with labels for {length}.")

    def _drawn(self, n: int, fixed: Mapping[str, Any], generator: np.random.Generator) -> Any:
        names = list(self.columns)
        unknown = [name for name in fixed if name not in names]
        if unknown:
            raise ConditionError(f"No attribute {unknown[0]!r}; known: {', '.join(names)}.")
        wanted = {names.index(name): self._code(name, level) for name, level in fixed.items()}
        rows = [
            (combination, share)
            for combination, share in self.combinations
            if all(combination[k] == code for k, code in wanted.items())
        ]
        if not rows:
            raise ConditionError("No images with all these attributes were seen in training.")
        shares = np.array([share for _, share in rows])
        drawn = generator.choice(len(rows), size=n, p=shares / shares.sum())
        codes = np.array([combination for combination, _ in rows], dtype=np.int64)[drawn]
        columns = {
            name: _as_array([levels[code] for code in codes[:, k]])
            for k, (name, levels) in enumerate(self.columns.items())
        }
        return columns[""] if self.kind == "classes" else pd.DataFrame(columns)

    def _code(self, name: str, level: Any) -> int:
        levels = list(self.columns[name])
        plain = _plain(level)
        if plain not in levels:
            shown = ", ".join(map(repr, levels[:10])) + (", ..." if len(levels) > 10 else "")
            what = f"attribute {name!r}" if name else "classes"
            raise ConditionError(f"{plain!r} is none of the {what}: {shown}.")
        return levels.index(plain)

    def _codes(self, frame: pd.DataFrame) -> npt.NDArray[np.int64]:
        if [str(name) for name in frame.columns] != list(self.columns):
            raise ConditionError(f"Labels must have the columns {', '.join(self.columns)}.")
        parts = []
        for name in frame.columns:
            values, places = _factorized(frame[name])
            codes = np.array([self._code(str(name), value) for value in values], dtype=np.int64)
            parts.append(codes[places])
        return np.column_stack(parts)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; :meth:`from_dict` is its inverse."""
        return {
            "kind": self.kind,
            "columns": {name: list(levels) for name, levels in self.columns.items()},
            "combinations": [[list(row), share] for row, share in self.combinations],
            "centre": self.centre.tolist(),
            "scale": self.scale.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConditionCoder:
        """Rebuild a coder.

        Raises
        ------
        DataError, ModelFileError
            If there are other levels than `fit` finds, or the parts contradict each other.
        """
        columns = {str(name): list(levels) for name, levels in data["columns"].items()}
        combinations = [
            (tuple(int(code) for code in row), float(share)) for row, share in data["combinations"]
        ]
        centre, scale = (np.array(data[k], dtype=np.float64) for k in ("centre", "scale"))
        sizes = [len(levels) for levels in columns.values()]
        good = (
            data["kind"] in ("none", "classes", "attributes", "vectors")
            and len(centre) == len(scale)
            and all(_levels(k, pd.Series(v, dtype=object)) == v for k, v in columns.items())
            and bool(np.isfinite(centre).all() and (scale > 0).all() and np.isfinite(scale).all())
            and all(
                len(row) == len(sizes)
                and all(0 <= code < size for code, size in zip(row, sizes, strict=True))
                and 0 < share <= 1
                for row, share in combinations
            )
        )
        if not good:
            raise ModelFileError("The labels of the model file contradict each other.")
        return cls(str(data["kind"]), columns, combinations, centre, scale)


def _plain(level: Any) -> Any:
    """Return a level as JSON holds it."""
    if isinstance(level, np.generic):
        level = level.item()
    if isinstance(level, float) and level.is_integer():
        return int(level)
    return level


def _factorized(values: pd.Series[Any]) -> tuple[list[Any], npt.NDArray[np.int64]]:
    """Return the levels as they come, and the number of that of each value."""
    numbers: dict[Any, int] = {}
    places = [numbers.setdefault(_plain(value), len(numbers)) for value in values.tolist()]
    return list(numbers), np.array(places, dtype=np.int64)


def _levels(name: str, values: pd.Series[Any]) -> list[Any]:
    levels = _factorized(values)[0]
    what = f"Attribute {name!r}" if name else "The labels"
    if len(levels) > MAX_LEVELS:
        raise DataError(f"{what} have {len(levels)} levels, more than {MAX_LEVELS}.")
    bad = next((v for v in levels if not isinstance(v, (str, int, float, bool))), None)
    if bad is not None or any(isinstance(v, float) and not math.isfinite(v) for v in levels):
        raise DataError(f"{what} must be text, numbers or booleans.")
    if len({isinstance(v, str) for v in levels}) > 1:
        raise DataError(f"{what} mix text and numbers.")
    return sorted(levels)


def _as_array(levels: list[Any]) -> npt.NDArray[Any]:
    array = np.array(levels)
    kept = array.dtype.kind in "biufU" and array.tolist() == levels  # numpy cuts "\0" off an end
    return array if kept else np.array(levels, dtype=object)
