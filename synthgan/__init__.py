"""Fit a conditional GAN to a table or to images, sample, and prove what was written.

>>> from synthgan import TabularGAN
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgan.adversarial.images import ImageOptions
    from synthgan.conditions import MISSING, NOT_MISSING
    from synthgan.estimators.autoencoders import ImageVAE
    from synthgan.estimators.base import load_model
    from synthgan.estimators.images import ImageGAN
    from synthgan.estimators.tabular import TabularGAN
    from synthgan.estimators.tabular_autoencoders import TabularVAE
    from synthgan.estimators.translation import ImageTranslator
    from synthgan.schema import Column, Schema, infer_schema
    from synthgan.training import TrainingOptions
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
    "Schema",
    "TabularGAN",
    "TabularVAE",
    "TrainingOptions",
    "TranslationOptions",
    "infer_schema",
    "load_model",
]

_HOMES = {
    "MISSING": "conditions",
    "NOT_MISSING": "conditions",
    "AutoencoderOptions": "variational",
    "Column": "schema",
    "ImageGAN": "estimators.images",
    "ImageOptions": "adversarial.images",
    "ImageTranslator": "estimators.translation",
    "ImageVAE": "estimators.autoencoders",
    "Schema": "schema",
    "TabularGAN": "estimators.tabular",
    "TabularVAE": "estimators.tabular_autoencoders",
    "TrainingOptions": "training",
    "TranslationOptions": "adversarial.translation",
    "infer_schema": "schema",
    "load_model": "estimators.base",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"synthgan.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'synthgan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
