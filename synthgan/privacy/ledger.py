"""The ledger: what was spent of a privacy budget, on what, line by line, and never taken back.

A ledger file holds one JSON object per line: first the budget, then every charge. A line carries a
digest of the one before it, so that an edited file is found out (not one whose last lines were cut:
keep it where nobody can write but those who fit). A charge is on the disk before the answer that it
pays for is used; a crash in between loses budget, never privacy.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from synthgan.exceptions import BudgetError, DataError
from synthgan.files import read_text, write_text
from synthgan.privacy.accounting import epsilon_of

__all__ = ["Ledger"]

#: What a budget may be exceeded by: rounding.
_SLACK = 1e-9
_PATIENCE = 60.0  # seconds to wait for another process that writes the file


class Ledger:
    """A budget and what was charged to it, in a file or in memory.

    Charges add up over all fits and evaluations that name the same file. If two processes charge it
    at the same time, the second finds that it has changed, and refuses; a lock file beside it, of
    the same name and ``.lock``, sees to that.

    Parameters
    ----------
    path : path or None
        None keeps the ledger in memory, for one fit.
    epsilon, delta : float, optional
        The budget of a new file; an old file has its own, and must be given none or the same.
    unit : str, optional
        What is protected: all rows of one value of the column that is named, or ``"row"``, which
        is what a new file gets by default. An old file must protect the same.

    Attributes
    ----------
    epsilon, delta : float
        The budget.
    entries : list of dict
        The charges, in order.

    Raises
    ------
    BudgetError
        If the file is missing though no budget is given, was edited, or has another budget.
    DataError
        If it cannot be written.

    Examples
    --------
    >>> ledger = Ledger(None, epsilon=1.0, delta=1e-5)
    >>> ledger.charge(0.01, mechanism="discrete Gaussian", sigma=50.0)
    >>> ledger.entries[0]["rho"], round(ledger.spent()[0], 2)
    (0.01, 0.55)
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        *,
        epsilon: float | None = None,
        delta: float | None = None,
        unit: str | None = None,
    ) -> None:
        self.path = None if path is None else Path(os.path.realpath(path))  # one file, one budget
        self._lines: list[str] = []
        if self.path is not None and self.path.exists():
            self._lines = self._read()
            self._require_same(epsilon, delta, unit)
        else:
            if epsilon is None or delta is None:
                raise BudgetError(f"No ledger at {path}; give epsilon and delta to begin one.")
            unit = unit or "row"
            budget = {"epsilon": epsilon, "delta": delta, "unit": unit}
            budget["adjacency"] = f"add or remove a {unit}"
            self._append({"ledger": "synthgan", "format": 1, **budget})

    @property
    def epsilon(self) -> float:
        """Epsilon of the budget."""
        return float(json.loads(self._lines[0])["epsilon"])

    @property
    def delta(self) -> float:
        """Delta of the budget."""
        return float(json.loads(self._lines[0])["delta"])

    @property
    def unit(self) -> str:
        """What is protected."""
        return str(json.loads(self._lines[0])["unit"])

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The charges."""
        return [json.loads(line) for line in self._lines[1:]]

    def spent(self) -> tuple[float, float]:
        """Return epsilon and delta of all charges together; epsilon at the delta of the budget."""
        return self._epsilon_after(0.0, 0.0, 0.0), sum(entry["delta"] for entry in self.entries)

    def _epsilon_after(self, rho: float, delta: float, epsilon: float) -> float:
        entries = self.entries
        rho += sum(entry["rho"] for entry in entries)
        delta += sum(entry["delta"] for entry in entries)
        epsilon += sum(entry.get("epsilon_charged", 0.0) for entry in entries)
        left = self.delta - delta
        if left < -_SLACK * self.delta:
            return float("inf")
        if rho == 0:
            return epsilon
        return epsilon + epsilon_of(rho, left) if left > 0 else float("inf")

    def require(self, rho: float, delta: float = 0.0, epsilon: float = 0.0) -> None:
        """Raise if a charge would exceed the budget; arguments as for :meth:`charge`.

        Raises
        ------
        BudgetError
        """
        after = self._epsilon_after(rho, delta, epsilon)
        if not min(rho, delta, epsilon) >= 0 or not after <= self.epsilon * (1 + _SLACK):
            where = "" if self.path is None else f" of {self.path}"
            raise BudgetError(
                f"This would bring epsilon to {after:.4g} at delta = {self.delta:g}, beyond the "
                f"budget{where}: {self.epsilon:g}. Nothing was released. Ask for less, or begin "
                "another ledger for other people."
            )

    def charge(self, rho: float, delta: float = 0.0, *, epsilon: float = 0.0, **facts: Any) -> None:
        """Write down what an answer costs, before it is used.

        Parameters
        ----------
        rho : float
            Of answers with zero-concentrated privacy.
        delta : float
            Besides.
        epsilon : float
            Of answers with (epsilon, delta)-privacy and no better account: these just add up.
        **facts
            What else to remember: mechanism, sigma, tables. JSON-able, nothing from the data.

        Raises
        ------
        BudgetError
            If the budget would be exceeded, or the file was changed in between.
        DataError
            If the file cannot be written; then nothing is released.
        """
        self.require(rho, delta, epsilon)
        entry = {**facts, "rho": rho, "delta": delta}
        self._append({**entry, "epsilon_charged": epsilon} if epsilon else entry)

    def _append(self, entry: Mapping[str, Any]) -> None:
        stamp = {
            "time": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
            "version": importlib.metadata.version("synthgan"),
            "after": _digest(self._lines[-1]) if self._lines else "",
        }
        line = json.dumps({**entry, **stamp}, sort_keys=True, allow_nan=False)
        if self.path is not None:
            try:
                with self._lock(self.path):
                    self._require_unchanged(self.path)
                    write_text(self.path, "".join(f"{kept}\n" for kept in [*self._lines, line]))
            except (OSError, DataError) as error:
                known = error if isinstance(error, DataError) else f"Cannot write {self.path}."
                raise DataError(f"{known} Nothing was released.") from error
        self._lines.append(line)

    @staticmethod
    def _lock(path: Path) -> FileLock:
        if not path.parent.is_dir():  # the lock would make it
            raise DataError(f"Cannot write {path}: there is no such folder.")
        return FileLock(f"{path}.lock", timeout=_PATIENCE)

    def _require_unchanged(self, path: Path) -> None:
        if path.exists() and self._read() != self._lines:
            raise BudgetError(f"{path} has changed since it was opened; try again.")
        if self._lines and not path.exists():
            raise BudgetError(f"{path} has gone; bring it back, or the budget is lost.")

    def _read(self) -> list[str]:
        assert self.path is not None
        try:
            lines = read_text(self.path).splitlines()
            parsed = [json.loads(line) for line in lines]
            before = ["", *map(_digest, lines[:-1])]
            first = parsed[0]
            good = (first["ledger"], first["format"]) == ("synthgan", 1)
            good = good and isinstance(first["unit"], str) and bool(first["unit"])
            good = good and all(_is_amount(first[k]) and first[k] for k in ("epsilon", "delta"))
            good = good and all(p["after"] == b for p, b in zip(parsed, before, strict=True))
            good = good and all(
                all(map(_is_amount, (p["rho"], p["delta"], p.get("epsilon_charged", 0.0))))
                for p in parsed[1:]
            )
        except DataError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            good = False
        if not good:
            raise BudgetError(
                f"{self.path} is no ledger, or was edited; nothing is released on its account."
            )
        return lines

    def _require_same(self, epsilon: float | None, delta: float | None, unit: str | None) -> None:
        given = {"epsilon": epsilon, "delta": delta}
        for name, value in given.items():
            if value is not None and value != getattr(self, name):
                raise BudgetError(
                    f"{self.path} has a budget of {name} = {getattr(self, name):g}, not {value:g}."
                )
        if unit not in (None, self.unit):
            raise BudgetError(f"{self.path} protects the unit {self.unit!r}, not {unit!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Return budget, charges and what is spent, JSON-able."""
        epsilon, delta = self.spent()
        return {
            **{k: v for k, v in json.loads(self._lines[0]).items() if k != "after"},
            "spent": {"epsilon": epsilon, "delta": delta},
            "charges": self.entries,
        }


def _is_amount(x: Any) -> bool:
    return isinstance(x, (int, float)) and not isinstance(x, bool) and 0 <= x <= 1e300


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
