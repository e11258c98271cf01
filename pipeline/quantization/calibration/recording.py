"""Real inputs for every graph: what the FP32 bundle says to real prompts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chattts_onnx.format.manifest import ModelInfo
from pipeline.core.errors import QuantizationError
from pipeline.graphs.facts import GRAPHS

Array = NDArray[Any]

TEXT, CODE, ALL = "text", "code", "all"


@dataclass(frozen=True)
class Recording:
    """One prompt and what the model made of it.

    Attributes:
        text_ids: int64 [S], the prompt of the code pass.
        speaker: float32 [hidden], zeros where the prompt names none.
        codes: int64 [T, num_vq], the generated codes.
        hidden: float32 [T, hidden], the states that predicted them.
        text_hidden: float32 [R, hidden], last states over a prompt of the refine pass.
        mel: float32 [num_mels, 2 T], the Decoder's output.
        waveform: float32 [samples], Vocos's output.
    """

    text_ids: Array
    speaker: Array
    codes: Array
    hidden: Array
    text_hidden: Array
    mel: Array
    waveform: Array


def gpt_feeds(
    model: ModelInfo, text_ids: Array, codes: Array, speaker: Array, selected: Array
) -> dict[str, Array]:
    """Inputs of the fused GPT graph for one pass over a prompt and codes, with an empty cache.

    Args:
        model: sizes, and the type of the cache.
        text_ids: int64 [S].
        codes: int64 [T, num_vq], T may be 0.
        speaker: float32 [hidden].
        selected: int64 [N], positions whose hidden states and logits are wanted.
    """
    prompt, total = len(text_ids), len(text_ids) + len(codes)
    repeated = np.repeat(text_ids.astype(np.int64)[:, None], model.num_vq, 1)
    shape = (1, model.num_key_value_heads, total, model.head_dim)
    cache = {
        f"past_key_values.{layer}.{part}": np.zeros(shape, model.kv_dtype)
        for layer in range(model.num_hidden_layers)
        for part in ("key", "value")
    }
    return {
        "input_ids": np.concatenate([repeated, codes.astype(np.int64)])[None],
        "text_mask": (np.arange(total) < prompt)[None],
        "speaker": speaker.astype(np.float32)[None],
        "logits_index": selected.astype(np.int64),
        "seqlens_k": np.array([total - 1], np.int32),
        "total_sequence_length": np.array(total, np.int32),
        **cache,
    }


def graph_feeds(graph: str, model: ModelInfo, recording: Recording) -> Iterator[dict[str, Array]]:
    """Inputs of one graph, in the forms in which it is run.

    Raises:
        QuantizationError: the bundle holds a graph that is not known here.
    """
    if graph == "gpt":
        prompt, steps = len(recording.text_ids), len(recording.codes)
        selected = np.arange(prompt - 1, prompt - 1 + steps)
        # the last code predicts nothing that was generated
        codes = recording.codes[:-1]
        yield gpt_feeds(model, recording.text_ids, codes, recording.speaker, selected)
    elif graph in GRAPHS:
        facts = GRAPHS[graph]
        value = getattr(recording, facts.recorded)
        yield {facts.input: value[None] if facts.batched else value}
    else:
        raise QuantizationError(
            f"found graph {graph!r} in the bundle, expected one of {', '.join(GRAPHS)}; teach "
            "pipeline/graphs/facts.py its inputs"
        )


def split_phases(
    graph: str, value: Array, feeds: Mapping[str, Array]
) -> Iterator[tuple[str, Array]]:
    """An activation parted into text and code positions where the graph sees both.

    In the GPT, what has the shape [1, S, ...] goes by ``text_mask``, and selected rows count as
    code, since they predict codes.
    """
    if graph != "gpt":
        yield ALL, value
        return
    mask = feeds["text_mask"][0]
    if value.ndim >= 2 and value.shape[:2] == (1, len(mask)):
        yield TEXT, value[0, mask]
        yield CODE, value[0, ~mask]
    else:
        yield CODE, value
