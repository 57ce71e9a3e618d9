"""The sampler draws from the distribution that the network states."""

from __future__ import annotations

import copy
import itertools

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chi2, chi2_contingency

from synthgan import TabularGAN
from synthgan._runtime import numpy_generator, torch_generator
from synthgan.networks.rows import LatentClasses, RowGenerator
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule, random_groups

SIZES = (3, 4, 2)
BLOCK = 1024


@pytest.fixture
def generator() -> RowGenerator:
    """A random network with strong dependence between its three variables."""
    network = RowGenerator(SIZES, (0, 0, 0), width=16, depth=1)
    network.reset(torch_generator(0, "test"), torch.zeros(sum(SIZES)))
    with torch.no_grad():
        network.outputs.free.mul_(20)
    return network.eval().requires_grad_(False)


def flat(groups: list[list[int]]) -> list[int]:
    return [j for group in groups for j in group]


def draw(sampler: Sampler, blocks: int, **options: object) -> np.ndarray:
    settings = {"steps": 3, "weights": [None] * 3, **options}
    return torch.cat([sampler.draw_block(0, b, BLOCK, **settings) for b in range(blocks)]).numpy()


def chain_rule(network: RowGenerator, order: tuple[int, ...]) -> np.ndarray:
    """Return the joint table that drawing in `order` gives, by enumeration."""
    rows = torch.tensor([(a, b, c) for a in range(3) for b in range(4) for c in range(2)])
    log_p = torch.zeros(len(rows))
    visible = torch.zeros(len(rows), 3, dtype=torch.bool)
    for j in order:
        scores = network.logits(network.features(rows, visible))[j].log_softmax(1)
        log_p += scores.gather(1, rows[:, j : j + 1]).squeeze(1)
        visible[:, j] = True
    return log_p.exp().numpy()


def test_full_steps_follow_the_chain_rule_over_random_orders(generator: RowGenerator) -> None:
    blocks = 60
    rows = draw(Sampler(generator), blocks)
    expected = np.zeros(24)
    for block in range(blocks):  # the orders are those of the blocks
        rng = numpy_generator(0, "tokens", block)
        groups = random_groups(range(3), 3, rng)
        expected += BLOCK * chain_rule(generator, tuple(flat(groups)))
    found = np.bincount(rows @ [8, 2, 1], minlength=24)
    statistic = ((found - expected) ** 2 / expected).sum()
    assert statistic < chi2.ppf(0.999, 23)  # stratified draws vary less than chance, never more


def test_likelihood_is_the_chain_rule(generator: RowGenerator) -> None:
    rows = torch.tensor([[0, 1, 1], [2, 3, 0]])
    found = Sampler(generator).log_likelihood(rows, orders=3, seed=0)
    expected = np.zeros(2)
    for number in range(3):
        order = tuple(numpy_generator(0, "score", number).permutation(3).tolist())
        expected += np.log(chain_rule(generator, order)[(rows.numpy() @ [8, 2, 1])]) / 3
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_confined_columns_follow_their_conditional_distribution(generator: RowGenerator) -> None:
    """Two confined columns: resampling against the exact table of the same order."""
    weights = [torch.tensor([1.0, 0.0, 0.5]), torch.tensor([0.0, 1.0, 1.0, 0.0]), None]
    sampler = Sampler(generator)
    rows = draw(sampler, 80, weights=weights, restricted=[0, 1])
    exact = chain_rule(generator, (0, 1, 2)).reshape(3, 4, 2).sum(2)
    exact = exact * weights[0].numpy()[:, None] * weights[1].numpy()[None]
    exact /= exact.sum()
    found = np.bincount(rows[:, :2] @ [4, 1], minlength=12) / len(rows)
    assert not found[exact.ravel() == 0].any()
    # the bias of resampling among 16 candidates is of the order of 1/16 of the spread of weights
    assert np.abs(found - exact.ravel()).max() < 0.02


def test_probability_of_a_condition(generator: RowGenerator) -> None:
    weights = [torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0, 0.0]), None]
    exact = chain_rule(generator, (0, 1, 2)).reshape(3, 4, 2)[0, 1].sum()
    found = np.exp(Sampler(generator).log_probability_of_weights([0, 1], weights))
    assert found == pytest.approx(exact, rel=0.05)


