"""Voices as the tools around ChatTTS share them: read, or refused with a recipe that works."""

from __future__ import annotations

import base64
import io
import json
import shlex
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from chattts_onnx import VoiceError, cli
from chattts_onnx.voices import vectors as voices
from chattts_onnx.voices.files import voice_names

SIZE = 768
VECTOR = voices.random_speaker(5, SIZE).astype(np.float16).astype(np.float32)
TEXT = voices.encode_speaker(VECTOR)
LIST = VECTOR.tolist()
WRAPPED = "\n".join(textwrap.wrap(TEXT, 64))

TEXTS = {
    "plain": TEXT,
    "wrapped": WRAPPED,
    "wrapped and indented": textwrap.indent(WRAPPED, "    "),
    "CRLF and a mark": "\ufeff" + WRAPPED.replace("\n", "\r\n"),
    "quoted": f'"{TEXT}"',
    "single quotes": f"'{TEXT}'",
    "typographic quotes": f"“{TEXT}”",
    "backticks": f"```\n{TEXT}\n```",
    "assigned": f"spk = '{TEXT}'\n",
    "assigned with double quotes": f'rand_spk="{TEXT}"',
    "assigned without quotes": f"spk_emb: {TEXT}",
    "assigned over lines": f"spk = '''\n{WRAPPED}\n'''",
    "literals in brackets": "spk = (\n" + "\n".join(f"    '{x}'" for x in WRAPPED.split()) + "\n)",
    "literals with a plus": " + \n".join(f'"{x}"' for x in WRAPPED.split()),
    "with escaped line ends": WRAPPED.replace("\n", "\\n"),
    "zero-width": "\u200b".join(WRAPPED.split()),
    "among code": f"chat.infer(text, spk_emb='{TEXT}', temperature=.3)",
    "UTF-16": TEXT,
}


def copied() -> Iterator[tuple[str, str]]:
    """Texts and suffixes that may go together: a table and JSON are what their suffix says."""
    for case in TEXTS:
        yield from ((case, "txt"), (case, "spk"))
    yield "quoted", "json"


