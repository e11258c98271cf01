"""The language of a voice reads what has no letters, where nothing nearer tells one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, open_bundle
from chattts_onnx.cli import main
from chattts_onnx.speech.requests import Sample
from chattts_onnx.speech.script import Script
from chattts_onnx.text import TextOptions


@pytest.fixture(scope="module")
def spoken(bundle_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a voice of each language."""
    folder = tmp_path_factory.mktemp("languages") / "bundle"
    shutil.copytree(bundle_path, folder)
    size = open_bundle(folder, threads=1).model.hidden_size
    for name, language in (("ava", "en"), ("ming", "zh"), ("odd", "xx"), ("listed", ["en"])):
        voice = {"tensor": [0.5] * size, "language": language}
        (folder / "voices" / f"{name}.json").write_text(json.dumps(voice))
    return open_bundle(folder, threads=1)


@pytest.mark.parametrize(
    ("voice", "language"),
    [
        ("ava", "en"),
        ("ming", "zh"),
        ("ava(2)+ava", "en"),
        ("ava+ming", None),
        *[("odd", None), ("listed", None), ("anna", None), ("7", None), (7, None), (None, None)],
        *[("nobody", None), ("x(1", None), ("a)(+", None), (np.ones(8), None)],
    ],
)
def test_what_a_voice_notes(spoken: Bundle, voice: str, language: str | None) -> None:
    assert spoken.shelf.language(voice) == language


def said(bundle: Bundle, text: str, voice: str, **options: object) -> str:
    script = Script(bundle, text, voice, {"max_new_tokens": 4, **options})  # type: ignore[typeddict-item]
    return next(iter(script)).piece.text


def test_the_order_of_languages(spoken: Bundle) -> None:
    assert said(spoken, "100%", "ava") == "one hundred percent"
    assert said(spoken, "100%", "ming") == "百分之一百"
    assert said(spoken, "涨了100%", "ava") == "涨了百分之一百"
    assert said(spoken, "It rose. 100%", "ming").endswith("one hundred percent")
    assert said(spoken, "100%", "ava", language="zh") == "百分之一百"
    own = TextOptions(default_language="zh")
    assert said(spoken, "100%", "ava", text_options=own) == "百分之一百"
    codes = np.zeros((4, spoken.model.num_vq), dtype=np.int64)
    cloned = Sample("Hello there, how are you?", codes)
    script = Script(spoken, "100%", None, {"sample": cloned})  # type: ignore[typeddict-unknown-key]
    assert next(iter(script)).piece.text == "one hundred percent"


def test_the_dry_run_says_the_same(spoken: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["say", "100%", "-b", str(spoken.path), "--voice", "ava", "--dry-run"]) == 0
    assert "one hundred percent" in capsys.readouterr().out
