import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import normalized_mutual_info_score

from synthgan.evaluate.fidelity.dependence import measure
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables


def look(train, synthetic, seed=0):
    tables = read_tables(train, synthetic)
    found = measure(Setting(tables.train, None, seed=seed), tables.synthetic)
    return {score.name: score for score in found.scores}, found.details["nmi"]


def test_mutual_information_agrees_with_scikit_learn(people, other_people):
    _, pairs = look(people, other_people)
    row = pairs.set_index(["column_1", "column_2"]).loc[("city", "rich")]
    for side, frame in (("train", people), ("synthetic", other_people)):
        expected = normalized_mutual_info_score(
            frame["city"], frame["rich"], average_method="geometric"
        )
        assert row[side] == pytest.approx(expected)


def test_triple_counted_by_hand():
    train = pd.DataFrame({"a": list("xxyy"), "b": list("pqpq"), "c": list("mnnm")})
    synthetic = train.assign(c=list("mnmn"))
    scores, _ = look(pd.concat([train] * 20), pd.concat([synthetic] * 20))
    # cells of the synthetic table: xpm, xqn as in train; ypm, yqn instead of ypn, yqm
    assert scores["triple_error"].value == pytest.approx(50)


def test_parity_is_seen_by_triples_alone():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 4000))
    train = pd.DataFrame({"a": a, "b": b, "c": a ^ b}).astype(str)
    synthetic = train.assign(c=rng.permutation(train["c"]))
    scores, _ = look(train, synthetic)
    assert scores["nmi_error"].value < 0.01
    assert scores["triple_error"].interval[0] > 40


def test_heavy_tails_do_not_hide_dependence():
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    train = pd.DataFrame({"x": np.exp(4 * x), "y": np.exp(4 * x + rng.normal(size=3000))})
    shuffled = train.assign(y=rng.permutation(train["y"]))
    scores, pairs = look(train, shuffled)
    assert scores["nmi_error"].value > 0.3
    assert pairs["synthetic"][0] < 0.05


def test_wide_tables_are_sampled(people):
    rng = np.random.default_rng(0)
    wide = pd.DataFrame({f"c{k}": rng.choice(list("ab"), 200) for k in range(80)})
    scores, pairs = look(wide, wide)
    assert len(pairs) == 2000
    assert scores["triple_error"].value == 0.0


def test_too_few_columns():
    one = pd.DataFrame({"a": [1.0, 2.0] * 20})
    scores, pairs = look(one, one)
    assert "two columns" in scores["nmi_error"].reason
    assert "three columns" in scores["triple_error"].reason
    assert pairs.empty
