"""How far a synthetic table is from the real one, in numbers that may be published.

An ordinary report looks at the real rows without noise, so it is for their holder alone. The
distance of two tables hardly depends on any one row, so it costs little.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from synthgan._runtime import numpy_generator, seed_from
from synthgan.encoding import TableEncoder
from synthgan.exceptions import DataError, SchemaError
from synthgan.io import read_table
from synthgan.privacy import DifferentialPrivacy, check_delta, statement
from synthgan.privacy.accounting import rho_of
from synthgan.privacy.plan import Marginal
from synthgan.privacy.private_table import PrivateTable, count_cells
from synthgan.schema import Schema

__all__ = ["PrivateDistances", "measure_distances"]

#: Quantile of the normal distribution for intervals of 95 %.
_Z = 1.96
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class PrivateDistances:
    """Distances of a synthetic table to the real one, under differential privacy.

    Attributes
    ----------
    table : DataFrame
        A row per column and per pair of columns, furthest first: ``columns`` (a tuple of names),
        ``distance`` (total variation, 0 to 1), ``floor`` (what as many rows drawn from the
        synthetic table would show, by chance alone).
    means : DataFrame
        By the number of columns, 1 or 2: mean ``distance``, its ``noise``, and ``floor``.
    noise : float
        Half the width of the 95 % interval of each distance, as far as it comes from the noise.
    n_rows : int
        Real rows, known with noise.
    privacy : dict
        The statement, and what was charged.
    """

    table: pd.DataFrame
    means: pd.DataFrame
    noise: float
    n_rows: int
    privacy: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return everything, JSON-able."""
        return {
            "privacy": self.privacy,
            "n_rows": self.n_rows,
            "noise": self.noise,
            "means": self.means.reset_index().to_dict("records"),
            "distances": self.table.assign(columns=self.table["columns"].map(list)).to_dict(
                "records"
            ),
        }

    def __str__(self) -> str:
        lines = [self.privacy["text"], "", "total variation distance (by chance alone)"]
        for size, found in self.means.iterrows():
            what = "columns, mean" if size == 1 else "pairs, mean"
            lines.append(f"  {found.distance:.4f} +- {found.noise:.4f} ({found.floor:.4f})  {what}")
        for row in self.table.head(_SHOWN).to_dict("records"):
            names = " x ".join(row["columns"])
            lines.append(
                f"  {row['distance']:.4f} +- {self.noise:.4f} ({row['floor']:.4f})  {names}"
            )
        return "\n".join(lines)


