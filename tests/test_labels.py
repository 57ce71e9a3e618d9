"""Classes, attributes and vectors: encoded, drawn, refused, stored."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan._runtime import numpy_generator
from synthgan.encoding.labels import ConditionCoder
from synthgan.exceptions import ConditionError, DataError, ModelFileError

RNG = numpy_generator(0, "tests")
ATTRIBUTES = pd.DataFrame({"kind": ["cat", "dog"] * 10, "age": [1, 1, 2, 2] * 5})


def fit(labels):
    return ConditionCoder.fit(labels if isinstance(labels, pd.DataFrame) else np.asarray(labels))


@settings(max_examples=50, deadline=None)
@given(
    st.one_of(
        st.lists(st.integers(-5, 5), min_size=1, max_size=9),
        st.lists(st.text(max_size=4), min_size=1, max_size=9),
        st.lists(st.booleans(), min_size=1, max_size=9),
    )
)
def test_classes_come_back(levels):
    labels = np.array(levels * 2, dtype=object)
    coder = fit(labels)
    assert coder.classes == sorted(set(levels))
    codes = coder.encode(labels)
    assert codes.shape == (len(labels), coder.width)
    assert codes.dtype == np.float32
    assert [coder.classes[k] for k in codes.argmax(axis=1)] == levels * 2
    again = ConditionCoder.from_dict(json.loads(json.dumps(coder.to_dict())))
    assert (again.encode(labels) == codes).all()
    assert set(again.choose(20, None, RNG)) <= set(levels)


def test_classes_are_drawn_as_often_as_seen():
    coder = fit([0] * 75 + [1] * 25)
    drawn = coder.choose(4000, None, RNG)
    assert abs(drawn.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    assert coder.choose(None, None, RNG).shape == (1,)
    assert coder.choose(3, 1, RNG).tolist() == [1, 1, 1]
    assert coder.choose(None, [0, 1], RNG).tolist() == [0, 1]
    assert coder.choose(2, np.int64(1), RNG).tolist() == [1, 1]
    assert coder.choose(2, 1.0, RNG).tolist() == [1, 1]


def test_attributes():
    coder = fit(ATTRIBUTES)
    assert coder.width == 4
    assert coder.encode(ATTRIBUTES).sum(axis=1).tolist() == [2.0] * 20
    drawn = coder.choose(500, {"kind": "cat"}, RNG)
    assert (drawn["kind"] == "cat").all()
    assert set(drawn["age"]) == {1, 2}
    assert coder.choose(None, ATTRIBUTES.head(3), RNG).equals(ATTRIBUTES.head(3))
    with pytest.raises(ConditionError, match="No attribute 'colour'; known: kind, age"):
        coder.choose(1, {"colour": "red"}, RNG)
    with pytest.raises(ConditionError, match="dict of attributes, or a DataFrame"):
        coder.choose(1, ["cat"], RNG)
    with pytest.raises(ConditionError, match="must have the columns kind, age"):
        coder.choose(None, ATTRIBUTES[["kind"]], RNG)


def test_combinations_of_one_image_are_never_drawn():
    rare = pd.concat([ATTRIBUTES, pd.DataFrame({"kind": ["fox"], "age": [1]})])
    coder = fit(rare)
    assert "fox" not in set(coder.choose(500, None, RNG)["kind"])
    with pytest.raises(ConditionError, match="No images with all these attributes"):
        coder.choose(1, {"kind": "fox"}, RNG)


def test_vectors_are_scaled_and_not_kept():
    vectors = np.random.default_rng(0).normal(3, 5, (200, 4))
    vectors[:, 3] = 7.0
    coder = fit(vectors)
    codes = coder.encode(vectors)
    np.testing.assert_allclose(codes[:, :3].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(codes[:, :3].std(axis=0), 1, atol=1e-5)
    assert not codes[:, 3].any()
    assert coder.choose(3, vectors[0], RNG).shape == (3, 4)
    assert coder.choose(None, vectors[:5], RNG).shape == (5, 4)
    with pytest.raises(ConditionError, match="which are not kept"):
        coder.choose(3, None, RNG)
    with pytest.raises(ConditionError, match=r"shape \(images, 4\)"):
        coder.encode(vectors[:, :3])
    with pytest.raises(ConditionError, match="finite"):
        coder.encode(np.full((1, 4), np.nan))
    stored = json.dumps(coder.to_dict())
    assert not any(str(value) in stored for value in vectors[:, :3].ravel())


def test_no_labels():
    coder = ConditionCoder.fit(None)
    assert (coder.width, coder.kind) == (0, "none")
    assert coder.choose(3, None, RNG).shape == (3, 0)
    with pytest.raises(ConditionError, match="without labels"):
        coder.choose(3, 1, RNG)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a", "a", "b"], "A class has a single image"),
        (np.array([1, 1, "a", "a"], dtype=object), "mix text and numbers"),
        (np.repeat(np.arange(2000), 2), "2000 levels, more than 1000"),
        (np.array([pd.Timestamp(0)] * 4, dtype=object), "text, numbers or booleans"),
        (pd.DataFrame({"a": range(4)}), "No two images have the same attributes"),
        (np.empty((4, 0)), "1 to 4096 numbers"),
    ],
)
def test_labels_that_cannot_be_learned(labels, message):
    with pytest.raises(DataError, match=message):
        fit(labels)


def test_what_is_asked_for_must_be_known():
    coder = fit(list("abab"))
    with pytest.raises(ConditionError, match="'c' is none of the classes: 'a', 'b'"):
        coder.choose(1, "c", RNG)
    with pytest.raises(ConditionError, match="3 images are asked for, with labels for 2"):
        coder.choose(3, ["a", "b"], RNG)
    many = fit(list(range(50)) * 2)
    with pytest.raises(ConditionError, match=r"8, 9, \.\.\.\.$"):
        many.choose(1, 99, RNG)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"},
        {"combinations": [[[5], 1.0]]},
        {"combinations": [[[0, 0], 1.0]]},
        {"combinations": [[[0], -1.0]]},
        {"centre": [1.0]},
        {"centre": [1.0], "scale": [0.0]},
    ],
)
def test_damaged_coders_are_refused(change):
    with pytest.raises(ModelFileError, match="contradict"):
        ConditionCoder.from_dict({**fit(list("abab")).to_dict(), **change})
