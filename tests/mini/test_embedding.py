from __future__ import annotations

import torch

from mini.embedding import TextEmbedding, sounds
from mini.tokenizer import vocabulary


def test_the_table_holds_what_each_token_embeds_to() -> None:
    torch.manual_seed(0)
    text = TextEmbedding(16)
    ids = torch.randint(len(vocabulary()), (50,))
    assert torch.allclose(text(ids), text.table()[ids], atol=1e-6)


def test_characters_of_a_syllable_share_all_sounds_and_differ_in_tone() -> None:
    places, _ = sounds()
    tokens = vocabulary()
    same, tone, letter = (places[tokens[token]].tolist() for token in ("是", "时", "##u"))
    assert same == places[tokens["事"]].tolist()
    assert [a == b for a, b in zip(same, tone, strict=True)][:3] == [True, True, False]
    assert not any(letter)
