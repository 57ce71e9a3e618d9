"""How many rows are held at once: those whose logits fit."""

from __future__ import annotations

__all__ = ["LOGITS", "rows_at_once"]

#: Logits, or probabilities, that are held at once: 130 MB in float32, of which a step has several
#: copies (a column of 100,000 levels: 335 rows).
LOGITS = 2**25


def rows_at_once(logits: int, least: int = 64, most: int | None = None) -> int:
    """Return how many rows of so many logits each are held at once.

    Parameters
    ----------
    logits : int
    least, most : int
        Bounds of the number of rows.

    Examples
    --------
    >>> rows_at_once(100_000), rows_at_once(10**9), rows_at_once(2, most=512)
    (335, 64, 512)
    """
    rows = max(LOGITS // max(logits, 1), least)
    return rows if most is None else min(rows, most)
