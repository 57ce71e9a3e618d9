"""Dependence of columns, alone and given others, agrees with what is known of made tables."""

import time
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from synthgan import dependence
from synthgan.dependence import coarse, conditional_information, mutual_information
from synthgan.networks.mixtures import MixtureGenerator
from synthgan.networks.predictor import Predictor
from synthgan.runs import Deadline


@pytest.mark.parametrize("rows", [500, 30_000])
def test_mutual_information(rows):
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, rows)
    b = np.where(rng.random(rows) < 0.7, a, rng.integers(0, 4, rows))
    codes = np.column_stack([a, b, rng.integers(0, 3, rows)])
    found = mutual_information(codes, (4, 4, 3), 0)
    assert found[0, 1] == pytest.approx(mutual_info_score(a, b), abs=0.05)
    assert found[0, 2] < 0.01
    np.testing.assert_array_equal(found, found.T)
    assert not found.diagonal().any()


def test_dependence_of_many_columns_is_computed_in_parts():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (2000, 130))
    codes[:, 129] = codes[:, 0]
    found = mutual_information(codes, (3,) * 130, 0)
    assert found[0, 129] > 1
    assert found[129, 0] == found[0, 129]
    found[0, 129] = found[129, 0] = 0
    assert found.max() < 0.02


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 300), st.integers(2, 20), st.integers(0, 99))
def test_groups_of_tokens_are_neighbours(size, levels, seed):
    tokens = np.random.default_rng(seed).integers(0, size, 1000)
    groups = coarse(tokens, size, levels)
    assert len(groups) == size
    assert groups.max() < levels or size <= levels
    assert (np.diff(groups) >= 0).all()


def parity(extra):
    """Two coins, their parity, and further coins, as a mixture that knows all, and its rows."""
    n = 3 + extra
    rows = np.array([[a, b, a ^ b] for a in (0, 1) for b in (0, 1)])
    generator = MixtureGenerator((2,) * n, 4)
    with torch.no_grad():
        for j in range(3):
            generator.table[torch.arange(4), torch.from_numpy(2 * j + rows[:, j])] = 20.0
    rng = np.random.default_rng(0)
    tokens = np.column_stack([rows[rng.integers(4, size=2000)], rng.integers(0, 2, (2000, extra))])
    return Predictor(generator, None), tokens


def test_two_coins_are_dependent_once_their_parity_is_known():
    predictor, tokens = parity(0)
    assert mutual_information(tokens, (2,) * 3, 0).max() < 0.005
    found = conditional_information(predictor, torch.from_numpy(tokens), 0)
    np.testing.assert_allclose(found, np.log(2) * (1 - np.eye(3)), atol=0.001)


def test_what_is_said_given_others_is_a_mean_over_what_they_are():
    """One of four coins is visible, or two: others say something if it is the right one."""
    predictor, tokens = parity(1)
    found = conditional_information(predictor, torch.from_numpy(tokens), 0)
    pairs = found[np.triu_indices(3, 1)]
    assert (pairs > 0.3 * np.log(2)).all()
    assert (pairs < 0.95 * np.log(2)).all()
    assert found[3].max() < 0.001
    np.testing.assert_array_equal(found, found.T)
    assert not found.diagonal().any()
    again = conditional_information(predictor, torch.from_numpy(tokens), 0)
    np.testing.assert_array_equal(found, again)


def test_columns_are_revealed_a_few_at_a_time_and_pairs_are_met():
    """Among 33 columns, and in a set for each second column."""
    predictor, tokens = parity(30)
    found = conditional_information(predictor, torch.from_numpy(tokens), 0)
    pairs = found[np.triu_indices(3, 1)]
    assert (pairs > 0.1 * np.log(2)).all()
    assert found[3:].max() < 0.01


def test_after_a_deadline_few_sets_are_tried_and_pairs_never_met_are_like_others():
    predictor, tokens = parity(9)
    rows = torch.from_numpy(tokens[:100])
    passed = Deadline(time.monotonic() - 10, 1.0)
    found = conditional_information(predictor, rows, 0, passed)
    whole = conditional_information(predictor, rows, 0, Deadline(time.monotonic(), 1000.0))
    assert (found != whole).any()
    with mock.patch.object(dependence, "_SETS", 8):
        np.testing.assert_array_equal(found, conditional_information(predictor, rows, 0))
    with mock.patch.object(dependence, "_SETS", 1):
        one = [conditional_information(predictor, rows, seed) for seed in range(20)]
    found = next(table for table in one if table.max() > 0.6)  # a set with one of the three coins
    pairs = found[np.triu_indices(12, 1)]
    values, counts = np.unique(pairs[pairs > 0], return_counts=True)
    unmet = values[counts.argmax()]
    assert counts.max() > 10
    assert unmet == pytest.approx(pairs[pairs != unmet].mean(), rel=0.01)


def test_large_columns_are_tried_on_fewer_rows():
    sizes = (70_000, 3, 3)
    generator = MixtureGenerator(sizes, 2)
    generator.reset(torch.Generator().manual_seed(0), torch.full((sum(sizes),), 1e-3))
    predictor, tokens = Predictor(generator, None), torch.zeros(1000, 3, dtype=torch.long)
    with mock.patch.object(predictor, "features", wraps=predictor.features) as features:
        conditional_information(predictor, tokens, 0)
    seen = {len(call.args[0]) for call in features.call_args_list}
    assert seen == {64, 512}  # where the large column is hidden, and where it is given


@pytest.mark.parametrize("n", [1, 2, 151])
def test_nothing_is_said_given_others_where_there_are_none_or_too_many(n):
    generator = MixtureGenerator((2,) * n, 4)
    generator.reset(torch.Generator().manual_seed(0), torch.full((2 * n,), 0.5))
    tokens = torch.zeros(10, n, dtype=torch.long)
    found = conditional_information(Predictor(generator, None), tokens, 0)
    assert found.shape == (n, n)
    assert not found.any()
