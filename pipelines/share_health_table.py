"""Publish a synthetic copy of a health table: fit, prove, and write all or nothing.

    python pipelines/share_health_table.py patients.parquet release --target disease

reads ``patients.parquet``, keeps a third of the people aside, fits a model to the others, and
writes a folder ``release`` with

    synthetic.parquet   as many rows as the model learned from
    report.html         what they are worth, without what only the holder may see
    card.md             the same figures, for people who will not open the report
    gate.xml            the rules and whether they passed (JUnit)

if every rule of the gate holds; otherwise it writes ``release.refused`` with the full report, and
exits with 3 (with 2 if the call or the table is wrong). ``release.state.json`` stays beside, for
the holder alone: with it, the same input and settings do nothing the second time. There is no
formal guarantee of privacy; see ``dp_release.py`` for one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit

from synthgan import TabularGAN
from synthgan.evaluate import evaluate
from synthgan.evaluate.cards import data_card
from synthgan.evaluate.gate import Gate
from synthgan.exceptions import DataError, SynthganError
from synthgan.io import read_frame

#: What a table must reach to leave the house; edit a copy for your own (``--gate``).
GATE = Gate.from_dict(
    {
        "judge_by": "value",
        "scores": {
            "shape_error": {"max": 8.0},
            "trend_error": {"max": 15.0},
            "utility_ratio_boosting": {"min": 0.85, "allow_missing": True},
            "membership_auc": {"max": 0.6},
            "violation_rate": {"max": 0.02},
        },
    }
)


def share(
    data: Path,
    out: Path,
    *,
    person: str | None = None,
    target: str | None = None,
    gate: Gate = GATE,
    max_time: str | None = None,
    level: str = "full",
    seed: int = 0,
) -> bool:
    """Write the release, or the refusal, and return whether it was a release.

    `person` names the column that says whose row it is: all rows of a person are on one side of the
    split, and the column is not modelled.
    """
    if not out.parent.is_dir():
        raise DataError(f"There is no folder {out.parent}; make it first.")
    settings = {"person": person, "target": target, "gate": gate.to_dict(), "level": level}
    settings |= {"max_time": max_time, "seed": seed}
    mark = {
        "input": hashlib.sha256(data.read_bytes()).hexdigest(),
        "settings": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    }
    state, refused = (out.with_name(out.name + end) for end in (".state.json", ".refused"))
    for place in (out, refused):
        if place.exists() and _read(state) == {**mark, "written": place.name}:
            print(f"{place} is up to date")
            return place == out
    table = read_frame(data)
    if person is not None and person not in table:
        raise DataError(f"There is no column {person!r} of people; there are {list(table)}.")
    if person is not None and table[person].isna().any():
        raise DataError(f"Column {person!r} is missing in some rows: whose are they?")
    train, holdout = split_by_person(table, person, seed)
    gan = TabularGAN(random_state=seed, max_time=max_time, verbose=int(sys.stderr.isatty()))
    gan.fit(train, target=target)
    synthetic = gan.sample(len(train), random_state=seed)
    report = evaluate(
        train,
        synthetic,
        holdout=holdout,
        target=target,
        level=level,
        history=gan.history_,
        random_state=seed,
    )
    result = gate.check(report)
    print(result)
    place = out if result.passed else refused
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    try:
        if result.passed:
            synthetic.to_parquet(folder / "synthetic.parquet", index=False)
            data_card(report.public(), folder / "synthetic.parquet").write(folder / "card.md")
        (report.public() if result.passed else report).to_html(folder / "report.html")
        (folder / "gate.xml").write_text(result.to_junit_xml(), encoding="utf-8")
        _replace(folder, place, 0o755 if result.passed else 0o700)
        if result.passed:
            shutil.rmtree(refused, ignore_errors=True)
        state.write_text(json.dumps({**mark, "written": place.name}) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"wrote {place}")
    return bool(result.passed)


def split_by_person(
    table: pd.DataFrame, person: str | None, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return training and holdout rows, two thirds and one third of the people."""
    groups: Any = np.arange(len(table)) if person is None else pd.factorize(table[person])[0]
    features = table if person is None else table.drop(columns=person)
    cut = GroupShuffleSplit(1, test_size=1 / 3, random_state=seed).split(table, groups=groups)
    kept, aside = next(iter(cut))
    return features.iloc[kept].reset_index(drop=True), features.iloc[aside].reset_index(drop=True)


def _read(state: Path) -> Any:
    try:
        return json.loads(state.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _replace(folder: Path, place: Path, mode: int) -> None:
    """Move a whole folder into place, open to those in `mode`; an older one stays until then."""
    older = folder.with_name(folder.name + ".old")
    if place.exists():
        os.replace(place, older)
    os.chmod(folder, mode)
    os.replace(folder, place)
    shutil.rmtree(older, ignore_errors=True)


def main(argv: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="Parquet or CSV, one row per visit or person")
    parser.add_argument("out", type=Path, help="folder of the release; its parent must exist")
    parser.add_argument("--person", help="column that says whose row it is")
    parser.add_argument("--target", help="column that people will predict")
    parser.add_argument("--gate", type=Path, help="rules in YAML, in place of those above")
    parser.add_argument("--max-time", help="of the fit, such as 10m")
    parser.add_argument("--level", choices=["full", "quick"], default="full", help="of the report")
    parser.add_argument("--seed", type=int, default=0)
    options = vars(parser.parse_args(argv))
    gate = options.pop("gate")
    try:
        options["gate"] = GATE if gate is None else Gate.read(gate)
        return 0 if share(options.pop("data"), options.pop("out"), **options) else 3
    except (SynthganError, OSError) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
