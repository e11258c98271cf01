from __future__ import annotations

import random

import pytest

from mini.refine import refine_batch, with_breaks
from mini.tokenizer import build_tokenizer, vocabulary

TEXT = "今天天气很好，我们去公园走走。你想一起去吗？"


def count(level: int) -> float:
    rng = random.Random(0)
    return sum(with_breaks(TEXT, level, rng).count("break]") for _ in range(50)) / 50


def test_a_level_asks_for_as_many_breaks() -> None:
    found = [count(level) for level in range(8)]
    assert found[0] == 0
    assert found == sorted(found)
    assert found[7] > 2


@pytest.mark.parametrize("text", [TEXT, "It's late, Bob; come home. Now!"])
def test_breaks_leave_the_words_alone(text: str) -> None:
    with_all = with_breaks(text, 7, random.Random(1))
    assert with_all.replace("[uv_break]", "").replace("[lbreak]", "") == text


def test_an_answer_follows_its_prompt_and_ends() -> None:
    batch = refine_batch([TEXT, "Hello there."], random.Random(2))
    tokens = vocabulary()
    assert batch.ids[:, 0].tolist() == [tokens["[Sbreak]"]] * 2
    assert (batch.targets == tokens["[Ebreak]"]).sum() == 2
    # a row predicts the token after it
    flat = batch.ids.flatten()
    assert flat[batch.rows + 1].tolist() == batch.targets.tolist()
    answer = build_tokenizer().decode(batch.targets.tolist(), skip_special_tokens=False)
    assert "hello there" in answer
