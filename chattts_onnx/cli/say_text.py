"""The text of ``chattts-onnx say``: where it comes from, how it is read, what it becomes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ..charset import argument, read_blocks
from ..errors import InputError
from ..format.installed import known_bundle
from .common import text_options

if TYPE_CHECKING:
    from ..text import TextOptions, TextTokenizer


def add_text(say: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    say.add_argument("text", nargs="?", help="the text; '-' or nothing reads standard input")
    say.add_argument("-f", "--file", type=Path, help="read the text from this file")


def read_text(parsed: argparse.Namespace) -> str | Iterable[str]:
    """The text, or its blocks where it comes from a file or standard input."""
    if parsed.file is not None:
        if parsed.text is not None:
            raise InputError("both a text and --file were given; expected one of them.")
        try:
            stream = parsed.file.open("rb")
        except OSError as error:
            raise InputError(f"{parsed.file} cannot be read: {error.strerror or error}.") from error
        return _blocks(stream, str(parsed.file), parsed.encoding)
    if parsed.text not in (None, "-"):
        return argument(parsed.text, "the text", parsed.encoding)
    if not hasattr(sys.stdin, "buffer"):
        return [sys.stdin.read()]
    own = sys.stdin.encoding
    return read_blocks(sys.stdin.buffer, "standard input", parsed.encoding, own)


def _blocks(stream: IO[bytes], name: str, encoding: str | None) -> Iterator[str]:
    with stream:
        yield from read_blocks(stream, name, encoding)


def dry_run(parsed: argparse.Namespace) -> None:
    """Print each piece, its tokens, and what normalisation changed.  Needs no model."""
    from ..text import Report, split_pieces

    tokenizer, limit, apart, reading = _bundle(parsed)
    report, unknown = Report(), set()
    pieces = split_pieces(
        read_text(parsed),
        (lambda text: len(tokenizer.encode(text))) if tokenizer else len,
        limit,
        reading,
        report,
        normalized=parsed.normalize is False,
        apart=apart,
    )
    for number, piece in enumerate(pieces, 1):
        unit = "tokens" if tokenizer else "characters"
        before = f"after {piece.before:.2f} s, " if piece.before else ""
        voice = f"voice {piece.voice}, " if piece.voice else ""
        print(f"{number}. {before}{voice}{piece.tokens} {unit}, then {piece.pause:.2f} s")
        print(f"   {piece.text}")
        if tokenizer:
            tokens = tokenizer.tokens(piece.text)
            print(f"   {' '.join(tokens)}")
            unknown |= {word for word in _words(piece.text) if "[UNK]" in tokenizer.tokens(word)}
    for change in report:
        print(f"{change}")
        if parsed.explain and change.why:
            print(f"   {change.why}")
    if unknown:
        print(f"unknown to the tokenizer: {', '.join(sorted(unknown))}")


def _words(text: str) -> list[str]:
    return "".join(c if c.isascii() else f" {c} " for c in text).split()


def _bundle(
    parsed: argparse.Namespace,
) -> tuple[TextTokenizer | None, int, bool, TextOptions]:
    """The bundle's tokenizer, its length of a piece, whether each sentence is one, and its reading.

    Without a bundle that is the usual length.
    """
    from ..text.pieces import PIECE_TOKENS

    folder = known_bundle(parsed.bundle)
    if folder is None:
        return None, parsed.piece_tokens or PIECE_TOKENS, False, text_options(parsed)
    from ..format.manifest import Manifest
    from ..model import VOICES
    from ..text import TextTokenizer, bundle_reading, piece_limit, sentences_apart
    from ..voices.collection import VoiceShelf

    manifest = Manifest.load(folder, verify=False)
    tokenizer = TextTokenizer.load(folder / "tokenizer.json")
    limit = piece_limit(manifest, parsed.piece_tokens)
    language = VoiceShelf(folder / VOICES, manifest.model.hidden_size).language(parsed.voice)
    reading = bundle_reading(manifest, text_options(parsed), language)
    return tokenizer, limit, sentences_apart(manifest), reading
