"""HTML and SSML: elements and entities as what a reader would say."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from functools import cache

from ..core.pauses import PARAGRAPH, SENTENCE, asked, described, layout, parse_length, without
from ..core.report import Report
from ..core.tags import TAG
from .chat import UNSPOKEN
from .spans import replace_spans

_WORDS_OF_PARAGRAPHS = (
    "p paragraph div section article header footer main aside nav h1 h2 h3 h4 h5 h6 "
    "blockquote ul ol dl table thead tbody tfoot figure figcaption details summary form "
    "fieldset hr pre address body html caption"
)
_PARAGRAPHS = frozenset(_WORDS_OF_PARAGRAPHS.split())
_SENTENCES = frozenset(["li", "tr", "dt", "dd", "option", "label", "legend", "s", "sentence"])
_WORDS_OF_INLINE = (
    "speak prosody emphasis voice lang say-as phoneme sub audio desc token w mark lexicon "
    "lookup meta metadata backchannel amazon:effect amazon:domain mstts:express-as "
    "mstts:silence google:style b i u em strong small big del ins abbr acronym cite q dfn "
    "kbd samp var tt code span font a sup time center label img picture source video "
    "iframe input button select textarea ruby rb rt rp bdo bdi wbr br td th col colgroup "
    "svg math link base canvas object param embed title head script style template "
    "noscript break p s"
)
_INLINE = frozenset(_WORDS_OF_INLINE.split())
_KNOWN = _PARAGRAPHS | _SENTENCES | _INLINE
# Elements that stand alone, or whose end is often left out.
_WORDS_OF_ALONE = "br hr img break wbr p li td th tr input meta link mark"
_ALONE = frozenset(_WORDS_OF_ALONE.split())
_UNSPOKEN = rf"script|style|head|template|noscript|title|rt|rp|iframe|svg|textarea|{UNSPOKEN}"
_THOUGHTS = frozenset(UNSPOKEN.split("|"))
_STRENGTHS = {
    "none": 0.0,
    "x-weak": 0.1,
    "weak": 0.2,
    "medium": 0.4,
    "strong": 0.7,
    "x-strong": 1.0,
}
_COMMENT, _COMMENT_END = re.compile("<!--"), re.compile("-->")
_CDATA, _CDATA_END = re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")
_DECLARATION = re.compile(r"<!DOCTYPE[^<>]*>|<\?[a-zA-Z][^<>]*\?>", re.IGNORECASE)
_TAG = re.compile(
    r"<(?P<end>/)?(?P<name>[A-Za-z][A-Za-z0-9]*(?:[:_-][A-Za-z0-9-]+)?)(?P<more>(?:\s[^<>]*)?)/?>"
)
_DROPPED = re.compile(rf"<(?P<name>{_UNSPOKEN})\b[^<>]*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([A-Za-z:_-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>/]+))")
_SUB = re.compile(r"<sub\s+alias\s*=\s*[\"']([^\"'<>]*)[\"'][^<>]*>[^<]*</sub\s*>", re.IGNORECASE)
_SAY = re.compile(r"<say-as\b([^<>]*)>([^<]*)</say-as\s*>", re.IGNORECASE)
_RAISED = re.compile(r"<sup\b[^<>]*>\s?([-+]?[0-9n]{1,4})\s?</sup\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")


def read_html(text: str, report: Report, *, every: bool = False) -> str:
    """``text`` without elements and comments; breaks, paragraphs and items as pauses.

    Only elements of HTML and SSML, and others that are closed, are markup unless ``every`` is.
    """
    if "<" not in text:
        return text
    text = replace_spans(text, _CDATA, _CDATA_END, lambda _, inner: html.escape(inner))
    text = replace_spans(
        text, _COMMENT, _COMMENT_END, lambda whole, _: report.add("comment", whole, "") + " "
    )
    text = _DECLARATION.sub(lambda m: report.add("element", m.group(), ""), text)
    text = _drop_unspoken(text, report)
    text = _SUB.sub(lambda m: report.add("element", m.group(), m[1]), text)
    text = _SAY.sub(lambda m: report.add("element", m.group(), _say_as(m[1], m[2])), text)
    text = _RAISED.sub(lambda m: report.add("element", m.group(), f"^{m[1]}"), text)
    closed = {m["name"].lower() for m in _TAG.finditer(text) if m["end"]}
    opened = {m["name"].lower() for m in _TAG.finditer(text) if not m["end"]}

    def element(match: re.Match[str]) -> str:
        name = match["name"].lower()
        paired = name in closed and name in opened
        if TAG.search(match.group()) or not (
            every or paired or (name in _KNOWN and _stands_alone(match, name))
        ):
            return match.group()
        spoken = _element(match, name)
        report.add("element", match.group(), described(spoken).strip())
        return spoken

    return _TAG.sub(element, text)


def _stands_alone(match: re.Match[str], name: str) -> bool:
    """Whether one tag by itself is markup: <br>, <img …>, </p>, <prosody …>; in a<b>c it is not."""
    return name in _ALONE or bool(match["more"].strip()) or len(name) > 4 or bool(match["end"])


def decode_entities(text: str, report: Report) -> str:
    """``text`` with &amp;, &nbsp; and &#39; as their characters."""
    if "&" not in text:
        return text
    return _ENTITY.sub(lambda m: report.add("entity", m.group(), _decoded(m.group())), text)


