"""Mixes of voices, everywhere a voice is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, VoiceError, cli
from chattts_onnx.voices.collection import VoiceShelf
from chattts_onnx.voices.mixing import parse_mix
from chattts_onnx.voices.vectors import encode_speaker, load_speaker

SIZE = 96


@pytest.fixture
def shelf(tmp_path: Path) -> VoiceShelf:
    shelf = VoiceShelf(tmp_path / "voices", SIZE)
    shelf.save("joe", 1)
    shelf.save("ava", 2)
    return shelf


def test_a_mix_is_the_mean_by_weight(shelf: VoiceShelf, tmp_path: Path) -> None:
    joe, ava = shelf.vector("joe"), shelf.vector("ava")
    for text, expected in {
        "joe(2)+ava(1)": (2 * joe + ava) / 3,
        "joe + ava": (joe + ava) / 2,
        "joe(0.5)+ava(1.5)": (joe + 3 * ava) / 4,
        "joe(3)": joe,
        "joe(2) ava(1)": (2 * joe + ava) / 3,  # a plus that a query string made a space
        "joe+7": (joe + shelf.vector(7)) / 2,
        "joe+joe+ava": (2 * joe + ava) / 3,
        f"{tmp_path}/voices/joe.json(1)+ava(1)": (joe + ava) / 2,
        f"{encode_speaker(joe)}(1)+ava(1)": (joe + ava) / 2,
    }.items():
        np.testing.assert_allclose(shelf.vector(text), expected, atol=1e-6)


def test_names_of_files_go_first(shelf: VoiceShelf, tmp_path: Path) -> None:
    for name in ("a+b.json", "voice (1).json"):
        path = tmp_path / name
        path.write_bytes((tmp_path / "voices" / "joe.json").read_bytes())
        np.testing.assert_array_equal(shelf.vector(str(path)), shelf.vector("joe"))
        mixed = shelf.vector(f"{tmp_path}/voice (1).json(2)+ava") if "(1)" in name else None
        if mixed is not None:
            expected = (2 * shelf.vector("joe") + shelf.vector("ava")) / 3
            np.testing.assert_allclose(mixed, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joe(2)+bob(1)", "no voice 'bob'"),
        ("joe(0)+ava(1)", "weight of 'joe' is '0'"),
        ("joe(-1)+ava(1)", "weight"),
        ("joe(x)+ava(1)", "weight"),
        ("joe(nan)+ava(1)", "weight"),
        ("joe(1e99)+ava", "weight"),
        ("joe()+ava", "weight"),
        ("joe+", "no mix of voices"),
        ("+", "no mix of voices"),
        ("joe(1)(2)", "no mix of voices"),
        ("joe" + "(1)" * 3000, "no mix of voices"),
        ("+".join(["joe"] * 33), "mix of 33 voices"),
        ("(2)", "no mix of voices|no voice"),
    ],
)
def test_mistakes_are_named(shelf: VoiceShelf, text: str, message: str) -> None:
    with pytest.raises(VoiceError, match=message):
        shelf.vector(text)


def test_other_voices_are_no_mixes() -> None:
    for text in ("joe", "7", "voice.json#anna", encode_speaker(np.ones(SIZE))):
        assert parse_mix(text) is None


def test_by_command_and_in_python(bundle: Bundle, bundle_path: Path, tmp_path: Path) -> None:
    target = tmp_path / "mixed.npy"
    assert cli.main(["voices", "convert", "anna(2)+7", str(target), "-b", str(bundle_path)]) == 0
    expected = (2 * bundle.speaker("anna") + bundle.speaker(7)) / 3
    np.testing.assert_allclose(load_speaker(target, bundle.model.hidden_size), expected, atol=1e-6)
    params = bundle.default_params().but(max_new_tokens=8)
    spoken = bundle.say("hello", "anna(2)+7", seed=3, params=params)
    again = bundle.say("hello", expected, seed=3, params=params)
    np.testing.assert_allclose(again, spoken, atol=1e-5)


def test_bounds_are_part_of_what_is_taken() -> None:
    assert len(parse_mix("+".join(["joe"] * 32)) or ()) == 32
    assert parse_mix("joe(999999)") == [("joe", 999_999.0)]
    with pytest.raises(VoiceError, match="weight"):
        parse_mix("joe(1000000)")
