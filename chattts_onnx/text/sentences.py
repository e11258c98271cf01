"""Sentences of a text of any length, read as it comes: hours of text in constant memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from .core import pauses
from .core.pauses import PARAGRAPH, PAUSE, Pause
from .directions import VOICE, is_voice

# A buffer without a sentence end is cut here at a clause or space.
MAX_SENTENCE = 2000
_BLOCK = 4096

_CLOSERS = "\"'”’」』）)】]"
_CLOSER = f"[{re.escape(_CLOSERS)}]*"
_ABBREVIATED = (
    r"(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\bMt)(?<!\bLt)(?<!\bNo)(?<!\bvs)(?<!\bMrs)(?<!\bGen)"
    r"(?<!\bCol)(?<!\bRev)(?<!\bSen)(?<!\bRep)(?<!\bGov)(?<!\bFig)(?<!\bVol)(?<!\bProf)(?<!\bCapt)"
    # An initial, and the number of a list's item.
    r"(?<!\b[A-Za-z])(?<!\A[0-9])(?<!\n[0-9])(?<!\A[0-9]{2})(?<!\n[0-9]{2})"
)
# Chinese stops end a sentence by themselves, ASCII ones before a space: not in 3.14 or a.com?b=1.
_END = re.compile(
    rf"[。！？…]+{_CLOSER}|(?:{_ABBREVIATED}\.|[?!])[.?!]*{_CLOSER}(?=\s|[\u4e00-\u9fff])"
    rf"|(?:{PAUSE}|\n[ \t]*\n)(?:{PAUSE}|\s)*|{VOICE}|(?<=[\u4e00-\u9fff，；：、])[ \t]*\n"
)
_CLAUSE_END = re.compile(
    rf"{_END.pattern}|(?P<clause>(?:[，、；：—]|[,;:](?=\s))+{_CLOSER})(?!{PAUSE})"
)
# What may be part of an end; and what a clause is counted in.
_MARK = re.compile(rf"[。！？…，、；：—,;:.?!\n{re.escape(_CLOSERS)}]|{PAUSE}|{VOICE}")
_UNIT = re.compile(r"[\u4e00-\u9fff]|[^\W\u4e00-\u9fff]+")
_LEAST_UNITS = 2
# A block of code that is open is waited for, up to here.
_LONGEST_OPEN = 1 << 14
_PAUSE = re.compile(PAUSE)
_SOFT_END = re.compile(r"[，、；：,;:](?![0-9])|\s")


def blocks(text: str | Iterable[str]) -> Iterator[str]:
    """A text, or an iterable of its parts (an open file), in parts of bounded size."""
    for part in (text,) if isinstance(text, str) else text:
        for start in range(0, len(part), _BLOCK):
            yield part[start : start + _BLOCK]


class Cutter:
    """Cuts a text behind the ends of its sentences, the same wherever the parts it comes in fall.

    Each cut gives (text, the marks that end it).  ``ahead`` characters have to follow an end, since
    closing quotes may.  With ``clause`` the first cut may fall at the end of a clause of two words
    or more.  Where ``closed`` says no of the text before it nothing is cut, until ``longest``.
    """

    def __init__(
        self,
        ahead: int = len(_CLOSERS),
        *,
        clause: bool = False,
        closed: Callable[[str], bool] = bool,
        longest: int = MAX_SENTENCE,
    ) -> None:
        self._ahead, self._clause, self._closed, self._longest = ahead, clause, closed, longest
        self._first = True
        self._rest = ""
        self._refused = 0

    def push(self, part: str) -> Iterator[tuple[str, str]]:
        """What ``part`` completes."""
        seen = max(0, len(self._rest) - self._ahead - 1)
        self._rest += part
        # An end is looked for only where a mark has come: a long text of short parts stays cheap.
        if _MARK.search(self._rest, seen):
            yield from self._cut(lambda end: end < len(self._rest) - self._ahead)
        while len(self._rest) > self._longest:
            cut = _soft_cut(self._rest)
            yield self._off(cut, cut)

    def flush(self) -> Iterator[tuple[str, str]]:
        """What is left, last of all what no mark ends; then a text begins anew."""
        yield from self._cut(lambda end: True)
        yield self._off(len(self._rest), len(self._rest))
        self._first = True

    def _cut(self, known: Callable[[int], bool]) -> Iterator[tuple[str, str]]:
        while match := self._next(known):
            yield self._off(*match.span())

    def _next(self, known: Callable[[int], bool]) -> re.Match[str] | None:
        pattern = _CLAUSE_END if self._clause and self._first else _END
        for match in pattern.finditer(self._rest, self._refused):
            if not known(match.end()):
                return None
            before = self._rest[: match.start()]
            short = match.lastgroup == "clause" and len(_UNIT.findall(before)) < _LEAST_UNITS
            if not short and self._closed(before + match.group()):
                return match
            # What follows does not change what lies before it.
            self._refused = match.end()
        return None

    def _off(self, start: int, end: int) -> tuple[str, str]:
        body, mark, self._rest = self._rest[:start], self._rest[start:end], self._rest[end:]
        self._refused = 0
        self._first &= not (body + mark).strip()
        return body, mark


def split_sentences(text: str | Iterable[str]) -> Iterator[tuple[str, Pause | None]]:
    """Sentences with their marks, each with the pause that the text asks for after it.

    None leaves the pause to the sentence's last mark.  A change of voice comes as a sentence that
    is nothing but its character.
    """
    cutter = Cutter()
    for block in blocks(text):
        for body, mark in cutter.push(block):
            yield from _sentence(body, mark)
    *ended, (rest, _) = cutter.flush()
    for body, mark in ended:
        yield from _sentence(body, mark)
    yield from _sentence(rest, "", last=True)


def live_sentences(
    text: Iterable[str | None], read: Callable[[str], str], closed: Callable[[str], bool]
) -> Iterator[tuple[str, Pause | None]]:
    """As :func:`split_sentences` of a text that is still being written: each as soon as it ends.

    The first one may be a clause, to start at once; None in ``text`` asks for what is there.
    ``read`` takes the markup off what is cut, where ``closed`` says that none is open.
    """
    cutter = Cutter(0, clause=True, closed=closed, longest=_LONGEST_OPEN)
    for part in text:
        for body, mark in cutter.flush() if part is None else cutter.push(part):
            yield from _read_sentences(body + mark, read, mark.count("\n") > 1)
    for body, mark in cutter.flush():
        yield from _read_sentences(body + mark, read, mark.count("\n") > 1)


def _read_sentences(
    text: str, read: Callable[[str], str], paragraph: bool
) -> Iterator[tuple[str, Pause | None]]:
    cutter = Cutter()
    # A piece may end between clauses: only a paragraph's end asks for the pause of one.
    for body, mark in [*cutter.push(read(text)), *cutter.flush()]:
        yield from _sentence(body, mark)
    if paragraph:
        yield "", Pause(PARAGRAPH)


def _sentence(body: str, mark: str, last: bool = False) -> Iterator[tuple[str, Pause | None]]:
    if is_voice(mark):
        if body.strip():
            yield body.strip(), None
        yield mark, None
        return
    pause = pauses.length(mark) if _PAUSE.search(mark) else None
    if last or mark.count("\n") > 1:
        known = pause or Pause(0.0)
        pause = Pause(max(known.seconds, PARAGRAPH), known.asked)
    marks = pauses.without(mark)
    sentence = (body + marks).strip()
    # A title or a line of verse; a pause that the author asked for needs no stop.
    if (marks or pause) and not marks.strip() and sentence and sentence[-1].isalnum() and not last:
        stop = marks.strip(" ") or pauses.ends_sentence(mark)
        sentence += ("." if sentence[-1].isascii() else "。") if stop else ""
    # A blank sentence still tells that a pause stands here.
    if sentence or pause is not None:
        yield sentence, pause


def _soft_cut(text: str) -> int:
    cuts = [m.end() for m in _SOFT_END.finditer(text, MAX_SENTENCE // 2, MAX_SENTENCE)]
    return cuts[-1] if cuts else MAX_SENTENCE
