"""A text in pieces of a length that the model speaks well, with the pauses between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from ..errors import InputError
from ..format.abilities import Abilities
from ..format.manifest import Manifest
from .language import Spoken, own_language
from .markup import LONGEST
from .normalize import markup_reader, speak
from .options import TextOptions
from .pauses import CLAUSE, PARAGRAPH, SENTENCE, WORD
from .report import Report
from .sentences import blocks, split_sentences
from .tags import TAG

_PAUSES = {**dict.fromkeys("。！？.!?", SENTENCE), **dict.fromkeys("，、,", CLAUSE)}

_ENGLISH_NUMBER = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|twenty|thirty|"
    r"forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|point)"
)
# What must not be cut: a tag, a number in words, a word; one Chinese character otherwise.
_ATOM = re.compile(
    rf"{TAG.pattern}|{_ENGLISH_NUMBER}(?:\s+{_ENGLISH_NUMBER})*\b"
    r"|[零一二三四五六七八九十百千万亿两点幺负分之]+[\u4e00-\u9fff]?"
    r"|[\u4e00-\u9fff](?:儿|们|子)?|[^\s\u4e00-\u9fff，。？！、,.?!\[]+|\S|\s+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[^，、,。！？.!?]*[，、,。！？.!?]+\s*|[^，、,。！？.!?]+\Z")
# A cut after one of these falls between words.
_FUNCTION_WORDS = frozenset("的了着过和与或及是在把被就都也而")

# ChatTTS speaks 25 to 30 s at once well; Chinese takes some 4.5 tokens a second.
PIECE_TOKENS = 96

Count = Callable[[str], int]


@dataclass(frozen=True)
class Piece:
    """Speakable ``text`` of ``tokens`` tokens, followed by ``pause`` seconds of silence."""

    text: str
    tokens: int
    pause: float


def split_pieces(
    text: str | Iterable[str],
    count: Count,
    limit: int,
    options: TextOptions | None = None,
    report: Report | None = None,
    *,
    normalized: bool = False,
    apart: bool = False,
) -> Iterator[Piece]:
    """Pieces of at most ``limit`` tokens, as counted by ``count``.

    Sentences are normalised one by one (unless ``normalized`` says they are) and packed; one that
    is too long is cut at clauses, then between words, never inside a tag, number or word.  Memory
    does not grow with the text.  ``apart`` gives every sentence a piece of its own.  ``report``
    collects what normalisation did.
    """
    if limit < 4:
        raise InputError(f"the piece length is {limit} tokens; expected at least 4.")
    packer = _Packer(count, limit)
    for sentence, pause in _spoken_sentences(text, options, report, normalized):
        if sentence:
            if apart:
                yield from packer.flush()
            yield from packer.add(sentence)
        if pause is not None:
            yield from packer.flush(pause)
    yield from packer.flush(PARAGRAPH)


def _spoken_sentences(
    text: str | Iterable[str],
    options: TextOptions | None,
    report: Report | None,
    normalized: bool,
) -> Iterator[tuple[str, float | None]]:
    """Sentences in words, each with the pause that the text asks for after it."""
    if normalized:
        yield from split_sentences(text)
        return
    chosen, changes = options or TextOptions(), Report() if report is None else report
    reader = markup_reader(chosen, changes)
    # A text at hand is read at once: what stands in it may be closed anywhere.
    whole = isinstance(text, str) and len(text) <= LONGEST
    plain = [reader.read(str(text))] if whole else reader.parts(blocks(text))
    for sentence, pause, around in _with_language(split_sentences(plain)):
        yield speak(sentence, chosen, changes, around) if sentence else "", pause
        if report is None:  # nobody reads it, and a book's would fill the memory
            changes.changes.clear()


# Sentences without a letter wait for one that tells their language, for so many sentences.
_WAIT = 8


def _with_language(
    sentences: Iterable[tuple[str, float | None]],
) -> Iterator[tuple[str, float | None, Spoken | None]]:
    """Each sentence with the language of those before it, or at the start of those after it."""
    known: Spoken | None = None
    waiting: list[tuple[str, float | None]] = []
    for sentence, pause in sentences:
        own = own_language(sentence, strict=True)
        if known is None and own is None and len(waiting) < _WAIT:
            waiting.append((sentence, pause))
            continue
        known = own or known
        yield from ((*earlier, known) for earlier in waiting)
        waiting = []
        yield sentence, pause, known
    yield from ((*earlier, known) for earlier in waiting)


def piece_limit(manifest: Manifest, wanted: int | None = None) -> int:
    """Tokens of a piece for a bundle: ``wanted``, or what its manifest notes, or the usual.

    A quarter of the model's positions at most, since speech takes several positions a token.
    """
    limit = wanted or int(manifest.notes.get("piece_tokens", PIECE_TOKENS))
    return min(limit, manifest.model.max_position_embeddings // 4)


def bundle_reading(
    manifest: Manifest, options: TextOptions | None, voice: Spoken | None = None
) -> TextOptions:
    """``options`` with a language for texts without letters: the voice's, or the bundle's only."""
    chosen, abilities = options or TextOptions(), Abilities.of(manifest)
    if voice is not None and chosen.default_language is None:
        return replace(chosen, default_language=voice)
    spoken = {"zh", "en"} & set(abilities.languages) if abilities else set()
    if chosen.default_language is not None or len(spoken) != 1:
        return chosen
    return replace(chosen, default_language="en" if "en" in spoken else "zh")


def sentences_apart(manifest: Manifest) -> bool:
    """Whether a bundle's model knows single sentences only, as its manifest notes."""
    return bool(manifest.notes.get("sentences_apart", False))


