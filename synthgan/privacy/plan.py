"""Which marginals a private fit asks for: a choice that depends on the public domain alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

__all__ = ["MAX_CELLS", "Marginal", "marginals_to_measure"]

#: Positions of the columns whose joint distribution is asked for.
Marginal = tuple[int, ...]

#: Most cells that are measured; OpenDP draws some 100,000 a second. Larger tables are left out.
MAX_CELLS = 5_000_000


def marginals_to_measure(
    sizes: Sequence[int], target: int | None
) -> tuple[list[Marginal], list[Marginal]]:
    """Return the pairs, and the triples of two variables and the target, that are asked for.

    All of them, unless they have too many cells together: then the largest are left out. Single
    variables stand in where there is no pair.

    Examples
    --------
    >>> marginals_to_measure([2, 3, 2], target=2)
    ([(0, 1), (0, 2), (1, 2)], [(0, 1, 2)])
    """
    pairs: list[Marginal] = list(itertools.combinations(range(len(sizes)), 2))
    triples: list[Marginal] = []
    if target is not None:
        triples = [(*pair, target) for pair in pairs if target not in pair]
    total, kept = 0, set()
    for marginal in sorted([*pairs, *triples], key=lambda m: math.prod(sizes[j] for j in m)):
        total += math.prod(sizes[j] for j in marginal)
        if total <= MAX_CELLS:
            kept.add(marginal)
    pairs = [pair for pair in pairs if pair in kept]
    alone = set(range(len(sizes))) - {j for pair in pairs for j in pair}
    return [*pairs, *((j,) for j in sorted(alone))], [t for t in triples if t in kept]
