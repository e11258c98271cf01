"""Workspaces for the stages that judge bundles."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from chattts_onnx.format.manifest import Manifest
from pipeline.config import Params
from pipeline.core.strict import parse_strictly
from pipeline.params import compose_params

DATA = Path(__file__).resolve().parents[3] / "calibration_data"


def smoke_params(**groups: dict[str, object]) -> Params:
    """Parameters of the smoke experiment with some fields of some groups replaced."""
    params = parse_strictly(compose_params(["experiment=smoke"]), Params)
    changed = {
        name: dataclasses.replace(getattr(params, name), **fields)
        for name, fields in groups.items()
    }
    return dataclasses.replace(params, **changed)


def add_damaged(workspace: Path, variant: str, graph: str, scale: float) -> None:
    """A copy of ``bundles/fp32`` with noise of ``scale`` times each weight in one graph."""
    target = workspace / "bundles" / variant
    shutil.copytree(workspace / "bundles" / "fp32", target)
    data = target / f"{graph}.onnx.data"
    values = np.fromfile(data, dtype="<f4")
    noise = np.random.default_rng(0).standard_normal(values.shape) * scale * np.abs(values)
    # Integer constants share the file; read as floats they are denormal.
    weights = np.isfinite(values) & (np.abs(values) > 1e-6) & (np.abs(values) < 100)
    values[weights] += noise[weights].astype("<f4")
    values.tofile(data)
    manifest = Manifest.load(target, verify=False)
    dataclasses.replace(manifest, variant=variant).write(target)
