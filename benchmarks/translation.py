"""ImageTranslator on MNIST-10k, where the truth is known: error, labels kept, time.

    python benchmarks/translation.py --data DATA             # all, about an hour on one core
    python benchmarks/translation.py --data DATA --only "negative cyclegan"
    python benchmarks/translation.py --memory                # peak memory of both modes, a minute
    python benchmarks/translation.py --render                # rewrite the page

DATA is a folder with ``mnist10k.npz``: 8,000 digits to learn (``x_train``, ``y_train``) and 2,000
(``x_test``, ``y_test``) held out. Domain A is the first half of the digits, domain B the other
half, changed; so no image is in both. Held-out digits are translated to B and back from it, and a
classifier that was trained on real digits like those of the target says what they show. Results go
to ``translation.json`` and into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import platform
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pages import BENCHMARKS, write_into
from scipy.ndimage import grey_dilation

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "translation.json"


def negative(digits: np.ndarray) -> np.ndarray:
    """Return digits in black on white."""
    return 255 - digits


def turned(digits: np.ndarray) -> np.ndarray:
    """Turn digits to the left."""
    return np.ascontiguousarray(np.rot90(digits, axes=(1, 2)))


def thick(digits: np.ndarray) -> np.ndarray:
    """Return digits with strokes two pixels wider."""
    return np.stack([grey_dilation(digit, (3, 3)) for digit in digits])


def coloured(digits: np.ndarray) -> np.ndarray:
    """Return digits in orange on blue, three channels."""
    share = digits[..., None] / 255
    return np.uint8(share * [255, 160, 40] + (1 - share) * [20, 40, 120])


DOMAINS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "negative": negative,
    "turned": turned,
    "thick": thick,
    "coloured": coloured,
}
RUNS = [
    "negative cyclegan",
    "turned cyclegan",
    "thick cyclegan",
    "coloured cyclegan",
    "negative cut",
    "turned cut",
    "thick cut",
    "negative cyclegan unaligned",
    "turned cyclegan unaligned",
    "thick cyclegan identity",
    "thick cyclegan pool",
]
#: What a third word of a run changes in the options.
CHANGES = {"identity": {"identity": 0.5}, "pool": {"pool": 50}}


def judge(images: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return a classifier trained on real images."""
    from synthgan.evaluate.images.judges import Classifier

    def deep(found: np.ndarray) -> np.ndarray:
        return found if found.ndim == 4 else found[..., None]

    trained = Classifier(deep(images), labels.astype(np.int64), 10, seed=0)
    return lambda found: trained.predict(deep(found))


def error(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mean absolute difference, as a share of white."""
    return float(np.abs(a.astype(float) - b.astype(float)).mean() / 255)


def peak_gib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(run: str, folder: Path, seed: int) -> dict[str, Any]:
    """Fit one translation and return what it keeps."""
    from synthgan import ImageTranslator
    from synthgan.estimators.image_translator import MODES

    arrays = np.load(folder / "mnist10k.npz", allow_pickle=False)
    x, y, x_test, y_test = (arrays[k] for k in ("x_train", "y_train", "x_test", "y_test"))
    domain, mode, *rest = run.split()
    change, half = DOMAINS[domain], len(x) // 2
    options = dataclasses.replace(MODES[mode], **CHANGES.get("".join(rest), {}))
    settings = {"align": "unaligned" not in rest, "random_state": seed, "verbose": 0}
    model = ImageTranslator(mode, options=options, **settings)
    domains, before = (x[:half], change(x[half:])), peak_gib()
    began = time.perf_counter()
    model.fit(*domains)
    seconds, grown = time.perf_counter() - began, peak_gib() - before
    truth = change(x_test)
    made = model.translate(x_test)
    of_b = judge(change(x), y)
    found = {
        "seconds": seconds,
        "steps": model.history_[-1]["step"],
        "alignment": model.alignment_,
        "grown_gib": grown,
        "real": float((of_b(truth) == y_test).mean()),
        "kept": float((of_b(made) == y_test).mean()),
        "error": error(made, truth),
        "untranslated": error(x_test if truth.ndim == 3 else x_test[..., None], truth),
    }
    if mode == "cyclegan":
        back = model.translate(truth, to="a")
        found["kept_back"] = float((judge(x, y)(back) == y_test).mean())
        found["error_back"] = error(back, x_test)
        found["cycle"] = error(model.translate(made, to="a"), x_test)
    return found


def measure_memory(mode: str, side: int) -> float:
    """Return by how many GiB three steps on RGB images raise the peak of this process.

    A fit of small images comes first, so that what torch loads once does not count.
    """
    from synthgan import ImageTranslator
    from synthgan.estimators.image_translator import MODES

    options = dataclasses.replace(MODES[mode], steps=3)
    images = np.random.default_rng(0).integers(0, 256, (200, side, side, 3)).astype(np.uint8)
    model = ImageTranslator(mode, options=options, align=False, random_state=0, verbose=0)
    model.fit(images[:100, :8, :8], images[100:, :8, :8])
    before = peak_gib()
    model.fit(images[:100], images[100:])
    return peak_gib() - before


def render(results: dict[str, Any]) -> str:
    """Return the Markdown of all results."""
    head = ["domain B", "mode", "alignment", "labels kept", "real digits", "error", "untranslated"]
    head += ["kept on the way back", "cycle error", "fit s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for run in RUNS:
        entry = results["runs"].get(run)
        if entry is None:
            continue
        domain, mode, *rest = run.split()
        changed = f"{mode}, {' '.join(rest)}" if rest and rest != ["unaligned"] else mode
        cells = [domain, changed, "off" if "unaligned" in rest else entry["alignment"]]
        cells += [f"{entry[key]:.3f}" for key in ("kept", "real", "error", "untranslated")]
        cells += [f"{entry[k]:.3f}" if k in entry else "-" for k in ("kept_back", "cycle")]
        cells += [f"{entry['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    if "memory" in results:
        lines += [
            "",
            "| growth of peak memory, GiB, RGB of side | cyclegan | cut |",
            "|---|---|---|",
        ]
        for side, found in results["memory"].items():
            lines.append(f"| {side} | {found['cyclegan']:.2f} | {found['cut']:.2f} |")
    facts = results["machine"]
    lines += ["", f"Seed 0, one thread ({facts['processor']}), torch {facts['torch']}."]
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of mnist10k.npz")
    parser.add_argument("--only", nargs="*", default=RUNS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--memory", action="store_true", help="measure memory alone")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
    if options.memory:
        fresh = multiprocessing.get_context("spawn")  # a peak is that of a whole process
        for side in (28, 64, 128):
            for mode in ("cyclegan", "cut"):
                with fresh.Pool(1) as pool:
                    found = pool.apply(measure_memory, (mode, side))
                results.setdefault("memory", {}).setdefault(str(side), {})[mode] = found
        RESULTS.write_text(json.dumps(results, indent=1))
    elif not options.render:
        import torch

        torch.set_num_threads(1)
        results["machine"] = {"processor": platform.machine(), "torch": torch.__version__}
        for run in options.only:
            results["runs"][run] = measure(run, options.data, options.seed)
            RESULTS.write_text(json.dumps(results, indent=1))
            print("done:", run, results["runs"][run], flush=True)
    write_into(BENCHMARKS, "translation", render(results))


if __name__ == "__main__":
    main()
