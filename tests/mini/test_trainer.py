from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import nn

from mini import trainer
from mini.trainer import Schedule, Trainer, averaged_weights


class Silent:
    def __init__(self, work: Path, name: str) -> None:
        self.rows: list[int] = []

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        self.rows.append(step)


def train(work: Path, steps: int) -> Trainer[nn.Linear]:
    torch.manual_seed(0)
    run = Trainer("toy", nn.Linear(2, 1), Schedule(steps, 4, 0.05, 1.0), work, 0)
    line = torch.tensor([[3.0, -2.0]], device=run.device)

    def loss(step: int) -> dict[str, torch.Tensor]:
        x = torch.randn(16, 2, device=run.device)
        return {"total": (run.module(x) - x @ line.t()).square().mean()}

    run.run(loss, lambda: {"weight": float(run.module.weight[0, 0])}, every=10)
    return run


@pytest.fixture(autouse=True)
def silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "Log", Silent)


def test_a_stopped_run_goes_on_from_its_state(tmp_path: Path) -> None:
    first = train(tmp_path, 20)
    assert first.step == 20
    second = train(tmp_path, 300)
    assert second.step == 300
    # the warm-up of a hundred steps is over: far from where the first run stopped
    assert abs(float(second.module.weight.detach()[0, 0]) - 3) < 0.2
    weights = averaged_weights(tmp_path, "toy")
    assert weights is not None
    assert abs(float(weights["weight"][0, 0]) - 3) < 0.5


def test_a_finished_run_trains_no_further(tmp_path: Path) -> None:
    before = train(tmp_path, 20).module.weight.detach().clone()
    assert torch.equal(train(tmp_path, 20).module.weight.detach(), before)


def test_nothing_is_known_of_a_step_that_never_ran(tmp_path: Path) -> None:
    assert averaged_weights(tmp_path, "toy") is None


def test_the_schedule_warms_up_and_falls() -> None:
    schedule = Schedule(1000, 1, 1.0, 1.0)
    rates = [schedule.rate(step) for step in (0, 99, 500, 1000, 2000)]
    assert rates[0] < 0.02 < rates[4] == rates[3] < rates[2] == rates[1]
    later = Schedule(100_000, 1, 1.0, 1.0)
    assert later.rate(12_000) == later.rate(3000) / 2
