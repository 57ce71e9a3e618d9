"""Ways to change training rows: the simple ones that everybody knows, and those of a generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import clone

from synthgan._runtime import numpy_generator
from synthgan.exceptions import ParameterError

__all__ = ["DEFAULT_WAYS", "SIMPLE", "Way", "class_counts", "weighted"]

Labels = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Way:
    """How many synthetic rows to add to a training table, and how near to real ones.

    Parameters
    ----------
    balance : float, default 0.0
        Raise each class towards the largest: 1 closes the gap, 0.5 half of it.
    more : float, default 0.0
        Add so many times the rows of each class, after that.
    keep, focus : float, default 0.8 and 0.0
        See :class:`~synthgan.augment.GANOverSampler`. A focus is for balance: without it, more
        rows of all classes keep their distribution.

    Examples
    --------
    >>> Way(balance=1.0, keep=0.5).counts({"ill": 20, "well": 80})
    {'ill': 60, 'well': 0}
    >>> print(Way(more=3.0, keep=0.0))
    +3x rows, keep 0
    """

    balance: float = 0.0
    more: float = 0.0
    keep: float = 0.8
    focus: float = 0.0

    def __post_init__(self) -> None:
        good = 0 <= self.balance <= 1 and 0 <= self.more <= 1000 and 0 <= self.keep < 1
        good = good and 0 <= self.focus <= 10
        if not good or self.balance == self.more == 0:
            raise ParameterError(
                "Way: balance must be in [0, 1], more in [0, 1000], one of them above 0, keep in "
                f"[0, 1), and focus in [0, 10]; got {self}."
            )

    def counts(self, known: Mapping[Any, int]) -> dict[Any, int]:
        """Return how many rows of each class to add."""
        most = max(known.values())
        raised = {k: n + round(self.balance * (most - n)) for k, n in known.items()}
        return {k: n + round(self.more * n) - known[k] for k, n in raised.items()}

    def __str__(self) -> str:
        parts = [f"balance {100 * self.balance:g}%"] if self.balance else []
        parts += [f"+{self.more:g}x rows"] if self.more else []
        parts += [f"keep {self.keep:g}"] + ([f"focus {self.focus:g}"] if self.focus else [])
        return ", ".join(parts)


#: What :func:`~synthgan.augment.augment` tries: balance serves F1, more rows serve log-loss.
DEFAULT_WAYS = (
    Way(balance=0.5, focus=1.0),
    Way(balance=1.0, focus=1.0),
    Way(more=1.0),
    Way(more=3.0),
    Way(more=1.0, keep=0.0),
    Way(more=3.0, keep=0.0),
)


def class_counts(labels: Labels) -> dict[Any, int]:
    """Return how many rows each class has, in ascending order of the classes."""
    return {k: int(n) for k, n in zip(*np.unique(labels, return_counts=True), strict=True)}


def weighted(estimator: Any) -> Any:
    """Return a copy with balanced class weights, None if it knows no class weights."""
    names = [name for name in estimator.get_params() if name.split("__")[-1] == "class_weight"]
    return clone(estimator).set_params(**dict.fromkeys(names, "balanced")) if names else None


def random_oversampling(
    features: pd.DataFrame, labels: Labels, seed: int
) -> tuple[pd.DataFrame, Labels]:
    """Repeat rows of smaller classes until all have as many."""
    rng, rows = numpy_generator(seed, "repeated rows"), [np.arange(len(labels))]
    for label, count in Way(balance=1.0).counts(class_counts(labels)).items():
        rows.append(rng.choice(np.flatnonzero(labels == label), count))
    chosen = np.concatenate(rows)
    return features.iloc[chosen].reset_index(drop=True), labels[chosen]


def smote(features: pd.DataFrame, labels: Labels, seed: int) -> tuple[pd.DataFrame, Labels]:
    """Run SMOTE, SMOTE-NC or SMOTE-N, whichever fits the columns.

    They know no missing cells, so medians and most frequent levels stand in for these in the rows
    that they start from; the real rows are returned as they are.
    """
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    filled = features.copy()
    is_code = np.array([not _is_number(dtype) for dtype in features.dtypes])
    for name, code in zip(features, is_code, strict=True):
        values = features[name]
        if code:
            text = values.astype("string")
            mode = text.mode()
            filled[name] = text.fillna(mode[0] if len(mode) else "").astype(object)
        else:
            numbers = values.astype("float64")
            filled[name] = numbers.fillna(numbers.median() if numbers.notna().any() else 0.0)
    smallest = min(class_counts(labels).values())
    settings = {"random_state": seed % 2**32, "k_neighbors": max(min(5, smallest - 1), 1)}
    if is_code.all():
        method = SMOTEN(**settings)
    elif is_code.any():
        method = SMOTENC(np.flatnonzero(is_code).tolist(), **settings)
    else:
        method = SMOTE(**settings)
    more, found = method.fit_resample(filled, labels)
    new = more.iloc[len(features) :]
    restored = {name: _restored(new[name], features[name]) for name in features}
    both = pd.concat([features, pd.DataFrame(restored)], ignore_index=True)
    return both.astype(features.dtypes.to_dict()), found


def _is_number(dtype: Any) -> bool:
    return pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype)


def _restored(new: pd.Series[Any], old: pd.Series[Any]) -> pd.Series[Any]:
    """Return cells that SMOTE made as cells of the column that they stand for."""
    if _is_number(old.dtype):
        rounded = new.round() if pd.api.types.is_integer_dtype(old.dtype) else new
        return rounded.astype(old.dtype)
    cells = old.dropna()
    known = dict(zip(cells.astype("string"), cells, strict=True))
    return new.map(known).astype(old.dtype)


#: Functions of features, labels and a seed that return the rows to train on.
SIMPLE: dict[str, Callable[..., tuple[pd.DataFrame, Labels]]] = {
    "random oversampling": random_oversampling,
    "SMOTE": smote,
}
