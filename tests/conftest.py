"""Shared tables and one small fitted model."""

from __future__ import annotations

import datetime as dt
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from synthgan import TabularGAN, TrainingOptions
from synthgan.exceptions import DataWarning

torch.set_num_threads(1)

DATA = Path(__file__).parent / "data"
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


@pytest.fixture
def table() -> pd.DataFrame:
    return mixed_table()


@pytest.fixture(scope="session")
def gan() -> TabularGAN:
    """A small model of the mixed table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return tiny_gan().fit(mixed_table())


@pytest.fixture(scope="session")
def adult() -> pd.DataFrame:
    """4,000 rows of Adult."""
    return pd.read_parquet(DATA / "adult_extract.parquet")


@pytest.fixture(scope="session")
def adult_gan(adult: pd.DataFrame) -> TabularGAN:
    """A model of Adult that is good enough for statistical tests."""
    options = TrainingOptions(steps=250, batch_size=256)
    return tiny_gan(width=64, depth=2, options=options).fit(adult, target="income")
