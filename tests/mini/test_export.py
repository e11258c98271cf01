from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from chattts_onnx.voices.vectors import load_speaker
from mini.export import weight_norm, write_checkpoint
from mini.sizes import MAX_BYTES, mini_dims
from mini.train_dvae import build_dvae, reconstruct
from mini.train_gpt import build_gpt
from mini.voices import speaker_vectors
from mini.workspace import save_state, seed_everything
from pipeline.checkpoint.dims import ignored_tensors
from pipeline.checkpoint.tokenizer import check_tokenizer
from pipeline.reference.load import load_modules


def test_a_trained_gpt_comes_back_from_the_official_layout(tmp_path: Path) -> None:
    seed_everything(1)
    gpt = build_gpt(mini_dims())
    state = {"step": 1, "hours": 0.0, "average": gpt.state_dict()}
    save_state(tmp_path / "work" / "state" / "gpt.pt", state)
    root = tmp_path / "checkpoint"
    assert write_checkpoint(tmp_path / "work", root) <= 2 * MAX_BYTES
    loaded = load_modules(root)
    assert loaded.dims == mini_dims()
    assert ignored_tensors(root) == {}
    check_tokenizer(root, mini_dims().num_text_tokens)
    for name, value in gpt.gpt.state_dict().items():
        assert torch.allclose(loaded.gpt.state_dict()[name], value, atol=1e-6), name
    table = gpt.text.table().detach()
    assert torch.allclose(loaded.gpt.embed.emb_text.weight, table, atol=1e-6)
    assert torch.allclose(loaded.text_head.weight, table, atol=1e-6)
    voice = load_speaker(root / "voices" / "ava.txt", mini_dims().hidden_size)
    assert np.array_equal(voice, speaker_vectors(mini_dims().hidden_size)[0])


def test_heads_are_split_into_length_and_direction() -> None:
    weight = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    parts = weight_norm("head", weight)
    assert parts["head.parametrizations.weight.original0"].tolist() == [[5.0], [2.0]]


def test_training_quantizes_as_the_reference_does() -> None:
    seed_everything(2)
    dvae = build_dvae(mini_dims()).eval()
    wave = 0.1 * torch.randn(1, 31 * 256)
    with torch.no_grad():
        mel = dvae.log_mel(wave)
        assert torch.allclose(reconstruct(dvae, mel), dvae.decode(dvae.encode(wave)), atol=1e-4)
