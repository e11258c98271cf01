from __future__ import annotations

import sys
from pathlib import Path

import pytest

from chattts_onnx import InputError
from chattts_onnx.text import Lexicon, Report, TextOptions, erhua, normalize


def test_yaml_and_json_say_the_same(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "a.yaml").write_text("AI: 人工智能\nSQL: S Q L\nNO: not\n1号: 头号\n", "utf-8")
    (tmp_path / "a.json").write_text(
        '\ufeff{"AI": "人工智能", "SQL": "S Q L", "NO": "not", "1号": "头号"}', "utf-8"
    )
    first, second = (Lexicon.load(tmp_path / f"a.{kind}") for kind in ("yaml", "json"))
    assert first == second
    options = TextOptions(lexicon=first)
    assert normalize("AI用SQL查1号", options).text == "人工智能用S Q L查头号"


def test_sections(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    source = tmp_path / "a.yml"
    source.write_text(
        "words:\n  AI: 人工智能\nerhua_merge: [妞妞儿]\nerhua_keep:\n  - 花儿\n", "utf-8"
    )
    lexicon = Lexicon.load(source)
    assert lexicon.words == {"AI": "人工智能"}
    assert lexicon.erhua_merge == {"妞妞儿"} and lexicon.erhua_keep == {"花儿"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.yaml", "a: [", "not valid YAML"),
        ("a.json", "{", "not valid JSON"),
        ("a.json", "[1]", "is a list"),
        ("a.json", "[" * 100_000, "nested too deeply"),
        ("a.json", "9" * 5000, "not valid JSON"),
        ("a.yaml", "[" * 700, "not valid YAML"),
        ("a.yaml", 'a: "\\UFFFFFFFF"', "not valid YAML"),
        ("a.yaml", "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "is no word"),
        ("a.yaml", "a:\n" + "x" * (9 << 20), "more than 8388608 bytes"),
        ("a.json", '{"a": 1}', "1 is no word"),
        ("a.json", '{"": "x"}', "'' is no word"),
        ("a.json", '{"words": [1]}', "'words' is no mapping"),
        ("a.json", '{"erhua_keep": ["花"]}', "without 儿"),
        ("a.json", '{"erhua_keep": "花儿"}', "lists of words"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    (tmp_path / name).write_text(content, "utf-8")
    with pytest.raises(InputError, match=message):
        Lexicon.load(tmp_path / name)


def test_missing_file_and_missing_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        Lexicon.load(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: b", "utf-8")
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InputError, match=r"PyYAML. Install chattts-onnx\[text\]"):
        Lexicon.load(tmp_path / "a.yaml")


def test_longest_first_on_borders_and_once() -> None:
    lexicon = Lexicon({"A": "B", "B": "C", "A B": "D", "AB": "E"})
    assert lexicon.apply("A,B,A B,AB,ABC,xA,中A文", Report()) == "B,C,D,E,ABC,xA,中B文"


def test_every_built_in_erhua_word_is_merged_or_kept() -> None:
    merge, keep, _ = erhua._built_in()
    assert len(merge) > 300 and len(keep) > 60 and not set(merge) & keep
    for word, speech in merge.items():
        assert erhua.merge_erhua(f"有{word}，", Report()).endswith(f"{speech}，"), word
        assert "儿" not in speech
    for word in keep:
        assert erhua.merge_erhua(f"有{word}，", Report()) == f"有{word}，"
