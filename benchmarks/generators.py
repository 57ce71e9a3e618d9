"""Generators of tables with the settings that their authors ship, each as one function.

CTGAN and TVAE: 300 epochs with batches of 500 and the categorical columns named; on tables with
missing numbers, which their package refuses, within SDV, as it advises. The Gaussian copula of SDV
with metadata that name them. TabularARGN with early stopping on its own validation rows.
Adversarial random forests of 30 trees. SMOTE-NC is asked for as many new rows of every class as
there are (tables with a class to predict and both kinds of columns only).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Fitted:
    """What a method leaves: ways to sample it by name, and how to write it to a file.

    Every call of the former draws other rows.
    """

    samples: dict[str, Callable[[int], pd.DataFrame]]
    save: Callable[[str], Any]
    steps: int | None = None


def fit_synthgan(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """Fit once; draw rows of as many steps as it chose, of one column a step, of four and one."""
    from synthgan import TabularGAN

    gan = TabularGAN(random_state=seed, verbose=0).fit(train, target=info["target"])
    rng = np.random.default_rng(seed)
    steps = {"": None, ", all steps": train.shape[1], ", 4 steps": 4, ", 1 step": 1}
    samples = {
        f"synthgan{name}": lambda n, k=k: gan.sample(n, steps=k, random_state=rng)
        for name, k in steps.items()
    }
    return Fitted(samples, gan.save, gan.steps_)


def fit_limited(
    name: str, train: pd.DataFrame, info: dict[str, Any], seed: int, seconds: float
) -> Fitted:
    """Fit in so many seconds; `name` is that of the rows."""
    from synthgan import TabularGAN

    gan = TabularGAN(random_state=seed, verbose=0, max_time=seconds)
    gan.fit(train, target=info["target"])
    rng = np.random.default_rng(seed)
    return Fitted({name: lambda n: gan.sample(n, random_state=rng)}, gan.save, gan.steps_)


def fit_networks(name: str, train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """Fit CTGAN or TVAE of their authors' package, or within SDV where numbers are missing."""
    import ctgan

    if train.drop(columns=info["categorical"], errors="ignore").isna().any(axis=None):
        return fit_sdv(f"{name}Synthesizer", train, info, seed, epochs=300, enable_gpu=False)
    model = getattr(ctgan, name)(epochs=300, enable_gpu=False)
    model.set_random_state(seed)
    model.fit(train, discrete_columns=info["categorical"])
    return Fitted({name: model.sample}, model.save)


def fit_sdv(
    name: str, train: pd.DataFrame, info: dict[str, Any], seed: int, **options: Any
) -> Fitted:
    """Fit a synthesizer of SDV."""
    from sdv import single_table
    from sdv.metadata import Metadata

    np.random.seed(seed)  # noqa: NPY002 - the only seed that it takes
    kinds = {
        name: {"sdtype": "categorical" if name in info["categorical"] else "numerical"}
        for name in train
    }
    metadata = Metadata.load_from_dict({"tables": {"table": {"columns": kinds}}})
    model = getattr(single_table, name)(metadata, **options)
    model.fit({"table": train})
    title = name.removesuffix("Synthesizer")
    return Fitted({title: lambda n: model.sample(n)["table"]}, model.save)


def fit_argn(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """TabularARGN of mostlyai-engine."""
    import pickle

    from mostlyai.engine import TabularARGN

    kinds = {
        name: "TABULAR_CATEGORICAL" if name in info["categorical"] else "TABULAR_NUMERIC_AUTO"
        for name in train
    }
    model = TabularARGN(random_state=seed, device="cpu", tgt_encoding_types=kinds)
    model.fit(train)

    def save(path: str) -> None:
        folder = Path(str(model.workspace_dir)) / "ModelStore"
        parts = [p for p in folder.rglob("*") if p.is_file()]
        Path(path).write_bytes(b"".join(p.read_bytes() for p in parts) or pickle.dumps(model))

    def sample(n: int) -> pd.DataFrame:  # without its mark for rare levels, which is no level
        return model.sample(n_samples=n, rare_category_replacement_method="SAMPLE")

    return Fitted({"TabularARGN": sample}, save)


def fit_arf(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """Adversarial random forests of arfpy."""
    import pickle

    from arfpy import arf

    np.random.seed(seed)  # noqa: NPY002 - the only seed that it takes
    frame = train.astype(dict.fromkeys(info["categorical"], "str"))
    model = arf.arf(x=frame, verbose=False, random_state=seed)
    model.forde()
    return Fitted(
        {"ARF": lambda n: model.forge(n=n)},
        lambda path: Path(path).write_bytes(pickle.dumps(model)),
    )


def fit_smote(train: pd.DataFrame, info: dict[str, Any], seed: int) -> Fitted:
    """SMOTE-NC as a generator: new rows only, every class as often as it is."""
    import pickle

    from imblearn.over_sampling import SMOTENC

    target = info["target"]
    if info["task"] == "regression":
        raise ValueError("no class to predict")
    if set(train) <= {*info["categorical"], target}:
        raise ValueError("no numbers")
    features = train.drop(columns=target)
    kinds = [name for name in info["categorical"] if name != target]
    y = train[target].astype(str)
    counts = y.value_counts()
    rng = np.random.RandomState(seed)

    def sample(n: int) -> pd.DataFrame:
        wanted = {name: int(count + np.ceil(n * count / len(y))) for name, count in counts.items()}
        smote = SMOTENC(kinds, sampling_strategy=wanted, random_state=rng)
        rows, labels = smote.fit_resample(features, y)
        made = rows.assign(**{target: labels})[list(train)].iloc[len(train) :]
        return made.sample(n, random_state=rng).reset_index(drop=True)

    return Fitted(
        {"SMOTE-NC": sample}, lambda path: Path(path).write_bytes(pickle.dumps((features, y)))
    )


#: What fits, and what to import before the clock starts.
METHODS: dict[str, tuple[Callable[..., Fitted], str]] = {
    "synthgan": (fit_synthgan, "synthgan.estimators.tabular_gan"),
    "hurried": (
        partial(fit_limited, "synthgan, half of ARGN's time"),
        "synthgan.estimators.tabular_gan",
    ),
    "rushed": (
        partial(fit_limited, "synthgan, a twentieth of CTGAN's time"),
        "synthgan.estimators.tabular_gan",
    ),
    "argn": (fit_argn, "mostlyai.engine"),
    "copula": (partial(fit_sdv, "GaussianCopulaSynthesizer"), "sdv.single_table"),
    "smote": (fit_smote, "imblearn.over_sampling"),
    "arf": (fit_arf, "arfpy.arf"),
    "tvae": (partial(fit_networks, "TVAE"), "sdv.single_table"),
    "ctgan": (partial(fit_networks, "CTGAN"), "sdv.single_table"),
}
