"""What carries a text, taken off it: SSML, HTML, Markdown, formulas, chat templates.

``auto`` takes for markup what ordinary text does not have; ``ssml`` every element; ``markdown``
every mark of Markdown; ``plain`` nothing.  Pauses come out as characters of :mod:`..core.pauses`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..choices import Code, Markup
from ..core.language import Spoken, own_language
from ..core.report import Report
from .chat import read_chat
from .html import decode_entities, read_html
from .latex import has_formula, speak_formulas, without_formulas
from .markdown import read_markdown

# A mark that is not closed within so many characters closes nothing.
LONGEST = 1 << 20
# A longer line is cut at the end of a sentence in it, where no mark is open.
_LONG_LINE = 256
_TRIES = 8
_SENTENCE_END = re.compile(r"[。！？]|[.!?]\s")
_OPEN = re.compile(
    r"(?m)^ {0,3}(?P<fence>`{3,}|~{3,})|(?P<comment><!--)|(?P<display>\$\$)|(?P<square>\\\[)"
    r"|<(?P<name>think|thinking|thought|thoughts|reasoning|reflection|scratchpad|script|style|head|template|tool_call|"
    r"tool_response|function_call|antthinking|analysis|speak|table|pre)\b[^<>]*>"
    r"|\\begin\{(?P<env>[a-z]+\*?)\}"
)
# Dollars and comparisons.
_PROSE_MARK = re.compile(r"\$(?=[0-9])|<(?![A-Za-z/!])")
_PROMPTED = re.compile(r"\A(?:(?!<think).)*?</think(?:ing)?>", re.DOTALL)


@dataclass
class MarkupReader:
    """Takes markup off a text that comes in parts, however they are cut."""

    mode: Markup = "auto"
    code: Code = "read"
    language: Spoken | None = None
    default: Spoken | None = None
    report: Report = field(default_factory=Report)

    def read(self, text: str) -> str:
        """A whole text, or a part of one that begins and ends between lines; its directions have
        been read."""
        if self.mode == "plain" or not text:
            return text
        language = self._language(text)
        if self.mode != "ssml":
            if "</think" in text:
                text = _PROMPTED.sub(
                    lambda m: self.report.add("thought", m.group(), ""), text, count=1
                )
            text = read_chat(text, self.report)
        text = read_html(text, self.report, every=self.mode == "ssml")
        if self.mode != "ssml":
            text = speak_formulas(text, language, self.report)
            text = read_markdown(text, self.report, self.code, every=self.mode == "markdown")
        return decode_entities(text, self.report)

    def _language(self, text: str) -> Spoken:
        """What formulas are read in."""
        if self.language is not None:
            return self.language
        outside = without_formulas(text) if has_formula(text) else text
        own = own_language(outside)
        if own is not None and self.default is None:
            self.default = own
        return own or self.default or own_language(text) or "zh"

    def closed(self, text: str) -> bool:
        """Whether no mark is open at the end of a text: a part of one may end here."""
        if self.mode == "plain":
            return True
        start = 0
        while match := _OPEN.search(text, start):
            end = _closing(match).search(text, match.end())
            if end is None:
                return False
            start = end.end()
        line = text[_line_start(text, len(text)) :]
        # A mark inside a line that nothing closes is none.
        return len(line) > _LONG_LINE or _is_closed(_PROSE_MARK.sub("", line))

    def parts(self, blocks: Iterable[str]) -> Iterator[str]:
        """The text of ``blocks``, cut only where no mark is open."""
        rest, open_from = "", 0
        for block in blocks:
            rest += block
            if self.mode == "plain":
                yield self.read(rest)
                rest = ""
                continue
            cut, open_from = _safe_cut(rest, open_from)
            if cut:
                yield self.read(rest[:cut])
                rest, open_from = rest[cut:], 0
            elif len(rest) > LONGEST:
                yield self.read(rest)
                rest, open_from = "", 0
        if rest:
            yield self.read(rest)


def _safe_cut(text: str, start: int) -> tuple[int, int]:
    """Up to where no mark is open, and where the first open one begins (0: none).

    ``start`` is where a mark was open before.  The last whole line waits for the next, which may
    underline it or go on with its table.
    """
    while match := _OPEN.search(text, start):
        end = _closing(match).search(text, match.end())
        if end is None:
            return _line_start(text, match.start()), match.start()
        start = end.end()
    last = text.rfind("\n")
    cut = _line_start(text, last) if last > 0 else 0
    while cut and "|" in text[text.rfind("\n", 0, cut - 1) + 1 : cut]:
        cut = _line_start(text, cut - 1)
    if not cut and len(text) > _LONG_LINE and "|" not in text:
        ends = [match.end() for match in _SENTENCE_END.finditer(text)]
        cut = next((end for end in ends[: -_TRIES - 1 : -1] if _is_closed(text[:end])), 0)
    return max(cut, 0), 0


def _is_closed(line: str) -> bool:
    """Whether no mark inside a line is open at its end."""
    pairs = all(line.count(mark) % 2 == 0 for mark in ("`", "**", "$", "__"))
    return pairs and line.count("[") <= line.count("]") and line.rfind("<") <= line.rfind(">")


def _line_start(text: str, position: int) -> int:
    return text.rfind("\n", 0, max(position, 0)) + 1


def _closing(match: re.Match[str]) -> re.Pattern[str]:
    if match["fence"]:
        return re.compile(rf"(?m)^ {{0,3}}{re.escape(match['fence'])}[`~]*[ \t]*$")
    if match["comment"]:
        return re.compile("-->")
    if match["display"]:
        return re.compile(r"\$\$")
    if match["square"]:
        return re.compile(r"\\\]")
    if match["name"]:
        return re.compile(rf"</{match['name']}\s*>", re.IGNORECASE)
    return re.compile(rf"\\end\{{{re.escape(match['env'])}\}}")
