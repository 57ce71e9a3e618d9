"""Cards: what a synthetic table or a model is, written down by measurement alone."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from synthgan.evaluate.report import NO_GUARANTEE, Report
from synthgan.evaluate.score import REFERENCES, Score
from synthgan.exceptions import DataError, ParameterError
from synthgan.files import digest_of_file, read_text, write_text

__all__ = ["Card", "Verification", "data_card", "model_card", "verify"]

MAX_BYTES = 10_000_000
_KEYS = ("kind", "format", "synthgan", "privacy", "file", "settings", "tables", "scores", "model")
_DICTS = ("file", "model", "tables", "settings")
_SECTIONS = {"fidelity", "utility", "privacy"}
_NO_PROOF = "Tests cannot prove privacy: that one attack fails says nothing about another."
_NO_HOLDOUT = "There was no holdout: nothing was compared with real rows that nobody learned from."
_MARKUP = re.compile(r"[\\`*\[\]|$~<>&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|^[-+=#]+(?=\s)|^[-=]{2}")
_UNSOUND = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
_ABSENT = object()
_Path = str | os.PathLike[str]


class Card:
    """What a table or a model is, as one JSON-able dict; see `data_card` and `model_card`."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        try:
            self._text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
            _check(json.loads(self._text.encode("utf-8")))
        except _UNSOUND:
            raise DataError("This is no card, or one that a newer release wrote.") from None

    @classmethod
    def read(cls, path: _Path) -> Card:
        """Read a card from a ``.json`` file; raises DataError if it is none or above 10 MB."""
        text = read_text(path, MAX_BYTES)
        try:
            return cls(json.loads(text))
        except DataError as error:
            raise DataError(f"Cannot read {path}: {error}") from None
        except (ValueError, RecursionError):
            raise DataError(f"Cannot read {path}: it is not JSON.") from None

    def write(self, path: _Path) -> None:
        """Write the card to a ``.md`` or ``.json`` file, whole or not at all."""
        text = {".json": self._text, ".md": self.to_markdown()}.get(Path(path).suffix.lower(), "")
        if not text:
            raise ParameterError(f"Cannot tell the format of {path}; use a .md or .json file.")
        write_text(path, text)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as one JSON-able dict; ``Card(d)`` is the inverse."""
        return dict(json.loads(self._text))

    def to_markdown(self) -> str:
        """Return a page whose first line after the title says which privacy is guaranteed."""
        card = self.to_dict()
        columns = (card["model"] or {}).pop("columns", None) or []
        keys = list(dict.fromkeys(key for column in columns for key in column))
        scores = [Score.from_dict(entry) for entry in card["scores"]]
        parts = {name: _grid((card[name] or {}).items()) for name in _DICTS}
        parts["columns"] = _grid(([column.get(key) for key in keys] for column in columns), keys)
        parts["scores"] = _score_grid(scores) or ["Nothing was measured."]
        parts["limits"] = [f"- {_plain(limit)}" for limit in _limits(scores, card["tables"] or {})]
        lines = [f"# {card['kind'].capitalize()} card", "", _plain(card["privacy"]), ""]
        lines.append(f"Written by synthgan {_plain(card['synthgan'])} from what was measured.")
        for name, body in parts.items():
            lines += ["", f"## {name.capitalize()}", "", *body] if body else []
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Verification:
    """How a card compares with what was measured again."""

    differences: tuple[str, ...]
    checked: int

    @property
    def agrees(self) -> bool:
        """Whether something was compared, and nothing differs."""
        return self.checked > 0 and not self.differences

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {"agrees": self.agrees, "checked": self.checked, "differences": [*self.differences]}

    def __str__(self) -> str:
        found = "agrees" if self.agrees else "does not agree" if self.checked else "was not checked"
        head = f"The card {found}: {self.checked} entries compared, {len(self.differences)} differ."
        return "\n".join([head, *self.differences])


def data_card(report: Report, synthetic_path: _Path | None = None) -> Card:
    """Return the card of the synthetic table that `report` is about."""
    return _card("data", report, synthetic_path, None)


def model_card(
    description: Mapping[str, Any], report: Report | None = None, model_path: _Path | None = None
) -> Card:
    """Return the card of a model; `description` is what ``TabularGAN.describe()`` returns.

    The privacy line is the model's own; `report` is about a table that was sampled from it.
    """
    try:
        model = json.loads(json.dumps(dict(description), allow_nan=False))
    except (TypeError, ValueError):
        raise ParameterError("description must be the dict that describe() returns.") from None
    return _card("model", report, model_path, model)


def verify(
    card: Card,
    report: Report | None,
    file_path: _Path | None = None,
    description: Mapping[str, Any] | None = None,
    tolerance: float = 1e-9,
) -> Verification:
    """Compare a card with a report that was computed again, and with the file itself.

    Compared are the privacy line, all of every score, the sizes of the tables, the settings, and
    the size and SHA-256 of the file, but not its name, and the description of a model if it is
    given. Numbers may differ by `tolerance`, or by that share of the larger one.
    """
    if not 0 <= tolerance < 1:
        raise ParameterError("tolerance must be a number from 0 to below 1.")
    said, found = card.to_dict(), list[str]()
    if report is not None:
        again = _card(said["kind"], report, None, said["model"]).to_dict()
        for part in (said, again):
            part[""] = {entry.pop("name"): entry for entry in part["scores"]}
        for key in ("privacy", "tables", "settings", ""):
            found += _compare(key, said[key], again[key], tolerance)
    if file_path is not None:
        facts = {**_facts(file_path), "name": (said["file"] or {}).get("name")}
        found += _compare("file", said["file"], facts, tolerance)
    if description is not None:
        described = model_card(description).to_dict()["model"]
        found += _compare("model", said["model"], described, tolerance)
    return Verification(tuple(filter(None, found)), len(found))


def _card(kind: str, report: Report | None, path: _Path | None, model: Any) -> Card:
    data = {} if report is None else report.to_dict()
    privacy = " ".join(str((data if model is None else model).get("privacy", "")).split())
    privacy = privacy or NO_GUARANTEE
    version = next((found.version for found in metadata.distributions(name="synthgan")), "unknown")
    data |= {"privacy": privacy, "file": None if path is None else _facts(path), "model": model}
    data |= {"kind": kind, "format": 1, "synthgan": version}
    data["scores"] = [score.to_dict() for score in (report.scores if report else {}).values()]
    return Card({key: data.get(key) for key in _KEYS})


def _facts(path: _Path) -> dict[str, Any]:
    return {"name": Path(path).name, **digest_of_file(path)}


def _check(card: dict[str, Any]) -> None:
    file, scores, words = card["file"], card["scores"], (card["synthgan"], card["privacy"])
    columns = (card["model"] or {}).get("columns") or ()
    dicts = [card[key] for key in _DICTS if card[key] is not None]
    sound = [
        set(card) == {*_KEYS} and card["format"] == 1,
        card["kind"] == ("data" if card["model"] is None else "model"),
        all(isinstance(part, dict) for part in [*dicts, *columns]),
        all(text and " ".join(text.split()) == text for text in words),
        file is None or (set(file) == {"name", "bytes", "sha256"} and file["bytes"] >= 0),
        file is None or re.fullmatch("[0-9a-f]{64}", file["sha256"]),
        all(Score.from_dict(entry).to_dict() == entry for entry in scores),
        isinstance(scores, list) and len({entry["name"] for entry in scores}) == len(scores),
    ]
    if not all(sound):
        raise ValueError("not a card")


def _plain(x: Any) -> str:
    text = x if isinstance(x, str) else "none" if x is None else json.dumps(x, ensure_ascii=False)
    return _MARKUP.sub(r"\\\g<0>", " ".join(text.split()))


def _grid(rows: Iterable[Iterable[Any]], head: Sequence[Any] = ("entry", "value")) -> list[str]:
    lines = [" | ".join(map(_plain, row)) for row in (head, *rows)]
    ruled = [lines[0], " | ".join(["---"] * len(head)), *lines[1:]]
    return [f"| {line} |" for line in ruled] if len(lines) > 1 else []


def _score_grid(scores: Sequence[Score]) -> list[str]:
    names = [row for row in REFERENCES if any(row in score.references for score in scores)]
    head = ["score", "value", "95 % interval", "best", *(name.replace("_", " ") for name in names)]
    rows = []
    for s in scores:
        ends, others = s.interval or (), [_numbers(s.references.get(name)) for name in names]
        rows.append([s.name, _numbers(s.value), _numbers(*ends), _numbers(s.best), *others])
    return _grid(rows, head)


def _numbers(*values: float | None) -> str:
    return " .. ".join("none" if x is None else f"{x:.4g}" for x in values)


def _limits(scores: Sequence[Score], tables: Mapping[str, Any]) -> list[str]:
    lines = [f"{s.name} has no value: {s.reason}" for s in scores if s.value is None]
    lines += [f"{s.name}: {s.note}" for s in scores if s.note]
    unknown = _SECTIONS - {score.section for score in scores if score.value is not None}
    lines += [f"No score of {section} has a value." for section in sorted(unknown)]
    return [*lines, *([_NO_HOLDOUT] if tables.get("holdout") is None else []), _NO_PROOF]


def _compare(label: str, said: Any, measured: Any, tolerance: float) -> Iterator[str]:
    if isinstance(said, dict) and isinstance(measured, dict):
        for key in {**said, **measured}:
            sides = (said.get(key, _ABSENT), measured.get(key, _ABSENT))
            yield from _compare(f"{label} {key}".strip(), *sides, tolerance)
    elif _same(said, measured, tolerance):
        yield ""  # to be counted
    else:
        label = label.removesuffix(" value")
        yield f"{label}: the card says {_shown(said)}, measured {_shown(measured)}"


def _same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    if {type(a), type(b)} <= {int, float} and abs(a) < 1e300 and abs(b) < 1e300:
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)
    return type(a) is type(b) and bool(a == b)


def _shown(x: Any) -> str:
    x = x["value"] if isinstance(x, dict) and "value" in x else x
    return "nothing" if x is _ABSENT else json.dumps(x, ensure_ascii=False)
