"""Whatever the official classes can write becomes a bundle of every kind.

Sizes are drawn, and so are groups of tensors that are zero or equal to each other, as those of a
freshly made or partly tied checkpoint are: what is told apart by its value is told apart no more.
"""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from chattts_onnx.bundle import Bundle, open_bundle
from pipeline.checkpoint import layout
from pipeline.checkpoint.build import build
from pipeline.checkpoint.config import BlocksConfig
from pipeline.checkpoint.tensors import open_tensors
from pipeline.stages import calibrate, export, fuse, quantize
from tests.pipeline.stages.workspaces import DATA, smoke_params

SAME = ("bias", "norm.weight", "layernorm.weight", "gamma", ".weight", "dwconv.weight")
"""Ends of names of tensors that become the same; of all of them, ``pwconv`` weights as well."""

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

    @property
    def width(self) -> int:
        return self.kv_heads * self.groups * self.head_dim


CASES = st.builds(
    Case,
    layers=st.integers(1, 3),
    kv_heads=st.integers(1, 2),
    groups=st.integers(1, 3),
    head_dim=st.sampled_from([16, 32]),
    inner=st.integers(5, 9).map(lambda n: 16 * n),
    blocks=st.integers(1, 3),
    same=st.frozensets(st.sampled_from(SAME), min_size=1),
    zero=st.booleans(),
)


@pytest.mark.slow
@settings(
    max_examples=1,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@example(Case(1, 1, 2, 32, 80, 2, frozenset({"bias"}), zero=True))
@example(Case(2, 1, 1, 16, 96, 2, frozenset(SAME), zero=False))
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
    sizes = dataclasses.replace(
        seeded,
        hidden_size=case.width,
        num_hidden_layers=case.layers,
        num_attention_heads=case.kv_heads * case.groups,
        num_key_value_heads=case.kv_heads,
        intermediate_size=case.inner,
        **stacks,
    )
    checkpoint = dataclasses.replace(params.checkpoint, seeded=sizes)
    params = dataclasses.replace(params, checkpoint=checkpoint)
    build(checkpoint, params.seed, workspace / "build" / "checkpoint")
    make_same(workspace / "build" / "checkpoint", case)
    (workspace / "calibration_data").symlink_to(DATA)
    # each compares what it made with what it was made from
    for stage in (export, fuse, calibrate):
        stage.run(params, workspace)
    for variant in LEAST_COSINE:
        quantize.run(params, workspace, variant)


def _blocks(blocks: BlocksConfig, case: Case) -> BlocksConfig:
    return dataclasses.replace(blocks, num_layers=case.blocks)


def make_same(root: Path, case: Case) -> None:
    """Let tensors of one shape whose names end alike hold zeros, or the values of the first."""
    for file in layout.TENSOR_FILES:
        tensors = open_tensors(root / file)
        first: dict[tuple[object, ...], np.ndarray] = {}
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


def hidden(bundle: Bundle) -> np.ndarray:
    """Last hidden states of two prompts under teacher forcing."""
    random = np.random.default_rng(0)
    model = bundle.manifest.model
    text = random.integers(0, 100, (2, 9, 1)).repeat(model.num_vq, axis=2)
    codes = random.integers(0, model.num_audio_tokens - 1, (2, 12, model.num_vq))
    speaker = random.standard_normal((2, model.hidden_size)).astype(np.float32)
    found, _ = bundle.forced(text, np.ones((2, 9), np.int64), codes, speaker)
    return found
