"""An audit of the noise by canaries, in one run: a lower bound on epsilon that attackers reach.

Random rows, the canaries, are put into a table or not, by a fair coin each. From the noisy counts,
and knowing everything but the coins, an attacker guesses which are in. Under (epsilon, delta)
differential privacy no attacker guesses much better than the odds that epsilon allows (Steinke,
Nasr and Jagielski 2023, "Privacy auditing with one (1) training run", arXiv:2305.08846). A bound
above the epsilon that is promised is a proof that the promise is broken; one below it proves
nothing, least of all beyond the largest bound that the audit could have shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.stats import binom

from synthgan._runtime import numpy_generator, seed_from
from synthgan.encoding import TableEncoder
from synthgan.exceptions import ParameterError
from synthgan.privacy.accounting import rho_of
from synthgan.privacy.ledger import Ledger
from synthgan.privacy.plan import marginals_to_measure
from synthgan.privacy.private_table import PrivateTable
from synthgan.schema import Schema

__all__ = ["AuditResult", "audit_noise"]


@dataclass(frozen=True, slots=True)
class AuditResult:
    """What the attacker reached.

    Attributes
    ----------
    epsilon : float
        What was promised.
    lower_bound : float
        What the guesses prove, at 95 % confidence.
    largest : float
        The bound that guesses without an error would have proved.
    correct, guesses : int
    """

    epsilon: float
    lower_bound: float
    largest: float
    correct: int
    guesses: int

    @property
    def passed(self) -> bool:
        """Whether the promise was not refuted."""
        return self.lower_bound <= self.epsilon

    def __str__(self) -> str:
        verdict = "not refuted" if self.passed else "REFUTED"
        return (
            f"epsilon = {self.epsilon:g} is {verdict}: {self.correct} of {self.guesses} guesses "
            f"are right, which proves at least {self.lower_bound:.2f}; this audit can show no more "
            f"than {self.largest:.2f}."
        )


def audit_noise(
    schema: Schema,
    epsilon: float,
    delta: float,
    *,
    target: str | None = None,
    canaries: int = 1000,
    guesses: int = 200,
    random_state: int | None = None,
) -> AuditResult:
    """Attack the counts that a private fit would release.

    Parameters
    ----------
    schema : Schema
        A declared domain, of which canaries are drawn.
    epsilon, delta : float
    target : str, optional
    canaries, guesses : int
        Rows, and on how many the attacker says something: those with the clearest scores.
    random_state : int or None, default None
        Of canaries and coins; the noise has no seed.

    Returns
    -------
    AuditResult

    Raises
    ------
    ParameterError
        If there are fewer than two guesses, or more of them than canaries.
    """
    if not 2 <= guesses <= canaries:
        raise ParameterError(
            f"audit_noise: guesses must lie in [2, canaries = {canaries}]; got {guesses}."
        )
    encoder = TableEncoder.declared(schema)
    rng = numpy_generator(seed_from(random_state), "canaries")
    tokens = np.column_stack([rng.integers(0, size, canaries) for size in encoder.sizes])
    rows = encoder.decode(tokens, None)
    coins = rng.random(canaries) < 0.5
    tokens = encoder.encode(rows).astype(np.int64)
    private = PrivateTable(rows.filter(pa.array(coins)), Ledger(None, epsilon=epsilon, delta=delta))
    private.bind(encoder)
    place = None if target is None else encoder.index(target)
    groups = [group for group in marginals_to_measure(encoder.sizes, place) if group]
    scores = np.zeros(canaries)
    for group in groups:
        rho = rho_of(epsilon, delta) / len(groups)
        precision = private.sigma(len(group), rho) ** -2
        for marginal, noisy in zip(group, private.measure(group, rho), strict=True):
            cells = np.ravel_multi_index(tuple(tokens[:, j] for j in marginal), noisy.shape)
            expected = np.bincount(cells, minlength=noisy.size) / 2
            scores += precision * (noisy.ravel() - expected)[cells]
    order = np.argsort(scores)
    half = guesses // 2
    correct = int(coins[order[-half:]].sum() + (~coins[order[:half]]).sum())
    return AuditResult(
        epsilon,
        _lower_bound(correct, 2 * half, canaries, delta),
        _lower_bound(2 * half, 2 * half, canaries, delta),
        correct,
        2 * half,
    )


def _lower_bound(correct: int, guesses: int, canaries: int, delta: float) -> float:
    """Return the largest epsilon that so many right guesses refute at 95 % (theorem 5.2)."""

    def chance(epsilon: float) -> float:
        odds = 1 / (1 + math.exp(-epsilon))
        steps = np.arange(1, correct + 1)
        below = binom.cdf(correct - 1, guesses, odds) - binom.cdf(
            correct - steps - 1, guesses, odds
        )
        excess = 2 * float((below / steps).max(initial=0.0)) * canaries * delta
        return float(binom.sf(correct - 1, guesses, odds)) + excess

    low, high = 0.0, 40.0
    if chance(low) > 0.05:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(middle) <= 0.05 else (low, middle)
    return low
