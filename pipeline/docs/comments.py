"""Keys of a YAML file with their values and comments, in the order of the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

# A longer value is for the file itself.
LONGEST_VALUE = 60


@dataclass(frozen=True)
class Entry:
    """One key: its dotted path, its value as it is written, and what stands beside or above it."""

    path: str
    value: str
    comment: str


@dataclass(frozen=True)
class Commented:
    """A file: the comment at its head, and its keys."""

    head: str
    entries: list[Entry]


def read_commented(path: Path) -> Commented:
    """Keys with their comments; a mapping that has no comment of its own is told by its keys."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = [line for line in lines[:count] if not line.startswith("# @package")]
    found = _entries(node, lines, "") if isinstance(node, yaml.MappingNode) else ()
    return Commented(_joined(head), list(found))


def _entries(node: yaml.MappingNode, lines: list[str], prefix: str) -> Iterator[Entry]:
    for key, value in node.value:
        path = f"{prefix}{key.value}"
        comment = _comment(key, value, lines)
        if isinstance(value, yaml.SequenceNode) and not value.flow_style:
            yield Entry(path, _written(value, lines), comment)
            yield from _items(value, lines, path)
            continue
        if not isinstance(value, yaml.MappingNode) or value.flow_style or not value.value:
            yield Entry(path, _written(value, lines), comment)
            continue
        if comment:
            yield Entry(path, "", comment)
        yield from _entries(value, lines, f"{path}.")


def _items(node: yaml.SequenceNode, lines: list[str], path: str) -> Iterator[Entry]:
    """The items of a list in which some have a comment of their own."""
    beside = [_beside(lines[item.start_mark.line]) for item in node.value]
    if any(beside):
        for item, comment in zip(node.value, beside, strict=True):
            written = lines[item.start_mark.line].partition(" #")[0].strip("- ")
            yield Entry(f"{path}[]", written, comment)


def _comment(key: yaml.Node, value: yaml.Node, lines: list[str]) -> str:
    """What stands above a key, then what stands on the line of its value's beginning."""
    row = key.start_mark.line
    above = row
    while above > 0 and lines[above - 1].strip().startswith("#"):
        if _continues(lines[above - 1], key):
            break
        above -= 1
    # The block at the head of the file is about the file.
    first = [] if above == 0 else lines[above:row]
    beside = _beside(lines[row])
    below = row + 1
    while beside and below < len(lines) and _continues(lines[below], key):
        beside += f" {lines[below].strip().lstrip('#').strip()}"
        below += 1
    return " ".join(part for part in (_joined(first), beside) if part)


def _continues(line: str, key: yaml.Node) -> bool:
    """Whether a comment line stands under the comment beside a key rather than above the next."""
    indent = len(line) - len(line.lstrip())
    return line.strip().startswith("#") and indent > key.start_mark.column + 4


def _beside(line: str) -> str:
    code, mark, comment = line.partition(" #")
    quoted = code.count('"') % 2 or code.count("'") % 2
    return comment.strip() if mark and not quoted else ""


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip().lstrip("#").strip() for line in lines)


def _written(value: yaml.Node, lines: list[str]) -> str:
    """The value as in the file where it is short and on one line; else how much it holds."""
    start, end = value.start_mark, value.end_mark
    block = isinstance(value, yaml.CollectionNode) and not value.flow_style
    text = lines[start.line][start.column : end.column].strip()
    if start.line == end.line and not block and len(text) <= LONGEST_VALUE:
        return text
    if isinstance(value, yaml.ScalarNode):
        return "(text)"
    count = len(value.value)
    return f"({count} {'entry' if count == 1 else 'entries'})"
