import dataclasses
import datetime as dt
import decimal
import itertools
import json
import time

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2_contingency, fisher_exact, ks_2samp

from synthgan.evaluate import tables
from synthgan.evaluate.drift import MIN_EFFECT, _unseen, check
from synthgan.exceptions import DataError, DataWarning, ParameterError
from synthgan.inference import infer_schema
from synthgan.schema import Column, Schema


def drifted(found):
    return set(found.columns.loc[found.columns["drifted"], "column"])


def row(found, name):
    return found.columns.set_index("column").loc[name]


def noise(n_rows, n_columns, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.normal(size=(n_rows, n_columns))).add_prefix("c")


def levels(**counts):
    return pd.DataFrame({"x": [level for level, count in counts.items() for _ in range(count)]})


def test_the_same_distribution_is_ok():
    # Columns alarm in at most 5 % of tables, ranges in another 5 %: more than 5 of 20 tables has a
    # chance of 1 %. Without adjustment, 40 columns would alarm in 87 % of tables, for an effect
    # above MIN_EFFECT is common in 300 rows.
    found = [check(noise(300, 40, 2 * k), noise(300, 40, 2 * k + 1)) for k in range(20)]
    assert all((each.columns["effect"] > MIN_EFFECT).any() for each in found)
    assert sum(each.verdict == "refit" for each in found) <= 5


def test_people_of_the_same_town_are_ok(people, other_people):
    found = check(people, other_people)
    assert (found.verdict, found.reasons, found.schema) == ("ok", (), ())
    assert str(found).startswith("verdict: ok\n")
    assert found.c2st.interval[0] < 0.5 < found.c2st.interval[1] + 0.05
    assert set(found.columns["column"]) == set(people.columns)


def test_a_shifted_mean_is_named(people, other_people):
    found = check(people, other_people.assign(age=other_people["age"] + 10))
    assert found.verdict == "refit"
    assert drifted(found) == {"age"}
    assert found.columns["column"].iloc[0] == "age"
    assert sum("'age' has changed (Kolmogorov-Smirnov" in reason for reason in found.reasons) == 1
    assert not any(f"'{name}'" in " ".join(found.reasons) for name in ("wage", "job", "city"))


def test_changed_shares_of_levels_are_named(people, other_people):
    rng = np.random.default_rng(0)
    city = rng.choice(["Rome", "Oslo", "Lima"], len(other_people), p=[0.4, 0.3, 0.3])
    found = check(people, other_people.assign(city=city))
    assert drifted(found) == {"city"}
    assert row(found, "city")["test"] == "chi-square"
    assert 0.1 < row(found, "city")["effect"] < 0.3
    assert row(found, "city")["unseen_share"] == 0.0


def test_a_new_level_is_counted_and_named(people):
    city = people["city"].where(np.arange(len(people)) % 50 > 0, "Cairo")  # 24 of 1,200 rows
    found = check(people, people.assign(city=city))
    assert drifted(found) == set()  # a total variation of 0.02 alone would not do
    assert found.reasons == ("Column 'city' has unseen levels in 2.0% of rows: correct or refit.",)
    assert row(found, "city")["unseen_share"] == 0.02
    few = people["city"].where(np.arange(len(people)) % 110 > 0, "Cairo")  # 11 rows, under 1 %
    assert check(people, people.assign(city=few)).verdict == "ok"


def test_numbers_out_of_range_are_counted_and_named():
    old = pd.DataFrame({"x": np.arange(1000.0) % 500})
    new = pd.DataFrame({"x": np.where(np.arange(1000) % 40 == 0, 600.0, old["x"])})
    found = check(old, new)
    assert row(found, "x")["out_of_range_share"] == 0.025
    assert np.isnan(row(found, "x")["unseen_share"])
    assert found.reasons == (
        "Column 'x' has values out of range in 2.5% of rows: correct or refit.",
    )


