"""Bundles as MLflow models: saved, and given to a run."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

import chattts_onnx
from chattts_onnx.format.manifest import Manifest
from chattts_onnx.speech.options import OPTIONS
from pipeline.core.tools import installed_version

CODE = Path(__file__).with_name("speech_model.py")
# What the model imports; pandas carries its tables.
REQUIREMENTS = ("mlflow", "numpy", "onnxruntime", "pandas", "tokenizers")
EXAMPLE: Mapping[str, Any] = {"text": "你好，世界。", "voice": "7", "seed": 1}
_KINDS = {str: "string", int: "long", float: "double", bool: "boolean"}
# Options of one row, or, as parameters, of all that say nothing else.
_OPTIONS = {option.shown: _KINDS[option.kind] for option in OPTIONS.values()}
SIGNATURE = ModelSignature(
    inputs=Schema(
        [
            ColSpec("string", "text"),
            ColSpec("string", "voice", required=False),
            *(ColSpec(kind, name, required=False) for name, kind in _OPTIONS.items()),
        ]
    ),
    outputs=Schema(
        [ColSpec("binary", "wav"), ColSpec("long", "sample_rate"), ColSpec("double", "seconds")]
    ),
    params=ParamSchema([ParamSpec(name, kind, None) for name, kind in _OPTIONS.items()]),
)


def save_model(bundle: Path, folder: Path) -> None:
    """Write a bundle as a pyfunc model into the new ``folder``.

    Raises:
        BundleError: the bundle is damaged.
    """
    manifest = Manifest.load(bundle)
    with warnings.catch_warnings():
        # The signature says more than type hints could.
        warnings.filterwarnings("ignore", ".*Add type hints", UserWarning)
        mlflow.pyfunc.save_model(
            str(folder),
            python_model=str(CODE),
            artifacts={"bundle": str(bundle)},
            code_paths=[str(Path(chattts_onnx.__file__).parent)],
            signature=SIGNATURE,
            input_example=dict(EXAMPLE),
            pip_requirements=[f"{name}=={installed_version(name)}" for name in REQUIREMENTS],
            metadata={
                "variant": manifest.variant,
                "checkpoint": str(manifest.checkpoint.get("name")),
                "weights_licence": str(manifest.checkpoint.get("license")),
            },
        )


def log_model(
    client: MlflowClient, experiment: str, run: str, bundle: Path, params: Mapping[str, str]
) -> str:
    """Give a run the model of a bundle; return the model's id."""
    manifest = Manifest.load(bundle, verify=False)
    model = client.create_logged_model(
        experiment,
        name=manifest.variant,
        source_run_id=run,
        params=dict(params),
        model_type="text-to-speech",
    )
    with tempfile.TemporaryDirectory() as scratch:
        saved = Path(scratch) / "model"
        save_model(bundle, saved)
        client.log_model_artifacts(model.model_id, str(saved))
    client.finalize_logged_model(model.model_id, "READY")
    return str(model.model_id)