def measure_distances(
    real: Any, synthetic: Any, privacy: DifferentialPrivacy, *, random_state: Any = 0
) -> PrivateDistances:
    """Return how far the tables of one and of two columns are apart, charged to a ledger.

    Parameters
    ----------
    real : DataFrame, Arrow table, polars frame or path
        Asked for noisy counts alone.
    synthetic : DataFrame, Arrow table, polars frame or path
        The same columns. It is taken as public.
    privacy : DifferentialPrivacy
        What this may cost, on top of the fit: give both the same ``ledger``. Its ``domain`` must
        declare each column; that of a model under differential privacy is its ``schema_``.
    random_state : int, Generator or None, default 0
        Of the floor. Noise has none.

    Raises
    ------
    ParameterError, SchemaError, DataError, BudgetError
        Before anything is released.

    Examples
    --------
    >>> import numpy as np
    >>> from synthgan.schema import Column, Schema
    >>> columns = (Column(c, "boolean", "bool", missing=False) for c in ("sick", "old"))
    >>> rng = np.random.default_rng(0)
    >>> old = rng.random(20_000) < 0.5
    >>> real = pd.DataFrame({"sick": old, "old": old})
    >>> fake = pd.DataFrame({"sick": rng.permutation(old), "old": old})
    >>> privacy = DifferentialPrivacy(0.5, 1e-6, domain=Schema(tuple(columns)))
    >>> found = measure_distances(real, fake, privacy)
    >>> furthest = found.table.iloc[0]
    >>> furthest["columns"], round(float(furthest["distance"]), 1)
    (('sick', 'old'), 0.5)
    """
    schema = _declared(privacy)
    table, fake = read_table(real), _only(read_table(synthetic), schema, "synthetic")
    check_delta(privacy, table.num_rows)
    table = _only(table, schema, "real", besides=privacy.unit)
    encoder = TableEncoder.declared(schema)
    names = [column.name for column in schema]
    marginals: list[Marginal] = [(j,) for j, size in enumerate(encoder.sizes) if size > 1]
    if not marginals or not fake.num_rows:
        raise DataError("There is nothing to compare: no rows, or no column with two values.")
    smallest = min(marginals, key=lambda m: encoder.sizes[m[0]])
    marginals += [(a, b) for (a,), (b,) in itertools.combinations(marginals, 2)]
    codes, _ = encoder.confine(fake)
    shares = [count_cells(codes, encoder.sizes, m) / len(codes) for m in marginals]

    rho = rho_of(privacy.epsilon, privacy.delta)
    ledger = privacy.open_ledger()
    ledger.require(rho)
    begun = len(ledger.entries)
    private = PrivateTable(table, ledger, unit=privacy.unit, max_rows=privacy.max_rows)
    private.bind(encoder)
    # the split of the budget that makes the noise of one distance smallest
    roots = np.sqrt([encoder.sizes[smallest[0]], len(marginals)])
    cost_of_count, cost = rho * roots / roots.sum()
    (counts,) = private.measure([smallest], cost_of_count)
    n_rows = max(int(counts.sum()), 1)
    expected = [np.rint(share * n_rows).astype(np.int64) for share in shares]
    gaps = private.distances(marginals, expected, cost)

    rng = numpy_generator(seed_from(random_state), "floor")
    found = pd.DataFrame(
        {
            "columns": [tuple(names[j] for j in marginal) for marginal in marginals],
            "distance": gaps / (2 * n_rows),
            "floor": [_floor(share, n_rows, rng) for share in shares],
        }
    )
    # an error of the number of rows moves all distances, each by half of it at most
    of_count = private.sigma(1, cost_of_count) * float(roots[0])
    of_gap = private.sigma(len(marginals), cost)
    size = found["columns"].map(len).rename("size")
    means = found.groupby(size)[["distance", "floor"]].mean().clip(0.0, 1.0)
    spread = np.hypot(of_gap / np.sqrt(size.value_counts().sort_index()), of_count)
    means.insert(1, "noise", _Z * spread / (2 * n_rows))
    found["distance"] = found["distance"].clip(0.0, 1.0)
    found = found.sort_values("distance", ascending=False, ignore_index=True, kind="stable")
    unit = "row" if privacy.unit is None else f"value of {privacy.unit!r}"
    said = statement(
        privacy,
        rho,
        unit=unit,
        public=["the synthetic table", "the domain"],
        charged=["the number of rows", "all distances"],
        charges=ledger.entries[begun:],
    )
    noise = float(_Z * np.hypot(of_gap, of_count) / (2 * n_rows))
    return PrivateDistances(found, means, noise, n_rows, said)


def _declared(privacy: DifferentialPrivacy) -> Schema:
    schema = privacy.read_domain()
    if schema is None:
        raise SchemaError("Give domain=...: bounds and levels must be known without the data.")
    for column in schema:
        if not column.is_declared:
            raise SchemaError(f"Column {column.name!r} declares no bounds or levels in the domain.")
    return schema


def _only(table: pa.Table, schema: Schema, what: str, besides: str | None = None) -> pa.Table:
    """Return the columns of the domain, and another one."""
    names = [name for name in table.column_names if name in schema]
    if differences := schema.differences(table.select(names)):
        raise DataError(f"The {what} table does not fit the domain: {'; '.join(differences)}.")
    if besides is not None and besides not in names and besides in table.column_names:
        names.append(besides)
    return table.select(names)


def _floor(share: npt.NDArray[np.float64], n_rows: int, rng: np.random.Generator) -> float:
    drawn = rng.multinomial(n_rows, share.ravel()) / n_rows
    return float(np.abs(drawn - share.ravel()).sum() / 2)
