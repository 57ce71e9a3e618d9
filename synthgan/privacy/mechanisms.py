"""The two mechanisms that noise comes from, by OpenDP: exact, from a cryptographic source.

Nothing here takes a seed: noise that can be drawn again is none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan.exceptions import ParameterError

__all__ = ["discrete_gaussian", "noisy_maximum"]


def discrete_gaussian(counts: npt.NDArray[np.int64], sigma: float) -> npt.NDArray[np.int64]:
    """Return counts with noise of the discrete Gaussian distribution.

    Parameters
    ----------
    counts : ndarray of int64
        Of any shape.
    sigma : float
        Parameter of the distribution; its deviation is a little below, for sigma < 1.

    References
    ----------
    Canonne, Kamath and Steinke 2020, "The discrete Gaussian for differential privacy"
    (arXiv:2004.00010).
    """
    dp = _opendp()
    space = dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T=float)
    noisy = dp.m.make_gaussian(*space, scale=float(sigma))
    flat = noisy(np.asarray(counts, np.int64).ravel().tolist())
    return np.array(flat, np.int64).reshape(np.shape(counts))


def noisy_maximum(scores: npt.NDArray[np.float64], epsilon: float, sensitivity: float) -> int:
    """Return the position of a score, drawn by the exponential mechanism.

    Parameters
    ----------
    scores : ndarray of float64, shape (candidates,)
        Higher is better.
    epsilon : float
        A position is drawn with a probability proportional to
        ``exp(epsilon * score / (2 * sensitivity))``.
    sensitivity : float
        How much one unit can change a score.

    References
    ----------
    McSherry and Talwar 2007, "Mechanism design via differential privacy".
    """
    dp = _opendp()
    space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.linf_distance(T=float)
    pick = dp.m.make_noisy_max(
        *space, dp.zero_concentrated_divergence(), scale=2 * sensitivity / epsilon
    )
    return int(pick(np.asarray(scores, np.float64).tolist()))


def _opendp() -> Any:
    try:
        import opendp.prelude as dp
    except ImportError as error:
        raise ParameterError(
            'Differential privacy needs OpenDP: pip install "synthgan[dp]".'
        ) from error
    dp.enable_features("contrib")
    return dp
