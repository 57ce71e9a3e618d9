"""Image models on MNIST-10k: fidelity, classification accuracy, copies, augmentation, step time.

    python benchmarks/images.py --data DATA             # everything, about an hour on one core
    python benchmarks/images.py --data DATA --only resnet
    python benchmarks/images.py --render                # rewrite the page from images.json

DATA is a folder with ``mnist10k.npz``: the 10,000 official test digits, 8,000 of them (``x_train``,
``y_train``) to learn and 2,000 (``x_test``, ``y_test``) held out. All scores are those of
``evaluate_images(level="full")``. Results go to ``images.json`` and into ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from pages import BENCHMARKS, write_into

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "images.json"
MODELS = ["resnet", "dcgan", "vanilla", "vae"]
FEW = 500
TITLES = {
    "resnet": "`ImageGAN()`",
    "dcgan": '`ImageGAN("dcgan")`',
    "vanilla": '`ImageGAN("vanilla")`',
    "vae": "`ImageVAE()`",
}


def load(folder: Path) -> tuple[np.ndarray, ...]:
    """Return train images and labels, test images and labels."""
    arrays = np.load(folder / "mnist10k.npz", allow_pickle=False)
    return tuple(arrays[name] for name in ("x_train", "y_train", "x_test", "y_test"))


def fit(name: str, images: np.ndarray, labels: np.ndarray, minutes: float) -> Any:
    """Return a fitted model."""
    from synthgan import ImageGAN, ImageVAE

    settings = {"random_state": 0, "max_time": 60 * minutes, "verbose": 0}
    model = ImageVAE(**settings) if name == "vae" else ImageGAN(name, **settings)
    return model.fit(images, labels)


def measure(name: str, folder: Path, minutes: float) -> dict[str, Any]:
    """Fit one model and return all scores of as many images as it learned from."""
    from synthgan.evaluate import evaluate_images

    x, y, x_test, y_test = load(folder)
    began = time.perf_counter()
    model = fit(name, x, y, minutes)
    seconds = time.perf_counter() - began
    steps = model.history_[-1]["step"]
    began = time.perf_counter()
    made, labels = model.sample(labels=y, random_state=1)
    sampling = time.perf_counter() - began
    report = evaluate_images(
        x, made, holdout=x_test, labels=y, synthetic_labels=labels, holdout_labels=y_test
    )
    return {
        "fit_seconds": seconds,
        "steps": steps,
        "sample_seconds": sampling,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "scores": {score.name: score.to_dict() for score in report.scores.values()},
    }


def augment(folder: Path, minutes: float) -> dict[str, Any]:
    """Return what 5,000 synthetic images add to 500 real ones that they were learned from."""
    from synthgan.evaluate import evaluate_images

    x, y, x_test, y_test = load(folder)
    x, y = x[:FEW], y[:FEW]
    model = fit("resnet", x, y, minutes)
    made, labels = model.sample(labels=np.tile(y, 10), random_state=1)
    report = evaluate_images(
        x, made, holdout=x_test, labels=y, synthetic_labels=labels, holdout_labels=y_test
    )
    names = ("real_accuracy", "cas_accuracy", "augmentation_gain", "near_copy_rate")
    return {name: report.scores[name].to_dict() for name in names}


def anomalies(folder: Path, minutes: float) -> dict[str, Any]:
    """Return how well a model of nine digits tells the tenth from them, for each of ten."""
    from sklearn.metrics import roc_auc_score

    from synthgan import ImageVAE

    x, y, x_test, y_test = load(folder)
    areas, began = [], time.perf_counter()
    for digit in range(10):
        model = ImageVAE(random_state=0, max_time=60 * minutes, verbose=0).fit(x[y != digit])
        areas.append(roc_auc_score(y_test == digit, -model.score_samples(x_test)))
    return {"areas": areas, "seconds": time.perf_counter() - began}


def step_times(folder: Path) -> dict[str, float]:
    """Return milliseconds per step of the dcgan preset and of a plain loop with its networks."""
    import torch
    import torch.nn.functional as F

    from synthgan import ImageGAN
    from synthgan.estimators.image_presets import PRESETS
    from synthgan.networks.images import ConvolutionalCritic, ConvolutionalGenerator

    x, _, _, _ = load(folder)
    options = dataclasses.replace(PRESETS["dcgan"][1], steps=1_200)
    history = ImageGAN("dcgan", verbose=0, random_state=0, options=options).fit(x).history_
    first, last = history[3], history[-1]
    seconds, steps = (last[key] - first[key] for key in ("seconds", "step"))
    ours = seconds / steps * 1e3

    generator = ConvolutionalGenerator((28, 28), 1, 64, 0, 32)
    critic = ConvolutionalCritic((28, 28), 1, 0, 32)
    for network in (generator, critic):
        network.reset(torch.Generator().manual_seed(0))
    optimizers = [
        torch.optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (critic, generator)
    ]
    images, none = torch.from_numpy(x)[:, None].float() / 127.5 - 1, torch.zeros(128, 0)
    for number in range(210):
        if number == 10:
            start = time.perf_counter()
        real = images[torch.randint(len(images), (128,))]
        fake = generator(torch.randn(128, 64), none)
        on_real, on_fake = critic(real, none), critic(fake.detach(), none)
        loss = F.softplus(-on_real).mean() + F.softplus(on_fake).mean()
        optimizers[0].zero_grad()
        loss.backward()
        optimizers[0].step()
        loss = F.softplus(-critic(fake, none)).mean()
        optimizers[1].zero_grad()
        loss.backward()
        optimizers[1].step()
    plain = (time.perf_counter() - start) / 200 * 1e3
    return {"synthgan_ms": ours, "plain_ms": plain}


def render(results: dict[str, Any]) -> str:
    """Return the Markdown of all results."""
    head = ["model", "FID / floor", "precision", "recall", "coverage", "CAS", "CAS / real"]
    head += ["near copies", "steps", "fit s"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    real: dict[str, float] = {}
    for name, title in TITLES.items():
        entry = results["models"].get(name)
        if entry is None:
            continue
        scores = entry["scores"]
        fid = scores["fid_classifier"]
        cells = [title, f"{fid['value'] / fid['references']['holdout']:.1f}"]
        cells += [f"{scores[key]['value']:.3f}" for key in ("precision", "recall", "coverage")]
        for key in ("cas_accuracy", "cas_ratio"):
            low, high = scores[key]["interval"]
            cells.append(f"{scores[key]['value']:.3f} ({low:.3f} to {high:.3f})")
        cells += [f"{scores['near_copy_rate']['value']:.3f}", f"{entry['steps']:,}"]
        cells.append(f"{entry['fit_seconds']:.0f}")
        lines.append("| " + " | ".join(cells) + " |")
        real = {key: scores[key]["references"]["holdout"] for key in ("precision", "recall")}
        real["coverage"] = scores["coverage"]["references"]["holdout"]
        real["accuracy"] = scores["real_accuracy"]["value"]
    lines.append(
        f"| *real holdout* | 1.0 | {real['precision']:.3f} | {real['recall']:.3f} | "
        f"{real['coverage']:.3f} | {real['accuracy']:.3f} | 1.000 | 0.010 | | |"
    )
    extra = results.get("augmentation")
    if extra:
        gain, alone = extra["augmentation_gain"], extra["real_accuracy"]["value"]
        low, high = gain["interval"]
        lines += [
            "",
            "Augmentation: 500 real digits, and 5,000 synthetic ones from a model of the same 500: "
            f"accuracy {alone:.3f} without, {alone + gain['value']:.3f} with them (gain "
            f"{gain['value']:.3f}, 95 % {low:.3f} to {high:.3f}).",
        ]
    if "anomalies" in results:
        areas = results["anomalies"]["areas"]
        worst = int(np.argmin(areas))
        lines += [
            "",
            "Odd images: `ImageVAE().score_samples`, one digit left out of training, tells it from "
            f"the others with an AUC of {np.mean(areas):.3f} on average over ten digits (lowest: "
            f"{worst}, {areas[worst]:.3f}).",
        ]
    if "step" in results:
        ours, plain = results["step"]["synthgan_ms"], results["step"]["plain_ms"]
        lines += [
            "",
            f"A step of the dcgan preset takes {ours:.0f} ms, of a plain loop with the same "
            f"networks in float32 {plain:.0f} ms: {ours / plain:.2f} times.",
        ]
    facts = results["machine"]
    lines += ["", f"Seed 0, one thread ({facts['processor']}), torch {facts['torch']}."]
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of mnist10k.npz")
    parser.add_argument("--only", nargs="*", default=[*MODELS, "augmentation", "anomalies", "step"])
    parser.add_argument("--minutes", type=float, default=20, help="most minutes of each fit")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"models": {}}
    if not options.render:
        import torch

        torch.set_num_threads(1)
        results["machine"] = {"processor": platform.machine(), "torch": torch.__version__}
        for name in options.only:
            if name == "augmentation":
                results[name] = augment(options.data, options.minutes / 2)
            elif name == "anomalies":
                results[name] = anomalies(options.data, options.minutes / 10)
            elif name == "step":
                results[name] = step_times(options.data)
            else:
                results["models"][name] = measure(name, options.data, options.minutes)
            RESULTS.write_text(json.dumps(results, indent=1))
            print("done:", name, flush=True)
    write_into(BENCHMARKS, "images", render(results))


if __name__ == "__main__":
    main()
