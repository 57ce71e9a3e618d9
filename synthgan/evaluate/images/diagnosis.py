"""What went wrong with images, by its name in the field, and which knob to turn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthgan.evaluate.diagnosis import Finding, read_history
from synthgan.evaluate.images.setting import ImageSetting, codes_of
from synthgan.evaluate.score import Score
from synthgan.evaluate.verdict import verdict
from synthgan.images import ImageSet

__all__ = ["diagnose_images"]

#: A class is missing if chance would show so many images of it and none is there.
MIN_EXPECTED = 15
#: Below this share of what real images score, recall or coverage mean that modes are missing.
COLLAPSED = 0.6


def diagnose_images(
    setting: ImageSetting,
    images: ImageSet,
    scores: Mapping[str, Score],
    history: Sequence[Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """Return what is wrong with synthetic images and with the fit that made them.

    Parameters
    ----------
    setting : ImageSetting
    images : ImageSet
        The synthetic ones.
    scores : dict of str to Score
    history : list of dict, optional
        ``history_`` of the estimator.

    Returns
    -------
    list of Finding
        ``"mode collapse"``, ``"missing classes"``, ``"wrong labels"``, ``"copied images"``,
        ``"blurred or noisy"``, and those of :func:`synthgan.evaluate.diagnosis.read_history`;
        warnings first.
    """
    found = [
        *_collapse(scores),
        *_classes(setting, images),
        *_labels(scores),
        *_copies(scores),
        *_quality(scores),
        *(read_history(history) if history else []),
    ]
    return sorted(found, key=lambda finding: finding.severity != "warning")


def _share(score: Score | None) -> float | None:
    """Return a score as a share of what real images score."""
    if score is None or score.value is None:
        return None
    real = score.references.get("holdout")
    return score.value / real if real else None


def _collapse(scores: Mapping[str, Score]) -> list[Finding]:
    shares = {name: _share(scores.get(name)) for name in ("recall", "coverage")}
    low = [name for name, share in shares.items() if share is not None and share < COLLAPSED]
    repeats = scores.get("duplicate_rate")
    repeated = (
        repeats is not None
        and repeats.value is not None
        and repeats.interval is not None
        and repeats.interval[0] > 0.05
    )
    if not low and not repeated:
        return []
    texts = [f"{name} is {shares[name]:.0%} of that of real images" for name in low]
    if repeated and repeats is not None:
        texts.append(f"{repeats.value:.0%} of the images nearly repeat another one (real: 1 %)")
    message = "; ".join(texts) + "."
    advice = "Fit longer, raise penalty or batch_size, or sample with truncation=1."
    return [Finding("mode collapse", "warning", message[0].upper() + message[1:], advice)]


def _classes(setting: ImageSetting, images: ImageSet) -> list[Finding]:
    if not setting.classes or images.labels is None:
        return []
    n = len(setting.classes)
    train, made = (
        np.bincount(codes[codes >= 0], minlength=n)
        for codes in (
            codes_of(setting.train.labels, setting.classes),
            codes_of(images.labels, setting.classes),
        )
    )
    expected = train * len(images) / len(setting.train)
    gone = [
        str(setting.classes[k]) for k in np.flatnonzero((made == 0) & (expected > MIN_EXPECTED))
    ]
    if not gone:
        return []
    message = f"No synthetic image is labelled {', '.join(gone[:5])}."
    return [
        Finding("missing classes", "warning", message, "Sample with labels=... of all classes.")
    ]


def _labels(scores: Mapping[str, Score]) -> list[Finding]:
    label, real = (scores.get(name) for name in ("label_accuracy", "real_accuracy"))
    if label is None or real is None or label.value is None or real.value is None:
        return []
    if label.value >= 0.8 * real.value:
        return []
    message = (
        f"A classifier that is right on {real.value:.0%} of real images agrees with the labels of "
        f"{label.value:.0%} of the synthetic ones."
    )
    return [Finding("wrong labels", "warning", message, "Fit longer, or with a larger width.")]


def _copies(scores: Mapping[str, Score]) -> list[Finding]:
    found = [
        (scores[name], text)
        for name, text in (
            ("exact_match_rate", "equal a train image"),
            ("near_copy_rate", "are closer to a train image than 99 % of fresh images are"),
        )
        if name in scores and verdict(scores[name]) in ("fair", "poor")
    ]
    if not found:
        return []
    message = "; ".join(f"{score.value:.1%} of the images {text}" for score, text in found) + "."
    advice = "Fit for fewer steps, add distortions, or fit on more images."
    return [Finding("copied images", "warning", message, advice)]


def _quality(scores: Mapping[str, Score]) -> list[Finding]:
    share = _share(scores.get("precision"))
    if share is None or share >= COLLAPSED:
        return []
    message = f"Precision is {share:.0%} of that of real images: few images lie among real ones."
    advice = "Fit longer, raise width, or lower truncation."
    return [Finding("blurred or noisy", "warning", message, advice)]
