"""Tables under differential privacy: Adult, 13 columns, a public domain, delta 1e-5.

    python benchmarks/dp.py --data DIR                      # synthgan and the floors, minutes
    python benchmarks/dp.py --data DIR --only mst aim --pgm CHECKOUT    # peers, in their own env
    python benchmarks/dp.py --data DIR --only dp-ctgan      # in an env with smartnoise-synth 1.0.8
    python benchmarks/dp.py --made                          # tables with many columns
    python benchmarks/dp.py --render                        # only rewrite the page

DIR is that of ``real_tables.py``. All 48,842 rows of Adult, without ``fnlwgt`` and ``education``;
age is cut into 17 bins, gains, losses and hours into 20; 39,073 rows are learned, the others held
out, the same for all seeds. TVD is the mean total variation distance of the tables of one or two
columns to the training rows; P(y|x) the mean gap of the rate of the target within a level. TSTR is
the AUC of a classifier trained on synthetic rows, on those held out. The peers are MST and AIM of
private-pgm (CHECKOUT is a checkout of it at 4d2b3c5, its environment has jax 0.6.2): MST with 2,500
iterations, AIM with 300 iterations and models of 8 MB, because its own settings (1,000 and 80 MB)
take many hours here; above epsilon 1, where it would take smaller steps, it gets models of 1 MB and
two rounds a column. The 300 epochs of DP-CTGAN take as long; it gets 25.

The made tables have 40,000 rows. *wide*: 100 columns of 2 to 20 levels, cut from sparse sums of
eight normal factors and noise; *dense*: 30 columns of 16 levels, each a sum of ten factors. *Chosen
pairs* is the same mixture, fitted to pairs chosen as in AIM: three rounds of the exponential
mechanism by the distance to the model so far, less the noise to expect.
"""

from __future__ import annotations

import argparse
import itertools
import json
import platform
import resource
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


