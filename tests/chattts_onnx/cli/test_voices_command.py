from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from chattts_onnx import Bundle, cli, open_bundle
from chattts_onnx.voices import vectors as voices


def run(*arguments: str | Path) -> int:
    return cli.main(["voices", *map(str, arguments)])


def test_create_list_show_and_speak(
    own: Path, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("create", "berta", "--seed", "7", "-b", own) == 0
    assert run("create", "clara", "--source", own / "voices" / "anna.npy", "-b", own) == 0
    capsys.readouterr()
    assert run("list", "-b", own) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == [
        "anna",
        "berta",
        "clara",
    ]
    assert run("show", "berta", "-b", own) == 0
    summary, text = capsys.readouterr().out.splitlines()
    assert summary.startswith("32 numbers") and text == voices.encode_speaker(bundle.speaker(7))
    # A voice added later does not break the bundle's check, and speaks as its seed does.
    opened = open_bundle(own, threads=1)
    np.testing.assert_allclose(opened.speaker("berta"), bundle.speaker(7), rtol=1e-3, atol=1e-4)


def test_create_refuses_a_taken_name(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "anna", "--seed", "7", "-b", own) == 2
    assert "already" in capsys.readouterr().err
    assert run("create", "berta", "--seed", "7") == 2
    assert "no bundle" in capsys.readouterr().err


def test_convert_between_all_forms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    vector = voices.random_speaker(3, 768).astype(np.float16).astype(np.float32)
    collection = tmp_path / "many.json"
    collection.write_text(json.dumps({"a": vector.tolist(), "b": (vector * 2).tolist()}), "utf-8")
    source = f"{collection}#a"
    for suffix in (".csv", ".npy", ".txt", ".json"):
        target = tmp_path / f"v{suffix}"
        assert run("convert", source, target) == 0
        np.testing.assert_array_equal(voices.load_speaker(target, 768), vector)
        source = str(target)
    assert run("convert", source, tmp_path / "v.xlsx") == 2
    assert "no suffix of a voice" in capsys.readouterr().err
    assert run("list", collection) == 0
    assert capsys.readouterr().out == "a\nb\n"
    assert run("create", "x", "--seed", "1", "-o", tmp_path / "x.json") == 0
    assert json.loads((tmp_path / "x.json").read_text("utf-8"))["seed"] == 1


def test_unusable_sources_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", tmp_path / "none.json") == 2
    assert "no voice" in capsys.readouterr().err
    assert run("list", tmp_path / "none.json") == 2
    assert "not found" in capsys.readouterr().err


def test_a_bundle_named_by_the_environment_keeps_the_voice(
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CHATTTS_BUNDLE", str(own))
    monkeypatch.chdir(tmp_path)
    assert run("create", "berta", "--seed", "7") == 0
    assert run("show", "berta(2)+anna(1)") == 0
    assert "berta" in open_bundle(own, threads=1).shelf.names
    assert not (tmp_path / "voices").exists()
