"""Networks to named arrays and back, checked before anything is allocated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np
import torch

__all__ = ["arrays_of", "rebuild", "with_prefix"]

Array = np.ndarray[Any, Any]
Network = TypeVar("Network", bound=torch.nn.Module)


def arrays_of(prefix: str, network: torch.nn.Module) -> dict[str, Array]:
    """Return all weights of a network, their names behind ``prefix.``."""
    return {
        f"{prefix}.{name}": value.detach().cpu().contiguous().numpy()
        for name, value in network.state_dict().items()
    }


def with_prefix(tensors: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names begin with ``prefix.``, without it."""
    start = f"{prefix}."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}


def rebuild(build: Callable[[], Network], weights: Mapping[str, Array]) -> Network:
    """Build a network after checking, without allocating it, that the weights fit it.

    Parameters
    ----------
    build : callable
    weights : dict of str to ndarray

    Returns
    -------
    nn.Module
        In evaluation mode, without gradients.

    Raises
    ------
    ValueError
        If a name or shape is not that of the network.
    """
    with torch.device("meta"):
        planned = build().state_dict()
    expected = {name: tuple(value.shape) for name, value in planned.items()}
    found = {name: tuple(value.shape) for name, value in weights.items()}
    if expected != found:
        raise ValueError("the weights do not fit the network")
    network = build()
    network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in weights.items()})
    return network.eval().requires_grad_(False)
