"""What estimators of tables share: reading, coding, splitting and giving back tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
from tqdm.auto import tqdm

from synthgan._runtime import numpy_generator
from synthgan.encoding import IdentifierCoder, LevelCoder, NumberCoder, TableEncoder
from synthgan.exceptions import DataError
from synthgan.io import Container, read_with_container
from synthgan.schema import Schema, infer_schema

__all__ = [
    "check_rows",
    "default_width",
    "describe_columns",
    "fit_encoder",
    "join_target",
    "log_frequencies",
    "require_columns",
    "resolve_schema",
    "restore",
    "split_rows",
]

Array = np.ndarray[Any, Any]


def join_target(data: Any, y: Any) -> tuple[pa.Table, Container]:
    """Return the table with `y` as its last column, and what the caller's table was.

    Raises
    ------
    DataError
        If `y` has another length, or its name is taken.
    """
    table, container = read_with_container(data)
    if y is None:
        return table, container
    name = getattr(y, "name", None) or "target"
    frame = y if isinstance(y, pd.Series) else pd.Series(np.asarray(y))
    if frame.ndim != 1 or len(frame) != table.num_rows:
        raise DataError(f"y has {len(frame)} values for {table.num_rows} rows.")
    column, kind = read_with_container(frame.to_frame(str(name)))
    if str(name) in table.column_names:
        raise DataError(f"The table already has a column {str(name)!r}; rename y.")
    labels = (*(container.labels or tuple(table.column_names)), name)
    joined = table.append_column(str(name), column.column(0))
    return joined, Container(container.kind, labels, (*container.dtypes, *kind.dtypes))


def resolve_schema(
    schema: Schema | Mapping[str, Any] | None, table: pa.Table, min_count: int
) -> Schema:
    """Return the schema that was given, or one inferred from the table.

    Raises
    ------
    DataError
        If the table does not fit the schema.
    """
    if schema is None:
        return infer_schema(table, min_count=min_count)
    found = schema if isinstance(schema, Schema) else Schema.from_dict(dict(schema))
    if differences := found.differences(table):
        raise DataError("The table does not fit the schema: " + "; ".join(differences) + ".")
    return found


def check_rows(table: pa.Table, schema: Schema) -> None:
    """Raise if a table is too short to learn from.

    Raises
    ------
    DataError
    """
    needed = max(2, *(column.min_count for column in schema))
    if table.num_rows < needed:
        raise DataError(
            f"The table has {table.num_rows} rows; at least {needed} are needed, because values in "
            "fewer than min_count rows are never repeated."
        )


def fit_encoder(
    table: pa.Table, schema: Schema, max_tokens: int | None, *, progress: bool
) -> TableEncoder:
    """Learn the tokens of all columns; `max_tokens` None takes one for every 22 rows."""
    with tqdm(
        total=len(schema), desc="encoding", unit="column", disable=not progress, leave=False
    ) as bar:
        most = max_tokens or min(max(table.num_rows // 22, 12), 256)
        return TableEncoder.fit(table, schema, max_tokens=most, progress=lambda name: bar.update())


def require_columns(table: pa.Table, schema: Schema) -> None:
    """Raise if a table is not like the one that a model was fitted on.

    Raises
    ------
    DataError
    """
    if differences := schema.differences(table):
        raise DataError("The table does not fit the model: " + "; ".join(differences) + ".")


def restore(table: pa.Table, container: Container, has_y: bool) -> Any:
    """Return a table in the caller's form; ``(X, y)`` if the caller gave arrays and a `y`."""
    if container.kind == "numpy" and has_y:
        names = table.column_names
        features = Container("numpy", tuple(names[:-1]), container.dtypes[:-1])
        target = Container("numpy", tuple(names[-1:]), container.dtypes[-1:])
        return features.restore(table.select(names[:-1])), target.restore(
            table.select(names[-1:])
        ).ravel()
    return container.restore(table)


def default_width(n_rows: int) -> int:
    """Return how wide the networks for a table of `n_rows` are."""
    return 128 if n_rows < 2000 else 256 if n_rows < 20_000 else 512


def split_rows(n_rows: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the positions of held-out and training rows: a tenth is held out, at most 4,000."""
    order = torch.from_numpy(numpy_generator(seed, "split").permutation(n_rows))
    count = min(max(n_rows // 10, 1), 4000)
    return order[:count], order[count:]


def log_frequencies(codes: Array, sizes: Sequence[int]) -> torch.Tensor:
    """Return the logs of smoothed shares of all tokens, shape (sum of sizes,)."""
    parts = [np.empty(0)]
    for j, size in enumerate(sizes):
        counts = np.bincount(codes[:, j], minlength=size) + 0.5
        parts.append(np.log(counts / counts.sum()))
    return torch.from_numpy(np.concatenate(parts)).float()


def describe_columns(encoder: TableEncoder) -> list[dict[str, Any]]:
    """Return one JSON-able dict per column: its kind, tokens, levels and range."""
    columns = []
    for column, coder in zip(encoder.schema, encoder.coders, strict=True):
        entry = {"name": column.name, "kind": column.kind, "tokens": coder.n_tokens}
        entry["missing"] = coder.missing_token is not None
        if isinstance(coder, LevelCoder):
            entry["levels"], entry["pooled_rare_levels"] = len(coder.levels), coder.has_rare
        elif isinstance(coder, NumberCoder) and len(coder.knots):
            ends = np.array(coder.extremes)
            low, high = coder.scale.to_cells(ends, np.zeros(2, bool)).to_pylist()
            entry.update(spikes=int(coder.is_spike.sum()), lowest=str(low), highest=str(high))
        elif isinstance(coder, IdentifierCoder):
            entry["generated"] = True
        columns.append(entry)
    return columns