def test_missing_cells_are_not_outside():
    old = pd.DataFrame({"x": np.arange(1000.0) % 500, "y": ["a", "b"] * 500}).iloc[::-1]
    old.iloc[:500] = np.nan
    new = old.copy()
    new.iloc[-20:] = [600.0, "c"]
    found = check(old, new)
    assert row(found, "x")["out_of_range_share"] == row(found, "y")["unseen_share"] == 0.02
    assert len(found.reasons) == 2


def test_names_that_are_always_new_are_no_drift():
    rng = np.random.default_rng(0)
    pool = [f"n{k}" for k in rng.zipf(1.6, 3000)]
    old, new = (pd.DataFrame({"x": half}) for half in (pool[:1500], pool[1500:]))
    found = check(old, new)
    assert row(found, "x")["unseen_share"] > 0.04
    assert found.verdict == "ok"
    more = new.assign(x=[f"m{k}" if k % 10 == 0 else x for k, x in enumerate(new["x"])])
    assert check(old, more).verdict == "refit"


def test_the_p_value_of_unseen_levels_is_fair():
    # 1,500 names, each about twice in 3,000 rows. At 5 %, more than 24 of 300 tables has a chance
    # of 1 %. Taking the share of names seen once for a binomial one would find about 10 %.
    rng = np.random.default_rng(0)
    declared, alarms = Column("x", "constant", "string"), 0
    for _ in range(300):
        codes, names = pd.factorize(rng.integers(0, 1500, 6000))
        column = tables.Column("x", "categorical", "text", tuple(map(str, names)))
        alarms += _unseen(codes[:3000], codes[3000:], column, declared, 0.0)[1] < 0.05
    assert 0 < alarms <= 24


def test_a_jump_of_missing_cells_is_named(people, other_people):
    wage = other_people["wage"].where(np.arange(len(other_people)) % 3 > 0)
    found = check(people, other_people.assign(wage=wage))
    assert drifted(found) == {"wage"}
    assert row(found, "wage")["test"] == "missing"
    assert row(found, "wage")["missing_new"] == wage.isna().mean()
    assert row(found, "wage")["missing_reference"] == people["wage"].isna().mean()


def test_changed_relations_are_found_by_c2st_only(people, independent):
    found = check(people, independent)
    assert found.verdict == "refit"
    assert drifted(found) == set()
    assert len(found.reasons) == 1
    assert "relations between columns (C2ST)" in found.reasons[0]
    assert found.c2st.value > 0.9


def test_a_tiny_but_certain_effect_is_no_drift():
    old, new = noise(20_000, 1, 0), noise(20_000, 1, 1) + 0.09
    found = check(old, new)
    assert row(found, "c0")["p_adjusted"] < 1e-6
    assert row(found, "c0")["effect"] < MIN_EFFECT
    assert found.verdict == "ok"
    assert check(old, new + 0.15).verdict == "refit"


def test_p_values_are_those_of_the_tests():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=200), rng.normal(size=150) + 0.4
    found = row(check(pd.DataFrame({"x": a}), pd.DataFrame({"x": b})), "x")
    expected = ks_2samp(a, b, method="asymp")
    assert found["effect"] == pytest.approx(expected.statistic)
    assert found["p_value"] == pytest.approx(expected.pvalue)
    a[:20], b[:60] = np.nan, np.nan
    found = row(check(pd.DataFrame({"x": a}), pd.DataFrame({"x": b})), "x")
    distance = ks_2samp(a[20:], b[60:], method="asymp").pvalue
    gap = fisher_exact([[20, 180], [60, 90]]).pvalue
    assert found["p_value"] == pytest.approx(2 * min(distance, gap))
    assert found["effect"] == pytest.approx(0.3)


