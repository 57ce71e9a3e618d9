"""The command line: one function per verb, one exit code per kind of outcome.

Results go to standard output, everything else to standard error, so that output can be piped.
Exit codes: 0 done; 1 the data or the run failed, told in one line; 2 wrong usage; 130 stopped by
Ctrl-C; 141 the reader of the pipe went away.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import errno
import json
import math
import os
import re
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgan.exceptions import (
    ConditionError,
    DataError,
    DataWarning,
    NotConvergedWarning,
    SynthganError,
)

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from synthgan.schema import Column, Schema

__all__ = ["Where", "build_parser", "conditions_from", "main", "parse_where"]

WHERE_HELP = """\
conditions (--where):
  income=>50K        column income equals ">50K"; the first = ends the name, so levels may
                     themselves begin with < or >
  city=Rome|Oslo     one of several values
  age=30..40         a closed range; 30.. and ..40 leave one end open
  age>=30  age<40    bounds; several on one column are joined
  income=null        missing          income!=null   not missing
  name="null"        a quoted value is taken as it stands: no |, .. or null inside it
  Dates are ISO 8601 (2024-01-31), durations seconds. Quote a condition for the shell.

examples:
  synthgan sample adult.synthgan -n 500 -o rich.parquet --where "income=>50K" "age=30..40"
  synthgan sample adult.synthgan -n 500 -o - --where "hours_per_week>=50" | head
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb found: `data` for machines, `text` for people (empty if files are the result)."""

    data: dict[str, Any]
    text: str = ""


# --- conditions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Where:
    """One parsed condition: column, operator and the text on the right."""

    column: str
    operator: str
    value: str


def parse_where(text: str) -> Where:
    """Split ``"column operator value"``; the grammar is in ``synthgan sample --help``.

    Examples
    --------
    >>> parse_where("income=>50K")
    Where(column='income', operator='=', value='>50K')
    >>> parse_where("age >= 30")
    Where(column='age', operator='>=', value='30')
    """
    if "=" in text:
        left, _, value = text.partition("=")
        operator = left[-1] + "=" if left[-1:] in ("<", ">", "!") else "="
        column = left[:-1] if len(operator) == 2 else left
    elif match := re.search("[<>]", text):
        column, operator, value = text[: match.start()], match[0], text[match.end() :]
    else:
        raise argparse.ArgumentTypeError(
            f"{text!r} has no operator; write column=value, column>=value or column!=null"
        )
    column, value = column.strip(), value.strip()
    if not column or (not value and operator != "="):
        raise argparse.ArgumentTypeError(f"{text!r} needs a column and a value round {operator!r}")
    if operator == "!=" and value != "null":
        raise argparse.ArgumentTypeError(f"{text!r}: != knows only null; list what you want")
    return Where(column, operator, value)


def conditions_from(wheres: Sequence[Where], schema: Schema) -> dict[str, Any]:
    """Turn parsed conditions into the ``conditions`` argument of ``sample``.

    Values take the type of their column; several bounds on one column are joined.

    Raises
    ------
    SchemaError
        If a column does not exist.
    ConditionError
        If a value does not fit its column, or two conditions on a column cannot be joined.
    """
    conditions: dict[str, Any] = {}
    for where in wheres:
        name, new = where.column, _condition(where, schema[where.column])
        old = conditions.get(name)
        if name not in conditions:
            conditions[name] = new
        elif isinstance(old, tuple) and isinstance(new, tuple):
            lows = [end for end in (old[0], new[0]) if end is not None]
            highs = [end for end in (old[1], new[1]) if end is not None]
            conditions[name] = (max(lows, default=None), min(highs, default=None))
        else:
            raise ConditionError(f"Column {name!r} has two conditions that cannot be joined.")
    return conditions


def _condition(where: Where, column: Column) -> Any:
    text, operator = where.value, where.operator
    if operator == "!=":
        from synthgan.conditions import NOT_MISSING

        return NOT_MISSING
    if operator != "=":
        return _bound(operator, text, column)
    if len(text) > 1 and text[0] == text[-1] == '"':
        return _value(text[1:-1], column)
    if text == "null":
        return None
    if column.is_numeric and ".." in text:
        low, _, high = text.partition("..")
        return (
            _value(low, column) if low.strip() else None,
            _value(high, column) if high.strip() else None,
        )
    if "|" in text:
        return [_value(part, column) for part in text.split("|")]
    return _value(text, column)


def _bound(operator: str, text: str, column: Column) -> tuple[Any, Any]:
    if not column.is_numeric:
        raise ConditionError(
            f"Column {column.name!r} is {column.kind}, which has no {operator}; "
            f"list the levels: {column.name}=a|b."
        )
    end = _value(text, column)
    if operator in ("<", ">"):
        end = _neighbour(end, column, up=operator == ">")
    return (end, None) if operator[0] == ">" else (None, end)


def _value(text: str, column: Column) -> Any:
    """Read `text` as a value of `column`."""
    import pyarrow as pa

    kind = column.arrow_type
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    text = text.strip() if column.is_numeric else text
    try:
        if pa.types.is_duration(kind):
            return datetime.timedelta(seconds=float(text))
        if pa.types.is_time(kind):
            return datetime.time.fromisoformat(text)
        if pa.types.is_timestamp(kind) and kind.tz is not None:
            return _instant(text, kind)
        return pa.scalar(text).cast(kind).as_py()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError):
        raise ConditionError(
            f"Column {column.name!r} is {kind}; {text!r} is no such value."
        ) from None


def _instant(text: str, kind: pa.TimestampType) -> Any:
    """Read a date with its offset, or without one as the local time of the column."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pa.scalar(text).cast(kind).as_py()
    except pa.ArrowInvalid:
        return pc.assume_timezone(pa.scalar(text).cast(pa.timestamp(kind.unit)), kind.tz).as_py()


