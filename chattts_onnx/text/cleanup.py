"""What is done to a user's text before it becomes a prompt."""

from __future__ import annotations

import re
import unicodedata

from ..errors import InputError
from .core.report import Report

# Tokens that structure the prompt.  A user's text that held one could end the prompt early or
# place a second speaker, so they are taken out; [uv_break], [laugh] and their like stay.
STRUCTURAL_TOKENS = (
    "[Stts]", "[Ptts]", "[Etts]", "[Sbreak]", "[Pbreak]", "[Ebreak]", "[Sasr]", "[Pasr]", "[Easr]",
    "[spk_emb]", "[empty_spk]", "[undefine]", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]",
)  # fmt: skip
_STRUCTURAL = re.compile("|".join(re.escape(token) for token in STRUCTURAL_TOKENS), re.IGNORECASE)
_SPACE = re.compile(r"\s+")
_INVISIBLE = frozenset({"Cc", "Cf", "Cs"})


def remove_structure(text: str, report: Report | None = None) -> str:
    """``text`` without tokens that structure prompts; taking one out must not make another."""

    def drop(match: re.Match[str]) -> str:
        return report.add("prompt token", match.group(), "") if report is not None else ""

    found = True
    while found:
        text, removed = _STRUCTURAL.subn(drop, text)
        found = bool(removed)
    return text


def clean_text(text: str) -> str:
    """Take out invisible characters and structural control tokens, and fold whitespace.

    Raises :class:`InputError` when ``text`` is no string or nothing is left of it.
    """
    if not isinstance(text, str):
        raise InputError(f"text is {type(text).__name__}; expected a string.")
    if not text.isprintable():
        text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    text = _SPACE.sub(" ", remove_structure(text)).strip()
    if not text:
        raise InputError("the text is empty; expected at least one word to speak.")
    return text
