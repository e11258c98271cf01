"""Voice files as people share them: numbers in JSON and tables, arrays, or the text form."""

from __future__ import annotations

import base64
import binascii
import io
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

import numpy as np

from ..atomic_files import write_file
from ..charset import decode
from ..errors import InputError, VoiceError
from ..text.core.language import Spoken
from ..untrusted import brief, brief_text, parse_json, read_limited, stand_in
from .arrays import MAX_BYTES, array_names
from .tables import whole_voices

PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle")
TENSOR_KEYS = ("tensor", "emb", "embedding", "spk_emb", "vector")
# Reads tensors, texts and folders of both, and nothing that could run code.
PICKLE_RECIPE = (
    'python -c "import json, sys, torch; plain = lambda x: x if isinstance(x, str) else '
    "{str(k): plain(v) for k, v in x.items()} if isinstance(x, dict) else "
    "torch.as_tensor(x).float().flatten().tolist(); json.dump(plain(torch.load(sys.argv[1], "
    "map_location='cpu', weights_only=True)), open(sys.argv[2], 'w'))\" {path} voice.json"
)
_QUOTED = re.compile(r"""("{3}|'{3}|["'])(.+?)\1""", re.DOTALL)
_ADJACENT = re.compile(r"""(["'])\s*(?:\+|\\)?\s*\1(?!\1)""")
_ASSIGNED = re.compile(r"^\s*[A-Za-z_][\w.]*\s*[=:]")
_IGNORED = re.compile("\\\\n|[\\s\\\\\u200b\ufeff\u2060\"'`“”‘’]")


def read_text(path: Path) -> str:
    """A voice file's text; ``ValueError`` or :class:`.InputError` where it is none.

    Raises :class:`VoiceError` for a pickle, under any name, and for what stands in for a file.
    """
    data = read_limited(path, MAX_BYTES)
    if path.suffix.lower() in PICKLES or data[:4] == b"PK\x03\x04" or data[:1] == b"\x80":
        raise VoiceError(
            f"{path} is a PyTorch pickle, which can run code when it is read. Convert it where "
            f"PyTorch is: {PICKLE_RECIPE.replace('{path}', str(path))}"
        )
    if (found := stand_in(data[:512])) is not None:
        raise VoiceError(f"{path} is {found}.")
    return decode(data, str(path), hint="save it as UTF-8")


def noted_language(path: Path) -> Spoken | None:
    """``language`` of a voice's JSON object, None where there is none that is known."""
    try:
        noted = parse_json(read_text(path))
    except (ValueError, OSError, InputError):
        return None  # reading the numbers says what is wrong
    language = noted.get("language") if isinstance(noted, dict) else None
    return language if language in get_args(Spoken) else None


def tidy_text_form(text: str) -> str:
    """A text form without what it was copied with: line breaks, quotes, ``spk = '…'``."""
    text = _ADJACENT.sub("", text)
    quoted = [body for _, body in _QUOTED.findall(text)]
    return _IGNORED.sub("", max(quoted, key=len) if quoted else _ASSIGNED.sub("", text))


def pick(value: Any, name: str | None, source: Path | str) -> Any:
    """The numbers (or text form) of one voice of parsed JSON.

    Taken are a list, an object with one of :data:`TENSOR_KEYS`, a collection of named ones, what
    pandas writes in any of its forms, and Speech-AI-Forge's ``.spkv1.json``.
    """
    if isinstance(value, dict) and value.get("_type") == "DcSpk":
        return _forge(value, source)
    if (numbers := _pandas(value)) is not None:
        return numbers
    if isinstance(value, dict) and not set(value) & set(TENSOR_KEYS):
        voices = value.get("voices", value) if isinstance(value.get("voices"), dict) else value
        if name is None and len(voices) == 1:
            name = next(iter(voices))
        if name is None or name not in voices:
            raise VoiceError(
                f"{source} holds the voices {_listed(voices)}; name one of them as "
                f"{source}#NAME (found {brief(name)})."
            )
        value = voices[name]
        if (numbers := _pandas(value)) is not None:
            return numbers
    if isinstance(value, dict):
        for key in TENSOR_KEYS:
            if key in value:
                return value[key]
        raise VoiceError(f"{source}: no numbers; expected one of the keys {TENSOR_KEYS}.")
    return value


