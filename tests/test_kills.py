"""A fit that is killed at any moment, and goes on, ends as one that never was.

``SYNTHGAN_KILLS=200 pytest tests/test_kills.py`` kills more often than a usual run does.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from test_checkpoint import CASES, state

from synthgan import checkpoint

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

KILLS = int(os.environ.get("SYNTHGAN_KILLS", "5"))


def _fit(name: str, path: Path, done: Path) -> None:
    """Run in a child: write the state after every epoch, and the model at the end."""
    import torch

    torch.set_num_threads(1)
    checkpoint.SECONDS_BETWEEN = 0.0
    CASES[name](checkpoint=path).save(done)


@pytest.mark.slow  # many short processes
@pytest.mark.parametrize("name", [name for name in CASES if name not in ("dcgan", "cut")])
def test_case36_kills_at_random_moments(name: str, tmp_path: Path) -> None:
    from synthgan import load_model

    path, done = tmp_path / "fit.checkpoint", tmp_path / "done.synthgan"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["test_checkpoint"])
    began = time.monotonic()
    whole = CASES[name]()
    longest = 1.5 * (time.monotonic() - began)
    chance, kills = random.Random(0), 0
    while kills < KILLS:
        child = context.Process(target=_fit, args=(name, path, done))
        child.start()
        child.join(chance.uniform(0, longest / 3))
        if child.exitcode is None:
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            child.join()
        if child.exitcode == -signal.SIGKILL:
            kills += 1
            continue
        assert child.exitcode == 0
        _require_equal(load_model(done), whole)
        done.unlink()
    child = context.Process(target=_fit, args=(name, path, done))
    child.start()
    child.join(300)
    assert child.exitcode == 0
    _require_equal(load_model(done), whole)
    assert [p.name for p in tmp_path.iterdir() if p.name != done.name] == []


def _require_equal(found: object, whole: object) -> None:
    (description, arrays), (other, others) = state(found), state(whole)
    assert description == other
    assert arrays.keys() == others.keys()
    for key, value in arrays.items():
        np.testing.assert_array_equal(value, others[key], err_msg=key)
