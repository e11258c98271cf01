from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chattts_onnx import Bundle, BundleError, InputError, TextTokenizer, left_pad
from chattts_onnx.text import clean_text, code_prompt, refine_prompt
from tests.official import TOKENIZER

OFFICIAL = TOKENIZER / "tokenizer.json"


def test_whitespace_is_folded() -> None:
    assert clean_text("  a \n\t b ") == "a b"


@pytest.mark.parametrize(
    "text",
    [
        "a [Stts]b[spk_emb]",
        "[Ptts]a b[empty_spk]",
        "a [S[Stts]tts]b",  # taking one out must not make another
        "a [stts]b[SPK_EMB]",
        "a [Sbreak][Pbreak][Ebreak]b",
    ],
)
def test_structural_tokens_are_taken_out(text: str) -> None:
    assert clean_text(text).replace(" ", "") == "ab"


def test_sounds_stay() -> None:
    assert clean_text("a [uv_break] b [laugh]") == "a [uv_break] b [laugh]"


@pytest.mark.parametrize("text", ["", " \n", "[Stts]"])
def test_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="empty"):
        clean_text(text)
    with pytest.raises(InputError, match="NoneType"):
        clean_text(None)  # type: ignore[arg-type]


def test_embedded_truncation_and_padding_are_off(bundle: Bundle) -> None:
    tokenizer = bundle.tokenizer
    assert len(tokenizer.encode("one two three good morning hello world")) == 7
    assert len(tokenizer.encode("one")) == 1
    assert tokenizer.encode("Hello WORLD") == tokenizer.encode("hello world")
    assert tokenizer.size == bundle.model.num_text_tokens


def test_control_tokens_are_those_of_the_file(bundle: Bundle) -> None:
    controls = bundle.tokenizer.control_tokens
    assert dict(bundle.manifest.tokens) == controls
    assert "[Stts]" in controls and "hello" not in controls
    with pytest.raises(InputError, match="no token"):
        bundle.tokenizer.token("[nothing]")


def test_prompts_of_both_passes(bundle: Bundle) -> None:
    t, num_vq = bundle.tokenizer, bundle.model.num_vq
    ids = [t.token(x) for x in ("[Stts]", "[spk_emb]", "[speed_5]", "hello", "[Ptts]")]
    prompt = code_prompt(t, "Hello [Ptts]", num_vq, speaker=True, speed=5)
    assert prompt.ids.tolist() == [[i] * num_vq for i in ids] and prompt.text_mask.all()
    refine = refine_prompt(t, "hello", num_vq, instruction="[oral_0][break_1]")
    names = ("[Sbreak]", "hello", "[Pbreak]", "[oral_0]", "[break_1]")
    assert refine.ids[:, 0].tolist() == [t.token(x) for x in names]


def test_sample_comes_before_the_text_and_its_codes_last(bundle: Bundle) -> None:
    t, num_vq = bundle.tokenizer, bundle.model.num_vq
    codes = np.arange(2 * num_vq).reshape(2, num_vq)
    prompt = code_prompt(t, "hello", num_vq, speaker=False, sample_text="good", sample_codes=codes)
    names = ("[Stts]", "[empty_spk]", "good", "hello", "[Ptts]")
    assert prompt.ids[:5, 0].tolist() == [t.token(x) for x in names]
    np.testing.assert_array_equal(prompt.ids[5:], codes)
    assert prompt.text_mask.tolist() == [True] * 5 + [False] * 2
    with pytest.raises(InputError, match="codes have shape"):
        code_prompt(t, "hello", num_vq, speaker=False, sample_codes=codes[:, :1])


def test_left_padding() -> None:
    ids, mask = left_pad([np.full((2, 3), 7), np.full((4, 3), 8)])
    assert mask.tolist() == [[0, 0, 1, 1], [1, 1, 1, 1]]
    assert ids[0, :, 0].tolist() == [0, 0, 7, 7] and (ids[1] == 8).all()


def test_unreadable_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not found"):
        TextTokenizer.load(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match="not a readable"):
        TextTokenizer.load(tmp_path / "tokenizer.json")


@pytest.fixture
def tokenizer_file(bundle: Bundle, tmp_path: Path) -> Path:
    path = tmp_path / "tokenizer.json"
    path.write_bytes((bundle.path / "tokenizer.json").read_bytes())
    return path


@pytest.mark.parametrize("place", ["pre_tokenizer", "normalizer"])
def test_a_tokenizer_with_patterns_of_its_own_is_refused(tokenizer_file: Path, place: str) -> None:
    value = json.loads(tokenizer_file.read_bytes())
    pattern = {"pattern": {"Regex": "(a*)*b"}, "behavior": "Isolated", "invert": False}
    replace = {"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""}
    parts = {"pre_tokenizer": {"type": "Split", **pattern}, "normalizer": replace}
    value[place] = {"type": "Sequence", f"{place}s": [parts[place], value[place]]}
    tokenizer_file.write_text(json.dumps(value), encoding="utf-8")
    with pytest.raises(BundleError, match="regular expressions"):
        TextTokenizer.load(tokenizer_file)
    # A word of the vocabulary is no pattern.
    value[place] = None
    value["model"]["vocab"]["Regex"] = max(value["model"]["vocab"].values()) + 10_000
    tokenizer_file.write_text(json.dumps(value), encoding="utf-8")
    assert TextTokenizer.load(tokenizer_file).encode("hello")


def test_a_panic_of_the_tokenizer_is_a_named_error(
    tokenizer_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panic = type("PanicException", (BaseException,), {})
    tokenizer = TextTokenizer.load(tokenizer_file)

    def fail(*_: object, **__: object) -> None:
        raise panic("retry-limit-in-match over")

    monkeypatch.setattr(tokenizer, "_tokenizer", SimpleNamespace(encode=fail, decode=fail))
    for use in (tokenizer.encode, tokenizer.tokens, lambda _: tokenizer.decode([1])):
        with pytest.raises(BundleError, match="retry-limit"):
            use("a")


@pytest.mark.parametrize("text", [None, 5, b"hello", [1], object()])
def test_what_is_no_text_is_named(bundle: Bundle, text: Any) -> None:
    for speak in (bundle.say, bundle.generate, bundle.prepare, lambda t: list(bundle.stream(t))):
        with pytest.raises(InputError, match=r"text is .*expected (a string|str)"):
            speak(text)


@pytest.mark.skipif(not OFFICIAL.is_file(), reason="no official tokenizer here")
def test_official_tokenizer() -> None:
    t = TextTokenizer.load(OFFICIAL)
    assert t.size == 21178 and t.token("[Stts]") == 21131 and t.token("[speed_9]") == 21177
    long = "四川美食确实以辣闻名，但也有不辣的选择。" * 30
    assert len(t.encode(long)) == 600
    prompt = code_prompt(t, "hello 你好 [uv_break]", 4, speaker=True, speed=5)
    ids = prompt.ids[:, 0].tolist()
    assert ids[:3] == [21131, 21143, 21173] and ids[-2:] == [21137, 21132]
    assert set(t.control_tokens.values()) >= set(range(21131, 21178)) - {21133}
