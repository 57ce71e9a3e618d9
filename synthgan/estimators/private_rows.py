"""The private fit of a table: a domain, noisy counts of marginals, and a mixture fitted to them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from synthgan._runtime import on_device
from synthgan.arrow import plain_values
from synthgan.checkpoint import Part, state_of
from synthgan.encoding import TableEncoder
from synthgan.exceptions import DataError, DataWarning, SchemaError
from synthgan.marginals import MarginalOptions, NoisyCounts, fit_marginals
from synthgan.networks.mixtures import MixtureGenerator
from synthgan.privacy import DifferentialPrivacy, check_delta, statement
from synthgan.privacy.accounting import rho_of
from synthgan.privacy.discovery import discover, schema_of_types
from synthgan.privacy.plan import Marginal, marginals_to_measure
from synthgan.privacy.private_table import PrivateTable
from synthgan.runs import Run
from synthgan.schema import Column, Schema

__all__ = ["Release", "fit_privately"]

#: Share of delta for levels that nobody declared.
_DELTA_OF_LEVELS = 0.1


@dataclass(frozen=True, slots=True)
class Release:
    """What a private fit gives away: all of it.

    Attributes
    ----------
    encoder : TableEncoder
    generator : MixtureGenerator
    history : list of dict
    n_rows : int
        Estimated from the noisy counts.
    privacy : dict
        The statement, what was public, and the charges.
    """

    encoder: TableEncoder
    generator: MixtureGenerator
    history: list[dict[str, Any]]
    n_rows: int
    privacy: dict[str, Any]


def fit_privately(
    table: pa.Table,
    privacy: DifferentialPrivacy,
    target: str | None,
    options: MarginalOptions,
    *,
    never_missing: Sequence[str],
    seed: int,
    device: torch.device,
    run: Run,
) -> Release:
    """Fit a mixture to noisy counts of a table.

    Parameters
    ----------
    table : pyarrow.Table
        Read through :class:`~synthgan.privacy.private_table.PrivateTable` alone.
    privacy : DifferentialPrivacy
    target : str or None
        Column whose tables with two others get a share of the budget.
    options : MarginalOptions
    never_missing : sequence of str
        Columns of a type that has no missing cells.
    seed : int
        Of the fit. Noise has none.
    device : torch.device
    run : Run
        Answers are in its checkpoint as soon as they are there, so that none is asked for twice.

    Raises
    ------
    ParameterError, SchemaError, DataError, BudgetError
        Before anything is released.
    """
    check_delta(privacy, _count_units(table, privacy.unit))
    ledger = privacy.open_ledger()
    private = PrivateTable(table, ledger, unit=privacy.unit, max_rows=privacy.max_rows)
    schema, undeclared = _domain(private, privacy, never_missing)
    delta_of_levels = 0.0
    if any(not column.is_numeric for column in undeclared):
        delta_of_levels = _DELTA_OF_LEVELS * privacy.delta
    rho = rho_of(privacy.epsilon, privacy.delta - delta_of_levels)
    rho_of_domain = privacy.discovery * rho if undeclared else 0.0

    def ask_domain() -> dict[str, Any]:
        ledger.require(rho, delta_of_levels)
        found = discover(schema, private, rho_of_domain, delta_of_levels)
        return {"schema": found.to_dict(), "charges": ledger.entries[begun:]}

    if target is not None and target not in schema:
        raise DataError(f"target={target!r} is not a column of the domain.")
    declared = tuple(column for column in schema if column.is_declared)
    if declared:  # what is wrong with them is said before anything is bought
        TableEncoder.declared(Schema(declared))
    begun = len(ledger.entries)
    domain: dict[str, Any] = {"schema": schema.to_dict(), "charges": []}
    if undeclared:
        domain = _once(run, "domain", {}, ask_domain)
    encoder = TableEncoder.declared(Schema.from_dict(domain["schema"]))
    active = [j for j, size in enumerate(encoder.sizes) if size > 1]
    sizes = [encoder.sizes[j] for j in active]
    place = None if target is None else encoder.index(target)
    target_variable = active.index(place) if place in active else None
    counts = _Counts()

    def ask_counts() -> dict[str, Any]:
        ledger.require(rho - rho_of_domain)
        outside = private.bind(encoder)
        found = {column.name for column in undeclared}  # bought bounds are meant to cut
        _warn_outside({name: n for name, n in outside.items() if name not in found})
        before = len(ledger.entries)
        groups = marginals_to_measure(sizes, target_variable)
        _warn_left_out(len(sizes), target_variable is not None, groups)
        shares = (1 - options.triples, options.triples) if groups[1] else (1.0, 0.0)
        for marginals, share in zip(groups, shares, strict=True):
            if marginals and share:
                cost = (rho - rho_of_domain) * share
                columns = [tuple(active[j] for j in marginal) for marginal in marginals]
                sigma = private.sigma(len(columns), cost)
                counts.found.append(NoisyCounts(marginals, private.measure(columns, cost), sigma))
        return {"charges": ledger.entries[before:]}

    charges = [*domain["charges"], *_once(run, "counts", {"counts": counts}, ask_counts)["charges"]]

    def fitted(device: torch.device) -> tuple[MixtureGenerator, float, list[dict[str, Any]]]:
        generator = MixtureGenerator(sizes, options.rows).to(device)
        if not sizes:
            return generator, 0.0, []
        result, n_rows = fit_marginals(
            generator, counts.found, target_variable, options, seed=seed, run=run
        )
        return generator, n_rows, result.history

    generator, n_rows, history = on_device(device, fitted)
    generator.eval().requires_grad_(False)
    said = _said(privacy, rho, undeclared, charges)
    return Release(encoder, generator, history, round(n_rows), said)


def _count_units(table: pa.Table, unit: str | None) -> int:
    if unit is None or unit not in table.column_names:
        return int(table.num_rows)
    return int(pc.count_distinct(plain_values(table[unit]), mode="all").as_py())


def _domain(
    private: PrivateTable, privacy: DifferentialPrivacy, never_missing: Sequence[str]
) -> tuple[Schema, list[Column]]:
    """Return the schema, and its columns that are not declared."""
    schema = privacy.read_domain()
    if schema is None:
        schema = schema_of_types(private.types, privacy.unit)
    else:
        known = private.types.empty_table()
        if privacy.unit in known.column_names and privacy.unit not in schema:
            known = known.drop_columns([privacy.unit])  # whose row it is: not modelled
        if differences := schema.differences(known):
            raise DataError("The table does not fit the domain: " + "; ".join(differences) + ".")
    for column in schema:
        if column.missing is None and column.name in never_missing:
            schema = schema.replace(column.name, missing=False)
    undeclared = [column for column in schema if not column.is_declared]
    for column in undeclared:
        if column.kind == "constant":
            raise SchemaError(
                f"Column {column.name!r} is declared constant, which does not say its value; give "
                "its level or its bounds, or leave the column out."
            )
    if undeclared and not privacy.discovery:
        what = "bounds" if undeclared[0].is_numeric else "levels"
        raise SchemaError(
            f"Column {undeclared[0].name!r} declares no {what}, and discovery=0 buys none; declare "
            "them in the domain."
        )
    return schema, undeclared


def _once(
    run: Run, phase: str, parts: Mapping[str, Part], ask: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Return what was answered, from the checkpoint if it is there: noise is drawn once."""
    if run.checkpoint is None:
        return ask()
    found = run.checkpoint.restore(phase, parts)
    if found is None:
        found = ask()
        run.checkpoint.write(phase, state_of(parts), found)
    return found


