"""Model files: whole or refused, and nothing of the training rows inside."""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from fixtures import mixed_table, tiny_gan
from sklearn.base import clone

from synthgan import TabularGAN, infer_schema, load_model
from synthgan.exceptions import DataError, ModelFileError
from synthgan.storage import read_model, write_model


@pytest.fixture(scope="module")
def saved(gan: TabularGAN, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "m.synthgan"
    gan.save(path)
    return path


def test_round_trip(gan: TabularGAN, saved: Path) -> None:
    loaded = load_model(saved)
    pd.testing.assert_frame_equal(
        loaded.sample(700, random_state=3), gan.sample(700, random_state=3)
    )
    assert loaded.describe() == gan.describe()
    assert loaded.schema_ == gan.schema_
    assert loaded.history_ == gan.history_


def test_what_columns_say_about_each_other_is_learned_and_kept(
    adult_gan: TabularGAN, adult: pd.DataFrame, tmp_path: Path
) -> None:
    adult_gan.save(tmp_path / "m.synthgan")
    loaded = load_model(tmp_path / "m.synthgan")
    names = list(adult)
    pair, other = ["marital_status", "relationship"], ["race", "capital_loss"]
    for model in (adult_gan, loaded):
        assert isinstance(model, TabularGAN)
        schedule = model._networks.schedule
        assert schedule is not None
        for table in (schedule.alone, schedule.given):
            told, untold = (table[names.index(a), names.index(b)] for a, b in (pair, other))
            assert told > 0.2
            assert untold < 0.05
        assert (schedule.alone != schedule.given).any()


def test_same_model_same_bytes(gan: TabularGAN, saved: Path, tmp_path: Path) -> None:
    load_model(saved).save(tmp_path / "again.synthgan")
    assert (tmp_path / "again.synthgan").read_bytes() == saved.read_bytes()


@pytest.mark.filterwarnings("ignore::synthgan.exceptions.DataWarning")
def test_case50_no_canary_in_any_byte(tmp_path: Path) -> None:
    frame = mixed_table()
    number, amount = 714_253_647_586_970, 1234.56789012345
    frame.loc[5, "city"] = "canary-city"
    frame.loc[6, "patient"] = "canary-patient"
    frame["count"] = np.arange(300) % 100
    frame.loc[7, "count"] = number
    frame.loc[8, "income"] = amount
    path = tmp_path / "m.synthgan"
    tiny_gan().fit(frame).save(path)
    data = path.read_bytes()
    for text in ("canary", str(number), str(amount)):
        assert text.encode() not in data
        assert text.encode("utf-16-le") not in data
    for kind in (np.int64, np.float64, np.float32):
        for value in (number, amount):
            assert np.array(value).astype(kind).tobytes() not in data
    for patient in frame["patient"]:
        assert patient.encode() not in data


def refuse(path: Path) -> None:
    with pytest.raises(ModelFileError):
        load_model(path)


def test_case38_truncated_and_flipped(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    path = tmp_path / "m.synthgan"
    for size in np.linspace(0, len(data) - 1, 25).astype(int):
        path.write_bytes(data[:size])
        refuse(path)
    rng = np.random.default_rng(0)
    for place in [*range(40), *rng.integers(0, len(data), 60)]:
        flipped = bytearray(data)
        flipped[place] ^= 0xFF
        path.write_bytes(flipped)
        try:
            loaded = load_model(path)  # a zip has a few bytes that say nothing
        except ModelFileError:
            continue
        assert loaded.describe() == load_model(saved).describe()


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewrite(path: Path, change: Callable[[dict, dict], None], saved: Path) -> None:
    """Write a file with other contents and right checksums."""
    model, tensors = read_model(saved)
    change(model, tensors)
    write_model(path, model, tensors)


CHANGES: dict[str, Callable[[dict, dict], object]] = {
    "unknown estimator": lambda m, t: m.update(estimator="os.system"),
    "huge width": lambda m, t: m["network"].update(width=10**9),
    "wrong depth": lambda m, t: m["network"].update(depth=7),
    "missing tensor": lambda m, t: t.pop("generator.bias"),
    "wrong shape": lambda m, t: t.update({"generator.bias": np.zeros(3, np.float32)}),
    "no schema": lambda m, t: m.pop("schema"),
    "schema of another kind": lambda m, t: m.update(schema=[1, 2]),
    "unknown encoder": lambda m, t: m["encoder"][0].update(coder="eval"),
    "too few encoders": lambda m, t: m["encoder"].pop(),
    "not a number": lambda m, t: t["generator.bias"].__setitem__(0, np.nan),
    "column of another type": lambda m, t: m["schema"]["columns"][0].update(kind={}),
    "too few labels": lambda m, t: m["container"]["labels"].pop(),
    "label that is no label": lambda m, t: m["container"]["labels"].__setitem__(0, []),
    "unknown dtype": lambda m, t: m["container"]["dtypes"].__setitem__(0, "x"),
    "unknown table": lambda m, t: m["container"].update(kind="x"),
    "endless key": lambda m, t: m["encoder"][0].update(pattern=["=" + "x" * 10**6]),
    "huge decimals": lambda m, t: m["encoder"][1]["scale"].update(decimals=2**70),
}


@pytest.mark.parametrize("name", CHANGES)
def test_case38_inconsistent_content(name: str, saved: Path, tmp_path: Path) -> None:
    rewrite(tmp_path / "m.synthgan", CHANGES[name], saved)
    refuse(tmp_path / "m.synthgan")


@pytest.mark.parametrize("name", ["checkpoint", "callbacks", "schema", "device"])
def test_case38_parameters_that_are_never_stored(name: str, saved: Path, tmp_path: Path) -> None:
    path, other = tmp_path / "m.synthgan", tmp_path / "other"
    other.write_text("not to be removed by save, as a checkpoint is")
    rewrite(path, lambda m, t: m["parameters"].update({name: str(other)}), saved)
    refuse(path)
    assert other.exists()


def test_dates_in_a_schema(tmp_path: Path) -> None:
    days = [dt.date(2024, 1, 1), dt.date(2024, 1, 2)]
    frame = pd.DataFrame({"day": pd.Categorical(days * 50, ordered=True), "x": np.arange(100.0)})
    schema = infer_schema(frame).replace("x", bounds=(np.int64(0), np.float32(99)))
    gan = tiny_gan(schema=schema).fit(frame)
    gan.save(tmp_path / "m.synthgan")
    loaded = load_model(tmp_path / "m.synthgan")
    assert set(loaded.sample(50)["day"]) <= set(days)
    assert loaded.schema_["day"].levels == ("2024-01-01", "2024-01-02")


def test_case38_foreign_files(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.synthgan"
    refuse(path)
    refuse(tmp_path)
    for content in (b"", b"PK\x03\x04", pickle.dumps({"a": 1}), b"x" * 1000):
        path.write_bytes(content)
        refuse(path)
    parts = parts_of(saved)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in parts.items():
            archive.writestr(name, data)
    refuse(path)
    for extra in ("../evil.py", "/etc/passwd", "model.pkl"):
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in [*parts.items(), (extra, b"x")]:
                archive.writestr(name, data)
        refuse(path)
    manifest = json.loads(parts["manifest.json"])
    manifest["format"] = 99
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**parts, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    with pytest.raises(ModelFileError, match="upgrade"):
        load_model(path)


def test_oversized_tensor_header(saved: Path, tmp_path: Path) -> None:
    data = safetensors.numpy.save({"a": np.zeros(2)})
    assert int.from_bytes(data[:8], "little") < 2**20
    from synthgan.storage import _parse_tensors

    with pytest.raises(ModelFileError, match="header"):
        _parse_tensors((2**40).to_bytes(8, "little") + data[8:], saved)


def test_failed_write_leaves_the_old_file(gan: TabularGAN, saved: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sub"
    folder.mkdir()
    with pytest.raises(DataError, match="Cannot write"):
        gan.save(folder)
    with pytest.raises(DataError, match="Cannot write"):
        gan.save(tmp_path / "nowhere" / "m.synthgan")
    assert os.listdir(tmp_path) == ["sub"]
    assert not os.listdir(folder)


def test_clone_and_pickle(gan: TabularGAN) -> None:
    assert clone(gan).get_params() == gan.get_params()
    assert not hasattr(clone(gan), "generator_")
    copy = pickle.loads(pickle.dumps(gan))  # as joblib does between processes
    pd.testing.assert_frame_equal(copy.sample(9, random_state=0), gan.sample(9, random_state=0))
