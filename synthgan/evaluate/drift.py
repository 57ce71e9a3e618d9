"""Drift: whether new rows still look like the rows that a model was fitted to."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from synthgan._runtime import seed_from
from synthgan.evaluate.fidelity.detection import c2st
from synthgan.evaluate.score import Score
from synthgan.evaluate.tables import Column, Tables, read_named, read_tables
from synthgan.exceptions import DataError, ParameterError, SchemaError
from synthgan.inference import infer_schema
from synthgan.schema import Column as Declared
from synthgan.schema import Schema

__all__ = ["Drift", "check"]

#: A sample is not exactly the training distribution: a small but certain effect is no drift. Models
#: of 2,000 rows of Adult differ from fresh rows by up to 0.07 in a column.
MIN_EFFECT = 0.08
#: For the lower end. Samples score 0.52 to 0.57 against unseen rows in docs/benchmarks.md.
MAX_AUC = 0.60
#: Share of new rows with a level or number that the reference lacks: a model never writes them.
MAX_OUTSIDE = 0.01
#: Cochran's rule: chi-square is not to be trusted where fewer rows are expected.
MIN_EXPECTED = 5.0
#: Kolmogorov-Smirnov is exact for fewer rows: asymptotically, one row out of range has p = 0.
MIN_ROWS = 20

Values = npt.NDArray[Any]
Frame = pd.DataFrame
Row = dict[str, Any]
Tests = list[tuple[str, float, float]]  # name, effect, p-value
_SHARES = ("missing_reference", "missing_new", "unseen_share", "out_of_range_share")
_FIELDS = ("column", "test", "effect", "p_value", "p_adjusted", *_SHARES, "drifted")


@dataclass(frozen=True, slots=True, eq=False)
class Drift:
    """What :func:`check` found; no value of any row.

    Attributes
    ----------
    verdict : {"ok", "refit"}
    reasons : tuple of str
        One sentence for each reason to refit; empty if the verdict is ``"ok"``.
    schema : tuple of str
        How the columns differ; extra columns are no reason to refit.
    columns : DataFrame
        One row per compared column, drifted ones first, then by ``effect``: the distance of
        Kolmogorov-Smirnov, the total variation of levels (chi-square, very rare ones pooled) or
        the gap between shares of missing cells, whichever ``test`` speaks most against it.
    c2st : Score
    """

    verdict: Literal["ok", "refit"]
    reasons: tuple[str, ...]
    schema: tuple[str, ...]
    columns: pd.DataFrame
    c2st: Score

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict, with None for what does not apply."""
        rows = self.columns.astype(object).where(self.columns.notna(), None).to_dict("records")
        texts = {"reasons": list(self.reasons), "schema": list(self.schema)}
        return {"verdict": self.verdict, **texts, "columns": rows, "c2st": self.c2st.to_dict()}

    def __str__(self) -> str:
        lines = [f"verdict: {self.verdict}", *(f"- {reason}" for reason in self.reasons)]
        lines += ["", "differences of the schema:", *self.schema] if self.schema else []
        found = [self.c2st.value, *(self.c2st.interval or ())]
        judged = self.c2st.reason or "{:.3f}, 95 % interval {:.3f} .. {:.3f}".format(*found)
        table = self.columns.to_string(index=False, na_rep="-", float_format="{:.3g}".format)
        return "\n".join([*lines, "", f"{self.c2st.name}: {judged}", "", table])


