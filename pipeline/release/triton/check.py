"""A written ``config.pbtxt`` read back as Triton reads it, and held against the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chattts_onnx.format.manifest import Manifest
from pipeline.core.errors import ReleaseError
from pipeline.release.triton.model.inputs import FIELDS
from pipeline.release.triton.text import SPEECH, VOCODER, VOCODER_GRAPH

_NUMPY = {"TYPE_FP16": "float16", "TYPE_FP32": "float32"}


def parse_config(text: str, where: str) -> Any:
    """The ``ModelConfig`` message of a configuration's text.

    Raises :class:`ReleaseError` for a field that Triton does not know or a value of another type.
    """
    try:
        from google.protobuf import text_format
        from tritonclient.grpc import model_config_pb2
    except ImportError as error:
        raise ReleaseError(
            f"{error.name} is not installed; the configuration can't be checked without it. "
            "pip install 'tritonclient[grpc]'"
        ) from error
    try:
        return text_format.Parse(text, model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ReleaseError(f"{where} is no model configuration: {error}") from error


def check_repository(folder: Path, manifest: Manifest) -> None:
    """Check both models' configurations and that every file they name is there.

    Raises :class:`ReleaseError` with all that is wrong.
    """
    wrong = []
    for name in (SPEECH, VOCODER):
        path = folder / name / "config.pbtxt"
        config = parse_config(path.read_text(encoding="utf-8"), f"{name}/config.pbtxt")
        if config.name != name:
            wrong.append(f"{name}: the configuration is named {config.name!r}")
        wrong += [f"{name}: {problem}" for problem in _missing_files(config, folder / name)]
        wrong += [
            f"{name}: {problem}"
            for problem in (
                _speech_problems(config) if name == SPEECH else _vocoder_problems(config, manifest)
            )
        ]
    if wrong:
        raise ReleaseError(f"the model repository in {folder} is not usable: {'; '.join(wrong)}.")


def _missing_files(config: Any, folder: Path) -> list[str]:
    default = "model.py" if config.backend == "python" else config.default_model_filename
    names = [f"1/{default}"]
    if config.backend == "python" and "graph" in config.parameters:
        names.append(f"1/{config.parameters['graph'].string_value}")
    for warmup in config.model_warmup:
        files = [value.input_data_file for value in warmup.inputs.values()]
        names += [f"warmup/{name}" for name in files if name]
    return [f"{name} is missing" for name in names if not (folder / name).is_file()]


def _speech_problems(config: Any) -> list[str]:
    problems = []
    if not config.model_transaction_policy.decoupled:
        problems.append("it is not decoupled, so it can't stream")
    if config.HasField("dynamic_batching") or config.max_batch_size:
        problems.append("Triton batches it, which the engine does itself")
    found = {(entry.name, entry.optional) for entry in config.input}
    expected = {(field.name, field.optional) for field in FIELDS}
    if found != expected:
        problems.append(f"its inputs differ from the code's in {sorted(found ^ expected)}")
    return problems


def _vocoder_problems(config: Any, manifest: Manifest) -> list[str]:
    graph = manifest.graph(VOCODER_GRAPH)
    problems = []
    pairs = ((config.input, graph.inputs), (config.output, graph.outputs))
    for entries, tensors in pairs:
        for entry, tensor in zip(entries, tensors, strict=True):
            dims = [size if isinstance(size, int) else -1 for size in tensor.shape[1:]]
            dtype = type(entry).DESCRIPTOR.fields_by_name["data_type"].enum_type
            name = dtype.values_by_number[entry.data_type].name
            if (entry.name, list(entry.dims), _NUMPY.get(name)) != (
                tensor.name,
                dims,
                tensor.dtype,
            ):
                problems.append(
                    f"{entry.name} {name} {list(entry.dims)} is not the graph's "
                    f"{tensor.name} {tensor.dtype} {dims}"
                )
    if config.max_batch_size < 1 or not config.HasField("dynamic_batching"):
        problems.append("it is not batched dynamically")
    return problems
