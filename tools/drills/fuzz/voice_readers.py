"""Readers of voices and recordings."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Iterable
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
from tools.drills.fuzz.mutations import mutate_bytes, mutate_text
from tools.drills.fuzz.reader import Prepared, reader

_SIZE = 8
_VOICE = np.linspace(-1, 1, _SIZE, dtype=np.float32)
_LONG = np.random.default_rng(1).standard_normal(96).astype(np.float32)


@reader("voice-string", "voices as strings: seeds, names, files, the text form", mutate_text)
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


@reader("voice-statistics", "speaker statistics", mutate_text)
def _statistics(folder: Path) -> Prepared:
    from chattts_onnx.voices import base16384

    halves = np.linspace(0.5, 1, 2 * _SIZE).astype("<f2")
    seed = base16384.encode(halves.tobytes()).encode()
    shelf = folder / "statistics.txt"
    return Prepared.of_file(shelf, [seed], lambda _: VoiceShelf(folder, _SIZE).vector(4))


def _file(path: Path, seeds: Iterable[bytes]) -> Prepared:
    return Prepared.of_file(path, seeds, lambda path: load_speaker(path, _SIZE))


@reader("voice-json", "voices in JSON", mutate_json)
def _json(folder: Path) -> Prepared:
    numbers: list[float] = _VOICE.tolist()
    forms: list[Any] = [
        numbers, [numbers], {"tensor": numbers, "name": "a"}, {"tensor": encode_speaker(_VOICE)},
        {"voices": {"a": numbers}}, {"a": {"emb": numbers}}, {"tensor": str(numbers)},
        {"0": {str(i): v for i, v in enumerate(numbers)}}, [{"0": v} for v in numbers],
        {"columns": [0], "index": list(range(_SIZE)), "data": [[v] for v in numbers]}, _forge(),
    ]  # fmt: skip
    return _file(folder / "voice.json", [dump(form) for form in forms])


def _forge() -> dict[str, Any]:
    data = base64.b64encode(_VOICE.astype("<f4").tobytes()).decode()
    token = {"model_id": "chat-tts", "tokens": [{"_type": "torch.Tensor", "data": data}]}
    return {"_type": "DcSpk", "data": {"token": [{"_type": "DcSpkVoiceToken", "data": token}]}}


@reader("voice-text-file", "voices in text files", mutate_text)
def _text_file(folder: Path) -> Prepared:
    text = encode_speaker(_VOICE)
    texts = (text, f"spk = '{text}'", str(_VOICE.tolist()), f"tensor({_VOICE.tolist()})")
    return _file(folder / "voice.txt", [text.encode() for text in texts])


@reader("voice-npz", "voices in `.npz`", mutate_bytes)
def _npz(folder: Path) -> Prepared:
    plain, packed = io.BytesIO(), io.BytesIO()
    np.savez(plain, a=_VOICE)
    np.savez_compressed(packed, a=_VOICE.astype("<f2"))
    return _file(folder / "voice.npz", [plain.getvalue(), packed.getvalue()])


@reader("voice-safetensors", "voices in safetensors", mutate_safetensors)
def _safetensors(folder: Path) -> Prepared:
    from safetensors.numpy import save

    seeds = [save({"a": _VOICE}), save({"a": _VOICE.astype(np.float16)}, {"format": "pt"})]
    return _file(folder / "voice.safetensors", seeds)


@reader("voice-sheet", "sheets of workbooks with voices", mutate_text, cost=100)
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


@reader("voice-workbook", "workbooks with voices", mutate_bytes, cost=100)
def _zipped_workbook(folder: Path) -> Prepared:
    prepared = _workbook(folder)
    prepared.read(prepared.seeds[0])
    return _file(folder / "voice.xlsx", [(folder / "voice.xlsx").read_bytes()])


@reader("voice-csv", "voices in CSV", mutate_text, mutate_text, mutate_bytes)
def _csv(folder: Path) -> Prepared:
    column = "\n".join(map(str, _VOICE.tolist()))
    row = ";".join(str(value).replace(".", ",") for value in _VOICE.tolist())
    table = "n,v\n" + "\n".join(f'{i},"{v}"' for i, v in enumerate(_VOICE.tolist()))
    texts = [text.encode() for text in (column, row, table, f"sep=;\r\n{row}")]
    return _file(folder / "voice.csv", [*texts, row.encode("utf-16")])


@reader("voice-npy", "voices in `.npy`", mutate_npy)
def _npy(folder: Path) -> Prepared:
    seeds = []
    for array in (_VOICE, _VOICE.astype("<f2")[None], _VOICE.astype(">f8")):
        stream = io.BytesIO()
        np.save(stream, array)
        seeds.append(stream.getvalue())
    return _file(folder / "voice.npy", seeds)


@reader("voice-sample", "cloned voices", mutate_json)
def _sample(folder: Path) -> Prepared:
    model = SimpleNamespace(num_vq=2, end_token=20)
    bundle = cast(Any, SimpleNamespace(model=model))

    def read(path: Path) -> None:
        is_sample(path)
        load_sample(bundle, path)

    seed = {"transcript": "hello there", "codes": [[1, 2], [3, 4], [5, 6]]}
    return Prepared.of_file(folder / "sample.json", [dump(seed)], read)


def _check(path: Path) -> None:
    check_recording(read_audio(path), "the recording")


@reader("wav", "WAV recordings", mutate_wav, mutate_wav, mutate_bytes)
def _wav(folder: Path) -> Prepared:
    sound = np.sin(np.arange(1200) / 5).astype(np.float32) * 0.5
    seeds = (to_bytes(sound, 1000), to_bytes(sound, 1000, "float32"))
    return Prepared.of_file(folder / "a.wav", seeds, _check)


@reader("compressed-audio", "FLAC, Ogg, MP3 and other recordings", mutate_bytes)
def _compressed(folder: Path) -> Prepared:
    import soundfile

    sound = np.sin(np.arange(8800) / 5).astype(np.float32) * 0.5
    seeds = []
    for kind in ("FLAC", "OGG", "MP3", "AIFF", "AU"):
        stream = io.BytesIO()
        soundfile.write(stream, sound, 8000, format=kind)
        seeds.append(stream.getvalue())
    return Prepared.of_file(folder / "a.flac", seeds, _check)


_RECORDERS = (
    ("ipod", "aac", 48_000),
    ("webm", "libopus", 48_000),
    ("adts", "aac", 48_000),
    ("amr", "libopencore_amrnb", 8000),
)


@reader("media", "m4a, webm, aac and amr recordings", mutate_bytes, cost=100)
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
    return Prepared.of_file(folder / "a.m4a", seeds, _short)


def _short(path: Path) -> None:
    """A seed lasts less than the second that cloning asks for."""
    try:
        _check(path)
    except InputError as error:
        if " lasts " not in str(error):
            raise
