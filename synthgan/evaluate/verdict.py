"""Traffic lights: what a score says, judged against its own floor, never by taste alone.

Fidelity and utility are read against real rows: green if the score cannot be told from what the
worse of the bootstrap and the holdout reaches, or lies within a tenth of the way from there to
independent columns; amber within a third; else red. Attacks are read against chance, with fixed
warning levels; an attack that fails to recognise a copy of train says nothing, and no attack can
turn a light green on its own account: green means that nothing was found.
"""

from __future__ import annotations

from collections.abc import Iterable

from synthgan.evaluate.score import Score

__all__ = ["HEADLINES", "LIMITS", "has_power", "in_words", "overall", "verdict"]

#: Warning levels of attacks: amber if the worse end of the interval is above the first, red if the
#: value is above the second.
LIMITS = {
    "membership_auc": (0.55, 0.60),
    "membership_tpr_at_1pct_fpr": (0.03, 0.06),
    "membership_auc_isolated": (0.65, 0.75),
    "membership_tpr_isolated": (0.25, 0.40),
    "shadow_auc": (0.55, 0.60),
    "shadow_tpr_at_1pct_fpr": (0.03, 0.06),
    "attribute_inference_lift": (0.03, 0.06),
    "linkability_lift": (0.02, 0.05),
    "singling_out_lift": (0.04, 0.08),
    "rare_value_leakage": (0.03, 0.10),
    "rare_value_alarm": (5.0, 8.0),
    "dcr_share": (0.53, 0.56),
    "nndr_share": (0.53, 0.56),
    "near_copy_rate": (0.02, 0.04),
    "duplicate_rate": (0.03, 0.10),
}

#: Image scores that are read as a share of what real images score: green from the first, amber
#: from the second.
SHARES = {
    "precision": (0.9, 0.75),
    "recall": (0.9, 0.75),
    "density": (0.85, 0.7),
    "coverage": (0.9, 0.75),
}
#: Image scores that are read as a multiple of it: green up to the first, amber up to the second.
MULTIPLES = {"fid_classifier": (3.0, 10.0), "fid_random": (3.0, 10.0)}
#: Ratios: green from the first, amber from the second.
RATIOS = {"cas_ratio": (0.975, 0.93)}

#: Scores that a summary begins with, in order.
HEADLINES = (
    "fid_classifier",
    "recall",
    "cas_ratio",
    "label_accuracy",
    "duplicate_rate",
    "shape_error",
    "trend_error_range_matched",
    "c2st_auc",
    "coverage",
    "violation_rate",
    "tstr_boosting_auc",
    "tstr_boosting_rmse",
    "utility_ratio_boosting",
    "global_utility",
    "membership_auc",
    "membership_tpr_at_1pct_fpr",
    "attribute_inference_lift",
    "linkability_lift",
    "singling_out_lift",
    "rare_value_alarm",
    "exact_match_rate",
)

#: Given for comparison with other reports only: a single extreme value can decide them.
UNJUDGED = ("trend_error", "trend_error_default_thresholds")

#: Rows drawn with replacement repeat themselves and train: no yardstick for these.
_NOT_BY_BOOTSTRAP = ("repeat_rate", "density")

_GREEN, _AMBER = 0.1, 0.34
#: A holdout further than this on the way from the bootstrap to independent columns does not count.
_FAR = 0.25
#: A share this close to 1 is as good as 1.
_SLACK = 0.005


def verdict(score: Score) -> str:
    """Return ``"good"``, ``"fair"``, ``"poor"`` or ``"unknown"``.

    Examples
    --------
    >>> floor = {"bootstrap": 0.5, "independent_columns": 10.0}
    >>> verdict(Score("triple_error", 0.9, "lower", 0.0, references=floor))
    'good'
    >>> verdict(Score("triple_error", 8.0, "lower", 0.0, references=floor))
    'poor'
    >>> verdict(Score("membership_auc", 0.52, "near", 0.5, (0.5, 0.54)))
    'good'
    """
    if score.value is None or score.name in UNJUDGED:
        return "unknown"
    if score.name in LIMITS:
        return _of_attack(score) if has_power(score) is not False else "unknown"
    if score.name == "exact_match_rate":
        return _of_matches(score)
    if score.name == "violation_rate":
        return _of_violations(score)
    if score.references.get("independent_columns") is None:
        return _of_images(score)
    return _of_fidelity(score)


def in_words(section: str, found: str) -> str:
    """Return a verdict as it is shown: an attack that fails has found nothing, which is not good.

    Examples
    --------
    >>> in_words("privacy", "good"), in_words("fidelity", "good"), in_words("utility", "unknown")
    ('nothing found', 'good', 'not judged')
    """
    if section == "privacy":
        return {"good": "nothing found", "fair": "trace", "poor": "leak"}.get(found, "not judged")
    return "not judged" if found == "unknown" else found