def _neighbour(value: Any, column: Column, *, up: bool) -> Any:
    """Return the next representable value, which turns a strict bound into a closed one."""
    import pyarrow as pa

    kind, step = column.arrow_type, 1 if up else -1
    if pa.types.is_floating(kind):
        whole = column.kind == "integer"
        return value + step if whole else math.nextafter(value, math.inf * step)
    if pa.types.is_decimal(kind):
        return value + step * value.__class__(1).scaleb(-kind.scale)
    width = pa.int32() if kind.bit_width == 32 else pa.int64()
    if pa.types.is_integer(kind):
        return value + step
    return pa.scalar(pa.scalar(value, kind).cast(width).as_py() + step, width).cast(kind).as_py()


# --- verbs --------------------------------------------------------------------------------------


def fit(args: argparse.Namespace) -> Answer:
    """Learn a table and write the model file."""
    from synthgan.estimators.tabular import TabularGAN
    from synthgan.schema import Schema

    _require_folder(args.output)
    schema = None
    if args.schema is not None:
        schema = Schema.from_json(args.schema.read_text(encoding="utf-8"))
    gan = TabularGAN(
        random_state=args.seed,
        device=args.device,
        max_time=args.max_time,
        schema=schema,
        verbose=0 if args.quiet else 1,
    )
    gan.fit(args.data, target=args.target)
    gan.save(args.output)
    _say(args, f"wrote {args.output}")
    return Answer({"model": str(args.output), **gan.describe()})


def sample(args: argparse.Namespace) -> Answer:
    """Draw synthetic rows from a model file."""
    from synthgan.estimators.base import load_model
    from synthgan.io import write_table

    if args.output != "-":
        _require_folder(Path(args.output))
    gan = load_model(args.model, device=args.device)
    conditions = conditions_from(args.where, gan.schema_) or None
    rows = gan.sample(args.n, conditions=conditions, steps=args.steps, random_state=args.seed)
    if args.output == "-":
        _write_csv(rows)
    else:
        write_table(rows, args.output)
        _say(args, f"wrote {args.n} rows to {args.output}")
    return Answer({"output": args.output, "rows": args.n})


