"""The command line as argparse sees it: verbs, their arguments and their help."""

from __future__ import annotations

import argparse
import re
from importlib import metadata
from pathlib import Path
from typing import Any

from synthgan.cli import verbs
from synthgan.cli.demo import demo
from synthgan.cli.where import WHERE_HELP, parse_where

__all__ = ["build_parser"]

EVALUATE_HELP = """\
a gate file names scores and where they must lie; the worse end of the interval counts:
  scores:
    shape_error: {max: 2.0}
    utility_ratio_boosting: {min: 0.95}
    membership_auc: {max: 0.55}

examples:
  synthgan evaluate train.parquet synthetic.parquet --holdout test.parquet --target income \\
      --html report.html --gate gate.yaml --junit gate.xml
  synthgan evaluate train.parquet synthetic.parquet --level quick
"""


AUGMENT_HELP = """\
Synthetic rows are tried inside training folds, beside training on the rows as they are, class
weights, random oversampling and SMOTE, and tested on real rows. They are added only if the interval
of their gain over the best of these lies above the margin. The exit code is 0 either way.

example:
  synthgan augment loans.csv --target bad -o train.csv --scoring log_loss --html trial.html
"""

DOMAIN_HELP = """\
a domain says what is known of the columns without the data. Fill in for each column:
  levels    ["a", "b", ...]: all of them; others count as missing (as the last, if no cell can be)
  bounds    [0, 120]: what lies beyond is moved to them
            (what stays null is bought with a tenth of the budget of the fit)
and, if you want,
  bins      20, or inner edges [18, 30, 65]
  spikes    [0]: numbers that are kept apart
  decimals  2
  missing   false, if no cell can be missing
Never copy them from the data: take them from a code book or the questionnaire.

example:
  synthgan domain init patients.parquet -o domain.json
  synthgan fit patients.parquet -o patients.synthgan --epsilon 1 --delta 1e-7 --domain domain.json
"""


