"""The reference and a bundle against the official package on a checkpoint that it wrote.

Runs where the peer environment exists (`peer/install.sh`, or CHATTTS_PEER_PYTHON names its
interpreter). The official package writes a small checkpoint and computes everything once; then the
checkpoint goes through the pipeline's own stages. All of it once more with biases that are zero;
CHATTTS_PEER_FULL=1 takes the official sizes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from chattts_onnx import open_bundle
from chattts_onnx.bundle import Bundle
from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.decoding.sampling import PENALTY_WINDOW, Settings, candidates, penalize
from chattts_onnx.text import TextTokenizer, code_prompt
from chattts_onnx.text.prompts import left_pad, refine_prompt
from chattts_onnx.voices.vectors import decode_speaker, encode_speaker
from pipeline.config import Params
from pipeline.core.strict import parse_strictly
from pipeline.params import compose_params
from pipeline.reference.model import Reference, load_reference
from pipeline.stages import checkpoint, export, fuse

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = Path(os.environ.get("CHATTTS_PEER_PYTHON", ROOT / ".venv-peer" / "bin" / "python"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("peer"),
    pytest.mark.skipif(
        not PEER_PYTHON.is_file(), reason=f"no official package ({PEER_PYTHON}): peer/install.sh"
    ),
]

Array = NDArray[Any]
Oracle = Mapping[str, Array]


class Engine(Protocol):
    """What the reference and a bundle have in common."""

    def forced(
        self, text_ids: Array, attention_mask: Array, codes: Array, speaker: Array | None
    ) -> tuple[Array, Array]: ...

    def text_logits(self, hidden: Array) -> Array: ...

    def decode_hidden(self, hidden: Array) -> Array: ...

    def decode_codes(self, codes: Array) -> Array: ...


@pytest.fixture(scope="module", params=[(), ("--zero-biases",)], ids=["drawn", "zero-biases"])
def official(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a checkpoint that the official classes wrote, and `oracle.npz`."""
    folder = tmp_path_factory.mktemp("official")
    size = ["--full"] if os.environ.get("CHATTTS_PEER_FULL") else []
    _peer("peer.small_checkpoint", "--out", folder, *request.param, *size)
    _peer("peer.oracle", "--checkpoint", folder, "--out", folder / "oracle.npz", "--steps", "24")
    return folder


