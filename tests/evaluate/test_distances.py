import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.distances import Space, nearest, row_budget
from synthgan.evaluate.tables import read_tables


def read(train, rows):
    tables = read_tables(train, rows)
    return Space(tables.train), tables.synthetic, tables.train


def test_counted_by_hand():
    train = pd.DataFrame({"x": [0.0, 10.0], "c": ["a", "b"], "m": [0.0, 2.0]})
    rows = pd.DataFrame({"x": [1.0, np.nan], "c": ["b", None], "m": [1.0, np.nan]})
    space, rows, train = read(train, rows)
    # first row: to (0, a, 0) 0.1 + 1 + 0.5; to (10, b, 2) 0.9 + 0 + 0.5. Second: 1 + 1 + 1.
    found, places = nearest(space, rows, train, 2)
    assert found == pytest.approx(np.array([[1.4, 1.6], [3.0, 3.0]]), abs=1e-6)
    assert places[0].tolist() == [1, 0]
    assert nearest(space, rows, rows)[0][:, 0].tolist() == [0.0, 0.0]
    only_x = nearest(space, rows, train, columns=np.array([0]))[0]
    assert only_x[:, 0].tolist() == pytest.approx([0.1, 1.0])


def test_agrees_with_a_slow_reference(people, other_people):
    space, rows, train = read(people, other_people.head(300))
    found, places = nearest(space, rows, train, 3)
    a, b = space.scaled(rows), space.scaled(train)
    for i in (0, 7, 299):
        distance = np.zeros(len(b))
        for k, code in enumerate(space.codes):
            x, y = a[i, k], b[:, k]
            if np.isnan(x):
                distance += ~np.isnan(y)
            elif code:
                distance += np.isnan(y) | (y != x)
            else:
                distance += np.where(np.isnan(y), 1.0, np.abs(y - x))
        assert found[i] == pytest.approx(np.sort(distance)[:3], abs=1e-5)
        assert distance[places[i]] == pytest.approx(found[i], abs=1e-5)


def test_a_row_is_no_neighbour_of_itself(people):
    space, rows, _ = read(people, people.dropna())
    found, places = nearest(space, rows, rows, not_itself=True)
    assert (places[:, 0] != np.arange(len(rows))).all()
    assert found.mean() > 0.01


def test_more_neighbours_than_rows_and_constant_columns():
    one = pd.DataFrame({"a": [1.0, 1.0], "b": [None, None], "c": [np.nan, np.nan]})
    space, rows, train = read(one, one)
    assert nearest(space, rows, train, 9)[0].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert nearest(space, rows, rows, 9, not_itself=True)[0].shape == (2, 1)


def test_wide_tables_get_fewer_rows():
    assert row_budget(5, 5000) == 5000
    assert row_budget(2000, 5000) ** 2 * 2000 <= 5e8
