"""Rows under an autoencoder: draws, likeliest tokens and bounds, against sums by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from synthgan._runtime import torch_generator
from synthgan.latent_rows import LatentRows
from synthgan.networks.autoencoders import RowDecoder, RowEncoder
from synthgan.objectives import token_log_likelihood

SIZES, ORDERED = (3, 12, 2), (0, 11, 0)


def make(hidden=((), (), ()), latent=1):
    encoder = RowEncoder(SIZES, ORDERED, latent, 16, 1)
    decoder = RowDecoder(SIZES, ORDERED, latent, 16, 1)
    encoder.reset(torch_generator(0, "e"))
    decoder.reset(torch_generator(0, "d"), torch.linspace(-1, 1, sum(SIZES)))
    return LatentRows(encoder.eval(), decoder.eval(), hidden)


def random_tokens(n, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.integers(0, size, n) for size in SIZES])


def shares(rows, latents):
    with torch.no_grad():
        return [s.softmax(1).numpy() for s in rows.decoder(torch.from_numpy(latents))]


def test_log_probability_is_a_sum_of_logs():
    logits = [torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.0]])]
    found = token_log_likelihood(logits, torch.tensor([[1, 0]]))
    truth = 1 - np.log(1 + np.e) + 2 - np.log(1 + np.e**2)
    assert float(found) == pytest.approx(truth, rel=1e-6)


def test_tokens_are_drawn_from_their_distributions():
    rows = make(hidden=((1,), (), ()))
    latents = np.full((20_000, 1), 0.7, np.float32)
    drawn = rows.draw(latents, 0)
    assert not (drawn[:, 0] == 1).any()
    truth = shares(rows, latents[:1])
    truth[0][0, 1] = 0
    truth[0] /= truth[0].sum()
    for j, expected in enumerate(truth):
        found = np.bincount(drawn[:, j], minlength=SIZES[j]) / len(drawn)
        np.testing.assert_allclose(found, expected[0], atol=0.015)
    np.testing.assert_array_equal(rows.draw(latents[:600], 0), drawn[:600])


def test_likeliest_tokens_are_modes_and_medians():
    rows = make()
    latents = np.linspace(-3, 3, 9, dtype=np.float32)[:, None]
    found, truth = rows.likeliest(latents), shares(rows, latents)
    np.testing.assert_array_equal(found[:, 0], truth[0].argmax(axis=1))
    for token, row in zip(found[:, 1], truth[1], strict=True):
        ordered = row[:11] / row[:11].sum()
        if row[11] > row[:11].sum():
            assert token == 11
        else:
            assert ordered[:token].sum() <= 0.5 + 1e-6
            assert ordered[: token + 1].sum() >= 0.5 - 1e-6


def test_the_bound_reaches_the_likelihood():
    """With many draws, the bound is the integral over the latent vector."""
    rows, tokens = make(), random_tokens(4)
    grid = np.linspace(-8, 8, 4001)
    density = norm.pdf(grid)
    truth = []
    for row in tokens:
        repeated = np.repeat(row[None], len(grid), axis=0)
        given = np.exp(rows.log_probability(repeated, grid[:, None].astype(np.float32)))
        truth.append(np.log((given * density).sum() * (grid[1] - grid[0])))

    def prior(z):
        return norm.logpdf(z).sum(axis=1)

    np.testing.assert_allclose(rows.log_bound(tokens, prior, 2000), truth, atol=0.1)
    assert (rows.log_bound(tokens, prior, 1) < np.array(truth) + 1).all()


def test_raking_brings_the_marginals():
    rows, tokens = make(), random_tokens(5000)
    tokens[:3000, 0] = 2
    latents = np.random.default_rng(0).normal(size=(3000, 1)).astype(np.float32)
    rows.rake(tokens, latents, rounds=6)
    for j, found in enumerate(shares(rows, latents)):
        truth = np.bincount(tokens[:, j], minlength=SIZES[j]) / len(tokens)
        np.testing.assert_allclose(found.mean(axis=0), truth, atol=0.01)


def test_a_row_does_not_depend_on_the_others():
    rows, tokens = make(latent=3), random_tokens(700)
    means, deviations = rows.posteriors(tokens)
    assert means.shape == deviations.shape == (700, 3)
    assert (deviations > 0).all()
    np.testing.assert_array_equal(rows.posteriors(tokens[:5])[0], means[:5])
    assert rows.posteriors(tokens[:0])[0].shape == (0, 3)
