"""Images from arrays, folders and files, and back; and what is refused, naming what is wrong."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from synthgan.exceptions import DataError, DataWarning, ParameterError
from synthgan.images import contact_sheet, read_images, write_images, write_png

RNG = np.random.default_rng(0)
GRAY = RNG.integers(0, 256, (6, 9, 8), dtype=np.uint8)
RGB = RNG.integers(0, 256, (6, 9, 8, 3), dtype=np.uint8)
LABELS = np.array(["cat", "dog"] * 3)


@settings(max_examples=30, deadline=None)
@given(
    arrays.arrays(np.uint8, st.tuples(*[st.integers(1, 6)] * 3, st.sampled_from([1, 3]))),
    st.booleans(),
)
def test_folder_round_trip(tmp_path_factory, pixels, labelled):
    folder = tmp_path_factory.mktemp("images") / "set"
    labels = [f"class {k % 2}" for k in range(len(pixels))] if labelled else None
    paths = write_images(folder, pixels, labels)
    assert [path.exists() for path in paths] == [True] * len(pixels)
    back = read_images(folder)
    order = np.argsort(labels, kind="stable") if labelled else np.arange(len(pixels))
    assert (back.pixels == pixels[order]).all()
    assert (None if back.labels is None else back.labels.tolist()) == (
        sorted(labels) if labelled else None
    )


def test_arrays_stay_as_they_are():
    found = read_images(GRAY, LABELS)
    assert np.shares_memory(found.pixels, GRAY)
    assert (found.size, found.channels, len(found)) == ((9, 8), 1, 6)
    assert found.labels.tolist() == LABELS.tolist()
    assert found.take(np.array([1, 3])).labels.tolist() == ["dog", "dog"]
    assert read_images(found).pixels is found.pixels
    assert read_images(RGB).channels == 3
    assert read_images(list(GRAY)).pixels.tolist() == found.pixels.tolist()
    assert read_images([Image.fromarray(x) for x in RGB]).pixels.tolist() == RGB.tolist()


def test_npz_in_three_layouts(tmp_path):
    np.savez(tmp_path / "a.npz", images=GRAY, labels=LABELS)
    np.savez(tmp_path / "b.npz", x_train=GRAY, y_train=LABELS, x_test=GRAY[:2], y_test=LABELS[:2])
    medical = {"train_images": RGB, "train_labels": np.arange(6)[:, None], "test_images": RGB[:1]}
    np.savez(tmp_path / "c.npz", **medical, test_labels=np.zeros((1, 1), np.uint8))
    assert read_images(tmp_path / "a.npz").labels.tolist() == LABELS.tolist()
    assert len(read_images(tmp_path / "b.npz", split="test")) == 2
    found = read_images(str(tmp_path / "c.npz"))
    assert found.labels.tolist() == list(range(6))
    assert (found.pixels == RGB).all()
    several = np.eye(6, 3, dtype=np.uint8)  # more than one finding per image
    np.savez(tmp_path / "d.npz", train_images=RGB, train_labels=several)
    assert list(read_images(tmp_path / "d.npz").labels.columns) == ["label 0", "label 1", "label 2"]


def test_a_table_of_paths(tmp_path):
    paths = write_images(tmp_path / "set", GRAY)
    frame = pd.DataFrame({"path": [str(p.relative_to(tmp_path)) for p in paths], "kind": LABELS})
    frame.to_csv(tmp_path / "one.csv", index=False)
    frame.assign(age=np.arange(6)).to_parquet(tmp_path / "two.parquet")
    found = read_images(tmp_path / "one.csv")
    assert (found.pixels[..., 0] == GRAY).all()
    assert found.labels.tolist() == LABELS.tolist()
    assert list(read_images(tmp_path / "two.parquet").labels) == ["kind", "age"]
    frame.assign(path="gone.png").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=r"No such image: .*gone\.png"):
        read_images(tmp_path / "bad.csv")
    frame.drop(columns="path").to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match="no column 'path'"):
        read_images(tmp_path / "bad.csv")


def test_labels_of_every_form():
    vectors = RNG.normal(size=(6, 4))
    assert read_images(GRAY, vectors).labels.dtype == np.float64
    assert read_images(GRAY, np.eye(6, dtype=int)).labels.shape == (6, 6)
    attributes = pd.DataFrame({"kind": LABELS, 7: range(6)}, index=range(10, 16))
    found = read_images(GRAY, attributes)
    assert found.labels.columns.tolist() == ["kind", "7"]
    assert found.take(np.array([5])).labels["kind"].tolist() == ["dog"]
    assert read_images(GRAY, pd.Series(LABELS, dtype="category")).labels.tolist() == list(LABELS)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:4], "4 labels for 6 images"),
        (["a", None, "b", "a", "b", "a"], "Image 1 has a missing label"),
        (np.where(np.eye(6, 3) > 0, np.nan, 0.0), "Image 0 has a missing label"),
        (pd.DataFrame({"a": [1, 2, 3, None, 5, 6]}), "Image 3 has a missing label"),
        (np.zeros((6, 2, 2)), "one or two dimensions"),
        (np.array([["a", "b"]] * 6), "must be numbers, or a DataFrame"),
    ],
)
def test_case47_bad_labels(labels, message):
    with pytest.raises(DataError, match=message):
        read_images(GRAY, labels)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GRAY[:0], "no images"),
        ([], "no images"),
        (GRAY / 255, "float64, but must be uint8"),
        (RGB.transpose(0, 3, 1, 2), "channels first"),
        (GRAY[0], "must have shape"),
        (np.zeros((2, 8, 8, 2), np.uint8), "1, 3 or 4 channels"),
        ([GRAY[0], GRAY[1, :5]], r"image 1 is 5 x 8 gray, but image 0 is 9 x 8 gray.*size="),
        ([GRAY[0], RGB[0]], "image 1 is 9 x 8 RGB, but image 0 is 9 x 8 gray"),
        ([GRAY[0], np.zeros(3, np.uint8)], r"image 1 has shape \(3,\)"),
        (GRAY.astype(np.int64) * 1000, "int64 beyond 0 to 255"),
        (-GRAY.astype(np.int64), "int64 beyond 0 to 255"),
        ([3, 4], "image 0 is a int"),
        (7, "must be an array"),
        ("nowhere", "No such file"),
    ],
)
def test_case47_bad_images(images, message):
    with pytest.raises(DataError, match=message):
        read_images(images)


def test_case47_what_is_normalised_is_said_once():
    with pytest.warns(DataWarning, match="divided by 257") as caught:
        found = read_images(GRAY.astype(np.uint16) * 257)
    assert len(caught) == 1
    assert (found.pixels[..., 0] == GRAY).all()
    alpha = np.concatenate([RGB, np.full((*RGB.shape[:3], 1), 255, np.uint8)], axis=3)
    with pytest.warns(DataWarning, match="over black") as caught:
        assert (read_images([Image.fromarray(x) for x in alpha]).pixels == RGB).all()
    assert len(caught) == 1
    alpha[..., 3] = 0
    with pytest.warns(DataWarning, match="over black"):
        assert not read_images(alpha).pixels.any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_images(GRAY > 99).pixels.max() == 255  # two values need no warning
        assert (read_images(GRAY.astype(np.int32)).pixels[..., 0] == GRAY).all()


def test_the_type_alone_says_how_many_bits_there_are():
    """One bright image must not darken the others, of which a private fit promises nothing."""
    wide = GRAY.astype(np.int64)
    assert (read_images(wide).pixels == GRAY[..., None]).all()
    wide[0, 0, 0] = 256
    with pytest.raises(DataError, match="beyond 0 to 255"):
        read_images(wide)
    for order in "<>":
        with pytest.warns(DataWarning, match="divided by 257"):
            found = read_images((GRAY.astype(np.uint16) * 257).astype(f"{order}u2"))
        assert (found.pixels == GRAY[..., None]).all()


def test_lists_of_paths_and_of_arrays(tmp_path):
    paths = write_images(tmp_path / "set", GRAY)
    for source in (paths, [str(path) for path in paths], list(GRAY)):
        assert (read_images(source).pixels == GRAY[..., None]).all()


def test_missing_labels_in_a_list():
    with pytest.raises(DataError, match="Image 1 has a missing label"):
        read_images(GRAY[:3], ["cat", float("nan"), "dog"])
    with pytest.raises(DataError, match="Image 2 has a missing label"):
        read_images(GRAY[:3], [1, 2, None])


def test_what_lies_beside_the_classes(tmp_path):
    write_images(tmp_path / "set", GRAY, LABELS)
    (tmp_path / "set" / ".ipynb_checkpoints").mkdir()
    (tmp_path / "set" / "cat" / "._0.png").write_bytes(b"no image")
    assert len(read_images(tmp_path / "set")) == len(GRAY)
    write_png(tmp_path / "set" / "stray.png", GRAY[0][..., None])
    with pytest.raises(DataError, match="beside the folders"):
        read_images(tmp_path / "set")
    with pytest.raises(DataError, match="share a folder"):
        write_images(tmp_path / "more", GRAY[:2], ["a/b", "a_b"])


def test_a_failed_read_leaves_warnings_alone(tmp_path):
    for k, side in enumerate((8, 9)):
        write_png(tmp_path / f"{k}.png", np.zeros((side, side, 1), np.uint8))
    with pytest.raises(DataError, match="to make them alike"):
        read_images(tmp_path)
    with pytest.warns(UserWarning, match="still heard"):
        warnings.warn("still heard", stacklevel=1)


def test_sizes_and_colours_are_changed_only_on_demand(tmp_path):
    tall = np.zeros((20, 10), np.uint8)
    tall[:5] = 255  # a bright top, which a centre crop loses
    for name, image in (("a", tall), ("b", GRAY[0])):
        write_png(tmp_path / f"{name}.png", image)
    with pytest.raises(DataError, match=r"b\.png is 9 x 8 gray, but .*a\.png is 20 x 10 gray"):
        read_images(tmp_path)
    parts = {
        fit: read_images(tmp_path, size=10, fit=fit).pixels for fit in ("crop", "pad", "stretch")
    }
    assert all(part.shape == (2, 10, 10, 1) for part in parts.values())
    assert parts["crop"][0].mean() < 5
    assert 20 < parts["pad"][0, :, :, 0].mean() < 45
    assert parts["stretch"][0].mean() == pytest.approx(255 / 4, abs=3)
    assert read_images(GRAY, gray=False).pixels.shape == (6, 9, 8, 3)
    mixed = read_images([GRAY[0], RGB[0]], gray=True)
    assert (mixed.pixels[0, ..., 0] == GRAY[0]).all()
    as_pillow = np.asarray(Image.fromarray(RGB[0]).convert("L")).astype(int)
    assert abs(mixed.pixels[1, ..., 0].astype(int) - as_pillow).max() <= 1
    assert read_images(GRAY, size=(4, 6)).pixels.shape == (6, 4, 6, 1)


@pytest.mark.parametrize("arguments", [{"size": 0}, {"size": (1, 2, 3)}, {"fit": "squeeze"}])
def test_bad_arguments(arguments):
    with pytest.raises(ParameterError):
        read_images(GRAY, **arguments)


def test_case47_files_that_are_no_images(tmp_path):
    (tmp_path / "good.png").write_bytes(b"")
    write_png(tmp_path / "good.png", GRAY[0])
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "half.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"half\.png is no image"):
        read_images(tmp_path)
    (tmp_path / "half.png").write_text("not an image")
    with pytest.raises(DataError, match=r"half\.png is no image"):
        read_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="'empty' has no images"):
        read_images(tmp_path)


def test_case39_a_bomb_is_not_opened(tmp_path, monkeypatch):
    write_png(tmp_path / "large.png", np.zeros((100, 100), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 6000)  # beyond: a warning, an error at twice it
    with pytest.raises(DataError, match="more pixels than Pillow takes for safe"):
        read_images(tmp_path)
    monkeypatch.setattr("synthgan.images.reading.MAX_BYTES", 1000)
    np.savez(tmp_path / "large.npz", images=np.zeros((10, 20, 20), np.uint8))
    with pytest.raises(DataError, match="more than is read"):
        read_images(tmp_path / "large.npz")


def test_case38_bad_npz(tmp_path):
    np.savez(tmp_path / "a.npz", images=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="cannot be read"):  # a pickle
        read_images(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", something=GRAY)
    with pytest.raises(DataError, match=r"holds something; no images of the split 'train'"):
        read_images(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"zip")
    with pytest.raises(DataError, match="cannot be read"):
        read_images(tmp_path / "a.npz")


def test_contact_sheet_and_png(tmp_path):
    sheet = contact_sheet(RGB, columns=4, scale=2, gap=3)
    assert sheet.shape == (2 * 18 + 3, 4 * 16 + 9, 3)
    assert (sheet[:18:2, :16:2] == RGB[0]).all()
    assert (sheet[-1, -1] == 255).all()
    write_png(tmp_path / "sheet.png", sheet)
    assert (np.asarray(Image.open(tmp_path / "sheet.png")) == sheet).all()
    with pytest.raises(DataError, match="Cannot write"):
        write_png(tmp_path / "no" / "sheet.png", sheet)


def test_folders_are_whole_or_absent(tmp_path, monkeypatch):
    write_images(tmp_path / "set", GRAY, ["../up", "a/b", "..", "ok", "ok", "ok"])
    assert sorted(p.name for p in (tmp_path / "set").iterdir()) == ["_", "_up", "a_b", "ok"]
    with pytest.raises(DataError, match="not an empty folder"):
        write_images(tmp_path / "set", GRAY)

    def fail(path: Path, image: np.ndarray) -> None:
        raise DataError("disk full")

    monkeypatch.setattr("synthgan.images.writing.write_png", fail)
    with pytest.raises(DataError, match="disk full"):
        write_images(tmp_path / "other", GRAY)
    assert [p.name for p in tmp_path.iterdir()] == ["set"]