def test_known_cells_stay(generator: RowGenerator) -> None:
    codes = torch.tensor([[2, 0, 0]]).repeat(BLOCK, 1)
    known = torch.tensor([[True, False, False]]).repeat(BLOCK, 1)
    rows = draw(Sampler(generator), 1, codes=codes, known=known)
    assert (rows[:, 0] == 2).all()
    assert len(np.unique(rows[:, 1])) > 1


def test_expected_shares_are_those_of_the_chain_rule(generator: RowGenerator) -> None:
    orders = list(itertools.permutations(range(3)))
    exact = sum(chain_rule(generator, order).reshape(3, 4, 2) for order in orders) / len(orders)
    found = Sampler(generator).expected_shares(1, 0, 12_800, 3)
    for j, shares in enumerate(found):
        others = tuple(k for k in range(3) if k != j)
        np.testing.assert_allclose(shares, exact.sum(others), atol=0.01)


def test_expected_shares_with_fewer_orders_than_rows(generator, monkeypatch):
    """As in tables of many variables: each of 5 orders is that of 64 rows."""
    monkeypatch.setattr("synthgan.sampling._OWN_ORDERS", 2)
    exact = np.zeros((3, 4, 2))
    for number in range(40):
        plain = np.broadcast_to(np.arange(3), (5, 3))
        for order in numpy_generator(1, "shares", number).permuted(plain, axis=1):
            exact += chain_rule(generator, tuple(order.tolist())).reshape(3, 4, 2) / 200
    found = [Sampler(generator).expected_shares(1, number, 320, 3) for number in range(40)]
    for j in range(3):
        others = tuple(k for k in range(3) if k != j)
        mean = torch.stack([shares[j] for shares in found]).mean(0)
        np.testing.assert_allclose(mean, exact.sum(others), atol=0.01)


def test_latent_classes_only_touch_groups(generator: RowGenerator) -> None:
    classes = LatentClasses(SIZES, 16, 8, 8)
    classes.reset(torch_generator(0, "classes"))
    with torch.no_grad():
        classes.start.mul_(10)
    classes.requires_grad_(False)
    plain, tied = Sampler(generator), Sampler(generator, None, classes)
    np.testing.assert_array_equal(draw(plain, 1), draw(tied, 1))
    one, two = draw(plain, 8, steps=1), draw(tied, 8, steps=1)
    table = [np.bincount(rows[:, :2] @ [4, 1], minlength=12) + 1 for rows in (one, two)]
    assert chi2_contingency(table).pvalue < 1e-6


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_factors_hold_in_any_number_of_steps(generator: RowGenerator, steps: int) -> None:
    classes = LatentClasses(SIZES, 16, 8, 8)
    classes.reset(torch_generator(0, "classes"))
    sampler = Sampler(generator, None, classes.requires_grad_(False))
    weights = [None, torch.tensor([0.0, 1.0, 1.0, 0.0]), None]
    rows = draw(sampler, 4, steps=steps, weights=weights)
    assert set(rows[:, 1].tolist()) == {1, 2}


