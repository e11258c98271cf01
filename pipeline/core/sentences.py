"""Sentences to calibrate on and to judge by, one JSON object a line (``calibration_data/``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chattts_onnx.untrusted import parse_json, read_limited
from pipeline.core.errors import ConfigError, require_one_of
from pipeline.core.strict import parse_strictly

_MAX_BYTES = 64 << 20
LANGUAGES = ("zh", "en", "mixed")


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

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ConfigError("text: found nothing to say")
        require_one_of("language", self.language, LANGUAGES)


def load_sentences(path: Path, minimum: int = 1) -> list[Sentence]:
    """Read ``path``; every line must hold a :class:`Sentence`, and nothing else.

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
    try:
        return parse_strictly(value, Sentence, "all of it", "correct the line")
    except ConfigError as error:
        raise ConfigError(f"{place}: {error}") from None
