"""What a privacy budget buys: zero-concentrated differential privacy, and back to (epsilon, delta).

Every mechanism has a cost in *rho* (Bun and Steinke 2016, arXiv:1605.02065); costs add up. The
neighbouring tables are those that differ by all rows of one unit, which is added or removed.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq, minimize_scalar

__all__ = ["epsilon_of", "exponential_rho", "gaussian_rho", "rho_of", "sigma_of"]


def epsilon_of(rho: float, delta: float) -> float:
    """Return the epsilon that `rho` amounts to at `delta`.

    The tight conversion of Canonne, Kamath and Steinke (2020, arXiv:2004.00010, proposition 12).

    Parameters
    ----------
    rho : float
        At least 0.
    delta : float
        Between 0 and 1.

    Examples
    --------
    >>> round(epsilon_of(0.03056, 1e-5), 3)
    1.0
    """
    if rho == 0:
        return 0.0

    def bound(log_excess: float) -> float:  # alpha - 1 on a log scale
        excess = math.exp(log_excess)
        alpha = 1 + excess
        spare = alpha * math.log1p(-1 / alpha) - math.log(excess) - math.log(delta)
        return alpha * rho + spare / excess

    found = minimize_scalar(bound, bounds=(-12, 18), method="bounded", options={"xatol": 1e-10})
    return max(float(found.fun), 0.0)


def rho_of(epsilon: float, delta: float) -> float:
    """Return the largest rho that stays within (`epsilon`, `delta`).

    Examples
    --------
    >>> round(rho_of(1.0, 1e-5), 5)
    0.03056
    """
    highest = epsilon + 1.0  # rho-zCDP has an epsilon above rho
    rho = float(brentq(lambda r: epsilon_of(r, delta) - epsilon, 0.0, highest, xtol=1e-14))
    while epsilon_of(rho, delta) > epsilon:  # the root may lie a rounding error too high
        rho *= 1 - 1e-12
    return rho


def gaussian_rho(sigma: float, sensitivity: float) -> float:
    """Return what Gaussian noise of deviation `sigma` costs, discrete or not."""
    return sensitivity**2 / (2 * sigma**2)


def sigma_of(rho: float, sensitivity: float) -> float:
    """Return the deviation of the Gaussian noise that `rho` buys."""
    return sensitivity / math.sqrt(2 * rho)


def exponential_rho(epsilon: float) -> float:
    """Return what one draw of the exponential mechanism costs (arXiv:2004.07223)."""
    return epsilon**2 / 8