LEDGER_HELP = """\
examples:
  synthgan ledger init people.ledger --epsilon 2 --delta 1e-7
  synthgan fit people.parquet -o m.synthgan --epsilon 1.5 --delta 1e-7 --ledger people.ledger
  synthgan sample m.synthgan -n 10000 -o out.parquet
  synthgan distances people.parquet out.parquet --model m.synthgan --epsilon 0.5 --delta 1e-7 \\
      --ledger people.ledger
  synthgan ledger show people.ledger
"""


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="synthgan",
        description="Learn a table, sample synthetic rows, and check what was written.",
        epilog="Start with: synthgan demo. Help on a verb: synthgan sample --help.\n\n"
        "exit codes: 0 done, 1 data or run error, 2 wrong usage, 3 refused (gate failed, rows "
        "drifted,\nor a card that does not agree), 130 stopped by Ctrl-C, 143 by SIGTERM",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"synthgan {_version()}")
    _add_globals(parser, default=False, as_json=True)
    children = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(run: Any, *, as_json: bool = True, epilog: str | None = None) -> Any:
        summary = run.__doc__.strip()
        child = children.add_parser(
            run.__name__,
            help=summary[0].lower() + summary.rstrip(".")[1:],
            description=summary,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_globals(child, default=argparse.SUPPRESS, as_json=as_json)
        child.set_defaults(run=run)
        return child

    one = verb(verbs.fit)
    one.add_argument(
        "data", metavar="DATA",
        help="table to learn: .parquet or .csv, a folder or a pattern of Parquet files, s3://...",
    )  # fmt: skip
    one.add_argument("-o", "--output", metavar="MODEL", type=Path, required=True, help="model file")
    one.add_argument("--target", metavar="C", help="the column that will be predicted")
    one.add_argument(
        "--schema", metavar="FILE", type=Path, help="edited output of: synthgan schema"
    )
    one.add_argument("--max-time", metavar="T", help="stop after, e.g. 90s, 10m, 2h")
    one.add_argument(
        "--rows", metavar="N", type=_positive, help="learn from so many random rows at most"
    )
    one.add_argument(
        "--checkpoint",
        metavar="FILE",
        type=Path,
        help="keep the state here; the same command goes on from it if it was interrupted",
    )
    one.add_argument(
        "--resume", action="store_true", help="the same, with the state in MODEL.checkpoint"
    )
    private = one.add_argument_group("differential privacy")
    _add_budget(private, "promise it: 1 is strong, 10 is weak", "far below one over the rows")
    private.add_argument(
        "--domain", metavar="FILE", type=Path,
        help="public levels and bounds, see: synthgan domain --help; without it, a part of the "
        "budget buys them",
    )  # fmt: skip
    _add_unit(private)
    private.add_argument(
        "--ledger", metavar="FILE", type=Path, help="what was spent, over fits (MODEL.ledger)"
    )
    _add_seed(one, None)
    _add_device(one)

    one = verb(verbs.domain, epilog=DOMAIN_HELP)
    one.add_argument("action", choices=("init",), help="what to do")
    one.add_argument("data", metavar="DATA", help="table whose columns are named: .parquet or .csv")
    one.add_argument("-o", "--output", metavar="FILE", type=Path, help="file (standard output)")
    one.add_argument("--unit", metavar="C", help="the column that says whose row it is")

    one = verb(verbs.ledger, epilog=LEDGER_HELP)
    one.add_argument("action", choices=("init", "show"), help="begin one, or show it")
    one.add_argument("file", metavar="FILE", type=Path, help="the ledger")
    _add_budget(one, "the budget, of init", "the budget, of init")
    one.add_argument("--unit", metavar="C", help="the column that says whose row it is (rows)")

    one = verb(verbs.distances, epilog=LEDGER_HELP)
    one.add_argument("train", metavar="REAL", help="the real table; it is asked with noise only")
    one.add_argument("synthetic", metavar="SYNTHETIC", help="the table to judge; public")
    _add_budget(one, "what this may cost", "far below one over the rows", required=True)
    one.add_argument("--model", metavar="M", help="model fitted under privacy: gives its domain")
    one.add_argument("--domain", metavar="FILE", type=Path, help="public levels and bounds")
    _add_unit(one)
    one.add_argument("--ledger", metavar="FILE", type=Path, help="the ledger that is charged")
    _add_seed(one, 0)

    one = verb(verbs.sample, epilog=WHERE_HELP)
    one.add_argument("model", metavar="MODEL", help="model file written by fit")
    one.add_argument(
        "-n", metavar="N", type=_positive, required=True, help="number of rows, e.g. 500 or 1e9"
    )
    one.add_argument(
        "-o", "--output", metavar="OUT", type=_tables_path, required=True,
        help=".parquet or .csv file, - for CSV on standard output, or FOLDER/ for Parquet files of "
        "a million rows each, drawn by several processes; the same command goes on if it was "
        "interrupted",
    )  # fmt: skip
    one.add_argument("--workers", metavar="N", type=_positive, help="processes for FOLDER/ (cores)")
    one.add_argument(
        "--engine", choices=("processes", "ray"), default="processes", help="who runs them"
    )
    one.add_argument(
        "--where", metavar="COND", type=parse_where, nargs="+", action="extend", default=[],
        help="conditions that every row satisfies; see below",
    )  # fmt: skip
    one.add_argument(
        "--steps",
        metavar="K",
        type=_positive,
        help="steps of a row (what fit chose); fewer is faster",
    )
    one.add_argument(
        "--excel-safe", action="store_true", help="put a ' before texts in CSV that are formulas"
    )
    _add_seed(one, None)
    _add_device(one)

    one = verb(verbs.evaluate, as_json=False, epilog=EVALUATE_HELP)
    _add_tables(one)
    one.add_argument("--target", metavar="C", help="the column that a classifier should predict")
    one.add_argument(
        "--categorical", metavar="C", nargs="+", default=[], help="numeric columns that are codes"
    )
    one.add_argument(
        "--sensitive", metavar="C", nargs="+", default=[],
        help="columns by whose groups utility is split, and that attribute inference goes for",
    )  # fmt: skip
    one.add_argument(
        "--level", choices=("full", "quick"), default="full",
        help="quick: 10,000 rows and the main scores only (full)",
    )  # fmt: skip
    one.add_argument(
        "--booster", choices=("hist_gradient_boosting", "xgboost"),
        default="hist_gradient_boosting", help="the judge of C2ST and utility",
    )  # fmt: skip
    one.add_argument(
        "--shadow", metavar="N", type=_positive, default=0,
        help="fit N shadow models (at least 16) like --model and attack them: takes long",
    )  # fmt: skip
    one.add_argument("--html", metavar="R", help="write the report as one HTML file")
    one.add_argument(
        "--json", metavar="J", dest="json_path", help="write it as JSON; - for standard output"
    )
    one.add_argument(
        "--public", action="store_true", help="leave out all that only the data holder may see"
    )
    one.add_argument("--gate", metavar="FILE", type=Path, help="rules in YAML; exit 3 if one fails")
    one.add_argument("--junit", metavar="X", type=Path, help="write the gate as JUnit XML")
    one.add_argument(
        "--card", metavar="FILE", type=Path,
        help="write the card of the table, or of --model, as .md or .json",
    )  # fmt: skip
    _add_seed(one, 0)

    one = verb(verbs.augment, epilog=AUGMENT_HELP)
    one.add_argument("data", metavar="DATA", help="training rows: .parquet or .csv")
    one.add_argument("--target", metavar="C", required=True, help="the column of classes")
    one.add_argument(
        "-o", "--output", metavar="OUT", type=_file_path, required=True,
        help="the rows to train on: with synthetic ones at the end, or as they were",
    )  # fmt: skip
    one.add_argument(
        "--learner", choices=("boosting", "linear", "forest"), default="boosting",
        help="the classifier that is to be helped (boosting)",
    )  # fmt: skip
    one.add_argument(
        "--scoring", metavar="S", default="auc",
        help="the figure that decides: auc, log_loss, ece, minority_f1, or a scorer of "
        "scikit-learn (auc)",
    )  # fmt: skip
    one.add_argument("--folds", metavar="N", type=_positive, default=5, help="folds (5)")
    one.add_argument(
        "--repeats", metavar="N", type=_positive, default=2, help="how often to fold (2)"
    )
    one.add_argument(
        "--margin", metavar="X", type=float, default=0.0, help="what the gain must exceed (0)"
    )
    one.add_argument("--max-time", metavar="T", help="of each fit of the generator, e.g. 10s")
    one.add_argument("--jobs", metavar="N", type=_positive, default=1, help="folds at a time (1)")
    one.add_argument("--html", metavar="R", help="write the table and the plot as one HTML file")
    _add_seed(one, 0)

    one = verb(verbs.verify)
    one.add_argument("card", metavar="CARD", type=Path, help="a card in JSON")
    _add_tables(one)

    one = verb(verbs.check)
    one.add_argument("model", metavar="MODEL", help="model file written by fit")
    one.add_argument("new", metavar="NEW", help="new rows: .parquet or .csv")
    _add_seed(one, 0)
    _add_device(one)

    one = verb(verbs.inspect)
    one.add_argument("model", metavar="MODEL", help="model file written by fit")

    one = verb(verbs.schema)
    one.add_argument("data", metavar="DATA", help="table to look at: .parquet or .csv")

    one = verb(demo)
    one.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="output folder")
    one.add_argument("--max-time", metavar="T", default="60s", help="training time (60s)")
    _add_seed(one, 0)
    _add_device(one)
    return parser


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("train", metavar="TRAIN", help="the table that the model was fitted to")
    parser.add_argument("synthetic", metavar="SYNTHETIC", help="the table to judge")
    parser.add_argument("--holdout", metavar="H", help="real rows that the model never saw")
    parser.add_argument(
        "--model", metavar="M", help="the model file: adds its curves and its privacy line"
    )


