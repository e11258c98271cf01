"""Markdown, line by line and inside lines, as what a reader would say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..choices import Code
from ..core.pauses import PARAGRAPH, SENTENCE, layout
from ..core.report import Report
from ..core.tags import TAG

_FENCE = re.compile(r" {0,3}(?P<mark>`{3,}|~{3,})[ \t]*(?:[A-Za-z{.][^`~\n]*)?$")
_HEADING = re.compile(r" {0,3}#{1,6}[ \t]+(?P<text>\S.*)$")
_UNDERLINE = re.compile(r" {0,3}(?:={3,}|-{3,})[ \t]*$")
_RULE = re.compile(r" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})$")
_ITEM = re.compile(
    r"[ \t]*(?:[-*+•·▪◦‣●○]|(?P<n>[0-9]{1,3})(?:[.)]|、(?![0-9 ])))"
    r"(?:[ \t]+|(?<=[•●○▪、]))(?P<text>\S.*)$"
)
_BOX = re.compile(r"\[[ xX]\][ \t]+")
_QUOTE = re.compile(r" {0,3}(?:>[ \t]?)+(?P<text>.*)$")
_DELIMITER = re.compile(r"(?:\|[ \t]*)?:?-{2,}:?[ \t]*(?:\|[ \t]*:?-{1,}:?[ \t]*)*\|?$")
_REFERENCE = re.compile(
    r" {0,3}\[(?!\^)([^\]\n]{1,80})\]:[ \t]*<?(?:https?://|/|\./|#|mailto:)\S*.*$"
)
_NOTE = re.compile(r" {0,3}\[\^[^\]\n]{1,40}\]:[ \t]*")
_WIDE = re.compile("[\u2e80-\u9fff，。！？；：、]")

_IMAGE = re.compile(r"!\[([^\]\n]{0,400})\]\([^()\s]{0,2000}(?:\s+[\"'][^\"'\n]{0,200}[\"'])?\)")
_LINK = re.compile(
    r"(?<!\\)\[((?:[^\[\]\n]|\[[^\[\]\n]{0,80}\]){1,400})\]"
    r"\(<?(?:[^()\s<>]|\([^()\s]{0,200}\)){0,2000}>?(?:\s+[\"'][^\"'\n]{0,200}[\"'])?\)"
)
_BY_REFERENCE = re.compile(r"!?\[([^\[\]\n]{1,400})\]\[([^\[\]\n]{0,80})\]")
_FOOTNOTE = re.compile(r"\[\^[^\]\n]{1,40}\]")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^\s<>]{1,2000})>")
_CODE = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]{1,400})\1(?!`)")
_OUT, _IN = r"(?<![A-Za-z0-9{0}\\])", r"(?![A-Za-z0-9{0}])"
_EMPHASES = [
    re.compile(
        _OUT.format(mark)
        + rf"{open_}(?=[^\s{mark}])([^{mark}\n]{{1,300}})(?<=[^\s{mark}]){open_}"
        + _IN.format(mark)
    )
    for mark, open_ in [
        (r"\*", r"\*\*\*"),
        (r"\*", r"\*\*"),
        (r"\*", r"\*"),
        ("_", "__"),
        ("_", "_"),
        ("~", "~~"),
        ("=", "=="),
    ]
]
_ESCAPE = re.compile(r"\\([*_#\[\]()`~>+.!|{}<&$-])")


def read_markdown(text: str, report: Report, code: Code, *, every: bool = False) -> str:
    """``text`` without Markdown; headings, items and rows end in pauses.

    Unless ``every`` is, a mark that ordinary text has as well (``> 5``, ``- 5``) is markup only
    where the lines around it say so.
    """
    lines = text.split("\n")
    if "][" in text:
        known = {m[1].lower() for m in map(_REFERENCE.match, lines) if m}
        lines = [_by_reference(line, known, report) for line in lines] if known else lines
    return "\n".join(_lines(lines, report, code, every))


def _lines(lines: list[str], report: Report, code: Code, every: bool) -> Iterator[str]:
    fence, open_ = "", set[str]()
    table = _tables(lines)
    for index, line in enumerate(lines):
        match = None if TAG.search(line) else _FENCE.match(line)
        if fence:
            if match and match["mark"].startswith(fence) and line.strip() == match["mark"]:
                fence = ""
                yield report.add("code fence", line, "") + layout(PARAGRAPH)
            else:
                yield report.add("code", line, line if code == "read" else "")
            continue
        if match and match["mark"] not in open_:
            if not any(_closes(other, match["mark"]) for other in lines[index + 1 :]):
                open_.add(match["mark"])
                yield report.add("code fence", line, "")
                continue
            fence = match["mark"]
            yield report.add("code fence", line, "") + layout(SENTENCE)
            continue
        yield _line(lines, index, report, table, every)


def _closes(line: str, mark: str) -> bool:
    return line.strip().startswith(mark) and not line.strip().strip(mark[0])


def _line(lines: list[str], index: int, report: Report, table: set[int], every: bool) -> str:
    line = lines[index]
    if not line.strip() or (line[0] not in " \t#*+-_>|[=~•·▪◦‣●○0123456789" and index not in table):
        return _inline(line, report)
    above = lines[index - 1].strip() if index else ""
    if index in table:
        return _row(line, report)
    if _UNDERLINE.match(line) and above and not _ITEM.match(above) and "|" not in above:
        return report.add("heading", line, "") + layout(PARAGRAPH)
    if _RULE.match(line):
        return report.add("rule", line, "") + layout(PARAGRAPH)
    if match := _HEADING.match(line):
        title = match["text"].rstrip()
        bare = title.rstrip("#")
        title = bare.rstrip() if bare.endswith((" ", "\t")) else title
        if item := _ITEM.match(title):
            title = _numbered(item)
        report.add("heading", line, title)
        return layout(PARAGRAPH) + _inline(title, report) + layout(PARAGRAPH)
    if _REFERENCE.match(line):
        return report.add("link", line, "")
    if match := _NOTE.match(line):
        return _inline(line[match.end() :], report)
    if (match := _QUOTE.match(line)) and (every or _is_quote(lines, index, match["text"])):
        report.add("quote", line, match["text"])
        return _line([match["text"]], 0, report, set(), every)
    if (match := _ITEM.match(line)) and (every or _is_item(lines, index, match)):
        return _item(match, report)
    return _inline(line, report)


def _is_quote(lines: list[str], index: int, text: str) -> bool:
    """> 5 alone compares; a quote begins with a word, or goes on for some lines."""
    near = lines[max(0, index - 1) : index] + lines[index + 1 : index + 2]
    return not text[:1].isdigit() or any(other.lstrip().startswith(">") for other in near)


def _is_item(lines: list[str], index: int, match: re.Match[str]) -> bool:
    """- 5 alone is a number; a bullet stands before a word, or has others beside it."""
    if not (match["text"][0].isdigit() or match["text"][0] in "-."):
        return True
    near = [line for line in lines[max(0, index - 2) : index + 3] if _ITEM.match(line)]
    return len(near) > 1 or match["n"] is not None


def _item(match: re.Match[str], report: Report) -> str:
    text = _BOX.sub("", match["text"], count=1) if match["text"].startswith("[") else match["text"]
    spoken = _numbered(match, text) if match["n"] else text
    report.add("list item", match.group(), spoken)
    return _inline(spoken, report) + layout(SENTENCE)


def _by_reference(line: str, known: set[str], report: Report) -> str:
    """[text][id] of a link whose address stands elsewhere in the text."""
    return _BY_REFERENCE.sub(
        lambda m: (
            report.add("link", m.group(), m[1]) if (m[2] or m[1]).lower() in known else m.group()
        ),
        line,
    )


def _numbered(match: re.Match[str], text: str | None = None) -> str:
    """1. 苹果 is 1，苹果."""
    words = match["text"] if text is None else text
    comma = "，" if _WIDE.search(words) else ", "
    return f"{match['n']}{comma}{words}" if match["n"] else words


def _tables(lines: list[str]) -> set[int]:
    """The lines of tables: those with bars around a line of dashes."""
    found: set[int] = set()
    for index, line in enumerate(lines):
        if "|" not in line or "-" not in line or not _DELIMITER.match(line.strip()):
            continue
        if index and "|" in lines[index - 1]:
            found |= {index - 1, index}
            below = index + 1
            while below < len(lines) and "|" in lines[below] and below not in found:
                found.add(below)
                below += 1
    return found


def _row(line: str, report: Report) -> str:
    if _DELIMITER.match(line.strip()):
        return report.add("table", line, "")
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    comma = "，" if _WIDE.search(line) else ", "
    spoken = comma.join(cell for cell in cells if cell)
    report.add("table", line, spoken)
    return _inline(spoken, report) + layout(SENTENCE)


def _image(match: re.Match[str], report: Report) -> str:
    """A picture says its description; well![laugh](so) has none."""
    if TAG.match(match.group()[1:]):
        return match.group()
    return report.add("image", match.group(), f" {match[1]} ")


def _link(match: re.Match[str], report: Report) -> str:
    """A link says its text; [laugh](so) is a control tag before a bracket."""
    if TAG.match(match.group()):
        return match.group()
    return report.add("link", match.group(), match[1])


def _inline(text: str, report: Report) -> str:
    """One line without links, emphasis and the marks of code."""
    if "[" in text:
        text = _IMAGE.sub(lambda m: _image(m, report), text)
        text = _LINK.sub(lambda m: _link(m, report), text)
        text = _FOOTNOTE.sub(lambda m: report.add("footnote", m.group(), ""), text)
    if "<" in text:
        text = _AUTOLINK.sub(lambda m: report.add("link", m.group(), f" {m[1]} "), text)
    if "`" in text:
        text = _CODE.sub(lambda m: report.add("code", m.group(), m[2]), text)
    if any(mark in text for mark in "*_~="):
        for emphasis in _EMPHASES:
            text = emphasis.sub(lambda m: report.add("emphasis", m.group(), m[1]), text)
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text