def test_rows_with_holes_in_every_column_are_not_at_their_beginning(
    generator: RowGenerator,
) -> None:
    """Classes of the beginning are for rows of which nothing is known, and no others."""
    classes = LatentClasses(SIZES, 16, 8, 8)
    classes.reset(torch_generator(0, "classes"))
    with torch.no_grad():
        classes.start.mul_(50)
        classes.later.zero_()
    plain, tied = Sampler(generator), Sampler(generator, None, classes.requires_grad_(False))
    known = torch.eye(4, 3, dtype=torch.bool).repeat(BLOCK // 4, 1)  # nothing of every fourth row
    codes = torch.ones_like(known, dtype=torch.long)
    asked = {"steps": 1, "codes": codes, "known": known}
    ours, theirs = draw(tied, 1, **asked), draw(plain, 1, **asked)
    begun = known.any(1).numpy()
    np.testing.assert_array_equal(ours[begun], theirs[begun])
    nothing = draw(tied, 1, steps=1)
    np.testing.assert_array_equal(ours[~begun], nothing[~begun])
    assert (ours[~begun] != theirs[~begun]).any()


def test_what_was_sampled_before_does_not_matter(generator: RowGenerator) -> None:
    """A sampler keeps the shares of the first step, as long as they are those asked for."""
    classes = LatentClasses(SIZES, 16, 8, 8)
    classes.reset(torch_generator(0, "classes"))
    classes.requires_grad_(False)
    classes.bias[1] += torch.linspace(-2, 2, sum(SIZES))  # of two steps
    kept = Sampler(generator, None, classes)
    some = [None, torch.tensor([0.0, 1.0, 1.0, 0.0]), None]
    other = [None, torch.tensor([1.0, 0.0, 0.0, 1.0]), None]
    for steps, weights in itertools.product((1, 2), (some, other, [None] * 3, list(other))):
        asked = {"steps": steps, "weights": weights}
        fresh = Sampler(generator, None, classes)
        np.testing.assert_array_equal(draw(kept, 1, **asked), draw(fresh, 1, **asked))


def test_a_copy_of_a_model_leaves_its_sampler_behind(gan: TabularGAN) -> None:
    asked = {"random_state": 0}
    rows = gan.sample(50, **asked)
    networks = copy.deepcopy(gan)._networks
    assert "sampler" in vars(gan._networks)
    assert "sampler" not in vars(networks)
    pd.testing.assert_frame_equal(copy.deepcopy(gan).sample(50, **asked), rows)


def test_stratified_uniforms(gan: TabularGAN) -> None:
    draws = gan._sampler().sampler._uniforms(numpy_generator(0, "u"), 100).numpy()
    assert (np.sort((draws * 100).astype(int), axis=0) == np.arange(100)[:, None]).all()
    assert draws.max() < 1


def tied(variables: int) -> Sampler:
    """A sampler of random networks, of four steps by default."""
    sizes = (3,) * variables
    network = RowGenerator(sizes, (0,) * variables, width=16, depth=1)
    network.reset(torch_generator(0, "test"), torch.zeros(sum(sizes)))
    classes = LatentClasses(sizes, 16, 5, 6)
    classes.reset(torch_generator(1, "test"))
    for module in (network, classes):
        module.eval().requires_grad_(False)
    flat = np.ones((variables, variables), np.float32) - np.eye(variables, dtype=np.float32)
    return Sampler(network, None, classes, Schedule(flat, flat), 4)


def test_padding_of_a_block_changes_no_row() -> None:
    """Rows of which nothing is known are drawn alike beside others that are complete."""
    sampler, weights = tied(12), [None] * 12
    codes, known = torch.zeros(128, 12, dtype=torch.long), torch.zeros(128, 12, dtype=torch.bool)
    plain = sampler.draw_block(0, 0, 128, weights=weights)
    known[100:] = True
    found = sampler.draw_block(0, 0, 128, weights=weights, codes=codes, known=known)
    torch.testing.assert_close(found[:100], plain[:100])
    assert not found[100:].any()


def test_more_steps_where_something_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are as large as the later ones of a plain sample, and no larger."""
    sampler = tied(12)
    seen, reveal = [], sampler._completer.reveal

    def spy(codes: torch.Tensor, known: torch.Tensor, groups: list[list[int]], *rest: object):
        seen.append((bool(known.any()), [len(group) for group in groups]))
        return reveal(codes, known, groups, *rest)

    monkeypatch.setattr(sampler._completer, "reveal", spy)
    codes, known = torch.zeros(64, 12, dtype=torch.long), torch.zeros(64, 12, dtype=torch.bool)
    known[:, 3] = True
    settings = {"weights": [None] * 12, "codes": codes, "known": known}
    sampler.draw_block(0, 0, 64, **settings)
    sampler.draw_block(0, 0, 64, steps=3, **settings)
    known[10] = False
    sampler.draw_block(0, 0, 64, **settings)
    known[:] = True
    sampler.draw_block(0, 0, 64, **settings)
    lengths = [(begun, sorted(groups, reverse=True)) for begun, groups in seen]
    assert lengths == [
        (True, [2, 2, 2, 2, 2, 1]),
        (True, [4, 4, 3]),
        (True, [2] * 6),
        (False, [6, 2, 2, 2]),
        (True, []),
    ]
