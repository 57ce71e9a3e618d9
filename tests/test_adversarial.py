"""The third phase: the game moves, the frozen part does not, and the guard measures pairs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from synthgan._runtime import torch_generator
from synthgan.adversarial.rows import Game, few_step_error, fit_adversarial
from synthgan.group_likelihood import GroupLikelihood
from synthgan.networks.predictor import Predictor
from synthgan.networks.rows import LatentClasses, RowCritic, RowGenerator
from synthgan.options import TrainingOptions
from synthgan.runs import Run
from synthgan.sampling import Sampler
from synthgan.schedules import Schedule

SIZES = (2, 2)


@pytest.fixture
def twins() -> torch.Tensor:
    """Rows of two equal fair coins."""
    coin = np.random.default_rng(0).integers(0, 2, 2000)
    return torch.from_numpy(np.stack([coin, coin], axis=1))


def fresh() -> tuple[RowGenerator, LatentClasses, RowCritic]:
    generator = RowGenerator(SIZES, (0, 0), width=16, depth=1)
    generator.reset(torch_generator(0, "weights"), torch.zeros(4))
    with torch.no_grad():
        generator.outputs.free.mul_(10)
    classes, critic = LatentClasses(SIZES, 16, 8, 8), RowCritic(SIZES, (0, 0), width=32, depth=1)
    classes.reset(torch_generator(0, "classes"))
    critic.reset(torch_generator(0, "critic"))
    return generator.eval().requires_grad_(False), classes, critic


def test_the_critic_teaches_two_coins_to_agree(twins: torch.Tensor) -> None:
    """Drawn in one step, the coins are independent before and mostly equal after."""
    generator, classes, critic = fresh()
    frozen = {name: value.clone() for name, value in generator.state_dict().items()}
    options = TrainingOptions(
        batch_size=256, refinement_steps=500, refinement_rate=4e-3, penalty=0.05, ema=0.98
    )
    game = Game(likelihood=0.0, head_start=0.1)
    schedule = Schedule(*np.zeros((2, 2, 2), np.float32))
    result = fit_adversarial(
        GroupLikelihood(Predictor(generator, None)),
        classes,
        critic,
        schedule,
        twins,
        options,
        seed=0,
        run=Run(),
        game=game,
    )
    classes.requires_grad_(False)
    agree = []
    for branch in (None, classes):
        sampler = Sampler(generator, None, branch)
        rows = torch.cat(
            [sampler.draw_block(0, b, 1024, steps=1, weights=[None] * 2) for b in range(8)]
        )
        agree.append(float((rows[:, 0] == rows[:, 1]).float().mean()))
    assert agree[0] < 0.7
    assert agree[1] > agree[0] + 0.15
    for name, value in generator.state_dict().items():
        torch.testing.assert_close(value, frozen[name])
    assert {"generator", "critic", "sign_real", "sign_fake"} <= set(result.history[-1])


def test_pair_error(twins: torch.Tensor) -> None:
    """Independent coins against equal ones: half of the mass is in the wrong cells."""
    generator, _, _ = fresh()
    with torch.no_grad():
        generator.outputs.free.zero_()
    sizes = RowGenerator(SIZES * 2, (0,) * 4, width=8, depth=1)
    sizes.reset(torch_generator(0, "weights"), torch.zeros(8))
    with torch.no_grad():
        sizes.outputs.free.zero_()
    error = few_step_error(Sampler(sizes.eval()), twins.repeat(1, 2), seed=0)
    assert error == pytest.approx(0.5, abs=0.03)
