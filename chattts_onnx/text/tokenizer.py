"""The checkpoint's WordPiece tokenizer, with its embedded truncation and padding off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from ..errors import BundleError, InputError

_CONTROL = re.compile(r"\[[A-Za-z][A-Za-z_]*\d*\]")


class TextTokenizer:
    """``tokenizer.json`` of a checkpoint.

    The official file embeds "truncate to 256" and "pad to 256"; both would change prompts without
    a word, so both are switched off here.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, path: Path | str) -> TextTokenizer:
        """Read a ``tokenizer.json``; :class:`BundleError` when it is missing or unreadable."""
        if not Path(path).is_file():
            raise BundleError(f"{path} not found; a bundle needs the checkpoint's tokenizer.")
        try:
            return cls(Tokenizer.from_file(str(path)))
        except Exception as error:  # the Rust library raises plain Exception
            raise BundleError(f"{path} is not a readable tokenizer.json: {error}") from error

    @cached_property
    def vocabulary(self) -> Mapping[str, int]:
        """Every token, added ones included, with its id."""
        return dict(self._tokenizer.get_vocab(with_added_tokens=True))

    @property
    def size(self) -> int:
        """Number of ids: one more than the largest."""
        return max(self.vocabulary.values()) + 1

    @property
    def control_tokens(self) -> dict[str, int]:
        """Bracketed tokens such as ``[Stts]`` or ``[speed_5]`` with their ids, by id."""
        found = {k: v for k, v in self.vocabulary.items() if _CONTROL.fullmatch(k)}
        return dict(sorted(found.items(), key=lambda item: item[1]))

    def token(self, name: str) -> int:
        """Id of one token; :class:`InputError` when the tokenizer does not know it."""
        identifier = self._tokenizer.token_to_id(name)
        if identifier is None:
            raise InputError(f"the tokenizer has no token {name!r}.")
        return int(identifier)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text`` with no special token added."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def tokens(self, text: str) -> list[str]:
        """The tokens of ``text`` as they stand in the vocabulary; ``[UNK]`` for what is not."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``; control tokens such as ``[uv_break]`` are kept."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))
