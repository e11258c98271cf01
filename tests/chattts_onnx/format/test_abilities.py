from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chattts_onnx.format.abilities import Abilities, shortfalls
from chattts_onnx.format.manifest import Manifest

ABLE = Abilities("Announcements.", ("en", "zh"), ("breaks", "speed"))


def manifest(abilities: Any) -> Manifest:
    return Manifest("int8", {"name": "mini", "abilities": abilities}, {}, None, {}, {}, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("Hello. 你好。", []),
        ("你好！[uv_break]再见。", []),
        ("请打开 WiFi 连接网络。", ["mixed"]),
        ("B 区", []),
        ("...", []),
    ],
)
def test_languages_are_told_by_sentence(text: str, missing: list[str]) -> None:
    assert ABLE.missing_languages(text) == missing


@pytest.mark.parametrize(
    ("text", "asked", "missing"),
    [
        ("Hello.", {"speed": 3}, []),
        ("Hello.", {"speed": None, "laugh": None}, []),
        ("Hello [laugh] there[lbreak].", {}, ["laugh"]),
        ("Hello.", {"oral": 0, "break_": 4}, ["oral", "refine"]),
        ("Hello.", {"skip_refine": False, "refine_prompt": "[oral_2][laugh_0]"},
         ["laugh", "oral", "refine"]),
        ("Hello.", {"sample": object()}, ["clone"]),
    ],
)  # fmt: skip
def test_options_without_effect_are_named(
    text: str, asked: dict[str, Any], missing: list[str]
) -> None:
    assert ABLE.missing_options(text, asked) == missing


def test_a_bundle_that_tells_nothing_warns_of_nothing() -> None:
    assert shortfalls(manifest(None), "你好", {"laugh": 1}) == []


def test_a_shortfall_names_the_checkpoint_and_what_it_can_do() -> None:
    english = replace(ABLE, languages=("en",))
    found = shortfalls(manifest(vars(english)), "你好", {"laugh": 1})
    assert len(found) == 2
    assert "mini was not trained on Mandarin; it knows: Announcements." in found[0]
    assert found[1].startswith("laugh has no effect")