class _Packer:
    """Joins sentences until the next would exceed the limit."""

    def __init__(self, count: Count, limit: int) -> None:
        self._count = count
        self._limit = limit
        self._text = ""
        self._tokens = 0

    def add(self, sentence: str) -> Iterator[Piece]:
        tokens = self._count(sentence)
        if self._tokens + tokens > self._limit:
            yield from self.flush()
        if tokens > self._limit:
            *whole, last = _cut(sentence, self._count, self._limit)
            yield from whole
            self._text, self._tokens = last.text, last.tokens
            return
        gap = " " if self._text and self._text[-1].isascii() and self._text[-1] != "]" else ""
        self._text += gap + sentence
        self._tokens += tokens

    def flush(self, pause: float | None = None) -> Iterator[Piece]:
        if self._text:
            yield Piece(self._text, self._tokens, _pause(self._text) if pause is None else pause)
        self._text, self._tokens = "", 0


def _cut(sentence: str, count: Count, limit: int) -> list[Piece]:
    """A sentence too long for one piece: even parts at clauses, and words where they must."""
    units: list[tuple[str, int]] = []
    for clause in _CLAUSE.findall(sentence):
        tokens = count(clause)
        units += _words(clause, count, limit) if tokens > limit else [(clause, tokens)]
    # Even parts sound better than full ones with a short rest.
    parts = -(-sum(tokens for _, tokens in units) // limit)
    target = sum(tokens for _, tokens in units) / parts
    pieces: list[Piece] = []
    text, size = "", 0
    for unit, tokens in units:
        if text and (size + tokens > limit or size + tokens / 2 > target):
            pieces.append(Piece(text.strip(), size, _pause(text)))
            text, size = "", 0
        text, size = text + unit, size + tokens
    pieces.append(Piece(text.strip(), size, _pause(text)))
    return [piece for piece in pieces if piece.text]


def _words(clause: str, count: Count, limit: int) -> list[tuple[str, int]]:
    """Parts of a clause of at most ``limit`` tokens, between words."""
    parts: list[tuple[str, int]] = []
    atoms = [(m.group(), count(m.group())) for m in _ATOM.finditer(clause)]
    start = size = 0
    for index, (_, tokens) in enumerate(atoms):
        if size + tokens > limit and index > start:
            end = _best_cut(atoms, start, index)
            parts.append(_merge(atoms[start:end]))
            start, size = end, sum(t for _, t in atoms[end:index])
        size += tokens
    parts.append(_merge(atoms[start:]))
    return parts


def _best_cut(atoms: list[tuple[str, int]], start: int, end: int) -> int:
    """The last place in the second half of ``start`` to ``end`` that is surely between words."""
    for index in range(end, start + (end - start) // 2, -1):
        before = atoms[index - 1][0]
        if before.isspace() or before[-1] in _FUNCTION_WORDS:
            return index
    return end


def _merge(atoms: list[tuple[str, int]]) -> tuple[str, int]:
    return "".join(atom for atom, _ in atoms), sum(tokens for _, tokens in atoms)


def _pause(text: str) -> float:
    return _PAUSES.get(TAG.sub("", text).rstrip()[-1:], WORD)
