"""The mini tokenizer: letters, digits, punctuation and every control token of ChatTTS.

It is of the official kind (lowercasing BERT WordPiece), so the first letter of a word and the
letters inside it are different tokens, and spaces need none.
"""

from __future__ import annotations

import string
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from pipeline.checkpoint import layout
from pipeline.checkpoint.tokenizer import BASE_TOKENS, CONTROL_TOKENS
from pipeline.core import atomic


@cache
def _base() -> dict[str, int]:
    letters = string.digits + string.ascii_lowercase
    tokens = [*BASE_TOKENS, *string.punctuation, *letters, *(f"##{piece}" for piece in letters)]
    return {token: index for index, token in enumerate(tokens)}


def vocabulary() -> dict[str, int]:
    """Return token -> id, control tokens last."""
    return _base() | {token: len(_base()) + index for index, token in enumerate(CONTROL_TOKENS)}


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
