"""What the commands do: one function per verb, arguments in, an answer out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgan.cli.where import conditions_from
from synthgan.exceptions import DataError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = ["REFUSED", "Answer", "UsageError", "say"]


class UsageError(DataError):
    """Options that do not go together; the exit code is 2."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb found: `data` for machines, `text` for people (empty if files are the result).

    `code` is the exit code: 3 if the command worked and the answer is no.
    """

    data: dict[str, Any]
    text: str = ""
    code: int = 0


#: Exit code of a gate that failed, of drift, and of a card that does not agree.
REFUSED = 3


def fit(args: argparse.Namespace) -> Answer:
    """Learn a table and write the model file."""
    from synthgan import ranks

    with ranks.joined():
        if ranks.number():  # the first process speaks for all
            args.quiet, args.as_json = True, False
        return _fit(args)


def _fit(args: argparse.Namespace) -> Answer:
    from synthgan import ranks
    from synthgan.estimators.tabular_gan import TabularGAN
    from synthgan.schema import Schema

    _require_folder(args.output)
    if args.resume and args.checkpoint is None:
        args.checkpoint = Path(f"{args.output}.checkpoint")
    if args.checkpoint is not None:
        _require_folder(args.checkpoint)
    schema = None
    if args.schema is not None:
        schema = Schema.read(args.schema)
    gan = TabularGAN(
        random_state=args.seed,
        device=args.device,
        max_time=args.max_time,
        checkpoint=args.checkpoint,
        schema=schema,
        max_rows=args.rows,
        privacy=_privacy(args),
        verbose=0 if args.quiet else 1,
    )
    gan.fit(args.data, target=args.target)
    if not ranks.number():
        gan.save(args.output)
    say(args, f"wrote {args.output}; rows take {gan.steps_} steps unless you ask for others")
    return Answer({"model": str(args.output), **gan.describe()})


def _privacy(args: argparse.Namespace) -> Any:
    """Return what ``fit`` promises, None if it is nothing."""
    from synthgan.privacy import DifferentialPrivacy

    if args.epsilon is None:
        for name in ("delta", "domain", "unit", "max_rows", "ledger"):
            if getattr(args, name) is not None:
                option = name.replace("_", "-")
                raise UsageError(f"--{option} belongs to --epsilon, which is not given.")
        return None
    if args.rows is not None:
        raise UsageError("--rows has no part in a private fit; it reads the whole table.")
    if args.delta is None:
        raise UsageError("--epsilon needs --delta: far below one over the number of rows.")
    return DifferentialPrivacy(
        args.epsilon,
        args.delta,
        domain=args.domain,
        unit=args.unit,
        max_rows=args.max_rows or 1,
        ledger=args.ledger or f"{args.output}.ledger",
    )


def domain(args: argparse.Namespace) -> Answer:
    """Write a public domain to fill in: names and types, no value of the table."""
    import json

    from synthgan.files import write_text
    from synthgan.io import read_table
    from synthgan.privacy.discovery import domain_template

    found = domain_template(read_table(args.data).schema, args.unit)
    if args.output is None:
        return Answer(found, json.dumps(found, indent=1))
    if args.output.exists():
        raise DataError(f"{args.output} exists; remove it first, lest your levels be lost.")
    _require_folder(args.output)
    write_text(args.output, json.dumps(found, indent=1) + "\n")
    say(args, f"wrote {args.output}: fill in the levels and bounds; what stays null costs budget")
    return Answer({"output": str(args.output), **found})


def ledger(args: argparse.Namespace) -> Answer:
    """Begin a ledger of a privacy budget, or show what was spent."""
    from synthgan.privacy import DifferentialPrivacy, Ledger

    if args.action == "init":
        if args.epsilon is None or args.delta is None:
            raise UsageError("ledger init needs --epsilon and --delta: the budget of these people.")
        if args.file.exists():
            raise DataError(f"{args.file} exists; a ledger is never begun again.")
        _require_folder(args.file)
        begin = DifferentialPrivacy(args.epsilon, args.delta, unit=args.unit, ledger=args.file)
        return Answer(begin.open_ledger().to_dict(), f"wrote {args.file}")
    if (args.epsilon, args.delta, args.unit) != (None, None, None):
        raise UsageError("--epsilon, --delta and --unit belong to ledger init.")
    if not args.file.exists():
        raise DataError(f"There is no ledger {args.file}.")
    found = Ledger(args.file).to_dict()
    spent = found["spent"]
    lines = [
        f"{line['time']}  rho = {line['rho']:.4g}, delta = {line['delta']:.3g}: "
        f"{line.get('what', line.get('mechanism', ''))}"
        for line in found["charges"]
    ]
    total = (
        f"epsilon = {spent['epsilon']:.4g} of {found['epsilon']:g} is spent at delta = "
        f"{found['delta']:g}, for each {found['unit']} added or removed"
    )
    return Answer(found, "\n".join([*lines, total]))


def sample(args: argparse.Namespace) -> Answer:
    """Draw synthetic rows from a model file."""
    from synthgan.io import reader_of, write_csv, write_table

    if args.output.endswith("/"):
        return _sample_shards(args)
    if args.workers is not None or args.engine != "processes":
        raise UsageError("--workers and --engine draw a folder of files: -o OUT/")
    if args.output != "-":
        _require_folder(Path(args.output))
    gan = _table_model(args)
    conditions = conditions_from(args.where, gan.schema_) or None
    batches = gan.sample_iter(
        args.n, conditions=conditions, steps=args.steps, random_state=args.seed
    )
    rows = reader_of(_with_progress(batches, args))
    if args.output == "-":
        write_csv(rows, sys.stdout.buffer, excel_safe=args.excel_safe)
        sys.stdout.buffer.flush()
    else:
        write_table(rows, args.output, excel_safe=args.excel_safe)
        say(args, f"wrote {args.n} rows to {args.output}")
    return Answer({"output": args.output, "rows": args.n})


def _with_progress(
    batches: Iterator[pa.RecordBatch], args: argparse.Namespace
) -> Iterator[pa.RecordBatch]:
    """Pass the batches of a sample on, with a bar if they take longer than a second."""
    from tqdm.auto import tqdm

    with tqdm(
        total=args.n, desc="rows", unit="row", unit_scale=True, delay=1, leave=False,
        disable=args.quiet,
    ) as bar:  # fmt: skip
        for batch in batches:
            bar.update(batch.num_rows)
            yield batch


def _table_model(args: argparse.Namespace) -> Any:
    """Return the model if it draws tables under conditions."""
    from synthgan.estimators.base import load_model

    found = load_model(args.model, device=args.device)
    if not hasattr(found, "sample_iter"):
        raise DataError(f"{args.model} holds a {type(found).__name__}; sample it from Python.")
    return found


def _sample_shards(args: argparse.Namespace) -> Answer:
    """Draw the files of a folder."""
    from synthgan.shards import sample_shards

    if args.workers is not None and args.engine == "ray":
        raise UsageError("--workers is for processes; a cluster of Ray has its own.")
    if args.excel_safe:
        raise UsageError("--excel-safe is for CSV; a folder holds Parquet files.")
    schema = _table_model(args).schema_
    manifest = sample_shards(
        args.model,
        args.n,
        args.output,
        workers=args.workers,
        engine=args.engine,
        conditions=conditions_from(args.where, schema) or None,
        steps=args.steps,
        random_state=args.seed,
        device=args.device,
        progress=not args.quiet,
    )
    say(args, f"wrote {args.n} rows to {len(manifest['files'])} files in {args.output}")
    return Answer({"output": args.output, **manifest})


def evaluate(args: argparse.Namespace) -> Answer:
    """Compare a synthetic table with the one it imitates."""
    from synthgan.evaluate.gate import Gate
    from synthgan.evaluate.report import Report
    from synthgan.files import write_text

    if args.junit is not None and args.gate is None:
        raise UsageError("--junit writes the answer of a --gate, which is not given.")
    if args.card is not None and args.card.suffix.lower() not in (".json", ".md"):
        raise UsageError(f"--card {args.card}: the name of a card ends in .md or .json.")
    if args.public and args.card is not None and args.model is not None:
        raise UsageError("The card of a model tells of its columns, which --public leaves out.")
    for path in (args.html, args.json_path, args.junit, args.card):
        if path not in (None, "-"):
            _require_folder(Path(path))
    gate = None if args.gate is None else Gate.read(args.gate)
    report = _evaluated(args, _settings(args))
    result = None if gate is None else gate.check(report)
    if args.public:
        report, result = report.public(), None if result is None else result.public()
    measured = report
    if result is not None:
        report = Report({**report.to_dict(), "gate": result.to_dict()})
    if args.html is not None:
        report.to_html(args.html)
        say(args, f"wrote {args.html}")
    if args.json_path == "-":
        args.as_json = True
    elif args.json_path is not None:
        report.to_json(args.json_path)
        say(args, f"wrote {args.json_path}")
    if args.junit is not None and result is not None:
        write_text(args.junit, result.to_junit_xml())
        say(args, f"wrote {args.junit}")
    if args.card is not None:
        _write_card(args, measured)
    if result is None:
        return Answer(report.to_dict(), str(report))
    return Answer(report.to_dict(), f"{report}\n\n{result}", 0 if result.passed else REFUSED)


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of ``evaluate`` that a card records."""
    return {
        "target": args.target,
        "categorical": args.categorical,
        "sensitive": args.sensitive,
        "level": args.level,
        "booster": args.booster,
        "random_state": args.seed,
        "shadow_models": args.shadow,
    }


