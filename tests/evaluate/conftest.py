"""Small tables that the tests of evaluation share."""

import numpy as np
import pandas as pd
import pytest


def _make_people(n, seed):
    """A table with dependence, missing values, a heavy tail, dates and a boolean."""
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 80, n)
    wage = np.exp(rng.normal(size=n) + age / 40)
    job = np.where(wage > np.median(wage), "clerk", "smith").astype(object)
    job[rng.random(n) < 0.1] = None
    city = rng.choice(["Rome", "Oslo", "Lima"], n, p=[0.6, 0.3, 0.1])
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(age * 7 + rng.integers(0, 5, n), unit="D")
    rich = wage + rng.normal(size=n) > 5
    wage[rng.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {"age": age, "wage": wage, "job": job, "city": city, "day": day, "rich": rich}
    )


@pytest.fixture(scope="session")
def people():
    return _make_people(1200, 0)


@pytest.fixture(scope="session")
def other_people():
    return _make_people(900, 1)


@pytest.fixture(scope="session")
def independent(people):
    """People whose columns were each shuffled alone."""
    rng = np.random.default_rng(2)
    return pd.DataFrame({c: people[c].to_numpy()[rng.permutation(len(people))] for c in people})


@pytest.fixture(scope="session")
def make_people():
    return _make_people
