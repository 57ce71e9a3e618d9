"""A Dask frame whose partitions are parts of one sample, drawn where they are needed.

    python pipelines/recipes/dask_sample.py visits.synthgan 1000000000 out/

The rows are those of ``load_model(model).sample(n, random_state=seed)``, however many workers there
are. If all that you want is the files, ``synthgan sample -o out/`` needs no Dask.
"""

import sys
from functools import partial

import dask.dataframe as dd
import pandas as pd
import pyarrow as pa

from synthgan import load_model

ROWS = 2**20


def part(start: int, model: str, n: int, seed: int) -> pd.DataFrame:
    """Draw the rows from `start` on, without those before."""
    batches = load_model(model, device="cpu").sample_iter(
        min(start + ROWS, n), start=start, random_state=seed
    )
    return pa.Table.from_batches(batches).to_pandas(types_mapper=pd.ArrowDtype)


def sample(model: str, n: int, seed: int = 0) -> dd.DataFrame:
    """Return a lazy frame of `n` rows."""
    meta = part(0, model, 1, seed).iloc[:0]
    draw = partial(part, model=model, n=n, seed=seed)
    return dd.from_map(draw, range(0, n, ROWS), meta=meta)


if __name__ == "__main__":
    sample(sys.argv[1], int(sys.argv[2])).to_parquet(sys.argv[3])