def test_a_certain_trifle_does_not_hide_a_change():
    old = pd.DataFrame({"x": np.arange(2000.0)})
    new = old + 200
    new.iloc[::33] = np.nan
    distance = ks_2samp(old["x"], new["x"].dropna(), method="asymp")
    assert new["x"].isna().mean() < MIN_EFFECT < distance.statistic
    assert fisher_exact([[0, 2000], [61, 1939]]).pvalue < distance.pvalue
    schema = Schema((Column("x", "float", "double"),))
    found = row(check(old, new, schema=schema), "x")
    assert (found["test"], found["drifted"]) == ("Kolmogorov-Smirnov", True)
    assert found["p_value"] == pytest.approx(2 * distance.pvalue)


def test_rare_levels_are_pooled():
    # c and d are expected in one row each: too few even together, so they join b.
    found = row(check(levels(a=60, b=38, c=1, d=1), levels(a=50, b=48, c=1, d=1)), "x")
    expected = chi2_contingency([[60, 40], [50, 50]], correction=False).pvalue
    assert found["p_value"] == pytest.approx(expected)
    assert found["effect"] == pytest.approx(0.1)
    # Ten levels of one row are expected in 5 rows together: enough to stand for themselves.
    old = {"a": 50, "b": 40, **{f"r{k}": 1 for k in range(10)}}
    new = {"a": 50, "b": 50}
    expected = chi2_contingency([[50, 40, 10], [50, 50, 0]], correction=False).pvalue
    assert row(check(levels(**old), levels(**new)), "x")["p_value"] == pytest.approx(expected)


def test_p_values_are_adjusted_by_hand(people, other_people):
    found = check(people, other_people.assign(age=other_people["age"] + 3)).columns
    ordered = found.sort_values("p_value")
    adjusted, least = [], 1.0
    for rank, p_value in reversed([*enumerate(ordered["p_value"], start=1)]):
        least = min(least, p_value * len(ordered) / rank)
        adjusted.append(least)
    np.testing.assert_allclose(ordered["p_adjusted"], adjusted[::-1])
    assert (
        found["drifted"] == ((found["p_adjusted"] < 0.05) & (found["effect"] >= MIN_EFFECT))
    ).all()


def test_the_level_decides(people, other_people):
    new = other_people.assign(age=other_people["age"] + 5)
    p_value = row(check(people, new), "age")["p_adjusted"]
    assert 0 < p_value < 0.05
    assert drifted(check(people, new, level=p_value * 1.01)) == {"age"}
    assert drifted(check(people, new, level=p_value * 0.99)) == set()


def test_drifted_columns_come_first_then_large_effects(people, other_people):
    few = np.where(np.arange(len(people)) < 5, np.arange(len(people)), np.nan)
    day = other_people["day"] + pd.Timedelta(800, "D")
    new = other_people.assign(age=other_people["age"] + 10, day=day, few=few[:900] + 2)
    found = check(people.assign(few=few), new).columns
    assert list(found["column"][:3]) == ["day", "age", "few"]
    effect = found["effect"].tolist()
    assert effect[1] < effect[2]
    assert effect[2:] == sorted(effect[2:], reverse=True)


def test_order_of_columns_does_not_count(people, other_people):
    expected = check(people, other_people).to_dict()
    assert check(people, other_people[other_people.columns[::-1]]).to_dict() == expected


def test_missing_and_extra_columns(people, other_people):
    found = check(people, other_people.drop(columns="job").assign(shoe=42))
    assert found.verdict == "refit"
    assert found.schema == ("column 'job' is missing", "column 'shoe' is extra")
    assert found.reasons == ("Column 'job' is missing: restore it, or refit.",)
    assert set(found.columns["column"]) == set(people.columns) - {"job"}
    extra = check(people, other_people.assign(shoe=42))
    assert (extra.verdict, extra.schema) == ("ok", ("column 'shoe' is extra",))
    assert "column 'shoe' is extra" in str(extra)
    nothing = check(people, people[["age"]].add_prefix("x"))
    assert len(nothing.reasons) == len(people.columns)
    assert "no column can be compared" in str(nothing)


