from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from chattts_onnx.text.prompts import code_prompt
from chattts_onnx.text.tokenizer import TextTokenizer
from mini.batches import pack
from mini.phoneme_errors import said, spoken_batch
from mini.phoneme_types import PHONEME_IDS
from mini.tokenizer import write_tokenizer
from mini.train_gpt import build_gpt
from pipeline.checkpoint import layout
from tests.mini.test_batches import DIMS, examples, features


def numbers(sounds: str) -> list[int]:
    return [PHONEME_IDS.get(sound, 0) for sound in sounds]


def test_sounds_in_a_row_count_once_and_marks_and_stress_not() -> None:
    assert said(numbers("wwˈˈɛɛl kkəəm..")) == list("wɛlkəm")
    assert said([0, 0]) == []
    # a sound that returns after a silence is said again
    assert said([*numbers("t"), 0, *numbers("t")]) == ["t", "t"]


def test_what_was_said_is_read_as_what_is_learned(tmp_path: Path) -> None:
    gpt, item = build_gpt(DIMS), features("room two.", 9)
    (tmp_path / layout.TOKENIZER).parent.mkdir(parents=True)
    write_tokenizer(tmp_path)
    tokenizer = TextTokenizer.load(tmp_path / layout.TOKENIZER)
    prompt = code_prompt(tokenizer, item.text, DIMS.num_vq, speaker=True).ids
    found = spoken_batch(gpt, item, prompt, item.codes.astype(np.int64))
    wanted = pack([examples().plain(item)], DIMS, None)
    with torch.no_grad():
        for mine, theirs in zip(gpt.hidden(found), gpt.hidden(wanted), strict=True):
            assert torch.equal(mine, theirs)
