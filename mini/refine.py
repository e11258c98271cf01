"""The lesson of the refine pass: text, and the same text with the breaks that ``[break_n]`` asks.

A break follows marks inside the sentence first, then words; ``[oral_n]`` and ``[laugh_n]`` change
nothing, since there is no such speech to learn from.
"""

from __future__ import annotations

import random
import re

import torch

from mini.gpt_model import TextBatch
from mini.phoneme_types import HAN
from mini.tokenizer import build_tokenizer, vocabulary

LEVELS = 8
_PART = re.compile(rf"[{HAN}]{{2,4}}|[^\W{HAN}]+(?:'\w+)?|[^\s]")
_INNER = "，、；：,;:"


def with_breaks(text: str, level: int, rng: random.Random) -> str:
    """Return ``text`` with breaks at places drawn for a level of 0 to 7."""
    parts = list(_PART.finditer(text))
    found, last = [], 0
    for index, part in enumerate(parts[:-1]):
        following = parts[index + 1].group()
        if not re.match(r"\w", following):
            continue
        mark = part.group()
        if mark in _INNER:
            name, chance = "[uv_break]", min(1.0, level / 3)
        elif mark in "。！？.!?":
            name, chance = "[lbreak]", min(1.0, level / 4)
        else:
            name, chance = "[uv_break]", 0.06 * max(0, level - 3)
        if rng.random() < chance:
            found.append(text[last : part.end()] + name)
            last = part.end()
    return "".join(found) + text[last:]


def refine_batch(texts: list[str], rng: random.Random) -> TextBatch:
    """Return prompts of the refine pass with what they should be answered."""
    tokenizer, tokens = build_tokenizer(), vocabulary()
    sequences, starts = [], []
    for text in texts:
        level = rng.randrange(LEVELS)
        style = "".join(
            f"[{name}_{value}]"
            for name, value in (
                ("oral", rng.randrange(10)), ("laugh", rng.randrange(3)), ("break", level),
            )
            if name == "break" or rng.random() < 0.6
        )  # fmt: skip
        prompt = tokenizer.encode(f"[Sbreak]{text}[Pbreak]{style}", add_special_tokens=False).ids
        answer = tokenizer.encode(with_breaks(text, level, rng), add_special_tokens=False).ids
        sequences.append([*prompt, *answer, tokens["[Ebreak]"]])
        starts.append(len(prompt))
    width = max(len(sequence) for sequence in sequences)
    ids = torch.zeros(len(texts), width, dtype=torch.int64)
    rows, targets = [], []
    for index, (sequence, start) in enumerate(zip(sequences, starts, strict=True)):
        ids[index, : len(sequence)] = torch.tensor(sequence)
        rows += [index * width + place - 1 for place in range(start, len(sequence))]
        targets += sequence[start:]
    return TextBatch(ids, torch.tensor(rows), torch.tensor(targets))
