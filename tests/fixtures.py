"""Small tables and models that many tests share."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd

from synthgan import TabularGAN, TrainingOptions

QUICK = TrainingOptions(steps=60, batch_size=64)


def tiny_gan(**changes: object) -> TabularGAN:
    """Return an estimator that fits in about a second."""
    settings = {"random_state": 0, "verbose": 0, "width": 32, "depth": 1, "options": QUICK}
    return TabularGAN(**{**settings, **changes})


def mixed_table(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    """Return a table with a column of every kind and missing cells in most."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    frame = pd.DataFrame(
        {
            "patient": [f"P-{k:05d}" for k in rng.permutation(90000)[:rows]],
            "age": age,
            "visits": pd.array(rng.poisson(2, rows), dtype="Int64"),
            "income": np.round(np.exp(rng.normal(8, 1, rows)), 2),
            "price": [Decimal(int(c)).scaleb(-2) for c in rng.integers(100, 9000, rows)],
            "smoker": rng.random(rows) < 0.3,
            "exam": pd.array(rng.random(rows) < 0.5, dtype="boolean"),
            "city": rng.choice(["Rome", "Oslo", "Bern"], rows, p=[0.5, 0.3, 0.2]),
            "grade": pd.Categorical(
                rng.choice(["low", "mid", "high"], rows),
                categories=["low", "mid", "high", "top"],
                ordered=True,
            ),
            "group": pd.Categorical(np.where(age > 50, "old", "young")),
            "seen": pd.Timestamp("2024-01-01", tz="Europe/Berlin")
            + pd.to_timedelta(rng.integers(0, 500, rows), unit="D"),
            "born": [
                dt.date(1950, 1, 1) + dt.timedelta(int(d)) for d in rng.integers(0, 9999, rows)
            ],
            "stay": pd.to_timedelta(rng.integers(1, 72, rows), unit="h"),
            "unit": "ward 3",
        }
    )
    frame.loc[frame.index[::7], ["income", "city", "seen", "stay"]] = None
    frame.loc[frame.index[::9], ["visits", "exam"]] = pd.NA
    return frame
