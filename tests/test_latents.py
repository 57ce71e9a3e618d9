"""The mixture of latent vectors, against scipy and by its moments."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from synthgan.estimators.latents import LatentMixture


def two_hills(n=4000, seed=0):
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.normal([5, 0], [1, 0.1], (n // 2, 2)), rng.normal([-5, 3], [0.5, 2], (n // 2, 2))]
    )


MIXTURE = LatentMixture.fit(two_hills(), 0)


def test_density_is_that_of_the_parts():
    points = two_hills(50, seed=1)
    parts = zip(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances, strict=True)
    truth = sum(w * multivariate_normal(m, c).pdf(points) for w, m, c in parts)
    np.testing.assert_allclose(MIXTURE.log_density(points), np.log(truth))
    assert MIXTURE.log_density(np.array([[0.0, -20.0]]))[0] < MIXTURE.log_density(points).min()


def test_draws_have_the_moments_and_do_not_depend_on_how_many():
    drawn = MIXTURE.draw(5000, 3)
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.mean(axis=0), two_hills().mean(axis=0), atol=0.3)
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(two_hills().T), atol=1.0)
    np.testing.assert_array_equal(MIXTURE.draw(70, 3), drawn[:70])
    assert MIXTURE.draw(0, 3).shape == (0, 2)


def test_projection_is_that_of_the_principal_components():
    points = two_hills(200, seed=1)
    found = MIXTURE.project(points)
    axes = np.linalg.eigh(np.cov(two_hills().T))[1][:, ::-1]
    truth = (points - two_hills().mean(axis=0)) @ axes
    np.testing.assert_allclose(np.abs(found), np.abs(truth), atol=0.1)
    line = LatentMixture.fit(points[:, :1], 0).project(points[:, :1])
    assert line.shape == (200, 2)
    assert (line[:, 1] == 0).all()


def test_classes_have_components_of_their_own():
    groups = np.repeat([3, 7, 1], [2000, 1996, 4])
    mixture = LatentMixture.fit(two_hills(), 0, groups)
    assert set(mixture.groups) == {3, 7}  # four vectors are too few
    assert mixture.weights.sum() == pytest.approx(1)
    wanted = np.tile([3, 7], 500)
    drawn = mixture.draw(1000, 0, wanted)
    assert (drawn[wanted == 3][:, 0] > 0).all()
    assert (drawn[wanted == 7][:, 0] < 0).all()
    np.testing.assert_array_equal(mixture.draw(70, 0, wanted[:70]), drawn[:70])
    rare, free = mixture.draw(2000, 1, np.ones(2000, int)), mixture.draw(2000, 1)
    np.testing.assert_array_equal(rare, free)
    assert (free[:, 0] > 0).mean() == pytest.approx(0.5, abs=0.05)
    again = LatentMixture.from_arrays(mixture.arrays(), 2)
    np.testing.assert_array_equal(again.draw(70, 0, wanted[:70]), drawn[:70])
    few = LatentMixture.fit(two_hills(8), 0, np.arange(8))
    assert set(few.groups) == {-1}


def test_few_vectors_and_constant_dimensions():
    few = LatentMixture.fit(np.random.default_rng(0).normal(size=(3, 8)), 0)
    assert len(few.weights) == 1
    flat = LatentMixture.fit(np.c_[np.arange(50.0), np.zeros(50)], 0)
    assert np.isfinite(flat.log_density(np.zeros((1, 2)))).all()


def test_no_component_is_one_vector():
    points = np.concatenate([two_hills(), [[60.0, 60.0], [-70.0, 50.0]]])
    mixture = LatentMixture.fit(points, 0)
    assert (mixture.weights * len(points)).min() > 9  # what is left out counts in no weight
    for outlier in points[-2:]:
        assert np.linalg.norm(mixture.means - outlier, axis=1).min() > 10
    assert mixture.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("change", ["shape", "negative", "covariance", "name"])
def test_damaged_arrays_are_refused(change):
    arrays = {name: array.copy() for name, array in MIXTURE.arrays().items()}
    again = LatentMixture.from_arrays(arrays, 2)
    np.testing.assert_array_equal(again.draw(5, 0), MIXTURE.draw(5, 0))
    if change == "shape":
        arrays["means"] = arrays["means"][:, :1]
    elif change == "negative":
        arrays["weights"][0] = -1
    elif change == "covariance":
        arrays["covariances"][0] = -np.eye(2)
    else:
        del arrays["means"]
    with pytest.raises((ValueError, KeyError)):
        LatentMixture.from_arrays(arrays, 2)
