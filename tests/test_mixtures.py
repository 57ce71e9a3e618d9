"""The mixture of products: exact conditionals, and what noisy counts say of it."""

import itertools

import numpy as np
import pytest
import torch

from synthgan.marginals import MarginalOptions, NoisyCounts, fit_marginals
from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
from synthgan.sampling import Sampler

SIZES = (2, 3, 4)
BLOCK = 1024


@pytest.fixture
def mixture():
    generator = MixtureGenerator(SIZES, 5)
    with torch.no_grad():
        generator.table.normal_(0.0, 2.0, generator=torch.Generator().manual_seed(0))
    return generator.requires_grad_(False)


def joint(generator):
    """Return the probabilities of all rows, by brute force."""
    parts = torch.split(generator.log_shares().exp(), list(SIZES), dim=1)
    return torch.einsum("ka,kb,kc->abc", *parts) / generator.width


def test_likelihood_is_that_of_the_mixture(mixture):
    rows = torch.tensor(list(itertools.product(*map(range, SIZES))))
    found = Sampler(mixture, None, LatentChoice()).log_likelihood(rows, 3, seed=0)
    np.testing.assert_allclose(found, joint(mixture).flatten().log(), atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("given", [None, 1])
def test_draws_have_the_conditional_distribution(mixture, steps, given):
    sampler = Sampler(mixture, None, LatentChoice())
    assert sampler.default_steps == 1
    truth, blocks = joint(mixture), 80
    codes = known = None
    if given is not None:
        codes = torch.zeros((BLOCK, 3), dtype=torch.long)
        codes[:, 1], known = given, torch.tensor([[False, True, False]]).expand(BLOCK, 3)
        truth = truth[:, given] / truth[:, given].sum()
    drawn = torch.cat(
        [
            sampler.draw_block(
                0, b, BLOCK, steps=steps, weights=[None] * 3, codes=codes, known=known
            )
            for b in range(blocks)
        ]
    )
    columns = [0, 1, 2] if given is None else [0, 2]
    if given is not None:
        assert (drawn[:, 1] == given).all()
    cells = np.ravel_multi_index(tuple(drawn[:, columns].T.numpy()), tuple(truth.shape))
    shares = np.bincount(cells, minlength=truth.numel()) / len(cells)
    flat = truth.flatten().numpy()
    assert (np.abs(shares - flat) < 5 * np.sqrt(flat / len(cells)) + 1e-4).all()


def tables(generator, n_rows, sigma, seed=0, triples=True):
    rng = np.random.default_rng(seed)
    truth = joint(generator).numpy() * n_rows
    found = []
    for marginals in ([(0, 1), (0, 2), (1, 2)], [(0, 1, 2)] if triples else []):
        counts = [
            np.rint(
                truth.sum(tuple(set(range(3)) - set(m)))
                + rng.normal(0, sigma, [SIZES[j] for j in m])
            ).astype(np.int64)
            for m in marginals
        ]
        found.append(NoisyCounts(marginals, counts, max(sigma, 0.5)))
    return [f for f in found if f.marginals]


def fitted(measured, target=None, **options):
    generator = MixtureGenerator(SIZES, 60)
    settings = MarginalOptions(**{"rows": 60, "steps": 600, **options})
    from synthgan.runs import Run

    result, n_rows = fit_marginals(generator, measured, target, settings, seed=0, run=Run())
    return generator.requires_grad_(False), result.history, n_rows


@pytest.mark.parametrize("target", [None, 2])
def test_exact_counts_are_learned(mixture, target):
    measured = tables(mixture, 50_000, 0.0, triples=target is not None)
    generator, history, n_rows = fitted(measured, target, shrinkage=0.0)
    assert n_rows == pytest.approx(50_000, rel=1e-4)
    gap = joint(generator) - joint(mixture)
    for axis in range(3):
        assert 0.5 * gap.sum(axis).abs().sum() < 2e-3
    if target is not None:  # the triple is the joint distribution
        assert 0.5 * gap.abs().sum() < 5e-3
    assert history[-1]["misfit"] < history[0]["misfit"]


def test_noise_is_not_learned():
    """Independent columns and much noise: the penalty keeps the columns independent."""
    flat = MixtureGenerator(SIZES, 1).requires_grad_(False)
    measured = tables(flat, 2000, 60.0, triples=False)
    gaps = {}
    for shrinkage in (0.0, 0.5):
        generator, history, _ = fitted(measured, shrinkage=shrinkage)
        gaps[shrinkage] = float(0.5 * (joint(generator) - joint(flat)).abs().sum())
        assert history[-1]["misfit"] > 0.05
    assert gaps[0.5] < 0.6 * gaps[0.0]


def test_single_marginals_and_arrays():
    measured = [NoisyCounts([(0,), (2,)], [np.array([30, 70]), np.array([10, 20, 30, 40])], 1.0)]
    again = NoisyCounts.from_arrays(measured[0].arrays())
    assert again.marginals == measured[0].marginals
    assert again.sigma == 1.0
    generator, _, n_rows = fitted([again])
    assert n_rows == pytest.approx(100)
    shares = joint(generator)
    np.testing.assert_allclose(shares.sum((1, 2)), [0.3, 0.7], atol=0.02)
    np.testing.assert_allclose(shares.sum((0, 1)), [0.1, 0.2, 0.3, 0.4], atol=0.02)
