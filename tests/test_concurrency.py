"""One model, many users: threads, processes, forks, and machines set up in other ways."""

from __future__ import annotations

import hashlib
import importlib
import multiprocessing
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fixtures import mixed_table, tiny_gan

from synthgan import ImageGAN, ImageTranslator, ImageVAE, TabularGAN, load_model
from synthgan._runtime import on_device
from synthgan.exceptions import DataWarning


def drawn(gan: TabularGAN, seed: int) -> pd.DataFrame:
    """Draw plain, conditional and few-step rows, each a third."""
    conditions = ({}, {"age": (30, 50)}, {})[seed % 3]
    steps = (None, None, 1)[seed % 3]
    return gan.sample(700, conditions=conditions, steps=steps, random_state=seed)


def test_case42_eight_threads_sample_one_model(gan: TabularGAN) -> None:
    expected = [drawn(gan, seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda seed: drawn(gan, seed), range(16)))
    for one, other in zip(expected, found, strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_case42_samples_without_a_seed_differ(gan: TabularGAN) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: gan.sample(50), range(4)))
    assert len({pd.util.hash_pandas_object(frame).sum() for frame in found}) == 4


def _sample_from(path: Path, seed: int, results: Any) -> None:
    torch.set_num_threads(1)
    before = {p.name for p in path.parent.iterdir()}
    frame = drawn(load_model(path), seed)
    assert {p.name for p in path.parent.iterdir()} == before
    results.put((seed, frame))


@pytest.mark.slow  # starts interpreters that import torch
def test_case42_four_processes_sample_one_read_only_file(gan: TabularGAN, tmp_path: Path) -> None:
    path = tmp_path / "m.synthgan"
    gan.save(path)
    tmp_path.chmod(0o555)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    children = [
        context.Process(target=_sample_from, args=(path, seed, results)) for seed in range(4)
    ]
    try:
        for child in children:
            child.start()
        for seed, frame in [results.get(timeout=180) for _ in children]:
            pd.testing.assert_frame_equal(frame, drawn(gan, seed))
        for child in children:
            child.join(60)
    finally:
        tmp_path.chmod(0o755)
    assert [child.exitcode for child in children] == [0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of any fork
def test_case43_a_fork_after_the_fit(gan: TabularGAN) -> None:
    expected = drawn(gan, 0)
    child = os.fork()
    if not child:
        same = drawn(gan, 0).equals(expected)
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_case44_a_device_that_is_full_gives_way_to_the_cpu() -> None:
    tried: list[str] = []

    def task(device: torch.device) -> str:
        tried.append(device.type)
        if device.type == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    with pytest.warns(DataWarning, match="cuda ran out of memory; .* on the CPU"):
        assert on_device(torch.device("cuda"), task) == "done"
    assert tried == ["cuda", "cpu"]
    with pytest.raises(torch.OutOfMemoryError):
        on_device(torch.device("cpu"), _raise_out_of_memory)


@pytest.mark.parametrize(
    ("kind", "module", "training", "network"),
    [
        (ImageGAN, "image_gan", "fit_images", "generator_"),
        (ImageVAE, "image_vae", "fit_autoencoder", "decoder_"),
        (ImageTranslator, "image_translator", "fit_cycle", "to_b_"),
    ],
)
def test_case44_fits_of_images_too(
    kind: Any, module: str, training: str, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device "meta" holds no numbers, and stands for one that is full."""
    where = importlib.import_module(f"synthgan.estimators.{module}")
    train = getattr(where, training)

    def full(networks: Any, *others: Any, **settings: Any) -> Any:
        tensors = [t for t in others if isinstance(t, torch.Tensor)]
        if any(t.device.type == "meta" for t in tensors):
            raise torch.OutOfMemoryError("out of memory")
        return train(networks, *others, **settings)

    monkeypatch.setattr(where, training, full)
    monkeypatch.setattr(where, "resolve_device", lambda _: torch.device("meta"))
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8)
    others = [255 - images[30:]] if kind is ImageTranslator else []
    with pytest.warns(DataWarning, match="meta ran out of memory"):
        model = kind(max_time=1, random_state=0, verbose=0).fit(images[:30], *others)
    assert {p.device.type for p in getattr(model, network).parameters()} == {"cpu"}


def _raise_out_of_memory(device: torch.device) -> None:
    raise torch.OutOfMemoryError("out of memory")


SCRIPT = """
import sys, warnings
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
warnings.simplefilter("ignore")
from fixtures import mixed_table, tiny_gan
gan = tiny_gan().fit(mixed_table())
if len(sys.argv) > 2:
    torch.set_num_threads(2)
sys.stdout.write(gan.sample(600, random_state=1).to_csv(index=False))
"""

SETTINGS: dict[str, Callable[[], dict[str, str]]] = {
    "hash": lambda: {"PYTHONHASHSEED": "7"},
    "zone": lambda: {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "0"},
    "locale": lambda: {"LC_ALL": "C", "PYTHONHASHSEED": "1"},
}


@pytest.mark.slow  # starts interpreters that import torch
def test_case46_other_settings_of_the_machine() -> None:
    tests = str(Path(__file__).parent)
    digests = set()
    for number, make in enumerate(SETTINGS.values()):
        more = ["two threads"] if number == 2 else []
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, tests, *more],
            env={**os.environ, "OMP_NUM_THREADS": "1", **make()},
            capture_output=True,
            check=True,
        )
        digests.add(hashlib.sha256(done.stdout).hexdigest())
        assert done.stdout.count(b"\n") == 601
    assert len(digests) == 1


def test_case40_a_link_is_replaced_not_followed(gan: TabularGAN, tmp_path: Path) -> None:
    target, link = tmp_path / "precious", tmp_path / "m.synthgan"
    target.write_text("mine")
    link.symlink_to(target)
    gan.save(link)
    assert target.read_text() == "mine"
    assert not link.is_symlink()
    assert load_model(link).n_rows_ == gan.n_rows_


def test_case46_a_fit_leaves_global_generators_alone() -> None:
    def states() -> tuple[Any, ...]:
        numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002 (it is the global one)
        return random.getstate(), numpy_state, torch.get_rng_state().tolist()

    before = states()
    with pytest.warns(DataWarning):
        tiny_gan().fit(mixed_table()).sample(10)
    assert states() == before
