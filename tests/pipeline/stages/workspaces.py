"""Workspaces for the stages that judge bundles."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np

from chattts_onnx.bundle import Bundle, open_bundle
from chattts_onnx.format.manifest import Manifest
from pipeline.config import Params
from pipeline.core.strict import parse_strictly
from pipeline.fidelity.models import Array
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


def add_noise(source: Path, target: Path, graph: str, scale: float, variant: str = "") -> Path:
    """A copy of a bundle, named ``variant``, with noise on each weight of a graph."""
    shutil.copytree(source, target)
    data = target / f"{graph}.onnx.data"
    values = np.fromfile(data, dtype="<f4")
    noise = np.random.default_rng(0).standard_normal(values.shape) * scale * np.abs(values)
    # Integer constants share the file; read as floats they are denormal.
    weights = np.isfinite(values) & (np.abs(values) > 1e-6) & (np.abs(values) < 100)
    values[weights] += noise[weights].astype("<f4")
    values.tofile(data)
    manifest = Manifest.load(target, verify=False)
    dataclasses.replace(manifest, variant=variant or manifest.variant).write(target)
    return target


def opened(workspace: Path, variant: str) -> Bundle:
    """A variant's bundle, on the CPU."""
    return open_bundle(workspace / "bundles" / variant, providers=["CPUExecutionProvider"])


def forced(bundle: Bundle) -> tuple[Array, Array]:
    """Hidden states and logits of a sentence with codes that are the same for every bundle."""
    prompt = bundle.prepare("hello there")[None]
    codes = np.random.default_rng(0).integers(
        0, bundle.model.end_token, (1, 9, bundle.model.num_vq)
    )
    return bundle.forced(prompt, np.ones(prompt.shape[:2], np.int64), codes)


def speaks_like_fp32(workspace: Path, variant: str, closeness: float) -> Bundle:
    """A variant that speaks, and whose hidden states are as close to those of FP32."""
    bundle = opened(workspace, variant)
    assert bundle.manifest.variant == variant
    a, b = (forced(each)[0] for each in (opened(workspace, "fp32"), bundle))
    assert (a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()) > closeness
    params = bundle.default_params().but(min_new_tokens=4, max_new_tokens=8)
    assert np.isfinite(bundle.say("hello", 7, params=params, seed=1)).all()
    return bundle