def _evaluated(args: argparse.Namespace, settings: dict[str, Any]) -> Any:
    """Return the report on the tables that `args` names, with what the model file adds."""
    from synthgan.estimators.base import load_model
    from synthgan.evaluate import evaluate as compare

    extra: dict[str, Any] = {}
    n_shadows = settings.pop("shadow_models", 0)
    if args.model is not None:
        gan = load_model(args.model, device="cpu")
        promised = gan.privacy_
        extra = {
            "history": gan.history_,
            "privacy": None if promised is None else promised["text"],
        }
        if n_shadows and extra["privacy"] is not None:
            raise UsageError(
                "A model file does not hold the domain of a private fit, so shadow models cannot "
                "be fitted like it; in Python, give evaluate() a shadow_recipe."
            )
        if n_shadows:
            extra |= {"shadow_recipe": _recipe(gan), "shadow_models": n_shadows}
    elif n_shadows:
        raise UsageError("Shadow models are fitted like the model: name its file with --model.")
    return compare(
        args.train,
        args.synthetic,
        holdout=args.holdout,
        progress=not args.quiet,
        **settings,
        **extra,
    )


def _recipe(gan: Any) -> Any:
    """Return how to fit the same kind of model to another table and sample from it."""
    from sklearn.base import clone

    def recipe(frame: pd.DataFrame, seed: int) -> Any:
        copy = clone(gan).set_params(random_state=seed, verbose=0)
        return copy.fit(frame, target=gan.target_).sample(len(frame), random_state=seed)

    return recipe


