"""Tokenizers of seeded checkpoints, and the check of every checkpoint's tokenizer.

A seeded tokenizer is of the official kind (lowercasing BERT WordPiece with ChatTTS's control
tokens), over a vocabulary that needs no data file: ASCII and the characters of GB 2312.
"""

from __future__ import annotations

import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import WordPiece

from chattts_onnx.untrusted import brief_text, parse_json, read_limited, stand_in
from pipeline.checkpoint import layout
from pipeline.core import atomic
from pipeline.core.errors import CheckpointError

# the official file has 450 kB
MAX_TOKENIZER_BYTES = 1 << 26
BASE_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# in the order of the official ids 21128..21177
CONTROL_TOKENS = (
    "[Sasr]", "[Pasr]", "[Easr]", "[Stts]", "[Ptts]", "[Etts]", "[Sbreak]", "[Pbreak]", "[Ebreak]",
    "[uv_break]", "[v_break]", "[lbreak]", "[llbreak]", "[undefine]", "[laugh]", "[spk_emb]",
    "[empty_spk]", "[music]", "[pure]",
    *(f"[break_{index}]" for index in range(8)),
    *(f"[laugh_{index}]" for index in range(3)),
    *(f"[oral_{index}]" for index in range(10)),
    *(f"[speed_{index}]" for index in range(10)),
)  # fmt: skip
# without these neither the refine nor the code pass can be prompted or ended
NEEDED_TOKENS = (
    "[Stts]", "[Ptts]", "[spk_emb]", "[empty_spk]", "[Sbreak]", "[Pbreak]", "[Ebreak]", "[break_0]",
)  # fmt: skip
OFFICIAL_BASE_SIZE = 21_128
OFFICIAL_BASE_IDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103}
CHINESE_PUNCTUATION = "，。！？、；：“”‘’（）《》〈〉【】「」『』—…·～￥％℃"


def _gb2312(first_row: int, last_row: int) -> Iterator[str]:
    """Characters of GB 2312 rows; 16..55 is level 1 (3755), 56..87 level 2 (3008)."""
    for row in range(first_row, last_row + 1):
        for cell in range(1, 95):
            try:
                yield bytes((0xA0 + row, 0xA0 + cell)).decode("gb2312")
            except UnicodeDecodeError:
                # row 55 ends early
                continue


def _ascii() -> list[str]:
    pieces = [*string.punctuation, *string.digits, *string.ascii_lowercase]
    return [*pieces, *(f"##{piece}" for piece in string.digits + string.ascii_lowercase)]


def base_vocabulary(vocabulary: str) -> dict[str, int]:
    """Return the entries before the control tokens: token -> id."""
    if vocabulary == "compact":
        tokens = [*BASE_TOKENS, *_ascii(), *CHINESE_PUNCTUATION, *_gb2312(16, 55)]
        return {token: index for index, token in enumerate(tokens)}
    characters = list(_gb2312(16, 87))
    pieces = [
        *_ascii(), *CHINESE_PUNCTUATION, *characters, *(f"##{piece}" for piece in characters),
    ]  # fmt: skip
    ids = dict(OFFICIAL_BASE_IDS)
    # as in the official file, [unused1..99] lie between [PAD] and [UNK]
    for index in range(1, 100):
        ids[f"[unused{index}]"] = index
    for index, token in enumerate(pieces, start=104):
        ids[token] = index
    for index in range(104 + len(pieces), OFFICIAL_BASE_SIZE):
        ids[f"[unused{index}]"] = index
    return dict(sorted(ids.items(), key=lambda item: item[1]))


def vocabulary_size(vocabulary: str) -> int:
    """Number of text tokens, control tokens included."""
    return len(base_vocabulary(vocabulary)) + len(CONTROL_TOKENS)


def build_tokenizer(vocabulary: str) -> Tokenizer:
    """Build a tokenizer without truncation, padding or added special tokens."""
    model = WordPiece(base_vocabulary(vocabulary), unk_token="[UNK]", max_input_chars_per_word=100)
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


def write_tokenizer(root: Path, vocabulary: str) -> None:
    """Write the three tokenizer files of the layout below ``root``."""
    atomic.write_text(root / layout.TOKENIZER, build_tokenizer(vocabulary).to_str(pretty=True))
    names = dict(zip(("pad", "unk", "cls", "sep", "mask"), BASE_TOKENS, strict=True))
    special: dict[str, Any] = {f"{key}_token": token for key, token in names.items()}
    special["additional_special_tokens"] = list(CONTROL_TOKENS)
    config: dict[str, Any] = {
        **special,
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
        "padding_side": "left",
        "clean_up_tokenization_spaces": True,
    }
    atomic.write_json(root / layout.TOKENIZER_CONFIG, config)
    atomic.write_json(root / layout.SPECIAL_TOKENS, special)


def read_tokenizer(path: Path) -> Tokenizer:
    """Read a ``tokenizer.json`` with the truncation and padding it may embed switched off.

    The official file truncates and pads everything to 256 tokens.

    Raises:
        CheckpointError: the file is missing, too large or no tokenizer.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: found no file, expected the tokenizer.json of the official layout"
        )
    try:
        data = read_limited(path, MAX_TOKENIZER_BYTES)
        if (found := stand_in(data[:512])) is not None:
            raise ValueError(found)
        value = parse_json(data)
        value["truncation"] = value["padding"] = None
        tokenizer = Tokenizer.from_str(json.dumps(value))
        # what a tokenizer lacks shows when it is used
        tokenizer.encode("a \U0001f600", add_special_tokens=False)
        return tokenizer
    # the tokenizers library raises bare Exception for everything it cannot read
    except Exception as error:
        raise CheckpointError(
            f"{path}: found no readable tokenizer ({brief_text(error)}), expected a "
            "tokenizer.json of the "
            "Hugging Face tokenizers library; fetch it again"
        ) from error


def check_tokenizer(root: Path, num_text_tokens: int) -> None:
    """Check that the tokenizer of a checkpoint fits its text embedding and has the control tokens.

    Raises:
        CheckpointError: a token that prompts need is absent, or an id has no embedding row.
    """
    tokenizer = read_tokenizer(root / layout.TOKENIZER)
    for token in NEEDED_TOKENS:
        if len(ids := tokenizer.encode(token, add_special_tokens=False).ids) != 1 or (
            tokenizer.token_to_id(token) != ids[0]
        ):
            raise CheckpointError(
                f"{layout.TOKENIZER}: token {token}: found no control token of this name, expected "
                "those of ChatTTS; take the tokenizer folder of the official checkpoint"
            )
    highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
    if highest >= num_text_tokens:
        raise CheckpointError(
            f"{layout.TOKENIZER}: found token id {highest}, expected ids below {num_text_tokens}, "
            f"the rows of emb_text.weight in {layout.EMBED}"
        )
