"""A map of both tables: where rows lie in the plane that shows train best.

The map is a histogram, so that no single row is on it: a cell with few train rows is empty.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from synthgan._runtime import numpy_generator
from synthgan.evaluate.learners import blocks, quietly
from synthgan.evaluate.report.marginals import MIN_ROWS
from synthgan.evaluate.tables import Table

__all__ = ["row_map"]

MAX_ROWS = 20_000
N_CELLS = 26


def row_map(train: Table, table: Table, seed: int) -> dict[str, Any] | None:
    """Return shares of rows per cell of the first two principal components of train.

    Returns
    -------
    dict or None
        ``train`` and ``synthetic``: rows of cells, from the top; a cell with fewer than 10 train
        rows is 0 in both. ``explained``: shares of variance. None if there is nothing to show.
    """
    from sklearn.decomposition import PCA

    train = train.sample(MAX_ROWS, numpy_generator(seed, "map", 0))
    table = table.sample(MAX_ROWS, numpy_generator(seed, "map", 1))
    if len(train) < 5 * MIN_ROWS:
        return None
    x, y = blocks(train, table)
    if x.shape[1] < 2 or (x == x[0]).all():
        return None
    model = PCA(2, random_state=seed % 2**31)
    with quietly():
        places = [model.fit_transform(x), model.transform(y)]
    low, high = np.quantile(places[0], [0.005, 0.995], axis=0)
    pad = 0.04 * (high - low) + 1e-9
    edges = [np.linspace(low[k] - pad[k], high[k] + pad[k], N_CELLS + 1) for k in (0, 1)]
    counts = [np.histogram2d(p[:, 0], p[:, 1], edges)[0] for p in places]
    shown = counts[0] >= MIN_ROWS
    if not shown.any():
        return None
    shares = [
        np.round(np.where(shown, c, 0) / len(p), 6).T[::-1].tolist()
        for c, p in zip(counts, places, strict=True)
    ]
    explained = [round(float(v), 4) for v in model.explained_variance_ratio_]
    return {"train": shares[0], "synthetic": shares[1], "explained": explained}