def evaluate(args: argparse.Namespace) -> Answer:
    """Compare a synthetic table with the one it imitates."""
    from synthgan.evaluate import evaluate as compare
    from synthgan.io import read_frame

    for path in (args.html, args.json_path):
        if path not in (None, "-"):
            _require_folder(Path(path))
    report = compare(
        read_frame(args.train),
        read_frame(args.synthetic),
        holdout=None if args.holdout is None else read_frame(args.holdout),
        target=args.target,
        random_state=args.seed,
    )
    if args.html is not None:
        report.to_html(args.html)
        _say(args, f"wrote {args.html}")
    if args.json_path == "-":
        args.as_json = True
    elif args.json_path is not None:
        report.to_json(args.json_path)
        _say(args, f"wrote {args.json_path}")
    return Answer(report.to_dict(), str(report))


def inspect(args: argparse.Namespace) -> Answer:
    """Say what a model file holds."""
    from synthgan.estimators.base import load_model

    gan = load_model(args.model, device="cpu")
    facts = gan.describe()
    lines = [f"{name:<12} {value}" for name, value in facts.items() if _is_plain(value)]
    return Answer(facts, "\n".join([*lines, "", str(gan.schema_)]))


def schema(args: argparse.Namespace) -> Answer:
    """Print what the columns of a table are taken for, as JSON to edit."""
    from synthgan.schema import infer_schema

    inferred = infer_schema(args.data)
    return Answer(inferred.to_dict(), inferred.to_json())


def demo(args: argparse.Namespace) -> Answer:
    """Fit, sample and evaluate scikit-learn's breast cancer table."""
    from synthgan.estimators.tabular import TabularGAN
    from synthgan.evaluate import evaluate as compare
    from synthgan.io import write_table

    out: Path = args.out
    out.mkdir(parents=True, exist_ok=True)
    train, holdout = _demo_tables(args.seed)
    _say(args, f"fitting {len(train)} rows of {train.shape[1]} columns")
    gan = TabularGAN(
        random_state=args.seed,
        device=args.device,
        max_time=args.max_time,
        verbose=0 if args.quiet else 1,
    )
    gan.fit(train, target="diagnosis").save(out / "model.synthgan")
    synthetic = gan.sample(len(train), random_state=args.seed)
    write_table(synthetic, out / "synthetic.parquet")
    _say(args, "evaluating against the rows that were held out")
    report = compare(train, synthetic, holdout=holdout, target="diagnosis", random_state=args.seed)
    report.to_html(out / "report.html")
    report.to_json(out / "report.json")
    files = {
        name.partition(".")[0] if name != "report.json" else "report_json": str(out / name)
        for name in ("model.synthgan", "synthetic.parquet", "report.html", "report.json")
    }
    text = f"{report}\n\nfull report: {out / 'report.html'}"
    return Answer({"files": files, "report": report.to_dict()}, text)


