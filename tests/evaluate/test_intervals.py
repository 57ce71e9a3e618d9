import numpy as np
import pytest
from scipy import stats

from synthgan.evaluate.fidelity.similarity import similarity
from synthgan.evaluate.intervals import (
    N_FOLDS,
    bootstrap_interval,
    clipped,
    clopper_pearson,
    difference_of_means,
    fold_bounds,
    jackknife_interval,
    mean_interval,
    t_interval,
    wilson,
)
from synthgan.evaluate.tables import Column, Table


def test_shares():
    assert wilson(0.0, 50)[0] == 0.0
    assert wilson(1.0, 50) == pytest.approx((0.929, 1.0), abs=1e-3)
    # the rule of three: no event in n trials, at most 3.7 / n at 97.5 %
    assert clopper_pearson(0, 1000)[1] == pytest.approx(3.68 / 1000, rel=0.01)
    assert clopper_pearson(1000, 1000)[1] == 1.0
    assert clopper_pearson(5, 100) == pytest.approx((0.0164, 0.1128), abs=1e-4)


def test_means_cover_what_they_promise():
    rng = np.random.default_rng(0)
    hits = [
        low < 0.0 < high for low, high in (mean_interval(rng.normal(size=40)) for _ in range(800))
    ]
    assert 0.92 < np.mean(hits) < 0.97  # standard error .008
    pairs = [difference_of_means(rng.normal(1, 1, 50), rng.normal(0, 2, 80)) for _ in range(800)]
    assert 0.92 < np.mean([low < 1.0 < high for _, (low, high) in pairs]) < 0.975


def test_folds_hold_all_rows_once():
    for n in (1, 7, 20, 1003):
        bounds = fold_bounds(n)
        assert (bounds[0], bounds[-1], len(bounds)) == (0, n, N_FOLDS + 1)
        assert (np.diff(bounds) >= 0).all()


def test_jackknife_of_a_mean_is_the_interval_of_the_mean():
    rng = np.random.default_rng(0)
    values = rng.normal(size=2000)
    left_out = np.array(
        [np.delete(values.reshape(N_FOLDS, -1), k, 0).mean() for k in range(N_FOLDS)]
    )
    low, high = jackknife_interval(values.mean(), left_out)
    half = 1.96 * values.std() / np.sqrt(2000)
    assert (high - low) / 2 == pytest.approx(half, rel=0.5)  # 19 degrees of freedom
    assert jackknife_interval(0.0, np.full(N_FOLDS, np.nan)) is None


def test_shape_intervals_are_as_wide_as_repeated_samples_say():
    rng = np.random.default_rng(0)
    values, halves = [], []
    column = (Column("x", "numerical", "number"),)
    for seed in range(60):
        a, b = (Table(column, (rng.normal(size=800) + k,)) for k in (0, 0.5))
        score = similarity(a, b, seed=seed).scores[0]
        values.append(score.value)
        halves.append((score.interval[1] - score.interval[0]) / 2)
    assert np.mean(halves) == pytest.approx(2.09 * np.std(values), rel=0.3)


def test_clipping_keeps_the_value():
    assert clipped((-0.5, 0.5), 0.1, 0.0) == (0.0, 0.5)
    assert clipped((0.2, 0.5), 0.1) == (0.1, 0.5)


def test_bootstrap():
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    interval = bootstrap_interval(lambda w: float(np.average(values, weights=w)), 400, rng, 400)
    assert (interval[1] - interval[0]) / 2 == pytest.approx(1.96 / 20, rel=0.15)
    assert bootstrap_interval(lambda w: float("nan"), 10, rng) is None


def test_few_values_get_students_interval():
    values = np.array([1.0, 2.0, 4.0])
    expected = stats.t.interval(0.95, 2, values.mean(), stats.sem(values))
    assert t_interval(values) == pytest.approx(expected)


def test_no_jackknife_of_what_is_not_finite():
    huge = np.where(np.arange(N_FOLDS) % 2, 1e300, -1e300)
    assert jackknife_interval(0.0, huge) is None
    assert jackknife_interval(0.0, np.full(N_FOLDS, np.nan)) is None
