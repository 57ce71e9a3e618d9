"""The search for a turn, reflection or negative."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits

from synthgan.alignment import ALIGNMENTS, aligned, find_alignment

DIGITS = (load_digits().images * 15.9375).astype(np.uint8)[..., None]
#: With a gray ground on one side, no turn or reflection of them looks like another.
MARKED = DIGITS.copy()
MARKED[:, 6:, :5] //= 2
MARKED[:, 6:, :5] += 90


def images():
    shape = st.tuples(*[st.integers(1, 5)] * 3, st.sampled_from([1, 3]))
    return shape.flatmap(lambda s: hnp.arrays(np.uint8, s))


@given(images(), st.sampled_from(ALIGNMENTS))
def test_back_is_the_inverse(pixels, name):
    there = aligned(pixels, name)
    assert there.dtype == np.uint8
    np.testing.assert_array_equal(aligned(there, name, back=True), pixels)


def test_names_say_what_is_done():
    image = np.array([[1, 2], [3, 4]], np.uint8)[None, :, :, None]

    def shown(name):
        return aligned(image, name)[0, :, :, 0].tolist()

    assert len(set(ALIGNMENTS)) == 16
    assert shown("none") == [[1, 2], [3, 4]]
    assert shown("turned 90") == [[2, 4], [1, 3]]
    assert shown("mirrored") == [[2, 1], [4, 3]]
    assert shown("negative mirrored turned 180") == [[252, 251], [254, 253]]
    assert len({str(shown(name)) for name in ALIGNMENTS}) == 16


@pytest.mark.parametrize("name", ALIGNMENTS)
def test_it_is_found_between_sets_without_pairs(name):
    assert find_alignment(MARKED[:900], aligned(MARKED[900:], name), 0) == name


def test_what_is_no_alignment_is_left_alone():
    assert find_alignment(DIGITS[:900], DIGITS[900:], 0) == "none"
    assert find_alignment(DIGITS[:900], DIGITS[900:] // 2, 0) == "none"
    noise = np.random.default_rng(0).integers(0, 256, DIGITS.shape, dtype=np.uint8)
    assert find_alignment(DIGITS, noise, 0) == "none"
    assert find_alignment(DIGITS[:1], DIGITS[1:2], 0) in ALIGNMENTS


def test_sizes_and_channels():
    wide = np.concatenate([MARKED, MARKED // 3], axis=2)
    assert find_alignment(wide[:900], 255 - wide[900:], 0) == "negative"
    coloured = np.repeat(255 - MARKED[900:], 3, axis=3)
    assert find_alignment(MARKED[:900], coloured, 0) == "negative"
