"""The only door to the images of a private fit: sums of bounded features, with noise."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from synthgan.privacy import mechanisms
from synthgan.privacy.accounting import sigma_of
from synthgan.privacy.ledger import Ledger

__all__ = ["PrivateImages"]

Floats = npt.NDArray[np.float64]

#: Steps per unit on the grid that features are rounded to, towards zero, before discrete noise.
_GRID = 2.0**20


class PrivateImages:
    """Images that answer with noise only. What is public: their size and channels.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (images, height, width, channels)
    ledger : Ledger
    """

    def __init__(self, pixels: npt.NDArray[np.uint8], ledger: Ledger) -> None:
        self.shape = pixels.shape[1:]
        self.ledger = ledger
        self._flat = pixels.reshape(len(pixels), -1)

    def typical_norm(self, rho: float) -> float:
        """Return about the mean norm of an image, whose pixels lie in [0, 1]."""
        norms = np.linalg.norm(self._flat / 255, axis=1) / math.sqrt(self._flat.shape[1])
        sums = np.array([_on_grid(norms).sum(), len(norms)])
        total, count = self._noisy(sums, math.sqrt(2), rho, "norm")
        share = min(max(float(total / max(count, 1.0)), 0.02), 1.0)
        return share * math.sqrt(self._flat.shape[1])

    def class_sums(
        self, codes: npt.NDArray[np.int64], classes: int, radius: float, rho: float
    ) -> tuple[Floats, Floats]:
        """Return the sums of the images of each class, and how many there are.

        Parameters
        ----------
        codes : ndarray of int64, shape (images,)
            Number of the class; -1 for an image that does not count.
        classes : int
        radius : float
            Longer images are shortened to it.
        rho : float
            What sums and counts cost together.

        Returns
        -------
        ndarray of float64, shape (classes, pixels)
        ndarray of float64, shape (classes,)
        """
        parts = _DIRECTION, _COUNT
        features = np.column_stack(
            [self._within(radius) * parts[0], np.full(len(self._flat), parts[1])]
        )
        sums = np.zeros((classes, features.shape[1]))
        known = codes >= 0
        np.add.at(sums, codes[known], _on_grid(features[known]))
        noisy = self._noisy(sums, 1.0, rho, f"sums of {classes} classes")
        return noisy[:, :-1] / parts[0] * radius, noisy[:, -1] / parts[1]

    def second_moment(
        self, codes: npt.NDArray[np.int64], size: tuple[int, int], radius: float, rho: float
    ) -> tuple[Floats, float]:
        """Return the sum of ``x x'`` over images in gray, made smaller, and its noise.

        Images with a code of -1 do not count.

        Returns
        -------
        ndarray of float64, shape (pixels, pixels)
        float
            Deviation of the noise off the diagonal.
        """
        small = _smaller(self._within(radius)[codes >= 0].reshape(-1, *self.shape), size)
        scale = math.sqrt(
            small.shape[1] / self._flat.shape[1]
        )  # means are shorter than their parts
        small = small / np.maximum(np.linalg.norm(small, axis=1, keepdims=True), scale)
        above = np.triu_indices(small.shape[1])
        weights = np.where(above[0] == above[1], 1.0, math.sqrt(2))
        sums = np.zeros(len(weights))
        for start in range(0, len(small), 256):
            part = small[start : start + 256]
            sums += _on_grid(part[:, above[0]] * part[:, above[1]] * weights).sum(0)
        noisy = self._noisy(sums, 1.0, rho, "second moment") / weights
        whole = np.zeros((small.shape[1],) * 2)
        whole[above] = noisy
        whole = whole + np.triu(whole, 1).T
        factor = (radius * scale) ** 2
        return whole * factor, sigma_of(rho, 1.0) / math.sqrt(2) * factor

    def _within(self, radius: float) -> Floats:
        """Return images as vectors no longer than 1, in units of `radius`."""
        flat = self._flat / 255
        norms = np.linalg.norm(flat, axis=1, keepdims=True)
        return np.asarray(flat / np.maximum(norms, radius))

    def _noisy(self, sums: Floats, sensitivity: float, rho: float, what: str) -> Floats:
        sigma = sigma_of(rho, sensitivity)
        self.ledger.charge(
            rho, mechanism="discrete Gaussian", sigma=sigma, sensitivity=sensitivity, what=what
        )
        steps = np.rint(sums * _GRID).astype(np.int64)  # they are on the grid already
        return mechanisms.discrete_gaussian(steps, sigma * _GRID) / _GRID


#: Shares of an image's vector, squared, that tell its pixels and that it is there.
_DIRECTION, _COUNT = math.sqrt(0.95), math.sqrt(0.05)


def _on_grid(features: Floats) -> Floats:
    """Round towards zero, so that no vector gets longer."""
    return np.asarray(np.trunc(features * _GRID) / _GRID)


def _windows(n: int, parts: int) -> list[slice]:
    """Return so many windows over `n` pixels, as adaptive pooling has them."""
    return [slice(k * n // parts, -(-(k + 1) * n // parts)) for k in range(parts)]


def _smaller(images: Floats, size: tuple[int, int]) -> Floats:
    """Return averages over patches of gray images, as vectors."""
    gray = images.mean(axis=3)
    rows, columns = (_windows(n, k) for n, k in zip(gray.shape[1:], size, strict=True))
    by_row = np.stack([gray[:, part].mean(axis=1) for part in rows], axis=1)
    both = np.stack([by_row[:, :, part].mean(axis=2) for part in columns], axis=2)
    return np.asarray(both.reshape(len(images), -1))