def check(
    reference: Any,
    new: Any,
    *,
    schema: Schema | None = None,
    suppressed: Mapping[str, float] | None = None,
    random_state: Any = 0,
    level: float = 0.05,
) -> Drift:
    """Say whether new rows still look like the rows that a model was fitted to.

    Parameters
    ----------
    reference, new : DataFrame, Arrow table, polars frame or path
        The reference are the training rows, or a sample of the model.
    schema : Schema, optional
        The model's, with its declared levels and bounds. By default inferred from `reference`.
        Identifiers are not compared.
    suppressed : dict of str to float, optional
        Share of the training rows, per column, whose rare level or extreme the reference does not
        show because a model pools and clips them. New rows are allowed as many.
    random_state : int, Generator or None, default 0
        The same int gives the same result.
    level : float, default 0.05
        The false discovery rate (Benjamini-Hochberg) of the columns named as drifted.

    Returns
    -------
    Drift
        ``"refit"`` if a column is missing or of another type; if its adjusted p-value is below
        `level` and its effect at least 0.08; if it is unseen or out of range in more than 1 % of
        the new rows and more than chance explains; or if the C2ST's interval lies above 0.60.

    Raises
    ------
    DataError, SchemaError
        If a table is empty or repeats a name, or the reference lacks a column of the schema.
    ParameterError
        If an argument is outside its range.

    Examples
    --------
    >>> table = pd.DataFrame({"age": np.arange(400.0) % 70, "sex": ["f", "m"] * 200})
    >>> check(table, table.assign(age=table["age"] + 9)).verdict
    'refit'
    """
    seed = seed_from(random_state)
    if not isinstance(level, (int, float)) or not 0 < level < 1:
        raise ParameterError("level must be a number between 0 and 1, both excluded.")
    if schema is not None and not isinstance(schema, Schema):
        raise ParameterError(f"schema must be a Schema or None, got {type(schema).__name__}.")
    old, fresh = read_named("reference", reference), read_named("new", new)
    schema = schema or _inferred(old)
    if lacking := [name for name in schema.names if name not in old]:
        raise DataError(f"The reference lacks column {lacking[0]!r} of the schema.")
    tables, differences = _read_alike(old, fresh, schema)
    rows = _judge(tables, schema, suppressed or {}, level) if tables else []
    reasons = [f"C{text[1:]}: restore it, or refit." for text in differences]
    reasons += [reason for row in rows for reason in _reasons(row)]
    together = Score.not_computable("c2st_auc", "no column can be compared", "near", 0.5)
    if tables:
        sides = tables.train, tables.synthetic
        together = c2st(*sides, booster="hist_gradient_boosting", seed=seed)
    if together.interval is not None and together.interval[0] > MAX_AUC:
        by = "all columns" if any(row["drifted"] for row in rows) else "relations between columns"
        reasons.append(f"Boosted trees tell new rows by {by} (C2ST): refit on new rows.")
    differences += [f"column {name!r} is extra" for name in fresh if name not in schema]
    frame = pd.DataFrame(rows, columns=_FIELDS)
    return Drift("refit" if reasons else "ok", tuple(reasons), tuple(differences), frame, together)


def _inferred(frame: Frame) -> Schema:
    columns: list[Declared] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in map(str, frame):
            try:
                columns += infer_schema(frame[[name]])
            except SchemaError:  # free text, for example: it can be compared all the same
                columns.append(Declared(name, "constant", "string"))
    return Schema(tuple(columns))


def _read_alike(old: Frame, new: Frame, schema: Schema) -> tuple[Tables | None, list[str]]:
    """Return the columns that can be compared, and why others cannot."""
    alike, differences = [], []
    for name in schema.names:
        if name not in new:
            differences.append(f"column {name!r} is missing")
            continue
        a, b = old[[name]], new[[name]]
        try:
            read_tables(a, b)
        except DataError:
            differences.append(f"column {name!r} held {_family(a)} and now holds {_family(b)}")
        else:
            alike += [name] if schema[name].kind != "identifier" else []
    levelled = [n for n in alike if schema[n].kind in ("boolean", "categorical", "ordered")]
    if not alike:
        return None, differences
    return read_tables(old[alike], new[alike], categorical=levelled), differences


def _family(column: Frame) -> str:
    try:
        return f"{read_tables(column, column).train.columns[0].family} values"
    except DataError:
        return "mixed types, infinite numbers or impossible dates"


def _judge(
    tables: Tables, schema: Schema, suppressed: Mapping[str, float], level: float
) -> list[Row]:
    """Return the rows of :attr:`Drift.columns`, with the share outside that calls for a refit."""
    from scipy.stats import false_discovery_control

    sides = zip(tables.train.columns, tables.train.values, tables.synthetic.values, strict=True)
    rows = [
        _row(
            column, a, b, schema[column.name], suppressed.get(column.name, 0.0), level / len(schema)
        )
        for column, a, b in sides
    ]
    adjusted = false_discovery_control([row["p_value"] for row in rows])
    for row, p_value in zip(rows, adjusted, strict=True):
        row["p_adjusted"] = float(p_value)
        row["drifted"] = bool(p_value < level and row["effect"] >= row["least_effect"])
    return sorted(rows, key=lambda row: (not row["drifted"], -row["effect"]))


def _row(
    column: Column, old: Values, new: Values, declared: Declared, suppressed: float, level: float
) -> Row:
    numerical = column.kind == "numerical"
    gone_a, gone_b = (np.isnan(x) if numerical else x < 0 for x in (old, new))
    a, b = old[~gone_a], new[~gone_b]
    tests = _missing(gone_a, gone_b) if gone_a.any() or gone_b.any() else []
    if len(a) and len(b):
        tests += (_kolmogorov_smirnov if numerical else _chi_square)(a, b)
    # A test that cannot call drift must not hide one that can.
    least = MIN_EFFECT + suppressed
    test, effect, p_value = min(tests, key=lambda found: (found[1] < least, found[2]))
    hidden = suppressed * len(a)
    outside, p_outside = (_out_of_range if numerical else _unseen)(a, b, column, declared, hidden)
    share = outside / len(new)
    beyond = share > MAX_OUTSIDE + suppressed and p_outside < level
    return {
        "column": column.name,
        "test": test,
        "effect": effect,
        "p_value": min(1.0, p_value * len(tests)),
        "missing_reference": float(gone_a.mean()),
        "missing_new": float(gone_b.mean()),
        "unseen_share": np.nan if numerical else share,
        "out_of_range_share": share if numerical else np.nan,
        "outside": share if beyond else 0.0,
        "least_effect": least,
    }


