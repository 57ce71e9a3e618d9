"""Images from few numbers: a mean per class, shared directions of change, distortions, noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["FactorGenerator"]

#: Deviations of turn (radians), shear, log-width, log-height, and shifts (shares of the side).
DISTORTIONS = (0.12, 0.15, 0.08, 0.08, 0.036, 0.036)
#: Where the contrast is turned about, as a share of the brightest pixel of a mean.
_PIVOT = 0.4


class FactorGenerator(nn.Module):
    """Images of a class: its mean, plus shared factors, a little distorted.

    It has the interface of the other image generators. What it is made of can be computed from two
    noisy moments, so it suits differential privacy.

    Parameters
    ----------
    size : (int, int)
    channels : int
    classes : int
        At least 1.
    factors : int
        Directions of change that all classes share.
    """

    def __init__(self, size: tuple[int, int], channels: int, classes: int, factors: int) -> None:
        super().__init__()
        self.size, self.channels = size, channels
        self.latent = factors + len(DISTORTIONS) + channels * size[0] * size[1]
        self.factors = factors
        self.means = nn.Parameter(torch.zeros(classes, channels, *size))
        self.basis = nn.Parameter(torch.zeros(factors, 1, *size))
        self.noise = nn.Parameter(torch.zeros(()))
        self.distortions = nn.Parameter(torch.tensor(DISTORTIONS))
        self.contrast = nn.Parameter(torch.ones(()))

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Return images. Shape: z (n, latent), condition (n, classes or 0) -> (n, c, h, w)."""
        parts = [self.factors, len(DISTORTIONS), z.shape[1] - self.factors - len(DISTORTIONS)]
        weights, bends, grain = torch.split(z.float(), parts, dim=1)
        if not condition.shape[1]:
            condition = torch.ones(len(z), 1, device=z.device)
        images = torch.einsum("nk,kchw->nchw", condition.float(), self.means)
        pivots = _PIVOT * images.amax(dim=(1, 2, 3), keepdim=True)
        images = images + torch.einsum("nk,kchw->nchw", weights, self.basis)
        images = (images - pivots) * self.contrast + pivots
        grid = F.affine_grid(self._bent(bends), list(images.shape), align_corners=False)
        images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
        images = images + self.noise * grain.view_as(images)
        return images.clamp(0, 1) * 2 - 1

    def _bent(self, bends: Tensor) -> Tensor:
        """Return affine maps, shape (n, 2, 3)."""
        turn, shear, width, height, across, down = (bends * self.distortions).unbind(1)
        cosine, sine = turn.cos(), turn.sin()
        wide, high = width.exp(), height.exp()
        ratio = self.size[0] / self.size[1]
        rows = [
            torch.stack([cosine * wide, (shear * cosine - sine) * high * ratio, 2 * across], 1),
            torch.stack([sine * wide / ratio, (shear * sine + cosine) * high, 2 * down], 1),
        ]
        return torch.stack(rows, 1)

    @staticmethod
    def shrunk(values: Tensor, edge: float) -> Tensor:
        """Return what eigenvalues were before symmetric noise with spectrum up to `edge`.

        Those within it are dropped (spiked Wigner matrices: Benaych-Georges and Nadakuditi 2011,
        arXiv:0910.2120).
        """
        kept = values[values > edge]
        return (kept + (kept.square() - edge**2).sqrt()) / 2
