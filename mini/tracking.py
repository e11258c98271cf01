"""Figures of training: to MLflow (a SQLite file in the training folder), to ``curves.jsonl`` there
and to the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import mlflow


class Log:
    """One MLflow run per training step, gone on with when training resumes."""

    def __init__(self, work: Path, name: str) -> None:
        self.name, self.curves = name, work / "curves.jsonl"
        mlflow.set_tracking_uri(f"sqlite:///{work / 'mlflow.db'}")
        mlflow.set_experiment("mini")
        marker = work / "state" / f"{name}.run"
        run_id = marker.read_text().strip() if marker.exists() else None
        run = mlflow.start_run(run_id=run_id, run_name=name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.write_text(run.info.run_id)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Log figures of one step."""
        mlflow.log_metrics(dict(values), step=step)
        line = {"time": round(time.time()), "name": self.name, "step": step, **values}
        with self.curves.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line) + "\n")
        text = " ".join(f"{key} {value:.4f}" for key, value in values.items())
        print(f"{time.strftime('%H:%M:%S')} {self.name} {step}: {text}", flush=True)
