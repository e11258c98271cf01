"""The GPT graph extended by the sampler and by its own next inputs.

One run then is a whole step: it reads codes, draws the next ones, and writes them, the history and
the lengths to where the next run reads them.  What leaves the device are hidden state and codes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort

from ..format.manifest import ModelInfo
from ..graphs.sessions import SessionConfig, create_session, session_options, step_providers
from .device_sampler import PREFIX, Field, build_sampler, sampler_fields
from .graph_fragment import Fragment

RESULT = "step/result"
ADVANCE = "step/advance"
NEXT = "next/"
FED_BACK = ("input_ids", "seqlens_k", f"{PREFIX}/history")
"""Inputs that a step writes itself, as outputs under the prefix :data:`NEXT`."""

_EXTERNAL_DATA = "session.model_external_initializers_file_folder_path"


def step_fields(model: ModelInfo) -> dict[str, Field]:
    """All inputs of a step but the cache and ``total_sequence_length``, by the graph's names.

    ``step/advance`` is what a run adds to ``seqlens_k``: 1 for running rows, 0 for idle ones.
    """
    return {
        "input_ids": Field("int64", (1, model.num_vq), 0),
        "text_mask": Field("bool", (1,), False),
        "speaker": Field("float32", (model.hidden_size,), 0),
        "logits_index": Field("int64", (), 0),
        "seqlens_k": Field("int32", (), 0),
        **extension_fields(model),
    }


def extension_fields(model: ModelInfo) -> dict[str, Field]:
    """The inputs that the extension adds to the GPT graph."""
    sampler = {f"{PREFIX}/{name}": field for name, field in sampler_fields(model).items()}
    return {**sampler, ADVANCE: Field("int32", (), 0)}


def extension(model: ModelInfo) -> bytes:
    """The nodes to append to an encoded GPT graph."""
    f = Fragment("step")
    codes = build_sampler(model, f)
    advance = f.input(ADVANCE, "int32", ("batch",))
    row = f.constant([1], "int64")
    drawn = f.op("Unsqueeze", codes, row, output=f"{NEXT}input_ids")
    end = f.constant([np.iinfo(np.int64).max], "int64")
    newer = f.op("Slice", f"{PREFIX}/history", row, end, row)
    f.op("Concat", newer, drawn, output=f"{NEXT}{PREFIX}/history", axis=1)
    # The lengths are overwritten in place, so their sum must wait until attention has read them;
    # codes are drawn last, and every code is -1 or more.
    first = f.op("Gather", codes, f.constant(0, "int64"), axis=1)
    one = f.cast(f.op("GreaterOrEqual", first, f.constant(-1, "int64")), "int32")
    f.op("Add", "seqlens_k", f.op("Mul", advance, one), output=f"{NEXT}seqlens_k")
    f.op("Concat", "hidden", f.cast(codes, "float32"), output=RESULT, axis=1)
    f.output(f"{NEXT}input_ids", "int64", ("batch", 1, model.num_vq))
    fields = sampler_fields(model)
    f.output(f"{NEXT}{PREFIX}/history", "int64", ("batch", *fields["history"].shape))
    f.output(f"{NEXT}seqlens_k", "int32", ("batch",))
    f.output(RESULT, "float32", ("batch", model.hidden_size + model.num_vq))
    return f.to_bytes()


def open_step_session(
    path: Path,
    model: ModelInfo,
    config: SessionConfig,
    options: ort.SessionOptions | None = None,
) -> ort.InferenceSession:
    """Open the GPT graph at ``path`` with the extension; the weights stay in their file.

    Raises as :func:`chattts_onnx.graphs.sessions.create_session`.
    """
    options = options or session_options(config)
    options.add_session_config_entry(_EXTERNAL_DATA, str(path.parent.resolve()))
    extended = path.read_bytes() + extension(model)
    return create_session(path, extended, step_providers(config), options)
