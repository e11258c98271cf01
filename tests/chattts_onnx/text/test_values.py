"""Never another value: what is typed is read back from what is spoken."""

from __future__ import annotations

from decimal import Decimal

import pytest

from chattts_onnx.text import TextOptions, normalize
from chattts_onnx.text.core import chinese, english
from chattts_onnx.text.core.readback import digits, numbers, same_quantity
from tools.drills.spoken_cases import KINDS
from tools.drills.spoken_values import failures, main


@pytest.mark.parametrize("kind", KINDS)
def test_no_text_says_another_value(kind: str) -> None:
    found = [f"{case.typed} -> {spoken}" for case, spoken in failures(kind, 1000, seed=1)]
    assert found == []


def test_the_drill_notices_another_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(chinese, "number", lambda text: "一")
    assert main(["number", "--count", "40"]) == 1
    assert "say another value" in capsys.readouterr().out
    assert main(["percent", "--count", "1", "--seed", "3"]) in (0, 1)


@pytest.mark.parametrize("number", ["0", "7", "20", "105", "1010", "20000", "100000001", "3.05"])
def test_numbers_are_read_back(number: str) -> None:
    assert numbers(f"共{chinese.number(number)}个", "zh") == [Decimal(number)]
    assert numbers(f"about {english.number(number)} items", "en") == [Decimal(number)]
    plain = number.replace(".", "")
    assert digits(chinese.digits(plain), "zh") == plain == digits(english.digits(plain), "en")


@pytest.mark.parametrize(
    ("written", "spoken", "language", "same"),
    [
        ("5mW", "五毫瓦", "zh", True),
        ("5mW", "五兆瓦", "zh", False),
        ("5MW", "five megawatts", "en", True),
        ("5 mW", "five megawatts", "en", False),
        ("5qx", "six things", "en", False),
        ("5hp", "five horsepower", "en", True),
        ("?", "five", "en", False),
    ],
)
def test_same_quantity(written: str, spoken: str, language: str, same: bool) -> None:
    assert same_quantity(written, spoken, language) is same  # type: ignore[arg-type]


@pytest.mark.parametrize("backend", ["auto", "rules"])
def test_the_same_with_and_without_wetext(backend: str) -> None:
    options = TextOptions(backend=backend)  # type: ignore[arg-type]
    assert normalize("Laser power is 5 mW.", options).text == "Laser power is five milliwatts."
    assert normalize("a 5 mb file", options).text == "a five M B file"
