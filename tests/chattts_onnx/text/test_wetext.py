"""wetext for what the rules lack, and why it does not come first."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chattts_onnx import InputError
from chattts_onnx.text import TextOptions, normalize, wetext_backend
from tests.chattts_onnx.text.test_speech import parse_options, read_cases

ROOT = Path(__file__).parents[3]
INSTALLED = wetext_backend.is_installed()
needs_wetext = pytest.mark.skipif(not INSTALLED, reason="wetext is not installed")


@needs_wetext
@pytest.mark.parametrize(
    ("typed", "spoken"),
    [
        ("浓度5mol", "浓度五摩尔"),
        ("面积3ha", "面积三公顷"),
        ("质量5μg", "质量五微克"),
        ("A 5 rad turn", "A five radians turn"),
    ],
)
def test_units_that_only_wetext_knows(typed: str, spoken: str) -> None:
    assert normalize(typed).text == spoken
    assert normalize(typed, TextOptions(backend="wetext")).text == spoken


@pytest.mark.parametrize(
    ("typed", "spoken"),
    [("浓度5mmol", "浓度五mmol"), ("温度5hPa", "温度五百帕"), ("用5G网络", "用五G网络")],
)
def test_half_an_answer_is_refused(typed: str, spoken: str) -> None:
    # wetext alone says 五毫米ol and 五小时Pa.
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
    assert normalize("浓度5mol").text == "浓度五mol"


def test_nothing_heavy_is_imported_for_a_plain_text() -> None:
    code = (
        "import sys\nfrom chattts_onnx.text import normalize\n"
        "normalize('今天是2024年10月1日, it costs $5.')\n"
        "bad = {'wetext', 'kaldifst', 'yaml', 'onnxruntime', 'soundfile'} & set(sys.modules)\n"
        "sys.exit(f'imports {bad}' if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