def load(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the training and the held-out rows, the same for every seed of a method."""
    parts = [pd.read_parquet(folder / "adult" / f"{name}.parquet") for name in ("train", "test")]
    whole = pd.concat(parts, ignore_index=True).drop(columns=["fnlwgt", "education"])
    order = np.random.default_rng(0).permutation(len(whole))
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


def real(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Return the training rows: no privacy, and what no generator can pass for sure."""
    return codes


def _pgm(method: str) -> Callable[..., Codes]:
    def run(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
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
            small = {"rounds": 2 * len(sizes), "max_model_size": 1} if epsilon > 1 else {}
            runner = aim.AIM(epsilon, DELTA, **({"max_model_size": 8, "max_iters": 300} | small))
            _, found = runner.run(data, workload)
        return found.df[names].to_numpy().astype(np.int64)

    return run


_EPOCHS = 25


def dp_ctgan(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Run DP-CTGAN as its documentation does, all columns categories."""
    import torch
    from snsynth import Synthesizer
    from snsynth.transform import LabelTransformer, OneHotEncoder, TableTransformer
    from snsynth.transform.chain import ChainTransformer

    np.random.seed(seed)  # noqa: NPY002 (that is where it draws)
    torch.manual_seed(seed)
    rows = [tuple(row) for row in codes.tolist()]
    chains = [ChainTransformer([LabelTransformer(), OneHotEncoder()]) for _ in sizes]
    method = Synthesizer.create(
        "dpctgan", epsilon=epsilon, delta=DELTA, epochs=_EPOCHS, verbose=False
    )
    every = [tuple(min(k, size - 1) for size in sizes) for k in range(max(sizes))]
    transformer = TableTransformer(chains)
    transformer.fit(every)  # the public domain, as all others have it
    method.fit(rows, transformer=transformer)
    return np.array(method.sample(len(codes)), np.int64)


METHODS: dict[str, Callable[..., Any]] = {
    "real": real,
    "bootstrap": bootstrap,
    "independent": independent,
    "naive bayes": naive_bayes,
    "synthgan": synthgan,
    "mst": _pgm("mst"),
    "aim": _pgm("aim"),
    "dp-ctgan": dp_ctgan,
}


# --- tables with many columns ---------------------------------------------------------------------


def made_table(kind: str, seed: int, n_rows: int = 40_000) -> tuple[Codes, list[int]]:
    """Return codes and sizes of a table that is made up."""
    rng = np.random.default_rng(seed)
    if kind == "wide":
        loadings = rng.normal(size=(8, 100)) * (rng.random((8, 100)) < 0.25)
        values = rng.normal(size=(n_rows, 8)) @ loadings + rng.normal(size=(n_rows, 100))
        sizes = rng.choice([2, 3, 5, 8, 12, 20], size=100, p=[0.25, 0.15, 0.2, 0.2, 0.1, 0.1])
    else:
        loadings = rng.normal(size=(10, 30))
        values = rng.normal(size=(n_rows, 10)) @ loadings + 0.5 * rng.normal(size=(n_rows, 30))
        sizes = np.full(30, 16)
    columns = []
    for column, size in zip(values.T, sizes, strict=True):
        cuts = np.quantile(column, rng.dirichlet(np.full(size, 3.0)).cumsum()[:-1].clip(0, 1))
        columns.append(np.searchsorted(np.sort(cuts), column))
    return np.column_stack(columns).astype(np.int64), [int(size) for size in sizes]


def _domain(sizes: list[int]) -> Any:
    from synthgan.schema import Column, Schema

    return Schema(
        tuple(
            Column(f"c{j}", "categorical", "int64", levels=tuple(range(size)), missing=False)
            for j, size in enumerate(sizes)
        )
    )


def all_pairs(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Fit and sample as a user does, without a target."""
    from synthgan import TabularGAN
    from synthgan.privacy import DifferentialPrivacy

    frame = pd.DataFrame(codes, columns=[f"c{j}" for j in range(len(sizes))])
    privacy = DifferentialPrivacy(epsilon, DELTA, domain=_domain(sizes))
    gan = TabularGAN(privacy=privacy, random_state=seed, verbose=0).fit(frame)
    return gan.sample(len(frame), random_state=seed).to_numpy()


def chosen_pairs(codes: Codes, sizes: list[int], epsilon: float, seed: int) -> Codes:
    """Fit the same mixture to single columns, and to pairs that are chosen in three rounds."""
    import pyarrow as pa
    import torch

    from synthgan.encoding import TableEncoder
    from synthgan.marginals import MarginalOptions, NoisyCounts, fit_marginals
    from synthgan.networks.mixtures import LatentChoice, MixtureGenerator
    from synthgan.privacy import Ledger
    from synthgan.privacy.accounting import rho_of
    from synthgan.privacy.private_table import PrivateTable
    from synthgan.runs import Run
    from synthgan.sampling import Sampler

    rho, rounds, picks = rho_of(epsilon, DELTA), 3, len(sizes) // 2
    columns = {f"c{j}": codes[:, j] for j in range(len(sizes))}
    private = PrivateTable(pa.table(columns), Ledger(None, epsilon=epsilon, delta=DELTA))
    private.bind(TableEncoder.declared(_domain(sizes)))
    singles = [(j,) for j in range(len(sizes))]
    share = 0.15 * rho
    found = [
        NoisyCounts(singles, private.measure(singles, share), private.sigma(len(sizes), share))
    ]
    left = list(itertools.combinations(range(len(sizes)), 2))
    ends = np.cumsum([0, *sizes])
    for number in range(rounds + 1):
        generator = MixtureGenerator(sizes, 1000)
        steps = MarginalOptions(steps=300 if number < rounds else 1000)
        fit_marginals(generator, found, None, steps, seed=seed, run=Run())
        if number == rounds:
            break
        with torch.no_grad():
            chances = generator.log_shares().exp().numpy()
        whole = chances.T @ chances * (len(codes) / len(chances))
        parts = [slice(ends[j], ends[j + 1]) for j in range(len(sizes))]
        cost = 0.75 * rho / rounds
        sigma, chosen = private.sigma(picks, cost), []
        for _ in range(picks):
            noise = [np.sqrt(2 / np.pi) * sigma * sizes[a] * sizes[b] for a, b in left]
            gaps = private._gaps(left, [whole[parts[a], parts[b]] for a, b in left])
            cost_of_one = 0.1 * rho / rounds / picks
            private.ledger.charge(cost_of_one, mechanism="exponential", what="one of the pairs")
            chosen.append(left.pop(noisy_maximum(gaps - noise, cost_of_one)))
        found.append(NoisyCounts(chosen, private.measure(chosen, cost), sigma))
    sampler = Sampler(generator.eval().requires_grad_(False), None, LatentChoice())
    free = [None] * len(sizes)
    blocks = [
        sampler.draw_block(seed, b, 512, steps=1, weights=free)
        for b in range(-(-len(codes) // 512))
    ]
    return torch.cat(blocks).numpy()[: len(codes)]


def noisy_maximum(scores: npt.NDArray[np.float64], rho: float) -> int:
    """Return the position of a score that a row changes by at most 1, by the exponential mechanism.

    One draw costs epsilon**2 / 8 (arXiv:2004.07223).
    """
    import opendp.prelude as dp

    dp.enable_features("contrib")
    space = dp.vector_domain(dp.atom_domain(T=float, nan=False)), dp.linf_distance(T=float)
    scale = 2 / np.sqrt(8 * rho)
    pick = dp.m.make_noisy_max(*space, dp.zero_concentrated_divergence(), scale=scale)
    return int(pick(np.asarray(scores, np.float64).tolist()))


MADE = {"independent": independent, "chosen pairs": chosen_pairs, "all pairs": all_pairs}


def run_made(kind: str, method: str, epsilon: float, seed: int) -> dict[str, float]:
    """Return the figures of one method on a table that is made up."""
    codes, sizes = made_table(kind, seed)
    began = time.perf_counter()
    made = MADE[method](codes, sizes, epsilon, seed)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**distances(made, codes, sizes), "seconds": seconds, "peak_gib": peak}


# --- figures --------------------------------------------------------------------------------------


def distances(made: Codes, train: Codes, sizes: list[int]) -> dict[str, float]:
    """Return the mean total variation distances of one and of two columns."""
    ends = np.cumsum([0, *sizes])
    parts = [slice(a, b) for a, b in itertools.pairwise(ends)]

    def shares(codes: Codes) -> npt.NDArray[np.float64]:
        sums = np.zeros((ends[-1], ends[-1]))
        for start in range(0, len(codes), 4096):
            rows = codes[start : start + 4096] + ends[:-1]
            onehot = np.zeros((len(rows), ends[-1]), np.float32)
            np.put_along_axis(onehot, rows, 1.0, axis=1)
            sums += onehot.T @ onehot
        return sums / len(codes)

    gap = np.abs(shares(made) - shares(train))
    one = [0.5 * np.diag(gap)[part].sum() for part in parts]
    two = [0.5 * gap[a, b].sum() for a, b in itertools.combinations(parts, 2)]
    return {"one_way": float(np.mean(one)), "two_way": float(np.mean(two))}


def measure(made: Codes, train: Codes, test: Codes, sizes: list[int]) -> dict[str, float]:
    """Return the figures of synthetic rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    gaps = []
    for j in range(len(sizes) - 1):
        rates, mass = [], np.bincount(train[:, j], minlength=sizes[j]) / len(train)
        for codes in (made, train):
            count = np.bincount(codes[:, j], minlength=sizes[j])
            positive = np.bincount(codes[:, j], weights=codes[:, -1], minlength=sizes[j])
            rates.append(positive / np.maximum(count, 1))
        gaps.append(float((mass * np.abs(rates[0] - rates[1])).sum()))
    found = {**distances(made, train, sizes), "p_y_x": float(np.mean(gaps))}
    if len(np.unique(made[:, -1])) > 1:
        onehot = OneHotEncoder(categories=[np.arange(s) for s in sizes[:-1]])
        judges = {
            "tstr_lr": make_pipeline(onehot, LogisticRegression(max_iter=1000)),
            "tstr_hgb": HistGradientBoostingClassifier(random_state=0),
        }
        for name, judge in judges.items():
            scores = judge.fit(made[:, :-1], made[:, -1]).predict_proba(test[:, :-1])[:, 1]
            found[name] = float(roc_auc_score(test[:, -1], scores))
    return found


def run(method: str, epsilon: float, seed: int, folder: Path) -> dict[str, float]:
    """Return the figures of one method."""
    train, test = load(folder)
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
    """Return the Markdown of the runs on Adult."""
    columns = {
        "one_way": ("1-way TVD", 4), "two_way": ("2-way TVD", 4), "p_y_x": ("P(y\\|x)", 4),
        "tstr_lr": ("TSTR LR", 3), "tstr_hgb": ("TSTR boosting", 3), "seconds": ("seconds", 0),
    }  # fmt: skip
    runs = dict(sorted(results["runs"].items(), key=lambda item: _place(item[0])))
    text = (
        "In brackets how many seeds; ± half the range. Seconds for fit and sample on one core of "
        f"{results['machine']}."
    )
    return "\n".join([*_rows(columns, "epsilon", runs), "", text])


def render_made(results: dict[str, Any]) -> str:
    """Return the Markdown of the runs on tables that are made up."""
    columns = {
        "one_way": ("1-way TVD", 4), "two_way": ("2-way TVD", 4), "seconds": ("seconds", 0),
    }  # fmt: skip
    peak = max((f["peak_gib"] for s in results["made"].values() for f in s.values()), default=0.0)
    text = f"The process held {peak:.1f} GiB at most."
    return "\n".join([*_rows(columns, "table, epsilon", results["made"]), "", text])


def _rows(columns: dict[str, tuple[str, int]], first: str, runs: dict[str, Any]) -> list[str]:
    titles = " | ".join(title for title, _ in columns.values())
    lines = [f"| {first} | method | {titles} |", "|" + "---|" * (len(columns) + 2)]
    for key, seeds in runs.items():
        where, _, method = key.partition(": ")
        cells = []
        for name, (_, digits) in columns.items():
            values = [found[name] for found in seeds.values() if name in found]
            shown = f"{np.mean(values):.{digits}f}" if values else "-"
            spread = (max(values) - min(values)) / 2 if len(values) > 1 and digits > 1 else 0.0
            cells.append(f"{shown} ± {spread:.{digits}f}" if spread else shown)
        title = _TITLES.get(method, method)
        lines.append(f"| {where} | {title} ({len(seeds)}) | " + " | ".join(cells) + " |")
    return lines


_TITLES = {
    "real": "training rows, no privacy",
    "bootstrap": "rows drawn again, no privacy",
    "independent": "independent columns",
    "naive bayes": "naive Bayes",
    "synthgan": "**synthgan**",
    "mst": "MST (private-pgm)",
    "aim": "AIM (private-pgm, capped)",
    "dp-ctgan": "DP-CTGAN (smartnoise-synth, 25 epochs)",
}


def _place(key: str) -> tuple[float, int]:
    epsilon, _, method = key.partition(": ")
    return (float(epsilon.replace("∞", "inf")), list(METHODS).index(method))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder with one folder per table")
    ours = ["real", "bootstrap", "independent", "naive bayes", "synthgan"]
    parser.add_argument("--only", nargs="*", default=ours, choices=list(METHODS))
    parser.add_argument("--epsilon", type=float, nargs="*", default=[1.0, 10.0])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--pgm", type=Path, help="checkout of private-pgm")
    parser.add_argument("--made", action="store_true", help="run the tables with many columns")
    parser.add_argument("--render", action="store_true", help="only rewrite the page")
    options = parser.parse_args()
    if options.pgm is not None:
        sys.path.insert(0, str(options.pgm / "mechanisms"))
    results = {"runs": {}, "made": {}}
    if RESULTS.exists():
        results |= json.loads(RESULTS.read_text())

    def note(group: str, key: str, seed: int, found: dict[str, float]) -> None:
        results[group].setdefault(key, {})[str(seed)] = found
        RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        print(key, seed, found, flush=True)

    results["machine"] = f"{platform.machine()}, Python {platform.python_version()}"
    if options.made:
        jobs = itertools.product(("wide", "dense"), options.epsilon, MADE, options.seeds)
        for kind, epsilon, method, seed in jobs:
            found = run_made(kind, method, epsilon, seed)
            note("made", f"{kind}, {epsilon:g}: {method}", seed, found)
    elif not options.render:
        for method, epsilon, seed in itertools.product(
            options.only, options.epsilon, options.seeds
        ):
            shown = "∞" if method in ("real", "bootstrap") else f"{epsilon:g}"
            note("runs", f"{shown}: {method}", seed, run(method, epsilon, seed, options.data))
    from pages import BENCHMARKS, write_into

    write_into(BENCHMARKS, "dp", render(results))
    write_into(BENCHMARKS, "dp made", render_made(results))


if __name__ == "__main__":
    main()
