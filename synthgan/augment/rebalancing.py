"""Samples with the shares that somebody wants, and what else that changes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from synthgan._runtime import numpy_generator, seed_from
from synthgan.arrow import without_views
from synthgan.conditions import MISSING, parse_conditions
from synthgan.evaluate.fidelity.similarity import similarity
from synthgan.evaluate.tables import read_alike
from synthgan.exceptions import ConditionError, ParameterError
from synthgan.io import read_frame, read_table, read_with_container

__all__ = ["Rebalanced", "decouple", "rebalance"]

#: Rows of the model that say how things are without any wish.
_REFERENCE_ROWS = 10_000
_MAX_CELLS = 10_000
_SLACK = 1e-6
#: Pairs of columns whose association changes by this much are named.
_NOTABLE = 0.05

Shares = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Rebalanced:
    """Rows with wanted shares, and what is different from the model's own.

    Attributes
    ----------
    rows : table
        In the form that the model was fitted to, in random order.
    cells : DataFrame
        One row per combination: its conditions, ``share`` (wanted), ``before`` (the model's own)
        and ``rows``.
    columns : DataFrame
        How far each column moved: ``column``, ``error`` (percent, total variation or
        Kolmogorov-Smirnov distance).
    pairs : DataFrame
        ``column_1``, ``column_2``, ``association`` before and after.
    warning : str
        What to know before using the rows.
    """

    rows: Any
    cells: pd.DataFrame
    columns: pd.DataFrame
    pairs: pd.DataFrame
    warning: str

    def __str__(self) -> str:
        parts = [self.cells.round(4).to_string(index=False), self.warning]
        return "\n\n".join(parts)


def rebalance(
    model: Any,
    n_samples: int,
    shares: Mapping[str, Mapping[Any, float]] | Sequence[tuple[Mapping[str, Any], float]],
    *,
    random_state: Any = None,
) -> Rebalanced:
    """Draw rows with target shares for one or several columns.

    All else is drawn from the model given these columns, so it moves along with them.

    Parameters
    ----------
    model : TabularGAN
        Fitted.
    n_samples : int
    shares : mapping, or sequence of (conditions, share)
        A mapping of column to shares of its values, or of ranges ``(low, high)``, each column's
        summing to 1; what is not named does not occur. With several columns, their dependence
        stays as near to the model's as the shares allow (iterative proportional fitting). Or a
        list of conditions, as :meth:`~synthgan.TabularGAN.sample` takes them, with their shares,
        for the joint distribution.
    random_state : int, Generator, RandomState or None, default None

    Returns
    -------
    Rebalanced

    Raises
    ------
    ParameterError
        If shares are negative or do not sum to 1.
    ConditionError
        If the model cannot make a combination.

    Examples
    --------
    >>> from synthgan import TabularGAN
    >>> table = pd.DataFrame({"sex": ["f", "m", "m", "m"] * 50, "age": [30, 40, 50, 60] * 50})
    >>> gan = TabularGAN(random_state=0, max_time="2s", verbose=0).fit(table)
    >>> found = rebalance(gan, 100, {"sex": {"f": 0.5, "m": 0.5}}, random_state=0)
    >>> found.rows["sex"].value_counts().to_dict() == {"f": 50, "m": 50}
    True

    References
    ----------
    W. E. Deming, F. F. Stephan, "On a least squares adjustment of a sampled frequency table when
    the expected marginal totals are known", Annals of Mathematical Statistics 11, 1940.
    """
    seed = seed_from(random_state)
    if n_samples < 1:
        raise ParameterError(f"rebalance: n_samples must be at least 1; got {n_samples}.")
    reference = _reference(model, seed)
    if isinstance(shares, Mapping):
        named = {_name(model, column): parts for column, parts in shares.items()}
        cells, wanted = _fitted(named, model, reference)
    else:
        cells = [{_name(model, c): v for c, v in wish.items()} for wish, _ in shares]
        wanted = _checked("the shares", [share for _, share in shares])
    return _drawn(model, n_samples, cells, wanted, reference, seed)


def decouple(
    model: Any, n_samples: int, sensitive: str, outcome: str, *, random_state: Any = None
) -> Rebalanced:
    """Draw rows in which an outcome is as frequent in every group of a sensitive column.

    Both columns keep their shares and lose their dependence; all else is drawn from the model given
    both. That is demographic parity of the *rows*. It is not a statement about the world, and no
    remedy: a model trained on such rows can still be unfair through other columns, and is wrong
    about the world wherever the two do depend on each other.

    Parameters
    ----------
    model : TabularGAN
        Fitted.
    n_samples : int
    sensitive, outcome : str
        Columns of levels.
    random_state : int, Generator, RandomState or None, default None

    Returns
    -------
    Rebalanced

    Raises
    ------
    ParameterError
        If a column is none of levels.
    """
    seed = seed_from(random_state)
    sensitive, outcome = _name(model, sensitive), _name(model, outcome)
    for name in (sensitive, outcome):
        if model.schema_[name].is_numeric:
            raise ParameterError(
                f"decouple: {name!r} is no column of levels; cut numbers into ranges and use "
                "rebalance with a list of conditions."
            )
    reference = _reference(model, seed)
    frame = reference.select([sensitive, outcome]).to_pandas()
    parts = [
        frame[name].value_counts(normalize=True, dropna=False) for name in (sensitive, outcome)
    ]
    pairs = list(itertools.product(*(part.items() for part in parts)))
    cells = [
        {sensitive: MISSING if pd.isna(a) else a, outcome: MISSING if pd.isna(b) else b}
        for (a, _), (b, _) in pairs
    ]
    wanted = np.array([p * q for (_, p), (_, q) in pairs])
    if len(cells) > _MAX_CELLS:
        raise ParameterError(f"decouple: these columns make more than {_MAX_CELLS} combinations.")
    return _drawn(model, n_samples, cells, wanted / wanted.sum(), reference, seed)


def _reference(model: Any, seed: int) -> pa.Table:
    rows = model.sample(_REFERENCE_ROWS, random_state=seed)
    if isinstance(rows, tuple):
        raise ParameterError("Fit the model to one table, not to arrays X and y.")
    return read_table(rows)


def _checked(what: str, shares: Sequence[float]) -> Shares:
    found = np.asarray(shares, np.float64)
    if not len(found) or not (found >= 0).all() or not abs(found.sum() - 1) < _SLACK:
        raise ParameterError(
            f"rebalance: {what} must be at least 0 and sum to 1; got {found.tolist()}."
        )
    return np.asarray(found / found.sum())


def _name(model: Any, column: Any) -> str:
    """Return the name of a column that is given by its label.

    Raises
    ------
    ConditionError
        If there is none.
    """
    if f"{column}" not in model.schema_:
        raise ConditionError(f"The model has no column {column!r}.")
    return f"{column}"


def _fitted(
    shares: Mapping[str, Mapping[Any, float]], model: Any, reference: pa.Table
) -> tuple[list[dict[str, Any]], Shares]:
    """Return all combinations and their shares: the reference, scaled to the wanted margins."""
    margins = [_checked(f"the shares of {name!r}", list(s.values())) for name, s in shares.items()]
    sizes = [len(margin) for margin in margins]
    if np.prod(sizes, dtype=float) > _MAX_CELLS:
        raise ParameterError(f"rebalance: {sizes} make more than {_MAX_CELLS} combinations.")
    keys = itertools.product(*(list(s) for s in shares.values()))
    cells = [dict(zip(shares, key, strict=True)) for key in keys]
    joint = _before(cells, model, reference).reshape(sizes) + 1e-9
    for _ in range(1000):
        last = joint
        for axis, margin in enumerate(margins):
            others = tuple(k for k in range(len(margins)) if k != axis)
            now = joint.sum(axis=others, keepdims=True)
            joint = joint * (margin.reshape(now.shape) / np.maximum(now, 1e-300))
        if np.abs(joint - last).max() < 1e-12:
            break
    return cells, joint.ravel() / joint.sum()


def _before(cells: Sequence[Mapping[str, Any]], model: Any, reference: pa.Table) -> Shares:
    """Return the share of each combination in the reference."""
    codes = model.encoder_.encode(reference)
    holds = np.ones((len(cells), len(codes)))
    for k, cell in enumerate(cells):
        for wish in parse_conditions(cell, model.encoder_):
            holds[k] *= wish.weights[codes[:, wish.column]]
    return np.asarray(holds.mean(axis=1))


def _drawn(
    model: Any,
    n_samples: int,
    cells: Sequence[dict[str, Any]],
    wanted: Shares,
    reference: pa.Table,
    seed: int,
) -> Rebalanced:
    counts = _counts(wanted, n_samples)
    parts, container = [], None
    for k, (cell, count) in enumerate(zip(cells, counts, strict=True)):
        if not count:
            continue
        try:
            own = numpy_generator(seed, "cell", k)
            rows = model.sample(int(count), conditions=cell, random_state=own)
        except ConditionError as error:
            raise ConditionError(f"No row can have {cell}: {error}") from error
        part, container = read_with_container(rows)
        parts.append(part)
    assert container is not None
    order = numpy_generator(seed, "order").permutation(n_samples)
    table = (
        without_views(
            pa.concat_tables(parts, promote_options="permissive")  # empty parts have no types
        )
        .combine_chunks()
        .take(order)
    )
    tables = read_alike({"train": read_frame(reference), "rows": read_frame(table)})
    found = similarity(tables["train"], tables["rows"], seed=seed)
    named = {name for cell in cells for name in cell}
    pairs = found.pairs.rename(columns={"association": "before", "association_synthetic": "after"})
    pairs = pairs[["column_1", "column_2", "before", "after"]]
    listed = pd.DataFrame([{n: str(v) for n, v in cell.items()} for cell in cells])
    listed = listed.assign(share=wanted, before=_before(cells, model, reference), rows=counts)
    columns = found.columns[["column", "error"]]
    return Rebalanced(
        rows=container.restore(table),
        cells=listed,
        columns=columns,
        pairs=pairs,
        warning=_warning(columns, pairs, named, listed),
    )


def _counts(wanted: Shares, total: int) -> npt.NDArray[np.int64]:
    """Return whole numbers that sum to the total, by largest remainders."""
    exact = wanted * total
    counts = np.floor(exact).astype(np.int64)
    rest = np.argsort(counts - exact, kind="stable")[: total - counts.sum()]
    counts[rest] += 1
    return counts


def _warning(
    columns: pd.DataFrame, pairs: pd.DataFrame, named: set[str], cells: pd.DataFrame
) -> str:
    others = columns[~columns["column"].isin(named) & (columns["error"] > 100 * _NOTABLE)]
    moved = ", ".join(f"{r['column']} ({r['error']:.0f} %)" for r in others.to_dict("records")[:5])
    change = (pairs["after"] - pairs["before"]).abs()
    links = pairs[change > _NOTABLE].assign(change=change).sort_values("change", ascending=False)
    tied = ", ".join(
        f"{r['column_1']} with {r['column_2']} ({r['before']:.2f} to {r['after']:.2f})"
        for r in links.to_dict("records")[:5]
    )
    rare = int(((cells["before"] < 0.001) & (cells["rows"] > 0)).sum())
    parts = ["These rows no longer have the shares of the real table: use them for training or for "
             "questions of the form 'what if', not for estimates of how things are."]  # fmt: skip
    parts += [f"Columns that moved along: {moved}."] if moved else []
    parts += [f"Dependences that changed: {tied}."] if tied else []
    if rare:
        parts.append(
            f"{rare} combinations are rarer than 1 in 1,000 in the model: it has hardly seen them."
        )
    return " ".join(parts)
