"""augment: rows are added if they help for sure, and never otherwise."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC

from synthgan import TabularGAN, TrainingOptions
from synthgan.augment import Way, augment
from synthgan.augment.learner import LEARNERS, make_table_learner
from synthgan.augment.trial import NOTHING, SIGNS, Trial, differences, run_fold
from synthgan.augment.ways import SIMPLE, class_counts, weighted
from synthgan.exceptions import DataError, ParameterError

FAST = TabularGAN(
    verbose=0, options=TrainingOptions(steps=20, batch_size=64), width=16, depth=1, device="cpu"
)
ONE = [Way(more=1.0, keep=0.5)]


def table(n=120, seed=0):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "a": rng.normal(size=n),
            "b": pd.array(rng.integers(0, 9, n), dtype="Int64"),
            "kind": rng.choice(["x", "y", None], n),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, n), "D"),
            "on": rng.random(n) < 0.5,
        }
    )
    frame.loc[frame.index[::7], "b"] = pd.NA
    y = np.where(frame["a"] + rng.normal(size=n) > 1.2, "ill", "well")
    return frame, pd.Series(y, name="state")


class Constant(GaussianNB):
    """Says the same whatever it is given: nothing can help it."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), 1 / len(self.classes_))


class Hungry(Constant):
    """Is right as soon as it has seen many rows: everything helps it."""

    def fit(self, X, y, sample_weight=None):
        self.enough_ = len(y) > 180  # training folds have 96, balanced ones at most 160
        return super().fit(X, y)

    def predict_proba(self, X):
        right = 0.5 + 0.45 * self.enough_ * np.where(X["a"] > 0.7, 1, -1)
        return np.column_stack([right, 1 - right])


def test_nothing_is_added_without_need():
    x, y = table()
    found = augment(x, y, Constant(), repeats=1, ways=ONE, generator=FAST, random_state=0)
    assert not found.accepted
    assert found.X is x
    assert found.y is y
    assert (found.n_added, found.way) == (0, None)
    assert "not surely above 0" in found.reason
    assert found.table["gain"].eq(0).all()


def test_rows_are_added_where_they_help():
    x, _ = table()
    y = pd.Series(np.where(x["a"] > 0.7, "ill", "well"), name="state")
    found = augment(
        x, y, Hungry(), scoring="log_loss", repeats=1, ways=ONE, generator=FAST, random_state=0
    )
    assert found.accepted
    assert found.way == ONE[0]
    assert found.n_added == len(x)
    pd.testing.assert_frame_equal(found.X[: len(x)], x)
    assert found.X.dtypes.tolist() == x.dtypes.tolist()
    assert found.y.name == "state"
    assert len(found.y) == 2 * len(y)
    assert class_counts(found.y[len(y) :]) == class_counts(y)
    assert found.against_best["low"].item() > 0.1
    strict = augment(
        x, y, Hungry(), scoring="log_loss", repeats=1, ways=ONE, margin=5.0, generator=FAST,
        random_state=0,
    )  # fmt: skip
    assert not strict.accepted


def test_an_answer_can_be_read_and_repeated(tmp_path):
    x, y = table()
    arguments = {"repeats": 1, "ways": ONE, "generator": FAST, "random_state": 3}
    found = augment(x, y, make_table_learner("linear"), **arguments)
    again = augment(x, y, make_table_learner("linear"), n_jobs=2, **arguments)
    pd.testing.assert_frame_equal(found.folds, again.folds)
    assert list(found.table.index) == [NOTHING, "class weights", *SIMPLE, str(ONE[0])]
    assert found.reason in str(found)
    figures = ["auc", "log_loss", "ece", "minority_f1"]
    assert list(dict.fromkeys(found.gains["figure"])) == figures
    assert len(found.gains) == 4 * len(found.table)
    assert found.gains["low"].le(found.gains["gain"]).all()
    assert found.gains["gain"].le(found.gains["high"]).all()
    means = found.table["log_loss"]
    fewer = found.gains.query("figure == 'log_loss'").set_index("method")["gain"]
    assert fewer.to_numpy() == pytest.approx((means[NOTHING] - means[fewer.index]).to_numpy())
    found.to_html(tmp_path / "answer.html")
    page = (tmp_path / "answer.html").read_text()
    assert page.count("<svg") == 2
    assert "random oversampling" in page
    assert "<svg" in found._repr_html_()
    assert found.to_dict()["table"][0]["method"] == NOTHING


def test_synthetic_rows_never_reach_a_test_fold(monkeypatch):
    x, y = table()
    seen = []

    class Spy(GaussianNB):
        def fit(self, X, y, sample_weight=None):
            seen.append(("fit", len(X)))
            self.classes_ = np.unique(y)
            return self

        def predict_proba(self, X):
            seen.append(("test", X))
            return np.full((len(X), 2), 0.5)

    trial = Trial(x, y.to_numpy(), Spy(), "auc", ONE, FAST, 0)
    folds = list(StratifiedKFold(3).split(x, y))
    for number, fold in enumerate(folds):
        run_fold(trial, number, fold)
        for kind, what in seen:
            if kind == "test":
                pd.testing.assert_frame_equal(what, x.iloc[fold[1]])
        assert max(n for kind, n in seen if kind == "fit") == 2 * len(fold[0])
        seen.clear()


