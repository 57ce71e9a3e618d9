"""The loop: schedules, averages, early stops, deadlines."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from synthgan.checkpoint import Checkpoint, state_of
from synthgan.exceptions import DivergenceError, ParameterError
from synthgan.runs import Deadline, Run, parse_duration
from synthgan.training import Ema, LoopResult, descend, fit_loop, set_rate


def loop(
    values: list[float], module: nn.Linear | None = None, **changes: object
) -> tuple[LoopResult, list[float]]:
    """Let the loop walk a parameter 0, 1, 2, ... and validate with the given values."""
    module = module or nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    shares: list[float] = []

    def step(number: int, share: float) -> dict[str, torch.Tensor]:
        shares.append(share)
        with torch.no_grad():
            module.weight.fill_(number + 1.0)
        return {"loss": torch.tensor(float(number))}

    settings: dict[str, object] = {
        "phase": "test",
        "steps": len(values),
        "epoch_steps": 1,
        "ema": Ema(module, 0.0),
        "validate": iter(values).__next__,
        "patience": 2,
        "parts": {"module": module},
        "run": Run(),
    }
    return fit_loop(step, **{**settings, **changes}), shares


def test_history_and_schedule() -> None:
    result, shares = loop([3.0, 2.0, 1.0, 0.5])
    assert shares == [0.0, 0.25, 0.5, 0.75]
    assert [entry["loss"] for entry in result.history] == [0, 1, 2, 3]
    assert [entry["step"] for entry in result.history] == [1, 2, 3, 4]
    assert result.reason == "finished"


def test_means_over_an_epoch() -> None:
    result, _ = loop([1.0] * 4, epoch_steps=2)
    assert [entry["loss"] for entry in result.history] == [0.5, 2.5]


def test_latest_weights_within_tolerance_are_kept() -> None:
    module = nn.Linear(1, 1, bias=False)
    result, _ = loop([2.0, 1.0, 1.009, 1.5, 1.6, 9.0, 0.1], module, tolerance=0.01)
    assert result.reason == "early stop"
    assert len(result.history) == 5
    assert module.weight.item() == pytest.approx(3.0, abs=0.5)


def test_callbacks_stop() -> None:
    result, _ = loop([1.0] * 9, run=Run(callbacks=[lambda entry: entry["epoch"] == 2]))
    assert result.reason == "callback"
    assert len(result.history) == 3


def test_deadline_ends_the_loop() -> None:
    result, _ = loop([1.0] * 9, run=Run(Deadline(0.0, 1e-9)))
    assert result.reason == "max_time"
    assert len(result.history) == 1


def test_average_forgets_the_start() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    ema = Ema(module, 0.999)
    nn.init.constant_(module.weight, 5.0)
    expected = 0.0
    for update in range(1, 50):
        ema.update()
        decay = min(0.999, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * 5.0
    assert float(ema.average[0]) == pytest.approx(expected)
    ema.swap()
    assert module.weight.item() == pytest.approx(expected)
    ema.swap()
    assert module.weight.item() == 5.0


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("10m", 600), ("1.5h", 5400), (30, 30), ("20", 20)]
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "10 parsecs", -1, 0, math.nan, True, "nan"])
def test_bad_durations(text: object) -> None:
    with pytest.raises(ParameterError):
        parse_duration(text)  # type: ignore[arg-type]


def test_a_figure_that_settles_halves_the_phase() -> None:
    """From epoch 8 on nothing is gained; six epochs later that was the first half."""
    falling = [1 / (1 + k) for k in range(8)]
    result, shares = loop(falling + [falling[-1]] * 92, least_gain=0.01)
    at = 14 - 1  # first epoch after which six in a row gained nothing
    assert len(result.history) == 2 * at
    assert result.reason == "finished"
    assert shares[at - 1] < 0.2
    assert shares[at + 1] == pytest.approx(0.5, abs=0.1)
    assert shares == sorted(shares)
    assert shares[-1] > 0.9
    whole, _ = loop(falling + [falling[-1]] * 92)
    assert len(whole.history) == 100


def test_a_figure_that_settles_late_changes_nothing() -> None:
    falling = [2.0 - 0.01 * k for k in range(60)]
    result, shares = loop(falling + [falling[-1]] * 40, least_gain=0.001)
    assert len(result.history) == 100
    assert shares == [k / 100 for k in range(100)]


def descent(faults: set[int], run: Run | None = None) -> tuple[nn.Linear, list[float]]:
    """Fit a parameter to 1 by gradient steps; the loss is not finite in the calls of `faults`."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    calls, rates = [0], []

    def step(number: int, share: float) -> dict[str, torch.Tensor]:
        set_rate(optimizer, 0.1, number, share, warm_up=1)
        rates.append(optimizer.param_groups[0]["lr"])
        loss = (module.weight - 1).square().sum()
        if calls[0] in faults:
            loss = loss * math.nan
        calls[0] += 1
        descend(optimizer, loss)
        return {"loss": loss}

    fit_loop(
        step,
        phase="test",
        steps=40,
        epoch_steps=4,
        ema=Ema(module, 0.0),
        validate=None,
        patience=1,
        parts={"module": module, "steps": optimizer},
        run=run or Run(),
    )
    return module, rates