def _write_card(args: argparse.Namespace, report: Any) -> None:
    from synthgan.estimators.base import load_model
    from synthgan.evaluate.cards import data_card, model_card

    if args.model is None:
        card = data_card(report, args.synthetic)
    else:
        card = model_card(load_model(args.model, device="cpu").describe(), report, args.model)
    card.write(args.card)
    say(args, f"wrote {args.card}")


def distances(args: argparse.Namespace) -> Answer:
    """Measure under differential privacy how far a synthetic table is from the real one."""
    from synthgan.estimators.base import load_model
    from synthgan.privacy import DifferentialPrivacy
    from synthgan.privacy.distances import measure_distances

    domain = args.domain
    if domain is not None and args.model is not None:
        raise UsageError("--domain and --model both say what the columns hold; choose one.")
    if domain is None:
        if args.model is None:
            raise UsageError("Give --domain, or the --model that was fitted under privacy.")
        gan = load_model(args.model, device="cpu")
        if gan.privacy_ is None:
            raise DataError(f"{args.model} was fitted without privacy; give a public --domain.")
        domain = gan.schema_
    privacy = DifferentialPrivacy(
        args.epsilon,
        args.delta,
        domain=domain,
        unit=args.unit,
        max_rows=args.max_rows or 1,
        ledger=args.ledger,
    )
    found = measure_distances(args.train, args.synthetic, privacy, random_state=args.seed)
    return Answer(found.to_dict(), str(found))


