"""The GPT against transformers' Llama, and against itself with a cache."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaModel

from pipeline.reference.gpt import Gpt
from pipeline.reference.load import Modules
from pipeline.reference.model import Reference


@pytest.fixture(scope="module")
def reference(smoke_modules: Modules) -> Reference:
    return Reference(smoke_modules)


def _llama(gpt: Gpt) -> LlamaModel:
    dims = gpt.dims
    config = LlamaConfig(
        hidden_size=dims.hidden_size,
        intermediate_size=dims.intermediate_size,
        num_hidden_layers=dims.num_hidden_layers,
        num_attention_heads=dims.num_attention_heads,
        num_key_value_heads=dims.num_key_value_heads,
        max_position_embeddings=dims.max_position_embeddings,
        rms_norm_eps=dims.rms_norm_eps,
        vocab_size=8,
        rope_parameters={"rope_type": "default", "rope_theta": dims.rope_theta},
    )
    llama = LlamaModel(config).eval()
    own = {k: v for k, v in gpt.state_dict().items() if k.startswith(("layers.", "norm."))}
    missing, unexpected = llama.load_state_dict(own, strict=False)
    assert missing == ["embed_tokens.weight"]
    assert unexpected == []
    return llama


def test_equals_transformers_llama(smoke_modules: Modules) -> None:
    gpt = smoke_modules.gpt
    dims = gpt.dims
    ids = torch.randint(0, dims.num_audio_tokens, (2, 17, dims.num_vq))
    text_mask = torch.zeros(2, 17, dtype=torch.bool)
    speaker = torch.zeros(2, dims.hidden_size)
    empty = torch.empty(2, dims.num_key_value_heads, 0, dims.head_dim)
    past = [(empty, empty)] * dims.num_hidden_layers
    with torch.inference_mode():
        hidden, _, _ = gpt(
            ids, text_mask, speaker, torch.ones(2, 17, dtype=torch.int64),
            torch.arange(17).expand(2, 17), torch.arange(34), past,
        )  # fmt: skip
        embedded = gpt.embed(ids, text_mask, speaker)
        expected = _llama(gpt)(inputs_embeds=embedded).last_hidden_state
    torch.testing.assert_close(hidden.view(2, 17, -1), expected, atol=2e-5, rtol=1e-5)


def _prompt(reference: Reference, lengths: list[int], seed: int = 0) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    width = max(lengths)
    ids = np.zeros((len(lengths), width, reference.dims.num_vq), dtype=np.int64)
    mask = np.zeros((len(lengths), width), dtype=np.int64)
    for row, length in enumerate(lengths):
        text = rng.integers(0, reference.dims.num_text_tokens, length)
        ids[row, width - length :] = text[:, None]
        mask[row, width - length :] = 1
    return ids, mask


def test_steps_equal_teacher_forcing(reference: Reference) -> None:
    ids, mask = _prompt(reference, [9, 5])
    codes = np.random.default_rng(1).integers(0, 625, (2, 6, reference.dims.num_vq))
    hidden, logits = reference.forced(ids, mask, codes)
    state, step_hidden, step_logits = reference.prefill(ids, mask)
    for t in range(6):
        np.testing.assert_allclose(step_hidden, hidden[:, t], atol=2e-5)
        np.testing.assert_allclose(step_logits, logits[:, t], atol=2e-4)
        step_hidden, step_logits = reference.step(state, codes[:, t])


def test_padding_changes_nothing(reference: Reference) -> None:
    """A row gives the same results alone and left padded beside a longer one."""
    ids, mask = _prompt(reference, [12, 4])
    codes = np.random.default_rng(1).integers(0, 625, (2, 5, reference.dims.num_vq))
    together, _ = reference.forced(ids, mask, codes)
    alone, _ = reference.forced(ids[1:, -4:], mask[1:, -4:], codes[1:])
    np.testing.assert_allclose(together[1], alone[0], atol=2e-5)


def test_speaker_overwrites_its_token_only_and_ignores_length(smoke_modules: Modules) -> None:
    embed, dims = smoke_modules.gpt.embed, smoke_modules.dims
    ids = torch.full((2, 3, dims.num_vq), 7)
    ids[:, 1] = embed.speaker_id
    text_mask = torch.ones(2, 3, dtype=torch.bool)
    speaker = torch.randn(2, dims.hidden_size)
    speaker[1] = 0
    with torch.inference_mode():
        plain = embed(ids, text_mask, torch.zeros_like(speaker))
        found = embed(ids, text_mask, speaker)
        scaled = embed(ids, text_mask, 3 * speaker)
    torch.testing.assert_close(found[0, 1], speaker[0] / speaker[0].norm())
    torch.testing.assert_close(scaled, found)
    assert torch.equal(found[0, [0, 2]], plain[0, [0, 2]])
    assert torch.equal(found[1], plain[1]), "an all-zero row means no speaker"


def test_code_positions_do_not_read_the_text_table(smoke_modules: Modules) -> None:
    """Codes run to 625; a text vocabulary may be smaller than that."""
    dims = dataclasses.replace(smoke_modules.dims, num_text_tokens=10)
    with torch.inference_mode():
        gpt = Gpt(dims, speaker_id=3)
        ids = torch.full((1, 2, dims.num_vq), dims.num_audio_tokens - 1)
        embedded = gpt.embed(ids, torch.zeros(1, 2).bool(), torch.zeros(1, dims.hidden_size))
        rows = torch.arange(1, dims.num_vq + 1) * dims.num_audio_tokens - 1
        torch.testing.assert_close(embedded[0, 0], gpt.embed.emb_code.weight[rows].sum(0))
