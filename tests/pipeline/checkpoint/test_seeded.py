from __future__ import annotations

import dataclasses
import hashlib
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pipeline.checkpoint import layout
from pipeline.checkpoint.config import CheckpointConfig, SeededConfig
from pipeline.checkpoint.dims import load_dims, open_all
from pipeline.checkpoint.draws import bit_generator, draw_tensor, normal
from pipeline.checkpoint.record import hash_files
from pipeline.checkpoint.seeded import planned_bytes, seeded_dims, write_seeded
from pipeline.checkpoint.tokenizer import read_tokenizer
from pipeline.core.strict import parse_strictly, read_yaml
from pipeline.reference.model import load_reference

ROOT = Path(__file__).resolve().parents[3]
SEED = 11


def load(name: str) -> SeededConfig:
    values = read_yaml(ROOT / "conf" / "checkpoint" / f"{name}.yaml")
    seeded = parse_strictly(values, CheckpointConfig).seeded
    assert seeded is not None
    return seeded


def write(folder: Path, config: SeededConfig, seed: int) -> Path:
    write_seeded(folder, config, seed, lambda amount: None)
    return folder


def test_the_same_seed_gives_the_same_bytes(
    tiny: Path, tiny_config: SeededConfig, tmp_path: Path
) -> None:
    assert hash_files(write(tmp_path, tiny_config, SEED)) == hash_files(tiny)


def test_another_seed_gives_other_weights_everywhere(
    tiny: Path, tiny_config: SeededConfig, tmp_path: Path
) -> None:
    other = open_all(write(tmp_path, tiny_config, SEED + 1))
    required = layout.required_shapes(seeded_dims(tiny_config))
    for name, file in open_all(tiny).items():
        for tensor in required[name]:
            assert not np.array_equal(file.array(tensor), other[name].array(tensor)), tensor
        for tensor in set(file.names) - set(required[name]) - {"embed_tokens.weight"}:
            np.testing.assert_array_equal(file.array(tensor), other[name].array(tensor))


def test_a_tensor_does_not_depend_on_the_others(tiny: Path, tiny_config: SeededConfig) -> None:
    """A deeper model begins with the same layers, residual scaling apart."""
    deeper = seeded_dims(dataclasses.replace(tiny_config, num_hidden_layers=5))
    for name in ("layers.1.self_attn.q_proj.weight", "layers.0.mlp.up_proj.weight", "norm.weight"):
        written = open_all(tiny)[layout.GPT].array(name)
        drawn = draw_tensor(SEED, layout.GPT, name, written.shape, deeper)
        np.testing.assert_array_equal(drawn, written)


def test_values_are_the_same_on_every_machine() -> None:
    """Integer sums and one rounding: the digest holds for any NumPy and any C library."""
    values = normal(bit_generator(7, "file", "tensor"), (300, 250))
    digest = hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()
    # pragma: allowlist nextline secret
    assert digest == "b48090d3f9db635ea996f050d83ea955e72410813f5b8443be36643ae61509fa"
    assert abs(float(values.mean())) < 0.02
    assert abs(float(values.std()) - 1) < 0.01
    assert 3 < float(np.abs(values).max()) < 3.47


def test_a_draw_does_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = normal(bit_generator(1, "f", "t"), (1000,))
    monkeypatch.setattr("pipeline.checkpoint.draws.CHUNK", 64)
    np.testing.assert_array_equal(normal(bit_generator(1, "f", "t"), (1000,)), whole)


def test_progress_counts_every_byte_once(tiny_config: SeededConfig, tmp_path: Path) -> None:
    total, lock = 0, threading.Lock()

    def progress(amount: int) -> None:
        nonlocal total
        with lock:
            total += amount

    write_seeded(tmp_path, tiny_config, SEED, progress)
    assert total == planned_bytes(tiny_config)


def test_the_small_one_is_small_and_whole(tmp_path: Path) -> None:
    config = load("seeded_small")
    folder = write(tmp_path, config, 0)
    assert load_dims(folder) == seeded_dims(config)
    assert sum(file.stat().st_size for file in folder.rglob("*.safetensors")) < 30e6


def test_activations_are_those_of_speech(tmp_path: Path) -> None:
    """Unit hidden states, peaked logits, mel and waveform at the levels of speech."""
    reference = load_reference(write(tmp_path, load("seeded_small"), 0))
    dims = reference.dims
    rng = np.random.default_rng(0)
    text = np.repeat(rng.integers(200, 3000, (1, 12, 1)), dims.num_vq, axis=2)
    codes = rng.integers(0, dims.num_audio_tokens - 1, (1, 40, dims.num_vq))
    hidden, logits = reference.forced(text, np.ones((1, 12), np.int64), codes, None)
    assert 0.9 < hidden.std() < 1.1
    assert 2.5 < logits.std() < 3.5
    for waveform in (reference.decode_hidden(hidden), reference.decode_codes(codes)):
        assert np.abs(waveform).max() < 1
        assert 0.05 < np.sqrt(np.mean(waveform**2)) < 0.2
    heard = reference.encode(reference.decode_codes(codes))
    assert len(np.unique(heard)) > 20


def test_the_speaker_is_heard(tmp_path: Path) -> None:
    reference = load_reference(write(tmp_path, load("seeded_small"), 0))
    dims = reference.dims
    tokenizer = read_tokenizer(tmp_path / layout.TOKENIZER)
    ids = tokenizer.encode("[Stts][spk_emb]你好[Ptts]", add_special_tokens=False).ids
    text = np.repeat(np.array(ids)[None, :, None], dims.num_vq, axis=2)
    speakers = np.random.default_rng(0).standard_normal((2, 1, dims.hidden_size))
    codes = np.zeros((1, 2, dims.num_vq), np.int64)
    mask = np.ones((1, len(ids)), np.int64)
    first, second = (
        reference.forced(text, mask, codes, speaker.astype(np.float32))[1] for speaker in speakers
    )
    assert np.abs(first - second).std() > 0.1


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read there")
def test_the_full_size_needs_little_memory(tmp_path: Path) -> None:
    """Its largest tensor has 98 MB and two are drawn at a time; the files have 1.2 GB."""
    script = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1])\n"
        "from pipeline.checkpoint.build import build\n"
        "from pipeline.checkpoint.config import CheckpointConfig\n"
        "from pipeline.core.strict import parse_strictly, read_yaml\n"
        "path = Path(sys.argv[1]) / 'conf' / 'checkpoint' / 'seeded_full.yaml'\n"
        "build(parse_strictly(read_yaml(path), CheckpointConfig), 0, Path(sys.argv[2]))\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(next(line.split()[1] for line in status.splitlines() if 'VmHWM' in line))\n"
    )
    target = tmp_path / "checkpoint"
    command = [sys.executable, "-c", script, str(ROOT), str(target)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert load_dims(target).num_text_tokens == 21178
    assert int(output) < 1_000_000, "kilobytes at the highest"
