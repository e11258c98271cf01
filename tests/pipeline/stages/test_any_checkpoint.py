"""Whatever the official classes can write becomes a bundle of every kind.

Sizes are drawn, and so are groups of tensors that are zero or equal to each other, as those of a
freshly made or partly tied checkpoint are: what is told apart by its value is told apart no more.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from chattts_onnx.bundle import Bundle, open_bundle
from pipeline.checkpoint import layout
from pipeline.checkpoint.build import build
from pipeline.checkpoint.config import BlocksConfig
from pipeline.checkpoint.tensors import open_tensors
from pipeline.stages import calibrate, export, fuse, quantize
from tests.pipeline.stages.workspaces import DATA, smoke_params

SAME = ("bias", "norm.weight", "layernorm.weight", "gamma", ".weight", "dwconv.weight")
"""Ends of names of tensors that become the same; of all of them, ``pwconv`` weights as well."""

EXAMPLES = int(os.environ.get("ANY_CHECKPOINT_EXAMPLES", "1"))
"""Drawn checkpoints: one of new sizes takes half a minute, one of sizes met before seconds."""

# how far hidden states may turn: two short prompts calibrate next to nothing
LEAST_COSINE = {"fp16": 0.999, "w8": 0.9, "int8": 0.8, "w4": 0.7}


@dataclasses.dataclass(frozen=True)
class Case:
    """Sizes of a checkpoint, and what is equal in it."""

    layers: int
    kv_heads: int
    groups: int
    head_dim: int
    inner: int
    blocks: int
    same: frozenset[str]
    zero: bool
    # hidden channels, None for those of all heads
    width: int | None = None
    # code books, and the groups of the quantizer that they belong to
    books: tuple[int, int] = (4, 2)
    levels: tuple[int, ...] = (5, 5, 5, 5)
    # ConvNeXt blocks: hidden and intermediate
    convnext: tuple[int, int] = (32, 64)
    # mels and samples of a window
    spectrum: tuple[int, int] = (100, 1024)
    # rows of the text embedding that no token has
    spare: int = 0
    tied: bool = False
    across: bool = False


CASES = st.builds(
    Case,
    layers=st.integers(1, 2),
    kv_heads=st.integers(1, 2),
    groups=st.integers(1, 2),
    head_dim=st.sampled_from([16, 32]),
    inner=st.sampled_from([80, 112]),
    blocks=st.integers(1, 2),
    same=st.frozensets(st.sampled_from(SAME), min_size=1),
    zero=st.booleans(),
    width=st.sampled_from([None, 48]),
    books=st.sampled_from([(4, 2), (4, 1), (2, 2), (1, 1), (6, 2)]),
    levels=st.sampled_from([(5, 5, 5, 5), (3, 3), (8,)]),
    convnext=st.sampled_from([(32, 64), (24, 40), (16, 112)]),
    spectrum=st.sampled_from([(100, 1024), (80, 512)]),
    spare=st.sampled_from([0, 37]),
    tied=st.booleans(),
    across=st.booleans(),
)


@pytest.fixture(scope="module")
def traced_once() -> Iterator[None]:
    """Let the exporter trace each module once for its sizes, and fill in weights afterwards.

    Tracing is nine tenths of an example's time and sees no weight's value; all that compares
    values, the simplification of graphs and what follows, runs anew for each checkpoint.
    """
    traced: dict[str, ir.Model] = {}
    export = torch.onnx.export

    def filled(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], **options: Any) -> Any:
        state = {name: tensor.detach() for name, tensor in module.state_dict().items()}
        shapes = [tuple(tensor.shape) for tensor in (*inputs, *state.values())]
        sizes = [
            {name: value for name, value in vars(part).items() if isinstance(value, int | float)}
            for part in module.modules()
        ]
        key = repr((module, shapes, sizes))
        if key not in traced:
            traced[key] = export(module, inputs, **options).model
        model = traced[key].clone()
        # a weight under another name would be noticed: the stage compares graph and module
        for name in state.keys() & model.graph.initializers.keys():
            value = model.graph.initializers[name]
            value.const_value = ir.tensor(state[name].numpy(), name=name)
        return SimpleNamespace(model=model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.onnx, "export", filled)
        yield


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.usefixtures("traced_once")
@example(Case(1, 1, 2, 32, 80, 2, frozenset({"bias"}), zero=True))
@example(Case(2, 1, 1, 16, 96, 2, frozenset(SAME), zero=False))
@example(
    Case(
        2, 1, 2, 16, 72, 1, frozenset({"bias", "norm.weight"}), zero=True, width=48, books=(6, 2),
        levels=(4, 4), convnext=(24, 40), spectrum=(80, 512), spare=37, tied=True, across=True,
    )
)  # fmt: skip
@given(CASES)
def test_every_variant_says_what_the_checkpoint_says(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        run_stages(case, workspace)
        expected = hidden(open_bundle(workspace / "bundles" / "fp32"))
        assert np.isfinite(expected).all()
        for variant, least in LEAST_COSINE.items():
            found = hidden(open_bundle(workspace / "bundles" / variant))
            cosine = (found * expected).sum(-1) / (
                np.linalg.norm(found, axis=-1) * np.linalg.norm(expected, axis=-1)
            )
            assert cosine.min() > least, variant


def run_stages(case: Case, workspace: Path) -> None:
    params = smoke_params()
    assert params.checkpoint.seeded is not None
    names = ("decoder", "dvae_decoder", "dvae_encoder", "vocos")
    seeded = params.checkpoint.seeded
    stacks: dict[str, Any] = {name: _blocks(getattr(seeded, name), case) for name in names}
    heads = case.kv_heads * case.groups
    sizes = dataclasses.replace(
        seeded,
        hidden_size=case.width or heads * case.head_dim,
        head_dim=case.head_dim,
        num_hidden_layers=case.layers,
        num_attention_heads=heads,
        num_key_value_heads=case.kv_heads,
        intermediate_size=case.inner,
        num_vq=case.books[0],
        vq_groups=case.books[1],
        vq_levels=list(case.levels),
        num_mels=case.spectrum[0],
        n_fft=case.spectrum[1],
        **stacks,
    )
    checkpoint = dataclasses.replace(params.checkpoint, seeded=sizes)
    params = dataclasses.replace(params, checkpoint=checkpoint)
    build(checkpoint, params.seed, workspace / "build" / "checkpoint")
    root = workspace / "build" / "checkpoint"
    make_same(root, case)
    change_embeddings(root, case)
    (workspace / "calibration_data").symlink_to(DATA)
    # each compares what it made with what it was made from
    for stage in (export, fuse, calibrate):
        stage.run(params, workspace)
    for variant in LEAST_COSINE:
        quantize.run(params, workspace, variant)


def _blocks(blocks: BlocksConfig, case: Case) -> BlocksConfig:
    hidden, intermediate = case.convnext
    return dataclasses.replace(
        blocks, num_layers=case.blocks, hidden=hidden, intermediate=intermediate
    )


def make_same(root: Path, case: Case) -> None:
    """Let tensors of one shape whose names end alike hold zeros, or the values of the first of
    their file, or of all files."""
    first: dict[tuple[object, ...], np.ndarray] = {}
    for file in layout.TENSOR_FILES:
        tensors = open_tensors(root / file)
        if not case.across:
            first.clear()
        for name in tensors.names:
            end = next((end for end in SAME if name.endswith(end) and end in case.same), None)
            if end is None or len(tensors.shapes[name]) > 3:
                continue
            entry = tensors.entries[name]
            data = np.memmap(root / file, "<f4", "r+", entry.begin, entry.shape)
            # a whole model of zeros says nothing, and the official classes write none
            if case.zero and end == "bias":
                data[:] = 0
            data[:] = first.setdefault((end, entry.shape), data.copy())
            data.flush()


def change_embeddings(root: Path, case: Case) -> None:
    """Rows that no token has, and heads that are the embeddings."""
    tensors = load_file(root / layout.EMBED)
    for name in ("emb_text", *(f"emb_code.{book}" for book in range(case.books[0]))):
        head = f"{name.replace('emb', 'head')}.parametrizations.weight.original"
        if case.spare and name == "emb_text":
            for key in (f"{name}.weight", f"{head}0", f"{head}1"):
                tensors[key] = np.concatenate([tensors[key], tensors[key][: case.spare]])
        if case.tied:
            tensors[f"{head}1"] = weight = tensors[f"{name}.weight"]
            tensors[f"{head}0"] = np.linalg.norm(weight, axis=1, keepdims=True)
    save_file(tensors, root / layout.EMBED)
    path = root / layout.GPT_CONFIG
    rows = len(tensors["emb_text.weight"])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"num_text_tokens": rows}))


def hidden(bundle: Bundle) -> np.ndarray:
    """Last hidden states of two prompts under teacher forcing."""
    random = np.random.default_rng(0)
    model = bundle.manifest.model
    text = random.integers(0, 100, (2, 9, 1)).repeat(model.num_vq, axis=2)
    codes = random.integers(0, model.num_audio_tokens - 1, (2, 12, model.num_vq))
    speaker = random.standard_normal((2, model.hidden_size)).astype(np.float32)
    found, _ = bundle.forced(text, np.ones((2, 9), np.int64), codes, speaker)
    return found
