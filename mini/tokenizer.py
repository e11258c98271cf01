"""The mini tokenizer: Mandarin characters, pieces of English words, marks, control tokens.

It is of the official kind (lowercasing BERT WordPiece): each character is a token, a word falls
into pieces (:mod:`mini.pieces`) and where there is none into letters; what begins a word is another
token than what stands inside it.
"""

from __future__ import annotations

import string
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from mini import text
from mini.text import characters
from pipeline.checkpoint import layout
from pipeline.checkpoint.tokenizer import BASE_TOKENS, CONTROL_TOKENS
from pipeline.core import atomic

MARKS = "，。！？、；：“”‘’（）《》—…·"
# what stands before the apostrophe of a shortened word, and after it
STEMS = {
    **{f"{stem}n": f"{stem}n't" for stem in (
        "did", "does", "is", "was", "were", "would", "could", "should", "have", "has", "had", "are",
        "must", "need",
    )},
    "ll": "they'll", "ve": "they've", "re": "they're",
}  # fmt: skip


@cache
def _base() -> dict[str, int]:
    letters = string.digits + string.ascii_lowercase
    tokens = [*BASE_TOKENS, *string.punctuation, *MARKS, *letters]
    tokens += [*(f"##{piece}" for piece in letters), *text.sounds(), *characters()]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


@cache
def vocabulary() -> dict[str, int]:
    """Return token -> id, control tokens last."""
    return _base() | {token: len(_base()) + index for index, token in enumerate(CONTROL_TOKENS)}


@cache
def build_tokenizer() -> Tokenizer:
    """Build the tokenizer, without truncation, padding or added special tokens."""
    model = WordPiece(_base(), unk_token="[UNK]", max_input_chars_per_word=100)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=True, strip_accents=None, lowercase=True
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer.add_special_tokens(
        [AddedToken(token, normalized=False) for token in (*BASE_TOKENS, *CONTROL_TOKENS)]
    )
    return tokenizer


def write_tokenizer(root: Path) -> None:
    """Write the three tokenizer files of the official layout below ``root``."""
    atomic.write_text(root / layout.TOKENIZER, build_tokenizer().to_str(pretty=True))
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), BASE_TOKENS, strict=True))
    special: dict[str, Any] = {f"{key}_token": token for key, token in names.items()}
    special["additional_special_tokens"] = list(CONTROL_TOKENS)
    config: dict[str, Any] = {
        **special,
        "do_lower_case": True,
        "tokenizer_class": "BertTokenizer",
        "padding_side": "left",
    }
    atomic.write_json(root / layout.TOKENIZER_CONFIG, config)
    atomic.write_json(root / layout.SPECIAL_TOKENS, special)
