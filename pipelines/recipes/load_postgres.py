r"""Put a synthetic table into PostgreSQL, by ADBC, which streams it with ``COPY``.

    python pipelines/recipes/load_postgres.py patients.synthgan 1000000 \
        postgresql://user@host/db patients_synthetic

Rows are drawn batch by batch and never held all at once. The table is filled in one transaction: it
is there whole, or as it was before.
"""

from __future__ import annotations

import argparse

import pyarrow as pa
from adbc_driver_postgresql import dbapi

from synthgan import load_model


def load(model: str, n_rows: int, uri: str, table: str, *, seed: int = 0) -> int:
    """Create or replace a table, and return how many rows it has."""
    gan = load_model(model, device="cpu")
    batches = gan.sample_iter(n_rows, random_state=seed)
    first = next(batches)

    def all_batches():
        yield first
        yield from batches

    reader = pa.RecordBatchReader.from_batches(first.schema, all_batches())
    with dbapi.connect(uri) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, reader, mode="replace")
        connection.commit()
        name = table.replace('"', '""')
        cursor.execute(f'SELECT count(*) FROM "{name}"')  # nosec B608
        return int(cursor.fetchone()[0])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="file written by fit")
    parser.add_argument("n_rows", type=int)
    parser.add_argument("uri", help="of the database")
    parser.add_argument("table", help="name of the table")
    parser.add_argument("--seed", type=int, default=0)
    print(load(**vars(parser.parse_args())), "rows")