def augment(args: argparse.Namespace) -> Answer:
    """Add synthetic training rows to a table if they are shown to help a classifier."""
    from synthgan.augment import augment as decide
    from synthgan.augment.learner import make_table_learner
    from synthgan.estimators.tabular_gan import TabularGAN
    from synthgan.io import read_frame, write_table

    for path in (args.output, args.html):
        if path is not None:
            _require_folder(Path(path))
    table = read_frame(args.data)
    if args.target not in table:
        raise DataError(f"--target {args.target}: {args.data} has no such column.")
    found = decide(
        table.drop(columns=args.target),
        table[args.target],
        make_table_learner(args.learner),
        scoring=args.scoring,
        cv=args.folds,
        repeats=args.repeats,
        margin=args.margin,
        generator=TabularGAN(device="cpu", max_time=args.max_time, verbose=0),
        n_jobs=args.jobs,
        random_state=args.seed,
        progress=not args.quiet,
    )
    write_table(found.X.assign(**{args.target: found.y})[list(table)], args.output)
    say(args, f"wrote {len(found.y)} rows to {args.output}, {found.n_added} of them synthetic")
    if args.html is not None:
        found.to_html(args.html)
        say(args, f"wrote {args.html}")
    return Answer({"output": args.output, **found.to_dict()}, str(found))


def verify(args: argparse.Namespace) -> Answer:
    """Measure again what a card says, and compare."""
    from synthgan.estimators.base import load_model
    from synthgan.evaluate.cards import Card
    from synthgan.evaluate.cards import verify as compare

    card = Card.read(args.card)
    said = card.to_dict()
    is_model = said["kind"] == "model"
    if is_model and args.model is None:
        raise UsageError(f"{args.card} is the card of a model: name its file with --model.")
    report = None
    if said["settings"] is not None:
        report = _evaluated(args, dict(said["settings"]))
    description = load_model(args.model, device="cpu").describe() if is_model else None
    found = compare(card, report, args.model if is_model else args.synthetic, description)
    return Answer(found.to_dict(), str(found), 0 if found.agrees else REFUSED)


def check(args: argparse.Namespace) -> Answer:
    """Tell whether new rows still look like those that a model was fitted to."""
    from synthgan.estimators.base import load_model

    found = load_model(args.model, device=args.device).check(args.new, random_state=args.seed)
    return Answer(found.to_dict(), str(found), 0 if found.verdict == "ok" else REFUSED)


def inspect(args: argparse.Namespace) -> Answer:
    """Say what a model file holds."""
    from synthgan.estimators.base import load_model

    gan = load_model(args.model, device="cpu")
    facts = gan.describe()
    lines = [f"{name:<12} {value}" for name, value in facts.items() if _is_plain(value)]
    lines += _tried(facts.get("step_costs", []))
    return Answer(facts, "\n".join([*lines, "", str(gan.schema_)]))


def schema(args: argparse.Namespace) -> Answer:
    """Print what the columns of a table are taken for, as JSON to edit."""
    from synthgan.inference import infer_schema

    inferred = infer_schema(args.data)
    return Answer(inferred.to_dict(), inferred.to_json())


def _require_folder(path: Path) -> None:
    """Refuse a path that cannot be written before the work is done, not after it."""
    if not path.parent.is_dir():
        raise DataError(f"Cannot write {path}: there is no folder {path.parent}.")
    if path.is_dir():
        raise DataError(f"Cannot write {path}: it is a folder.")


def _tried(costs: list[dict[str, float]]) -> list[str]:
    """Return a table of the numbers of steps that a fit has tried."""
    head = ["", "Steps tried: nats that a row loses against one column a step"]
    line = "{steps:>3}  unseen rows {cost:.2f} ± {error:.2f}, drawn rows {divergence:.2f}"
    rows = [line.format(**cost) for cost in costs]
    return [*head, *rows] if rows else []


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float))


def say(args: argparse.Namespace, message: str) -> None:
    """Tell people how far a verb is, unless they asked for quiet."""
    if not args.quiet:
        print(message, file=sys.stderr)
