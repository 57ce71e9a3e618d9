"""A Spark frame whose partitions are parts of one sample, drawn by the executors.

    spark-submit pipelines/recipes/spark_sample.py visits.synthgan 1000000000 out/

The executors need synthgan installed and see the model file. The rows are those of
``load_model(model).sample(n, random_state=seed)``.
"""

import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.pandas.types import from_arrow_schema

from synthgan import load_model

ROWS = 2**20


def sample(spark: SparkSession, model: str, n: int, seed: int = 0) -> DataFrame:
    """Return a lazy frame of `n` rows."""

    def draw(starts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        loaded = load_model(model, device="cpu")
        for batch in starts:
            for start in batch["id"].to_pylist():
                stop = min(start + ROWS, n)
                yield from loaded.sample_iter(stop, start=start, random_state=seed)

    schema = next(load_model(model, device="cpu").sample_iter(1)).schema
    return spark.range(0, n, ROWS).mapInArrow(draw, from_arrow_schema(schema))


if __name__ == "__main__":
    session = SparkSession.builder.getOrCreate()
    sample(session, sys.argv[1], int(sys.argv[2])).write.parquet(sys.argv[3])