def _demo_tables(seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return two random halves of the breast cancer table, with a readable target column."""
    from sklearn.datasets import load_breast_cancer

    from synthgan._runtime import numpy_generator

    bunch = load_breast_cancer(as_frame=True)
    table = bunch.data.assign(diagnosis=bunch.target_names[bunch.target.to_numpy()])
    order = numpy_generator(seed, "demo split").permutation(len(table))
    half = len(table) // 2
    train, holdout = table.iloc[order[:half]], table.iloc[order[half:]]
    return train.reset_index(drop=True), holdout.reset_index(drop=True)


def _write_csv(rows: Any) -> None:
    import pyarrow.csv

    from synthgan.io import read_table

    pyarrow.csv.write_csv(read_table(rows), sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _require_folder(path: Path) -> None:
    """Refuse a path that cannot be written before the work is done, not after it."""
    if not path.parent.is_dir():
        raise DataError(f"Cannot write {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise DataError(f"Cannot write {path}: it is a folder.")


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def _say(args: argparse.Namespace, message: str) -> None:
    if not args.quiet:
        print(message, file=sys.stderr)


# --- parser and entry point ---------------------------------------------------------------------


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="synthgan",
        description="Learn a table, sample synthetic rows, and check what was written.",
        epilog="Start with: synthgan demo. Help on a verb: synthgan sample --help.\n\n"
        "exit codes: 0 done, 1 data or run error, 2 wrong usage, 130 stopped by Ctrl-C",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"synthgan {_version()}")
    _add_globals(parser, default=False, as_json=True)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(run: Any, *, as_json: bool = True, epilog: str | None = None) -> Any:
        summary = run.__doc__.strip()
        child = verbs.add_parser(
            run.__name__,
            help=summary[0].lower() + summary.rstrip(".")[1:],
            description=summary,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        _add_globals(child, default=argparse.SUPPRESS, as_json=as_json)
        child.set_defaults(run=run)
        return child

    one = verb(fit)
    one.add_argument("data", metavar="DATA", help="table to learn: .parquet or .csv")
    one.add_argument("-o", "--output", metavar="MODEL", type=Path, required=True, help="model file")
    one.add_argument("--target", metavar="C", help="the column that will be predicted")
    one.add_argument(
        "--schema", metavar="FILE", type=Path, help="edited output of: synthgan schema"
    )
    one.add_argument("--max-time", metavar="T", help="stop after, e.g. 90s, 10m, 2h")
    _add_seed(one, None)
    _add_device(one)

    one = verb(sample, epilog=WHERE_HELP)
    one.add_argument("model", metavar="MODEL", help="model file written by fit")
    one.add_argument("-n", metavar="N", type=_positive, required=True, help="number of rows")
    one.add_argument(
        "-o", "--output", metavar="OUT", type=_table_path, required=True,
        help=".parquet or .csv file, or - for CSV on standard output",
    )  # fmt: skip
    one.add_argument(
        "--where", metavar="COND", type=parse_where, nargs="+", action="extend", default=[],
        help="conditions that every row satisfies; see below",
    )  # fmt: skip
    one.add_argument("--steps", metavar="K", type=_positive, help="rounds; fewer is faster")
    _add_seed(one, None)
    _add_device(one)

    one = verb(evaluate, as_json=False)
    one.add_argument("train", metavar="TRAIN", help="the table that the model was fitted to")
    one.add_argument("synthetic", metavar="SYNTHETIC", help="the table to judge")
    one.add_argument("--holdout", metavar="H", help="real rows that the model never saw")
    one.add_argument("--target", metavar="C", help="the column that a classifier should predict")
    one.add_argument("--html", metavar="R", help="write the report as one HTML file")
    one.add_argument(
        "--json", metavar="J", dest="json_path", help="write it as JSON; - for standard output"
    )
    _add_seed(one, 0)

    one = verb(inspect)
    one.add_argument("model", metavar="MODEL", help="model file written by fit")

    one = verb(schema)
    one.add_argument("data", metavar="DATA", help="table to look at: .parquet or .csv")

    one = verb(demo)
    one.add_argument("--out", metavar="DIR", type=Path, default=Path("demo"), help="output folder")
    one.add_argument("--max-time", metavar="T", default="60s", help="training time (60s)")
    _add_seed(one, 0)
    _add_device(one)
    return parser


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
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number >= 1")
    return int(text)


def _table_path(text: str) -> str:
    if text != "-" and not text.lower().endswith((".parquet", ".pq", ".csv")):
        raise argparse.ArgumentTypeError(f"{text!r} must end in .parquet or .csv, or be -")
    return text


@contextlib.contextmanager
def _short_warnings(*, quiet: bool, debug: bool) -> Iterator[None]:
    """Show synthgan's warnings as one line on standard error; those of others with --debug."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if not quiet:
            print(f"synthgan: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("default" if debug else "ignore")
        for category in (DataWarning, NotConvergedWarning):
            warnings.simplefilter("always", category)
        warnings.showwarning = show
        yield


def _describe(error: Exception) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, (SynthganError, OSError, ImportError, MemoryError)):
        return text or type(error).__name__
    return f"unexpected {type(error).__name__}: {text} (--debug shows where)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
        if args.as_json and getattr(args, "output", None) == "-":
            parser.error("--json and -o - both want standard output; choose one")
    except SystemExit as stop:  # argparse has printed why
        return stop.code if isinstance(stop.code, int) else 2
    try:
        with _short_warnings(quiet=args.quiet, debug=args.debug):
            answer: Answer = args.run(args)
        if args.as_json:
            print(json.dumps(answer.data, indent=2, ensure_ascii=False))
        elif answer.text:
            print(answer.text)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("synthgan: stopped", file=sys.stderr)
        return 130
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # no flush error at exit
            return 141
        if args.debug:
            traceback.print_exc()
        print(f"synthgan: error: {_describe(error)}", file=sys.stderr)
        return 1
