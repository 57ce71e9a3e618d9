"""The only door to the images of a fit by DP-SGD: sums of clipped gradients, with noise.

After Abadi et al. (2016, arXiv:1607.00133). Each step sees a Poisson sample: every image is in it
with the same probability, by a coin of its own. The number of steps is fixed before the first, and
the whole is charged before the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from synthgan.exceptions import BudgetError
from synthgan.privacy import mechanisms
from synthgan.privacy.accounting import sgd_sigma
from synthgan.privacy.ledger import Ledger

__all__ = ["PrivateGradients", "clipped_sum"]

#: Images whose gradients are taken together.
_MICRO_BATCH = 64

#: Loss of one image: parameters, image (channels, height, width), condition (numbers,) -> number.
ExampleLoss = Callable[[Mapping[str, Tensor], Tensor, Tensor], Tensor]


def clipped_sum(
    loss: ExampleLoss,
    parameters: Mapping[str, Tensor],
    images: Tensor,
    conditions: Tensor,
    clip: float,
) -> dict[str, Tensor]:
    """Return the sum of the gradients of single images, each cut to length `clip`, by parameter."""
    held = {name: value.detach() for name, value in parameters.items()}
    total = {name: torch.zeros_like(value) for name, value in held.items()}
    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))
    for start in range(0, len(images), _MICRO_BATCH):
        part = slice(start, start + _MICRO_BATCH)
        found = {
            name: torch.nan_to_num(grads, nan=0.0, posinf=0.0, neginf=0.0)  # not even one may pass
            for name, grads in gradient(held, images[part], conditions[part]).items()
        }
        norm = torch.stack([g.flatten(1).square().sum(1) for g in found.values()]).sum(0).sqrt()
        factor = (clip / norm.clamp_min(1e-12)).clamp(max=1.0)
        for name, grads in found.items():
            total[name] += torch.einsum("n...,n->...", grads, factor)
    return total


class PrivateGradients:
    """Images with conditions that answer with noisy gradients only, so many times.

    Parameters
    ----------
    images : Tensor, shape (images, channels, height, width)
    codes : ndarray of int64, shape (images,)
        Class of each; -1 for an image that never counts.
    conditions : Tensor, shape (classes, numbers)
        What the loss gets for each class.
    ledger : Ledger
    epsilon, delta : float
        What all answers together cost.
    sample_rate : float
        Probability that an image is in a step.
    steps : int
    clip : float
        Longest gradient of one image.

    Attributes
    ----------
    sigma : float
        Deviation of the noise of each step, in units of `clip`.
    counts : ndarray of float64, shape (classes,)
        Noisy numbers of images per class.
    """

    def __init__(
        self,
        images: Tensor,
        codes: npt.NDArray[np.int64],
        conditions: Tensor,
        ledger: Ledger,
        *,
        epsilon: float,
        delta: float,
        sample_rate: float,
        steps: int,
        clip: float,
    ) -> None:
        self.sample_rate, self.clip, self.left = sample_rate, clip, steps
        count_sigma = math.sqrt(steps) * 2.0  # a small part of what the steps cost
        self.sigma = sgd_sigma(epsilon, delta, sample_rate, steps, count_sigma)
        ledger.charge(
            0.0,
            delta,
            epsilon=epsilon,
            mechanism="DP-SGD",
            sigma=self.sigma,
            sample_rate=sample_rate,
            steps=steps,
            clip=clip,
            count_sigma=count_sigma,
            what=f"{steps} gradients of a critic, and the counts of classes",
        )
        known = codes >= 0
        exact = np.bincount(codes[known], minlength=len(conditions))
        self.counts = np.maximum(mechanisms.discrete_gaussian(exact, count_sigma), 1.0)
        self._images, self._codes = images[torch.from_numpy(known)], torch.from_numpy(codes[known])
        self._conditions = conditions

    def sum(self, loss: ExampleLoss, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the noisy sum of clipped gradients of one Poisson sample, by parameter.

        Raises
        ------
        BudgetError
            If all steps were taken.
        """
        if not self.left:
            raise BudgetError("All steps of the fit were taken; no gradient is left to give.")
        self.left -= 1
        rows = torch.from_numpy(
            np.flatnonzero(mechanisms.secure_uniforms(len(self._images)) < self.sample_rate)
        )
        images = self._images[rows].to(self._conditions.device)
        conditions = self._conditions[self._codes[rows]]
        total = clipped_sum(loss, parameters, images, conditions, self.clip)
        return {
            name: value + self._noise(value) * (self.sigma * self.clip)
            for name, value in total.items()
        }

    def _noise(self, like: Tensor) -> Tensor:
        normals = mechanisms.secure_normals(like.numel())
        return torch.from_numpy(normals).to(like).view_as(like)
