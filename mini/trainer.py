"""The loop that every training step shares: resume, schedule, average, log, save."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from mini.tracking import Log
from mini.workspace import load_state, pick_device, save_state, seed_everything, work_folder

SAVE_SECONDS = 120.0
WARMUP_STEPS = 100
# the averaged weights are what the later steps and the checkpoint use
EMA_DECAY = 0.999
Losses = Mapping[str, Tensor]
M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast one step trains.

    ``steps`` is when the schedule ends; ``minutes`` stops a run early, and the next one
    goes on from there.
    """

    steps: int
    batch: int
    learning_rate: float
    minutes: float
    clip: float = 1.0
    weight_decay: float = 0.01
    knee: int = 3000

    def rate(self, step: int) -> float:
        """Learning rate at a step.

        A linear warm-up, from ``knee`` on an inverse square root, which leaves the end open, and
        a linear way down to a twentieth over the last fifth of ``steps``.
        """
        warm = min(1.0, (step + 1) / WARMUP_STEPS)
        slow = min(1.0, (self.knee / max(step, 1)) ** 0.5)
        end = min(1.0, max(0.05, (self.steps - step) / (0.2 * self.steps)))
        return self.learning_rate * warm * slow * end


def default_threads() -> int:
    """Threads unless told otherwise: those of OpenMP's own setting, else two."""
    return int(os.environ.get("OMP_NUM_THREADS", "2"))


def has_fast_bfloat16() -> bool:
    """Whether bfloat16 matrix products are faster than float32 ones here."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return torch.cpu._is_avx512_bf16_supported()


def parse_schedule(description: str, default: Schedule) -> tuple[argparse.Namespace, Schedule]:
    """Read the options that all training steps have in common."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--work", help="training folder (default: $MINI_WORK or mini/work)")
    parser.add_argument("--steps", type=int, default=default.steps)
    parser.add_argument("--batch", type=int, default=default.batch)
    parser.add_argument("--learning-rate", type=float, default=default.learning_rate)
    parser.add_argument("--minutes", type=float, default=default.minutes)
    parser.add_argument("--threads", type=int, default=default_threads())
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    schedule = Schedule(
        arguments.steps, arguments.batch, arguments.learning_rate, arguments.minutes,
        default.clip, default.weight_decay,
    )  # fmt: skip
    return arguments, schedule


class Trainer(Generic[M]):
    """Trains one module; its state lives in ``<work>/state/<name>.pt``."""

    def __init__(
        self,
        name: str,
        module: M,
        schedule: Schedule,
        work: Path,
        seed: int,
        mixed_precision: bool = False,
    ) -> None:
        """Resume where the last run stopped.

        Args:
            name: of the state file and the log.
            module: what is trained.
            schedule: steps, batch and rates.
            work: training folder.
            seed: of the batches and of dropout.
            mixed_precision: compute losses under bfloat16 autocast where the machine is faster so.
        """
        self.name, self.schedule, self.work = name, schedule, work
        self.mixed_precision = mixed_precision and has_fast_bfloat16()
        self.device = pick_device()
        self.module = module.to(self.device)
        self.average = {k: v.detach().clone() for k, v in module.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            module.parameters(), lr=schedule.learning_rate, betas=(0.9, 0.98),
            weight_decay=schedule.weight_decay, fused=True,
        )  # fmt: skip
        self.step, self.hours = 0, 0.0
        self.path = work / "state" / f"{name}.pt"
        self._resume()
        # a resumed run draws other batches than the run that it goes on from
        seed_everything(seed + self.step)
        self.log = Log(work, name)

    def run(
        self, loss: Callable[[int], Losses], evaluate: Callable[[], Mapping[str, float]], every: int
    ) -> None:
        """Train until the schedule or the minutes end.

        Args:
            loss: named losses of one batch; ``total`` is minimised.
            evaluate: held-out figures, called every ``every`` steps with the averaged weights
                loaded, in evaluation mode.
            every: steps between evaluations.
        """
        begin = logged = saved = time.monotonic()
        sums: dict[str, float] = {}
        count = 0
        while self.step < self.schedule.steps:
            losses = self._update(loss)
            count += 1
            for key, value in losses.items():
                sums[key] = sums.get(key, 0.0) + value
            now = time.monotonic()
            if self.step % 50 == 0:
                mean = {key: value / count for key, value in sums.items()}
                self.log.metrics(self.step, mean | {"steps_per_s": count / (now - logged)})
                sums, count, logged = {}, 0, now
            if self.step % every == 0:
                self.log.metrics(self.step, self.evaluated(evaluate))
            if now - saved > SAVE_SECONDS:
                self.hours += (now - saved) / 3600
                self.save()
                saved = now
            if now - begin > 60 * self.schedule.minutes:
                break
        self.hours += (time.monotonic() - saved) / 3600
        self.save()
        self.log.metrics(self.step, self.evaluated(evaluate))

    def _update(self, loss: Callable[[int], Losses]) -> dict[str, float]:
        self.module.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule.rate(self.step)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision):
            losses = loss(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        losses["total"].backward()
        nn.utils.clip_grad_norm_(self.module.parameters(), self.schedule.clip)
        self.optimizer.step()
        self.step += 1
        # a short memory at first, so that the average forgets the random start
        decay = min(EMA_DECAY, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, value in self.module.state_dict().items():
                if value.is_floating_point():
                    self.average[key].lerp_(value, 1 - decay)
        return {key: float(value.detach()) for key, value in losses.items()}

    def evaluated(self, evaluate: Callable[[], Mapping[str, float]]) -> dict[str, float]:
        """Run ``evaluate`` on the averaged weights, then put the trained ones back."""
        current = {k: v.detach().clone() for k, v in self.module.state_dict().items()}
        self.module.load_state_dict(self.average)
        self.module.eval()
        with torch.no_grad():
            figures = {f"heldout_{key}": value for key, value in evaluate().items()}
        self.module.load_state_dict(current)
        return figures | {"hours": self.hours}

    def save(self) -> None:
        """Write everything that a resumed run needs."""
        save_state(
            self.path,
            {
                "step": self.step,
                "hours": self.hours,
                "module": self.module.state_dict(),
                "average": self.average,
                "optimizer": self.optimizer.state_dict(),
            },
        )

    def _resume(self) -> None:
        state = load_state(self.path)
        if state is None:
            return
        self.step, self.hours = int(state["step"]), float(state["hours"])
        self.module.load_state_dict(state["module"])
        self.average = {k: v.to(self.device) for k, v in state["average"].items()}
        self.optimizer.load_state_dict(state["optimizer"])


def averaged_weights(work: Path, name: str) -> dict[str, Tensor] | None:
    """Return the averaged weights of a trained step, or None before its first save."""
    state = load_state(work / "state" / f"{name}.pt")
    return None if state is None else dict(state["average"])


def trained_hours(work: Path) -> dict[str, float]:
    """Return how many hours everything in the training folder has been trained, by name."""
    states = {path.stem: load_state(path) for path in sorted((work / "state").glob("*.pt"))}
    return {f"{name}_hours": float(state["hours"]) for name, state in states.items() if state}


__all__ = [
    "Losses", "Schedule", "Trainer", "averaged_weights", "parse_schedule", "trained_hours",
    "work_folder",
]  # fmt: skip
