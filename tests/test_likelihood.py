"""The first phase learns a distribution that can be written down."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthgan._runtime import torch_generator
from synthgan.likelihood import fit_likelihood, validation_loss
from synthgan.networks.rows import RowGenerator
from synthgan.options import TrainingOptions
from synthgan.raking import rake
from synthgan.runs import Deadline, Run
from synthgan.sampling import Sampler

ROWS = 4000


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    """Two dependent variables and an independent one."""
    rng = np.random.default_rng(0)
    a = rng.choice(3, ROWS, p=[0.5, 0.3, 0.2])
    b = np.where(rng.random(ROWS) < 0.8, a, rng.integers(0, 3, ROWS))
    return torch.from_numpy(np.stack([a, b, rng.choice(2, ROWS, p=[0.9, 0.1])], axis=1))


@pytest.fixture(scope="module")
def trained(tokens: torch.Tensor) -> RowGenerator:
    generator = RowGenerator((3, 3, 2), (0, 0, 0), width=32, depth=1)
    generator.reset(torch_generator(0, "weights"), torch.zeros(8))
    options = TrainingOptions(steps=400, batch_size=256, weight_decay=0.01)
    fit_likelihood(
        generator,
        tokens[500:],
        tokens[:500],
        options,
        seed=0,
        precision=None,
        run=Run(),
    )
    return generator


def test_rows_are_validated_a_part_at_a_time(
    trained: RowGenerator, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = validation_loss(trained, tokens, 0, None)
    monkeypatch.setattr("synthgan.memory.LOGITS", 8 * 64)
    assert validation_loss(trained, tokens, 0, None) == pytest.approx(whole, rel=1e-5)


def test_conditionals_are_learned(trained: RowGenerator, tokens: torch.Tensor) -> None:
    """Shares of b given a, within 4 standard errors of the training table and 2 %."""
    given = torch.tensor([[k, 0, 0] for k in range(3)])
    visible = torch.tensor([[True, False, False]] * 3)
    with torch.no_grad():
        found = trained.logits(trained.features(given, visible))[1].softmax(1)
    for k in range(3):
        rows = tokens[tokens[:, 0] == k, 1]
        exact = torch.bincount(rows, minlength=3) / len(rows)
        error = 4 * (exact * (1 - exact) / len(rows)).sqrt() + 0.02
        assert ((found[k] - exact).abs() < error).all()


def test_validation_is_repeatable_and_near_the_entropy(
    trained: RowGenerator, tokens: torch.Tensor
) -> None:
    loss = validation_loss(trained, tokens[:500], 0, None)
    assert loss == validation_loss(trained, tokens[:500], 0, None)
    fresh = RowGenerator((3, 3, 2), (0, 0, 0), width=32, depth=1)
    fresh.reset(torch_generator(0, "weights"), torch.zeros(8))
    assert loss < validation_loss(fresh, tokens[:500], 0, None) - 0.1


def test_raking_restores_marginals(trained: RowGenerator, tokens: torch.Tensor) -> None:
    with torch.no_grad():
        trained.bias[:3] += torch.tensor([0.4, -0.3, 0.2])
    exact = torch.bincount(tokens[:, 0], minlength=3) / ROWS
    before = (Sampler(trained).expected_shares(9, 0, 6400, 3)[0] - exact).abs().sum()
    rake(Sampler(trained), trained.bias, tokens, steps=3, seed=0)
    after = (Sampler(trained).expected_shares(9, 0, 6400, 3)[0] - exact).abs().sum()
    assert before > 0.1
    assert after < 0.02


def test_raking_leaves_an_exact_model_alone() -> None:
    """Rare levels too, which samples of few rows hardly ever have."""
    shares = 1 / torch.arange(1, 501)
    shares /= shares.sum()
    exact = RowGenerator((500, 2), (0, 0), width=8, depth=1)
    exact.reset(torch_generator(0, "weights"), torch.cat([shares, torch.ones(2) / 2]).log())
    with torch.no_grad():
        exact.outputs.free.zero_()
    counts = (shares * 100_000).round().long()
    levels = torch.arange(500).repeat_interleave(counts)
    coins = torch.arange(len(levels)) % 2
    rake(Sampler(exact.eval()), exact.bias, torch.stack([levels, coins], 1), steps=2, seed=0)
    after = exact.bias[:500].detach().softmax(0)
    assert float((after - counts / counts.sum()).abs().sum()) < 0.01


def test_raking_ends_after_a_round_when_time_is_up(
    trained: RowGenerator, tokens: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds: list[int] = []
    made = Sampler.expected_shares

    def counted(self, seed, number, rows, steps):
        rounds.append(number)
        return made(self, seed, number, rows, steps)

    monkeypatch.setattr(Sampler, "expected_shares", counted)
    rake(Sampler(trained), trained.bias, tokens, steps=3, seed=0, deadline=Deadline(0.0, 1e-9))
    assert rounds == [0]