def test_a_changed_type_is_named(people, other_people):
    found = check(people, other_people.assign(age=other_people["age"].astype(str) + " years"))
    assert found.schema == ("column 'age' held number values and now holds text values",)
    assert found.verdict == "refit"
    assert "age" not in set(found.columns["column"])
    same = other_people.assign(age=other_people["age"].astype("Float64"))
    assert check(people, same).schema == ()


@pytest.mark.parametrize("bad", [np.inf, "text", [1, 2]])
def test_what_cannot_be_read_is_a_finding(people, bad):
    age = people["age"].astype(float if isinstance(bad, float) else object)
    age.iat[7] = bad
    found = check(people, people.assign(age=age))
    assert found.verdict == "refit"
    assert "mixed types, infinite numbers or impossible dates" in found.schema[0]


def test_dates_with_time_zones():
    hours = np.random.default_rng(0).integers(0, 9000, 1000)
    old = pd.DataFrame({"t": pd.Timestamp("2020-01-01", tz="UTC") + pd.to_timedelta(hours, "h")})
    berlin = pd.DataFrame({"t": old["t"].dt.tz_convert("Europe/Berlin")})
    assert check(old, berlin).to_dict() == check(old, old).to_dict()
    later = check(old, berlin + pd.Timedelta(100, "D"))
    assert drifted(later) == {"t"}
    assert row(later, "t")["out_of_range_share"] > 0.2
    naive = check(old, pd.DataFrame({"t": old["t"].dt.tz_localize(None)}))
    assert naive.schema == (
        "column 't' held datetime with time zone values and now holds datetime values",
    )


def test_all_missing_and_constant_columns(people, other_people):
    old = people.assign(none=np.nan, nothing=None, one=1.0, word="w")
    new = other_people.assign(none=np.nan, nothing=None, one=1.0, word="w")
    found = check(old, new)
    assert found.verdict == "ok"
    assert row(found, "none")["p_value"] == row(found, "one")["p_value"] == 1.0
    assert row(found, "nothing")["missing_new"] == 1.0
    changed = check(old, new.assign(none=2.0, one=2.0, word="v", wage=np.nan))
    assert drifted(changed) == {"none", "one", "word", "wage"}
    assert row(changed, "wage")["effect"] == 1.0 - people["wage"].isna().mean()


@pytest.mark.parametrize("n_rows", [1, 2, 5, 19])
def test_few_rows_show_nothing(people, other_people, n_rows):
    found = check(people, other_people.head(n_rows))
    assert found.verdict == "ok"
    assert f"needs at least 20 rows in each table, got {n_rows}" in found.c2st.reason
    assert found.c2st.reason in str(found)
    assert len(found.columns) == len(people.columns)
    assert check(people.tail(n_rows), other_people).verdict == "ok"


@pytest.mark.parametrize("n_rows", [1, 5])
def test_few_rows_alarm_rarely(people, other_people, n_rows):
    # At most 10 % of tables as above: more than 15 of 75 has a chance of 1 %.
    parts = [slice(k, k + n_rows) for k in range(0, 75 * n_rows, n_rows)]
    new_rows = [check(people, other_people[part]).verdict for part in parts]
    assert new_rows.count("refit") <= 15
    few_to_compare_with = [check(people[part], other_people).verdict for part in parts]
    assert few_to_compare_with.count("refit") <= 15


def test_one_row_out_of_range_is_not_certain():
    old = pd.DataFrame({"x": np.random.default_rng(0).normal(size=99)})
    found = row(check(old, pd.DataFrame({"x": [9.0]})), "x")
    assert found["p_value"] == pytest.approx(2 / 100)  # first or last of 100 exchangeable rows
    assert found["effect"] == 1.0


def test_300_columns_take_seconds():
    old, new = noise(1000, 300, 0), noise(1000, 300, 1)
    started = time.process_time()
    found = check(old, new.assign(c7=new["c7"] + 1))
    assert time.process_time() - started < 20
    assert drifted(found) == {"c7"}
    assert len(found.columns) == 300


