"""GANOverSampler: imbalanced-learn's interface, any column, and rows that belong to their class."""

import numpy as np
import pandas as pd
import pytest
from fixtures import QUICK
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator as sklearn_checks

from synthgan import TabularGAN, TrainingOptions
from synthgan.exceptions import DataError, ParameterError
from synthgan.privacy import DifferentialPrivacy

pytest.importorskip("imblearn")

from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import estimator_checks_generator as imblearn_checks

from synthgan.augment import GANOverSampler

FAST = TabularGAN(
    verbose=0, options=TrainingOptions(steps=5, batch_size=64), width=16, depth=1, device="cpu"
)


def sampler(**arguments):
    return GANOverSampler(generator=FAST, random_state=0, **arguments)


def checks_of(generator):
    """Return the checks of a library, by name."""
    found = [pytest.param(*pair, id=pair[1].func.__name__) for pair in generator(sampler())]
    assert len(found) > 15
    return found


@pytest.mark.parametrize(("estimator", "check"), checks_of(imblearn_checks))
def test_imbalanced_learn(estimator, check):
    check(estimator)


@pytest.mark.parametrize(("estimator", "check"), checks_of(sklearn_checks))
def test_scikit_learn(estimator, check):
    check(estimator)


def patients(n=240, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "age": rng.integers(20, 80, n),
            "ward": rng.choice(["a", "b", "c"], n),
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 500, n), "D"),
            "marker": rng.normal(size=n),
            "smoker": rng.random(n) < 0.3,
        }
    )
    frame.loc[rng.random(n) < 0.2, "marker"] = np.nan
    frame["site"] = frame["ward"].astype("category")
    return frame, np.where(frame["age"] > 68, "ill", "well")


def test_frames_come_back_as_they_were():
    x, y = patients()
    more, labels = sampler().fit_resample(x, y)
    assert more.dtypes.tolist() == x.dtypes.tolist()
    pd.testing.assert_frame_equal(more[: len(x)], x)
    counts = pd.Series(labels).value_counts()
    assert counts["ill"] == counts["well"]
    new = more[len(x) :]
    assert set(new["ward"]) <= {"a", "b", "c"}
    assert new["marker"].isna().any()
    assert not new.duplicated().all()


def test_kept_cells_come_from_rows_of_the_class():
    x, y = patients()
    near, _ = sampler(keep=0.95).fit_resample(x, y)
    far, _ = sampler(keep=0.0).fit_resample(x, y)
    known = set(map(tuple, x.loc[y == "ill", ["age", "since"]].to_numpy().tolist()))

    def share(frame):
        cells = frame[len(x) :][["age", "since"]].to_numpy().tolist()
        return np.mean([tuple(row) in known for row in cells])

    assert share(near) > 0.75  # .95 ** 2 = .90 of about 140 rows, five deviations below
    assert share(far) < 0.5


def test_focus_prefers_rows_where_the_class_is_plausible():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 100])
    x = pd.DataFrame({"a": rng.normal(1.5 * y, 1.0), "b": rng.normal(size=500)})
    generator = TabularGAN(verbose=0, options=QUICK, device="cpu")
    means = []
    for focus in (0.0, 3.0):
        found = GANOverSampler(generator=generator, keep=0.5, focus=focus, random_state=0)
        means.append(found.fit_resample(x, y)[0][500:]["a"].mean())
    assert means[1] > means[0] + 0.3  # a deviation of 300 rows is 0.06


def test_same_seed_same_rows():
    x, y = patients()
    frames = [sampler().fit_resample(x, y)[0] for _ in range(2)]
    pd.testing.assert_frame_equal(*frames)
    other = GANOverSampler(generator=FAST, random_state=1).fit_resample(x, y)[0]
    assert not other.equals(frames[0])


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [
        ("auto", {"a": 90, "b": 90, "c": 90}),
        ("not minority", {"a": 90, "b": 90, "c": 20}),
        ("minority", {"a": 90, "b": 60, "c": 90}),
        ("all", {"a": 90, "b": 90, "c": 90}),
        ({"c": 50}, {"a": 90, "b": 60, "c": 50}),
        (lambda y: {"b": 61}, {"a": 90, "b": 61, "c": 20}),
    ],
)
def test_strategies(strategy, wanted):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(170, 3)), np.repeat(["a", "b", "c"], [90, 60, 20])
    more, labels = sampler(sampling_strategy=strategy).fit_resample(x, y)
    assert pd.Series(labels).value_counts().to_dict() == wanted
    assert more.shape == (len(labels), 3)


