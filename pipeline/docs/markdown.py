"""Markdown as the reference pages need it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence

# Sections of Google's docstring style, and what starts an entry of one.
_SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
_ENTRY = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*): (.*)$", re.DOTALL)
_ROLE = re.compile(r":\w+:`[~.]*(?:\w+\.)*(\w+)`")


def made_by(command: str) -> str:
    """The line that tells a reader of the source where a page comes from."""
    return f"<!-- Made by `{command}`; change what it is made from, not this file. -->"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table of left-aligned columns; bars and line ends inside cells are escaped."""
    rule = ["---"] * len(header)
    return "\n".join(_line(line) for line in (header, rule, *lines))


def code(text: str) -> str:
    """``text`` as inline code; empty where there is none."""
    return f"`{text}`" if text else ""


def docstring(text: str | None) -> str:
    """A docstring of this project as Markdown: roles become names, sections lists."""
    paragraphs = textwrap.dedent(_first_dedented(text or "")).strip().split("\n\n")
    return "\n\n".join(_paragraph(paragraph) for paragraph in paragraphs)


def summary(text: str | None) -> str:
    """The first paragraph of a docstring, on one line."""
    return docstring((text or "").strip().split("\n\n")[0]).replace("\n", " ")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first_dedented(text: str) -> str:
    """Give a docstring's first line the indentation of the others."""
    first, _, rest = text.partition("\n")
    return f"{first.strip()}\n{textwrap.dedent(rest)}"


def _paragraph(text: str) -> str:
    head, _, body = text.partition("\n")
    if head.rstrip(":") in _SECTIONS and head.endswith(":"):
        return f"{head.rstrip(':')}:\n\n{_entries(textwrap.dedent(body))}"
    if text.lstrip().startswith(">>>"):
        # Not pycon, which ruff would format.
        return f"```text\n{text}\n```"
    return _inline(text)


def _entries(body: str) -> str:
    """The entries of a section, whose further lines are indented, as a list."""
    entries = re.split(r"\n(?=\S)", body)
    lines = []
    for entry in entries:
        joined = _inline(" ".join(entry.split()))
        found = _ENTRY.match(joined)
        lines.append(f"- `{found[1]}`: {found[2]}" if found else f"- {joined}")
    return "\n".join(lines)


def _inline(text: str) -> str:
    return _ROLE.sub(r"`\1`", text).replace("``", "`")
