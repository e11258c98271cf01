"""One decoder for all text of users: marks, names, the machine's encoding, else a named error."""

from __future__ import annotations

import codecs
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chattts_onnx import Bundle, InputError
from chattts_onnx.charset import argument, declared, decode, known, read_blocks, require_text

TEXT = "你好，world — ça va? 한국"
CHINESE = ["gb18030", "gbk", "gb2312", "big5", "cp936", "hz", "euc-jp", "shift_jis", "utf-7"]


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"]
)
def test_a_mark_says_the_encoding(encoding: str) -> None:
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    assert decode(mark + TEXT.encode(encoding), "it") == TEXT
    # It goes before a name that someone gave.
    if encoding != "utf-8":
        assert decode(mark + TEXT.encode(encoding), "it", "gbk") == TEXT
    assert decode("\ufeff你好".encode("gb18030"), "it") == "你好"


@pytest.mark.parametrize("encoding", CHINESE)
def test_a_named_encoding_is_used_and_an_unnamed_one_refused(encoding: str) -> None:
    text = "世界，今天"
    data = text.encode(encoding)
    assert decode(data, "it", encoding) == text
    assert decode(data, "it", f" {encoding.upper()} ") == text
    why = rf"as {encoding.upper()} does" if data.isascii() else r"UTF-8 text \(0x.. at byte 0\)"
    with pytest.raises(InputError, match=rf"it (is not|holds) .*{why}.*; save it as"):
        decode(data, "it")


def test_what_declares_gb2312_is_read_as_its_superset() -> None:
    assert decode("镕 €".encode("gb18030"), "it", "gb2312") == "镕 €"


def test_the_machine_s_own_encoding_counts_where_it_is_not_utf_8() -> None:
    assert decode("世界".encode("gbk"), "it", own="cp936") == "世界"
    assert decode("世界".encode(), "it", own="cp936") == "世界"
    assert decode("ça".encode("latin-1"), "it", own="iso8859-1") == "ça"
    with pytest.raises(InputError, match="not UTF-8"):
        decode("ça".encode("latin-1"), "it", own="utf-8")


def test_utf_16_without_a_mark_is_refused() -> None:
    for encoding in ("utf-16-le", "utf-16-be", "utf-32-le"):
        with pytest.raises(InputError, match="NUL characters, as UTF-16"):
            decode("hello".encode(encoding), "it")
        assert decode("hello".encode(encoding), "it", encoding) == "hello"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "iso2022_jp", "iso2022_kr"])
def test_other_encodings_that_look_like_ascii_are_refused(encoding: str) -> None:
    data = "世界。世界。".encode(encoding)
    with pytest.raises(InputError, match="as UTF-16 or ISO-2022 does"):
        decode(data, "it")
    assert decode(data, "it", encoding) == "世界。世界。"
    # What terminals and old editors leave in a text is none.
    assert decode(b"\x1b[1mbold\x1b(B\x1b[m\a\b\x1a", "it")


@pytest.mark.parametrize("encoding", ["hz", "utf-7"])
def test_runs_of_seven_bits_are_found_wherever_they_lie(encoding: str) -> None:
    for text in ("你好", "a 价格 b", "Привет мир", "今天天气很好。"):
        data = b"x" * 65_530 + b" " + text.encode(encoding)
        with pytest.raises(InputError, match=f"as {encoding.upper()} does"):
            list(read_blocks(io.BytesIO(data), "it"))
    with pytest.raises(InputError, match="as UTF-7 does"):
        decode("ça va déjà".encode("utf-7"), "it")
    with pytest.raises(InputError, match="no Unicode text"):
        decode(b"+2AA-", "it", "utf-7")


def test_ascii_that_only_resembles_them_is_text() -> None:
    for text in (
        "C++11-based", "+8613812345678-9", "mouse+keyboard-only", "a ~{ b } ~}", "+100-200 +A-B",
        "+iPhone14 +MacBook", "+JavaScript-2", "~{}~ ~~{.py}~~", "see a+Zm9vYmFyMTIz==",
    ):  # fmt: skip
        assert decode(text.encode(), "it") == text


@pytest.mark.parametrize("name", ["klingon", "", "base64", "rot13", "idna", "unicode_escape", "\0"])
def test_what_is_no_encoding_of_text_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no encoding"):
        known(name)


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff")), st.data()
)
def test_blocks_may_end_anywhere(text: str, data: st.DataObject) -> None:
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16", "gb18030", "utf-32"]))
    content = text.encode(encoding)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=4)))

    parts = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    waiting = [part for part in parts if part]

    class Parts(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return waiting.pop(0) if waiting else b""

    named = encoding if encoding == "gb18030" else None
    assert "".join(read_blocks(Parts(), "it", named)) == text  # type: ignore[arg-type]


@given(st.binary(max_size=40), st.sampled_from([None, "gb18030", "utf-16", "utf-7", "hz"]))
def test_any_bytes_are_text_or_a_named_error(content: bytes, encoding: str | None) -> None:
    try:
        text = decode(content, "it", encoding)
    except InputError as error:
        assert "it " in str(error)
        return
    require_text(text, "it").encode()


def test_the_place_of_a_wrong_byte_counts_from_the_start() -> None:
    stream = io.BytesIO(b"x" * 70_000 + b"\xe4\xbd" + b"\xff")
    with pytest.raises(InputError, match="0xE4 at byte 70000"):
        list(read_blocks(stream, "it"))
    with pytest.raises(InputError, match="0xE4 at byte 3"):
        decode(b"abc\xe4\xbd", "it")


def test_arguments_are_the_bytes_that_they_were() -> None:
    given_bytes = os.fsdecode("世界".encode("gb18030"))
    assert argument("世界", "the text") == "世界"
    assert argument(given_bytes, "the text", "gb18030") == "世界"
    for text in (given_bytes, "\ud800", "a\udcff"):
        with pytest.raises(InputError, match="the text is no"):
            argument(text, "the text")


def test_charsets_of_content_types() -> None:
    assert declared("application/json; charset=GBK") == "gbk"
    assert declared('text/csv; header=present; charset="big5"') == "big5"
    assert declared("text/plain") is None and declared("") is None


def test_undecoded_bytes_are_refused_wherever_text_is_spoken(bundle: Bundle) -> None:
    for text in ("\udcc4\udce3", "hello \ud800"):
        for normalize in (True, False):
            with pytest.raises(InputError, match="no Unicode text"):
                bundle.say(text, normalize=normalize)
            with pytest.raises(InputError, match="no Unicode text"):
                list(bundle.stream(text, normalize=normalize))