def _pandas(value: Any) -> list[Any] | None:
    """Numbers of a data frame or series with one voice, as ``to_json`` writes them."""
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        if not {"columns", "schema", "index", "name"} & set(value):
            return None
        rows = value["data"]
        index = {"index", "level_0"} if "schema" in value else set()
        if rows and all(isinstance(row, dict) for row in rows):
            rows = [[v for k, v in row.items() if k not in index] for row in rows]
        return _flat(rows)
    if isinstance(value, dict) and len(value) > 1 and _counting(value):
        found = list(value.values())
        if all(isinstance(entry, dict) and len(entry) == 1 and _counting(entry) for entry in found):
            return _flat([list(entry.values()) for entry in found])
        return found if all(isinstance(entry, (int, float)) for entry in found) else None
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return _flat([list(row.values()) for row in value])
    return None


def _counting(value: dict[str, Any]) -> bool:
    return list(value) == [str(number) for number in range(len(value))]


def _flat(rows: list[Any]) -> list[Any]:
    return [cell for row in rows for cell in (row if isinstance(row, list) else [row])]


def _forge(value: dict[str, Any], source: Path | str) -> list[float]:
    """Speech-AI-Forge's speaker: tensors as base64 of float32, each for a model."""
    try:
        tokens = [entry["data"] for entry in value["data"]["token"]]
        for token in tokens:
            if str(token["model_id"]).lower().replace("-", "").replace("_", "") == "chattts":
                data = base64.b64decode(token["tokens"][0]["data"], validate=True)
                numbers: list[float] = np.frombuffer(data, "<f4").tolist()
                return numbers
    except (KeyError, TypeError, IndexError, ValueError, binascii.Error) as error:
        raise VoiceError(f"{source} is a damaged speaker of Speech-AI-Forge: {error!r}.") from error
    models = brief_text(", ".join(str(token["model_id"]) for token in tokens)) or "none"
    raise VoiceError(
        f"{source} holds a voice for other models than ChatTTS ({models}). If it has a recording, "
        "export that from Speech-AI-Forge and clone it."
    )


def _listed(voices: Iterable[str]) -> str:
    return brief_text(", ".join(map(str, voices)))


def voice_names(path: Path) -> list[str]:
    """Names in a collection; empty where the file holds one unnamed voice."""
    suffix = path.suffix.lower()
    try:
        if suffix in (".npz", ".safetensors"):
            return array_names(path)
        if suffix in (".csv", ".tsv"):
            return list(whole_voices(read_text(path)))
        value = parse_json(read_text(path)) if suffix == ".json" else None
    except (ValueError, OSError):
        return []
    if not isinstance(value, dict) or set(value) & {*TENSOR_KEYS, "codes", "_type"}:
        return []
    voices = value.get("voices", value)
    return list(map(str, voices)) if isinstance(voices, dict) and _pandas(value) is None else []


def write_voice(path: Path, vector: Any, text: str, details: dict[str, Any]) -> None:
    """Write a voice in one rename; the suffix tells the form.

    ``.json`` {"tensor": text form, **details}, ``.csv`` one number a line, ``.npy``, ``.txt`` the
    text form alone.  JSON and text hold FP16, the others FP32.
    """
    values = np.asarray(vector, dtype=np.float32)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        stream = io.BytesIO()
        np.save(stream, values)
        data = stream.getvalue()
    elif suffix == ".csv":
        data = "".join(f"{value}\n" for value in values.tolist()).encode()
    elif suffix == ".json":
        record = {**details, "tensor": text}
        data = (json.dumps(record, ensure_ascii=False, indent=1) + "\n").encode()
    elif suffix == ".txt":
        data = f"{text}\n".encode()
    else:
        raise VoiceError(f"{path} has no suffix of a voice that is written: .json .csv .npy .txt.")
    write_bytes(path, data)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file in one rename; :class:`VoiceError` where that is not possible."""
    try:
        write_file(path, data)
    except OSError as error:
        raise VoiceError(f"{path} cannot be written: {error.strerror or error}.") from error
