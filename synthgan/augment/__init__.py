"""More training rows: an over-sampler, and a trial that says whether they help."""

from __future__ import annotations

try:
    import imblearn  # noqa: F401  (the interface, and the ways to compare with)
except ImportError as error:
    raise ImportError(
        'synthgan.augment needs imbalanced-learn: pip install "synthgan[augment]".'
    ) from error

from synthgan.augment.decision import Augmentation, augment
from synthgan.augment.oversampling import GANOverSampler
from synthgan.augment.ways import Way

__all__ = ["Augmentation", "GANOverSampler", "Way", "augment"]
