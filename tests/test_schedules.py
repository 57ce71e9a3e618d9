"""Splits are partitions, and keep apart what depends on each other."""

from itertools import combinations, product
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthgan import schedules
from synthgan._runtime import numpy_generator
from synthgan.exceptions import ModelFileError
from synthgan.schedules import Schedule, _split, group_sizes, random_groups


def inside(dependence, groups):
    return sum(dependence[np.ix_(g, g)].sum() / 2 for g in groups)


def some_dependence(n, seed=0):
    found = np.random.default_rng(seed).gamma(0.3, size=(n, n)).astype(np.float32)
    found = found + found.T
    np.fill_diagonal(found, 0)
    return found


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 40), st.integers(1, 50), st.integers(0, 5), st.booleans(), st.data())
def test_every_column_is_in_one_group(n, steps, seed, begun, data):
    schedule = Schedule(some_dependence(n, seed), some_dependence(n, seed + 1))
    columns = data.draw(st.lists(st.integers(0, n - 1), unique=True, min_size=1))
    for split in (schedule.groups, schedule.split):
        groups = split(columns, steps, numpy_generator(seed, "order"), begun=begun)
        assert sorted(j for group in groups for j in group) == sorted(columns)
        lengths = [len(group) for group in groups]
        assert len(groups) == min(steps, len(columns))
        later = lengths if begun else lengths[1:]
        assert max(later, default=1) - min(later, default=1) <= 1
        assert max(later, default=1) <= lengths[0] + begun
        share = -(-len(columns) // len(groups))
        assert len(groups) == 1 or lengths[0] <= max(share, min(2 * share, len(columns) // 2))


@pytest.mark.parametrize(
    ("columns", "steps", "sizes"),
    [
        (12, 4, [6, 2, 2, 2]),
        (15, 4, [7, 3, 3, 2]),
        (11, 5, [4, 2, 2, 2, 1]),
        (5, 4, [2, 1, 1, 1]),
        (12, 12, [1] * 12),
        (11, 2, [6, 5]),
    ],
)
def test_the_first_group_is_the_largest(columns, steps, sizes):
    assert group_sizes(columns, steps, begun=False) == sizes
    schedule = Schedule(some_dependence(columns), some_dependence(columns, 1))
    for split in (schedule.groups, schedule.split):
        draw = numpy_generator(0, "order")
        found = [list(map(len, split(range(columns), steps, draw, begun=False))) for _ in range(9)]
        assert all(sorted(lengths, reverse=True) == sizes for lengths in found)
        assert all(lengths[0] == sizes[0] for lengths in found)
        firsts = {len(split(range(columns), steps, draw, begun=True)[0]) for _ in range(50)}
        assert firsts == {columns // steps, -(-columns // steps)}


@pytest.mark.parametrize("kind", [0, 1])
def test_dependent_columns_are_apart(kind):
    """Of 200 random splits the best keeps more inside than the worst of the pool."""
    dependence = some_dependence(15)
    kinds = [np.zeros_like(dependence)] * 2
    kinds[kind] = dependence
    schedule = Schedule(*kinds)
    draw = numpy_generator(0, "random")
    by_chance = [inside(dependence, random_groups(range(15), 4, draw)) for _ in range(200)]
    pool = schedule.pool(range(15), 4, begun=True)
    assert max(inside(dependence, groups) for groups in pool) < min(by_chance)
    assert len({str(sorted(groups)) for groups in pool}) > 3


@settings(max_examples=40, deadline=None)
@given(st.integers(4, 10), st.integers(2, 4), st.integers(0, 99))
def test_no_swap_of_two_columns_makes_a_split_better(n, steps, seed):
    """What counts in the first group is not what counts in the others."""
    sizes = group_sizes(n, min(steps, n - 1), begun=False)
    first, later = some_dependence(n, seed), some_dependence(n, seed + 1000)

    def lost(groups):
        return inside(first, groups[:1]) + inside(later, groups[1:])

    with mock.patch.object(schedules, "_SWEEPS", 50):
        found = [g.tolist() for g in _split(first, later, sizes, numpy_generator(seed, "split"))]
    assert [len(group) for group in found] == sizes
    best = lost(found)
    for one, other in combinations(found, 2):
        for a, b in product(one, other):
            places = {a: b, b: a}
            swapped = [[places.get(j, j) for j in group] for group in found]
            assert lost(swapped) > best - 1e-4


@pytest.mark.parametrize("begun", [False, True])
def test_what_counts_where(begun):
    """Half of what columns say alone in the first group, if nothing is known; else both kinds."""
    alone, given = some_dependence(9), some_dependence(9, 1)
    columns = [1, 2, 4, 5, 8]
    cells = np.ix_(columns, columns)
    with mock.patch.object(schedules, "_split", wraps=_split) as split:
        Schedule(alone, given).split(columns, 2, numpy_generator(0, "split"), begun=begun)
    first, later, sizes, _ = split.call_args.args
    np.testing.assert_array_equal(later, (alone + given)[cells])
    np.testing.assert_array_equal(first, later if begun else alone[cells] / 2)
    assert sizes == [3, 2]


def test_twins_never_meet():
    dependence = np.zeros((8, 8), np.float32)
    for a in range(0, 8, 2):
        dependence[a, a + 1] = dependence[a + 1, a] = 1
    pool = Schedule(dependence, dependence).pool(range(8), 2, begun=True)
    assert all(inside(dependence, groups) == 0 for groups in pool)


def test_the_first_group_has_what_is_independent_until_others_are_known():
    """Four columns say nothing alone, and much once others are known: they come first, together."""
    alone, given = np.zeros((2, 12, 12), np.float32)
    given[:4] = given[:, :4] = 0.2
    alone[4:, 4:] = 0.1
    for table in (alone, given):
        np.fill_diagonal(table, 0)
    for groups in Schedule(alone, given).pool(range(12), 4, begun=False):
        assert set(range(4)) < set(groups[0])
        assert len(groups[0]) == 6


def test_the_pool_is_the_same_in_every_process_and_the_order_is_not():
    one, two = (Schedule(some_dependence(9), some_dependence(9, 1)) for _ in range(2))
    assert one.pool(range(9), 3, begun=False) == two.pool(range(9), 3, begun=False)
    orders = [numpy_generator(k, "order") for k in range(20)]
    seen = {str(one.groups(range(9), 3, order, begun=False)) for order in orders}
    assert len(seen) > 4


def test_a_damaged_schedule_is_refused():
    good = np.stack([some_dependence(4), some_dependence(4, 1)]).astype(np.float16)
    np.testing.assert_array_equal(Schedule.from_array(good, 4).to_array(), good)
    for bad in (good[0], good[:, :3], -good, good * np.float16(np.nan)):
        with pytest.raises(ModelFileError, match="damaged"):
            Schedule.from_array(bad, 4)
