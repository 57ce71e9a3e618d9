"""Tables under differential privacy: Adult, 13 columns, a public domain, delta 1e-5.

    python benchmarks/dp.py --data DIR                      # synthgan and the floors, minutes
    python benchmarks/dp.py --data DIR --only mst aim --pgm CHECKOUT    # peers, in their own env
    python benchmarks/dp.py --render                        # only rewrite the page

DIR is that of ``fidelity.py``. All 48,842 rows of Adult, without ``fnlwgt`` and ``education``; age
is cut into 17 bins, gains, losses and hours into 20; 39,073 rows are learned, the others held out.
TVD is the mean total variation distance of the tables of one or two columns to the training rows;
P(y|x) the mean gap of the rate of the target within a level. TSTR is the AUC of a classifier
trained on synthetic rows, on those held out. The peers are MST and AIM of private-pgm (CHECKOUT is
a checkout of it at 4d2b3c5, its environment has jax 0.6.2): MST with 2,500 iterations, AIM with
models of 8 MB and 300 iterations, because its own settings take hours here.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "dp.json"
DELTA = 1e-5
TARGET = "income"
Codes = npt.NDArray[np.int64]

#: Inner edges of the bins of numbers; all other columns are levels.
EDGES = {
    "age": range(21, 100, 5),
    "capital_gain": range(5000, 100_000, 5000),
    "capital_loss": range(250, 5000, 250),
    "hours_per_week": range(6, 100, 5),
}
BOUNDS = {
    "age": (16, 100),
    "capital_gain": (0, 99_999),
    "capital_loss": (0, 4_999),
    "hours_per_week": (1, 100),
}


def load(folder: Path, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training and the held-out rows."""
    parts = [pd.read_parquet(folder / "adult" / f"{name}.parquet") for name in ("train", "test")]
    whole = pd.concat(parts, ignore_index=True).drop(columns=["fnlwgt", "education"])
    order = np.random.default_rng(seed).permutation(len(whole))
    count = int(0.8 * len(whole))
    return tuple(whole.iloc[part].reset_index(drop=True) for part in (order[:count], order[count:]))


def levels(name: str, frame: pd.DataFrame) -> list[Any]:
    """Return the levels of a column, from the census code book: all that both files have."""
    return sorted(frame[name].dropna().unique().tolist())


def codes_of(frame: pd.DataFrame, known: dict[str, list[Any]]) -> Codes:
    """Return bins and levels as whole numbers, missing cells as one more; the target is last."""
    out = []
    for name in known:
        if name in EDGES:
            out.append(np.digitize(frame[name], list(EDGES[name])))
        else:
            found = pd.Categorical(frame[name], categories=known[name]).codes
            out.append(np.where(found < 0, len(known[name]), found))
    return np.column_stack(out).astype(np.int64)


def sizes_of(known: dict[str, list[Any]]) -> list[int]:
    """Return how many codes each column has."""
    gaps = ("workclass", "occupation", "native_country")
    return [
        len(EDGES[name]) + 1 if name in EDGES else len(found) + (name in gaps)
        for name, found in known.items()
    ]


# --- methods: rows in, rows out -------------------------------------------------------------------


def synthgan(frame: pd.DataFrame, known: dict[str, list[Any]], epsilon: float, seed: int) -> Any:
    """Fit and sample as a user does."""
    import pyarrow as pa

    from synthgan import TabularGAN
    from synthgan.privacy import DifferentialPrivacy
    from synthgan.schema import Column, Schema

    types = dict(zip(frame, pa.Table.from_pandas(frame).schema.types, strict=True))
    columns = [
        Column(
            name, "integer", str(types[name]), bounds=BOUNDS[name], bins=tuple(EDGES[name]),
            missing=False,
        )
        if name in EDGES
        else Column(
            name, "categorical", str(types[name]), levels=tuple(known[name]),
            missing=name in ("workclass", "occupation", "native_country"),
        )
        for name in known
    ]  # fmt: skip
    privacy = DifferentialPrivacy(epsilon, DELTA, domain=Schema(tuple(columns)))
    gan = TabularGAN(privacy=privacy, random_state=seed, verbose=0).fit(frame, target=TARGET)
    return gan.sample(len(frame), random_state=seed)