def _missing(a: Values, b: Values) -> Tests:
    from scipy.stats import fisher_exact

    found = fisher_exact([[int(gone.sum()), int((~gone).sum())] for gone in (a, b)])
    return [("missing", abs(float(a.mean() - b.mean())), float(found.pvalue))]


def _kolmogorov_smirnov(a: Values, b: Values) -> Tests:
    from scipy.stats import ks_2samp

    found = ks_2samp(a, b, method="exact" if min(len(a), len(b)) < MIN_ROWS else "asymp")
    return [("Kolmogorov-Smirnov", float(found.statistic), float(found.pvalue))]


def _chi_square(a: Values, b: Values) -> Tests:
    from scipy.stats import chi2_contingency

    counts = np.stack([np.bincount(x, minlength=max(a.max(), b.max()) + 1) for x in (a, b)])
    expected = counts.sum(axis=0) * min(len(a), len(b)) / (len(a) + len(b))
    often = expected >= MIN_EXPECTED
    if often.any() and expected[~often].sum() < MIN_EXPECTED:
        often[np.argmin(np.where(often, expected, np.inf))] = False
    table = np.column_stack([counts[:, often], counts[:, ~often].sum(axis=1)])
    shares = table / table.sum(axis=1, keepdims=True)
    p_value = float(chi2_contingency(table, correction=False).pvalue)
    return [("chi-square", float(np.abs(shares[0] - shares[1]).sum() / 2), p_value)]


def _unseen(
    a: Values, b: Values, column: Column, declared: Declared, hidden: float
) -> tuple[int, float]:
    """Count unknown levels, to be expected as often as those seen once in `a` (Good, Turing)."""
    counts = np.bincount(a, minlength=len(column.levels))
    once, twice = (int((counts == k).sum()) for k in (1, 2))
    texts = {text for x in declared.levels or () for text in (str(x), str(x).removesuffix(".0"))}
    known = (counts > 0) | np.array([text in texts for text in column.levels], dtype=bool)
    worth = (once + 1) / (once + 1 + 2 * min(once, twice))  # the variance of Good's estimate
    return _beyond(~known[b], worth * (once + 1) + hidden, worth * len(a) + hidden)


def _out_of_range(
    a: Values, b: Values, column: Column, declared: Declared, hidden: float
) -> tuple[int, float]:
    edges = [float(a.min()), float(a.max())] if len(a) else []
    zone = getattr(declared.arrow_type, "tz", None)
    edges += [_position(edge, column.family, zone) for edge in declared.bounds or ()]
    if not edges:
        return 0, 1.0
    return _beyond((b < min(edges)) | (b > max(edges)), 2 + hidden, len(a))


def _position(edge: Any, family: str | None, zone: str | None) -> float:
    """Return a declared bound on the scale of :func:`read_tables`."""
    if family == "number" or edge in (-np.inf, np.inf):
        return float(edge)
    if family == "duration":
        delta = pd.Timedelta(edge, "s") if isinstance(edge, (int, float)) else pd.Timedelta(edge)
        return delta.total_seconds() * 1e6
    moment = pd.Timestamp(edge)
    if zone is None or moment.tzinfo is None:
        moment = moment.tz_localize(None).tz_localize(zone or "UTC")
    return float(round(moment.timestamp() * 1e6))


def _beyond(outside: Values, gaps: float, n_rows: float) -> tuple[int, float]:
    """Count `outside`; the p-value supposes that new rows fall into all gaps of `n_rows` alike."""
    from scipy.stats import betabinom

    count, rest = int(outside.sum()), max(n_rows + 1 - gaps, 1e-9)
    return count, float(betabinom.sf(count - 1, len(outside), gaps, rest)) if count else 1.0


def _reasons(row: Row) -> list[str]:
    where, reasons = f"Column {row['column']!r}", []
    if row["drifted"]:
        how = f"{row['test']}, effect {row['effect']:.2f}, adjusted p {row['p_adjusted']:.1e}"
        reasons.append(f"{where} has changed ({how}): find out why, and refit on new rows.")
    if row["outside"]:
        what = "unseen levels" if row["unseen_share"] > 0 else "values out of range"
        reasons.append(f"{where} has {what} in {row['outside']:.1%} of rows: correct or refit.")
    return reasons