def test_same_seed_same_dict(people, other_people):
    first = check(people, other_people, random_state=1)
    assert first.to_dict() == check(people, other_people, random_state=1).to_dict()
    assert first.c2st != check(people, other_people, random_state=2).c2st
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.verdict = "refit"


def test_no_cell_is_shown(people):
    old = people.assign(age=people["age"] + 0.53129, city=people["city"] + "burg")
    new = people.assign(age=-7777777.25, city="Atlantis", day=pd.Timestamp("1999-12-31"), job=1)
    found = check(old, new)
    assert found.verdict == "refit"
    assert len(found.reasons) >= 5
    texts = [str(found), repr(found.to_dict()), repr(found)]
    cells = ["7777777", "53129", "Atlantis", "burg", "clerk", "1999", "2020"]
    assert [cell for cell in cells for text in texts if cell in text] == []
    assert "'city'" in texts[0]


MAKERS = {
    "integer": lambda k: k,
    "float": lambda k: k + 0.5,
    "decimal": lambda k: decimal.Decimal(k),
    "text": lambda k: f"t{k % 3}",
    "bool": lambda k: k % 2 == 0,
    "date": lambda k: dt.date(2020, 1, 1 + k),
    "instant": lambda k: pd.Timestamp(2020, 1, 1 + k, tz="UTC"),
    "ancient": lambda k: dt.datetime(1, 1, 1 + k),
    "time": lambda k: dt.time(k),
    "duration": lambda k: pd.Timedelta(k, "h"),
    "bytes": lambda k: b"x" * k,
    "list": lambda k: [k],
    "complex": lambda k: k + 1j,
    "missing": lambda k: None,
    "infinite": lambda k: np.inf,
    "period": lambda k: pd.Period(2000 + k, "Y"),
}


@pytest.mark.parametrize("category", [False, True])
def test_any_two_columns_can_be_checked(category):
    made = {name: [make(k) for k in range(6)] for name, make in MAKERS.items()}
    hashable = [name for name in made if name != "list" or not category]
    kind = "category" if category else None
    for a, b in itertools.product(hashable, hashable):
        old, new = pd.DataFrame({"x": made[a]}), pd.DataFrame({"x": pd.Series(made[b], dtype=kind)})
        found = check(old, new)
        json.dumps(found.to_dict(), allow_nan=False)
        assert str(found).startswith(f"verdict: {found.verdict}\n")
        if a == b and found.schema:
            assert a in ("ancient", "list", "complex", "infinite")


def test_a_schema_says_what_columns_are(people, other_people):
    old = people.assign(key=np.arange(len(people)), code=people["age"] % 3)
    new = other_people.assign(key=np.arange(len(other_people)) + 5000, code=other_people["age"] % 3)
    assert check(old, new).verdict == "ok"  # the key is recognised
    with pytest.warns(DataWarning, match="identifier"):
        schema = infer_schema(old)
    found = check(old, new, schema=schema.replace("code", kind="categorical"))
    assert "key" not in set(found.columns["column"])
    assert row(found, "code")["test"] == "chi-square"
    measured = check(old, new, schema=schema.replace("key", kind="integer"))
    assert drifted(measured) == {"key"}
    fewer = Schema(tuple(column for column in schema if column.name != "code"))
    assert check(old, new, schema=fewer).schema == ("column 'code' is extra",)


DAYS = pd.to_datetime(["2020-01-01", "2020-01-03"]), pd.to_datetime(["2020-01-02", "2020-01-05"])
LOCAL = tuple(days.tz_localize("America/Lima") for days in DAYS)
HOURS = pd.to_timedelta(["1h", "2h"]), pd.to_timedelta(["1h", "3h"])