def _add_budget(parser: Any, epsilon: str, delta: str, *, required: bool = False) -> None:
    parser.add_argument("--epsilon", metavar="E", type=float, help=epsilon, required=required)
    parser.add_argument("--delta", metavar="D", type=float, help=delta, required=required)


def _add_unit(parser: Any) -> None:
    parser.add_argument("--unit", metavar="C", help="the column that says whose row it is (rows)")
    parser.add_argument(
        "--max-rows", metavar="N", type=_positive, help="rows per unit that are used (1)"
    )


def _version() -> str:
    try:
        return metadata.version("synthgan")
    except metadata.PackageNotFoundError:  # run from a source folder
        return "(not installed)"


def _add_globals(parser: argparse.ArgumentParser, *, default: Any, as_json: bool) -> None:
    if as_json:
        parser.add_argument(
            "--json", dest="as_json", action="store_true", default=default,
            help="print the result as JSON",
        )  # fmt: skip
    for name, text in (("quiet", "print results and errors only"), ("debug", "show tracebacks")):
        parser.add_argument(f"--{name}", action="store_true", default=default, help=text)


def _add_seed(parser: argparse.ArgumentParser, default: int | None) -> None:
    text = "same seed, same bytes" + ("" if default is None else f" ({default})")
    parser.add_argument("--seed", metavar="N", type=_natural, default=default, help=text)


def _add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="D", default="auto", help="auto, cpu, cuda or mps")


def _natural(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 0")
    return int(text)


def _positive(text: str) -> int:
    if match := re.fullmatch(r"(\d+)e(\d{1,2})", text):
        text = match[1] + "0" * int(match[2])
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


def _file_path(text: str) -> str:
    if text == "-":
        raise argparse.ArgumentTypeError("give a file: the answer goes to standard output")
    return _table_path(text)


def _tables_path(text: str) -> str:
    return text if text.endswith("/") else _table_path(text)


def _table_path(text: str) -> str:
    if text != "-" and not text.lower().endswith((".parquet", ".pq", ".csv")):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .parquet or .csv, or be -")
    return text
