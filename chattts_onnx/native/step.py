"""Which engine runs the GPT's steps: the library where it fits, else ONNX Runtime."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from ..format.manifest import Manifest, ModelInfo
from ..graphs.sessions import CPU, SessionConfig, check_external_data
from .choice import NATIVE, ORT, wanted_instructions, wanted_step
from .gpt import Gpt, read_gpt
from .graph import Graph, UnknownGraphError, read_graph
from .library import NativeModel, Sizes, UnavailableError, load
from .weights import Weight


@dataclass(frozen=True)
class Step:
    """What runs the steps (``native`` or ``ort``), and why."""

    engine: str
    why: str
    model: NativeModel | None = None

    def __str__(self) -> str:
        return f"{self.engine} ({self.why})"


def choose_step(path: Path, manifest: Manifest, config: SessionConfig) -> Step:
    """Open the library's step over the bundle in folder ``path`` where it is wanted and fits.

    Raises :class:`InputError` where ``native`` is demanded and does not fit, and
    :class:`BundleError` where a file is damaged.
    """
    wanted = wanted_step(config.step)
    if wanted == ORT:
        return Step(ORT, "it was asked for")
    try:
        model = open_native(path, manifest, config)
    except UnknownGraphError as error:
        reason = f"the graph has what the library does not know: {error}"
    except UnavailableError as error:
        reason = str(error)
    else:
        return Step(NATIVE, f"{model.instructions}, {model.threads} threads", model)
    if wanted == NATIVE:
        raise InputError(f"no native step: {reason}.")
    return Step(ORT, reason)


def open_native(path: Path, manifest: Manifest, config: SessionConfig) -> NativeModel:
    """Pack the GPT's weights; raises :class:`UnavailableError` or :class:`UnknownGraphError`."""
    names = [name for name, _ in config.providers]
    if names != [CPU]:
        raise UnavailableError(f"{names[0]} runs the graphs")
    library = load()
    info = manifest.graph("gpt")
    file = path / info.file
    check_external_data(file, info.data)
    graph = read_graph(file, path / info.data if info.data else None)
    gpt = read_gpt(graph, manifest.model)
    return NativeModel(
        library,
        gpt,
        sizes_of(gpt, manifest.model),
        config.threads,
        config.spinning,
        wanted=wanted_instructions(),
        packed=_forget(graph, gpt),
    )


def sizes_of(gpt: Gpt, model: ModelInfo) -> Sizes:
    """What the library is told of the model."""
    return Sizes(
        layers=model.num_hidden_layers,
        hidden=model.hidden_size,
        heads=model.num_attention_heads,
        kv_heads=model.num_key_value_heads,
        width=model.head_dim,
        inner=gpt.layers[0].down.inputs,
        codes=model.num_vq,
        audio_tokens=model.num_audio_tokens,
        text_tokens=model.num_text_tokens,
        positions=len(gpt.cos),
        speaker_token=gpt.speaker_token,
        int8_cache=int(model.kv_dtype == "int8"),
    )


def _forget(graph: Graph, gpt: Gpt) -> Callable[[int], None]:
    """Give a packed layer's pages of the file back, so that weights are not in memory twice."""
    start = graph.address

    def forget(layer: int) -> None:
        if graph.data is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        own = gpt.layers[layer]
        for weight in (own.qkv, own.output, own.gate_up, own.down):
            _drop(graph.data, start, weight)

    return forget


def _drop(data: mmap.mmap, start: int, weight: Weight) -> None:
    page = mmap.PAGESIZE
    first = weight.values.ctypes.data - start
    end = (first + weight.values.nbytes) // page * page
    first = -(-first // page) * page
    if 0 <= first < end <= len(data):
        data.madvise(mmap.MADV_DONTNEED, first, end - first)
