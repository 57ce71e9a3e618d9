"""Images under differential privacy: what a classifier learns from them, on MNIST.

    python benchmarks/dp_images.py --data DATA      # minutes on one core
    python benchmarks/dp_images.py --render         # only rewrite the page

DATA is a folder with ``mnist10k.npz``: 8,000 digits to learn and 2,000 held out. The classifier, a
small convolutional network, is trained on 8,000 synthetic digits and tested on the real ones held
out. *Class means and noise* is the floor: the mean image of each class, for the same budget, with
noise of deviation .3 on each pixel so that the classifier sees some variation.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from pages import BENCHMARKS, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "dp_images.json"
DELTA = 1e-5


def floor(x: Any, y: Any, epsilon: float, seed: int) -> tuple[Any, Any]:
    """Return noisy class means with noise, and their labels."""
    from synthgan.privacy import Ledger
    from synthgan.privacy.accounting import rho_of
    from synthgan.privacy.private_images import PrivateImages

    private = PrivateImages(x[..., None], Ledger(None, epsilon=epsilon, delta=DELTA))
    rho = rho_of(epsilon, DELTA)
    radius = 1.1 * private.typical_norm(0.02 * rho)
    sums, counts = private.class_sums(y, 10, radius, 0.98 * rho)
    means = (sums / counts[:, None]).reshape(10, *x.shape[1:])
    labels = np.repeat(np.arange(10), len(x) // 10)
    noise = 0.3 * np.random.default_rng(seed).normal(size=(len(labels), *x.shape[1:]))
    return (255 * (means[labels] + noise)).clip(0, 255).astype(np.uint8), labels


def synthgan(x: Any, y: Any, epsilon: float, seed: int) -> tuple[Any, Any]:
    """Fit and sample as a user does."""
    from synthgan import ImageGAN
    from synthgan.privacy import DifferentialPrivacy
    from synthgan.schema import Column, Schema

    classes = Schema((Column("label", "categorical", "int64", levels=tuple(range(10))),))
    privacy = DifferentialPrivacy(epsilon, DELTA, domain=classes)
    gan = ImageGAN(privacy=privacy, random_state=seed, verbose=0).fit(x, y)
    return gan.sample(len(x), labels=np.repeat(np.arange(10), len(x) // 10), random_state=seed)


METHODS = {"class means and noise": floor, "`ImageGAN(privacy=...)`": synthgan}


def run(name: str, epsilon: float, seed: int, folder: Path) -> dict[str, float]:
    """Return accuracy and seconds of one method."""
    from synthgan.evaluate.images.judges import Classifier

    arrays = np.load(folder / "mnist10k.npz", allow_pickle=False)
    x, y, x_test, y_test = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    began = time.perf_counter()
    images, labels = METHODS[name](x, y.astype(np.int64), epsilon, seed)
    seconds = time.perf_counter() - began
    judge = Classifier(images[..., None], labels.astype(np.int64), 10, seed=seed)
    return {
        "accuracy": float((judge.predict(x_test[..., None]) == y_test).mean()),
        "seconds": seconds,
    }


def render(results: dict[str, Any]) -> str:
    """Return the Markdown of all results."""
    lines = ["| epsilon | method | accuracy | seconds |", "|---|---|---|---|"]
    for key, seeds in results["runs"].items():
        epsilon, _, name = key.partition(": ")
        found = [s["accuracy"] for s in seeds.values()]
        shown = f"{np.mean(found):.3f} ± {(max(found) - min(found)) / 2:.3f}"
        seconds = np.mean([s["seconds"] for s in seeds.values()])
        lines.append(f"| {epsilon} | {name} | {shown} | {seconds:.0f} |")
    text = f"Mean of 3 seeds ± half the range; one core of {results['machine']}, delta = 1e-5."
    return "\n".join([*lines, "", text])


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with mnist10k.npz")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
    if not options.render:
        results["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
        for epsilon, name, seed in itertools.product((1.0, 10.0), METHODS, range(3)):
            found = run(name, epsilon, seed, options.data)
            results["runs"].setdefault(f"{epsilon:g}: {name}", {})[str(seed)] = found
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            print(epsilon, name, seed, found, flush=True)
    write_into(BENCHMARKS, "dp images", render(results))


if __name__ == "__main__":
    main()
