"""What surrounds a language model's answer: turns, roles, thoughts, tool calls, citations."""

from __future__ import annotations

import re

from ..core.pauses import PARAGRAPH, layout
from ..core.report import Report
from .spans import replace_spans

# Elements whose content is not meant for a listener.
UNSPOKEN = (
    "think|thinking|thought|thoughts|reasoning|reflection|scratchpad|tool_call|tool_calls|tool_response|"
    "function_call|function_calls|antthinking|analysis"
)
_BAR = "[|｜]"
_ROLES = r"(?:system|user|assistant|model|tool|developer|human|gpt|function|ipython|observation)"
# <|channel|>analysis<|message|> … <|end|>
_ANALYSIS = re.compile(
    rf"<{_BAR}channel{_BAR}>\s?(?:analysis|commentary)\b[^<]{{0,80}}<{_BAR}message{_BAR}>"
)
_ANALYSIS_END = re.compile(rf"<{_BAR}(?:end|return|call|start){_BAR}>")
_HEADER = re.compile(
    rf"(?:<{_BAR}(?:im_start|start){_BAR}>\s?{_ROLES}?(?:<{_BAR}channel{_BAR}>\s?final)?(?:<{_BAR}message{_BAR}>)?"
    rf"|<{_BAR}start_header_id{_BAR}>\s?[a-z_]{{1,16}}\s?<{_BAR}end_header_id{_BAR}>"
    rf"|<{_BAR}channel{_BAR}>\s?[a-z]{{1,16}}<{_BAR}message{_BAR}>"
    rf"|<start_of_turn>\s?{_ROLES}?)\s?",
    re.IGNORECASE,
)
_TOKEN = re.compile(
    rf"<{_BAR}[^<>|｜\n]{{1,48}}{_BAR}>|</?(?:start|end)_of_(?:turn|text|image)>|<</?SYS>>"
    r"|\[/?(?:INST|AVAILABLE_TOOLS|TOOL_CALLS|BOS|EOS)\]|</?s>(?=\s|\[|\Z)|<(?:bos|eos|pad|unk|mask)>"
)
_CITATION = re.compile(
    r"【[0-9]{1,3}(?::[0-9]{1,3})?†[^】\n]{0,80}】|\ue200cite[^\ue201]{0,80}\ue201"
)


def read_chat(text: str, report: Report) -> str:
    """``text`` without the marks of a chat template; a turn's end is a pause."""
    if "†" in text:
        text = _CITATION.sub(lambda m: report.add("citation", m.group(), ""), text)
    if "<" not in text and "[" not in text:
        return text
    text = replace_spans(
        text, _ANALYSIS, _ANALYSIS_END, lambda whole, _: report.add("thought", whole, "")
    )
    turn = layout(PARAGRAPH)
    text = _HEADER.sub(lambda m: _note(report, m.group()) + turn, text)
    return _TOKEN.sub(lambda m: _note(report, m.group()) + turn, text)


def _note(report: Report, found: str) -> str:
    return report.add("chat token", found, "")
