"""``config.pbtxt`` of both models, generated from a bundle's manifest."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from chattts_onnx.format.manifest import Manifest, TensorInfo
from chattts_onnx.speech.windows import StreamOptions
from pipeline.core.errors import ReleaseError
from pipeline.release.triton.config import TritonConfig
from pipeline.release.triton.model.inputs import FIELDS

SPEECH = "chattts"
VOCODER = "chattts_vocoder"
VOCODER_GRAPH = "vocos"
# The first request is a short one, so that the first user's is not.
WARMUP: dict[str, str | int] = {"text": "Hello.", "seed": 1, "max_new_tokens": 24}

_HEADER = """\
# Made from the manifest of the bundle {variant!r} of checkpoint {checkpoint!r} by
# `python -m pipeline.release.triton`: change its settings, not this file.
"""
_TYPES = {
    "float16": "TYPE_FP16",
    "float32": "TYPE_FP32",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}
# The arena grows by what is asked for: doubling costs a gigabyte where a KV cache lies in it.
CUDA_OPTIONS = {"arena_extend_strategy": "kSameAsRequested"}


def speech_config(manifest: Manifest, config: TritonConfig) -> str:
    """The decoupled model's configuration; its ``parameters`` are what ``model.py`` reads."""
    settings = config.speech
    inputs = [
        _tensor(field.name, field.dtype, ["1"], "optional: true" if field.optional else "")
        for field in FIELDS
    ]
    outputs = [
        _tensor("audio", "TYPE_FP32", ["-1"]),
        _tensor("pcm", "TYPE_INT16", ["-1"]),
        _tensor("sample_rate", "TYPE_INT32", ["1"]),
    ]
    parameters = {
        "slots": settings.slots,
        "queue_size": settings.queue_size,
        "threads": settings.threads,
        "max_characters": settings.max_characters,
    }
    cuda = {"cuda_options": json.dumps(CUDA_OPTIONS)} if config.device == "gpu" else {}
    warmup = ", ".join(
        f'{{ key: "{name}" value {{ data_type: {_field_type(name)} dims: [ 1 ] '
        f'input_data_file: "{name}" }} }}'
        for name in WARMUP
    )
    return f"""{_header(manifest)}
name: "{SPEECH}"
backend: "python"

# One request is one text.  dynamic_batching is left out on purpose: it starts requests together and
# could not let one join a batch that is running.  The engine does, over {settings.slots} slots.
max_batch_size: 0
model_transaction_policy {{ decoupled: true }}

input {_list(inputs)}
# Of each chunk; ask for those you need.  audio is within -1 and 1, pcm is the same as integers.
output {_list(outputs)}

{_instances(config, settings.instances)}
model_warmup [
  {{ name: "short sentence" batch_size: 1 inputs [ {warmup} ] }}
]

{_parameters({**parameters, **cuda})}"""


def vocoder_config(manifest: Manifest, config: TritonConfig) -> str:
    """The vocoder's configuration: names, types and dimensions of the bundle's graph.

    Raises :class:`ReleaseError` when that graph has more than one input or output, or a first
    dimension that is fixed.
    """
    settings = config.vocoder
    graph = manifest.graph(VOCODER_GRAPH)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ReleaseError(
            f"graph {VOCODER_GRAPH!r} has {len(graph.inputs)} inputs and {len(graph.outputs)} "
            "outputs; expected one of each. Rebuild the bundle with this release."
        )
    (mel,), (waveform,) = graph.inputs, graph.outputs
    frames = _warmup_frames(manifest)
    dims = ", ".join(_dims(mel, dynamic=str(frames)))
    parameters: dict[str, object] = {"intra_op_thread_count": settings.threads}
    if settings.backend == "python":
        model = 'backend: "python"'
        parameters["graph"] = graph.file
    else:
        model = f'backend: "onnxruntime"\ndefault_model_filename: "{graph.file}"'
    return f"""{_header(manifest)}
name: "{VOCODER}"
{model}

max_batch_size: {settings.max_batch_size}
# Mels of one length run together.  Windows of a stream have few lengths, so they meet.
dynamic_batching {{ max_queue_delay_microseconds: {settings.max_queue_delay_microseconds} }}

input {_list([_tensor(mel.name, _type(mel), _dims(mel))])}
output {_list([_tensor(waveform.name, _type(waveform), _dims(waveform))])}

{_instances(config, settings.instances)}
# The mel of a stream's first window.
model_warmup [
  {{
    name: "first window"
    batch_size: 1
    inputs [ {{ key: "{mel.name}" value {{ data_type: {_type(mel)} dims: [ {dims} ] \
random_data: true }} }} ]
  }}
]
{_accelerator(config)}
{_parameters(parameters)}"""


def _header(manifest: Manifest) -> str:
    checkpoint = str(manifest.checkpoint.get("name", "unknown"))
    return _HEADER.format(variant=manifest.variant, checkpoint=checkpoint)


def _field_type(name: str) -> str:
    return next(field.dtype for field in FIELDS if field.name == name)


def _tensor(name: str, dtype: str, dims: Iterable[str], more: str = "") -> str:
    body = f'name: "{name}" data_type: {dtype} dims: [ {", ".join(dims)} ] {more}'
    return f"{{ {body.strip()} }}"


def _list(entries: Iterable[str]) -> str:
    return "[\n" + ",\n".join(f"  {entry}" for entry in entries) + "\n]"


def _type(tensor: TensorInfo) -> str:
    if tensor.dtype not in _TYPES:
        raise ReleaseError(
            f"{tensor.name} is of type {tensor.dtype}; Triton is given {', '.join(_TYPES)}."
        )
    return _TYPES[tensor.dtype]


def _dims(tensor: TensorInfo, dynamic: str = "-1") -> list[str]:
    """Dimensions after the batch's, which Triton adds itself."""
    batch, *rest = tensor.shape
    if isinstance(batch, int):
        raise ReleaseError(
            f"{tensor.name} has a fixed batch of {batch}; Triton's batcher needs a dynamic one. "
            "Rebuild the bundle with this release."
        )
    return [str(size) if isinstance(size, int) else dynamic for size in rest]


def _warmup_frames(manifest: Manifest) -> int:
    """Mel frames of the first window: its steps and what it looks ahead, two frames each."""
    return 2 * (StreamOptions().first_chunk + manifest.model.receptive_field.steps)


def _instances(config: TritonConfig, count: int) -> str:
    kind = "KIND_GPU" if config.device == "gpu" else "KIND_CPU"
    return f"instance_group [ {{ kind: {kind} count: {count} }} ]"


def _accelerator(config: TritonConfig) -> str:
    """Options of the CUDA provider in the onnxruntime backend."""
    if config.device != "gpu" or config.vocoder.backend != "onnxruntime":
        return ""
    options = " ".join(
        f'parameters {{ key: "{key}" value: "{value}" }}' for key, value in CUDA_OPTIONS.items()
    )
    return f"""
optimization {{
  execution_accelerators {{ gpu_execution_accelerator [ {{ name: "cuda" {options} }} ] }}
}}
"""


def _parameters(values: Mapping[str, object]) -> str:
    quoted = {json.dumps(key): json.dumps(str(value)) for key, value in values.items()}
    return "".join(
        f"parameters {{ key: {key} value {{ string_value: {value} }} }}\n"
        for key, value in quoted.items()
    )