def test_case33_a_loss_that_is_not_finite_is_rolled_back() -> None:
    module, rates = descent({9})
    assert abs(module.weight.item() - 1) < 0.05
    assert len(rates) == 44  # the epoch of the fault was repeated
    assert rates[8:12] == [0.1] * 4
    assert rates[12:16] == [0.05] * 4


def test_case33_a_loss_that_stays_so_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "fit.checkpoint"
    kept = Checkpoint(path, {}, 0, keep_seed=True)
    with pytest.raises(DivergenceError, match=r"after step 8 .* halved 3 times.*fit\.checkpoint"):
        descent(set(range(9, 10_000)), Run(checkpoint=kept))
    held = Checkpoint(path, {}, 0, keep_seed=True).restore("test", {})
    assert held is not None
    assert (held["step"], held["rollbacks"]) == (8, 3)
    module, rates = descent(set(), Run(checkpoint=Checkpoint(path, {}, 0, keep_seed=True)))
    assert rates[0] == 0.1 / 8  # the rate stays low
    assert 0 < module.weight.item() < 1


def test_steps_that_were_paid_for_are_not_repeated() -> None:
    result, _ = loop([1.0, math.nan, 1.0], repeatable=False, tolerance=10.0)
    assert [entry["step"] for entry in result.history] == [1, 2, 3]


class Interrupts:
    """A part of a fit whose state can be had but a few times until Ctrl-C comes, once."""

    def __init__(self, times: int) -> None:
        self.times = times

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        self.times -= 1
        if self.times == 0:
            raise KeyboardInterrupt
        return {}

    def restore(self, arrays: Mapping[str, np.ndarray[Any, Any]]) -> None:
        pass


def test_an_interrupt_while_the_state_is_copied_leaves_no_mixture(tmp_path: Path) -> None:
    path, module = tmp_path / "fit.checkpoint", nn.Linear(1, 1, bias=False)
    kept = Checkpoint(path, {}, 0, keep_seed=True)
    parts = {"before": nn.Linear(2, 2), "late": Interrupts(4), "module": module}
    with pytest.raises(KeyboardInterrupt):
        loop([1.0] * 9, module, parts=parts, run=Run(checkpoint=kept))
    nn.init.zeros_(module.weight)
    held = Checkpoint(path, {}, 0, keep_seed=True).restore("test", {"module": module})
    assert held is not None
    assert (held["step"], module.weight.item()) == (3, 3.0)


def test_one_copy_of_the_state_is_made_again_in_place() -> None:
    module, grown = nn.Linear(2, 2), nn.Linear(3, 2)
    first = state_of({"module": module})
    weight = first["module/weight"]
    nn.init.ones_(module.weight)
    second = state_of({"module": module}, first)
    assert second["module/weight"] is weight
    assert (weight == 1).all()
    third = state_of({"module": grown}, second)
    assert third["module/weight"].shape == (2, 3)
    assert weight.shape == (2, 2)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
def test_case35_an_interrupt_writes_the_last_epoch(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "fit.checkpoint"
    kept = Checkpoint(path, {}, 0, keep_seed=True)

    def interrupt(entry: dict[str, object]) -> None:
        if entry["step"] == 3:
            raise error

    with pytest.raises(error):
        loop([1.0] * 9, run=Run(checkpoint=kept, callbacks=[interrupt]))
    held = Checkpoint(path, {}, 0, keep_seed=True).restore("test", {})
    assert held is not None
    assert held["step"] == 2
