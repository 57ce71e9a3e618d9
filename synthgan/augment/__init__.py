"""More training rows, shown to help; and samples with the shares that somebody wants."""

from __future__ import annotations

from synthgan.augment.decision import Augmentation, augment
from synthgan.augment.oversampling import GANOverSampler
from synthgan.augment.rebalancing import Rebalanced, decouple, rebalance
from synthgan.augment.ways import Way

__all__ = [
    "Augmentation",
    "GANOverSampler",
    "Rebalanced",
    "Way",
    "augment",
    "decouple",
    "rebalance",
]
