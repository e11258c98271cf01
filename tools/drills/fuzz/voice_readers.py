"""Readers of voices and recordings."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from chattts_onnx.audio.read import read_audio
from chattts_onnx.audio.wav import to_bytes
from chattts_onnx.speech.cloning import check_recording, is_sample, load_sample
from chattts_onnx.voices.collection import VoiceShelf
from chattts_onnx.voices.vectors import encode_speaker, load_speaker
from tools.drills.fuzz.binary_mutations import mutate_npy, mutate_wav
from tools.drills.fuzz.json_mutations import dump, mutate_json
from tools.drills.fuzz.mutations import either, mutate_bytes, mutate_text
from tools.drills.fuzz.reader import Prepared, Reader

_SIZE = 8
_VOICE = np.linspace(-1, 1, _SIZE, dtype=np.float32)
_LONG = np.random.default_rng(1).standard_normal(96).astype(np.float32)


def _text_form(folder: Path) -> Prepared:
    """What ``--voice`` takes: a seed, a name, a file, or a voice's text form."""
    shelf = VoiceShelf(folder / "voices", len(_LONG))
    shelf.save("anna", 3)

    def read(data: bytes) -> None:
        shelf.vector(data.decode("utf-8", "surrogateescape"))

    seeds = (encode_speaker(_LONG), "17", "anna", str(folder / "voices" / "anna.json"))
    return Prepared(tuple(seed.encode() for seed in seeds), read)


def _statistics(folder: Path) -> Prepared:
    from chattts_onnx.voices import base16384

    path = folder / "statistics.txt"
    halves = np.linspace(0.5, 1, 2 * _SIZE).astype("<f2")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        VoiceShelf(folder, _SIZE).vector(4)

    return Prepared((base16384.encode(halves.tobytes()).encode(),), read, path)


def _file(folder: Path, name: str, seeds: list[bytes]) -> Prepared:
    path = folder / name

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_speaker(path, _SIZE)

    return Prepared(tuple(seeds), read, path)


def _json(folder: Path) -> Prepared:
    numbers: list[float] = _VOICE.tolist()
    forms: list[Any] = [
        numbers, [numbers], {"tensor": numbers, "name": "a"}, {"tensor": encode_speaker(_VOICE)},
        {"voices": {"a": numbers}}, {"a": {"emb": numbers}}, {"tensor": str(numbers)},
    ]  # fmt: skip
    return _file(folder, "voice.json", [dump(form) for form in forms])


def _csv(folder: Path) -> Prepared:
    column = "\n".join(map(str, _VOICE.tolist()))
    row = ";".join(str(value).replace(".", ",") for value in _VOICE.tolist())
    table = "n,v\n" + "\n".join(f'{i},"{v}"' for i, v in enumerate(_VOICE.tolist()))
    texts = [text.encode() for text in (column, row, table, f"sep=;\r\n{row}")]
    return _file(folder, "voice.csv", [*texts, row.encode("utf-16")])


def _npy(folder: Path) -> Prepared:
    seeds = []
    for array in (_VOICE, _VOICE.astype("<f2")[None], _VOICE.astype(">f8")):
        stream = io.BytesIO()
        np.save(stream, array)
        seeds.append(stream.getvalue())
    return _file(folder, "voice.npy", seeds)


def _sample(folder: Path) -> Prepared:
    path = folder / "sample.json"
    model = SimpleNamespace(num_vq=2, end_token=20)
    bundle = cast(Any, SimpleNamespace(model=model))

    def read(data: bytes) -> None:
        path.write_bytes(data)
        is_sample(path)
        load_sample(bundle, path)

    seed = {"transcript": "hello there", "codes": [[1, 2], [3, 4], [5, 6]]}
    return Prepared((dump(seed),), read, path)


def _recording(path: Path, seeds: tuple[bytes, ...]) -> Prepared:
    def read(data: bytes) -> None:
        path.write_bytes(data)
        check_recording(read_audio(path), "the recording")

    return Prepared(seeds, read, path)


def _wav(folder: Path) -> Prepared:
    sound = np.sin(np.arange(1200) / 5).astype(np.float32) * 0.5
    seeds = (to_bytes(sound, 1000), to_bytes(sound, 1000, "float32"))
    return _recording(folder / "a.wav", seeds)


def _compressed(folder: Path) -> Prepared:
    import soundfile

    sound = np.sin(np.arange(8800) / 5).astype(np.float32) * 0.5
    seeds = []
    for kind, rate in (("FLAC", 8000), ("OGG", 8000), ("MP3", 8000), ("AIFF", 8000), ("AU", 8000)):
        stream = io.BytesIO()
        soundfile.write(stream, sound, rate, format=kind)
        seeds.append(stream.getvalue())
    return _recording(folder / "a.flac", tuple(seeds))


READERS = (
    Reader(
        "voice-string", "voices as strings: seeds, names, files, the text form",
        _text_form, mutate_text,
    ),
    Reader(
        "voice-statistics", "speaker statistics", _statistics, mutate_text,
    ),
    Reader(
        "voice-json", "voices in JSON",
        _json, mutate_json,
    ),
    Reader(
        "voice-csv", "voices in CSV",
        _csv, either(mutate_text, mutate_text, mutate_bytes),
    ),
    Reader(
        "voice-npy", "voices in `.npy`",
        _npy, mutate_npy,
    ),
    Reader(
        "voice-sample", "cloned voices", _sample, mutate_json,
    ),
    Reader(
        "wav", "WAV recordings", _wav,
        either(mutate_wav, mutate_wav, mutate_bytes),
    ),
    Reader(
        "compressed-audio", "FLAC, Ogg, MP3 and other recordings", _compressed, mutate_bytes,
    ),
)  # fmt: skip
