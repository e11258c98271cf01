"""Every rule by its cases: what is typed and what is to be spoken."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from chattts_onnx.text import Lexicon, TextOptions, normalize, scanner
from chattts_onnx.text.core.tags import TAG
from chattts_onnx.text.rules import Rule
from chattts_onnx.text.rules.base import Read

CASES = Path(__file__).parent / "data"
# Classes of what people type, each a table of its own.
CLASSES = ("units", "markup", "compounds", "powers", "hyphens", "names", "symbols", "shorthand")
CLASSES += ("liang", "language", "heldout")


def read_table(name: str) -> list[tuple[str, str, str]]:
    lines = (CASES / f"{name}.tsv").read_text(encoding="utf-8").split("\n")
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    return [(typed.replace("\\n", "\n"), options, spoken) for typed, options, spoken in rows]


def read_cases() -> list[tuple[str, str, str]]:
    return [case for name in ("speech", *CLASSES) for case in read_table(name)]


def parse_options(text: str) -> TextOptions:
    values: dict[str, Any] = {}
    for part in filter(None, text.split(";")):
        key, _, value = part.partition("=")
        if key == "lexicon":
            values[key] = Lexicon.of(json.loads(value))
        else:
            values[key] = {"true": True, "false": False}.get(value, value)
    return TextOptions(**values)


def test_there_are_enough_cases_and_none_twice() -> None:
    cases = read_cases()
    assert len(cases) >= 1000
    assert all(len(read_table(name)) >= 40 for name in CLASSES)
    assert len({case[:2] for case in cases}) == len(cases)


@pytest.mark.parametrize(("typed", "options", "spoken"), read_cases())
def test_spoken(typed: str, options: str, spoken: str) -> None:
    result = normalize(typed, parse_options(options))
    assert result.text == spoken
    assert not any(c.isdigit() for c in TAG.sub("", result.text))


# What the passes around the number rules report of what they did.
OTHER_KINDS = {
    *["lexicon", "erhua", "abbreviation", "initialism", "url", "e-mail", "file name", "digit"],
    *["keycap", "emoji", "character", "control character", "fraction", "symbol", "prompt token"],
}
# Reads what only wetext knows, and the cases hold without it: test_wetext.py has its own.
ELSEWHERE = {"rare_unit"}


def test_every_rule_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    used: set[str] = set()

    def watched(rule: Rule) -> Rule:
        def read(*arguments: Any) -> str | None:
            spoken = rule.read(*arguments)
            if spoken is not None:
                used.add(name(rule.read))
            return spoken

        return dataclasses.replace(rule, read=read)

    def name(read: Read) -> str:
        return str(read.__name__)  # type: ignore[attr-defined]

    rules = (*scanner.RULES, scanner.bullet)
    names = [name(rule.read) for rule in rules]
    assert len(set(names)) == len(names)
    monkeypatch.setattr(scanner, "RULES", tuple(map(watched, scanner.RULES)))
    monkeypatch.setattr(scanner, "bullet", watched(scanner.bullet))
    kinds = {
        change.kind
        for typed, options, _ in read_cases()
        for change in normalize(typed, parse_options(options)).report
    }
    assert set(names) - used - ELSEWHERE == set()
    assert kinds >= OTHER_KINDS
