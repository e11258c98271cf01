"""A workspace whose bundles were validated and timed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.report.rows import make_row

ROOT = Path(__file__).resolve().parents[3]
CHECKPOINT = {"name": "tiny", "kind": "seeded", "source": "seed:1", "revision": "r1"}
MACHINE = {"cpu": "x", "cores": 2, "isa": ["avx2"], "os": "Linux", "python": "3.11"}
VARIANTS = ("fp32", "int8")


@pytest.fixture
def workspace(tmp_path: Path, bundle_folder: Path) -> Path:
    """Bundles, reports and the project's own parameters."""
    for variant in VARIANTS:
        folder = tmp_path / "bundles" / variant
        shutil.copytree(bundle_folder, folder)
        edit_checkpoint(folder, **CHECKPOINT, license="none (random weights)")
    gates = [
        {"variant": v, "metric": "kl_divergence", "where": {}, "direction": "max", "limit": 0.05,
         "value": 0.01, "verdict": "kept"}
        for v in VARIANTS
    ]  # fmt: skip
    rows = [make_row(v, "kl_divergence", 0.01, "nat", head="all") for v in VARIANTS]
    write_report(tmp_path, "validation", rows, gates=gates)
    speeds = [
        make_row(v, "steps_per_second", speed, "steps/s", batch=1, length=72)
        for v, speed in (("reference", 10.0), ("fp32", 20.0), ("int8", 50.0))
    ]
    sizes = [make_row(v, "size_bytes", 1e6, "B") for v in VARIANTS]
    write_report(tmp_path, "benchmark", speeds + sizes)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return tmp_path


def write_report(workspace: Path, name: str, rows: list[dict[str, Any]], **context: Any) -> None:
    whole = {"checkpoint": {**CHECKPOINT, "weights": "random"}, "machine": MACHINE, **context}
    path = workspace / "reports" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"context": whole, "rows": rows}), encoding="utf-8")


def edit_checkpoint(bundle: Path, **values: str) -> None:
    """Change what a bundle says of its checkpoint."""
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    manifest["checkpoint"].update(values)
    path.write_text(json.dumps(manifest), encoding="utf-8")
