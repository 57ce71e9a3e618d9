"""Where latent vectors lie: a mixture of normal distributions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from synthgan._runtime import numpy_generator

__all__ = ["LatentMixture"]

Floats = npt.NDArray[np.float64]

#: Most components, and vectors per component and dimension at least.
_COMPONENTS, _VECTORS = 20, 10
#: Added to all variances, as a share of the variance of a dimension.
_LEAST_VARIANCE = 1e-3
#: Vectors that are drawn together, always as many.
_BLOCK = 64


@dataclass(frozen=True, slots=True, eq=False)
class LatentMixture:
    """A density that is fitted to latent vectors after the networks have learned.

    After Ghosh et al. (2020, arXiv:1903.12436). It holds means and covariances of many vectors,
    and no vector.

    Attributes
    ----------
    weights : ndarray of float64, shape (components,)
    means : ndarray of float64, shape (components, latent)
    covariances : ndarray of float64, shape (components, latent, latent)
    """

    weights: Floats
    means: Floats
    covariances: Floats

    @classmethod
    def fit(cls, latents: Floats, seed: int) -> LatentMixture:
        """Fit up to 20 components, each with ten vectors per dimension or more on average.

        Parameters
        ----------
        latents : ndarray, shape (vectors, latent)
        seed : int
        """
        count = max(min(_COMPONENTS, len(latents) // (_VECTORS * latents.shape[1])), 1)
        state = int(numpy_generator(seed, "mixture").integers(2**31))
        centre, scale = latents.mean(axis=0), latents.std(axis=0) + 1e-6
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = GaussianMixture(count, reg_covar=_LEAST_VARIANCE, random_state=state)
            found.fit((latents - centre) / scale)
        return cls(
            found.weights_,
            found.means_ * scale + centre,
            found.covariances_ * np.outer(scale, scale),
        )

    def log_density(self, latents: Floats) -> Floats:
        """Return the log-density of each vector, shape (vectors,)."""
        parts = [np.log(np.maximum(self.weights, 1e-300))]
        terms = []
        for mean, covariance in zip(self.means, self.covariances, strict=True):
            root = np.linalg.cholesky(covariance)
            away = solve_triangular(root, (latents - mean).T, lower=True)
            size = 2 * np.log(np.diag(root)).sum() + len(mean) * np.log(2 * np.pi)
            terms.append(-0.5 * ((away**2).sum(axis=0) + size))
        return np.asarray(logsumexp(np.stack(terms, axis=1) + parts[0], axis=1))

    def draw(self, n: int, seed: int) -> npt.NDArray[np.float32]:
        """Return vectors of shape (n, latent); the first do not depend on how many follow."""
        roots = np.linalg.cholesky(self.covariances)
        shares = self.weights / self.weights.sum()
        latent = self.means.shape[1]
        parts = [np.zeros((0, latent))]
        for block in range(-(-n // _BLOCK)):
            generator = numpy_generator(seed, "latent", block)
            which = generator.choice(len(shares), size=_BLOCK, p=shares)
            noise = generator.normal(size=(_BLOCK, latent))
            parts.append(self.means[which] + np.einsum("nij,nj->ni", roots[which], noise))
        return np.concatenate(parts)[:n].astype(np.float32)

    def project(self, latents: Floats) -> Floats:
        """Return vectors on the two principal axes of the mixture, shape (vectors, 2).

        The second is 0 if there is one dimension.
        """
        centre = self.weights @ self.means
        gaps = self.means - centre
        spread = np.einsum("k,kij->ij", self.weights, self.covariances)
        spread = spread + (gaps * self.weights[:, None]).T @ gaps
        axes = np.linalg.eigh(spread)[1][:, ::-1][:, :2]
        found = (latents - centre) @ axes
        return np.pad(found, [(0, 0), (0, 2 - found.shape[1])])

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """Return the parameters by name; :meth:`from_arrays` is the inverse."""
        return {"weights": self.weights, "means": self.means, "covariances": self.covariances}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]], latent: int) -> LatentMixture:
        """Rebuild a mixture after checking that its parts fit each other.

        Raises
        ------
        ValueError
            If they do not, or a covariance is none.
        """
        weights, means, covariances = (arrays[k] for k in ("weights", "means", "covariances"))
        count = len(weights)
        good = (
            count >= 1
            and means.shape == (count, latent)
            and covariances.shape == (count, latent, latent)
            and bool((weights >= 0).all() and weights.sum() > 0)
        )
        if not good:
            raise ValueError("the mixture does not fit the latent vectors")
        np.linalg.cholesky(covariances)
        return cls(weights, means, covariances)
