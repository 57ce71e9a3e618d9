"""What an estimator of tables keeps of a table: its columns, their tokens, what to give back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import torch
from tqdm.auto import tqdm

from synthgan.encoding import IdentifierCoder, LevelCoder, NumberCoder, TableEncoder
from synthgan.estimators.base import check_number
from synthgan.exceptions import DataError
from synthgan.inference import infer_schema
from synthgan.io import Container, read_with_container, with_container
from synthgan.schema import Schema
from synthgan.sources import read_path, sample_rows
from synthgan.training import hold_out

__all__ = [
    "TableForm",
    "default_width",
    "join_target",
    "network_size",
    "resolve_schema",
    "split_rows",
    "tokens_on",
]

Array = np.ndarray[Any, Any]
Tokens = npt.NDArray[np.int64]

#: Bounds of networks for rows, also of those in model files.
LARGEST_WIDTH, LARGEST_DEPTH = 8192, 64
#: Numbers in the vectors of all tokens, if nobody says how wide a network is to be.
_VECTORS = 2**25


@dataclass(frozen=True)
class TableForm:
    """Tables in, tokens of the columns that vary out, and back.

    Attributes
    ----------
    encoder : TableEncoder
        With the schema.
    container : Container
        What the caller's table was.
    has_y : bool
        Whether the last column came as `y`.
    target : str or None
    """

    encoder: TableEncoder
    container: Container
    has_y: bool
    target: str | None

    @classmethod
    def learn(
        cls,
        data: Any,
        y: Any,
        target: str | None,
        *,
        schema: Schema | Mapping[str, Any] | None,
        min_count: int,
        max_tokens: int | None,
        max_rows: int | None,
        progress: bool,
    ) -> tuple[TableForm, pa.Table]:
        """Return the form of a table, and the table with `y` as its last column.

        Parameters
        ----------
        data, y, target
            As for :meth:`synthgan.TabularGAN.fit`.
        schema : Schema, dict or None
            None infers it, with `min_count`.
        max_tokens : int or None
            None takes one for every 22 rows, 12 to 256.
        max_rows : int or None
            Rows to keep, drawn at random; None keeps what fits into memory.
        progress : bool

        Raises
        ------
        SchemaError, DataError
            If the table does not fit the schema, is too short, or has no column `target`.
        """
        table, container = join_target(data, y, max_rows, whole=False)
        found = resolve_schema(schema, table, min_count)
        _check_rows(table, found)
        if target is not None and target not in found:
            raise DataError(f"target={target!r} is not a column of the table.")
        most = max_tokens or min(max(table.num_rows // 22, 12), 256)
        with tqdm(
            total=len(found), desc="encoding", unit="column", disable=not progress, leave=False
        ) as bar:
            encoder = TableEncoder.fit(
                table, found, max_tokens=most, progress=lambda name: bar.update()
            )
        named = target if y is None else found.names[-1]
        return cls(encoder, container, y is not None, named), table

    @property
    def schema(self) -> Schema:
        """The columns."""
        return self.encoder.schema

    @property
    def active(self) -> list[int]:
        """Columns with more than one token."""
        return [j for j, size in enumerate(self.encoder.sizes) if size > 1]

    @property
    def sizes(self) -> list[int]:
        """Tokens of each active column."""
        return [self.encoder.sizes[j] for j in self.active]

    @property
    def n_ordered(self) -> list[int]:
        """How many leading tokens of each active column are in ascending order."""
        return [self.encoder.n_ordered[j] for j in self.active]

    def publish(self, estimator: Any) -> None:
        """Set the public attributes that estimators of tables share."""
        features = self.schema.names[:-1] if self.has_y else self.schema.names
        estimator.schema_, estimator.encoder_ = self.schema, self.encoder
        estimator.target_ = self.target
        estimator.n_features_in_ = len(features)
        estimator.feature_names_in_ = np.array(features, dtype=object)

    def read(self, data: Any, *, without: str | None = None) -> pa.Table:
        """Return a table with the columns of the fitted one, in their order.

        The column `without` need not be there.

        Raises
        ------
        DataError
            If it is not like the fitted one.
        """
        table, container = read_with_container(data)
        names = list(self.schema.names)
        n_features = len(names) - self.has_y
        if container.kind == "numpy" and table.num_columns not in (len(names), n_features):
            raise DataError(
                f"X has {table.num_columns} features, but it is expecting {n_features} "
                "features as input."
            )
        if without is not None and without not in table.column_names:
            names = [name for name in names if name != without]
        if names:
            schema = Schema(tuple(self.schema[name] for name in names))
            if differences := schema.differences(table):
                raise DataError("The table does not fit the model: " + "; ".join(differences) + ".")
        return table.select(names)

    def tokens(self, table: pa.Table) -> Array:
        """Return the tokens of the active columns, shape (rows, active columns), unsigned ints."""
        return self.encoder.encode(table)[:, self.active]

    def whole(self, tokens: Array) -> Tokens:
        """Return tokens of all columns, given those of the active ones."""
        found = np.zeros((len(tokens), len(self.encoder.coders)), np.int64)
        found[:, self.active] = tokens
        return found

    def restore(self, table: pa.Table) -> Any:
        """Return a table in the caller's form; ``(X, y)`` if the caller gave arrays and a `y`."""
        if self.container.kind == "numpy" and self.has_y:
            names, dtypes = table.column_names, self.container.dtypes
            features = Container("numpy", tuple(names[:-1]), dtypes[:-1])
            target = Container("numpy", tuple(names[-1:]), dtypes[-1:])
            return features.restore(table.select(names[:-1])), target.restore(
                table.select(names[-1:])
            ).ravel()
        return self.container.restore(table)

    def describe(self) -> list[dict[str, Any]]:
        """Return one JSON-able dict per column: its kind, tokens, levels and range."""
        columns = []
        for column, coder in zip(self.schema, self.encoder.coders, strict=True):
            entry = {"name": column.name, "kind": column.kind, "tokens": coder.n_tokens}
            entry["missing"] = coder.missing_token is not None
            if isinstance(coder, LevelCoder):
                entry["levels"], entry["pooled_rare_levels"] = len(coder.levels), coder.has_rare
            elif isinstance(coder, NumberCoder) and len(coder.knots):
                ends = np.array(coder.extremes)
                low, high = _shown(coder.scale.to_cells(ends, np.zeros(2, bool)))
                entry.update(spikes=int(coder.is_spike.sum()), lowest=low, highest=high)
            elif isinstance(coder, IdentifierCoder):
                entry["generated"] = True
            columns.append(entry)
        return columns

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict; with :meth:`arrays`, :meth:`from_dict` is the inverse."""
        return {
            "schema": self.schema.to_dict(),
            "encoder": self.encoder.to_dict(),
            "container": self.container.to_dict(),
            "has_y": self.has_y,
            "target": self.target,
        }

    def arrays(self) -> dict[str, Array]:
        """Return the arrays of the encoder by name."""
        return self.encoder.arrays()

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], arrays: Mapping[str, Array]) -> TableForm:
        """Rebuild a form, and try it out: what a damaged file says must fail now, not in a sample.

        Raises
        ------
        ValueError, TypeError, ArithmeticError, LookupError
            Of many kinds, if the parts do not fit together.
        """
        encoder = TableEncoder.from_dict(
            Schema.from_dict(data["schema"]), data["encoder"], dict(arrays)
        )
        container = Container.from_dict(data["container"])
        form = cls(encoder, container, bool(data["has_y"]), data["target"])
        form.describe()
        ends = [
            [0] * len(encoder.coders),
            *([max(n - 1, 0) for n in counts] for counts in (encoder.n_ordered, encoder.sizes)),
        ]
        rows = encoder.decode(np.array(ends), None)
        if container.kind != "polars":  # which need not be there to load a model
            form.restore(rows)
        return form


def join_target(
    data: Any, y: Any, max_rows: int | None = None, *, whole: bool = True
) -> tuple[pa.Table, Container]:
    """Return the table with `y` as its last column, and what the caller's table was.

    If not `whole`, a random part of the rows: at most `max_rows`, and of files what fits in memory.
    """
    if isinstance(data, (str, os.PathLike)) and y is None:
        return with_container(read_path(data, most=max_rows, whole=whole))
    table, container = _join(*read_with_container(data), y)
    return (table if whole else sample_rows(table, max_rows)), container


def _join(table: pa.Table, container: Container, y: Any) -> tuple[pa.Table, Container]:
    if y is None:
        return table, container
    name = getattr(y, "name", None)
    name = "target" if name is None or name == "" else name  # polars has no None
    frame = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y))
    if frame.ndim != 1 or len(frame) != table.num_rows:
        raise DataError(f"y has {len(frame)} values for {table.num_rows} rows.")
    column, kind = read_with_container(frame.to_frame(str(name)))
    if str(name) in table.column_names:
        raise DataError(f"The table already has a column {str(name)!r}; rename y.")
    labels = (*(container.labels or tuple(table.column_names)), name)
    joined = table.append_column(str(name), column.column(0))
    dtypes = (*container.dtypes, *kind.dtypes) if container.dtypes else ()  # of Arrow: none
    return joined, Container(container.kind, labels, dtypes)


def resolve_schema(
    schema: Schema | Mapping[str, Any] | None, table: pa.Table, min_count: int
) -> Schema:
    """Return the schema that was given, in the order of the table, or one inferred from it."""
    if schema is None:
        return infer_schema(table, min_count=min_count)
    found = schema if isinstance(schema, Schema) else Schema.from_dict(dict(schema))
    if differences := found.differences(table):
        raise DataError("The table does not fit the schema: " + "; ".join(differences) + ".")
    return Schema(tuple(found[name] for name in table.column_names))


def _check_rows(table: pa.Table, schema: Schema) -> None:
    needed = max(2, *(column.min_count for column in schema))
    if table.num_rows < needed:
        raise DataError(
            f"The table has {table.num_rows} rows (n_samples = {table.num_rows}); at least "
            f"{needed} are needed, because values in fewer than min_count rows are never repeated."
        )


# --- sizes of networks for rows ------------------------------------------------------------------


def default_width(n_rows: int, n_tokens: int) -> int:
    """Return how wide the networks are for a table of `n_rows` whose columns have `n_tokens`.

    The vectors of the tokens should take 130 MB at most: a fit holds ten copies of them, among them
    gradients and averages.
    """
    width = 128 if n_rows < 2000 else 192 if n_rows < 200_000 else 512
    return min(width, max(_VECTORS // max(n_tokens, 1) // 32 * 32, 128))


def network_size(network: Mapping[str, Any]) -> tuple[int, int]:
    """Return the width and depth that a model file gives, after checking them.

    Raises
    ------
    ParameterError
    """
    width, depth = int(network["width"]), int(network["depth"])
    check_number("network", "width", width, int, 1, LARGEST_WIDTH)
    check_number("network", "depth", depth, int, 1, LARGEST_DEPTH)
    return width, depth


def _shown(cells: pa.Array) -> list[str]:
    """Return cells as texts, also times that lie beyond Python's."""
    try:
        return [str(cell) for cell in cells.to_pylist()]
    except OverflowError:
        ticks = cells.cast(pa.int64())
        if pa.types.is_duration(cells.type):
            return [f"{tick} {cells.type.unit}" for tick in ticks.to_pylist()]
        texts: list[str] = ticks.cast(pa.timestamp(cells.type.unit)).cast(pa.string()).to_pylist()
        return [f"{text}Z" for text in texts]


def split_rows(n_rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions of training and held-out rows: a tenth is held out, at most 4,000."""
    return hold_out(n_rows, min(max(n_rows // 10, 1), 4000), seed)


def tokens_on(device: torch.device, codes: Array) -> torch.Tensor:
    """Return tokens as a tensor; Apple's devices have no unsigned integers of more than 8 bits."""
    if device.type == "mps" and codes.dtype != np.uint8:
        codes = codes.astype(np.int32)
    return torch.from_numpy(codes).to(device)
