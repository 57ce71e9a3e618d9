"""Where a run happens: devices, random generators, threads and the logger.

All randomness comes from here. A stream is named by a seed, a purpose and counters, so that step
1,000 of a fit or block 7 of a sample can be drawn without drawing what came before it, and no
global generator is ever touched.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import logging
import numbers
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from synthgan.exceptions import DataWarning, ParameterError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

#: Parameters of mallopt (malloc.h of glibc): above which size arrays come from the system and go
#: back to it at once, and how much free memory at the end of the heap is kept.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_ALLOCATOR_SETTINGS = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES")

logger = logging.getLogger("synthgan")
logger.addHandler(logging.NullHandler())


def seed_from(random_state: Any) -> int:
    """Turn a ``random_state`` argument into one 63-bit seed.

    Parameters
    ----------
    random_state : int, numpy Generator, numpy RandomState or None
        An int is used as it is; a generator is advanced by one draw; None draws fresh entropy.

    Returns
    -------
    int

    Raises
    ------
    ParameterError
        If `random_state` is of another type, or a negative or too large int.
    """
    if random_state is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0] >> 1)
    if isinstance(random_state, numbers.Integral) and not isinstance(random_state, bool):
        if not 0 <= int(random_state) < 2**63:
            raise ParameterError(f"random_state must lie in [0, 2**63), got {random_state}.")
        return int(random_state)
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**63))
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(2**31 - 1))
    raise ParameterError(
        "random_state must be an int, a numpy Generator, a numpy RandomState or None, "
        f"got {type(random_state).__name__}."
    )


def _stream_key(seed: int, purpose: str, counters: tuple[int, ...]) -> int:
    text = "/".join([str(seed), purpose, *map(str, counters)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def numpy_generator(seed: int, purpose: str, *counters: int) -> np.random.Generator:
    """Return the numpy generator of the stream ``(seed, purpose, *counters)``."""
    return np.random.Generator(np.random.Philox(_stream_key(seed, purpose, counters)))


def torch_generator(
    seed: int, purpose: str, *counters: int, device: str | torch.device = "cpu"
) -> torch.Generator:
    """Return the torch generator of the stream ``(seed, purpose, *counters)`` on `device`."""
    import torch

    generator = torch.Generator(device=device)
    generator.manual_seed(_stream_key(seed, purpose, counters) >> 1)
    return generator


def resolve_device(device: str) -> torch.device:
    """Turn ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or ``"mps"`` into a torch device.

    ``"auto"`` takes CUDA, then Apple MPS, then the CPU.

    Raises
    ------
    ParameterError
        If the name is unknown or this machine has no such device.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            own = os.environ.get("LOCAL_RANK")  # torchrun starts one process per device
            return torch.device("cuda" if own is None else f"cuda:{own}")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ParameterError(
            f'device must be "auto", "cpu", "cuda", "cuda:<index>" or "mps", got {device!r}.'
        ) from error
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ParameterError(f"device={device!r} asked for, but torch sees {count} CUDA devices.")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise ParameterError('device="mps" asked for, but torch sees no Apple GPU here.')
    if found.type not in ("cpu", "cuda", "mps"):
        raise ParameterError(f'device must be of type cpu, cuda or mps, got "{found.type}".')
    return found


def on_device(device: torch.device, task: Callable[[torch.device], T]) -> T:
    """Return ``task(device)``, or with a warning that of the CPU if the device is out of memory."""
    import torch

    try:
        return task(device)
    except torch.OutOfMemoryError:
        if device.type == "cpu" or int(os.environ.get("WORLD_SIZE") or 1) > 1:
            raise
        warnings.warn(
            f"{device.type} ran out of memory; the fit runs on the CPU. A lower batch_size or "
            "width takes less.",
            DataWarning,
            stacklevel=3,
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return task(torch.device("cpu"))


@contextmanager
def reused_memory() -> Iterator[None]:
    """Let what a step of training frees serve the next step, within the block.

    The allocator of glibc gives large arrays back to the system at once, and gets fresh pages for
    the next ones. Where the weights take hundreds of megabytes, that is most of the time of a step
    (`benchmarks/NOTES.md`). Other threads than the main one gain nothing; nor does who has chosen
    thresholds in the environment, or has another C library. Of two fits at once, the first to end
    ends it for both.
    """
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    known = hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
    if library is None or not known or any(map(os.environ.get, _ALLOCATOR_SETTINGS)):
        yield
        return
    if not library.mallopt(_MMAP_THRESHOLD, 2**30):
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # the most that older releases take
    library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, 2**25)  # the most that it would have chosen itself
        library.mallopt(_TRIM_THRESHOLD, 2**26)
        library.malloc_trim(0)


def half_precision(device: torch.device) -> torch.dtype | None:
    """Return the dtype in which matrix products are worth doing on `device`, or None for float32.

    bfloat16 pays on CUDA, and on CPUs with AMX tiles or AVX-512 instructions for it: products are 6
    and 4 times as fast as in float32. On other CPUs it is emulated and slower.
    """
    import torch

    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    if device.type == "cpu":
        checks = (f"_is_{name}_supported" for name in ("amx_tile", "avx512_bf16"))
        capable = any(getattr(torch.cpu, check, bool)() for check in checks)
        return torch.bfloat16 if capable else None
    return None


def widest(device: torch.device) -> torch.dtype:
    """Return the dtype to add up many terms in: float64, which Apple's devices lack."""
    import torch

    return torch.float32 if device.type == "mps" else torch.float64


def autocast(
    device: torch.device, precision: torch.dtype | None
) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which matrix products run in `precision`; None is float32."""
    import torch

    return contextlib.nullcontext() if precision is None else torch.autocast(device.type, precision)


def has_fused_steps(device: torch.device) -> bool:
    """Whether optimisers make the step of all weights in one kernel, also in older releases."""
    return device.type in ("cpu", "cuda")


def memory_limit() -> int | None:
    """Return how many bytes of memory this process may use at most; None if nothing says so."""
    found = []
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limits = [resource.getrlimit(k)[0] for k in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
        found += [limit for limit in limits if limit != resource.RLIM_INFINITY]
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for place in ("memory.max", "memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path("/sys/fs/cgroup", place).read_text()))
    # torchrun starts several processes on one machine
    return min(found) // int(os.environ.get("LOCAL_WORLD_SIZE") or 1) if found else None
