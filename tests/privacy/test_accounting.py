"""Costs against published values, and against numerical accounting."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthgan.privacy.accounting import epsilon_of, rho_of, sigma_of


@pytest.mark.parametrize(
    ("epsilon", "delta", "rho"),
    [
        (0.5, 1e-5, 0.00851),
        (1, 1e-5, 0.03056),
        (1, 1e-9, 0.01497),
        (2, 1e-5, 0.10826),
        (4, 1e-5, 0.37314),
        (8, 1e-5, 1.2297),
        (10, 1e-5, 1.7827),
    ],
)
def test_known_budgets(epsilon, delta, rho):
    assert rho_of(epsilon, delta) == pytest.approx(rho, rel=1e-3)


@given(st.floats(0.01, 50), st.sampled_from([1e-3, 1e-6, 1e-12]))
def test_a_budget_is_used_up_and_not_exceeded(epsilon, delta):
    rho = rho_of(epsilon, delta)
    assert epsilon * (1 - 1e-6) <= epsilon_of(rho, delta) <= epsilon
    assert epsilon_of(rho, delta / 10) > epsilon
    # Bun and Steinke's simpler conversion is looser
    assert epsilon_of(rho, delta) <= rho + 2 * math.sqrt(rho * math.log(1 / delta))


def test_costs():
    assert 2.0**2 / (2 * sigma_of(0.3, 2.0) ** 2) == pytest.approx(0.3)
    assert epsilon_of(0.0, 1e-6) == 0.0


@pytest.mark.parametrize("epsilon", [1.0, 10.0])
def test_numerical_accounting_finds_no_more(epsilon):
    """The privacy loss distribution of one Gaussian release has an epsilon a little below ours."""
    events = pytest.importorskip("dp_accounting")
    pld = pytest.importorskip("dp_accounting.pld")
    sigma = sigma_of(rho_of(epsilon, 1e-5), 1.0)
    accountant = pld.PLDAccountant().compose(events.GaussianDpEvent(sigma))
    exact = accountant.get_epsilon(1e-5)
    assert 0.85 * epsilon < exact < epsilon
