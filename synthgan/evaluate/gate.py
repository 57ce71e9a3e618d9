"""A gate: where measured scores must lie before a synthetic table may be passed on."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal
from xml.etree import ElementTree  # nosec B405 # XML is written, never read

import yaml

from synthgan.evaluate.report import Report
from synthgan.evaluate.score import Score
from synthgan.exceptions import ParameterError
from synthgan.files import read_text

__all__ = ["Gate", "GateResult", "Outcome", "Rule"]

MAX_BYTES = 100_000
_EXPONENT = re.compile(r"-?[0-9]+(\.[0-9]+)?[eE][-+]?[0-9]+\Z")
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule said: `measured` is the value, whichever end `reason` says was compared."""

    score: str
    rule: str
    measured: float | None
    passed: bool
    reason: str = ""
    skipped: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """Where one score must lie; a score that was not measured fails unless `allow_missing`."""

    score: str
    min: float | None = None
    max: float | None = None
    allow_missing: bool = False

    def __post_init__(self) -> None:
        where, bounds = f"scores.{self.score}", (self.min, self.max)
        if not all(x is None or _is_number(x) for x in bounds):
            raise ParameterError(f"{where}: min and max must be finite numbers, without quotes.")
        if not isinstance(self.allow_missing, bool):
            raise ParameterError(f"{where}.allow_missing must be true or false.")
        if bounds == (None, None):
            raise ParameterError(f"{where} needs min, max or both, for example {{max: 2.0}}.")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ParameterError(f"{where} has min above max, so nothing can pass; swap them.")

    def __str__(self) -> str:
        bounds = {"min": self.min, "max": self.max}
        return ", ".join(f"{key} {x:.15g}" for key, x in bounds.items() if x is not None)

    def check(self, scores: Mapping[str, Score], judge_by: str) -> Outcome:
        """Return whether the score lies where it must."""
        score = scores.get(self.score)
        if score is None or score.value is None:
            absent = f"the report has no such score{_meant(self.score, scores)}"
            reason = absent if score is None else f"not measured: {score.reason}"
            skip = self.allow_missing
            return Outcome(self.score, str(self), None, skip, reason, skip)
        interval = score.interval if judge_by == "interval" else None
        ends = (score.value, *(interval or ()))
        low, high = min(ends), max(ends)
        said = []
        if self.max is not None and high > self.max:
            end = "value" if high == score.value else "upper end"
            said.append(f"the {end} {high:.15g} is above {self.max:.15g}")
        if self.min is not None and low < self.min:
            end = "value" if low == score.value else "lower end"
            said.append(f"the {end} {low:.15g} is below {self.min:.15g}")
        passed = not said
        if judge_by == "interval" and interval is None:
            said.append("judged by its value, as it has no interval")
        return Outcome(self.score, str(self), float(score.value), passed, "; ".join(said))


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate said about a table: one outcome for each rule, in the order of the gate."""

    outcomes: tuple[Outcome, ...]

    @property
    def passed(self) -> bool:
        """Whether there were rules, and none failed."""
        return bool(self.outcomes) and not self.failed

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes that stop the table."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    def public(self) -> GateResult:
        """Return what others may see: which rules passed, without what was measured."""
        return GateResult(tuple(replace(o, measured=None, reason="") for o in self.outcomes))

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {"passed": self.passed, "outcomes": [asdict(outcome) for outcome in self.outcomes]}

    def to_junit_xml(self) -> str:
        """Return a JUnit document with one test case for each rule, as CI servers read it."""
        skipped = sum(outcome.skipped for outcome in self.outcomes)
        numbers = {"tests": len(self.outcomes), "failures": len(self.failed), "skipped": skipped}
        counts = {key: str(number) for key, number in numbers.items()}
        root = ElementTree.Element("testsuites", counts)
        suite = ElementTree.SubElement(root, "testsuite", {"name": "synthgan gate", **counts})
        for outcome in self.outcomes:
            name = f"{outcome.score} {outcome.rule}"
            case = ElementTree.SubElement(suite, "testcase", classname="gate", name=name)
            if outcome.skipped or not outcome.passed:
                tag = "skipped" if outcome.skipped else "failure"
                ElementTree.SubElement(case, tag, message=outcome.reason)
        return _NOT_XML.sub("\ufffd", ElementTree.tostring(root, encoding="unicode")) + "\n"

    def __str__(self) -> str:
        order = ("FAILED", "skipped", "passed")
        rows = []
        for o in self.outcomes:
            state = "skipped" if o.skipped else "passed" if o.passed else "FAILED"
            measured = "-" if o.measured is None else f"{o.measured:.6g}"
            rows.append([" ".join(t.split()) for t in (state, o.score, o.rule, measured, o.reason)])
        rows.sort(key=lambda row: order.index(row[0]))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        counts = {state: sum(row[0] == state for row in rows) for state in order}
        counted = ", ".join(f"{n} {state.lower()}" for state, n in counts.items() if n)
        return "\n".join([f"Gate {'passed' if self.passed else 'FAILED'}: {counted}.", "", *lines])


@dataclass(frozen=True, slots=True)
class Gate:
    """Rules that the scores of a table must meet.

    Attributes
    ----------
    rules : tuple of Rule
        One for each score, at least one.
    judge_by : {"interval", "value"}, default "interval"
        ``"interval"`` compares the unfavourable end of the 95 % interval: the upper one with
        `max`, the lower one with `min` (or the value, should it lie beyond that end). A score
        without an interval is judged by its value, and the outcome says so.

    Examples
    --------
    >>> gate = Gate.from_dict({"scores": {"shape_error": {"max": 2.0}}})
    >>> gate.check({"shape_error": Score("shape_error", 1.8, "lower", 0.0, (1.5, 2.3))}).passed
    False
    """

    rules: tuple[Rule, ...]
    judge_by: Literal["interval", "value"] = "interval"

    def __post_init__(self) -> None:
        if self.judge_by not in ("interval", "value"):
            raise ParameterError("judge_by must be 'interval' or 'value'.")
        if not 0 < len({rule.score for rule in self.rules}) == len(self.rules):
            raise ParameterError("scores needs at least one rule, and one only for each score.")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Gate:
        """Build a gate from the content of a gate file; :meth:`to_dict` is the inverse."""
        _require_keys(data, "The gate", ("judge_by", "scores"))
        scores = data.get("scores", {})
        _require_keys(scores, "scores", scores)
        for name, rule in scores.items():
            _require_keys(rule, f"scores.{name}", ("min", "max", "allow_missing"))
        rules = tuple(Rule(name, **rule) for name, rule in scores.items())
        return cls(rules, data.get("judge_by", "interval"))

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Gate:
        """Read a gate from a file of YAML or JSON, at most 100 kB.

        Raises
        ------
        DataError
            If the file cannot be read, is no text, or is longer.
        ParameterError
            If it is no gate; names the key and the fix.
        """
        try:
            return cls.from_dict(_parse(read_text(path, MAX_BYTES)))
        except ParameterError as error:
            raise ParameterError(f"{path}: {error}") from None

    def to_dict(self) -> dict[str, Any]:
        """Return what a gate file holds."""
        rules = {}
        for rule in self.rules:
            entry = {"min": rule.min, "max": rule.max, "allow_missing": rule.allow_missing or None}
            rules[rule.score] = {key: value for key, value in entry.items() if value is not None}
        return {"judge_by": self.judge_by, "scores": rules}

    def check(self, scores: Report | Mapping[str, Score]) -> GateResult:
        """Return what every rule says about a report, or about scores by name."""
        found = scores if isinstance(scores, Mapping) else scores.scores
        return GateResult(tuple(rule.check(found, self.judge_by) for rule in self.rules))


class _Loader(yaml.SafeLoader):
    """Refuses a key that occurs twice; otherwise the last one would win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        counts = Counter(str(key.value) for key, _ in node.value)
        if twice := [key for key, count in counts.items() if count > 1]:
            raise yaml.MarkedYAMLError(problem=f"the key {twice[0]!r} occurs twice; remove one")
        return super().construct_mapping(node, deep)


