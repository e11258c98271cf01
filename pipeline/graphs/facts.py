"""The graphs of a bundle: what each one reads, in tests and from recordings.

The GPT has many inputs; where it is run says which.  Each other graph has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chattts_onnx.format.manifest import ModelInfo
from pipeline.checkpoint.dims import CheckpointDims

Array = NDArray[Any]
Random = np.random.Generator
Sizes = CheckpointDims | ModelInfo
UTTERANCES, STEPS = 2, 60
"""Size of random inputs."""
MAX_CODE_MISMATCH = 0.01
"""An error in the last digit moves a value over a cell's edge, and another code comes out."""


@dataclass(frozen=True)
class GraphFacts:
    """A graph.

    Attributes:
        name: of its file and in the manifest.
        input: name of its only input; '' for the GPT.
        recorded: which array of a recording it reads.
        batched: whether a batch's axis comes first.
        random: an input of :data:`UTTERANCES`, for comparisons and timing.
        tolerance: share of codes that may differ, where codes come out; None for the stage's.
    """

    name: str
    input: str = ""
    recorded: str = ""
    batched: bool = True
    random: Callable[[Sizes, Random], Array] | None = None
    tolerance: float | None = None


def _hidden(dims: Sizes, random: Random) -> Array:
    return random.standard_normal((UTTERANCES, STEPS, dims.hidden_size), dtype=np.float32)


GRAPHS = {
    facts.name: facts
    for facts in (
        GraphFacts("gpt"),
        GraphFacts(
            "text_head", "hidden", "text_hidden", batched=False,
            random=lambda dims, random: _hidden(dims, random)[0],
        ),
        GraphFacts("decoder", "hidden", "hidden", random=_hidden),
        GraphFacts(
            "dvae_decode", "codes", "codes",
            random=lambda dims, random: random.integers(
                0, dims.num_audio_tokens - 1, (UTTERANCES, STEPS, dims.num_vq)
            ),
        ),
        GraphFacts(
            "dvae_encode", "waveform", "waveform", tolerance=MAX_CODE_MISMATCH,
            random=lambda dims, random: 0.1 * random.standard_normal(
                (UTTERANCES, 2 * STEPS * dims.hop_length), dtype=np.float32
            ),
        ),
        GraphFacts(
            "vocos", "mel", "mel",
            random=lambda dims, random: random.standard_normal(
                (UTTERANCES, dims.num_mels, 2 * STEPS), dtype=np.float32
            ),
        ),
    )
}  # fmt: skip
"""In the order in which manifests name them."""
