"""What the scores are called in print, and what they mean in a line."""

from __future__ import annotations

__all__ = ["GLOSSARY", "REFERENCE_TITLES", "describe", "format_number"]

#: Title and meaning of a score.
GLOSSARY = {
    "shape_error": ("Shape error, %", "mean distance of single columns from train"),
    "trend_error": ("Trend error, %", "mean distance of column pairs, all pairs, as in papers"),
    "trend_error_range_matched": (
        "Trend error, matched range, %",
        "the same with numbers binned over the train range, immune to single extremes",
    ),
    "trend_error_default_thresholds": (
        "Trend error, strong pairs, %",
        "what sdmetrics 0.27 and later reports; not comparable with papers",
    ),
    "violation_rate": ("Violations", "share of rows with a value that no train row could have"),
    "wasserstein": ("Wasserstein distance", "of numbers, in standard deviations"),
    "missing_rate_error": ("Missing rate gap", "percentage points, mean over columns"),
    "spike_error": ("Spike error", "largest gap at a frequent number, percentage points"),
    "tail_error": ("Tail error", "gap of six outer quantiles, in standard deviations"),
    "range_coverage": ("Range covered", "share of the train range that is reached"),
    "level_recall": ("Levels found", "share of train cells whose level occurs"),
    "rare_level_recall": ("Rare levels found", "of those with at most 1 % of the train rows"),
    "nmi_error": ("Mutual information gap", "normalised, mean over pairs"),
    "triple_error": ("Three-way error, %", "total variation of three-way tables"),
    "c2st_auc": ("C2ST, AUC", "can boosted trees tell synthetic rows from train rows?"),
    "fid_classifier": ("FID, classifier", "Fréchet distance of what a classifier sees"),
    "fid_random": ("FID, random network", "Fréchet distance of what a random network sees"),
    "kid_classifier": ("KID, classifier", "kernel distance of what a classifier sees"),
    "kid_random": ("KID, random network", "kernel distance of what a random network sees"),
    "precision": ("Precision", "share of synthetic images among real ones"),
    "recall": ("Recall", "share of real images among synthetic ones"),
    "duplicate_rate": ("Near-duplicates", "images that nearly repeat another; 1 % for real ones"),
    "diversity_ratio": ("Diversity", "spread within a class, over that of train"),
    "cas_accuracy": ("Trained on synthetic", "accuracy on real images"),
    "real_accuracy": ("Trained on real", "accuracy on real images"),
    "cas_ratio": ("Classification accuracy", "trained on synthetic over trained on real"),
    "label_accuracy": ("Labels", "synthetic images that a classifier of real ones agrees on"),
    "c2st_marginal_auc": ("C2ST, single columns", "the same on shuffled columns"),
    "c2st_dependence": ("C2ST, relations", "what relations between columns add"),
    "density": ("Density", "are synthetic rows where real rows are? 1 is ideal"),
    "repeat_rate": ("Repeated rows", "share of rows; best is that of train"),
    "coverage": ("Coverage", "share of real rows with a synthetic row nearby"),
    "ranking_agreement": ("Model ranking", "Kendall's tau of six models' order"),
    "global_utility": ("Every column as target", "share of predictability that is kept"),
    "worst_group_loss": ("Worst group", "loss of the group that is served worst"),
    "membership_auc": ("Membership, AUC", "can an attacker tell who was in train?"),
    "membership_tpr_at_1pct_fpr": (
        "Membership, TPR at 1 % FPR",
        "members recognised when 1 in 100 others is wrongly accused",
    ),
    "membership_auc_isolated": ("Membership of the isolated, AUC", "the 50 loneliest rows"),
    "membership_tpr_isolated": (
        "Membership of the isolated, TPR at 10 % FPR",
        "members recognised, of the 50 loneliest, when 1 in 10 others is wrongly accused",
    ),
    "shadow_auc": ("Shadow models, AUC", "membership attack on the recipe"),
    "shadow_tpr_at_1pct_fpr": ("Shadow models, TPR at 1 % FPR", "membership attack on the recipe"),
    "attribute_inference_lift": (
        "Attribute inference, lift",
        "right guesses of a secret, members minus others",
    ),
    "linkability_lift": ("Linkability, lift", "halves of a record joined, members minus others"),
    "singling_out_lift": (
        "Singling out, lift",
        "descriptions of exactly one person, in train minus in control",
    ),
    "rare_value_leakage": (
        "Rare values",
        "rows with a value that 1 to 4 train rows hold, beyond chance",
    ),
    "rare_value_alarm": (
        "Rare values, worst column",
        "the excess in the column where it is clearest, in standard errors",
    ),
    "exact_match_rate": ("Exact copies of train rows", "share of rows; best is the holdout's own"),
    "near_copy_rate": ("Near copies", "rows closer to train than 99 % of real rows are"),
    "dcr_share": ("Closer to train than to control", "share of rows; copies push it to 1"),
    "nndr_share": ("Nearest neighbour ratio", "closer to one person in train than in control"),
}

#: Title and meaning of the reference rows.
REFERENCE_TITLES = {
    "independent_columns": (
        "Independent columns",
        "train with each column shuffled by itself, so every relation is lost",
    ),
    "bootstrap": (
        "Bootstrap",
        "train rows drawn again: the floor of sampling noise, and all copies",
    ),
    "holdout": ("Holdout", "real rows that the model never saw"),
    "copy_of_train": ("Copy of train", "the train table itself: an attack must succeed on it"),
    "fresh_rows": ("Fresh rows", "real rows that nobody saw: an attack must fail on them"),
}

_PARTS = {
    "tstr": ("Train synthetic, test real", "trained on synthetic rows, tested on the holdout"),
    "trtr": ("Train real, test real", "trained on train rows, tested on the holdout"),
    "augmented": ("Train both, test real", "trained on train and synthetic rows together"),
    "utility_ratio": ("Utility ratio", "train synthetic over train real"),
    "augmentation_gain": ("Gain of adding synthetic rows", "train both minus train real"),
}
_LEARNERS = {"boosting": "boosted trees", "linear": "linear model", "mlp": "neural network"}
_STATISTICS = {
    "auc": "AUC",
    "log_loss": "log-loss",
    "ece": "calibration error",
    "minority_f1": "F1 of the rarest class",
    "rmse": "RMSE",
    "r2": "R²",
}


def describe(name: str) -> tuple[str, str]:
    """Return the title and the meaning of a score.

    Examples
    --------
    >>> describe("tstr_linear_auc")[0]
    'Train synthetic, test real: linear model, AUC'
    >>> describe("utility_ratio_boosting")[0]
    'Utility ratio: boosted trees'
    """
    for prefix, (title, meaning) in _PARTS.items():
        learner, _, statistic = name.removeprefix(f"{prefix}_").partition("_")
        if name.startswith(f"{prefix}_") and learner in _LEARNERS:
            rest = f", {_STATISTICS[statistic]}" if statistic in _STATISTICS else ""
            return f"{title}: {_LEARNERS[learner]}{rest}", meaning
    return GLOSSARY.get(name, (name, ""))


def format_number(value: float | None) -> str:
    """Return a number for a table, ``"-"`` for none.

    Examples
    --------
    >>> format_number(0.91234), format_number(12345.6), format_number(None)
    ('0.912', '12,346', '-')
    """
    if value is None:
        return "-"
    if value == 0:
        return "0"
    if abs(value) >= 1e9 or abs(value) < 0.001:
        return f"{value:.2g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"
