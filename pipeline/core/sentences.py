"""Sentences to calibrate on and to judge by, one JSON object a line (``calibration_data/``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chattts_onnx.untrusted import brief, parse_json, read_limited
from pipeline.core.errors import ConfigError

_MAX_BYTES = 64 << 20
LANGUAGES = ("zh", "en", "mixed")
FIELDS = ("text", "language", "voice_seed", "tags", "origin", "licence")
_TYPES: dict[str, type] = {
    "text": str,
    "language": str,
    "voice_seed": int,
    "tags": list,
    "origin": str,
    "licence": str,
    "set": str,
}


@dataclass(frozen=True)
class Sentence:
    """A prompt and the voice to speak it with.

    Attributes:
        text: what is spoken, control tags such as ``[uv_break]`` included.
        language: ``zh``, ``en`` or ``mixed``.
        voice_seed: seed of the random speaker vector.
        tags: names of the control tags within ``text`` (``speed_5``, ``laugh``), in order.
        origin: where the text comes from.
        licence: SPDX identifier of the text's licence.
        set: name of the set that it belongs to, such as ``domain``; empty where there are none.
    """

    text: str
    language: str
    voice_seed: int
    tags: tuple[str, ...]
    origin: str
    licence: str
    set: str = ""


def load_sentences(path: Path, minimum: int = 1) -> list[Sentence]:
    """Read ``path``; every line must hold all of :data:`FIELDS`, and nothing else but ``set``.

    Raises:
        ConfigError: the file is missing, empty or shorter than ``minimum`` sentences, or a line
            is not JSON, lacks a field, has an unknown one, a wrong type or an empty text.
    """
    try:
        lines = read_limited(path, _MAX_BYTES).decode().splitlines()
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file; expected sentences, one JSON object a line. "
            "Name an existing file in the parameters."
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 ({error}); save the file as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}).") from None
    sentences = [_parse(path, n, line) for n, line in enumerate(lines, 1) if line.strip()]
    if len(sentences) < minimum:
        raise ConfigError(
            f"{path}: found {len(sentences)} sentences, expected at least {minimum}; "
            "add lines or ask for fewer."
        )
    return sentences


def _parse(path: Path, number: int, line: str) -> Sentence:
    place = f"{path}, line {number}"
    try:
        value: Any = parse_json(line)
    except ValueError as error:
        raise ConfigError(f"{place}: not a JSON object ({error}).") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{place}: found {type(value).__name__}, expected a JSON object.")
    value.setdefault("set", "")
    if set(value) != {*FIELDS, "set"}:
        raise ConfigError(
            f"{place}: found fields {brief(sorted(value))}, expected exactly {sorted(FIELDS)} and "
            "at most set."
        )
    for name, kind in _TYPES.items():
        if not isinstance(value[name], kind) or isinstance(value[name], bool):
            raise ConfigError(
                f"{place}: field {name} is {brief(value[name])}, expected {kind.__name__}."
            )
    if not value["text"].strip():
        raise ConfigError(f"{place}: the text is empty.")
    if value["language"] not in LANGUAGES:
        raise ConfigError(
            f"{place}: language is {brief(value['language'])}, expected one of "
            f"{', '.join(LANGUAGES)}."
        )
    return Sentence(
        text=value["text"],
        language=value["language"],
        voice_seed=value["voice_seed"],
        tags=tuple(str(tag) for tag in value["tags"]),
        origin=value["origin"],
        licence=value["licence"],
        set=value["set"],
    )
