"""Fit a conditional GAN to a table or to images, sample, and prove what was written.

>>> from synthgan import TabularGAN
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgan.adversarial.dp_sgd import PrivateSgdOptions
    from synthgan.adversarial.images import ImageOptions
    from synthgan.adversarial.translation import TranslationOptions
    from synthgan.conditions import MISSING, NOT_MISSING
    from synthgan.estimators.base import load_model
    from synthgan.estimators.image_gan import ImageGAN
    from synthgan.estimators.image_translator import ImageTranslator
    from synthgan.estimators.image_vae import ImageVAE
    from synthgan.estimators.tabular_gan import TabularGAN
    from synthgan.estimators.tabular_vae import TabularVAE
    from synthgan.inference import infer_schema
    from synthgan.marginals import MarginalOptions
    from synthgan.options import TrainingOptions
    from synthgan.schema import Column, Schema
    from synthgan.shards import sample_shards
    from synthgan.variational import AutoencoderOptions

__version__ = "0.1.0"

__all__ = [
    "MISSING",
    "NOT_MISSING",
    "AutoencoderOptions",
    "Column",
    "ImageGAN",
    "ImageOptions",
    "ImageTranslator",
    "ImageVAE",
    "MarginalOptions",
    "PrivateSgdOptions",
    "Schema",
    "TabularGAN",
    "TabularVAE",
    "TrainingOptions",
    "TranslationOptions",
    "infer_schema",
    "load_model",
    "sample_shards",
]

_HOMES = {
    "MISSING": "conditions",
    "NOT_MISSING": "conditions",
    "AutoencoderOptions": "variational",
    "Column": "schema",
    "ImageGAN": "estimators.image_gan",
    "ImageOptions": "adversarial.images",
    "ImageTranslator": "estimators.image_translator",
    "ImageVAE": "estimators.image_vae",
    "MarginalOptions": "marginals",
    "PrivateSgdOptions": "adversarial.dp_sgd",
    "Schema": "schema",
    "TabularGAN": "estimators.tabular_gan",
    "TabularVAE": "estimators.tabular_vae",
    "TrainingOptions": "options",
    "TranslationOptions": "adversarial.translation",
    "infer_schema": "inference",
    "load_model": "estimators.base",
    "sample_shards": "shards",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"synthgan.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'synthgan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