def test_intervals_are_those_of_the_corrected_test():
    rng = np.random.default_rng(0)
    base, gain = rng.normal(size=10), rng.normal(0.5, 0.1, 10)
    figures = pd.DataFrame(
        {
            "fold": np.tile(np.arange(10), 2),
            "method": np.repeat([NOTHING, "more"], 10),
            "log_loss": np.concatenate([base, base - gain]),
        }
    )
    found = differences(figures, NOTHING, "log_loss", 0.25, 0.95).loc["more"]
    half = 2.262157 * gain.std(ddof=1) * np.sqrt(0.1 + 0.25)  # t with 9 degrees of freedom
    assert found["gain"] == pytest.approx(gain.mean())
    assert found["high"] - found["gain"] == pytest.approx(half, rel=1e-6)
    assert SIGNS["log_loss"] == -1


def test_a_scorer_of_scikit_learn_decides():
    x, y = table()
    found = augment(
        x, y, make_table_learner("linear"), scoring="balanced_accuracy", cv=StratifiedKFold(3),
        ways=ONE, generator=FAST, random_state=0,
    )  # fmt: skip
    assert found.scoring == "balanced_accuracy"
    assert found.folds["fold"].nunique() == 3
    assert found.table["score"].between(0, 1).all()


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_take_tables_as_they_are(name):
    x, y = table(200)
    model = make_table_learner(name).fit(x, y)
    chance = model.predict_proba(x.assign(kind="new"))
    assert chance.shape == (200, 2)
    assert (weighted(model) is None) == (name == "none")


@pytest.mark.parametrize("method", SIMPLE)
@pytest.mark.parametrize("columns", [["a", "b"], ["kind"], ["a", "b", "kind", "when", "on"]])
def test_simple_ways_balance_any_columns(method, columns):
    x, y = table()
    more, labels = SIMPLE[method](x[columns], y.to_numpy(), 0)
    assert len(set(class_counts(labels).values())) == 1
    assert more.dtypes.tolist() == x[columns].dtypes.tolist()
    pd.testing.assert_frame_equal(more[: len(x)], x[columns])


def test_ways_say_how_many():
    assert Way(balance=0.5, more=1.0).counts({"a": 10, "b": 30}) == {"a": 30, "b": 30}
    assert str(Way(balance=1.0, focus=1.0)) == "balance 100%, keep 0.8, focus 1"
    for wrong in (
        {},
        {"balance": 2.0},
        {"more": 1.0, "focus": -1.0},
        {"more": -1.0},
        {"more": 1.0, "keep": 1.0},
    ):
        with pytest.raises(ParameterError, match="Way"):
            Way(**wrong)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"estimator": LinearSVC()}, ParameterError, "no predict_proba"),
        ({"y": np.zeros(120)}, DataError, "more than 1 class"),
        ({"y": np.repeat([0, 1], [118, 2])}, DataError, "A class has 2 rows"),
        ({"y": ["a", None] * 60}, DataError, "missing classes"),
        ({"X": table()[0].set_axis(list("aabcd"), axis=1)}, DataError, "two columns of one name"),
        ({"repeats": 0}, ParameterError, "repeats"),
        ({"scoring": "f1"}, ParameterError, "fits the classes"),
        ({"ways": [Way(more=1.0), Way(more=1.0)]}, ParameterError, "the same"),
        ({"y": np.linspace(0, 1, 120)}, ValueError, "Unknown label type"),
        ({"y": np.zeros(5)}, DataError, "120 rows and y has 5"),
        ({"margin": -1.0}, ParameterError, "margin"),
        ({"confidence": 1.0}, ParameterError, "confidence"),
        ({"ways": []}, ParameterError, "ways"),
        ({"cv": 1}, ParameterError, "cv"),
        ({"scoring": "wrong"}, ParameterError, "scoring"),
    ],
)
def test_bad_input(change, error, message):
    x, y = table()
    given = {"X": x, "y": y, "estimator": LogisticRegression(), "generator": FAST, **change}
    with pytest.raises(error, match=message):
        augment(**given)


@pytest.mark.filterwarnings("ignore:Column '7' has no value")
def test_columns_and_classes_of_any_kind():
    x, y = table(160)
    x = x.assign(nothing=np.nan).set_axis([5, 1, 0, "d", "e", 7], axis=1).iloc[::-1]
    y = y.iloc[::-1].eq("ill").astype(object).to_frame()
    found = augment(
        x, y, cv=2, repeats=1, ways=[Way(balance=0.501), Way(balance=0.504)], generator=FAST,
        random_state=0,
    )  # fmt: skip
    assert list(found.against_best.index) == ["balance 50.1%, keep 0.8", "balance 50.4%, keep 0.8"]
    model = make_table_learner().fit(x, y.iloc[:, 0].astype(bool))
    assert model.predict_proba(x).shape == (160, 2)


def test_dates_mean_the_same_in_any_unit():
    x, y = table(200)
    model = make_table_learner().fit(x, y)
    coarse = x.assign(when=x["when"].astype("datetime64[s]"))
    assert (model.predict_proba(coarse) == model.predict_proba(x)).all()


def test_answers_keep_the_form_of_the_classes():
    x, _ = table()
    y = pd.DataFrame({"state": np.where(x["a"] > 0.7, "ill", "well")})
    found = augment(
        x, y, Hungry(), scoring="log_loss", repeats=1, ways=ONE, generator=FAST, random_state=0
    )
    assert found.accepted
    assert list(found.y) == ["state"]
    assert len(found.y) == len(found.X)


def test_folds_without_a_class():
    x, y = table()
    order = np.argsort(y.to_numpy(), kind="stable")
    from sklearn.model_selection import KFold

    with pytest.raises(DataError, match="one class only"):
        augment(x.iloc[order], y.iloc[order], cv=KFold(2), generator=FAST)
