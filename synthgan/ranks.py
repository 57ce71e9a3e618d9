"""Several processes that train one model, as ``torchrun`` starts them.

Each process has the whole table and takes its part of every batch; gradients are added up over
all, so that the batch, and the model up to rounding, are those of one process. Whatever decides how
a fit goes on (time, losses, the seed) is agreed upon, lest the processes part ways. Without
``torchrun`` all of this does nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import torch
from torch import Tensor

from synthgan.exceptions import ParameterError

__all__ = [
    "agreed",
    "average",
    "count",
    "in_turn",
    "is_same",
    "joined",
    "number",
    "part",
    "sum_gradients",
]

T = TypeVar("T")


def count() -> int:
    """Return how many processes train together."""
    return torch.distributed.get_world_size() if _is_on() else 1


def number() -> int:
    """Return the number of this process, from 0."""
    return torch.distributed.get_rank() if _is_on() else 0


def _is_on() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Join the processes that ``torchrun`` started, if it did, for the length of a block."""
    if not {"RANK", "WORLD_SIZE"} <= set(os.environ) or os.environ["WORLD_SIZE"] == "1" or _is_on():
        yield
        return
    cuda = torch.cuda.is_available()
    if cuda:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    torch.distributed.init_process_group("cpu:gloo,cuda:nccl" if cuda else "gloo")
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def part(rows: int) -> slice:
    """Return the rows of a batch that are for this process.

    Raises
    ------
    ParameterError
        If there are fewer rows than processes.
    """
    if rows < count():
        raise ParameterError(f"A batch of {rows} rows is too small for {count()} processes.")
    return slice(rows * number() // count(), rows * (number() + 1) // count())


def sum_gradients(parameters: Iterable[Tensor]) -> None:
    """Add up the gradients of all processes, in place."""
    grads = [p.grad for p in parameters if p.grad is not None]
    if count() == 1 or not grads:
        return
    whole = torch.cat([grad.flatten() for grad in grads])
    torch.distributed.all_reduce(whole)
    parts = torch.split(whole, [grad.numel() for grad in grads])
    for grad, found in zip(grads, parts, strict=True):
        grad.copy_(found.view_as(grad))


def average(values: list[float]) -> list[float]:
    """Return the means of numbers over all processes."""
    if count() == 1:
        return values
    found = torch.tensor(values, dtype=torch.float64)
    torch.distributed.all_reduce(found)
    return [float(value) / count() for value in found]


def agreed(value: float) -> float:
    """Return what the first process says."""
    if count() == 1:
        return value
    found = torch.tensor([value], dtype=torch.int64 if isinstance(value, int) else torch.float64)
    torch.distributed.broadcast(found, 0)
    return found.item()


def is_same(text: str) -> bool:
    """Return whether all processes have the same text; the answer is the same for all."""
    if count() == 1:
        return True
    digest = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "little")
    return average([float(digest == agreed(digest))]) == [1.0]


def in_turn(task: Callable[[], T]) -> T:
    """Return what a task gives; the first process does it, and then the others."""
    if count() == 1:
        return task()
    if number():
        torch.distributed.barrier()
    found = task()
    if not number():
        torch.distributed.barrier()
    torch.distributed.barrier()
    return found