@pytest.fixture(scope="module")
def oracle(official: Path) -> Oracle:
    with np.load(official / "oracle.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.fixture(scope="module")
def reference(official: Path) -> Reference:
    return load_reference(official)


@pytest.fixture(scope="module")
def bundle(official: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The FP32 bundle that the pipeline makes of the official checkpoint."""
    workspace = tmp_path_factory.mktemp("workspace")
    values = compose_params(["checkpoint=local", f"checkpoint.path={official}"])
    params = parse_strictly(values, Params)
    for stage in (checkpoint, export, fuse):
        stage.run(params, workspace)
    return open_bundle(workspace / "bundles" / "fp32")


@pytest.fixture(params=["reference", "bundle"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def test_forced_matches_on_left_padded_batch_with_speaker(engine: Engine, oracle: Oracle) -> None:
    hidden, logits = engine.forced(
        oracle["text_ids"], oracle["attention_mask"], oracle["codes"], _speakers(oracle)
    )
    assert oracle["attention_mask"].min() == 0
    assert_close(hidden, oracle["speaker.hidden"], 5e-5)
    assert_close(logits, oracle["speaker.logits"], 5e-5)


def test_forced_matches_without_speaker(engine: Engine, oracle: Oracle) -> None:
    hidden, logits = engine.forced(
        oracle["plain.text_ids"], oracle["plain.attention_mask"], oracle["codes"], None
    )
    assert_close(hidden, oracle["plain.hidden"], 5e-5)
    assert_close(logits, oracle["plain.logits"], 5e-5)


def test_speaker_of_official_text_form_differs_only_by_its_half_precision(
    engine: Engine, oracle: Oracle
) -> None:
    hidden, _ = engine.forced(
        oracle["text_ids"], oracle["attention_mask"], oracle["codes"], _speakers(oracle)
    )
    assert_close(hidden, oracle["speaker_half.hidden"], 2e-3)


def test_text_logits_match(engine: Engine, oracle: Oracle) -> None:
    expected = oracle["refine.logits"]
    states = oracle["refine.hidden"].reshape(-1, oracle["refine.hidden"].shape[-1])
    assert_close(engine.text_logits(states).reshape(expected.shape), expected, 5e-5)


def test_decoder_audio_matches(engine: Engine, oracle: Oracle) -> None:
    assert_close(engine.decode_hidden(oracle["speaker.hidden"]), oracle["decoder.wav"], 2e-5)


def test_dvae_audio_matches(engine: Engine, oracle: Oracle) -> None:
    assert_close(engine.decode_codes(oracle["codes"]), oracle["dvae.wav"], 2e-5)


def test_bundle_mel_matches(bundle: Bundle, oracle: Oracle) -> None:
    assert_close(bundle.hidden_to_mel(oracle["speaker.hidden"]), oracle["decoder.mel"], 2e-5)
    assert_close(bundle.codes_to_mel(oracle["codes"]), oracle["dvae.mel"], 2e-5)


def test_encoded_codes_match(bundle: Bundle, reference: Reference, oracle: Oracle) -> None:
    waveform = oracle["encode.waveform"][None]
    expected = oracle["encode.codes"]
    # A value that lies on a rounding boundary may fall on either side.
    assert np.mean(bundle.encode_audio(waveform)[0] == expected) > 0.99
    assert np.mean(reference.encode(waveform)[0] == expected) > 0.99


def test_prompts_match(bundle: Bundle, oracle: Oracle) -> None:
    vq = bundle.model.num_vq
    for name, speaker in (("", True), ("plain.", False)):
        rows = [
            code_prompt(bundle.tokenizer, str(text), vq, speaker=speaker, speed=5).ids
            for text in oracle["texts"]
        ]
        _assert_same_prompts(rows, oracle, name)
    rows = [
        refine_prompt(bundle.tokenizer, str(text), vq, instruction="[oral_2][break_4]").ids
        for text in oracle["texts"]
    ]
    _assert_same_prompts(rows, oracle, "refine.")


@pytest.mark.parametrize("case", [0, 1, 2])
def test_sampler_leaves_the_same_probabilities(oracle: Oracle, case: int) -> None:
    part = {
        name: oracle[f"sampling.{case}.{name}"] for name in ("logits", "history", "probabilities")
    }
    temperature, top_p, top_k, penalty = oracle[f"sampling.{case}.settings"]
    rows, vocabulary = part["logits"].shape
    settings = Settings(1)
    settings.set(0, GenerationParams(temperature, top_p, int(top_k), penalty))
    window = np.full((PENALTY_WINDOW, rows), -1, dtype=np.int64)
    recent = part["history"][-PENALTY_WINDOW:]
    window[PENALTY_WINDOW - len(recent) :] = recent
    scores = part["logits"].astype(np.float64)[None] / temperature
    penalize(scores, window[None], settings.penalty)
    index, weights = candidates(scores, settings, vocabulary - 1, np.zeros(1, dtype=np.bool_))
    found = np.zeros((rows, vocabulary))
    np.put_along_axis(found, index[0], weights[0], axis=1)
    found /= found.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, part["probabilities"], atol=1e-5)


def test_voice_text_matches(oracle: Oracle) -> None:
    text = str(oracle["voice.text"])
    vector = decode_speaker(text, len(oracle["voice.direction"]))
    assert encode_speaker(vector) == text
    # The official package normalises in half precision.
    np.testing.assert_allclose(
        vector / np.linalg.norm(vector), oracle["voice.direction"], rtol=2e-3, atol=1e-6
    )


def test_sample_codes_in_the_prompt_match(reference: Reference, oracle: Oracle) -> None:
    """The hidden state after a prompt that ends with sample codes, which `forced` cannot say."""
    import torch

    ids, attention = (
        torch.from_numpy(oracle[f"sample.{n}"]) for n in ("text_ids", "attention_mask")
    )
    text_mask = torch.from_numpy(oracle["sample.text_mask"])
    batch, length = attention.shape
    dims = reference.dims
    empty = torch.zeros(batch, dims.num_key_value_heads, 0, dims.head_dim)
    with torch.inference_mode():
        hidden, logits, _ = reference.modules.gpt(
            ids,
            text_mask,
            torch.from_numpy(_speakers(oracle)),
            attention,
            (attention.cumsum(-1) - 1).clamp_min(0),
            torch.arange(length - 1, batch * length, length),
            [(empty, empty)] * dims.num_hidden_layers,
        )
    assert_close(hidden.numpy(), oracle["sample.hidden"][:, 0], 5e-5)
    assert_close(logits.numpy(), oracle["sample.logits"][:, 0], 5e-5)


def test_tokenizer_of_the_official_checkpoint_opens(official: Path) -> None:
    tokenizer = TextTokenizer.load(official / "asset" / "tokenizer" / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode("hello 世界")) == "hello 世 界"


def assert_close(found: Array, expected: Array, limit: float) -> None:
    """Largest error below `limit` times the largest expected value."""
    assert found.shape == expected.shape
    error = float(np.abs(found - expected).max() / np.abs(expected).max())
    assert error < limit, f"relative error {error:.2e}, allowed {limit:g}"


def _assert_same_prompts(rows: list[Array], oracle: Oracle, name: str) -> None:
    ids, mask = left_pad(rows)
    np.testing.assert_array_equal(mask, oracle[f"{name}attention_mask"])
    np.testing.assert_array_equal(ids, oracle[f"{name}text_ids"])


def _speakers(oracle: Oracle) -> Array:
    return np.repeat(oracle["speaker"][None], len(oracle["codes"]), axis=0)


def _peer(module: str, *arguments: str | Path) -> None:
    command = [str(PEER_PYTHON), "-m", module, *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
