"""Same codes, same audio: engines against the official package's own outputs.

``peer/oracle.py`` runs the official classes over given prompts and codes and stores what they
return; here the reference and every bundle do the same.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.core.errors import BenchmarkError
from pipeline.core.process import run
from pipeline.fidelity.models import SpeechModel
from pipeline.report.rows import Row, make_row

Array = NDArray[Any]


def official_outputs(python: Path, checkpoint: Path, steps: int) -> dict[str, Array]:
    """Let the official package compute its outputs on ``checkpoint``.

    Raises:
        BenchmarkError: the package's environment is broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "oracle.npz"
        command: list[str | Path] = [
            python,
            "-m",
            "peer.oracle",
            "--checkpoint",
            checkpoint,
            "--out",
            out,
        ]
        what = f"the official package on {checkpoint.name}"
        run([*command, "--steps", str(steps)], what, BenchmarkError)
        with np.load(out) as arrays:
            return {name: arrays[name] for name in arrays.files}


def parity_rows(name: str, model: SpeechModel, official: Mapping[str, Array]) -> list[Row]:
    """Largest absolute errors of ``model`` under teacher forcing, and the largest output."""
    prompts, mask, codes = (official[key] for key in ("text_ids", "attention_mask", "codes"))
    speaker = np.tile(official["speaker"], (len(prompts), 1))
    hidden, logits = model.forced(prompts, mask, codes, speaker)
    expected = official["speaker.logits"]
    found = {
        "hidden": (hidden, official["speaker.hidden"]),
        "logits": (logits, expected),
        "wav_from_hidden": (
            model.decode_hidden(official["speaker.hidden"]),
            official["decoder.wav"],
        ),
        "wav_from_codes": (model.decode_codes(codes), official["dvae.wav"]),
    }
    rows = [
        make_row(name, "max_error", _error(a, b), "", output=key, scale=float(np.abs(b).max()))
        for key, (a, b) in found.items()
    ]
    agreement = float(np.mean(logits.argmax(-1) == expected.argmax(-1)))
    return [*rows, make_row(name, "top1_agreement", agreement, "", output="logits")]


def _error(found: Array, expected: Array) -> float:
    return float(np.abs(found - expected).max())
