"""Latent classes: their likelihood is exact, their draws follow it, and they tie what is equal."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from synthgan import step_choice
from synthgan._runtime import torch_generator
from synthgan.dependence import mutual_information
from synthgan.few_steps import few_step_loss, fit_classes, fit_start
from synthgan.group_likelihood import GroupLikelihood
from synthgan.networks.predictor import Predictor
from synthgan.networks.rows import LatentClasses, RowGenerator
from synthgan.options import TrainingOptions
from synthgan.raking import rake
from synthgan.runs import Run
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule
from synthgan.step_choice import choose_steps, step_cost

SIZES = (3, 4, 2, 2)
ROWS = torch.tensor(list(itertools.product(*map(range, SIZES))))


@pytest.fixture(scope="module")
def generator():
    """A random network with strong dependence between its variables."""
    network = RowGenerator(SIZES, (0,) * 4, width=16, depth=1)
    network.reset(torch_generator(2, "test"), torch.zeros(sum(SIZES)))
    with torch.no_grad():
        network.inputs.free.mul_(3)
        network.outputs.free.mul_(10)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def classes():
    """Five classes that differ much."""
    network = LatentClasses(SIZES, 16, 5, 6)
    network.reset(torch_generator(1, "test"))
    with torch.no_grad():
        network.start.mul_(5)
        network.later.mul_(5)
        network.prior.weight.normal_(generator=torch_generator(2, "test"))
    return network.eval().requires_grad_(False)


def test_each_row_has_the_shifts_of_its_own_stage(classes):
    visible = torch.tensor([0.1, 0.25, 1 / 3, 0.5, 2 / 3, 0.7, 0.99, 1.0, 0.34])
    features = torch.randn(9, 16, generator=torch_generator(0, "features"))
    chosen = torch.arange(9) % 5
    found = classes.features_of(features, chosen, visible)
    for row in range(9):
        shift = classes.shifts(float(visible[row]))[chosen[row]]
        torch.testing.assert_close(found[row], features[row] + shift)
    nothing = classes.features_of(features, chosen, None)
    torch.testing.assert_close(nothing, features + classes.shifts(0.0)[chosen])


def by_enumeration(generator, classes, known, group):
    """Return the probabilities of the cells of a group, class by class, shape (rows,)."""
    seen = torch.zeros(4, dtype=torch.bool)
    seen[known] = True
    asked = torch.zeros(len(ROWS), 4)
    asked[:, group] = 1
    features = generator.features(ROWS, seen.expand(len(ROWS), -1))
    shares = classes.scores(features, asked if known else None).softmax(1).expand(len(ROWS), -1)
    total = torch.zeros(len(ROWS))
    for k, shift in enumerate(classes.shifts(len(known) / 4)):
        logits = generator.logits(features + shift)
        chance = shares[:, k]
        for j in group:
            chance = chance * logits[j].softmax(1).gather(1, ROWS[:, j : j + 1]).squeeze(1)
        total += chance
    return total


@pytest.mark.parametrize(("known", "group"), [([], [0, 1, 2, 3]), ([2], [3, 0]), ([0, 1, 2], [3])])
def test_the_likelihood_is_the_sum_over_classes(generator, classes, known, group):
    found = GroupLikelihood(Predictor(generator, None))(ROWS, known, group, classes)
    if len(group) > 1:
        torch.testing.assert_close(found.exp(), by_enumeration(generator, classes, known, group))
    else:  # nothing to tie: the generator alone
        seen = torch.zeros(4, dtype=torch.bool)
        seen[known] = True
        logits = generator.logits(generator.features(ROWS, seen.expand(len(ROWS), -1)))
        expected = logits[group[0]].softmax(1).gather(1, ROWS[:, group])
        torch.testing.assert_close(found.exp(), expected.squeeze(1))


def test_rows_are_judged_a_part_at_a_time(generator, classes, monkeypatch):
    likelihood, rows = GroupLikelihood(Predictor(generator, None)), ROWS.repeat(5, 1)
    groups = [[2], [3, 0, 1]]
    whole = likelihood.of_rows(rows, groups, classes)
    monkeypatch.setattr("synthgan.memory.LOGITS", 64 * max(SIZES))
    assert len(rows) > 64
    torch.testing.assert_close(likelihood.of_rows(rows, groups, classes), whole)


def test_probabilities_of_all_rows_sum_to_one(generator, classes):
    likelihood = GroupLikelihood(Predictor(generator, None))
    for groups in ([[0, 1, 2, 3]], [[1, 3], [0, 2]], [[0], [1], [2], [3]]):
        for tie in (None, classes):
            total = likelihood.of_rows(ROWS, groups, tie).exp().sum()
            assert float(total) == pytest.approx(1, abs=1e-5)


def test_draws_follow_the_likelihood(generator, classes):
    sampler = Sampler(generator, None, classes)
    blocks = [sampler.draw_block(0, b, 1024, steps=1, weights=[None] * 4) for b in range(40)]
    drawn = torch.cat(blocks).numpy()
    counts = np.bincount(np.ravel_multi_index(drawn.T, SIZES), minlength=len(ROWS))
    likelihood = GroupLikelihood(Predictor(generator, None)).of_rows(ROWS, [[0, 1, 2, 3]], classes)
    expected = likelihood.exp().numpy() * len(drawn)
    often = expected > 5
    pooled = [np.append(x[often], x[~often].sum()) for x in (counts, expected)]
    pooled[1] *= pooled[0].sum() / pooled[1].sum()
    # uniforms are stratified within columns, so counts vary less than independent draws do
    assert chisquare(*pooled).pvalue > 1e-3


@pytest.fixture(scope="module")
def coins():
    """Rows of two pairs of equal fair coins, and a generator that knows the marginals alone."""
    rng = np.random.default_rng(0)
    codes = np.repeat(rng.integers(0, 2, (3000, 2)), 2, axis=1)
    network = RowGenerator((2,) * 4, (0,) * 4, width=16, depth=1)
    network.reset(torch_generator(0, "weights"), torch.zeros(8))
    with torch.no_grad():
        network.outputs.free.mul_(10)
        for block in network.blocks:
            block.project.weight.zero_()
        network.inputs.free.zero_()
    return network.eval().requires_grad_(False), codes


def test_classes_learn_that_coins_agree(coins):
    generator, codes = coins
    tokens = torch.from_numpy(codes)
    frozen = {name: value.clone() for name, value in generator.state_dict().items()}
    schedule = Schedule(mutual_information(codes, (2,) * 4, 0), np.zeros((4, 4), np.float32))
    likelihood = GroupLikelihood(Predictor(generator, None))
    classes = LatentClasses((2,) * 4, 16, 16, 16)
    classes.reset(torch_generator(0, "classes"))
    options = TrainingOptions(batch_size=256, class_steps=1000, ema=0.98, patience=10)
    parts = tokens[500:], tokens[:500]
    start = fit_start(likelihood, classes, *parts, options, seed=0, run=Run())
    assert start.history[-1]["validation"] < start.history[0]["validation"] - 0.5
    fit_classes(likelihood, classes, schedule, *parts, options, seed=0, run=Run())
    losses = [few_step_loss(likelihood, schedule, c, parts[1]) for c in (None, classes)]
    assert losses[1] < losses[0] - 0.5  # of one and of two steps, where nothing is to be gained
    # two coins decide: the best possible loss of one step is 2 log 2, that of no tie 4 log 2
    one = -likelihood.of_rows(parts[1], [[0, 1, 2, 3]], classes).mean().detach()
    assert 2 * np.log(2) - 0.02 < float(one) < 2 * np.log(2) + 0.25
    classes.requires_grad_(False)
    drawn = Sampler(generator, None, classes).draw_block(0, 0, 1024, steps=1, weights=[None] * 4)
    assert (drawn[:, 0] == drawn[:, 1]).float().mean() > 0.85
    for name, value in generator.state_dict().items():
        torch.testing.assert_close(value, frozen[name])


def test_steps_are_as_few_as_cost_nothing(generator, monkeypatch):
    """Rows drawn in one step want one step; rows drawn one by one want all of them."""
    monkeypatch.setattr(step_choice, "_MOST_DIVERGENCE", 0.3)
    schedule = Schedule(*[np.ones((4, 4), np.float32) - np.eye(4, dtype=np.float32)] * 2)
    sampler = Sampler(generator, schedule=schedule)
    blocks = [sampler.draw_block(0, b, 1024, steps=4, weights=[None] * 4) for b in range(4)]
    rows = torch.cat(blocks)
    steps, costs = choose_steps(sampler, rows)
    assert steps == 4
    assert [cost["steps"] for cost in costs] == [1, 2, 3]
    assert min(cost["divergence"] for cost in costs) > 0.3
    flat = RowGenerator(SIZES, (0,) * 4, width=16, depth=1)
    flat.reset(torch_generator(0, "test"), torch.zeros(sum(SIZES)))
    with torch.no_grad():
        flat.inputs.free.zero_()
    flat.eval().requires_grad_(False)
    steps, costs = choose_steps(Sampler(flat, schedule=schedule), rows)
    assert steps == 1
    assert abs(costs[0]["cost"]) < 1e-4
    assert abs(costs[0]["divergence"]) < 1e-4


def test_what_unseen_rows_gain_makes_good_for_divergence(generator):
    """Rows that one step explains better than the chain: it differs, but for the better."""
    schedule = Schedule(*[np.ones((4, 4), np.float32) - np.eye(4, dtype=np.float32)] * 2)
    sampler = Sampler(generator, schedule=schedule)
    rng = np.random.default_rng(0)
    rows = torch.cat([sampler.draw(rng, 512, [[0, 1, 2, 3]]) for _ in range(4)])
    found = step_cost(sampler, rows, 1)
    assert found["cost"] < -10 * found["error"] < 0
    assert found["divergence"] == pytest.approx(-found["cost"], rel=0.3)
    assert found["divergence"] > 0.5
    assert choose_steps(sampler, rows)[0] == 1


@pytest.mark.parametrize(("rows", "error", "chosen"), [(512, 0.05, 1), (512, 0.2, 2), (511, 0, 4)])
def test_only_a_sure_gain_of_many_rows_makes_good(rows, error, chosen, monkeypatch):
    def cost(sampler, tokens, steps):
        return {"steps": steps, "cost": -0.5, "error": error, "divergence": 1.1 - 0.15 * steps}

    monkeypatch.setattr(step_choice, "step_cost", cost)
    assert choose_steps(None, torch.zeros(rows, 4, dtype=torch.long))[0] == chosen


@pytest.mark.parametrize(("variables", "chosen"), [(6, 6), (15, 15), (30, 16), (60, 8)])
def test_the_bounds_grow_with_the_columns(variables, chosen, monkeypatch):
    """Nats add up over the columns; more steps than classes are trained for are prepared first."""

    def cost(sampler, tokens, steps):
        return {"steps": steps, "cost": 0.02, "error": 0.01, "divergence": 16 / steps}

    monkeypatch.setattr(step_choice, "step_cost", cost)
    prepared = []
    tokens = torch.zeros(8, variables, dtype=torch.long)
    steps, costs = choose_steps(None, tokens, prepared.append)
    assert steps == chosen
    assert prepared == [found["steps"] for found in costs if found["steps"] > 8]


def test_more_steps_have_the_biases_of_fewer(classes):
    tied = LatentClasses(SIZES, 16, 5, 6)
    tied.bias_of(8).fill_(1.0)
    tied.extend_bias(8)
    tied.bias_of(32).fill_(2.0)
    tied.extend_bias(32)
    values = [float(tied.bias_of(k)[0]) for k in (4, 8, 16, 31, 32, 64, 500)]
    assert values == [0, 1, 1, 1, 2, 2, 2]


def test_raking_of_few_steps_restores_marginals(generator, classes):
    """Whatever the classes do to the marginals, samples of two steps have those of the table."""
    tied = LatentClasses(SIZES, 16, 5, 6)
    tied.load_state_dict(classes.state_dict())
    sampler = Sampler(generator, None, tied.requires_grad_(False))
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 2, (2000, 4)))
    exact = [torch.bincount(tokens[:, j], minlength=size) / 2000 for j, size in enumerate(SIZES)]

    def away(steps):
        drawn = sampler.expected_shares(7, 0, 6400, steps)
        return max(float((a - b).abs().max()) for a, b in zip(drawn, exact, strict=True))

    before, other = away(2), away(1)
    rake(sampler, tied.bias_of(2), tokens, steps=2, seed=0)
    assert before > 0.1
    assert away(2) < before / 3
    assert away(1) == other
