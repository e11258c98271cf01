"""Prompts of the two passes, as token ids ready for the GPT graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .cleanup import clean_text
from .tokenizer import TextTokenizer

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Prompt:
    """One row for prefill: ``ids`` int64 [S, num_vq], ``text_mask`` bool [S].

    A text position repeats its id in all columns; a code position holds the ``num_vq`` codes.
    """

    ids: Ids
    text_mask: Mask

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_text(cls, ids: Sequence[int], num_vq: int) -> Prompt:
        """A prompt of text positions only."""
        column = np.asarray(ids, dtype=np.int64)[:, None]
        return cls(np.repeat(column, num_vq, axis=1), np.ones(len(column), dtype=np.bool_))

    def with_codes(self, codes: npt.NDArray[np.integer]) -> Prompt:
        """This prompt followed by code positions ``codes`` [T, num_vq]."""
        if codes.ndim != 2 or codes.shape[1] != self.ids.shape[1]:
            raise InputError(
                f"codes have shape {codes.shape}; expected [steps, {self.ids.shape[1]}]."
            )
        return Prompt(
            np.concatenate([self.ids, codes.astype(np.int64)]),
            np.concatenate([self.text_mask, np.zeros(len(codes), dtype=np.bool_)]),
        )


def code_prompt(
    tokenizer: TextTokenizer,
    text: str,
    num_vq: int,
    *,
    speaker: bool,
    speed: int | None = None,
    sample_text: str = "",
    sample_codes: npt.NDArray[np.integer] | None = None,
) -> Prompt:
    """``[Stts][spk_emb]{sample transcript}{[speed_n]}{text}[Ptts]`` and the sample's codes.

    ``[empty_spk]`` stands in place of ``[spk_emb]`` without a speaker.  ``speed`` is 0 to 9.
    Raises :class:`InputError` on empty text or an unknown speed.
    """
    head = "[Stts]" + ("[spk_emb]" if speaker else "[empty_spk]")
    # The space is no token; it keeps the transcript's last word and the text's first apart.
    sample = clean_text(sample_text) + " " if sample_text else ""
    body = f"{head}{sample}{_level(tokenizer, 'speed', speed)}{clean_text(text)}[Ptts]"
    prompt = Prompt.of_text(_encode(tokenizer, body, ("[Stts]", "[Ptts]")), num_vq)
    return prompt if sample_codes is None else prompt.with_codes(sample_codes)


def refine_prompt(
    tokenizer: TextTokenizer, text: str, num_vq: int, *, instruction: str = ""
) -> Prompt:
    """``[Sbreak]{text}[Pbreak]{instruction}``, e.g. ``[oral_2][laugh_0][break_6]``."""
    extra = clean_text(instruction) if instruction.strip() else ""
    body = f"[Sbreak]{clean_text(text)}[Pbreak]{extra}"
    return Prompt.of_text(_encode(tokenizer, body, ("[Sbreak]", "[Pbreak]")), num_vq)


def style_prompt(tokenizer: TextTokenizer, levels: Mapping[str, int | None]) -> str:
    """``[oral_2][laugh_0][break_6]`` of named levels; None leaves one out.

    Raises :class:`InputError` naming the levels that the tokenizer has.
    """
    return "".join(_level(tokenizer, name, level) for name, level in levels.items())


def left_pad(rows: Sequence[Ids]) -> tuple[Ids, Ids]:
    """Stack prompts [S_b, num_vq] as the reference does: padding (zeros) on the left.

    Returns ids [B, S, num_vq] and attention mask [B, S] (1 = valid), both int64.
    """
    length = max(len(row) for row in rows)
    ids = np.zeros((len(rows), length, rows[0].shape[1]), dtype=np.int64)
    mask = np.zeros((len(rows), length), dtype=np.int64)
    for target, valid, row in zip(ids, mask, rows, strict=True):
        target[length - len(row) :] = row
        valid[length - len(row) :] = 1
    return ids, mask


def _level(tokenizer: TextTokenizer, name: str, level: int | None) -> str:
    """The control token of a level, such as ``[speed_5]``; None has none."""
    if level is None:
        return ""
    token = f"[{name}_{level}]"
    if isinstance(level, bool) or not isinstance(level, int) or token not in tokenizer.vocabulary:
        known = [t for t in tokenizer.control_tokens if t.startswith(f"[{name}_")]
        raise InputError(
            f"{name} is {level!r}; expected a whole number for which the tokenizer has a token "
            f"({', '.join(known) or f'it has none: leave {name} out'})."
        )
    return token


def _encode(tokenizer: TextTokenizer, body: str, needed: tuple[str, ...]) -> list[int]:
    ids = tokenizer.encode(body)
    for name in needed:
        if tokenizer.token(name) not in ids:
            raise InputError(f"the tokenizer splits the control token {name}; it cannot be used.")
    return ids
