"""Shared tables and one small fitted model."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest
import torch
from fixtures import mixed_table, tiny_gan

from synthgan import TabularGAN, TrainingOptions
from synthgan.exceptions import DataWarning

torch.set_num_threads(1)

DATA = Path(__file__).parent / "data"


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
    options = TrainingOptions(steps=500, batch_size=256)
    return tiny_gan(width=64, depth=2, options=options).fit(adult, target="income")
