"""What went wrong, by its name in the field, and which knob to turn.

Findings come from three places: the tables (levels, pairs and regions of train that the synthetic
table lacks, repeated rows, copies), the scores, and the history of the fit.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synthgan._runtime import numpy_generator
from synthgan.evaluate.learners import blocks, quietly
from synthgan.evaluate.measure import Setting
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Table, listed

__all__ = ["Finding", "diagnose", "read_history"]

#: A level, pair or region is missing if chance would show this many rows of it and none (for
#: regions: under a fifth of them) is there; the chance of none at all is exp(-MIN_EXPECTED).
MIN_EXPECTED = 15
#: A level is named in a finding only if this many train rows hold it.
MIN_NAMED_ROWS = 10
MAX_ROWS = 20_000
MAX_NAMED = 5
#: Levels of a column that are looked at in pairs; all others count as one.
_MOST_LEVELS = 200
N_REGIONS = 20
#: How far held-out images may look generated to a critic: 0 as real as learned ones, 1 as samples.
MAX_OVERFIT = 0.6
#: A holdout that trees tell from train better than this is no yardstick.
MAX_HOLDOUT_AUC = 0.6

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or good to know.

    Attributes
    ----------
    name : str
        ``"missing levels"``, ``"missing pairs"``, ``"dropped region"``, ``"repeated rows"``,
        ``"copied rows"``, ``"foreign holdout"``, ``"constant column"``, and of a fit ``"ok"``,
        ``"still improving"``, ``"critic too strong"``, ``"collapsing"`` or ``"overfitting"``.
    severity : {"info", "warning"}
    message : str
        What was seen, with numbers.
    advice : str
        The knob to turn.
    columns : tuple of str
        The columns that are concerned.
    """

    name: str
    severity: str
    message: str
    advice: str
    columns: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {**asdict(self), "columns": list(self.columns)}

    def __str__(self) -> str:
        return f"{self.name}: {self.message} {self.advice}"