# JSON writes 1e-05, which YAML 1.1 takes for a text.
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, "-0123456789")


def _parse(text: str) -> Any:
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > 3 or getattr(event, "anchor", None) or getattr(event, "tag", None):
                raise yaml.MarkedYAMLError(problem="more than 3 levels, an &anchor, *alias or !tag")
        return yaml.load(text, Loader=_Loader)  # nosec B506 # a SafeLoader
    except (yaml.YAMLError, ValueError) as error:
        mark, found = (getattr(error, part, None) for part in ("problem_mark", "problem"))
        line = f" line {mark.line + 1}," if mark else ""
        raise ParameterError(f"not plain YAML:{line} {found or type(error).__name__}.") from None


def _require_keys(data: Any, where: str, allowed: Iterable[str]) -> None:
    if not isinstance(data, Mapping):
        kind = "nothing" if data is None else f"a {type(data).__name__}"
        raise ParameterError(f"{where} must be a mapping such as 'max: 2.0'; found {kind}.")
    for key in data:
        if key not in allowed or not isinstance(key, str):
            raise ParameterError(f"{where} has an unknown key {key!r}{_meant(str(key), allowed)}.")


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and abs(x) <= 1e300


def _meant(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(map(str, known)))
    return f"; did you mean {' or '.join(close)}" if close else ""
