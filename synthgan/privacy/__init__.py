"""Differential privacy: what is promised, what it costs, and the only door to the data."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgan.exceptions import DataError, ParameterError
from synthgan.privacy.ledger import Ledger
from synthgan.schema import Schema

__all__ = ["DifferentialPrivacy", "Ledger", "check_delta", "statement"]


@dataclass(frozen=True, slots=True)
class DifferentialPrivacy:
    """What a fit may reveal of any one person.

    A model that is fitted under (epsilon, delta)-differential privacy would have come out nearly
    the same without the data of any one unit: no probability changes by more than a factor
    ``exp(epsilon)``, but for a probability of `delta`. That holds against everybody, whatever they
    know, for ever, and for all that is made of the model: samples, reports, other models.

    Parameters
    ----------
    epsilon : float
        Above 0; 1 is strong, 10 is weak.
    delta : float
        Between 0 and one over the number of rows, far below it if possible.
    domain : Schema, mapping, path to a JSON file, or None
        What the columns may hold: levels and bounds that are known without the data. Columns
        that it does not declare, all if None, get theirs from a part of the budget.
    unit : str, optional
        Column that says whose row it is. None protects single rows, which is enough only if each
        person has one.
    max_rows : int, default 1
        Rows per unit that are used; noise grows with it.
    ledger : path, optional
        File that keeps what was spent, over several fits. It is begun with `epsilon` and `delta`
        as its budget if there is none; see :class:`Ledger` for a larger one.
    discovery : float, default 0.1
        Share of the budget for columns without a declaration, if there are some.
    fingerprint : str, optional
        Whatever the holder wants the ledger to say of the data, such as a file's version. It is
        not made from the data, and not private.

    Raises
    ------
    ParameterError
        If a number is out of range.

    Examples
    --------
    >>> DifferentialPrivacy(epsilon=1.0, delta=1e-6).epsilon
    1.0
    """

    epsilon: float
    delta: float
    domain: Schema | Mapping[str, Any] | str | os.PathLike[str] | None = None
    unit: str | None = None
    max_rows: int = 1
    ledger: str | os.PathLike[str] | None = None
    discovery: float = 0.1
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        limits = {
            "epsilon": (self.epsilon, 0 < self.epsilon < math.inf, "above 0"),
            "delta": (self.delta, 0 < self.delta < 1, "between 0 and 1, below 1 / rows"),
            "max_rows": (self.max_rows, 1 <= self.max_rows <= 10**6, "in [1, 1000000]"),
            "discovery": (self.discovery, 0 <= self.discovery < 1, "in [0, 1)"),
        }
        for name, (value, good, wanted) in limits.items():
            if not good:
                raise ParameterError(f"DifferentialPrivacy: {name} must be {wanted}; got {value}.")
        if self.unit == "row":  # in a ledger, that is what single rows are called
            raise ParameterError('DifferentialPrivacy: unit="row" is no column; rename it.')

    def read_domain(self) -> Schema | None:
        """Return the declared domain.

        Raises
        ------
        DataError, SchemaError
            If the file cannot be read, or is none.
        """
        if self.domain is None or isinstance(self.domain, Schema):
            return self.domain
        if isinstance(self.domain, Mapping):
            return Schema.from_dict(self.domain)
        return Schema.read(self.domain)

    def open_ledger(self) -> Ledger:
        """Return the ledger, begun if there is none."""
        unit = self.unit or "row"
        if self.ledger is not None and Path(self.ledger).exists():
            return Ledger(self.ledger, unit=unit)
        return Ledger(self.ledger, epsilon=self.epsilon, delta=self.delta, unit=unit)


def check_delta(privacy: DifferentialPrivacy, n_units: int) -> None:
    """Raise if `delta` promises nothing for so many rows or images.

    Raises
    ------
    ParameterError, DataError
    """
    if not n_units:
        raise DataError("There is nothing to fit: no rows, or no images.")
    if privacy.delta * n_units >= 1:
        raise ParameterError(
            f"delta={privacy.delta:g} is not below one over the number of rows, so it promises "
            "nothing: to publish one row in full would pass. Take 1e-6 or less."
        )


def statement(
    privacy: DifferentialPrivacy,
    rho: float | None,
    *,
    unit: str,
    public: Sequence[str],
    charged: Sequence[str],
    charges: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return what a fit promises, JSON-able; ``text`` is the first line of every report.

    Parameters
    ----------
    privacy : DifferentialPrivacy
    rho : float or None
        What the fit may spend; None if it is not accounted for in rho.
    unit : str
        What is added or removed.
    public, charged : sequence of str
        What was known without the data, and what was bought.
    charges : sequence of dict
        As the ledger has them.
    """
    account = "privacy loss distribution" if rho is None else f"zCDP, rho = {rho:.4g}"
    text = (
        f"Differential privacy: epsilon = {privacy.epsilon:g}, delta = {privacy.delta:g} for each "
        f"{unit}, added or removed ({account}). Public: {' and '.join(public)}. "
        f"Charged: {' and '.join(charged)}. The implementation has not been audited by others."
    )
    return {
        "text": text,
        "epsilon": privacy.epsilon,
        "delta": privacy.delta,
        "rho": rho,
        "unit": privacy.unit or unit,
        "max_rows": privacy.max_rows,
        "adjacency": "add or remove one unit",
        "fingerprint": privacy.fingerprint,
        "charges": list(charges),
    }