def test_codes_of_an_array_stay_codes():
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.choice([1, 5, 9], 200), rng.normal(size=200)])
    y = rng.random(200) < 0.2
    more, labels = sampler(categorical_features=[0], keep=0.0).fit_resample(x, y)
    assert set(more[:, 0]) <= {1, 5, 9}
    assert labels.dtype == bool
    assert labels.sum() * 2 == len(labels)


def test_unlikely_rows_are_rejected_and_counted():
    x, y = patients()
    loose, strict = sampler(keep=0.0), sampler(keep=0.0, reject=0.5)
    new = [s.fit_resample(x, y)[0][len(x) :] for s in (loose, strict)]
    assert len(new[0]) == len(new[1])
    assert loose.rejected_ == {"ill": 0}
    assert strict.rejected_ == {"ill": len(new[1])}
    judge = strict.generator_
    scores = [judge.score_samples(rows.assign(**{"class": "0"})).mean() for rows in new]
    assert scores[1] > scores[0]


def test_within_pipelines_and_searches():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, 3))
    y = (x[:, 0] + 0.5 * rng.normal(size=150) > 1).astype(int)
    steps = make_pipeline(StandardScaler(), sampler(), LogisticRegression())
    scores = cross_validate(steps, x, y, cv=3, scoring="roc_auc")["test_score"]
    assert scores.mean() > 0.7
    search = GridSearchCV(
        make_pipeline(sampler(), HistGradientBoostingClassifier(max_iter=5)),
        {"ganoversampler__keep": [0.5, 0.9]},
        cv=2,
        scoring="roc_auc",
    ).fit(x, y)
    assert search.best_params_["ganoversampler__keep"] in (0.5, 0.9)
    assert clone(steps).get_params()["ganoversampler__keep"] == 0.8


def test_balanced_classes_need_no_generator():
    x, y = np.zeros((20, 2)), np.repeat([0, 1], 10)
    found = sampler()
    more, _ = found.fit_resample(x, y)
    assert len(more) == 20
    assert not hasattr(found, "generator_")


@pytest.mark.filterwarnings("ignore:Column 'nothing' has no value")
def test_columns_without_a_value():
    x, y = patients()
    more, _ = sampler().fit_resample(x.assign(nothing=np.nan), y)
    assert more["nothing"].isna().all()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": np.zeros(60)}, ValueError, "needs to have more than 1 class"),
        ({"y": np.repeat([0, 1], [59, 1])}, DataError, "A class has one row"),
        ({"y": np.linspace(0, 1, 60)}, ValueError, "Unknown label type"),
        ({"sampling_strategy": {0: 10}}, ValueError, "should be greater or equal"),
        ({"sampling_strategy": {7: 100}}, ValueError, "not present in the data"),
        ({"sampling_strategy": 0.1}, ValueError, "remove samples"),
        ({"sampling_strategy": "most"}, ValueError, "sampling_strategy"),
        ({"keep": 1.0}, ValueError, "keep"),
        ({"reject": -0.1}, ValueError, "reject"),
        ({"focus": -1.0}, ValueError, "focus"),
        ({"categorical_features": [9]}, DataError, "names no column"),
        ({"generator": LogisticRegression()}, ValueError, "generator"),
        (
            {"generator": TabularGAN(privacy=DifferentialPrivacy(1.0, 1e-5))},
            ParameterError,
            "without privacy",
        ),
    ],
)
def test_bad_input(change, error, message):
    x = np.random.default_rng(0).normal(size=(60, 2))
    y = change.pop("y", np.repeat([0, 1], [45, 15]))
    with pytest.raises(error, match=message):
        GANOverSampler(**{"generator": FAST, "random_state": 0, **change}).fit_resample(x, y)


def test_the_class_matters_after_a_short_fit():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 100])
    x = pd.DataFrame({"a": rng.normal(2.0 * y, 1.0), "b": rng.normal(size=500)})
    generator = TabularGAN(verbose=0, options=QUICK, device="cpu")
    found = GANOverSampler(generator=generator, keep=0.0, random_state=0)
    more, labels = found.fit_resample(x, y)
    new = more[500:]
    assert (labels[500:] == 1).all()
    assert new["a"].mean() > 1.2  # 0.4 if the class had no say