class _Counts:
    """Noisy counts, as a part of a checkpoint."""

    def __init__(self) -> None:
        self.found: list[NoisyCounts] = []

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        return {
            f"{k}/{name}": array
            for k, counts in enumerate(self.found)
            for name, array in counts.arrays().items()
        }

    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        groups: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        for key, array in arrays.items():
            number, _, name = key.partition("/")
            groups.setdefault(number, {})[name] = array
        self.found = [NoisyCounts.from_arrays(groups[number]) for number in sorted(groups)]


def _warn_left_out(n: int, has_target: bool, groups: Sequence[Sequence[Marginal]]) -> None:
    """Say how many marginals have too many cells to be counted; that depends on public facts."""
    pairs, triples = math.comb(n, 2), math.comb(n - 1, 2) if has_target else 0
    of_two, of_three = (sum(len(m) == k for m in part) for k, part in enumerate(groups, start=2))
    if (of_two, of_three) == (pairs, triples):
        return
    warnings.warn(
        f"The columns have so many cells that only {of_two} of {pairs} pairs and {of_three} of "
        f"{triples} pairs with the target are counted. Declare fewer bins or levels, or name no "
        "target.",
        DataWarning,
        stacklevel=3,
    )


def _warn_outside(outside: Mapping[str, int]) -> None:
    if outside:
        named = ", ".join(f"{name!r} ({count})" for name, count in list(outside.items())[:10])
        warnings.warn(
            f"Cells outside the domain were moved to its nearest value: {named}. These numbers "
            "have no noise: they are for the holder of the data alone.",
            DataWarning,
            stacklevel=5,
        )


def _said(
    privacy: DifferentialPrivacy,
    rho: float,
    undeclared: Sequence[Column],
    charges: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    names = ", ".join(repr(column.name) for column in undeclared)
    public, charged = ["names and types of the columns"], ["the counts of marginals"]
    if privacy.domain is not None:
        public.append(f"their domain, but for that of {names}" if undeclared else "their domain")
    if undeclared:
        charged.append(f"the domain of {'all columns' if privacy.domain is None else names}")
    unit = "row"
    if privacy.unit is not None:
        unit = f"value of {privacy.unit!r} (up to {privacy.max_rows} rows)"
    return statement(privacy, rho, unit=unit, public=public, charged=charged, charges=charges)
