from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from chattts_onnx.errors import BundleError
from chattts_onnx.text.tokenizer import TextTokenizer
from pipeline.checkpoint import layout
from pipeline.checkpoint.tokenizer import (
    CONTROL_TOKENS,
    build_tokenizer,
    check_tokenizer,
    read_tokenizer,
    vocabulary_size,
)
from pipeline.core.errors import CheckpointError
from tests import official

OFFICIAL = official.TOKENIZER
needs_official = pytest.mark.skipif(not OFFICIAL.is_dir(), reason="official files are not at hand")
TEXTS = (
    "[Stts][spk_emb][speed_5]今天天气很好，我们去公园吧。[uv_break]Hello, World 2024![Ptts]",
    "[Sbreak]四川美食[Pbreak][oral_2][laugh_0][break_6]",
    "ABC-def 100% ℃",
)


def tokens(tokenizer: Tokenizer, text: str) -> list[str]:
    return list(tokenizer.encode(text, add_special_tokens=False).tokens)


@pytest.mark.parametrize("vocabulary", ["compact", "official"])
def test_control_tokens_stay_whole_and_text_is_split_into_pieces(vocabulary: str) -> None:
    tokenizer = build_tokenizer(vocabulary)
    assert tokens(tokenizer, "[Stts][spk_emb]你好，Abc 1[uv_break][Ptts]") == [
        "[Stts]", "[spk_emb]", "你", "好", "，", "a", "##b", "##c", "1", "[uv_break]", "[Ptts]",
    ]  # fmt: skip
    assert tokenizer.get_vocab_size(with_added_tokens=True) == vocabulary_size(vocabulary)
    assert max(tokenizer.get_vocab().values()) == vocabulary_size(vocabulary) - 1
    assert tokenizer.truncation is None and tokenizer.padding is None
    assert tokens(tokenizer, "龘") == ["[UNK]"]


def test_all_level_1_characters_are_known() -> None:
    tokenizer = build_tokenizer("compact")
    characters = [
        token for token in tokenizer.get_vocab() if len(token) == 1 and "一" <= token <= "龥"
    ]
    assert len(characters) == 3755
    assert tokens(tokenizer, "啊座我们") == ["啊", "座", "我", "们"]


def test_official_ids() -> None:
    """Source: the ids listed for the official tokenizer."""
    tokenizer = build_tokenizer("official")
    ids = {
        "[PAD]": 0, "[UNK]": 100, "[MASK]": 103, "[Sasr]": 21128, "[Stts]": 21131, "[Ptts]": 21132,
        "[Sbreak]": 21134, "[Pbreak]": 21135, "[Ebreak]": 21136, "[uv_break]": 21137,
        "[lbreak]": 21139, "[laugh]": 21142, "[spk_emb]": 21143, "[empty_spk]": 21144,
        "[break_0]": 21147, "[laugh_0]": 21155, "[oral_0]": 21158, "[speed_0]": 21168,
        "[speed_9]": 21177,
    }  # fmt: skip
    assert {token: tokenizer.token_to_id(token) for token in ids} == ids
    assert vocabulary_size("official") == 21178


@needs_official
def test_control_tokens_are_the_official_ones_in_order() -> None:
    tokenizer = read_tokenizer(OFFICIAL / "tokenizer.json")
    assert [tokenizer.id_to_token(21128 + index) for index in range(50)] == list(CONTROL_TOKENS)


@needs_official
@pytest.mark.parametrize("text", TEXTS)
def test_seeded_and_official_tokenizers_split_alike(text: str) -> None:
    """Chinese, control tokens and punctuation; whole English words are only in the official one."""
    ours = tokens(build_tokenizer("official"), text)
    theirs = tokens(read_tokenizer(OFFICIAL / "tokenizer.json"), text)
    plain = [token for token in theirs if not token.strip("#").isalnum() or token > "一"]
    assert [token for token in ours if not token.strip("#").isalnum() or token > "一"] == plain


@needs_official
def test_the_official_tokenizer_is_read_without_truncation_and_padding(tmp_path: Path) -> None:
    tokenizer = read_tokenizer(OFFICIAL / "tokenizer.json")
    assert len(tokens(tokenizer, "你好")) == 2
    assert len(tokens(tokenizer, "好" * 400)) == 400
    shutil.copytree(OFFICIAL, tmp_path / "asset" / "tokenizer")
    check_tokenizer(tmp_path, 21178)
    with pytest.raises(CheckpointError, match=r"found token id 21177, expected ids below 21177"):
        check_tokenizer(tmp_path, 21177)


def test_embedded_truncation_and_padding_are_switched_off(tmp_path: Path) -> None:
    tokenizer = build_tokenizer("compact")
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    assert len(Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("你好").ids) == 8
    read = read_tokenizer(tmp_path / "tokenizer.json")
    assert len(tokens(read, "你好")) == 2
    assert len(tokens(read, "好" * 20)) == 20


def test_every_file_is_readable_by_transformers(tiny: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny / "asset" / "tokenizer")
    ids = tokenizer("[Stts]你好[Ptts]", add_special_tokens=False)["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == ["[Stts]", "你", "好", "[Ptts]"]


def test_a_missing_control_token_is_named(damaged: Path) -> None:
    path = damaged / layout.TOKENIZER
    value = json.loads(path.read_text("utf-8"))
    value["added_tokens"] = [
        token for token in value["added_tokens"] if token["content"] != "[speed_9]"
    ]
    path.write_text(json.dumps(value), "utf-8")
    check_tokenizer(damaged, vocabulary_size("compact"))
    for token in value["added_tokens"]:
        if token["content"] == "[Pbreak]":
            token["content"] = "[other]"
    path.write_text(json.dumps(value), "utf-8")
    with pytest.raises(CheckpointError, match=r"token \[Pbreak\]: found no control token"):
        check_tokenizer(damaged, vocabulary_size("compact"))


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"model": 3}', "\x00"])
def test_an_unreadable_tokenizer_is_named(content: str, damaged: Path) -> None:
    (damaged / layout.TOKENIZER).write_text(content)
    with pytest.raises(CheckpointError, match="found no readable tokenizer"):
        check_tokenizer(damaged, 5000)


def test_an_absent_tokenizer_is_named(damaged: Path) -> None:
    (damaged / layout.TOKENIZER).unlink()
    with pytest.raises(CheckpointError, match=r"asset/tokenizer/tokenizer\.json: found no file"):
        check_tokenizer(damaged, 5000)


def test_a_tokenizer_that_fails_in_use_is_named_when_it_is_read(damaged: Path) -> None:
    """Without its unknown token it would fail at the first word that it does not know."""
    path = damaged / layout.TOKENIZER
    value = json.loads(path.read_text("utf-8"))
    del value["model"]["vocab"]["[UNK]"]
    value["added_tokens"] = [t for t in value["added_tokens"] if t["content"] != "[UNK]"]
    path.write_text(json.dumps(value), "utf-8")
    with pytest.raises(CheckpointError, match="found no readable tokenizer"):
        check_tokenizer(damaged, 5000)
    with pytest.raises(BundleError, match=r"is not a readable tokenizer\.json"):
        TextTokenizer.load(path)
