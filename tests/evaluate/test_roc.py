import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import auc, roc_auc_score

from synthgan.evaluate.intervals import bootstrap_interval
from synthgan.evaluate.roc import (
    auc_with_interval,
    found_at,
    roc_curve,
    weighted_auc,
)


def test_auc_counted_by_hand():
    auc, (low, high) = auc_with_interval(np.array([1.0, 3.0]), np.array([0.0, 1.0]))
    assert auc == pytest.approx((1 + 0.5 + 1 + 1) / 4)
    assert 0 <= low < auc < high <= 1


def test_auc_and_delong_agree_with_sklearn_and_with_the_bootstrap():
    rng = np.random.default_rng(0)
    positive, negative = np.round(rng.normal(0.7, 1, 400), 1), np.round(rng.normal(size=600), 1)
    auc, (low, high) = auc_with_interval(positive, negative)
    label = np.repeat([1, 0], [400, 600])
    scores = np.concatenate([positive, negative])
    assert auc == pytest.approx(roc_auc_score(label, scores))
    statistic = weighted_auc(scores, label == 1)
    assert statistic(np.ones(1000, dtype=int)) == pytest.approx(auc)
    found = bootstrap_interval(statistic, 1000, np.random.default_rng(1), 1000)
    assert found == pytest.approx((low, high), abs=0.005)


def test_delong_covers():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        _, (low, high) = auc_with_interval(rng.normal(1, 1, 60), rng.normal(0, 1, 60))
        hits += low <= 0.7602499 <= high  # Phi(1 / sqrt(2))
    assert 180 <= hits <= 200


def test_weights_count_rows():
    rng = np.random.default_rng(0)
    scores, positive = rng.normal(size=50), rng.random(50) < 0.5
    weights = rng.integers(0, 4, 50)
    repeated = roc_auc_score(np.repeat(positive, weights), np.repeat(scores, weights))
    assert weighted_auc(scores, positive)(weights) == pytest.approx(repeated)
    assert np.isnan(weighted_auc(scores, positive)(np.where(positive, 1, 0)))


def test_rows_count_that_are_strictly_above_the_threshold():
    negative = np.arange(400.0)  # at 1 %, four of them may be accused: 396 to 399
    score = found_at("found", np.array([395.0, 395.5, 396.5, 500]), negative, 0.01)
    assert score.value == 0.75
    assert score.interval[0] < 0.75 < score.interval[1]
    assert score.best == pytest.approx(5 / 401)
    assert found_at("found", np.zeros(10), np.zeros(400), 0.01).value == 0.0  # ties: no evidence
    assert "needs at least 368" in found_at("found", np.ones(9), np.zeros(367), 0.01).reason


@pytest.mark.parametrize(("n", "share", "shift"), [(500, 0.01, 0), (500, 0.01, 1), (50, 0.1, 0)])
def test_intervals_count_that_the_threshold_is_uncertain(n, share, shift):
    rng = np.random.default_rng(n)
    truth = norm.sf(norm.isf(share) - shift)
    found = [
        found_at("found", rng.normal(shift, 1, n), rng.normal(size=n), share) for _ in range(400)
    ]
    held = np.mean([s.interval[0] <= truth <= s.interval[1] for s in found])
    assert held > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)
    if shift == 0:  # chance is what the score says it is
        values = np.array([s.value for s in found])
        assert abs(values.mean() - found[0].best) < 4 * values.std() / 20


def test_curve_ends_in_its_corners():
    rng = np.random.default_rng(0)
    false, true = roc_curve(rng.normal(1, 1, 500), rng.normal(0, 1, 700))
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert len(false) == len(true) <= 60
    area = auc(false, true)
    assert area == pytest.approx(0.7602499, abs=0.03)
