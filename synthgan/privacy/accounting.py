"""What a privacy budget buys: zero-concentrated differential privacy, and back to (epsilon, delta).

Every mechanism has a cost in *rho* (Bun and Steinke 2016, arXiv:1605.02065); costs add up. The
neighbouring tables are those that differ by all rows of one unit, which is added or removed.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq, minimize_scalar

from synthgan.exceptions import ParameterError

__all__ = ["epsilon_of", "rho_of", "sgd_sigma", "sigma_of"]


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
    exact, less = min(1e-14, 1e-12 * epsilon**2), 1e-12
    rho = float(brentq(lambda r: epsilon_of(r, delta) - epsilon, 0.0, highest, xtol=exact))
    while epsilon_of(rho, delta) > epsilon:  # the root may lie a rounding error too high
        rho, less = rho * (1 - less), 2 * less
    return rho


def sigma_of(rho: float, sensitivity: float) -> float:
    """Return the deviation of the Gaussian noise that `rho` buys, discrete or not.

    Such noise costs ``sensitivity**2 / (2 * sigma**2)``.
    """
    return sensitivity / math.sqrt(2 * rho)


def sgd_sigma(
    epsilon: float, delta: float, sample_rate: float, steps: int, count_sigma: float
) -> float:
    """Return the noise of DP-SGD that stays within (`epsilon`, `delta`), in units of the clip.

    By the privacy loss distributions of dp-accounting, which are exact up to rounding upwards.

    Parameters
    ----------
    epsilon, delta : float
    sample_rate : float
        Probability that an example is in a step (Poisson sampling).
    steps : int
    count_sigma : float
        Deviation of the noise of one count that is released besides.

    Raises
    ------
    ParameterError
        If dp-accounting is not installed, or no noise is enough.
    """
    try:
        import dp_accounting as events
        from dp_accounting import pld
    except ImportError as error:
        raise ParameterError(
            'DP-SGD needs dp-accounting: pip install "synthgan[dpsgd]".'
        ) from error

    def spent(sigma: float) -> float:
        accountant = pld.PLDAccountant()
        step = events.PoissonSampledDpEvent(sample_rate, events.GaussianDpEvent(sigma))
        accountant.compose(events.SelfComposedDpEvent(step, steps))
        accountant.compose(events.GaussianDpEvent(count_sigma))
        return float(accountant.get_epsilon(delta))

    low, high = 0.3, 0.6
    while spent(high) > epsilon:
        low, high = high, high * 2
        if high > 1e5:
            raise ParameterError("No noise keeps so many steps within this epsilon; take fewer.")
    while high / low > 1.005:
        middle = math.sqrt(low * high)
        within = spent(middle) <= epsilon
        low, high = (low, middle) if within else (middle, high)
    return high
