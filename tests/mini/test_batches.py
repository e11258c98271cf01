from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from mini.batches import Batcher, Sampler
from mini.extract import Features, tokens_at
from mini.gpt_model import TrainableGpt
from mini.sizes import mini_dims
from mini.tokenizer import build_tokenizer, vocabulary
from pipeline.reference.model import _positions

DIMS = replace(
    mini_dims(), hidden_size=32, num_attention_heads=4, num_key_value_heads=4, head_dim=8,
    num_hidden_layers=3, intermediate_size=48,
)  # fmt: skip


def features(text: str, steps: int, voice: int) -> Features:
    rng = np.random.default_rng(steps)
    ids = np.asarray(build_tokenizer().encode(text, add_special_tokens=False).ids, dtype=np.int16)
    return Features(
        text,
        voice,
        ids,
        rng.integers(0, 625, (steps, 4)).astype(np.int16),
        rng.standard_normal((2 * steps, 100)).astype(np.float16),
        np.sort(rng.integers(0, len(ids), steps)).astype(np.int16),
    )


CHOSEN = [features("Room two.", 9, 0), features("Hi!", 5, 1)]


def test_a_plain_batch_holds_prompt_codes_and_end() -> None:
    batch = Batcher(DIMS).plain(CHOSEN)
    tokens = vocabulary()
    assert batch.ids[0, :2, 0].tolist() == [tokens["[Stts]"], tokens["[spk_emb]"]]
    start = int(batch.text_mask[0].sum())
    assert batch.ids[0, start - 1, 0] == tokens["[Ptts]"]
    assert batch.ids[0, start : start + 9].numpy().tolist() == CHOSEN[0].codes.tolist()
    assert batch.targets.shape == (9 + 1 + 5 + 1, 4)
    assert (batch.targets[[9, 15]] == 625).all()
    assert batch.voiced.tolist() == [True] * 9 + [False] + [True] * 5 + [False]
    # the first step's letter stands after [Stts][spk_emb]; the end looks at [Ptts]
    assert batch.looked_at[0] == 2 + CHOSEN[0].token_at[0]
    assert batch.looked_at[9] == start - 1


def test_training_sees_what_the_reference_computes() -> None:
    torch.manual_seed(0)
    model = TrainableGpt(DIMS, vocabulary()["[spk_emb]"], 4.0).eval()
    batch = Batcher(DIMS).plain(CHOSEN)
    with torch.no_grad():
        hidden, looking = model.hidden(batch)
        size, sequence = batch.text_mask.shape
        mask = torch.ones(size, sequence, dtype=torch.int64)
        empty = torch.empty(size, 4, 0, 8)
        expected, _, _ = model.gpt(
            batch.ids, batch.text_mask, batch.speaker, mask, _positions(mask), batch.rows,
            [(empty, empty)] * 3,
        )  # fmt: skip
    assert torch.allclose(hidden, expected, atol=1e-5)
    assert torch.allclose(looking.sum(-1), torch.ones(len(looking)), atol=1e-5)


def test_random_speakers_point_at_their_voice() -> None:
    batcher = Batcher(DIMS)
    rng = np.random.default_rng(0)
    batch = batcher.noisy([CHOSEN[1]] * 40, rng)
    nearest = (batch.speaker.numpy() @ batcher.directions.T).argmax(1)
    assert (nearest == 1).mean() > 0.95


def test_every_sentence_comes_once_before_any_comes_again() -> None:
    many = [features("Hi!", 3 + index % 5, 0) for index in range(10)]
    sampler = Sampler(many, 4, np.random.default_rng(0))
    seen = [id(item) for _ in range(3) for item in sampler.next()]
    assert sorted(seen) == sorted(id(item) for item in many)


def test_the_letter_of_a_step_is_the_one_spoken_in_its_middle() -> None:
    ends = np.asarray([0.02, 0.05, 0.09], dtype=np.float32)
    assert tokens_at(ends, 6, 0.02).tolist() == [0, 1, 1, 2, 2, 2]
