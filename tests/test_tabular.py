"""TabularGAN: seeds, streams, containers, imputation, likelihoods, budgets."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from fixtures import QUICK, mixed_table, tiny_gan

from synthgan import Schema, TabularGAN, TrainingOptions, infer_schema, load_model
from synthgan.estimators.table_form import default_width
from synthgan.exceptions import ConditionError, DataError, ParameterError

ignore_data_warnings = pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")


def test_containers_and_dtypes_come_back(gan: TabularGAN) -> None:
    frame = mixed_table()
    sample = gan.sample(200, random_state=0)
    assert list(sample.columns) == list(frame.columns)
    assert (sample.dtypes == frame.dtypes).all()
    assert type(sample["price"].iloc[0]) is type(frame["price"].iloc[0])
    assert type(sample["born"].iloc[0]) is type(frame["born"].iloc[0])
    assert sample["patient"].is_unique
    assert not set(sample["patient"]) & set(frame["patient"]) or len(sample) < 90_000


def test_first_rows_do_not_depend_on_how_many_follow(gan: TabularGAN) -> None:
    many = gan.sample(2700, random_state=4)
    for few in (100, 1100, 2100):
        pd.testing.assert_frame_equal(gan.sample(few, random_state=4), many[:few])
    other = gan.sample(100, random_state=5)
    assert not other["age"].equals(many["age"][:100])


def test_stream_is_the_sample(gan: TabularGAN) -> None:
    whole = gan.sample(2700, random_state=4)
    for size in (7, 128, 1100, 5000):
        batches = list(gan.sample_iter(2700, batch_rows=size, random_state=4))
        assert all(batch.num_rows == size for batch in batches[:-1])
        table = pa.Table.from_batches(batches)
        assert table["age"].to_pylist() == whole["age"].tolist()
        assert (
            table["city"].to_pylist() == whole["city"].where(whole["city"].notna(), None).tolist()
        )


@pytest.mark.parametrize("start", [0, 1, 127, 129, 2047, 2048, np.int64(2300), 2699, 2700, 5000])
def test_a_stream_can_start_anywhere(gan: TabularGAN, start: int) -> None:
    whole = gan.sample(2700, random_state=4)
    batches = list(gan.sample_iter(2700, random_state=4, start=start))
    found = [age for batch in batches for age in batch["age"].to_pylist()]
    assert found == whole["age"].tolist()[start:]
    keys = [key for batch in batches for key in batch["patient"].to_pylist()]
    assert keys == whole["patient"].tolist()[start:]


def test_threads_do_not_change_the_rows(gan: TabularGAN) -> None:
    one = gan.sample(1100, random_state=4)
    torch.set_num_threads(2)
    try:
        pd.testing.assert_frame_equal(gan.sample(1100, random_state=4), one)
    finally:
        torch.set_num_threads(1)


@ignore_data_warnings
def test_fit_repeats_and_leaves_global_generators_alone() -> None:
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    torch.manual_seed(1)
    before = (np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist())  # noqa: NPY002
    first = tiny_gan().fit(mixed_table()).sample(20, random_state=0)
    second = tiny_gan().fit(mixed_table()).sample(20, random_state=0)
    after = (np.random.get_state()[1].tolist(), random.getstate(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert before == after
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.slow
def test_hash_seed_and_time_zone_do_not_matter(tmp_path: Path) -> None:
    """Two processes: slow because each imports torch anew."""
    code = (
        "import sys, warnings; warnings.simplefilter('ignore'); sys.path.insert(0, sys.argv[1])\n"
        "from fixtures import mixed_table, tiny_gan\n"
        "tiny_gan().fit(mixed_table()).save(sys.argv[2])\n"
    )
    files = []
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        path = tmp_path / f"{number}.synthgan"
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "TZ": zone}
        command = [sys.executable, "-c", code, str(Path(__file__).parent), str(path)]
        subprocess.run(command, check=True, env=environment)
        files.append(path.read_bytes())
    without_seconds = [f.replace(b" ", b"") for f in files]
    assert len(without_seconds[0]) > 1000

    samples = [load_model(tmp_path / f"{k}.synthgan").sample(50, random_state=0) for k in (0, 1)]
    pd.testing.assert_frame_equal(*samples)


def test_arrays_and_target() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 3)).astype(np.float32)
    y = np.where(x[:, 0] > 0, "yes", "no")
    gan = tiny_gan().fit(x, y)
    features, target = gan.sample(50)
    assert features.shape == (50, 3)
    assert features.dtype == np.float32
    assert set(target) <= {"yes", "no"}
    assert gan.n_features_in_ == 3
    frame = pd.DataFrame(x, columns=list("abc"))
    sample = tiny_gan().fit(frame, pd.Series(y, name="label")).sample(5)
    assert list(sample.columns) == ["a", "b", "c", "label"]
    with pytest.raises(DataError, match="y has 3"):
        tiny_gan().fit(frame, [1, 2, 3])


def test_paths(tmp_path: Path, adult: pd.DataFrame) -> None:
    adult.head(300).to_parquet(tmp_path / "a.parquet")
    adult.head(300).to_csv(tmp_path / "a.csv", index=False)
    first = tiny_gan().fit(tmp_path / "a.parquet").sample(20, random_state=0)
    second = tiny_gan().fit(str(tmp_path / "a.csv")).sample(20, random_state=0)
    pd.testing.assert_frame_equal(first, second)


def test_integer_and_repeated_labels() -> None:
    frame = pd.DataFrame({0: [1, 2] * 20, ("a", 1): [3.0, 4.0] * 20})
    sample = tiny_gan().fit(frame).sample(5, conditions={0: 1})
    assert list(sample.columns) == [0, ("a", 1)]
    assert (sample[0] == 1).all()


def test_impute(adult: pd.DataFrame, adult_gan: TabularGAN) -> None:
    rows = adult.head(600).copy()
    rows.loc[::2, "occupation"] = None
    rows["age"] = rows["age"].astype("Int64")
    rows.loc[::3, "age"] = pd.NA
    full = adult_gan.impute(rows, random_state=0)
    assert not full.isna().any().any()
    for name in rows:
        known = rows[name].notna()
        assert (full.loc[known, name] == rows.loc[known, name]).all()
    first, second = adult_gan.impute(rows, n_imputations=2, random_state=0)
    assert not first["age"].equals(second["age"])
    pd.testing.assert_frame_equal(adult_gan.impute(rows[:200], random_state=0), full[:200])
    with pytest.raises(DataError, match="'sex' is missing"):
        adult_gan.impute(rows.drop(columns="sex"))


def test_rows_that_are_filled_keep_their_index(gan: TabularGAN) -> None:
    given = gan.sample(40, random_state=0).drop(columns="patient")
    given.index = pd.Index(range(100, 140), name="row")[::-1]
    given.loc[range(101, 111), "city"] = None
    known = given["city"].notna()
    filled = gan.sample(conditions=given, random_state=1)
    pd.testing.assert_index_equal(filled.index, given.index)
    full = given.assign(patient=filled["patient"])
    two, other = (gan.impute(full, n_imputations=2, random_state=seed) for seed in (0, 1))
    for table in (*two, *other):
        pd.testing.assert_index_equal(table.index, given.index)
        assert table["city"][known].equals(given["city"][known])
        assert table["city"].notna().all()
    pd.testing.assert_frame_equal(two[0], gan.impute(full, random_state=0))
    assert not two[1].equals(other[0])


def test_the_target_may_have_another_name_when_scored(adult: pd.DataFrame) -> None:
    x, y = adult.drop(columns="income").head(300), adult["income"].head(300)
    for name in ("label", 0):
        gan = tiny_gan().fit(x, y.rename(name))
        assert gan.target_ == str(name)
        assert gan.score(x, y) == gan.score(x, y.to_numpy()) == gan.score(x, y.rename(name))


def test_scores_of_cells_that_the_type_does_not_hold() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": rng.integers(0, 90, 300).astype("int8"), "b": rng.random(300) < 0.5})
    gan = tiny_gan().fit(frame)
    scores = gan.score_samples(pd.DataFrame({"n": [300, -5], "b": [True, False]}))
    assert np.isfinite(scores).all()
    with pytest.raises(DataError, match="'n'"):
        gan.score_samples(pd.DataFrame({"n": [30.5, 1.0], "b": [True, False]}))


def test_numbers_of_numpy_are_parameters_too(tmp_path: Path) -> None:
    width, options = np.int64(32), {"steps": np.int32(20), "learning_rate": np.float32(0.001)}
    gan = tiny_gan(width=width, min_count=np.int16(5), max_time=np.int64(60), options=options)
    gan.fit(mixed_table().drop(columns="patient")).save(tmp_path / "m.synthgan")
    again = load_model(tmp_path / "m.synthgan")
    assert (again.width, again.min_count, again.options["steps"]) == (32, 5, 20)
    json.dumps(gan.describe())


@ignore_data_warnings
def test_keys_run_out_with_an_error_and_not_before() -> None:
    rng = np.random.default_rng(0)
    keys = rng.permutation(np.arange(1, 61)).astype("int8")
    gan = tiny_gan().fit(pd.DataFrame({"key": keys, "x": rng.random(60)}))
    assert gan.sample(1, random_state=0)["key"].tolist() == [1]
    assert gan.sample(127, random_state=0)["key"].is_unique
    for draw in (gan.sample, lambda n: next(gan.sample_iter(n))):
        with pytest.raises(DataError, match=r"'key' .int8. has room for 127 different keys"):
            draw(128)


def test_cells_that_do_not_fit_into_the_type_are_no_condition() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"n": rng.integers(0, 90, 300).astype("int8"), "b": rng.random(300) < 0.5})
    gan = tiny_gan().fit(frame)
    with pytest.raises(ConditionError, match="'n' is int64, the model has int8") as caught:
        gan.impute(pd.DataFrame({"n": [300, 5], "b": [True, None]}))
    assert "300" not in str(caught.value)


@ignore_data_warnings
def test_unnamed_targets_of_polars() -> None:
    polars = pytest.importorskip("polars")
    rng = np.random.default_rng(0)
    gan = tiny_gan().fit(polars.DataFrame({"x": rng.random(200)}), polars.Series(rng.random(200)))
    assert gan.target_ == "target"


@pytest.mark.parametrize(
    "call",
    [
        lambda gan: gan.impute(None, n_imputations=None),
        lambda gan: gan.score_samples(None, n_orders=None),
        lambda gan: gan.check(None, n_rows=None),
        lambda gan: list(gan.sample_iter(5, start=None)),
    ],
)
def test_none_is_no_number(gan: TabularGAN, call: Callable[[TabularGAN], object]) -> None:
    with pytest.raises(ParameterError, match=r"must be an int in \[\d"):
        call(gan)


def test_likelihood_tells_broken_rows(adult: pd.DataFrame, adult_gan: TabularGAN) -> None:
    rows = adult.head(500)
    shuffled = rows.copy()
    rng = np.random.default_rng(0)
    for name in rows:
        shuffled[name] = rows[name].to_numpy()[rng.permutation(len(rows))]
    good, bad = adult_gan.score_samples(rows), adult_gan.score_samples(shuffled)
    assert good.mean() > bad.mean() + 1
    assert adult_gan.score(rows) == pytest.approx(good.mean())
    np.testing.assert_array_equal(good, adult_gan.score_samples(rows))


def test_samples_resemble_the_table(adult: pd.DataFrame, adult_gan: TabularGAN) -> None:
    """Total variation of marginals below what 3 standard errors of both tables allow, plus 2 %."""
    sample = adult_gan.sample(len(adult), random_state=0)
    for name in ("sex", "race", "income", "marital_status"):
        a, b = (t[name].value_counts(normalize=True) for t in (adult, sample))
        distance = a.subtract(b, fill_value=0).abs().sum() / 2
        noise = 3 * np.sqrt(2 * a * (1 - a) / len(adult)).sum() / 2
        assert distance < noise + 0.02
    rich = sample["income"] == ">50K"
    married = sample["marital_status"] == "Married-civ-spouse"
    real = (adult["marital_status"] == "Married-civ-spouse")[adult["income"] == ">50K"].mean()
    assert abs(married[rich].mean() - real) < 0.08


def test_steps(adult_gan: TabularGAN) -> None:
    for steps in (1, 4, 15, 999):
        assert len(adult_gan.sample(30, steps=steps, random_state=0)) == 30
    full = adult_gan.sample(30, steps=15, random_state=0)
    pd.testing.assert_frame_equal(full, adult_gan.sample(30, steps=999, random_state=0))
    with pytest.raises(ParameterError, match="steps"):
        adult_gan.sample(3, steps=0)


def test_max_time_returns_a_usable_model(adult: pd.DataFrame) -> None:
    began = time.monotonic()
    gan = TabularGAN(random_state=0, max_time=0.5, verbose=0).fit(adult)
    assert time.monotonic() - began < 20
    assert len(gan.sample(10)) == 10


def test_callbacks_see_epochs_and_can_stop(adult: pd.DataFrame) -> None:
    seen: list[dict[str, object]] = []

    def stop_at_three(entry: dict[str, object]) -> bool:
        seen.append(entry)
        return len(seen) == 3

    gan = tiny_gan(callbacks=[stop_at_three]).fit(adult.head(300))
    assert seen == gan.history_
    assert [entry["phase"] for entry in seen].count("likelihood") == 3
    assert {"phase", "epoch", "step", "seconds", "loss", "validation"} <= set(seen[0])


def test_adversarial_phase(adult: pd.DataFrame) -> None:
    options = TrainingOptions(steps=40, batch_size=64, refinement_steps=10)
    gan = tiny_gan(options=options).fit(adult.head(400))
    last = gan.history_[-1]
    assert last["phase"] == "adversarial"
    errors = last["few_step_error"]
    assert set(errors) == {"with", "without"}
    plain = tiny_gan(options=TrainingOptions(steps=40, batch_size=64)).fit(adult.head(400))
    pd.testing.assert_frame_equal(  # full steps are as they were
        gan.sample(40, steps=50, random_state=0), plain.sample(40, steps=50, random_state=0)
    )


def test_the_number_of_steps_is_chosen_and_kept(gan: TabularGAN, tmp_path: Path) -> None:
    assert 1 <= gan.steps_ <= len(gan._form.active)
    assert [cost["steps"] for cost in gan.step_costs_] == [
        2**k for k in range(len(gan.step_costs_))
    ]
    assert gan.describe()["steps"] == gan.steps_
    chosen = gan.sample(600, random_state=3)
    pd.testing.assert_frame_equal(chosen, gan.sample(600, steps=gan.steps_, random_state=3))
    gan.save(tmp_path / "m.synthgan")
    again = load_model(tmp_path / "m.synthgan")
    assert (again.steps_, again.step_costs_) == (gan.steps_, gan.step_costs_)
    for steps in (None, 1, 2):
        pd.testing.assert_frame_equal(
            again.sample(600, steps=steps, random_state=3),
            gan.sample(600, steps=steps, random_state=3),
        )


def test_declared_schema(adult: pd.DataFrame) -> None:
    frame = adult.head(400)
    schema = infer_schema(frame).replace("age", bounds=(0, 120))
    schema = schema.replace("sex", levels=["Female", "Male", "Other"])
    gan = tiny_gan(schema=schema).fit(frame)
    assert gan.sample(200, conditions={"age": (100, 120)})["age"].between(100, 120).all()
    again = tiny_gan(schema=json.loads(schema.to_json())).fit(frame)
    assert again.schema_ == schema == Schema.from_json(schema.to_json())
    with pytest.raises(DataError, match="'age' is missing"):
        tiny_gan(schema=schema).fit(frame.drop(columns="age"))


@ignore_data_warnings
def test_placeholder_for_rare_levels() -> None:
    frame = pd.DataFrame({"c": ["a"] * 60 + [f"r{i}" for i in range(40)], "x": range(100)})
    frame["x"] = frame["x"] % 7
    schema = infer_schema(frame)
    shown = tiny_gan(schema=schema.replace("c", rare="placeholder")).fit(frame).sample(300)
    assert set(shown["c"]) == {"a", "(rare)"}
    assert set(tiny_gan(schema=schema).fit(frame).sample(300)["c"]) == {"a"}


def test_describe_is_json(gan: TabularGAN) -> None:
    text = json.dumps(gan.describe())
    assert "No formal privacy guarantee." in text
    assert gan.describe()["columns"][1]["name"] == "age"


def test_nothing_to_learn() -> None:
    frame = pd.DataFrame({"a": ["x"] * 30, "b": [1.5] * 30})
    gan = tiny_gan().fit(frame)
    pd.testing.assert_frame_equal(gan.sample(30), frame)
    assert (gan.score_samples(frame) == 0).all()


def test_quick_options_are_what_the_suite_says() -> None:
    assert QUICK.steps == 60
    for rows in (5, 200, 10_000, 2_000_000):
        options = TrainingOptions.for_rows(rows)
        assert 128 <= options.batch_size <= 4096
        assert 1 <= options.steps <= 8000
        assert 1 <= options.class_steps <= 4000


def test_tables_of_many_tokens_take_small_batches_and_narrow_networks() -> None:
    assert TrainingOptions.for_rows(10**6, 1000).batch_size == 4096
    assert TrainingOptions.for_rows(10**6, 100_000).batch_size == 2**25 // 100_000
    assert TrainingOptions.for_rows(10**6, 10**7).batch_size == 128
    assert [default_width(rows, 1000) for rows in (500, 10**4, 10**6)] == [128, 192, 512]
    assert [default_width(10**6, tokens) for tokens in (100_000, 10**7)] == [320, 128]


def test_check_says_ok_or_refit(adult: pd.DataFrame, adult_gan: TabularGAN) -> None:
    found = adult_gan.check(adult, n_rows=4000)
    assert "income" not in " ".join(found.reasons)
    moved = adult_gan.check(adult.assign(age=adult["age"] + 15), n_rows=4000)
    assert moved.verdict == "refit"
    assert any("'age'" in reason for reason in moved.reasons)
    lacking = adult_gan.check(adult.drop(columns="age"), n_rows=4000)
    assert "column 'age' is missing" in lacking.schema
    with pytest.raises(ParameterError, match="n_rows"):
        adult_gan.check(adult, n_rows=3)


def test_probabilities_of_levels_given_the_other_cells():
    rng = np.random.default_rng(0)
    x = rng.normal(size=1500)
    chance = 1 / (1 + np.exp(-2 * x))
    table = pd.DataFrame({"x": x, "y": np.where(rng.random(1500) < chance, "up", "down")})
    options = TrainingOptions(steps=200, batch_size=256)
    gan = TabularGAN(random_state=0, verbose=0, width=32, depth=1, options=options).fit(table)
    found = gan.level_probabilities(table[["x"]], "y")
    assert list(found) == ["down", "up"]
    assert found.sum(axis=1).to_numpy() == pytest.approx(1)
    # shares of the bins of x alone, 22 rows each, are off by 0.8 sqrt(p (1 - p) / 22), 0.07 in mean
    assert np.abs(found["up"] - chance).mean() < 0.07
    pd.testing.assert_frame_equal(gan.level_probabilities(table.assign(y=0), "y"), found)
    assert gan.level_probabilities(table[5:9], "y").index.tolist() == [5, 6, 7, 8]
    assert gan.level_probabilities(table[:0], "y").shape == (0, 2)
    with pytest.raises(DataError, match="'x' is no column"):
        gan.level_probabilities(table, "x")
    with pytest.raises(DataError, match="'x' is missing"):
        gan.level_probabilities(table[["y"]], "y")


def test_a_schema_in_another_order_swaps_nothing():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"small": rng.integers(0, 9, 200), "big": rng.integers(1000, 1009, 200)})
    schema = infer_schema(table[["big", "small"]])
    made = tiny_gan(schema=schema).fit(table).sample(50, random_state=0)
    assert list(made) == ["small", "big"]
    assert made["small"].max() < 10 < made["big"].min()


def test_times_beyond_those_of_python(tmp_path: Path) -> None:
    most = 253_402_300_799  # the last second of the year 9999
    ticks = pa.array([0, 86_400, most - 3600, most] * 50, pa.int64())
    table = pa.table(
        {
            "t": ticks.cast(pa.timestamp("s", "Europe/Berlin")),
            "d": pa.array([1, 2, 3, 10**14] * 50, pa.int64()).cast(pa.duration("s")),
            "x": pa.array(range(200)).cast(pa.float64()),
        }
    )
    gan = tiny_gan().fit(table)
    gan.save(tmp_path / "m")
    assert load_model(tmp_path / "m").describe() == gan.describe()
    told = {column["name"]: column.get("highest") for column in gan.describe()["columns"]}
    assert told["t"] == "9999-12-31 23:59:59Z"
    assert told["d"] == "100000000000000 s"
    assert set(gan.sample(100, random_state=0)["t"].cast(pa.int64()).to_pylist()) <= set(
        ticks.to_pylist()
    )