def has_power(score: Score) -> bool | None:
    """Return whether an attack tells a copy of train from fresh rows; None if it was not tried."""
    copy, fresh = (score.references.get(row) for row in ("copy_of_train", "fresh_rows"))
    if copy is None or fresh is None:
        return None
    low = score.reference_intervals.get("copy_of_train", (copy, copy))[0]
    high = score.reference_intervals.get("fresh_rows", (fresh, fresh))[1]
    return low > high


def _of_attack(score: Score) -> str:
    amber, red = LIMITS[score.name]
    value = score.value or 0.0
    low, high = score.interval or (value, value)
    # A wide interval is no alarm by itself: its lower end must be above chance, and above what
    # the same attack makes of rows that nobody has seen.
    real = [score.references.get(row) or 0.0 for row in ("fresh_rows", "holdout")]
    if low <= max(score.best or 0.0, *real):
        return "good"
    return "good" if high <= amber else "poor" if value > red else "fair"


def _of_matches(score: Score) -> str:
    best, value = score.best or 0.0, score.value or 0.0
    low = value if score.interval is None else score.interval[0]
    return "good" if low <= best + 0.001 else "fair" if value <= 2 * best + 0.005 else "poor"


def _of_violations(score: Score) -> str:
    floor, value = score.references.get("holdout"), score.value or 0.0
    low = value if score.interval is None else score.interval[0]
    if floor is None:  # fresh rows hold new values, too; how many is not known
        return "good" if low <= 0.001 else "unknown"
    return "good" if low <= floor + 0.001 else "fair" if value <= floor + 0.02 else "poor"


def _of_images(score: Score) -> str:
    """Judge against fresh real images, where it is known how."""
    real, value = score.references.get("holdout"), score.value or 0.0
    low, high = score.interval or (value, value)
    if score.name in RATIOS:
        good, fair = RATIOS[score.name]
        return "good" if high >= good else "fair" if value >= fair else "poor"
    if not real or score.name not in {**SHARES, **MULTIPLES}:
        return "unknown"
    if score.name in SHARES:
        good, fair = SHARES[score.name]
        return "good" if high >= good * real else "fair" if value >= fair * real else "poor"
    good, fair = MULTIPLES[score.name]
    return "good" if low <= good * real else "fair" if value <= fair * real else "poor"


def _of_fidelity(score: Score) -> str:
    independent = _loss(score, score.references.get("independent_columns"))
    bootstrap, holdout = (
        _loss(score, score.references.get(row)) for row in ("bootstrap", "holdout")
    )
    if score.name in _NOT_BY_BOOTSTRAP:
        bootstrap = None
    if independent is None or (bootstrap is None and holdout is None):
        return "unknown"
    ends = score.interval or (score.value or 0.0,) * 2
    if score.direction == "near" and ends[0] <= (score.best or 0.0) <= ends[1]:
        return "good"
    floor, loss = _floor(bootstrap, holdout, independent), _loss(score, score.value) or 0.0
    least = min([loss, *(_loss(score, end) or 0.0 for end in ends)])
    slack = _SLACK if score.best == 1.0 else 0.0
    if least <= floor + slack:
        return "good"
    if independent <= floor:
        # Single columns are perfect in the shuffled table; the floor is the only yardstick.
        return "good" if loss <= 1.5 * floor else "fair" if loss <= 4 * floor else "poor"
    way = (loss - floor) / (independent - floor)
    return "good" if way <= _GREEN else "fair" if way <= _AMBER else "poor"


def _floor(bootstrap: float | None, holdout: float | None, independent: float) -> float:
    """Return what real rows lose: the holdout, but not where it is of another population."""
    if bootstrap is None or holdout is None:
        return bootstrap or holdout or 0.0
    most = bootstrap + max(_FAR * (independent - bootstrap), 2 * bootstrap)
    return max(bootstrap, min(holdout, most))


def _loss(score: Score, value: float | None) -> float | None:
    """Return how far a value is from the best one, on the bad side."""
    if value is None:
        return None
    best = score.best or 0.0
    if score.direction == "near":
        return abs(value - best)
    return max(value - best if score.direction == "lower" else best - value, 0.0)


def overall(scores: Iterable[Score]) -> str:
    """Return the worst verdict of the headline scores that have one."""
    order = ("poor", "fair", "good")
    found = {verdict(score) for score in scores if score.name in HEADLINES}
    return next((name for name in order if name in found), "unknown")
