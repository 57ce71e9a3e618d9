"""Noise has the distribution that its cost is computed from."""

import numpy as np
import pytest
from scipy.stats import chi2

from synthgan.privacy.mechanisms import discrete_gaussian

pytest.importorskip("opendp")
DRAWS = 40_000
#: One test in a million fails by chance: noise has no seed.
CHANCE = 1e-6


def fits(observed, shares):
    """Return whether counts are those of the shares, by chi squared."""
    expected = np.asarray(shares) * observed.sum()
    kept = expected >= 10
    rest = observed[~kept].sum(), expected[~kept].sum()
    parts = np.append(observed[kept], rest[0]), np.append(expected[kept], max(rest[1], 1e-9))
    statistic = ((parts[0] - parts[1]) ** 2 / parts[1])[: kept.sum() + (rest[1] > 10)].sum()
    return statistic < chi2.isf(CHANCE, kept.sum())


@pytest.mark.parametrize("sigma", [0.6, 3.0, 40.0])
def test_discrete_gaussian(sigma):
    noise = discrete_gaussian(np.zeros((DRAWS // 100, 100), np.int64), sigma)
    assert noise.shape == (DRAWS // 100, 100)
    assert noise.dtype == np.int64
    reach = int(8 * sigma) + 2
    support = np.arange(-reach, reach + 1)
    chances = np.exp(-(support**2) / (2 * sigma**2))
    observed = np.bincount(noise.ravel() + reach, minlength=len(support))
    assert fits(observed, chances / chances.sum())


def test_noise_is_added_and_never_the_same():
    counts = np.array([10**12, -5, 0])
    first, second = (discrete_gaussian(counts, 50.0) for _ in range(2))
    assert (np.abs(first - counts) < 50 * 12).all()
    assert (first != second).any()
