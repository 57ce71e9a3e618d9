"""How sure a number is: 95 % intervals for shares, means, ranks and whole-table statistics.

References
----------
.. [1] E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference",
   Journal of the American Statistical Association 22, 1927.
.. [2] C. Clopper, E. Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case
   of the Binomial", Biometrika 26, 1934.
.. [3] B. Efron, C. Stein, "The Jackknife Estimate of Variance", Annals of Statistics 9, 1981.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

__all__ = [
    "N_FOLDS",
    "Z95",
    "bootstrap_interval",
    "clipped",
    "clopper_pearson",
    "difference_of_means",
    "fold_bounds",
    "folds",
    "jackknife_interval",
    "mean_interval",
    "t_interval",
    "wilson",
]

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

#: Two-sided 95 % of a normal distribution.
Z95 = 1.959963984540054
#: Folds of rows that the jackknife leaves out in turn.
N_FOLDS = 20
_T95 = 2.0930240544082634  # two-sided 95 % of Student's t with N_FOLDS - 1 degrees of freedom


def wilson(share: float, n: int) -> Interval:
    """Return Wilson's interval of a share among `n` rows.

    Examples
    --------
    >>> low, high = wilson(0.5, 100)
    >>> round(low, 3), round(high, 3)
    (0.404, 0.596)
    """
    centre = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * float(np.sqrt(share * (1 - share) / n + (Z95 / (2 * n)) ** 2))
    return max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0)


def clopper_pearson(successes: int, n: int) -> Interval:
    """Return the exact interval of a share: never too short, for claims about rare events.

    Examples
    --------
    >>> low, high = clopper_pearson(0, 300)
    >>> low, round(high, 4)
    (0.0, 0.0122)
    """
    from scipy.stats import beta

    low = float(beta.ppf(0.025, successes, n - successes + 1)) if successes else 0.0
    high = float(beta.ppf(0.975, successes + 1, n - successes)) if successes < n else 1.0
    return low, high


def mean_interval(values: Floats) -> Interval:
    """Return the normal interval of the mean of independent values; at least two."""
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    return mean - Z95 * error, mean + Z95 * error


def t_interval(values: Floats) -> Interval:
    """Return Student's interval of the mean of a few independent values; at least two."""
    from scipy.stats import t

    n = len(values)
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(n))
    half = float(t.ppf(0.975, n - 1)) * error
    return mean - half, mean + half


def difference_of_means(a: Floats, b: Floats) -> tuple[float, Interval]:
    """Return mean(a) - mean(b) and its normal interval; at least two values each."""
    gap = float(a.mean() - b.mean())
    half = Z95 * float(np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))
    return gap, (gap - half, gap + half)


def clipped(
    interval: Interval, value: float, low: float = -np.inf, high: float = np.inf
) -> Interval:
    """Return the interval cut to what is possible, still holding `value`."""
    return min(max(interval[0], low), value), max(min(interval[1], high), value)


def fold_bounds(n_rows: int) -> npt.NDArray[np.int64]:
    """Return where the folds of `n_rows` shuffled rows begin and end; shape (N_FOLDS + 1,)."""
    return np.linspace(0, n_rows, N_FOLDS + 1).astype(np.int64)


def folds(n_rows: int) -> list[npt.NDArray[np.bool_]]:
    """Return masks of the rows that stay when one fold of shuffled rows is left out."""
    bounds, rows = fold_bounds(n_rows), np.arange(n_rows)
    return [(rows < bounds[k]) | (rows >= bounds[k + 1]) for k in range(N_FOLDS)]


def jackknife_interval(value: float, left_out: Floats) -> Interval | None:
    """Return the interval of a statistic from its values with one fold of rows left out each.

    Parameters
    ----------
    value : float
        The statistic on all rows.
    left_out : ndarray of shape (N_FOLDS,)
        The statistic without each fold; for two tables, without the same fold of both.

    Returns
    -------
    (float, float) or None
        Student's t interval; None if a value or the spread is not finite. A bootstrap would not
        do: resampled rows repeat, which moves every distance between two tables upwards.
    """
    if not np.isfinite(left_out).all():
        return None
    with np.errstate(over="ignore"):
        spread = ((left_out - left_out.mean()) ** 2).sum()
    half = _T95 * float(np.sqrt((N_FOLDS - 1) / N_FOLDS * spread))
    return (value - half, value + half) if np.isfinite(half) else None


def bootstrap_interval(
    statistic: Callable[[npt.NDArray[np.int64]], float],
    n_rows: int,
    generator: np.random.Generator,
    n_resamples: int = 200,
) -> Interval | None:
    """Return the 95 % percentile interval of a statistic over resampled rows.

    Parameters
    ----------
    statistic : callable
        Takes how often each row was drawn, int64 of shape (n_rows,); may return NaN.
    n_rows : int
    generator : numpy.random.Generator
    n_resamples : int, default 200

    Returns
    -------
    (float, float) or None
        None if fewer than half of the resamples gave a number.
    """
    values = np.empty(n_resamples)
    for k in range(n_resamples):
        drawn = generator.integers(n_rows, size=n_rows)
        values[k] = statistic(np.bincount(drawn, minlength=n_rows))
    values = values[np.isfinite(values)]
    if 2 * len(values) < n_resamples:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
