"""The audit: quiet when the noise is right, loud when it is not."""

import pytest

from synthgan.exceptions import ParameterError
from synthgan.privacy import mechanisms
from synthgan.privacy.audit import audit_noise
from synthgan.schema import Column, Schema

pytest.importorskip("opendp")

#: Wide tables, so that canaries seldom meet in a cell.
DOMAIN = Schema(
    tuple(
        Column(f"c{j}", "categorical", "int64", levels=tuple(range(24)), missing=False)
        for j in range(7)
    )
)


def audit(epsilon):
    return audit_noise(DOMAIN, epsilon, 1e-6, target="c6", random_state=0)


@pytest.mark.parametrize("epsilon", [1.0, 3.0])
def test_right_noise_is_not_refuted(epsilon):
    """At 95 % confidence one audit in twenty could fail, if an attacker reached epsilon at all."""
    found = audit(epsilon)
    assert found.passed
    assert found.largest > 4
    assert "not refuted" in str(found)


@pytest.mark.parametrize("guesses", [0, 1, 101])
def test_guesses_must_differ(guesses):
    with pytest.raises(ParameterError, match="guesses must lie in"):
        audit_noise(DOMAIN, 1.0, 1e-5, canaries=100, guesses=guesses)


def test_too_little_noise_is_found_out(monkeypatch):
    drawn = mechanisms.discrete_gaussian
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda c, sigma: drawn(c, sigma / 4))
    found = audit(3.0)
    assert not found.passed
    assert "REFUTED" in str(found)


def test_no_noise_is_found_out(monkeypatch):
    monkeypatch.setattr(mechanisms, "discrete_gaussian", lambda counts, sigma: counts)
    found = audit(3.0)
    assert not found.passed
    assert found.lower_bound == pytest.approx(found.largest, rel=0.2)
