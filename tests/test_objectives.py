"""Losses against plain references written here."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from synthgan._runtime import torch_generator
from synthgan.likelihood import draw_masks
from synthgan.networks.rows import RowCritic, RowGenerator, TokenEmbedding
from synthgan.objectives import (
    LOSSES,
    gradient_penalty,
    masked_cross_entropy,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch_generator(seed, "test"))


def test_masked_cross_entropy_counts_hidden_cells_once() -> None:
    logits = [draw(3, 4), draw(3, 2, seed=1)]
    tokens = torch.tensor([[0, 1], [3, 0], [2, 1]])
    visible = torch.tensor([[False, False], [True, False], [False, True]])
    cells = [[-logits[j][i].log_softmax(0)[tokens[i, j]] for j in range(2)] for i in range(3)]
    expected = ((cells[0][0] + cells[0][1]) / 2 + cells[1][1] + cells[2][0]) / 3
    torch.testing.assert_close(masked_cross_entropy(logits, tokens, visible), expected)


def test_relativistic_losses_mirror_each_other() -> None:
    real, fake = draw(7), draw(7, seed=1)
    loss = LOSSES["relativistic"]
    torch.testing.assert_close(loss.critic(real, fake), loss.generator(fake, real))
    torch.testing.assert_close(loss.critic(real, fake), F.softplus(fake - real).mean())


@pytest.mark.parametrize("name", LOSSES)
def test_better_scores_mean_less_loss(name: str) -> None:
    loss = LOSSES[name]
    good, bad = torch.ones(4), torch.zeros(4)
    assert loss.critic(good, bad) < loss.critic(bad, good)
    assert loss.generator(good, good) < loss.generator(good, bad)


def test_penalty_of_a_linear_critic_is_half_its_squared_norm() -> None:
    weight = torch.tensor([3.0, 4.0])
    inputs = draw(5, 2).requires_grad_()
    penalty = gradient_penalty(inputs @ weight, inputs)
    torch.testing.assert_close(penalty, torch.tensor(12.5))
    doubled = nn.Parameter(weight.clone())
    gradient_penalty(inputs @ doubled, inputs).backward()
    torch.testing.assert_close(doubled.grad, weight)


def test_masks_have_uniform_counts_and_hide_something() -> None:
    visible = draw_masks(6000, 5, torch_generator(0, "masks"))
    counts = torch.bincount(visible.sum(1), minlength=6)
    assert counts[5] == 0
    expected = 6000 / 5
    assert ((counts[:5] - expected).abs() < 5 * expected**0.5).all()
    assert ((visible.float().mean(0) - 0.4).abs() < 0.03).all()


def test_hidden_cells_do_not_leak_into_predictions() -> None:
    network = RowGenerator((5, 20, 3), (0, 20, 0), width=16, depth=2)
    network.reset(torch_generator(0, "net"), torch.zeros(28))
    rows = torch.tensor([[1, 4, 2], [1, 17, 0]])
    visible = torch.tensor([[True, False, False]] * 2)
    features = network.features(rows, visible)
    torch.testing.assert_close(features[0], features[1])


def test_neighbouring_numbers_have_similar_vectors() -> None:
    table = TokenEmbedding([100, 4], [90, 0], width=32, scale=1.0)
    table.reset(torch_generator(0, "table"))
    with torch.no_grad():
        table.fine.zero_()
    rows = table()
    assert rows.shape == (104, 32)
    near = (rows[10] - rows[11]).norm()
    far = (rows[10] - rows[70]).norm()
    assert near < far / 3
    torch.testing.assert_close(rows[90:], table.free)  # missing token and unordered variable


def test_critic_judges_packs_of_rows() -> None:
    rows = torch.tensor([[0, 3], [1, 3], [0, 3], [2, 3]])
    for packed in (1, 2):
        critic = RowCritic((3, 4), (0, 0), width=8, depth=1, packed=packed)
        critic.reset(torch_generator(0, "critic"))
        scores = critic(rows)
        assert scores.shape == (4 // packed,)
        assert scores[0] != scores[1]
