"""A few hundred labelled images: would synthetic ones help a classifier?

    python pipelines/image_augmentation.py digits.npz decision --max-time 10m

reads ``images`` (images, height, width[, channels]; 8 bit) and ``labels`` from an ``.npz`` file, or
a folder with one folder per class, keeps a third aside, fits a conditional GAN to the rest, and
trains the same small network with and without synthetic images, several times. It writes
``decision/report.html``, and ``decision/training.npz``: real and synthetic images if the interval
of the gain lies above 0, the real ones alone if not.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from synthgan import ImageGAN
from synthgan.evaluate import ImageReport, evaluate_images
from synthgan.exceptions import DataError, SynthganError
from synthgan.images import read_images


def decide(
    images: np.ndarray,
    labels: np.ndarray,
    *,
    times: int = 5,
    max_time: str | None = None,
    seed: int = 0,
) -> tuple[bool, ImageReport, np.ndarray, np.ndarray]:
    """Return whether synthetic images help, the report, and the images and labels to train on."""
    real, aside, y_real, y_aside = train_test_split(
        images, labels, test_size=1 / 3, stratify=labels, random_state=seed
    )
    gan = ImageGAN(random_state=seed, max_time=max_time, verbose=int(sys.stderr.isatty()))
    gan.fit(real, y_real)
    made, y_made = gan.sample(labels=np.tile(y_real, times), random_state=seed + 1)
    report = evaluate_images(
        real,
        made,
        holdout=aside,
        labels=y_real,
        synthetic_labels=y_made,
        holdout_labels=y_aside,
        random_state=seed,
    )
    gain = report.scores["augmentation_gain"]
    helps = gain.interval is not None and gain.interval[0] > 0
    if not helps:
        return False, report, real, y_real
    return True, report, np.concatenate([real, made]), np.concatenate([y_real, y_made])


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder with a folder per class, or .npz file")
    parser.add_argument("out", type=Path, help="folder of the answer")
    parser.add_argument("--times", type=int, default=5, help="synthetic images per real one")
    parser.add_argument("--max-time", help="of the fit, such as 10m")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args(argv))
    out = options.pop("out")
    try:
        found = read_images(options.pop("data"))
        if found.labels is None:
            raise DataError("The file has no array of labels.")
        helps, report, images, labels = decide(found.pixels, found.labels, **options)
    except (SynthganError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    gain = report.scores["augmentation_gain"]
    answer = "added" if helps else "not added"
    said = f"{gain.value:+.3f} (95 % {gain.interval})" if gain.value is not None else gain.reason
    print(f"gain in accuracy: {said}: {answer}")
    report.to_html(out / "report.html")
    np.savez_compressed(out / "training.npz", images=images, labels=labels)
    return 0


if __name__ == "__main__":
    sys.exit(main())
