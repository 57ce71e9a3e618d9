"""Every attack: it succeeds on copies, fails on fresh rows, and says why it could not be tried."""

import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.attacks import inference, linkability, membership, singling_out
from synthgan.evaluate.distances import Space, nearest
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_alike

ATTACKS = [
    (membership, "membership_auc", 0.5),
    (inference, "attribute_inference_lift", 0.0),
    (linkability, "linkability_lift", 0.0),
    (singling_out, "singling_out_lift", 0.0),
]


def make_patients(n, seed):
    """Numbers and levels in which a row is mostly unique and columns depend on each other."""
    rng = np.random.default_rng(seed)
    base = rng.normal(size=(n, 4))
    numbers = {f"x{k}": base @ rng.normal(size=4) + rng.normal(size=n) for k in range(5)}
    levels = {f"c{k}": rng.choice(list("abcdef"), n) for k in range(3)}
    return pd.DataFrame({**numbers, **levels})


@pytest.fixture(scope="module")
def patients():
    whole = make_patients(3600, 0)
    parts = {"train": whole[:1200], "control": whole[1200:2400], "fresh": whole[2400:]}
    parts["half"] = pd.concat([whole[:600], whole[2400:3000]])
    return read_alike({name: part.reset_index(drop=True) for name, part in parts.items()})


def attack(module, patients, candidate, seed=0):
    setting = Setting(patients["train"], patients["control"], seed=seed)
    return {score.name: score for score in module.measure(setting, patients[candidate]).scores}


@pytest.mark.parametrize(("module", "name", "chance"), ATTACKS)
def test_succeeds_on_copies_and_fails_on_fresh_rows(patients, module, name, chance):
    copied = attack(module, patients, "train")[name]
    assert copied.interval[0] > chance + 0.05
    mixed = attack(module, patients, "half")[name]
    assert chance < mixed.value < copied.value
    fresh = [attack(module, patients, "fresh", seed)[name] for seed in range(6)]
    # six 95 % intervals that share rows: more than two misses would be no chance
    assert sum(s.interval[0] <= chance <= s.interval[1] for s in fresh) >= 4
    assert abs(np.mean([s.value for s in fresh]) - chance) < 0.04


def test_membership_of_isolated_rows_and_at_low_false_positives(patients):
    copied, fresh = (attack(membership, patients, c) for c in ("train", "fresh"))
    assert copied["membership_tpr_at_1pct_fpr"].value > 0.9
    assert copied["membership_auc_isolated"].value > 0.95
    assert copied["membership_tpr_isolated"].value > 0.9
    assert fresh["membership_tpr_at_1pct_fpr"].value < 0.04
    assert fresh["membership_auc_isolated"].interval[0] < 0.5


def test_only_outliers_are_copied(patients):
    # 120 lonely train rows among fresh ones: invisible on average, plain for the isolated.
    train, fresh = patients["train"], patients["fresh"]
    loneliness = nearest(Space(train), train, patients["control"])[0][:, 0]
    table = fresh.stack(train.take(np.argsort(-loneliness)[:120]))
    setting = Setting(train, patients["control"])
    scores = {s.name: s.value for s in membership.measure(setting, table).scores}
    assert scores["membership_auc"] < 0.62
    assert scores["membership_auc_isolated"] > scores["membership_auc"] + 0.1


def test_inference_lists_each_secret(patients):
    setting = Setting(patients["train"], patients["control"], target="c0", sensitive=("c1",))
    found = inference.measure(setting, patients["train"]).details["inference"]
    assert {"c0", "c1"} <= {row["column"] for row in found}
    assert all(row["members"] > 0.9 for row in found)
    assert max(row["control"] for row in found) < 0.5


@pytest.mark.parametrize(("module", "name", "chance"), ATTACKS)
def test_same_seed_same_number(patients, module, name, chance):
    first = attack(module, patients, "half", 3)
    assert first == attack(module, patients, "half", 3)
    assert first[name].value != attack(module, patients, "half", 4)[name].value


@pytest.mark.parametrize(("module", "name", "chance"), ATTACKS)
def test_what_cannot_be_tried_says_why(patients, module, name, chance):
    few = patients["control"].take(np.arange(5))
    for control, reason in ((None, "holdout"), (few, "at least")):
        found = module.measure(Setting(patients["train"], control), patients["fresh"]).scores
        assert all(s.value is None and reason in s.reason for s in found)


def test_too_few_columns():
    frames = {name: pd.DataFrame({"x": np.arange(50.0)}) for name in ("train", "control")}
    tables = read_alike(frames)
    setting = Setting(tables["train"], tables["control"])
    for module in (inference, linkability, singling_out):
        assert "columns" in module.measure(setting, tables["train"]).scores[0].reason


def test_singling_out_counts_all_of_a_train_table_larger_than_control(patients):
    few = patients["control"].take(np.arange(300))
    for candidate, expected in (("train", 0.5), ("fresh", 0.0)):
        setting = Setting(patients["train"], few)
        score = singling_out.measure(setting, patients[candidate]).scores[0]
        low, high = score.interval
        assert low > expected if expected else low < expected < high


def test_too_few_control_rows_for_a_threshold(patients):
    few = patients["control"].take(np.arange(500))
    found = membership.measure(Setting(patients["train"], few), patients["train"]).scores
    by_name = {score.name: score for score in found}
    assert "368 rows" in by_name["membership_tpr_at_1pct_fpr"].reason
    assert by_name["membership_tpr_isolated"].value > 0.9
