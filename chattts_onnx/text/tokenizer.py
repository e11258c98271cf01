"""The checkpoint's WordPiece tokenizer, with its embedded truncation and padding off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer

from ..charset import require_text
from ..errors import BundleError, InputError
from ..untrusted import brief_text, parse_json, read_limited

_T = TypeVar("_T")
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
        """Read a ``tokenizer.json``; :class:`BundleError` when it is missing or unreadable.

        One with regular expressions of its own is refused: matching them may take for ever, and
        ChatTTS has none.
        """
        if not Path(path).is_file():
            raise BundleError(f"{path} not found; a bundle needs the checkpoint's tokenizer.")
        try:
            data = read_limited(Path(path), _MAX_BYTES)
            if b'"Regex"' in data and _has_patterns(parse_json(data)):
                raise ValueError("it has regular expressions")
            tokenizer = _unpanicked(lambda: cls(Tokenizer.from_buffer(data)))
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
        return list(self._encode(text).ids)

    def tokens(self, text: str) -> list[str]:
        """The tokens of ``text`` as they stand in the vocabulary; ``[UNK]`` for what is not."""
        return list(self._encode(text).tokens)

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids``; control tokens such as ``[uv_break]`` are kept."""
        wanted = [int(i) for i in ids]
        return _unpanicked(lambda: self._tokenizer.decode(wanted, skip_special_tokens=False))

    def _encode(self, text: str) -> Any:
        return _unpanicked(lambda: self._tokenizer.encode(text, add_special_tokens=False))


def _has_patterns(value: Any) -> bool:
    """Whether a tokenizer has a pattern, outside of its vocabulary."""
    if isinstance(value, list):
        return any(map(_has_patterns, value))
    if not isinstance(value, dict):
        return False
    return "Regex" in value or any(
        _has_patterns(part) for name, part in value.items() if name != "vocab"
    )


def _unpanicked(work: Callable[[], _T]) -> _T:
    """What the Rust library gives; its panics, which are no Exception, become errors."""
    try:
        return work()
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise BundleError(f"the tokenizer cannot be used: {brief_text(error)}") from error
