import numpy as np
import pandas as pd
import pytest

from synthgan.evaluate.fidelity.coverage import measure
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.tables import read_tables


def look(train, synthetic, seed=0):
    tables = read_tables(train, synthetic)
    found = measure(Setting(tables.train, None, seed=seed), tables.synthetic)
    return {score.name: score for score in found.scores}


def cloud(n, seed, *centres):
    rng = np.random.default_rng(seed)
    centre = np.array(centres)[rng.integers(0, len(centres), n)]
    return pd.DataFrame(rng.normal(size=(n, 2)) + centre, columns=["x", "y"])


def test_real_rows_score_what_theory_says():
    scores = look(cloud(1500, 0, (0, 0)), cloud(1500, 1, (0, 0)))
    assert scores["density"].interval[0] - 0.05 < 1 < scores["density"].interval[1] + 0.05
    # Naeem et al.: expected coverage of N real and N fake rows at K = 5 is about 1 - 2**-5
    assert scores["coverage"].value == pytest.approx(1 - 2**-5, abs=0.015)


def test_a_dropped_mode_costs_coverage_not_density():
    real = cloud(1500, 0, (0, 0), (20, 20))
    scores = look(real, cloud(1500, 1, (0, 0)))
    assert scores["coverage"].value < 0.6
    assert scores["density"].value > 0.9


def test_rows_in_empty_space_cost_density():
    scores = look(cloud(1500, 0, (0, 0), (20, 20)), cloud(1500, 1, (0, 20)))
    assert scores["density"].value < 0.05
    assert scores["coverage"].value < 0.05


def test_too_few_rows(people):
    scores = look(people, people.head(3))
    for name in ("density", "coverage"):
        assert "at least" in scores[name].reason
    assert scores["repeat_rate"].value == 0.0


def test_repeated_rows_are_counted():
    real = cloud(400, 0, (0, 0))
    fake = cloud(400, 1, (0, 0))
    fake.iloc[:40] = fake.iloc[40:80].to_numpy()
    score = look(real, fake)["repeat_rate"]
    assert (score.value, score.best) == (pytest.approx(0.1), 0.0)
    few = pd.DataFrame({"a": ["x", "y"] * 50})
    score = look(few, few)["repeat_rate"]
    assert score.value == score.best == 0.98
