"""Bundles as the stages write them: graphs, tokenizer and manifest in one folder."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
from tokenizers import Tokenizer

from chattts_onnx.format.manifest import GraphInfo, Manifest, ModelInfo, ReceptiveField, TensorInfo
from pipeline.checkpoint import layout
from pipeline.checkpoint.dims import CheckpointDims, load_dims
from pipeline.core.errors import ExportError

GRAPHS = ("gpt", "text_head", "decoder", "dvae_decode", "dvae_encode", "vocos")
TOKENIZER = "tokenizer.json"
# ChatTTS's defaults for the two passes
GENERATION: Mapping[str, Mapping[str, float]] = {
    "code": {
        "temperature": 0.3,
        "top_p": 0.7,
        "top_k": 20,
        "repetition_penalty": 1.05,
        "min_new_tokens": 0,
        "max_new_tokens": 2048,
    },
    "refine": {
        "temperature": 0.7,
        "top_p": 0.7,
        "top_k": 20,
        "repetition_penalty": 1.0,
        "min_new_tokens": 0,
        "max_new_tokens": 384,
    },
}


def finish_bundle(
    folder: Path, variant: str, checkpoint: Path, tools: Mapping[str, str]
) -> Manifest:
    """Complete a folder of graphs to a bundle: copy tokenizer and voices, write the manifest.

    Args:
        folder: holds every graph of :data:`GRAPHS`.
        variant: name of the bundle.
        checkpoint: folder in the official layout that the graphs were made from.
        tools: versions of what made them.

    Raises:
        CheckpointError: the checkpoint is not what its record says.
    """
    root = layout.find_root(checkpoint)
    shutil.copyfile(root / layout.TOKENIZER, folder / TOKENIZER)
    for name in layout.voice_files(root):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(root / name, folder / name)
    record = json.loads((root / layout.RECORD).read_text("utf-8"))
    manifest = Manifest(
        variant=variant,
        checkpoint=record,
        tools=dict(tools),
        model=model_info(load_dims(root)),
        graphs={name: graph_info(folder / f"{name}.onnx") for name in GRAPHS},
        generation=GENERATION,
        tokens=control_tokens(folder / TOKENIZER),
        notes={name: record[name] for name in ("sentences_apart", "language") if record.get(name)},
    )
    return manifest.write(folder)


def derive_bundle(source: Path, folder: Path, variant: str, **changes: Any) -> Manifest:
    """Complete ``folder`` to a variant of the bundle ``source``.

    Files that ``folder`` lacks are copied; graphs are described anew; ``changes`` go into the
    manifest as they are.
    """
    manifest = Manifest.load(source, verify=False)
    for name in manifest.files:
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, folder / name)
    graphs = {name: graph_info(folder / info.file) for name, info in manifest.graphs.items()}
    return replace(manifest, variant=variant, graphs=graphs, **changes).write(folder)


def model_info(dims: CheckpointDims) -> ModelInfo:
    """Return what the runtime must know of the sizes."""
    decoder, vocos = dims.decoder, dims.vocos

    def reach(blocks: int, kernel: int, dilation: int) -> int:
        return blocks * dilation * (kernel // 2)

    receptive_field = ReceptiveField(
        # two convolutions of three taps before the blocks, one after them
        decoder=reach(decoder.num_layers, decoder.kernel, decoder.dilation) + 3,
        vocos=reach(vocos.num_layers, vocos.kernel, vocos.dilation) + vocos.kernel // 2,
        istft=dims.n_fft // (2 * dims.hop_length),
    )
    return ModelInfo(
        hidden_size=dims.hidden_size,
        num_hidden_layers=dims.num_hidden_layers,
        num_attention_heads=dims.num_attention_heads,
        num_key_value_heads=dims.num_key_value_heads,
        head_dim=dims.head_dim,
        num_vq=dims.num_vq,
        num_audio_tokens=dims.num_audio_tokens,
        num_text_tokens=dims.num_text_tokens,
        max_position_embeddings=dims.max_position_embeddings,
        sample_rate=dims.sample_rate,
        hop_length=dims.hop_length,
        num_mels=dims.num_mels,
        kv_dtype="float32",
        receptive_field=receptive_field,
    )


def graph_info(path: Path) -> GraphInfo:
    """Describe the graph at ``path`` from its own inputs and outputs.

    Raises:
        ExportError: what it says of a tensor's shape or type is not what its operators give.
            ONNX Runtime may run such a graph all the same, other tools refuse it.
    """
    model = onnx.load(path, load_external_data=False)
    try:
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        raise ExportError(
            f"{path}: found shapes or types that contradict its operators, expected a graph that "
            f"ONNX's inference agrees with ({' '.join(str(error).split())})"
        ) from error
    graph = model.graph
    data = path.with_name(f"{path.name}.data")
    return GraphInfo(
        file=path.name,
        data=data.name if data.exists() else None,
        inputs=tuple(_tensor_info(value) for value in graph.input),
        outputs=tuple(_tensor_info(value) for value in graph.output),
    )


def control_tokens(tokenizer: Path) -> dict[str, int]:
    """Return name and id of every added token, in the order of their ids."""
    added = Tokenizer.from_file(str(tokenizer)).get_added_tokens_decoder()
    return {token.content: index for index, token in sorted(added.items())}


def _tensor_info(value: onnx.ValueInfoProto) -> TensorInfo:
    tensor = value.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    shape = tuple(d.dim_param or d.dim_value for d in tensor.shape.dim)
    return TensorInfo(value.name, dtype, shape)
