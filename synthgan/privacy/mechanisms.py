"""Where noise comes from: OpenDP, exact, or for DP-SGD floats; all from a cryptographic source.

Nothing here takes a seed: noise that can be drawn again is none.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan.exceptions import ParameterError

__all__ = ["discrete_gaussian", "secure_normals", "secure_uniforms"]


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


def secure_uniforms(count: int) -> npt.NDArray[np.float64]:
    """Return numbers in [0, 1) from the operating system's cryptographic source."""
    bits = np.frombuffer(os.urandom(8 * count), np.uint64)
    return np.asarray((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def secure_normals(count: int) -> npt.NDArray[np.float64]:
    """Return standard normal numbers from the operating system's cryptographic source.

    Each is half the sum of four, which closes the attack on the low bits of a floating-point
    Gaussian (Holohan and Braghin 2021, arXiv:2107.10138). For DP-SGD, where exact noise would take
    hours.
    """
    pairs = 2 * count
    radius = np.sqrt(-2 * np.log1p(-secure_uniforms(pairs)))
    angle = 2 * np.pi * secure_uniforms(pairs)
    four = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)]).reshape(4, count)
    return np.asarray(four.sum(axis=0) / 2)


def _opendp() -> Any:
    try:
        import opendp.prelude as dp
    except ImportError as error:
        raise ParameterError(
            'Differential privacy needs OpenDP: pip install "synthgan[dp]".'
        ) from error
    dp.enable_features("contrib")
    return dp