@pytest.mark.parametrize(
    ("kind", "old", "new", "wide", "narrow"),
    [
        ("categorical", ["a", "b"], ["a", "c"], ("a", "b", "c"), ("a", "b")),
        ("categorical", [1, 2], [1, 3], (1, 2, 3), (1, 2)),
        ("categorical", [1.0, 2.0], [1.0, 3.0], (1.0, 2.0, 3.0), (1.0, 2.0)),
        ("float", [1.5, 2.5], [2.0, 2.9], (0, 3), (0, 2.8)),
        ("float", [1.5, 2.5], [2.0, 2.9], (0, 1e300), (-1e300, 2)),
        ("datetime", *DAYS, ("2020-01-01", "2020-01-05"), ("2020-01-01", "2020-01-04")),
        ("datetime", *DAYS, (0, pd.Timestamp("2020-01-05 00:00+05:00")), (0, 10**18)),
        ("datetime", *LOCAL, ("2020-01-01", "2020-01-05"), ("2020-01-01", "2020-01-04")),
        ("timedelta", *HOURS, (0, 3 * 3600), (0, 3 * 3600 - 1)),
        ("timedelta", *HOURS, ("0h", "3h"), ("0h", "2h")),
    ],
)
def test_declared_levels_and_bounds_are_known(kind, old, new, wide, narrow):
    old, new = (pd.DataFrame({"x": np.repeat(pd.Series(values), 200)}) for values in (old, new))
    schema = infer_schema(old).replace("x", kind=kind)
    shares = ("levels", "unseen_share"), ("bounds", "out_of_range_share")
    field, share = shares[kind != "categorical"]
    assert row(check(old, new, schema=schema.replace("x", **{field: wide})), "x")[share] == 0.0
    assert row(check(old, new, schema=schema.replace("x", **{field: narrow})), "x")[share] == 0.5
    assert row(check(old, new, schema=schema), "x")[share] == 0.5


def test_files_are_read(people, other_people, tmp_path):
    old, new = tmp_path / "old.csv", tmp_path / "new.parquet"
    people.to_csv(old, index=False)
    other_people.to_parquet(new)
    assert check(old, new).verdict == "ok"


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (pd.DataFrame({"x": []}), "new table has 0 rows and 1 columns"),
        (pd.DataFrame(index=[0, 1]), "new table has 2 rows and 0 columns"),
        (pd.DataFrame([[1, 2]], columns=["x", "x"]), "new table has repeated column names: 'x'"),
    ],
)
def test_unusable_tables_are_refused(new, message):
    table = pd.DataFrame({"x": [1, 2]})
    with pytest.raises(DataError, match=message):
        check(table, new)
    with pytest.raises(DataError, match=message.replace("new", "reference")):
        check(new, table)


def test_unknown_arguments_are_refused():
    table = pd.DataFrame({"x": [1.0, 2.0]})
    for level in (0, 1, -0.1, "low", None, np.nan):
        with pytest.raises(ParameterError, match="level"):
            check(table, table, level=level)
    with pytest.raises(ParameterError, match="schema must be a Schema or None, got dict"):
        check(table, table, schema={})
    with pytest.raises(ParameterError, match="random_state"):
        check(table, table, random_state=-1)
    schema = Schema((Column("x", "float", "double"), Column("y", "float", "double")))
    with pytest.raises(DataError, match="lacks column 'y' of the schema"):
        check(table, table, schema=schema)


def test_as_many_as_a_model_suppresses_are_allowed():
    rng = np.random.default_rng(0)
    wage = rng.normal(size=4000)
    reference = pd.DataFrame({"wage": np.clip(wage, -2, 2), "town": rng.choice(["a", "b"], 4000)})
    new = pd.DataFrame(
        {"wage": wage, "town": rng.choice(["a", "b", "c"], 4000, p=[0.47, 0.47, 0.06])}
    )
    strict = check(reference, new)
    assert strict.verdict == "refit"
    assert len(strict.reasons) >= 2
    known = check(reference, new, suppressed={"wage": 0.055, "town": 0.07})
    assert known.verdict == "ok", known.reasons
