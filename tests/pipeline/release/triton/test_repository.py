"""What is written for tritonserver, checked without one."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from google.protobuf import text_format

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import ReleaseError
from pipeline.release.triton.config import TritonConfig, VocoderModelConfig
from pipeline.release.triton.model.inputs import FIELDS
from pipeline.release.triton.repository import write_repository
from pipeline.release.triton.text import VOCODER, speech_config, vocoder_config

model_config = pytest.importorskip("tritonclient.grpc.model_config_pb2")
ROOT = Path(__file__).resolve().parents[4]
GPU = TritonConfig(device="gpu")
KIND_CPU, KIND_GPU = 2, 1


@pytest.fixture(scope="module")
def bundle(bundle_folder: Path) -> Bundle:
    return open_bundle(bundle_folder, threads=1)


@pytest.fixture
def repository(bundle: Bundle, tmp_path: Path) -> Path:
    write_repository(bundle.path, tmp_path / "models", TritonConfig())
    return tmp_path / "models"


def parsed(text: str) -> Any:
    """As Triton reads a configuration: unknown fields and other types are errors."""
    return text_format.Parse(text, model_config.ModelConfig())


def written(folder: Path, name: str) -> Any:
    config = parsed((folder / name / "config.pbtxt").read_text(encoding="utf-8"))
    assert config.name == name
    return config


def test_the_speech_model_streams_and_is_not_batched_by_triton(repository: Path) -> None:
    config = written(repository, "chattts")
    assert config.model_transaction_policy.decoupled
    assert config.max_batch_size == 0 and not config.HasField("dynamic_batching")
    assert [group.kind for group in config.instance_group] == [KIND_CPU]
    assert [(entry.name, entry.optional) for entry in config.input] == [
        (field.name, field.optional) for field in FIELDS
    ]
    assert {field.name for field in FIELDS if not field.optional} == {"text"}
    text = (repository / "chattts/config.pbtxt").read_text(encoding="utf-8")
    assert "# " in text and "dynamic_batching is left out" in text


def test_the_warm_up_is_a_request_that_the_model_can_read(repository: Path) -> None:
    (warmup,) = written(repository, "chattts").model_warmup
    assert set(warmup.inputs) == {"text", "seed", "max_new_tokens"}
    folder = repository / "chattts/warmup"
    raw = (folder / "text").read_bytes()
    assert len(raw) == 4 + int.from_bytes(raw[:4], "little")
    assert np.frombuffer((folder / "max_new_tokens").read_bytes(), "<i4").size == 1
    assert np.frombuffer((folder / "seed").read_bytes(), "<i8").size == 1


def test_the_vocoder_runs_in_onnx_runtime_by_its_configured_interface(
    repository: Path, bundle: Bundle
) -> None:
    """What the onnxruntime backend does with it: the file, the names, types and shapes."""
    config = written(repository, VOCODER)
    assert config.backend == "onnxruntime"
    assert config.max_batch_size > 1 and config.HasField("dynamic_batching")
    session = ort.InferenceSession(
        repository / VOCODER / "1" / config.default_model_filename,
        providers=["CPUExecutionProvider"],
    )
    (given,), (made,) = config.input, config.output
    (warmup,) = config.model_warmup
    shape = [config.max_batch_size, *warmup.inputs[given.name].dims]
    mel = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    (waveform,) = session.run([made.name], {given.name: mel})
    assert [entry.name for entry in session.get_inputs()] == [given.name]
    assert [len(entry.shape) for entry in session.get_outputs()] == [1 + len(made.dims)]
    np.testing.assert_allclose(waveform, bundle.vocode(mel), atol=1e-5)


def test_the_engine_and_the_bundle_travel_with_it(repository: Path, bundle: Bundle) -> None:
    version = repository / "chattts/1"
    Manifest.load(version / "bundle")
    # In a fresh interpreter that finds no other chattts_onnx.
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import chattts_onnx as c;"
        "b = c.open_bundle(sys.argv[1] + '/bundle', threads=1); print(c.__file__);"
        "print(len(b.say('hello', seed=1)))"
    )
    command = [sys.executable, "-c", code, str(version)]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    place, samples = done.stdout.split()
    assert Path(place).is_relative_to(version)
    assert int(samples) == len(bundle.say("hello", seed=1))


def test_gpu_instances_have_the_cuda_provider_and_its_arena(bundle: Bundle) -> None:
    speech = parsed(speech_config(bundle.manifest, GPU))
    vocoder = parsed(vocoder_config(bundle.manifest, GPU))
    assert [g.kind for g in (*speech.instance_group, *vocoder.instance_group)] == [KIND_GPU] * 2
    options = json.loads(speech.parameters["cuda_options"].string_value)
    (accelerator,) = vocoder.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "cuda"
    assert dict(accelerator.parameters) == options == {"arena_extend_strategy": "kSameAsRequested"}


def test_a_fixed_batch_cannot_be_served(bundle: Bundle) -> None:
    graph = bundle.manifest.graph("vocos")
    fixed = replace(graph.inputs[0], shape=(1, *graph.inputs[0].shape[1:]))
    graphs = {**bundle.manifest.graphs, "vocos": replace(graph, inputs=(fixed,))}
    with pytest.raises(ReleaseError, match="fixed batch of 1"):
        vocoder_config(replace(bundle.manifest, graphs=graphs), TritonConfig())


def test_the_command_writes_one_or_says_why_not(bundle: Bundle, tmp_path: Path) -> None:
    def run(folder: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pipeline.release.triton", "--bundle", folder]
        return subprocess.run(
            [*command, "--out", tmp_path / "models", "--slots", "3", "--vocoder-backend", "python"],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )

    missing = run(tmp_path / "nothing")
    assert missing.returncode == 2 and "BundleError" in missing.stderr
    assert not (tmp_path / "models").exists()
    assert run(bundle.path).returncode == 0
    assert written(tmp_path / "models", "chattts").parameters["slots"].string_value == "3"
    assert (tmp_path / "models" / VOCODER / "1/model.py").is_file()
    readme = (tmp_path / "models/README.md").read_text(encoding="utf-8")
    assert "What differs on a GPU" in readme and "{" not in readme.replace("{speech}", "")


def test_vocoder_without_the_onnxruntime_backend(bundle: Bundle) -> None:
    config = TritonConfig(vocoder=VocoderModelConfig(backend="python"))
    made = parsed(vocoder_config(bundle.manifest, config))
    assert made.backend == "python" and made.HasField("dynamic_batching")
