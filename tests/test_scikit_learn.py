"""Estimators follow scikit-learn's conventions: its own checks, pipelines, searches, workers."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from fixtures import tiny_gan
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from synthgan import (
    AutoencoderOptions,
    ImageGAN,
    ImageOptions,
    ImageTranslator,
    ImageVAE,
    TabularGAN,
    TabularVAE,
    TrainingOptions,
)
from synthgan.exceptions import DataError


def tiny_vae():
    options = AutoencoderOptions(steps=5)
    return TabularVAE(random_state=0, verbose=0, width=16, depth=1, latent=4, options=options)


FAST = TrainingOptions(steps=5, batch_size=32)
ESTIMATORS = [
    tiny_gan(options=FAST, width=16),
    tiny_vae(),
    ImageGAN(verbose=0),
    ImageVAE(verbose=0),
    ImageTranslator(verbose=0),
]


def checks_of(estimator):
    """Return the checks of an estimator; those of images are few, for want of two axes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SkipTestWarning)
        found = list(estimator_checks_generator(estimator))
    name = type(estimator).__name__
    return [
        pytest.param(*pair, id=f"{name}-{pair[1].func.__name__}-{k}")
        for k, pair in enumerate(found)
    ]


CHECKS = [check for estimator in ESTIMATORS for check in checks_of(estimator)]


@pytest.mark.parametrize(("estimator", "check"), CHECKS)
@pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")  # of columns of one value
def test_checks(estimator, check):
    check(estimator)


def test_that_many_checks_ran():
    names = [param.id.split("-")[0] for param in CHECKS]
    assert names.count("TabularGAN") > 35
    assert names.count("TabularVAE") > 35


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_clones_are_alike(estimator):
    copy = clone(estimator)
    assert repr(copy.get_params()) == repr(estimator.get_params())
    assert not [name for name in vars(copy) if name.endswith("_")]


def labelled(rows=200):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=rows), "b": rng.choice(["x", "y"], rows)})
    return frame, (frame["a"] > 0).astype(int).rename("up")


def test_features_in_a_pipeline_know_nothing_of_the_target():
    x, y = labelled()
    steps = make_pipeline(tiny_vae(), LogisticRegression()).fit(x, y)
    assert "up" not in steps[0].schema_
    assert cross_val_score(steps, x, y, cv=2).shape == (2,)
    features = steps[0].set_output(transform="pandas").transform(x)
    assert list(features) == [f"tabularvae{k}" for k in range(4)]


def test_a_search_maximises_the_likelihood_of_what_is_left_out():
    x, _ = labelled()
    search = GridSearchCV(tiny_gan(options=FAST), {"width": [8, 16]}, cv=2).fit(x)
    assert search.best_params_["width"] in (8, 16)
    assert np.isfinite(search.best_score_)


def test_features_alone_have_a_likelihood():
    x, y = labelled()
    gan = tiny_gan(options=TrainingOptions(steps=150, batch_size=128)).fit(x, y)
    whole = gan.score_samples(x.assign(up=y))
    alone = gan.score_samples(x)
    assert (whole < alone + 0.2).all()  # p(x, y) <= p(x), up to what orders disagree
    assert gan.score(x, y) == pytest.approx(whole.mean())
    with pytest.raises(DataError, match="'a' is missing"):
        gan.score_samples(x[["b"]])


def _sampled(model, seed):
    return model.sample(20, random_state=seed)


def test_case43_models_travel_to_workers():
    x, _ = labelled()
    gan = tiny_gan(options=FAST).fit(x)
    here = [_sampled(gan, seed) for seed in (0, 1)]
    there = Parallel(n_jobs=2)(delayed(_sampled)(gan, seed) for seed in (0, 1))
    for a, b in zip(here, there, strict=True):
        pd.testing.assert_frame_equal(a, b)
    pd.testing.assert_frame_equal(_sampled(pickle.loads(pickle.dumps(gan)), 0), here[0])


@pytest.mark.parametrize("preset", ["resnet", "dcgan", "vanilla"])
def test_what_a_critic_sees_has_names(preset):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    gan = ImageGAN(preset=preset, options=ImageOptions(steps=2, batch_size=8), verbose=0)
    features = gan.set_output(transform="pandas").fit_transform(images)
    assert len(features) == 40
    assert list(features) == [f"imagegan{k}" for k in range(features.shape[1])]


def test_an_estimator_of_images_says_so():
    tags = ImageGAN().__sklearn_tags__().input_tags
    assert tags.three_d_array
    assert not tags.two_d_array
    assert TabularGAN().__sklearn_tags__().input_tags.allow_nan
