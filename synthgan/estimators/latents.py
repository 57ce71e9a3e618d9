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
#: Class of components that belong to none.
_ANY = -1
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
    groups : ndarray of int64, shape (components,)
        Class that a component belongs to; -1 for none.
    """

    weights: Floats
    means: Floats
    covariances: Floats
    groups: npt.NDArray[np.int64]

    @classmethod
    def fit(cls, latents: Floats, seed: int, groups: Any = None) -> LatentMixture:
        """Fit up to 20 components, with ten vectors per dimension on average, and ten at least.

        Parameters
        ----------
        latents : ndarray, shape (vectors, latent)
        seed : int
        groups : ndarray of int64, shape (vectors,), optional
            Class of each vector. Classes of ten vectors and more get components of their own; the
            others share those of all.
        """
        if groups is not None:
            own = {g: latents[groups == g] for g in np.unique(groups)}
            fitted = {g: cls.fit(part, seed) for g, part in own.items() if len(part) >= _VECTORS}
            if fitted:
                sizes = np.array([len(own[g]) for g in fitted])
                shares = sizes / sizes.sum()
                return cls(
                    np.concatenate(
                        [m.weights * s for m, s in zip(fitted.values(), shares, strict=True)]
                    ),
                    np.concatenate([m.means for m in fitted.values()]),
                    np.concatenate([m.covariances for m in fitted.values()]),
                    np.repeat([*fitted], [len(m.weights) for m in fitted.values()]),
                )
        count = max(min(_COMPONENTS, len(latents) // (_VECTORS * latents.shape[1])), 1)
        state = int(numpy_generator(seed, "mixture").integers(2**31))
        centre, scale = latents.mean(axis=0), latents.std(axis=0) + 1e-6
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = GaussianMixture(count, reg_covar=_LEAST_VARIANCE, random_state=state)
            found.fit((latents - centre) / scale)
        large = found.weights_ * len(latents) >= min(_VECTORS, len(latents) / count)
        return cls(
            found.weights_[large] / found.weights_[large].sum(),
            found.means_[large] * scale + centre,
            found.covariances_[large] * np.outer(scale, scale),
            np.full(large.sum(), _ANY),
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

    def draw(self, n: int, seed: int, groups: Any = None) -> npt.NDArray[np.float32]:
        """Return vectors of shape (n, latent); the first do not depend on how many follow.

        Parameters
        ----------
        n, seed : int
        groups : ndarray of int64, shape (n,), optional
            Class of each vector. One without components draws from those of all classes.
        """
        roots = np.linalg.cholesky(self.covariances)
        wanted = np.full(n, _ANY) if groups is None else np.asarray(groups)
        latent = self.means.shape[1]
        parts = [np.zeros((0, latent))]
        for block in range(-(-n // _BLOCK)):
            generator = numpy_generator(seed, "latent", block)
            uniforms = generator.random(_BLOCK)
            noise = generator.normal(size=(_BLOCK, latent))
            asked = wanted[block * _BLOCK : (block + 1) * _BLOCK]
            which = np.zeros(_BLOCK, np.int64)
            for group in np.unique(asked):
                rows = np.flatnonzero(asked == group)
                which[rows] = self._components(group, uniforms[rows])
            parts.append(self.means[which] + np.einsum("nij,nj->ni", roots[which], noise))
        return np.concatenate(parts)[:n].astype(np.float32)

    def _components(self, group: int, uniforms: Floats) -> npt.NDArray[np.int64]:
        """Return which components a class draws from."""
        weights = np.where(self.groups == group, self.weights, 0.0)
        running = np.cumsum(weights if weights.any() else self.weights)
        found = np.searchsorted(running, uniforms * running[-1], side="right")
        return np.minimum(found, np.searchsorted(running, running[-1]))

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
        return {
            "weights": self.weights,
            "means": self.means,
            "covariances": self.covariances,
            "groups": self.groups,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray[Any, Any]], latent: int) -> LatentMixture:
        """Rebuild a mixture after checking that its parts fit each other.

        Raises
        ------
        ValueError
            If they do not, or a covariance is none.
        """
        names = ("weights", "means", "covariances", "groups")
        weights, means, covariances, groups = (arrays[name] for name in names)
        count = len(weights)
        good = (
            count >= 1
            and means.shape == (count, latent)
            and covariances.shape == (count, latent, latent)
            and groups.shape == (count,)
            and groups.dtype.kind == "i"
            and bool((weights >= 0).all() and weights.sum() > 0)
        )
        if not good:
            raise ValueError("the mixture does not fit the latent vectors")
        np.linalg.cholesky(covariances)
        return cls(weights, means, covariances, groups)
