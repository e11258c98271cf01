"""The checkpoint's WordPiece tokenizer, with its embedded truncation and padding off."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path

from tokenizers import Tokenizer

from ..charset import require_text
from ..errors import BundleError, InputError
from ..untrusted import brief_text, read_limited

# The official file has 450 kB.
_MAX_BYTES = 64 << 20
# With a word that no vocabulary has.
_TRIAL = "a 你 \U0001f600 [uv_break]"
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
            tokenizer = cls(Tokenizer.from_buffer(read_limited(Path(path), _MAX_BYTES)))
            # What a tokenizer lacks shows when it is used.
            tokenizer.decode(tokenizer.encode(_TRIAL))
            if not tokenizer.vocabulary:
                raise ValueError("it has no token")
        except Exception as error:  # the Rust library raises plain Exception
            reason = brief_text(error)
            raise BundleError(f"{path} is not a readable tokenizer.json: {reason}") from error
        return tokenizer

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
        """Ids of ``text`` with no special token added; :class:`InputError` on undecoded bytes."""
        require_text(text, "the text")
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def tokens(self, text: str) -> list[str]:
        """The tokens of ``text`` as they stand in the vocabulary; ``[UNK]`` for what is not."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``; control tokens such as ``[uv_break]`` are kept."""
        return str(self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=False))
