"""A text in pieces of a length that the model speaks well, with the pauses between them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import cast

from ..errors import InputError
from ..format.abilities import Abilities
from ..format.manifest import Manifest
from .core.language import Spoken, own_language
from .core.options import TextOptions
from .core.pauses import CLAUSE, PARAGRAPH, SENTENCE, WORD, Pause
from .core.report import Report
from .core.tags import TAG
from .directions import Directions, is_voice
from .markup import LONGEST
from .normalize import markup_reader, speak
from .sentences import blocks, live_sentences, split_sentences

_PAUSES = {**dict.fromkeys("。！？.!?", SENTENCE), **dict.fromkeys("，、,", CLAUSE)}

_ENGLISH_NUMBER = (
    r"(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen|twenty|thirty|"
    r"forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|trillion|point)"
)
# Punctuation alone says nothing; a tag such as [laugh] does.
_LETTER = re.compile(r"\w")
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
class Said:
    """A sentence: what was written, markup taken off, and the ``words`` that are spoken for it."""

    source: str
    words: str


@dataclass(frozen=True)
class Piece:
    """Speakable ``text`` of ``tokens`` tokens, followed by ``pause`` seconds of silence.

    ``sentences`` are those it holds.  ``before`` and ``after`` are the seconds around it that the
    author asked for, which the first and last piece of a text have as well; ``least`` is what the
    layout asks for before it where that was known too late for the piece before.  ``voice`` is the
    name of who speaks it, None for the speech's own voice.
    """

    text: str
    tokens: int
    pause: float
    sentences: tuple[Said, ...] = ()
    before: float = 0.0
    after: float = 0.0
    least: float = 0.0
    voice: str | None = None


def split_pieces(
    text: str | Iterable[str | None],
    count: Count,
    limit: int,
    options: TextOptions | None = None,
    report: Report | None = None,
    *,
    normalized: bool = False,
    apart: bool = False,
    live: bool = False,
) -> Iterator[Piece]:
    """Pieces of at most ``limit`` tokens, as counted by ``count``.

    Sentences are normalised one by one (unless ``normalized`` says they are) and packed; one that
    is too long is cut at clauses, then between words, never inside a tag, number or word.  Memory
    does not grow with the text.  ``apart`` gives every sentence a piece of its own.  ``live`` is
    for a text that is still being written: each sentence is given as soon as it ends, of the first
    one its first clause, and None in ``text`` asks for what is there.  ``report`` collects what
    normalisation did.
    """
    if limit < 4:
        raise InputError(f"the piece length is {limit} tokens; expected at least 4.")
    changes = Report() if report is None else report
    packer, directions = _Packer(count, limit), Directions(changes)
    if live:
        sentences = _live_sentences(text, options, directions, normalized)
    else:
        whole = cast("str | Iterable[str]", text)  # None is for a live text alone
        sentences = _spoken_sentences(whole, options, directions, normalized)
    for sentence, pause in sentences:
        if report is None:  # nobody reads it, and a book's would fill the memory
            changes.changes.clear()
        if is_voice(sentence.words):
            yield from packer.turn(directions.voice(sentence.words))
        elif _LETTER.search(sentence.words):
            if apart:
                yield from packer.flush()
            yield from packer.add(sentence)
        if pause is not None or live:
            yield from packer.flush(pause)
    yield from packer.flush(Pause(PARAGRAPH))


def _spoken_sentences(
    text: str | Iterable[str],
    options: TextOptions | None,
    directions: Directions,
    normalized: bool,
) -> Iterator[tuple[Said, Pause | None]]:
    """Sentences in words, each with the pause that the text asks for after it."""
    # A text at hand is read at once: what stands in it may be closed anywhere.
    whole = isinstance(text, str) and len(text) <= LONGEST
    directed = [directions.read(str(text))] if whole else directions.parts(blocks(text))
    if normalized:
        for sentence, pause in split_sentences(directed):
            yield Said(sentence, sentence), pause
        return
    chosen = options or TextOptions()
    reader = markup_reader(chosen, directions.report)
    plain = map(reader.read, directed) if whole else reader.parts(directed)
    for sentence, pause, around in _with_language(split_sentences(plain)):
        yield _said(sentence, chosen, directions.report, around), pause


def _live_sentences(
    text: Iterable[str | None],
    options: TextOptions | None,
    directions: Directions,
    normalized: bool,
) -> Iterator[tuple[Said, Pause | None]]:
    """As :func:`_spoken_sentences`, none held back for what may follow it."""
    chosen, report = options or TextOptions(), directions.report
    reader = markup_reader(replace(chosen, markup="plain") if normalized else chosen, report)
    known: Spoken | None = None
    for sentence, pause in live_sentences(
        text, lambda part: reader.read(directions.read(part)), reader.closed
    ):
        known = own_language(sentence, strict=True) or known
        if normalized:
            yield Said(sentence, sentence), pause
        else:
            yield _said(sentence, chosen, report, known), pause


def _said(sentence: str, options: TextOptions, report: Report, around: Spoken | None) -> Said:
    """A sentence in words; a change of voice stays what it is."""
    plain = not sentence or is_voice(sentence)
    return Said(sentence, sentence if plain else speak(sentence, options, report, around))


# Sentences without a letter wait for one that tells their language, for so many sentences.
_WAIT = 8


def _with_language(
    sentences: Iterable[tuple[str, Pause | None]],
) -> Iterator[tuple[str, Pause | None, Spoken | None]]:
    """Each sentence with the language of those before it, or at the start of those after it."""
    known: Spoken | None = None
    waiting: list[tuple[str, Pause | None]] = []
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
        self._sentences: list[Said] = []
        self._before = self._least = 0.0
        self._voice: str | None = None

    def add(self, said: Said) -> Iterator[Piece]:
        sentence = said.words
        tokens = self._count(sentence)
        if self._tokens + tokens > self._limit:
            yield from self.flush()
        if tokens > self._limit:
            *whole, last = _cut(sentence, self._count, self._limit)
            for piece in whole:
                yield self._of(piece)
            self._text, self._tokens = last.text, last.tokens
            self._sentences = list(last.sentences)
            return
        gap = " " if self._text and self._text[-1].isascii() and self._text[-1] != "]" else ""
        self._text += gap + sentence
        self._tokens += tokens
        self._sentences.append(said)

    def flush(self, pause: Pause | None = None) -> Iterator[Piece]:
        if self._text:
            known = pause or Pause(_pause(self._text))
            said = tuple(self._sentences)
            yield self._of(Piece(self._text, self._tokens, known.seconds, said, after=known.asked))
        elif pause is not None:
            # Nothing stands before it that it could follow.
            self._before += pause.asked
            self._least = max(self._least, pause.seconds - pause.asked)
        self._text, self._tokens, self._sentences = "", 0, []

    def turn(self, voice: str | None) -> Iterator[Piece]:
        """What comes is for another voice; who speaks next waits for a sentence's end."""
        if voice != self._voice:
            yield from self.flush(Pause(max(_pause(self._text), SENTENCE)) if self._text else None)
        self._voice = voice

    def _of(self, piece: Piece) -> Piece:
        before, least = self._before, self._least
        self._before = self._least = 0.0
        return replace(piece, before=before, least=least, voice=self._voice)


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
            pieces.append(_part(text.strip(), size))
            text, size = "", 0
        text, size = text + unit, size + tokens
    pieces.append(_part(text.strip(), size))
    return [piece for piece in pieces if piece.text]


def _part(text: str, tokens: int) -> Piece:
    return Piece(text, tokens, _pause(text), (Said(text, text),))


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
