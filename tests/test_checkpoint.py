"""A fit that was interrupted goes on, and ends with the model that it would have ended with."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_digits

from synthgan import (
    AutoencoderOptions,
    ImageGAN,
    ImageOptions,
    ImageTranslator,
    ImageVAE,
    TabularGAN,
    TabularVAE,
    TrainingOptions,
    TranslationOptions,
    checkpoint,
)
from synthgan.checkpoint import Checkpoint, state_of
from synthgan.exceptions import CheckpointError, DataError, ModelFileError

DIGITS = load_digits()
IMAGES = (DIGITS.images * 15.9375).astype(np.uint8)[:300]
LABELS = DIGITS.target[:300]


class Interrupted(Exception):
    """Stands in for a crash."""


def crash_after(epochs):
    """Return a callback that raises in the given epoch, the checkpoints before it written."""
    count = 0

    def callback(entry):
        nonlocal count
        count += 1
        if count == epochs:
            raise Interrupted

    return callback


def a_table():
    rng = np.random.default_rng(0)
    hours = rng.integers(0, 24, 400)
    return pd.DataFrame(
        {
            "hour": hours,
            "shift": np.where(hours < 12, "early", "late"),
            "load": rng.normal(hours, 2).round(2),
        }
    )


def shared(**changes):
    return {"random_state": 0, "verbose": 0, **changes}


CASES = {
    "TabularGAN": lambda **more: TabularGAN(
        width=16,
        depth=1,
        options=TrainingOptions(steps=250, class_steps=50, batch_size=64, refinement_steps=40),
        **shared(**more),
    ).fit(a_table()),
    "TabularVAE": lambda **more: TabularVAE(
        width=16, latent=3, options=AutoencoderOptions(steps=80, batch_size=64), **shared(**more)
    ).fit(a_table()),
    "ImageGAN": lambda **more: ImageGAN(
        width=8, options=ImageOptions(steps=80, batch_size=16), **shared(**more)
    ).fit(IMAGES, LABELS),
    "dcgan": lambda **more: ImageGAN(
        "dcgan", width=8, options=ImageOptions(steps=80, batch_size=16), **shared(**more)
    ).fit(IMAGES, LABELS),
    "ImageVAE": lambda **more: ImageVAE(
        width=8, latent=3, options=AutoencoderOptions(steps=80, batch_size=16), **shared(**more)
    ).fit(IMAGES),
    "cyclegan": lambda **more: ImageTranslator(
        width=8, options=TranslationOptions(steps=80, batch_size=8, pool=12), **shared(**more)
    ).fit(IMAGES[:150], 255 - IMAGES[150:]),
    "cut": lambda **more: ImageTranslator(
        "cut", width=8, options=TranslationOptions(steps=80, batch_size=8), **shared(**more)
    ).fit(IMAGES[:150], 255 - IMAGES[150:]),
}


def state(model):
    """Return everything that a model keeps, but times."""
    description, arrays = model._to_model()
    for entry in description["history"]:
        entry = dict(entry)
    history = [{k: v for k, v in e.items() if k != "seconds"} for e in description["history"]]
    return {**description, "history": history, "seconds": 0}, arrays


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)


@pytest.mark.parametrize("name", CASES)
def test_an_interrupted_fit_ends_as_one_that_was_not(name, tmp_path):
    path = tmp_path / "fit.checkpoint"
    whole = state(CASES[name]())
    for epoch in (1, 3, 8, 28):  # the last interrupts the second phase of a table
        with pytest.raises(Interrupted):
            CASES[name](checkpoint=path, callbacks=[crash_after(epoch)])
        assert path.exists()
    resumed = CASES[name](checkpoint=path)
    assert path.exists()
    resumed.save(tmp_path / "m.synthgan")
    assert not path.exists()
    found = state(resumed)
    assert found[0] == whole[0]
    assert found[1].keys() == whole[1].keys()
    for key, value in whole[1].items():
        np.testing.assert_array_equal(found[1][key], value, err_msg=key)


def test_case36_a_killed_process_loses_nothing_that_was_written(tmp_path):
    path = tmp_path / "fit.checkpoint"
    script = textwrap.dedent(
        """
        import os, signal, sys
        sys.path.insert(0, {tests!r})
        from test_checkpoint import CASES, checkpoint
        checkpoint.SECONDS_BETWEEN = 0.0
        def kill(entry):
            if entry["epoch"] == 5:
                os.kill(os.getpid(), signal.SIGKILL)
        CASES["ImageVAE"](checkpoint={path!r}, callbacks=[kill])
        """
    ).format(tests=str(Path(__file__).parent), path=str(path))
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], env=threads, check=False)
    assert done.returncode == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    seen = []
    resumed = CASES["ImageVAE"](checkpoint=path, callbacks=[seen.append])
    assert seen[0]["epoch"] == 5  # five were kept
    assert state(resumed)[0] == state(CASES["ImageVAE"]())[0]


def test_a_fit_that_is_done_stays_until_it_is_saved(tmp_path):
    path = tmp_path / "fit.checkpoint"
    whole = CASES["ImageVAE"](checkpoint=path)
    seen = []
    again = CASES["ImageVAE"](checkpoint=path, callbacks=[seen.append])
    assert not seen
    assert state(again)[0] == state(whole)[0]
    other = CASES["ImageVAE"](checkpoint=path, random_state=1, callbacks=[seen.append])
    assert seen  # another fit takes the file of one that is done
    other.save(tmp_path / "m.synthgan")
    assert not path.exists()


def test_a_drawn_seed_is_kept(tmp_path):
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(Interrupted):
        CASES["ImageVAE"](checkpoint=path, random_state=None, callbacks=[crash_after(4)])
    seed = Checkpoint(path, run_of(path), 0, keep_seed=False).seed
    resumed = CASES["ImageVAE"](checkpoint=path, random_state=None)
    again = CASES["ImageVAE"](random_state=seed)
    for key, value in state(again)[1].items():
        np.testing.assert_array_equal(state(resumed)[1][key], value)


def run_of(path):
    from synthgan.storage import read_model

    return read_model(path)[0]["run"]


@pytest.fixture
def interrupted(tmp_path):
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(Interrupted):
        CASES["ImageVAE"](checkpoint=path, callbacks=[crash_after(3)])
    return path


def test_case41_a_checkpoint_of_another_fit_is_refused(interrupted):
    before = interrupted.read_bytes()

    def vae(**changes):
        settings = {"width": 8, "latent": 3, "checkpoint": interrupted}
        settings["options"] = AutoencoderOptions(steps=80, batch_size=16)
        return ImageVAE(**shared(**{**settings, **changes}))

    with pytest.raises(CheckpointError, match="another fit: its data differs"):
        vae().fit(IMAGES[:200])
    with pytest.raises(CheckpointError, match="its latent differs"):
        vae(latent=4).fit(IMAGES)
    with pytest.raises(CheckpointError, match="its random_state differs"):
        vae(random_state=1).fit(IMAGES)
    with pytest.raises(CheckpointError, match=r"its .* differs"):
        CASES["ImageGAN"](checkpoint=interrupted)
    assert interrupted.read_bytes() == before
    vae(max_time=100.0, verbose=0).fit(IMAGES)  # more time is no other fit


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flip"])
def test_case38_damaged_checkpoints_are_refused(interrupted, damage):
    data = bytearray(interrupted.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 255
    interrupted.write_bytes({"cut": data[:-99], "empty": b"", "text": b"x,y"}.get(damage, data))
    with pytest.raises(CheckpointError, match="damaged; remove it"):
        CASES["ImageVAE"](checkpoint=interrupted)


def test_a_checkpoint_is_no_model(interrupted):
    from synthgan import load_model

    with pytest.raises(ModelFileError):
        load_model(interrupted)


def test_case50_a_checkpoint_holds_no_row(tmp_path):
    path = tmp_path / "fit.checkpoint"
    frame = a_table()
    frame.loc[7, "load"], frame.loc[8, "shift"] = 98765.43, "canary"
    gan = TabularGAN(width=16, depth=1, checkpoint=path, callbacks=[crash_after(3)], **shared())
    with pytest.raises(Interrupted):
        gan.fit(frame)
    data = path.read_bytes()
    assert b"canary" not in data
    for kind in (np.float64, np.float32):
        assert np.array(98765.43).astype(kind).tobytes() not in data


def test_time_that_was_spent_counts(interrupted):
    with pytest.raises(Interrupted):
        CASES["ImageVAE"](checkpoint=interrupted, callbacks=[crash_after(2)])
    held = Checkpoint(interrupted, run_of(interrupted), 0, keep_seed=True)
    assert held.spent > 0
    model = CASES["ImageVAE"](checkpoint=interrupted, max_time=held.spent / 2)
    assert model.history_[-1]["step"] < 80
    assert model.seconds_ > held.spent


def test_optimisers_of_all_kinds_survive(tmp_path):
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        module = torch.nn.Linear(2, 2)
        optimizer = kind(module.parameters(), lr=0.1)
        module(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        path = tmp_path / kind.__name__
        parts = {"module": module, "optimizer": optimizer}
        Checkpoint(path, {}, 0, keep_seed=True).write("a", state_of(parts), {"step": 1})
        other = torch.nn.Linear(2, 2)
        copied = {"module": other, "optimizer": kind(other.parameters(), lr=0.1)}
        found = Checkpoint(path, {}, 0, keep_seed=True)
        assert found.restore("a", copied) == {"step": 1}
        assert found.restore("b", copied) is None
        for net, own in ((module, optimizer), (other, copied["optimizer"])):
            own.zero_grad()
            net(torch.ones(1, 2)).square().sum().backward()
            own.step()
        torch.testing.assert_close(module.weight, other.weight, rtol=0, atol=0)


def test_case37_a_path_that_cannot_be_written_is_an_error_before_any_work(tmp_path):
    seen = []
    with pytest.raises(DataError, match=r"Cannot write .*fit\.checkpoint"):
        CASES["ImageVAE"](checkpoint=tmp_path / "no" / "fit.checkpoint", callbacks=[seen.append])
    assert not seen


def test_a_preview_is_no_part_of_the_fit(tmp_path):
    path = tmp_path / "fit.checkpoint"
    with pytest.raises(Interrupted):
        CASES["ImageGAN"](checkpoint=path, callbacks=[crash_after(3)])
    CASES["ImageGAN"](checkpoint=path, preview=tmp_path / "preview")
    assert any((tmp_path / "preview").iterdir())
