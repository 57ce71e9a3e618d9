"""Bad and odd input, by case number: a typed error at once, or a right result."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from fixtures import tiny_gan
from sklearn.exceptions import NotFittedError

from synthgan import TabularGAN, TrainingOptions
from synthgan.exceptions import (
    ConditionError,
    DataError,
    DataWarning,
    ParameterError,
    SchemaError,
)

RNG = np.random.default_rng(0)
NUMBERS = pd.DataFrame({"x": RNG.normal(size=200), "k": RNG.integers(0, 4, 200)})


def with_column(values: object, name: str = "bad") -> pd.DataFrame:
    return NUMBERS.assign(**{name: values})


REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "case01-no-columns": (lambda: pd.DataFrame(index=range(9)), SchemaError, "no columns"),
    "case01-no-rows": (lambda: NUMBERS[:0], SchemaError, "no rows"),
    "case02-one-row": (lambda: NUMBERS[:1], DataError, "at least 5"),
    "case07-inf": (lambda: with_column(np.inf), SchemaError, "'bad' holds infinite"),
    "case11-duplicate-names": (
        lambda: pd.concat([NUMBERS, NUMBERS], axis=1),
        SchemaError,
        "'x' occurs more than once",
    ),
    "case14-mixed-types": (
        lambda: with_column(pd.Series([1, "a"] * 100, dtype=object)),
        SchemaError,
        "'bad' mixes types",
    ),
    "case16-period": (
        lambda: with_column(pd.period_range("2020", periods=200, freq="D")),
        SchemaError,
        "to_timestamp",
    ),
    "case16-interval": (
        lambda: with_column(pd.cut(NUMBERS["x"], 3).astype("interval")),
        SchemaError,
        "intervals",
    ),
    "case17-beyond-64-bits": (
        lambda: with_column(pd.Series([2**63 + 7, 2**63 + 9] * 100, dtype="uint64")),
        SchemaError,
        r"2\*\*63",
    ),
    "case22-lists": (lambda: with_column([[1, 2]] * 200), SchemaError, "'bad' is nested"),
    "case22-dicts": (lambda: with_column([{"a": 1}] * 200), SchemaError, "'bad' is nested"),
    "case22-bytes": (lambda: with_column([b"ab"] * 200), SchemaError, "'bad' is binary"),
    "case22-sparse": (
        lambda: with_column(pd.arrays.SparseArray([0, 1] * 100)),
        SchemaError,
        "to_dense",
    ),
    "complex": (lambda: with_column(1j), SchemaError, "real and imaginary"),
    "free-text": (
        lambda: with_column(
            [f"patient {i} complained about pain in the {i}th rib" for i in range(200)]
        ),
        SchemaError,
        "free text",
    ),
    "no-table": (lambda: 3, DataError, "int"),
    "series": (lambda: NUMBERS["x"], DataError, "to_frame"),
    "1-d-array": (lambda: np.zeros(9), DataError, "reshape"),
    "no-file": (lambda: "nowhere.parquet", DataError, "No such file"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_any_work(case: str) -> None:
    make, error, message = REFUSED[case]
    epochs: list[dict[str, object]] = []
    with pytest.raises(error, match=message):
        tiny_gan(callbacks=[epochs.append]).fit(make())
    assert not epochs


ACCEPTED: dict[str, Callable[[], pd.DataFrame]] = {
    "case03-fewer-rows-than-a-batch": lambda: NUMBERS[:37],
    "case04-constant": lambda: with_column("ward"),
    "case04-constant-number": lambda: with_column(3.25),
    "case12-odd-names": lambda: NUMBERS.assign(**{"": 1, "ü ö\n": "a", "n" * 10_000: NUMBERS["x"]}),
    "case13-odd-index": lambda: NUMBERS.set_index(pd.MultiIndex.from_arrays([range(200)] * 2)),
    "case15-uint64": lambda: with_column(RNG.integers(0, 9, 200).astype("uint64")),
    "case15-float16": lambda: with_column(RNG.normal(size=200).astype("float16")),
    "case15-decimal": lambda: with_column([Decimal(i % 7) / 4 for i in range(200)]),
    "case15-arrow": lambda: with_column(pd.array([1, None] * 100, dtype="int64[pyarrow]")),
    "case15-string-arrow": lambda: with_column(
        pd.array(["a", None] * 100, dtype="string[pyarrow]")
    ),
    "case18-extreme": lambda: with_column([1e308, -1e308, 5e-324, 0.0] * 50),
    "case18-almost-all-zero": lambda: with_column([0.0] * 199 + [1.0]),
    "case19-strings": lambda: with_column(["NaN", "None", "", " Male", "=cmd()"] * 40),
    "case20-one-class": lambda: with_column("yes", "target"),
    "case20-class-of-one": lambda: with_column(["yes"] + ["no"] * 199, "target"),
    "case24-read-only": lambda: _read_only(),
}


def _read_only() -> pd.DataFrame:
    values = NUMBERS.to_numpy().copy()
    values.flags.writeable = False
    return pd.DataFrame(values, columns=["x", "k"])


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    frame = ACCEPTED[case]()
    before = frame.copy(deep=True)
    gan = tiny_gan(options=TrainingOptions(steps=5, batch_size=32)).fit(frame)
    sample = gan.sample(150, random_state=1)
    pd.testing.assert_frame_equal(frame, before)  # case 23
    assert list(sample.columns) == list(frame.columns)
    assert (sample.dtypes == frame.dtypes).all()
    assert list(sample.index) == list(range(150))
    for name in frame:
        if frame[name].nunique() == 1:
            assert sample[name].nunique() == 1
            assert sample[name].iloc[0] == frame[name].iloc[0]
        if frame[name].dtype.kind == "f":
            assert np.isfinite(sample[name]).all()
            low, high = frame[name].min(), frame[name].max()
            assert sample[name].between(low, high).all()
        elif frame[name].dtype == object:
            assert set(sample[name].dropna()) <= set(frame[name])


def test_case05_all_missing() -> None:
    frame = with_column(np.nan)
    with pytest.warns(DataWarning, match="'bad' has no value"):
        gan = tiny_gan().fit(frame)
    assert gan.sample(20)["bad"].isna().all()


def test_case06_missing_rates() -> None:
    rng = np.random.default_rng(1)
    rows = 2000
    frame = pd.DataFrame({"x": rng.normal(size=rows), "c": rng.choice(["a", "b"], rows)})
    gone = rng.random(rows) < 0.3
    frame.loc[gone, "x"] = np.nan
    frame.loc[gone & (rng.random(rows) < 0.9), "c"] = None
    frame["b"] = pd.array(np.where(rng.random(rows) < 0.2, pd.NA, True), dtype="boolean")
    frame["t"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 99, rows), unit="D")
    frame.loc[rng.random(rows) < 0.1, "t"] = pd.NaT
    gan = tiny_gan(options=TrainingOptions(steps=400, batch_size=256)).fit(frame)
    sample = gan.sample(rows, random_state=0)
    for name in frame:
        expected = frame[name].isna().mean()
        error = np.sqrt(2 * expected * (1 - expected) / rows)
        assert abs(sample[name].isna().mean() - expected) < 4 * error
    both = (frame["x"].isna() & frame["c"].isna()).mean()
    found = (sample["x"].isna() & sample["c"].isna()).mean()
    assert abs(found - both) < 4 * np.sqrt(2 * both * (1 - both) / rows)


def test_case08_identifier() -> None:
    frame = with_column([f"ID{k:06d}" for k in RNG.permutation(10**6)[:200]], "key")
    with pytest.warns(DataWarning, match="'key' is unique"):
        gan = tiny_gan().fit(frame)
    keys = gan.sample(5000)["key"]
    assert keys.is_unique
    assert keys.str.fullmatch(r"ID\d{6}").all()


def test_case09_many_levels_are_pooled() -> None:
    rng = np.random.default_rng(0)
    levels = np.where(rng.random(3000) < 0.5, "common", [f"rare{i // 2}" for i in range(3000)])
    frame = pd.DataFrame({"level": levels, "x": rng.normal(size=3000)})
    with pytest.warns(DataWarning, match="different texts"):
        gan = tiny_gan().fit(frame)
    assert gan.encoder_.coder("level").n_tokens == 2
    assert set(gan.sample(500)["level"]) == {"common"}


def test_case10_two_thousand_columns() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.integers(0, 3, (60, 2000)), columns=[f"c{i}" for i in range(2000)])
    gan = tiny_gan(options=TrainingOptions(steps=3, batch_size=16), width=16).fit(frame)
    assert gan.sample(10, steps=3).shape == (10, 2000)


def test_case16_wide_dates_and_nat() -> None:
    days = np.array(["0999-01-01", "1500-06-01", "9000-01-01", "NaT"] * 50, dtype="datetime64[s]")
    gan = tiny_gan().fit(pd.DataFrame({"d": days}))
    sample = gan.sample(100)["d"]
    assert sample.dtype == "datetime64[s]"
    assert set(sample.dropna()) <= set(pd.Series(days).dropna())


def test_case17_large_integers_stay_exact() -> None:
    values = [2**60 + 1, 2**60 + 3, 2**60 + 12345]
    frame = pd.DataFrame({"n": np.array(values * 60, dtype=np.int64)})
    assert set(tiny_gan().fit(frame).sample(200)["n"]) == set(values)
    apart = pd.DataFrame({"n": np.array([2**60 + 1, -(2**60)] * 60, dtype=np.int64)})
    with pytest.raises(SchemaError, match=r"'n' spans more than 2\*\*53"):
        tiny_gan().fit(apart)


def test_case21_ordered_levels_and_unused_ones() -> None:
    grade = pd.Categorical(["b", "a"] * 100, categories=["c", "b", "a"], ordered=True)
    sample = tiny_gan().fit(with_column(grade)).sample(50)["bad"]
    assert list(sample.cat.categories) == ["c", "b", "a"]
    assert sample.cat.ordered


def test_case25_sample_sizes() -> None:
    gan = tiny_gan().fit(NUMBERS)
    empty = gan.sample(0)
    assert len(empty) == 0
    assert (empty.dtypes == NUMBERS.dtypes).all()
    for bad in (-1, 1.5, "a", True):
        with pytest.raises(ParameterError, match="n_samples"):
            gan.sample(bad)
    batches = gan.sample_iter(10**9, batch_rows=1000)
    assert next(batches).num_rows == 1000  # streamed: the rest is never drawn


def test_case26_conditions() -> None:
    frame = NUMBERS.assign(c=np.where(NUMBERS["x"] > 0, "up", "down"))
    gan = tiny_gan().fit(frame)
    for condition in ({"nope": 1}, {"c": "sideways"}, {"x": (99, 100)}, {"k": None}, {"c": (1, 2)}):
        with pytest.raises(ConditionError):
            gan.sample(5, conditions=condition)
    assert (gan.sample(333, conditions={"c": "up"})["c"] == "up").all()


def test_case27_drifted_schema() -> None:
    gan = tiny_gan().fit(NUMBERS.assign(c=["a", "b"] * 100))
    rows = NUMBERS.assign(c=["a", "b"] * 100)
    drifted = rows.drop(columns="x").assign(extra=1, k="text")
    with pytest.raises(DataError, match=r"'x' is missing.*'extra'.*'k' is"):
        gan.score_samples(drifted)
    with pytest.raises(DataError, match="'c' has levels"):
        gan.score_samples(rows.assign(c="never seen"))
    backwards = rows[rows.columns[::-1]]
    np.testing.assert_array_equal(gan.score_samples(backwards), gan.score_samples(rows))


def test_case28_before_fit() -> None:
    for call in ("sample", "impute", "score_samples", "describe", "save"):
        with pytest.raises(NotFittedError):
            getattr(TabularGAN(), call)(*([] if call in ("sample", "describe") else ["x"]))


def test_case29_second_fit_forgets_the_first() -> None:
    gan = tiny_gan().fit(NUMBERS.assign(extra="a")).fit(NUMBERS)
    pd.testing.assert_frame_equal(
        gan.sample(50, random_state=1), tiny_gan().fit(NUMBERS).sample(50, random_state=1)
    )


@pytest.mark.parametrize("name", ["min_count", "max_tokens", "width", "depth"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "x", 10**12])
def test_case30_parameters(name: str, value: object) -> None:
    with pytest.raises(ParameterError, match=name):
        TabularGAN(**{name: value}).fit(NUMBERS)


@pytest.mark.parametrize("value", [-1, float("nan"), 10**12])
@pytest.mark.parametrize("name", ["batch_size", "steps", "learning_rate", "ema", "fine_decay"])
def test_case30_training_options(name: str, value: float) -> None:
    with pytest.raises(ParameterError, match=name):
        TrainingOptions(**{name: value})


@pytest.mark.parametrize("value", ["soon", "-3s", 0, float("inf")])
def test_case30_max_time(value: object) -> None:
    with pytest.raises(ParameterError, match="max_time"):
        TabularGAN(max_time=value).fit(NUMBERS)


def test_case30_device() -> None:
    with pytest.raises(ParameterError, match="device"):
        TabularGAN(device="abacus").fit(NUMBERS)


def test_case50_messages_hold_no_cell() -> None:
    secret = "canary-7431"
    frames = [
        with_column(pd.Series([1, secret] * 100, dtype=object)),
        with_column([{"a": secret}] * 200),
        with_column([f"{secret} {i} is a long text about nothing much at all" for i in range(200)]),
    ]
    for frame in frames:
        with pytest.raises(SchemaError) as caught:
            tiny_gan().fit(frame)
        chain = [caught.value, caught.value.__cause__]
        assert not any(secret in str(error) for error in chain)
        assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_arrow_and_polars_come_back() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"x": [1.5, None] * 100, "c": ["a", "b"] * 100})
    gan = tiny_gan().fit(frame)
    sample = gan.sample(7)
    assert isinstance(sample, polars.DataFrame)
    assert sample.schema == frame.schema
    table = pa.table({"d": pa.array([1, 2] * 100, pa.date32()), "c": ["a", None] * 100})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = tiny_gan().fit(table).sample(7)
    assert drawn.schema == table.schema
