"""Draw the picture of the README: real against synthetic rows of a bundled table.

Run ``python benchmarks/picture.py`` (needs matplotlib, which the ``docs`` extra installs). It fits
half of scikit-learn's breast cancer data, samples as many rows, and draws two marginals and one
pair of columns next to the *other* half, which the model never saw.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from synthgan import TabularGAN

if TYPE_CHECKING:
    import pandas as pd

OUT = Path(__file__).resolve().parents[1] / "docs" / "_static" / "real_vs_synthetic.png"
REAL, SYNTHETIC = "#5b6770", "#d1495b"
MARGINALS = ["mean radius", "worst concave points"]
PAIR = ["mean texture", "worst perimeter"]


def tables(seed: int, max_time: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the held-out half and as many synthetic rows, fitted to the other half."""
    data = load_breast_cancer(as_frame=True)
    table = data.data.assign(diagnosis=data.target_names[data.target.to_numpy()])
    train, holdout = train_test_split(
        table, test_size=0.5, random_state=seed, stratify=table["diagnosis"]
    )
    gan = TabularGAN(random_state=seed, max_time=max_time).fit(train, target="diagnosis")
    return holdout, gan.sample(len(holdout), random_state=seed)


def draw(real: pd.DataFrame, synthetic: pd.DataFrame) -> Any:
    """Return a figure with two overlaid marginals and two scatter plots side by side."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    for axis, name in zip(axes[:2], MARGINALS, strict=True):
        bins = np.histogram_bin_edges(np.concatenate([real[name], synthetic[name]]), 30)
        axis.hist(real[name], bins, color=REAL, alpha=0.55, label="real, held out")
        axis.hist(
            synthetic[name], bins, color=SYNTHETIC, histtype="step", lw=1.8, label="synthetic"
        )
        axis.set(xlabel=name, yticks=[])
        axis.spines[["left", "right", "top"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=9)
    x, y = PAIR
    for axis, frame, title in zip(
        axes[2:], (real, synthetic), ("real, held out", "synthetic"), strict=True
    ):
        for diagnosis, marker in (("benign", "o"), ("malignant", "^")):
            rows = frame[frame["diagnosis"] == diagnosis]
            color = REAL if frame is real else SYNTHETIC
            face = "none" if diagnosis == "benign" else color
            axis.scatter(rows[x], rows[y], 14, marker=marker, edgecolors=color, facecolors=face,
                         alpha=0.7, lw=0.8, label=diagnosis)  # fmt: skip
        axis.set(xlabel=x, ylabel=y, title=title)
        axis.spines[["right", "top"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8)
    low_x, high_x = (f(f(real[x]), f(synthetic[x])) for f in (min, max))
    low_y, high_y = (f(f(real[y]), f(synthetic[y])) for f in (min, max))
    for axis in axes[2:]:
        axis.set(xlim=(low_x - 1, high_x + 1), ylim=(low_y - 5, high_y + 5))
    return figure


def main() -> None:
    """Parse the command line, fit, draw and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-time", default="2m")
    args = parser.parse_args()
    figure = draw(*tables(args.seed, args.max_time))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.out, dpi=110)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