def _shares(counts: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    kept = np.maximum(counts, 0.0)
    return kept / max(kept.sum(), 1e-9)


def naive_bayes(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Draw columns independently given the target, from noisy tables of each with it."""
    from synthgan.privacy.accounting import rho_of, sigma_of
    from synthgan.privacy.mechanisms import discrete_gaussian

    sigma = sigma_of(rho_of(epsilon, DELTA), np.sqrt(len(sizes) - 1))
    rng, target, tables = np.random.default_rng(seed), codes[:, -1], []
    for j, size in enumerate(sizes[:-1]):
        cells = np.bincount(codes[:, j] * sizes[-1] + target, minlength=size * sizes[-1])
        tables.append(discrete_gaussian(cells.reshape(size, -1), sigma))
    rates = _shares(np.mean([np.maximum(t, 0).sum(0) for t in tables], axis=0))
    drawn = rng.choice(len(rates), len(codes), p=rates)
    out = np.empty_like(codes)
    out[:, -1] = drawn
    for j, table in enumerate(tables):
        for level in range(len(rates)):
            rows = np.flatnonzero(drawn == level)
            out[rows, j] = rng.choice(sizes[j], len(rows), p=_shares(table[:, level]))
    return out


def independent(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Draw all columns independently, from noisy counts of each."""
    from synthgan.privacy.accounting import rho_of, sigma_of
    from synthgan.privacy.mechanisms import discrete_gaussian

    sigma = sigma_of(rho_of(epsilon, DELTA), np.sqrt(len(sizes)))
    rng = np.random.default_rng(seed)
    counts = [np.bincount(codes[:, j], minlength=size) for j, size in enumerate(sizes)]
    return np.column_stack(
        [rng.choice(len(c), len(codes), p=_shares(discrete_gaussian(c, sigma))) for c in counts]
    )


def bootstrap(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Draw training rows with replacement: no privacy, and what a perfect sampler would reach."""
    return codes[np.random.default_rng(seed).integers(len(codes), size=len(codes))]


def _pgm(method: str) -> Callable[..., Codes]:
    def run(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
        import itertools

        from mbi import Dataset, Domain

        np.random.seed(seed)  # noqa: NPY002 (that is where the peers draw)
        names = [str(j) for j in range(len(sizes))]
        frame = pd.DataFrame(codes, columns=names)
        data = Dataset(frame, Domain(names, sizes))
        if method == "mst":
            import mst

            made = mst.estimation.mirror_descent
            mst.estimation.mirror_descent = lambda *a, iters=0, **k: made(*a, iters=2500, **k)
            found = mst.MST(data, epsilon, DELTA)
        else:
            import aim

            workload = [(pair, 1.0) for pair in itertools.combinations(names, 2)]
            runner = aim.AIM(epsilon, DELTA, max_model_size=8, max_iters=300)
            _, found = runner.run(data, workload)
        return found.df[names].to_numpy().astype(np.int64)

    return run


METHODS: dict[str, Callable[..., Any]] = {
    "bootstrap": bootstrap,
    "independent": independent,
    "naive bayes": naive_bayes,
    "synthgan": synthgan,
    "mst": _pgm("mst"),
    "aim": _pgm("aim"),
}


# --- figures --------------------------------------------------------------------------------------


def measure(made: Codes, train: Codes, test: Codes, sizes: list[int]) -> dict[str, float]:
    """Return the figures of synthetic rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    def shares(codes: Codes, j: int, k: int) -> npt.NDArray[np.float64]:
        cells = np.bincount(codes[:, j] * sizes[k] + codes[:, k], minlength=sizes[j] * sizes[k])
        return (cells / len(codes)).reshape(sizes[j], sizes[k])

    def distance(j: int, k: int) -> float:
        return 0.5 * float(np.abs(shares(made, j, k) - shares(train, j, k)).sum())

    last = len(sizes) - 1
    one = [
        0.5 * float(np.abs(shares(made, j, last).sum(1) - shares(train, j, last).sum(1)).sum())
        for j in range(last)
    ]
    one.append(
        0.5 * float(np.abs(shares(made, 0, last).sum(0) - shares(train, 0, last).sum(0)).sum())
    )
    two = [distance(j, k) for j in range(last + 1) for k in range(j)]
    gaps = []
    for j in range(last):
        ours, real = shares(made, j, last), shares(train, j, last)
        mass = real.sum(1)
        rates = [t[:, 1] / np.maximum(t.sum(1), 1e-12) for t in (ours, real)]
        gaps.append(float((mass * np.abs(rates[0] - rates[1])).sum()))
    found = {"one_way": np.mean(one), "two_way": np.mean(two), "p_y_x": np.mean(gaps)}
    if len(np.unique(made[:, -1])) > 1:
        onehot = OneHotEncoder(categories=[np.arange(s) for s in sizes[:-1]])
        judges = {
            "tstr_lr": make_pipeline(onehot, LogisticRegression(max_iter=1000)),
            "tstr_hgb": HistGradientBoostingClassifier(random_state=0),
        }
        for name, judge in judges.items():
            scores = judge.fit(made[:, :-1], made[:, -1]).predict_proba(test[:, :-1])[:, 1]
            found[name] = roc_auc_score(test[:, -1], scores)
    return {name: float(value) for name, value in found.items()}


def run(method: str, epsilon: float, seed: int, folder: Path) -> dict[str, float]:
    """Return the figures of one method."""
    train, test = load(folder, seed)
    both = pd.concat([train, test])
    names = [name for name in train if name != TARGET]
    known = {name: [] if name in EDGES else levels(name, both) for name in [*names, TARGET]}
    sizes = sizes_of(known)
    codes = codes_of(train, known)
    began = time.perf_counter()
    if method == "synthgan":
        made = codes_of(synthgan(train[list(known)], known, epsilon, seed), known)
    else:
        made = METHODS[method](codes, sizes, epsilon, seed)
    seconds = time.perf_counter() - began
    return {**measure(made, codes, codes_of(test, known), sizes), "seconds": seconds}


def render(results: dict[str, Any]) -> str:
    """Return the Markdown of all results."""
    columns = {
        "one_way": ("1-way TVD", 4), "two_way": ("2-way TVD", 4), "p_y_x": ("P(y\\|x)", 4),
        "tstr_lr": ("TSTR LR", 3), "tstr_hgb": ("TSTR boosting", 3), "seconds": ("seconds", 0),
    }  # fmt: skip
    lines = ["| epsilon | method | " + " | ".join(title for title, _ in columns.values()) + " |"]
    lines.append("|" + "---|" * (len(columns) + 2))
    for key, seeds in sorted(results["runs"].items(), key=lambda item: _place(item[0])):
        epsilon, method = key.split(" ", 1)
        cells = []
        for name, (_, digits) in columns.items():
            values = [found[name] for found in seeds.values() if name in found]
            shown = f"{np.mean(values):.{digits}f}" if values else "none"
            spread = (max(values) - min(values)) / 2 if len(values) > 1 else 0.0
            cells.append(f"{shown} ± {spread:.{digits}f}" if spread and digits else shown)
        shown = "∞" if method == "bootstrap" else epsilon
        lines.append(f"| {shown} | {_TITLES[method]} ({len(seeds)}) | " + " | ".join(cells) + " |")
    text = (
        "In brackets how many seeds; ± half the range. Seconds for fit and sample on one core of "
        f"{results['machine']}."
    )
    return "\n".join([*lines, "", text])


_TITLES = {
    "bootstrap": "rows drawn again, no privacy",
    "independent": "independent columns",
    "naive bayes": "naive Bayes",
    "synthgan": "**synthgan**",
    "mst": "MST (private-pgm)",
    "aim": "AIM (private-pgm, capped)",
}


def _place(key: str) -> tuple[float, int]:
    epsilon, method = key.split(" ", 1)
    return (float("inf") if method == "bootstrap" else float(epsilon), list(METHODS).index(method))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per table")
    ours = ["bootstrap", "independent", "naive bayes", "synthgan"]
    parser.add_argument("--only", nargs="*", default=ours, choices=list(METHODS))
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--pgm", type=Path, help="checkout of private-pgm")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    if options.pgm is not None:
        sys.path.insert(0, str(options.pgm / "mechanisms"))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"runs": {}}
    if not options.render:
        results["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
        for method in options.only:
            for epsilon in options.epsilon[:1] if method == "bootstrap" else options.epsilon:
                for seed in options.seeds:
                    found = run(method, epsilon, seed, options.data)
                    results["runs"].setdefault(f"{epsilon:g} {method}", {})[str(seed)] = found
                    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
                    print(method, epsilon, seed, found, flush=True)
    from pages import BENCHMARKS, write_into

    write_into(BENCHMARKS, "dp", render(results))


if __name__ == "__main__":
    main()
