"""Is a classifier trained on synthetic images of use on real ones, and do images fit their labels?

References
----------
.. [1] S. Ravuri, O. Vinyals, "Classification Accuracy Score for Conditional Generative Models",
   NeurIPS 2019.
.. [2] K. Shmelkov, C. Schmid, K. Alahari, "How Good Is My GAN?", ECCV 2018: GAN-train and GAN-test.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.images.judges import Classifier
from synthgan.evaluate.images.setting import ImageSetting, codes_of
from synthgan.evaluate.intervals import Interval, t_interval, wilson
from synthgan.evaluate.measure import Measurement
from synthgan.evaluate.score import Direction, Score
from synthgan.images import ImageSet

__all__ = ["measure"]

MIN_IMAGES = 50
NAMES: list[tuple[str, Direction, float]] = [
    ("cas_accuracy", "higher", 1.0),
    ("real_accuracy", "higher", 1.0),
    ("cas_ratio", "higher", 1.0),
    ("label_accuracy", "higher", 1.0),
    ("augmentation_gain", "higher", 0.0),
]

Hits = npt.NDArray[np.float64]


def measure(setting: ImageSetting, images: ImageSet) -> Measurement:
    """Train small classifiers on synthetic, on train, and on both; test them on control.

    Each figure is the mean over seeds.

    Returns
    -------
    Measurement
        ``cas_accuracy``, trained on synthetic images; ``real_accuracy``, on as many train images;
        ``cas_ratio``, the first over the second; ``label_accuracy``, the accuracy of the classifier
        trained on train on synthetic images, whose requested labels count as true;
        ``augmentation_gain``, trained on all images of both minus trained on train. Intervals: over
        test images and seeds. Details ``classes``: accuracy by class.
    """
    reason = _obstacle(setting, images)
    if reason is not None or setting.control is None:
        return Measurement([Score.not_computable(n, str(reason), d, b) for n, d, b in NAMES])
    n_classes = len(setting.classes)
    codes = codes_of(images.labels, setting.classes)
    truth = codes_of(setting.control.labels, setting.classes)
    n_images = min(len(images), len(setting.train))
    order = numpy_generator(setting.seed, "classified", 1).permutation(len(images))
    images, codes = images.take(order), codes[order]  # folders are sorted by class
    real = setting.train.take(
        numpy_generator(setting.seed, "classified").permutation(len(setting.train))
    )
    real_codes = codes_of(real.labels, setting.classes)
    models = [
        _trained(setting, images.pixels[:n_images], codes[:n_images]),
        setting.once(
            f"trained on {n_images}",
            partial(_trained, setting, real.pixels[:n_images], real_codes[:n_images]),
        ),
    ]
    pixels = np.concatenate([real.pixels, images.pixels])
    models.append(_trained(setting, pixels, np.concatenate([real_codes, codes])))
    models.append(
        models[1] if n_images == len(real) else _trained(setting, real.pixels, real_codes)
    )
    hits = [
        np.array([(model.predict(setting.control.pixels) == truth) for model in part], float)
        for part in models
    ]
    fits = np.array([(model.predict(images.pixels) == codes) for model in models[3]], float)
    accuracy = [float(part.mean()) for part in hits]
    label = float(fits.mean())
    ratio_ends = _paired(hits[0], hits[1], accuracy[1] or 1.0)
    gain_ends = _paired(hits[2], hits[3], 1.0)
    ratio, gain = accuracy[0] / max(accuracy[1], 1e-9), accuracy[2] - accuracy[3]
    values = [accuracy[0], accuracy[1], ratio, label, gain]
    ends = [
        _with_seeds(hits[0]),
        _with_seeds(hits[1]),
        (ratio + ratio_ends[0], ratio + ratio_ends[1]),
        _with_seeds(fits),
        (gain + gain_ends[0], gain + gain_ends[1]),
    ]
    scores = [
        Score(name, value, direction, best, end)
        for (name, direction, best), value, end in zip(NAMES, values, ends, strict=True)
    ]
    if not accuracy[1]:
        name, direction, best = NAMES[2]
        reason = "a classifier trained on train images is never right"
        scores[2] = Score.not_computable(name, reason, direction, best)
    rows = [
        {
            "class": str(setting.classes[k]),
            "images": int((truth == k).sum()),
            "real": float(hits[1][:, truth == k].mean()),
            "synthetic": float(hits[0][:, truth == k].mean()),
            "label": float(fits[:, codes == k].mean()) if (codes == k).any() else None,
        }
        for k in range(n_classes)
        if (truth == k).any()
    ]
    rows.sort(key=lambda row: row["synthetic"] - row["real"])  # type: ignore[operator]
    return Measurement(scores, {"classes": rows})


def _obstacle(setting: ImageSetting, images: ImageSet) -> str | None:
    control = setting.control
    if control is None:
        return "needs a holdout of real images"
    if not setting.classes or control.labels is None or images.labels is None:
        return "needs a class for each image of all sets"
    if len(setting.classes) < 2:
        return "train has one class only"
    if min(len(control), len(images), len(setting.train)) < MIN_IMAGES:
        return f"needs {MIN_IMAGES} images of each set"
    if not (codes_of(control.labels, setting.classes) >= 0).any():
        return "no image of the holdout is of a class of train; are their labels of one type?"
    codes = codes_of(images.labels, setting.classes)
    if len(np.unique(codes[codes >= 0])) < 2:
        return "the synthetic images are of one class of train only, or of none"
    return None


def _trained(
    setting: ImageSetting, pixels: npt.NDArray[np.uint8], codes: npt.NDArray[np.int64]
) -> list[Classifier]:
    known = codes >= 0
    return [
        Classifier(pixels[known], codes[known], len(setting.classes), setting.seed + 1 + k)
        for k in range(setting.n_seeds)
    ]


def _with_seeds(hits: Hits) -> Interval:
    """Return the interval of a share over test images, or over seeds if that is wider."""
    share = float(hits.mean())
    low, high = wilson(share, hits.shape[1])
    if len(hits) > 1:
        ends = t_interval(hits.mean(axis=1))
        low, high = min(low, ends[0]), max(high, ends[1])
    return max(low, 0.0), min(high, 1.0)


def _paired(a: Hits, b: Hits, unit: float) -> Interval:
    """Return half intervals around mean(a) - mean(b), in `unit`; images and seeds are paired."""
    gaps = a - b
    image = 1.96 * float(gaps.mean(axis=0).std(ddof=1)) / np.sqrt(gaps.shape[1])
    if len(gaps) > 1:
        low, high = t_interval(gaps.mean(axis=1))
        image = max(image, (high - low) / 2)
    return -image / unit, image / unit
