"""Drawing the tokens of several variables at once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from synthgan._runtime import torch_generator
from synthgan.networks.shares import Shares


def plain(scores, sizes, weights):
    """Return the shares of each variable by softmax, shape (rows, tokens) each."""
    parts = torch.split(scores.double(), list(sizes), dim=1)
    found = []
    for part, weight in zip(parts, weights, strict=True):
        shares = part.softmax(1) * (1.0 if weight is None else weight)
        found.append(shares / shares.sum(1, keepdim=True))
    return found


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4),
    st.integers(1, 4),
    st.integers(0, 1000),
    st.booleans(),
)
def test_inversion(sizes, rows, seed, weighted):
    """A number is between the sum of the shares below its token and that sum with the token."""
    draw = torch_generator(seed, "test")
    scores = 3 * torch.randn(rows, sum(sizes), generator=draw)
    weights = [torch.rand(n, generator=draw) + 0.1 if weighted else None for n in sizes]
    uniforms = torch.rand(rows, len(sizes), generator=draw)
    shares = Shares.of(scores.clone(), sizes, weights)
    tokens = shares.draw(uniforms)
    exact = plain(scores, sizes, weights)
    for j, expected in enumerate(exact):
        sums = torch.nn.functional.pad(expected.cumsum(1), (1, 0))
        low = sums.gather(1, tokens[:, j : j + 1]).squeeze(1)
        high = sums.gather(1, tokens[:, j : j + 1] + 1).squeeze(1)
        assert (low <= uniforms[:, j] + 1e-6).all()
        assert (high >= uniforms[:, j] - 1e-6).all()
    torch.testing.assert_close(
        shares.expected(rows).double(), torch.cat(exact, 1).sum(0), atol=1e-6, rtol=1e-5
    )
    if weighted:
        for j, weight in enumerate(weights):
            part = scores[:, sum(sizes[:j]) : sum(sizes[: j + 1])].double().softmax(1)
            left = (part * weight).sum(1).log().float()
            torch.testing.assert_close(shares.log_mass[:, j], left, atol=1e-5, rtol=1e-4)


def test_tokens_without_weight_are_never_drawn():
    scores = torch.zeros(1000, 4)
    uniform = torch.rand(1000, 1, generator=torch_generator(0, "u"))
    uniform[:2] = torch.tensor([[0.0], [1 - 2**-24]])
    shares = Shares.of(scores, [4], [torch.tensor([0.0, 1.0, 1.0, 0.0])])
    assert set(shares.draw(uniform).flatten().tolist()) == {1, 2}
    np.testing.assert_allclose(shares.log_mass.exp(), 0.5, rtol=1e-5)


def test_weights_rule_where_nothing_is_left():
    scores = torch.tensor([[0.0, -200.0, 0.0, 0.0]]).repeat(5, 1)
    shares = Shares.of(scores, [2, 2], [torch.tensor([0.0, 1.0]), None])
    uniform = torch.rand(5, 2, generator=torch_generator(0, "u"))
    assert shares.draw(uniform)[:, 0].tolist() == [1] * 5
    assert (shares.log_mass[:, 0] < -60).all()
    assert (shares.log_mass[:, 1] == 0).all()


def test_shared_rows():
    """Many rows may follow a few distributions, and only some variables may be drawn."""
    scores = torch.tensor([[9.0, 0, 0, 0, 9, 0], [0, 0, 9, 9, 0, 0]]).double().mul(3).float()
    shares = Shares.of(scores, [3, 3], [None, None], shared=True)
    chosen = torch.tensor([1, 0, 0, 1])
    uniform = torch.full((4, 1), 0.5)
    assert shares.taken([1], chosen).draw(uniform).flatten().tolist() == [0, 1, 1, 0]
    assert shares.taken([0], chosen).draw(uniform).flatten().tolist() == [2, 0, 0, 2]
    assert shares.taken([0, 1], chosen).expected(4).round().tolist() == [2, 0, 2, 2, 2, 0]
    assert shares.taken([1, 0], chosen[:3]).expected(3).round().tolist() == [1, 2, 0, 2, 0, 1]


@pytest.mark.parametrize("left", [-20.0, -25.0, -30.0, -35.0])
def test_shared_rows_of_which_little_is_left(left):
    """The sums go on from row to row, so a share may be too small for them."""
    scores = torch.tensor([[0.0, left, 0.0, 0.0]]).repeat(5000, 1)
    shares = Shares.of(scores, [2, 2], [torch.tensor([0.0, 1.0]), None], shared=True)
    chosen = torch.arange(5000)
    uniform = torch.rand(5000, 2, generator=torch_generator(0, "u"))
    tokens = shares.taken([0, 1], chosen).draw(uniform)
    assert set(tokens[:, 0].tolist()) == {1}
    assert set(tokens[:, 1].tolist()) == {0, 1}


@pytest.mark.parametrize("sizes", [[4096], [3000, 2], [1, 2051, 1000], [512, 512]])
@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_variables_of_many_tokens_are_searched_in_blocks(sizes, shared, weighted):
    """As a search through all of their tokens would find them."""
    draw = torch_generator(1, "test")
    scores = 3 * torch.randn(5, sum(sizes), generator=draw)
    weights = [(torch.rand(n, generator=draw) > 0.5).float() if weighted else None for n in sizes]
    for weight in weights:
        if weight is not None:
            weight[0] = 1.0
    chosen = torch.randint(5, (4000,), generator=draw) if shared else torch.arange(5).repeat(800)
    uniforms = torch.rand(len(chosen), len(sizes), generator=draw)
    if shared:
        shares = Shares.of(scores.clone(), sizes, weights, shared=True)
        shares = shares.taken(range(len(sizes)), chosen)
    else:
        shares = Shares.of(scores[chosen], sizes, weights)
    assert shares.block > 1
    tokens = shares.draw(uniforms)
    for j, exact in enumerate(plain(scores, sizes, weights)):
        sums = torch.nn.functional.pad(exact.cumsum(1), (1, 0))[chosen]
        token = tokens[:, j : j + 1]
        assert (exact[chosen].gather(1, token) > 0).all()
        assert (sums.gather(1, token).squeeze(1) <= uniforms[:, j] + 1e-5).all()
        assert (sums.gather(1, token + 1).squeeze(1) >= uniforms[:, j] - 1e-5).all()
    spread = torch.cat(plain(scores, sizes, weights), 1)[chosen].sum(0)
    found = shares.expected(len(chosen)).double()
    torch.testing.assert_close(found, spread, atol=1e-4, rtol=1e-4)


def test_the_ends_of_a_row_of_blocks():
    """One row for many draws; tokens without weight are at both ends, and in a whole block."""
    scores = torch.randn(1, 5000, generator=torch_generator(0, "scores"))
    weight = torch.ones(5000)
    weight[:40], weight[70:200], weight[-3:] = 0, 0, 0
    uniforms = torch.linspace(0, 1 - 2**-24, 3000)[:, None]
    tokens = Shares.of(scores.clone(), [5000], [weight]).draw(uniforms)
    exact = torch.nn.functional.pad(plain(scores, [5000], [weight])[0].cumsum(1), (1, 0))[0]
    assert tokens[0] == 40
    assert tokens[-1] == 4996
    assert (tokens.flatten().diff() >= 0).all()
    assert (exact[tokens] <= uniforms + 1e-6).all()
    assert (exact[tokens + 1] >= uniforms - 1e-6).all()
    nothing = Shares.of(scores[:0], [5000], [None]).draw(uniforms[:0])
    assert nothing.shape == (0, 1)


def test_weights_rule_in_blocks_where_nothing_is_left():
    scores = torch.zeros(7, 3000)
    scores[:, 5] = -300.0
    weight = torch.zeros(3000)
    weight[5] = 1.0
    shares = Shares.of(scores, [3000], [weight])
    uniforms = torch.rand(7, 1, generator=torch_generator(0, "u"))
    assert set(shares.draw(uniforms).flatten().tolist()) == {5}
    assert (shares.log_mass < -60).all()


@pytest.mark.parametrize("offset", [0.0, 30.0, -30.0])
def test_variables_of_very_different_logits(offset):
    """A variable keeps its distribution beside one whose logits are far higher or lower."""
    logs = torch.tensor([0.5, 0.3, 0.2]).log()
    scores = torch.cat([logs, logs + offset]).repeat(30_000, 1)
    uniform = torch.rand(30_000, 2, generator=torch_generator(0, "u"))
    tokens = Shares.of(scores, [3, 3], [None, None]).draw(uniform)
    for j in range(2):
        counts = np.bincount(tokens[:, j], minlength=3)
        assert chisquare(counts, [15_000, 9_000, 6_000]).pvalue > 1e-4
