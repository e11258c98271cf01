"""wetext for what the rules lack, and why it does not come first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chattts_onnx import InputError
from chattts_onnx.text import TextOptions, normalize
from chattts_onnx.text.core import wetext_backend
from chattts_onnx.text.rules import plain
from tests.chattts_onnx.text.test_speech import parse_options, read_cases

ROOT = Path(__file__).parents[3]
INSTALLED = wetext_backend.is_installed()
needs_wetext = pytest.mark.skipif(not INSTALLED, reason="wetext is not installed")


@needs_wetext
@pytest.mark.parametrize(
    ("typed", "spoken"),
    [
        ("A 5 hp motor", "A five horsepower motor"),
        ("It has 200 hp", "It has two hundred horsepower"),
    ],
)
def test_units_that_only_wetext_knows(typed: str, spoken: str) -> None:
    assert normalize(typed).text == spoken
    assert normalize(typed, TextOptions(backend="wetext")).text == spoken


@pytest.mark.parametrize(
    ("typed", "answer", "spoken"),
    [
        ("有5qx的", "五千瓦x", "有五qx的"),  # half a unit
        ("有5mq的", "五兆瓦", "有五mq的"),  # the unit of another case
        ("有5qx的", "六千瓦", "有五qx的"),  # another number
        ("有5qx的", "五千瓦", "有五qx的"),  # a prefix that nobody typed
        ("有5kq的", "五夸克", "有五夸克的"),
    ],
)
def test_an_answer_counts_only_if_it_says_the_value(
    typed: str, answer: str, spoken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain, "read_leftover", lambda *_: answer)
    assert normalize(typed).text == spoken


def test_the_rules_alone_read_every_case() -> None:
    for typed, options, spoken in read_cases():
        chosen = parse_options(f"{options};backend=rules" if options else "backend=rules")
        assert normalize(typed, chosen).text == spoken, typed


@needs_wetext
def test_wetext_alone_fails_where_the_rules_come_first() -> None:
    speak = {"zh": wetext_backend._normalizer("zh"), "en": wetext_backend._normalizer("en")}
    wrong = {
        ("zh", "￥1,234.50"): "两百三十四",
        ("en", "$1,234.50"): "thousand two hundred",
        ("en", "call 555-1234"): "to one thousand",
        ("en", "1990s"): "seconds",
        ("zh", "$20亿"): "零亿",
    }
    for (language, typed), mistake in wrong.items():
        assert mistake in speak[language](typed)
        assert mistake not in normalize(typed).text
    with pytest.raises(AssertionError):
        speak["en"]("#1")
    assert wetext_backend.read_leftover("#1", "en", "auto") is None


def test_missing_wetext_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wetext_backend, "is_installed", lambda: False)
    with pytest.raises(InputError, match=r"chattts-onnx\[text\]"):
        normalize("a", TextOptions(backend="wetext"))
    assert normalize("重5公斤").text == "重五公斤"
    assert normalize("A 5 hp motor").text == "A five hp motor"


def test_nothing_heavy_is_imported_for_a_plain_text() -> None:
    code = (
        "import sys\nfrom chattts_onnx.text import normalize\n"
        "normalize('今天是2024年10月1日, it costs $5.')\n"
        "bad = {'wetext', 'kaldifst', 'yaml', 'onnxruntime', 'soundfile'} & set(sys.modules)\n"
        "sys.exit(f'imports {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