def _decoded(entity: str) -> str:
    return without(html.unescape(entity).replace("\u00a0", " ").replace("\u00ad", ""))


def _drop_unspoken(text: str, report: Report) -> str:
    """Without scripts, styles and thoughts; a thought that does not end goes to the text's end."""
    parts, position, open_ = [], 0, set[str]()
    while match := _DROPPED.search(text, position):
        name = match["name"].lower()
        thought = name in _THOUGHTS
        end = None if name in open_ else _end_of(name).search(text, match.end())
        if end is None and not (thought and name.startswith("think")):
            open_.add(name)
            parts.append(text[position : match.end()])
            position = match.end()
            continue
        stop = end.end() if end else len(text)
        parts.append(text[position : match.start()])
        report.add("thought" if thought else "element", text[match.start() : stop], "")
        parts.append(layout(SENTENCE) if thought else " ")
        position = stop
    return "".join([*parts, text[position:]]) if parts else text


@cache
def _end_of(name: str) -> re.Pattern[str]:
    return re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE)


def _attributes(match: re.Match[str]) -> dict[str, str]:
    found: Iterator[tuple[str, str, str, str]] = iter(_ATTRIBUTE.findall(match["more"]))
    return {key.lower(): html.unescape(a or b or c) for key, a, b, c in found}


def _element(match: re.Match[str], name: str) -> str:
    """What an element's tag says by itself."""
    if name in ("break", "mstts:silence"):
        return "" if match["end"] else _break(_attributes(match))
    if name in _PARAGRAPHS:
        return layout(PARAGRAPH)
    if name in _SENTENCES:
        return layout(SENTENCE)
    if name == "br":
        return "，" if _is_wide(match) else ", "
    if name in ("td", "th") and match["end"]:
        return "，" if _is_wide(match) else ", "
    if name in ("img", "input") and not match["end"]:
        return f" {_attributes(match).get('alt', '')} "
    return ""


def _is_wide(match: re.Match[str]) -> bool:
    before = match.string[: match.start()][-1:]
    return before > "\u2e80"


def _break(attributes: dict[str, str]) -> str:
    written = attributes.get("time") or attributes.get("value")
    if written is None:
        return asked(_STRENGTHS.get(attributes.get("strength", "medium").lower(), 0.4))
    seconds = parse_length(written)
    return asked(_STRENGTHS["medium"] if seconds is None else seconds)


def _say_as(attributes: str, content: str) -> str:
    if re.search(r"characters|spell-out|verbatim|digits", attributes, re.IGNORECASE):
        return f" {' '.join(content.replace(' ', ''))} "
    return content
