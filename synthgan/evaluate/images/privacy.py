"""Do synthetic images repeat training images, and do they tell who was in train?

Copies are looked for among pixels: a smoke test that can raise an alarm, never give the all-clear.
The membership attack compares, for each target, how close the released images come with how close
images of other people come.

References
----------
.. [1] B. van Breugel et al., "Membership Inference Attacks against Synthetic Data through
   Overfitting Detection", AISTATS 2023 (DOMIAS). Departure: nearest neighbours for densities.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.attacks.copies import NEAR_SHARE, SMOKE_TEST
from synthgan.evaluate.images.manifold import nearest_distances
from synthgan.evaluate.images.setting import ImageSetting
from synthgan.evaluate.intervals import wilson
from synthgan.evaluate.measure import Measurement
from synthgan.evaluate.roc import auc_score, found_at, roc_curve
from synthgan.evaluate.score import Direction, Score
from synthgan.images import ImageSet

__all__ = ["measure", "pixel_space"]

MAX_LOOKED_AT, MAX_TRAIN, MAX_TARGETS = 2_000, 20_000, 1_000
MIN_IMAGES = 40
#: Sides are averaged down to at most so many points.
_SIDE = 16
_LEAST_DISTANCE = 1e-3

NAMES: list[tuple[str, Direction, float]] = [
    ("exact_match_rate", "near", 0.0),
    ("near_copy_rate", "near", NEAR_SHARE),
    ("membership_auc", "near", 0.5),
    ("membership_tpr_at_1pct_fpr", "near", 0.01),
]

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


def measure(setting: ImageSetting, images: ImageSet) -> Measurement:
    """Return exact and near copies of train images, and a membership attack.

    Returns
    -------
    Measurement
        ``exact_match_rate``; ``near_copy_rate``, the share of images closer to a train image than
        99 % of control images are; ``membership_auc`` and ``membership_tpr_at_1pct_fpr`` for up to
        1,000 members and as many others. Details ``roc_membership``.
    """
    scores = [_exact(setting, images)]
    control = setting.control
    if control is None or min(len(control), len(images), len(setting.train)) < MIN_IMAGES:
        reason = f"needs {MIN_IMAGES} images of each set"
        reason = "needs a holdout of real images" if control is None else reason
        return Measurement(
            scores + [Score.not_computable(n, reason, d, b) for n, d, b in NAMES[1:]]
        )
    generator = numpy_generator(setting.seed, "image attacks")

    def some(pixels: Pixels, most: int) -> Floats:
        return pixel_space(pixels[generator.permutation(len(pixels))[:most]])

    train, looked = some(setting.train.pixels, MAX_TRAIN), some(images.pixels, MAX_LOOKED_AT)
    others = some(control.pixels, MAX_LOOKED_AT)
    to_train = [nearest_distances(x, train)[:, 0] for x in (looked, others)]
    scores.append(found_at(NAMES[1][0], -to_train[0], -to_train[1], NEAR_SHARE, note=SMOKE_TEST))
    half = len(others) // 2
    n_targets = min(MAX_TARGETS, half, len(train))
    released = some(images.pixels, MAX_TRAIN)
    evidence = [
        _evidence(targets, released, others[half:])
        for targets in (train[:n_targets], others[:half][:n_targets])
    ]
    scores.append(auc_score(NAMES[2][0], evidence[0], evidence[1]))
    scores.append(found_at(NAMES[3][0], evidence[0], evidence[1], 0.01))
    return Measurement(scores, {"roc_membership": roc_curve(evidence[0], evidence[1])})


def _exact(setting: ImageSetting, images: ImageSet) -> Score:
    known = {image.tobytes() for image in setting.train.pixels}

    def rate(found: ImageSet) -> float:
        return sum(image.tobytes() in known for image in found.pixels) / len(found)

    best = 0.0 if setting.control is None else rate(setting.control)
    value = rate(images)
    ends = wilson(value, len(images))
    return Score(NAMES[0][0], value, "near", best, ends, note=SMOKE_TEST)


def _evidence(targets: Floats, released: Floats, reference: Floats) -> Floats:
    """Return the log density ratio at every target."""
    near, far = (
        np.log(np.maximum(nearest_distances(targets, x, 3)[:, [0, -1]], _LEAST_DISTANCE)).mean(1)
        for x in (released, reference)
    )
    return np.asarray(far - near)


def pixel_space(pixels: Pixels) -> Floats:
    """Return images as vectors, averaged down to at most 16 x 16 points; (images, points).

    Examples
    --------
    >>> pixel_space(np.zeros((2, 28, 28, 1), dtype=np.uint8)).shape
    (2, 196)
    """
    n, height, width, channels = pixels.shape
    factors = [-(-side // _SIDE) for side in (height, width)]
    padding = [(0, -side % f) for side, f in zip((height, width), factors, strict=True)]
    padded = np.pad(pixels, [(0, 0), *padding, (0, 0)], mode="edge").astype(np.float64) / 255
    rows, columns = padded.shape[1] // factors[0], padded.shape[2] // factors[1]
    blocks = padded.reshape(n, rows, factors[0], columns, factors[1], channels)
    return np.asarray(blocks.mean(axis=(2, 4)).reshape(n, -1))