def diagnose(
    setting: Setting,
    table: Table,
    scores: Mapping[str, Score],
    history: Sequence[Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """Return what is wrong with a synthetic table and with the fit that made it.

    Parameters
    ----------
    setting : Setting
    table : Table
        The synthetic table.
    scores : dict of str to Score
        What was measured; ``exact_match_rate`` and ``repeat_rate`` are read.
    history : list of dict, optional
        ``history_`` of the estimator.

    Returns
    -------
    list of Finding
        Warnings first.
    """
    found = [
        *_constant_columns(setting.train, table),
        *_missing_levels(setting.train, table),
        *_missing_pairs(setting.train, table),
        *_dropped_regions(setting, table),
        *_too_many(scores),
        *_foreign_holdout(scores),
        *(read_history(history) if history else []),
    ]
    return sorted(found, key=lambda finding: finding.severity != "warning")


# --- tables --------------------------------------------------------------------------------------


def _constant_columns(train: Table, table: Table) -> list[Finding]:
    names = [
        column.name
        for column, a, b in zip(train.columns, train.values, table.values, strict=True)
        if len(table) >= MIN_EXPECTED and len(np.unique(b)) == 1 < len(np.unique(a))
    ]
    if not names:
        return []
    message = f"{listed(names)} hold a single value, but vary in train."
    advice = "Fit longer (more steps, or a larger max_time); sample with more steps."
    return [Finding("constant column", "warning", message, advice, tuple(names))]


def _missing_levels(train: Table, table: Table) -> list[Finding]:
    texts, names = [], []
    for column, a, b in zip(train.columns, train.values, table.values, strict=True):
        if column.kind != "categorical" or not len(column.levels):
            continue
        counts, found = (np.bincount(x[x >= 0], minlength=len(column.levels)) for x in (a, b))
        expected = counts * len(table) / len(train)
        gone = np.flatnonzero((found == 0) & (expected >= MIN_EXPECTED))
        if len(gone):
            named = [column.levels[k] for k in gone if counts[k] >= MIN_NAMED_ROWS]
            hidden = len(gone) - len(named)
            rest = [f"{hidden} rare level{'s' * (hidden > 1)}"] if hidden else []
            parts = [listed(named), *rest] if named else rest
            texts.append(f"{column.name!r} lacks {' and '.join(parts)}")
            names.append(column.name)
    if not texts:
        return []
    message = "; ".join(texts[:MAX_NAMED]) + "."
    advice = "Lower min_count if the level was pooled as rare; else fit longer."
    return [Finding("missing levels", "warning", message, advice, tuple(names))]


def _missing_pairs(train: Table, table: Table) -> list[Finding]:
    """Look for pairs of levels, or of quarters of numbers, that never occur together."""
    a, b = (
        t.sample(MAX_ROWS, numpy_generator(0, "pairs", k)) for k, t in enumerate((train, table))
    )
    cells = [_quarters(x, y, c.kind) for c, x, y in zip(a.columns, a.values, b.values, strict=True)]
    hurt: dict[tuple[str, str], int] = {}
    for i, j in itertools.islice(itertools.combinations(range(len(cells)), 2), 5_000):
        (x, y, m), (u, v, n) = cells[i], cells[j]
        expected = np.bincount(x * n + u, minlength=m * n) * (len(b) / len(a))
        present = np.bincount(y * n + v, minlength=m * n)
        alone = (np.bincount(y, minlength=m) > 0)[:, None] & (np.bincount(v, minlength=n) > 0)
        gone = int(((expected >= MIN_EXPECTED) & (present == 0) & alone.ravel()).sum())
        if gone:
            hurt[a.names[i], a.names[j]] = gone
    if not hurt:
        return []
    worst = sorted(hurt, key=lambda pair: -hurt[pair])
    shown = ", ".join(f"{p!r} with {q!r} ({hurt[p, q]})" for p, q in worst[:MAX_NAMED])
    message = f"{sum(hurt.values())} combinations of train never occur: {shown}."
    advice = "Sample with more steps (few steps tie columns loosely), or fit longer."
    names = tuple(dict.fromkeys(name for pair in worst for name in pair))
    return [Finding("missing pairs", "warning", message, advice, names)]


def _quarters(a: npt.NDArray[Any], b: npt.NDArray[Any], kind: str) -> tuple[Ints, Ints, int]:
    if kind == "categorical":
        # levels are in order of frequency; those beyond the first ones are too rare to be missed
        n = min(int(max(a.max(), b.max())), _MOST_LEVELS) + 2
        x, y = (np.where(v < 0, n - 1, np.minimum(v, _MOST_LEVELS)) for v in (a, b))
        return x, y, n
    present = a[~np.isnan(a)]
    cuts = np.unique(np.quantile(present, [0.25, 0.5, 0.75])) if len(present) else np.empty(0)
    x, y = (np.where(np.isnan(v), len(cuts) + 1, np.searchsorted(cuts, v)) for v in (a, b))
    return x, y, len(cuts) + 2


def _dropped_regions(setting: Setting, table: Table) -> list[Finding]:
    """Look for clusters of train rows that hardly any synthetic row falls into."""
    from sklearn.cluster import MiniBatchKMeans

    train = setting.train.sample(MAX_ROWS, numpy_generator(setting.seed, "regions", 0))
    table = table.sample(MAX_ROWS, numpy_generator(setting.seed, "regions", 1))
    n_regions = min(N_REGIONS, len(train) // (2 * MIN_EXPECTED))
    if n_regions < 2 or len(table) < 2 * MIN_EXPECTED:
        return []
    x, y = blocks(train, table)
    model = MiniBatchKMeans(n_regions, n_init=3, random_state=setting.seed % 2**31)
    with quietly():
        places = model.fit_predict(x), model.predict(y)
    counts, found = (np.bincount(place, minlength=n_regions) for place in places)
    expected = counts * len(table) / len(train)
    gone = (expected >= MIN_EXPECTED) & (found < expected / 5)
    if not gone.any():
        return []
    share = 100 * float(counts[gone].sum()) / len(train)
    message = (
        f"{gone.sum()} of {n_regions} regions of train, with {share:.1f} % of its rows, hold less "
        "than a fifth of the synthetic rows that they should."
    )
    advice = "This is mode dropping: fit longer, or sample with more steps."
    return [Finding("dropped region", "warning", message, advice)]


#: Score, finding, what the rows do, whom they are compared with, advice.
_TOO_MANY = [
    (
        "repeat_rate",
        "repeated rows",
        "repeat another one",
        "in train",
        "The generator has collapsed onto few rows: fit anew with another random_state.",
    ),
    (
        "exact_match_rate",
        "copied rows",
        "equal a train row",
        "among fresh real rows",
        "Fit for fewer steps, raise weight_decay, or fit on more rows.",
    ),
]


def _too_many(scores: Mapping[str, Score]) -> list[Finding]:
    """Look for shares of rows that lie above those of real rows by more than chance."""
    found = []
    for name, title, what, where, advice in _TOO_MANY:
        score = scores.get(name)
        if score is None or score.value is None or score.best is None or score.interval is None:
            continue
        if score.interval[0] > score.best + 0.001 and score.value > 1.2 * score.best:
            message = (
                f"{score.value:.2%} of the synthetic rows {what}; {where} it is {score.best:.2%}."
            )
            found.append(Finding(title, "warning", message, advice))
    return found


def _foreign_holdout(scores: Mapping[str, Score]) -> list[Finding]:
    score = scores.get("c2st_auc")
    interval = None if score is None else score.reference_intervals.get("holdout")
    if interval is None or interval[0] <= MAX_HOLDOUT_AUC:
        return []
    message = (
        f"Trees tell the holdout from train with an AUC of at least {interval[0]:.2f}: its rows "
        "are of another population, or of another time."
    )
    advice = "Draw train and holdout at random from one table; utility and attacks rest on it."
    return [Finding("foreign holdout", "warning", message, advice)]


# --- the fit -------------------------------------------------------------------------------------


def read_history(history: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Turn the curves of a fit into one finding per phase.

    Parameters
    ----------
    history : list of dict
        Entries with ``phase`` and, per epoch, ``validation`` (likelihood of rows held out, lower
        is better), ``loss``, and for the critic ``sign_real`` and ``sign_fake`` (share of rows
        that it scores above zero), ``penalty`` and ``overfit``.

    Returns
    -------
    list of Finding
        ``"ok"``, ``"still improving"``, ``"overfitting"``, ``"critic too strong"`` or
        ``"collapsing"``.
    """
    phases = dict.fromkeys(str(entry.get("phase", "fit")) for entry in history)
    found = []
    for phase in phases:
        entries = [entry for entry in history if str(entry.get("phase", "fit")) == phase]
        found.append(_adversarial(phase, entries) or _validated(phase, entries))
    return found


def _curve(entries: Sequence[Mapping[str, Any]], name: str) -> npt.NDArray[np.float64]:
    return np.array([e[name] for e in entries if e.get(name) is not None], dtype=np.float64)


def _adversarial(phase: str, entries: Sequence[Mapping[str, Any]]) -> Finding | None:
    real, fake = _curve(entries, "sign_real"), _curve(entries, "sign_fake")
    penalty = _curve(entries, "penalty")
    validation = _curve(entries, "validation")
    losses = np.concatenate([_curve(entries, k) for k in ("generator", "critic")])
    if len(real) < 3 and len(penalty) < 3:
        return None
    burst = len(penalty) >= 6 and penalty[-3:].max() > 20 * np.median(penalty[: len(penalty) // 2])
    worse = len(validation) >= 3 and validation[-1] > 1.2 * validation.min()
    if burst or worse or not np.isfinite(losses).all():
        what = "the penalty of the critic has burst" if burst else "samples have become worse"
        message = f"{phase}: {what} in the last epochs."
        advice = "Lower refinement_rate, or raise penalty."
        return Finding("collapsing", "warning", message, advice)
    last = max(len(real) // 3, 1)
    gap = float(real[-last:].mean() - fake[-last:].mean()) if len(real) and len(fake) else 0.0
    if gap > 0.9:
        message = f"{phase}: the critic tells real from generated rows {gap:.0%} of the time."
        advice = "Raise penalty, or lower refinement_rate; the generator gets no useful gradient."
        return Finding("critic too strong", "warning", message, advice)
    overfit = _curve(entries, "overfit")
    if len(overfit) >= 3 and overfit[-max(len(overfit) // 3, 1) :].mean() > MAX_OVERFIT:
        message = f"{phase}: to the critic, images that were held out look as if generated."
        advice = "Add distortions, use fewer steps, or fit on more images."
        return Finding("overfitting", "warning", message, advice)
    if not len(validation):
        message = f"{phase}: critic and generator are in balance after {len(entries)} epochs."
        return Finding("ok", "info", message, "")
    return None


def _validated(phase: str, entries: Sequence[Mapping[str, Any]]) -> Finding:
    curve, loss = _curve(entries, "validation"), _curve(entries, "loss")
    if len(curve) < 4:
        message = f"{phase}: {len(entries)} epochs, too few to read a trend."
        return Finding("ok", "info", message, "")
    best = int(curve.argmin())
    rise = float(curve[-1] / curve[best] - 1) if curve[best] > 0 else 0.0
    falling = len(loss) == len(curve) and loss[-1] < loss[best]
    if rise > 0.03 and falling:
        message = (
            f"{phase}: the validation loss rose {rise:.1%} above its best while training fell."
        )
        advice = "Raise weight_decay or fine_decay, or use fewer steps. The best weights were kept."
        return Finding("overfitting", "warning", message, advice)
    earlier = curve[: max(int(0.8 * len(curve)), 1)].min()
    gain = float(1 - curve[best] / earlier) if earlier > 0 else 0.0
    if gain > 0.02 and best >= len(curve) - 2:
        message = f"{phase}: the last fifth of the epochs still improved validation by {gain:.1%}."
        return Finding("still improving", "warning", message, "Raise max_time or steps.")
    message = f"{phase}: validation has levelled out after {len(curve)} epochs."
    return Finding("ok", "info", message, "")