@pytest.mark.parametrize(("case", "suffix"), copied())
def test_the_text_form_as_it_is_copied(case: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"voice.{suffix}"
    path.write_bytes(TEXTS[case].encode("utf-16" if case == "UTF-16" else "utf-8"))
    np.testing.assert_array_equal(voices.load_speaker(path, SIZE), VECTOR)


@pytest.mark.parametrize("case", ["plain", "quoted", "wrapped", "typographic quotes", "assigned"])
def test_the_text_form_as_an_argument(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["voices", "show", TEXTS[case]]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == TEXT


ROWS = [[value] for value in LIST]
BY_PLACE = {str(i): v for i, v in enumerate(LIST)}
# What ``pandas.DataFrame(...).to_json(orient=...)`` writes of one voice.
FRAMES: dict[str, Any] = {
    "columns": {"0": BY_PLACE},
    "index": {str(i): {"0": v} for i, v in enumerate(LIST)},
    "records": [{"0": v} for v in LIST],
    "values": ROWS,
    "split": {"columns": [0], "index": list(range(SIZE)), "data": ROWS},
    "table": {
        "schema": {"fields": [{"name": "index"}, {"name": "0"}], "primaryKey": ["index"]},
        "data": [{"index": i, "0": v} for i, v in enumerate(LIST)],
    },
    "a row's records": [BY_PLACE],
    "a row's split": {"columns": list(range(SIZE)), "index": [0], "data": [LIST]},
    "series": BY_PLACE,
    "series' split": {"name": None, "index": list(range(SIZE)), "data": LIST},
    "a named column": {"anna": BY_PLACE},
}


@pytest.mark.parametrize("orient", FRAMES)
def test_json_of_pandas(orient: str, tmp_path: Path) -> None:
    for name in ("v.json", "v.txt"):  # and without the suffix that says so
        (tmp_path / name).write_text(json.dumps(FRAMES[orient]))
        np.testing.assert_array_equal(voices.load_speaker(tmp_path / name, SIZE), VECTOR)


@pytest.mark.parametrize("rows", [[{"0": 1.0}, 3.0], [{"0": 1.0}, None], [3.0, {"0": {"0": 1}}]])
def test_rows_of_several_kinds_are_refused(rows: list[Any], tmp_path: Path) -> None:
    (tmp_path / "v.json").write_text(json.dumps({"columns": [0], "data": rows}))
    with pytest.raises(VoiceError):
        voices.load_speaker(tmp_path / "v.json", SIZE)


def test_numbers_under_any_suffix(tmp_path: Path) -> None:
    (tmp_path / "v.txt").write_text("\n".join(map(str, LIST)))
    np.testing.assert_array_equal(voices.load_speaker(tmp_path / "v.txt", SIZE), VECTOR)


def forge(model: str = "chat-tts", data: str | None = None) -> dict[str, Any]:
    """A speaker as Speech-AI-Forge saves it, written here from its published files."""
    packed = base64.b64encode(VECTOR.astype("<f4").tobytes()).decode() if data is None else data
    token = {
        "model_id": model,
        "model_hash": "",
        "tokens": [{"_type": "torch.Tensor", "data": packed}],
        "embedding": None,
    }
    meta = {"_type": "DcSpkMeta", "data": {"name": "Alice", "gender": "female", "tags": []}}
    entries = [{"_type": "DcSpkVoiceToken", "data": token}] if model else []
    inner = {"id": "x", "version": "0.1", "meta": meta, "token": entries, "refs": []}
    return {"_type": "DcSpk", "data": inner}


def test_speakers_of_speech_ai_forge(tmp_path: Path) -> None:
    path = tmp_path / "Alice.spkv1.json"
    path.write_text(json.dumps(forge()))
    np.testing.assert_array_equal(voices.load_speaker(path, SIZE), VECTOR)
    assert voice_names(path) == []
    for content, message in (
        (forge("cosy-voice"), r"other models than ChatTTS \(cosy-voice\).*clone it"),
        (forge(""), r"other models than ChatTTS \(none\)"),
        (forge(data="!"), "damaged speaker"),
        (forge(data="AAAA"), "Use a voice made for it|damaged speaker"),
        ({"_type": "DcSpk", "data": []}, "damaged speaker"),
        ({"_type": "DcSpk"}, "damaged speaker"),
    ):
        path.write_text(json.dumps(content))
        with pytest.raises(VoiceError, match=message):
            voices.load_speaker(path, SIZE)


@pytest.mark.parametrize("kind", ["float32", "float16", "float64", "bfloat16"])
@pytest.mark.parametrize("shape", [(SIZE,), (1, SIZE), (SIZE, 1)])
def test_safetensors(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file as save_torch

    values = torch.from_numpy(VECTOR).to(getattr(torch, kind)).reshape(shape)
    save_torch({"spk_emb": values}, tmp_path / "v.safetensors", metadata={"format": "pt"})
    found = voices.load_speaker(tmp_path / "v.safetensors", SIZE)
    np.testing.assert_array_equal(found, values.float().flatten().numpy())


def test_collections_of_arrays(tmp_path: Path) -> None:
    both = {"anna": VECTOR, "bert": VECTOR[None] + 1}
    save_file(both, tmp_path / "v.safetensors")
    np.savez(tmp_path / "v.npz", **both)
    np.savez_compressed(tmp_path / "w.npz", **both)
    for name in ("v.safetensors", "v.npz", "w.npz"):
        path = tmp_path / name
        assert voice_names(path) == ["anna", "bert"]
        np.testing.assert_array_equal(voices.load_speaker(path, SIZE, "bert"), VECTOR + 1)
        with pytest.raises(VoiceError, match=r"the voices anna, bert; name one of them as .*#NAME"):
            voices.load_speaker(path, SIZE)
        with pytest.raises(VoiceError, match="found 'carl'"):
            voices.load_speaker(path, SIZE, "carl")


def _pickled() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([{}], dtype=object))
    return buffer.getvalue()


def _bomb() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(65 << 20))
    return buffer.getvalue()


DAMAGED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty npz": ("npz", lambda: b""),
    "no zip": ("npz", lambda: b"PK\x03\x04 and more"),
    "objects": ("npz", _pickled),
    "bomb": ("npz", _bomb),
    "empty safetensors": ("safetensors", lambda: b""),
    "cut off": ("safetensors", lambda: (99).to_bytes(8, "little") + b"{}"),
    "list": ("safetensors", lambda: (2).to_bytes(8, "little") + b"[]"),
    "entry": ("safetensors", lambda: (7).to_bytes(8, "little") + b'{"a":1}'),
    "page": ("txt", lambda: b"<!DOCTYPE html><html>"),
    "pointer": ("json", lambda: b"version https://git-lfs.github.com/spec/v1\n"),
    "GBK": ("txt", lambda: "声音".encode("gbk")),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damage_is_named(case: str, tmp_path: Path) -> None:
    suffix, make = DAMAGED[case]
    path = tmp_path / f"v.{suffix}"
    path.write_bytes(make())
    with pytest.raises(VoiceError, match=r"v\."):
        voices.load_speaker(path, SIZE)


PICKLES: dict[str, Callable[[Any, Any], Any]] = {
    "tensor": lambda torch, v: v,
    "half": lambda torch, v: v.half(),
    "row": lambda torch, v: v[None],
    "bfloat16": lambda torch, v: v.bfloat16(),
    "parameter": lambda torch, v: torch.nn.Parameter(v),
    "text": lambda torch, v: TEXT,
    "list": lambda torch, v: v.tolist(),
    "named": lambda torch, v: {"anna": v},
    "under a key": lambda torch, v: {"spk_emb": v[None]},
    "texts by name": lambda torch, v: {"anna": TEXT},
    "by number": lambda torch, v: {0: v},
}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("case", PICKLES)
def test_the_recipe_for_pickles_works(
    case: str, old: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    value = PICKLES[case](torch, torch.from_numpy(VECTOR.copy()))
    path = tmp_path / ("voice.pt" if case != "text" else "voice")
    torch.save(value, path, _use_new_zipfile_serialization=not old)
    assert cli.main(["voices", "show", str(path)]) == 2
    command = shlex.split(capsys.readouterr().err.split("Convert it where PyTorch is: ")[1])
    assert command[0] == "python" and command[3:] == [str(path), "voice.json"]
    command[3:] = [str(path), str(tmp_path / "voice.json")]
    # In this process: starting PyTorch takes seconds.
    argv, sys.argv = sys.argv, ["-c", *command[3:]]
    try:
        exec(command[2], {})
    finally:
        sys.argv = argv
    found = voices.load_speaker(tmp_path / "voice.json", SIZE)
    np.testing.assert_allclose(found, VECTOR, rtol=0.01 if case == "bfloat16" else 0)


def test_the_recipe_runs_nothing(tmp_path: Path) -> None:
    """In a process, as it is printed, on a pickle that would run code."""
    torch = pytest.importorskip("torch")

    class Evil:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "ran",))

    torch.save(Evil(), tmp_path / "voice.pt")
    with pytest.raises(VoiceError) as caught:
        voices.load_speaker(tmp_path / "voice.pt", SIZE)
    command = shlex.split(str(caught.value).split("PyTorch is: ")[1])
    command[0] = sys.executable
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, check=False)
    assert done.returncode != 0 and b"weights_only" in done.stderr.lower()
    assert not (tmp_path / "ran").exists()
