"""Several processes train one model: the model of one process, up to rounding."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures import tiny_gan

from synthgan import TrainingOptions, load_model, ranks
from synthgan.exceptions import ParameterError

pytestmark = pytest.mark.skipif(
    not torch.distributed.is_available(), reason="torch was built without it"
)

SCRIPT = """
import json, sys, warnings
import numpy as np
import pandas as pd
import torch
sys.path.insert(0, sys.argv[1])
torch.set_num_threads(1)
warnings.simplefilter("ignore")
from fixtures import tiny_gan
from test_ranks import OPTIONS, a_table
from synthgan import ranks
with ranks.joined():
    gan = tiny_gan(options=OPTIONS, random_state=None, checkpoint=sys.argv[3]).fit(a_table())
    seconds = ranks.agreed(float(ranks.number() + 5))
    found = {
        "rank": ranks.number(),
        "weights": [p.sum().item() for p in gan.generator_.parameters()],
        "classes": [p.sum().item() for p in gan.joint_.parameters()],
        "losses": [entry["loss"] for entry in gan.history_],
        "validation": [entry["validation"] for entry in gan.history_],
        "agreed": seconds,
    }
with open(f"{sys.argv[2]}/{found['rank']}.json", "w") as file:
    json.dump(found, file)
"""

OPTIONS = TrainingOptions(steps=60, class_steps=20, batch_size=64, patience=100)


def a_table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, 600)
    return pd.DataFrame({"x": x, "y": np.where(rng.random(600) < 0.8, x, 0), "z": x % 3})


def environment(rank: int, port: int) -> dict[str, str]:
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.mark.slow  # two interpreters that import torch
def test_two_processes_fit_as_one(tmp_path: Path) -> None:
    port, tests = free_port(), str(Path(__file__).parent)
    command = [sys.executable, "-c", SCRIPT, tests, str(tmp_path), str(tmp_path / "c")]
    children = [
        subprocess.Popen(command, env=environment(rank, port), stderr=subprocess.PIPE)
        for rank in range(2)
    ]
    for child in children:
        _, err = child.communicate(timeout=300)
        assert child.returncode == 0, err.decode()
    one, two = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert {**one, "rank": 1} == two  # also the seed, which the first one drew
    assert one["agreed"] == 5
    assert (tmp_path / "c").exists()  # nobody has saved


@pytest.mark.slow  # torchrun, and two interpreters that import torch
def test_torchrun_fits_as_one_process_does(tmp_path: Path) -> None:
    train, model = tmp_path / "t.csv", tmp_path / "m.synthgan"
    a_table().to_csv(train, index=False)
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    fit = ["-m", "synthgan", "fit", str(train), "--seed", "3", "--quiet", "--json"]
    done = subprocess.run(
        [sys.executable, *launch, *fit, "-o", str(model)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["model"] == str(model)  # said once
    together = load_model(model)
    from synthgan import TabularGAN

    alone = TabularGAN(random_state=3, verbose=0).fit(train)
    losses = [
        [e["loss"] for e in gan.history_ if e["phase"] == "likelihood"] for gan in (together, alone)
    ]
    shared = min(map(len, losses))
    # rounding in bfloat16 parts the two slowly
    assert np.abs(np.subtract(losses[0][:shared], losses[1][:shared])).max() < 0.02
    np.testing.assert_allclose(losses[0][0], losses[1][0], rtol=1e-3)


def test_alone_it_does_nothing() -> None:
    assert (ranks.count(), ranks.number()) == (1, 0)
    assert ranks.part(10) == slice(0, 10)
    assert ranks.average([1.0, 2.0]) == [1.0, 2.0]
    assert ranks.agreed(3) == 3
    assert ranks.in_turn(lambda: "x") == "x"
    with ranks.joined():
        assert ranks.count() == 1


@pytest.mark.parametrize("rows", [3, 7, 64])
def test_parts_of_a_batch_are_the_batch(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "count", lambda: 3)
    found: list[Any] = []
    for rank in range(3):
        monkeypatch.setattr(ranks, "number", lambda rank=rank: rank)
        found += list(range(rows))[ranks.part(rows)]
    assert found == list(range(rows))
    with pytest.raises(ParameterError, match="too small for 3 processes"):
        ranks.part(2)


def test_a_private_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from synthgan.privacy import DifferentialPrivacy

    monkeypatch.setattr(ranks, "count", lambda: 2)
    with pytest.raises(ParameterError, match="one process"):
        tiny_gan(privacy=DifferentialPrivacy(1.0, 1e-7), options=None).fit(a_table())
