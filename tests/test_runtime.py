"""Seeds, streams and devices."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import numpy as np
import pytest
import torch

from synthgan._runtime import (
    _ALLOCATOR_SETTINGS,
    half_precision,
    numpy_generator,
    resolve_device,
    reused_memory,
    seed_from,
    torch_generator,
)
from synthgan.exceptions import ParameterError


def test_streams_are_named_not_consumed() -> None:
    first = numpy_generator(1, "rows", 3).random(4)
    np.testing.assert_array_equal(first, numpy_generator(1, "rows", 3).random(4))
    others = [(2, "rows", 3), (1, "cols", 3), (1, "rows", 4), (1, "rows", 3, 0)]
    assert all(not np.array_equal(first, numpy_generator(*other).random(4)) for other in others)
    a, b = (torch.rand(4, generator=torch_generator(1, "rows", 3)) for _ in range(2))
    torch.testing.assert_close(a, b)


FAULTS = """
import resource, torch
from synthgan._runtime import reused_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.zeros(2**24).add_(1.0)  # 64 MB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults()
with reused_memory():
    faults()
    print(fresh, faults())
"""


@pytest.mark.skipif(
    platform.libc_ver() < ("glibc", "2.35"), reason="about the allocator of newer glibc"
)
def test_training_gets_its_memory_once() -> None:
    """In a process of its own: what other fits left in the heap would serve as well."""
    kept = {k: v for k, v in os.environ.items() if k not in _ALLOCATOR_SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], env=kept, capture_output=True, text=True, check=True
    )
    fresh, again = map(int, done.stdout.split())
    assert again < fresh / 10


def test_an_error_leaves_the_block_that_reuses_memory() -> None:
    with pytest.raises(KeyError), reused_memory():
        raise KeyError


def test_random_states() -> None:
    assert seed_from(7) == 7
    assert seed_from(np.int64(7)) == 7
    assert seed_from(None) != seed_from(None)
    generator = np.random.default_rng(0)
    assert seed_from(generator) != seed_from(generator)
    assert seed_from(np.random.RandomState(0)) == seed_from(np.random.RandomState(0))
    for bad in (-1, 2**63, "a", 1.5, True):
        with pytest.raises(ParameterError, match="random_state"):
            seed_from(bad)


def test_case44_devices() -> None:
    assert resolve_device("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for bad in ("abacus", "cuda:99", "meta"):
        with pytest.raises(ParameterError, match="device"):
            resolve_device(bad)
    assert half_precision(torch.device("cpu")) in (None, torch.bfloat16)
    assert half_precision(torch.device("mps")) is None


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_case45_cuda() -> None:
    assert resolve_device("auto").type == "cuda"
