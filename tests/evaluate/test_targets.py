import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate import targets
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables


def look(train, synthetic, test):
    tables = read_tables(train, synthetic, test)
    found = targets.measure(Setting(tables.train, tables.holdout), tables.synthetic)
    return found.scores[0], {row["column"]: row for row in found.details.get("targets", ())}


def test_real_rows_keep_all_and_shuffled_rows_nothing(people, other_people, independent):
    score, rows = look(people, other_people, other_people)
    assert score.value > 0.95
    assert {"age", "day", "wage"} <= set(rows)
    assert "city" not in rows  # it depends on nothing
    lost, _ = look(people, independent, other_people)
    assert lost.value < 0.1
    assert lost.interval[0] <= lost.value <= lost.interval[1]


def test_one_broken_relation_is_named(people, other_people):
    rng = np.random.default_rng(0)
    broken = other_people.assign(rich=rng.permutation(other_people["rich"]))
    score, rows = look(people, broken, other_people)
    assert next(iter(rows)) == "rich"
    assert rows["rich"]["synthetic"] < 0.3 * rows["rich"]["train"]
    assert 0.5 < score.value < 0.95


def test_nothing_to_predict():
    rng = np.random.default_rng(0)
    noise = [pd.DataFrame(rng.normal(size=(300, 3)), columns=list("abc")) for _ in range(3)]
    assert "no column can be predicted" in look(*noise)[0].reason
    one = pd.DataFrame({"a": np.arange(50.0)})
    assert "no column" in look(one, one, one)[0].reason


def test_without_holdout(people):
    tables = read_tables(people, people)
    score = targets.measure(Setting(tables.train, None), tables.synthetic).scores[0]
    assert "holdout" in score.reason


@pytest.mark.parametrize("column", ["nothing", "one"])
def test_odd_columns(people, other_people, column):
    odd = {"nothing": np.nan, "one": 1}
    frames = [frame.assign(**odd) for frame in (people, other_people, other_people)]
    assert column not in look(*frames)[1]


def test_columns_with_few_values_are_left_out(people, other_people):
    few = other_people.copy()
    few.loc[few.index[15:], "wage"] = np.nan  # 15 test rows are too few
    _, rows = look(people, other_people, few)
    assert "wage" not in rows
    assert "age" in rows


def test_classes_that_the_synthetic_table_lacks_count_as_guesses(people, other_people, make_people):
    fresh = make_people(1200, 5)
    other_levels = fresh.assign(job=fresh["job"].map({"clerk": "x", "smith": "y"}))
    kept, lost = (look(people, t, other_people)[1]["job"] for t in (fresh, other_levels))
    assert kept["synthetic"] > 0.5
    assert lost["synthetic"] < 0.1


def test_a_column_of_one_value_keeps_no_utility(people, other_people):
    whole, _ = look(people, other_people, other_people)
    for lost in (30.0, np.nan):
        score, rows = look(people, other_people.assign(age=lost), other_people)
        assert rows["age"]["synthetic"] == 0.0
        assert score.value < whole.value - 0.1
