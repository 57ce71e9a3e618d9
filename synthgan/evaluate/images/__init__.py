"""Proof for images: fidelity, utility and attacks, whoever made them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from synthgan._runtime import numpy_generator, seed_from
from synthgan.evaluate.images import distances, manifold, privacy, utility
from synthgan.evaluate.images.diagnosis import diagnose_images
from synthgan.evaluate.images.report import ImageReport, build_image_report
from synthgan.evaluate.images.setting import ImageSetting
from synthgan.evaluate.measure import Measure, run_plan
from synthgan.exceptions import DataError, ParameterError
from synthgan.images import ImageSet, read_images

__all__ = ["ImageReport", "evaluate_images"]

_POWER = ("copy_of_train", "fresh_rows")
#: What is measured, in the order of the report.
PLAN = [
    Measure("distances", "fidelity", distances.measure, ("holdout",)),
    Measure("manifold", "fidelity", manifold.measure, ("holdout",)),
    Measure("utility", "utility", utility.measure, ()),
    Measure("attacks", "privacy", privacy.measure, _POWER),
]
#: Images that are compared at a time, and classifiers per figure, by level.
LEVELS = {"quick": (1_000, 1), "full": (5_000, 3)}


def evaluate_images(
    train: Any,
    synthetic: Any,
    *,
    holdout: Any = None,
    labels: Any = None,
    synthetic_labels: Any = None,
    holdout_labels: Any = None,
    level: str = "full",
    history: Sequence[Mapping[str, Any]] | None = None,
    interpolations: Sequence[Any] = (),
    privacy: str | None = None,
    random_state: Any = 0,
    progress: bool = False,
) -> ImageReport:
    """Measure synthetic images against real ones, each number beside that of fresh real images.

    Parameters
    ----------
    train : ndarray, path or ImageSet
        The images that the generator learned from; anything that
        :func:`synthgan.images.read_images` reads.
    synthetic : ndarray, path or ImageSet
        Images of the same size and colours.
    holdout : ndarray, path or ImageSet, optional
        Real images that the generator never saw. Without them there is no yardstick, no test of
        utility and no attack.
    labels, synthetic_labels, holdout_labels : array-like, optional
        One class per image, unless they come with the images. Without them there is no utility,
        and images are seen by a random network alone.
    level : {"full", "quick"}
        ``"quick"`` compares 1,000 instead of 5,000 images at a time, and trains one classifier
        instead of three for each figure of utility.
    history : list of dict, optional
        ``history_`` of the fitted estimator, to be read for collapse and the like.
    interpolations : sequence of ndarray
        Each some images on the way from one to another, as :meth:`synthgan.ImageGAN.interpolate`
        gives them, as many in each; the page shows one row per way. A model that has learned
        images one by one jumps; one that has understood them changes smoothly.
    privacy : str, optional
        First line of every rendering, if the generator gives a formal guarantee.
    random_state : int, Generator or None, default 0
        The same int gives the same report.
    progress : bool, default False

    Returns
    -------
    ImageReport
        Scores with intervals and references; findings with advice. What cannot be computed says
        why.

    Raises
    ------
    DataError
        If images cannot be read, or differ in size or colours.
    ParameterError
        If `level` is unknown.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> digits = (load_digits().images * 15.9375).astype("uint8")
    >>> report = evaluate_images(digits[:800], digits[800:1300], holdout=digits[1300:])
    >>> report.verdicts()["recall"]
    'good'
    """
    if level not in LEVELS:
        raise ParameterError(f"level must be 'full' or 'quick', got {level!r}.")
    seed = seed_from(random_state)
    parts = {"train": read_images(train, labels)}
    parts["synthetic"] = read_images(synthetic, synthetic_labels)
    if holdout is not None:
        parts["holdout"] = read_images(holdout, holdout_labels)
    if len({len(way) for way in interpolations}) > 1:
        raise DataError("All interpolations must have as many images.")
    if len(interpolations):
        parts["interpolated"] = read_images(np.concatenate(list(interpolations)))
    _require_alike(parts)
    ways = parts.pop("interpolated", None)
    real, made, fresh = parts["train"], parts["synthetic"], parts.get("holdout")
    most, n_seeds = LEVELS[level]
    smallest = min(len(real) // 2, *(len(part) for name, part in parts.items() if name != "train"))
    setting = ImageSetting(real, fresh, _classes(real), max(min(most, smallest), 1), seed, n_seeds)
    candidates = {"synthetic": made}
    attacked = setting
    if fresh is not None:
        candidates["holdout"] = fresh
        order = numpy_generator(seed, "control").permutation(len(fresh))
        control, unseen = (fresh.take(half) for half in np.array_split(order, 2))
        attacked = dataclasses.replace(setting, control=control)
        candidates |= {"copy_of_train": real, "fresh_rows": unseen}
        candidates = {name: part for name, part in candidates.items() if len(part)}
    settings = {"fidelity": setting, "utility": setting, "privacy": attacked}
    scores, details = run_plan(PLAN, settings, candidates, progress)
    findings = diagnose_images(setting, made, {s.name: s for s in scores}, history)
    return build_image_report(
        setting,
        made,
        fresh,
        scores,
        details,
        findings,
        history=history or (),
        ways=None if ways is None else (ways, len(interpolations[0])),
        privacy=privacy,
        settings={"level": level, "random_state": seed},
    )


def _require_alike(parts: Mapping[str, ImageSet]) -> None:
    real = parts["train"]
    for name, part in parts.items():
        if (part.size, part.channels) != (real.size, real.channels):
            raise DataError(
                f"The {name} images are {part.size[0]} x {part.size[1]} with {part.channels} "
                f"channels, those of train {real.size[0]} x {real.size[1]} with {real.channels}."
            )


def _classes(real: ImageSet) -> tuple[Any, ...]:
    """Return the classes of train; none if labels are attributes, vectors, or as good as unique."""
    labels = real.labels
    if not isinstance(labels, np.ndarray) or labels.ndim != 1:
        return ()
    found = sorted({label.item() if isinstance(label, np.generic) else label for label in labels})
    return tuple(found) if len(found) <= len(real) // 2 else ()
