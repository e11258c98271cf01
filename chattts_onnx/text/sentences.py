"""Sentences of a text of any length, read as it comes: hours of text in constant memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from . import pauses
from .directions import VOICE, is_voice
from .pauses import PARAGRAPH, PAUSE, Pause

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
_PAUSE = re.compile(PAUSE)
_SOFT_END = re.compile(r"[，、；：,;:](?![0-9])|\s")


def blocks(text: str | Iterable[str]) -> Iterator[str]:
    """A text, or an iterable of its parts (an open file), in parts of bounded size."""
    for part in (text,) if isinstance(text, str) else text:
        for start in range(0, len(part), _BLOCK):
            yield part[start : start + _BLOCK]


def split_sentences(text: str | Iterable[str]) -> Iterator[tuple[str, Pause | None]]:
    """Sentences with their marks, each with the pause that the text asks for after it.

    None leaves the pause to the sentence's last mark.  A change of voice comes as a sentence that
    is nothing but its character.
    """
    rest = ""
    for block in blocks(text):
        rest += block
        # The last match may grow with the next block (a closing quote, a second newline).
        matches = [m for m in _END.finditer(rest) if m.end() < len(rest) - len(_CLOSERS)]
        start = 0
        for match in matches:
            yield from _sentence(rest[start : match.start()], match.group())
            start = match.end()
        rest = rest[start:]
        while len(rest) > MAX_SENTENCE:
            cut = _soft_cut(rest)
            yield rest[:cut], None
            rest = rest[cut:]
    start = 0
    for match in _END.finditer(rest):
        yield from _sentence(rest[start : match.start()], match.group())
        start = match.end()
    yield from _sentence(rest[start:], "", last=True)


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
