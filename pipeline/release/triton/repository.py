"""A bundle as a Triton model repository: a folder that a tritonserver is started on.

    model_repository/
      README.md
      chattts/config.pbtxt              text to chunks of audio, decoupled
      chattts/warmup/                   the tensors of its warm-up request
      chattts/1/                        model.py with the engine (chattts_onnx) and the bundle
      chattts_vocoder/config.pbtxt      log-mel to waveform, batched by Triton
      chattts_vocoder/1/                the ONNX graph

The engine's code lies in the repository, so that a repository in a bucket is all that a server
needs besides numpy, onnxruntime and tokenizers, and always runs the code it was checked with.
"""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

import chattts_onnx
from chattts_onnx.format.files import verify_files
from chattts_onnx.format.manifest import Manifest
from pipeline.core.atomic import output_directory, write_text
from pipeline.release.triton.config import TritonConfig
from pipeline.release.triton.model.inputs import FIELDS
from pipeline.release.triton.readme import readme
from pipeline.release.triton.text import (
    SPEECH,
    VOCODER,
    VOCODER_GRAPH,
    WARMUP,
    speech_config,
    vocoder_config,
)

VERSION = "1"
_TEMPLATES = Path(__file__).resolve().parent / "model"
_SPEECH_FILES = ("__init__.py", "inputs.py", "metrics.py", "model.py")
_ENGINE = Path(chattts_onnx.__file__).resolve().parent
# Front ends of their own, which need more than the base install.
_LEFT_OUT = ("__pycache__", "*.pyc", "cli", "serve", "bulk", "doctor", "__main__.py", "py.typed")


def write_repository(bundle: Path, destination: Path, config: TritonConfig) -> None:
    """Write the model repository of a bundle; an earlier one is replaced.

    Raises:
        BundleError: the bundle is missing or damaged.
        ReleaseError: its graphs can't be served.
    """
    manifest = Manifest.load(bundle)
    with output_directory(destination) as folder:
        _write_speech(folder / SPEECH, bundle, manifest, config)
        _write_vocoder(folder / VOCODER, bundle, manifest, config)
        write_text(folder / "README.md", readme(manifest, config))
        verify_files(folder / SPEECH / VERSION / "bundle", manifest.files)


def _write_speech(folder: Path, bundle: Path, manifest: Manifest, config: TritonConfig) -> None:
    version = folder / VERSION
    version.mkdir(parents=True)
    write_text(folder / "config.pbtxt", speech_config(manifest, config))
    for name in _SPEECH_FILES:
        shutil.copyfile(_TEMPLATES / name, version / name)
    shutil.copytree(_ENGINE, version / "chattts_onnx", ignore=shutil.ignore_patterns(*_LEFT_OUT))
    # Links would show what is not in the folder to a server in a container.
    shutil.copytree(bundle, version / "bundle", copy_function=shutil.copyfile)
    types = {field.name: field.dtype for field in FIELDS}
    for name, value in WARMUP.items():
        target = folder / "warmup" / name
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(_raw(types[name], value))


def _write_vocoder(folder: Path, bundle: Path, manifest: Manifest, config: TritonConfig) -> None:
    version = folder / VERSION
    version.mkdir(parents=True)
    write_text(folder / "config.pbtxt", vocoder_config(manifest, config))
    graph = manifest.graph(VOCODER_GRAPH)
    for name in (graph.file, graph.data):
        if name is not None:
            shutil.copyfile(bundle / name, version / name)
    if config.vocoder.backend == "python":
        shutil.copyfile(_TEMPLATES / "vocoder.py", version / "model.py")


def _raw(dtype: str, value: str | int) -> bytes:
    """A tensor [1] in Triton's raw form: little-endian, a string after its length."""
    if isinstance(value, str):
        encoded = value.encode("utf-8")
        return struct.pack("<I", len(encoded)) + encoded
    return struct.pack({"TYPE_INT32": "<i", "TYPE_INT64": "<q"}[dtype], value)
