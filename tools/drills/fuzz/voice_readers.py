"""Readers of voices and recordings."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np

from chattts_onnx.audio.read import read_audio
from chattts_onnx.audio.wav import to_bytes
from chattts_onnx.errors import InputError
from chattts_onnx.speech.cloning import check_recording, is_sample, load_sample
from chattts_onnx.voices.collection import VoiceShelf
from chattts_onnx.voices.vectors import encode_speaker, load_speaker
from tools.drills.fuzz.binary_mutations import mutate_npy, mutate_wav
from tools.drills.fuzz.json_mutations import dump, mutate_json, mutate_safetensors
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

    seeds = (
        encode_speaker(_LONG), "17", "anna", str(folder / "voices" / "anna.json"),
        "anna(2)+17(1)", f"spk = '{encode_speaker(_LONG)}'",
    )  # fmt: skip
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
        {"0": {str(i): v for i, v in enumerate(numbers)}}, [{"0": v} for v in numbers],
        {"columns": [0], "index": list(range(_SIZE)), "data": [[v] for v in numbers]}, _forge(),
    ]  # fmt: skip
    return _file(folder, "voice.json", [dump(form) for form in forms])


def _forge() -> dict[str, Any]:
    data = base64.b64encode(_VOICE.astype("<f4").tobytes()).decode()
    token = {"model_id": "chat-tts", "tokens": [{"_type": "torch.Tensor", "data": data}]}
    return {"_type": "DcSpk", "data": {"token": [{"_type": "DcSpkVoiceToken", "data": token}]}}


def _text_file(folder: Path) -> Prepared:
    text = encode_speaker(_VOICE)
    texts = (text, f"spk = '{text}'", str(_VOICE.tolist()), f"tensor({_VOICE.tolist()})")
    return _file(folder, "voice.txt", [text.encode() for text in texts])


def _npz(folder: Path) -> Prepared:
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, a=_VOICE)
    np.savez_compressed(packed, a=_VOICE.astype("<f2"))
    return _file(folder, "voice.npz", [plain.getvalue(), packed.getvalue()])


def _safetensors(folder: Path) -> Prepared:
    from safetensors.numpy import save

    seeds = [save({"a": _VOICE}), save({"a": _VOICE.astype(np.float16)}, {"format": "pt"})]
    return _file(folder, "voice.safetensors", seeds)


def _workbook(folder: Path) -> Prepared:
    """Sheets in a folder of parts that is zipped for each input, so that mutations reach them."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r0" '
        f'Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}"><sheets>'
        '<sheet name="a" sheetId="1" r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f'<Relationship Id="r1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/>'
        "</Relationships>",
    }
    cells = "".join(
        f'<row r="{i}"><c r="A{i}"><v>{v}</v></c></row>' for i, v in enumerate(_VOICE, 1)
    )
    sheet = f'<worksheet xmlns="{main}"><sheetData>{cells}</sheetData></worksheet>'
    path = folder / "voice.xlsx"

    def read(data: bytes) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name, text in parts.items():
                archive.writestr(name, text)
            archive.writestr("xl/worksheets/sheet1.xml", data)
        load_speaker(path, _SIZE)

    return Prepared((sheet.encode(),), read)


def _zipped_workbook(folder: Path) -> Prepared:
    prepared = _workbook(folder)
    prepared.read(prepared.seeds[0])
    return _file(folder, "voice.xlsx", [(folder / "voice.xlsx").read_bytes()])


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


_RECORDERS = (
    ("ipod", "aac", 48_000),
    ("webm", "libopus", 48_000),
    ("adts", "aac", 48_000),
    ("amr", "libopencore_amrnb", 8000),
)


def _media(folder: Path) -> Prepared:
    """What phones and browsers record."""
    import av

    seeds = []
    sound = (np.sin(np.arange(9600) / 5) * 0.5).astype("<f4")[None]
    for container, codec, rate in _RECORDERS:
        stream = io.BytesIO()
        with av.open(stream, "w", format=container) as output:
            # PyAV types a stream by the name of its codec, which is no constant here.
            track: Any = output.add_stream(codec, rate=rate, layout="mono", bit_rate=12_200)
            frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
            frame.sample_rate = rate
            size = track.codec_context.frame_size or 1024
            shape = av.AudioResampler(track.codec_context.format, "mono", rate, size)
            for part in [*shape.resample(frame), *shape.resample(None)]:
                output.mux(track.encode(part))
            output.mux(track.encode(None))
        seeds.append(stream.getvalue())
    path = folder / "a.m4a"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        check_recording(read_audio(path), "the recording")

    return Prepared(tuple(seeds), lambda data: _short(read, data), path)


def _short(read: Callable[[bytes], object], data: bytes) -> None:
    """A seed lasts less than the second that cloning asks for."""
    try:
        read(data)
    except InputError as error:
        if " lasts " not in str(error):
            raise


READERS = (
    Reader("voice-text-file", "voices in text files", _text_file, mutate_text),
    Reader("voice-npz", "voices in `.npz`", _npz, mutate_bytes),
    Reader("voice-safetensors", "voices in safetensors", _safetensors, mutate_safetensors),
    Reader(
        "voice-sheet", "sheets of workbooks with voices", _workbook, mutate_text, cost=100,
    ),
    Reader(
        "voice-workbook", "workbooks with voices", _zipped_workbook, mutate_bytes, cost=100,
    ),
    Reader(
        "media", "m4a, webm, aac and amr recordings", _media, mutate_bytes, cost=100,
    ),
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
