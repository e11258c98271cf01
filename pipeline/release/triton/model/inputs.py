"""The inputs of the speech model: their names and types, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chattts_onnx.errors import InputError
from chattts_onnx.speech.options import (
    LARGEST_SEED,
    OPTIONS,
    VOICE_HELP,
    Option,
    SpeechOptions,
    read_options,
)


@dataclass(frozen=True)
class InputField:
    """One input tensor [1] of the model; ``meaning`` is for its README."""

    name: str
    dtype: str
    meaning: str
    optional: bool = True


def _dtype(option: Option) -> str:
    if option.most == LARGEST_SEED:
        return "TYPE_INT64"
    return {int: "TYPE_INT32", float: "TYPE_FP32", bool: "TYPE_BOOL", str: "TYPE_STRING"}[
        option.kind
    ]


FIELDS = (
    InputField("text", "TYPE_STRING", "what to say, UTF-8", optional=False),
    InputField("voice", "TYPE_STRING", VOICE_HELP),
    *(InputField(o.shown, _dtype(o), o.words) for o in OPTIONS.values()),
)


@dataclass(frozen=True)
class SpeechRequest:
    """One request, checked as far as it can be without the model."""

    text: str
    voice: str | None
    options: SpeechOptions


def read_request(read: Callable[[str], Any], max_characters: int) -> SpeechRequest:
    """A request from its tensors; ``read`` gives the value of an input, None where it was left out.

    Raises :class:`InputError` saying which input is wrong.
    """
    values = {field.name: _plain(field, read(field.name)) for field in FIELDS}
    text = values["text"]
    if text is None or not text.strip():
        raise InputError("text is empty; expected at least one word to speak.")
    if len(text) > max_characters:
        raise InputError(
            f"text has {len(text)} characters; at most {max_characters} are spoken in one request "
            "(parameter max_characters of the model). Split it."
        )
    return SpeechRequest(text, values["voice"], read_options(values))


def _plain(field: InputField, value: Any) -> Any:
    """The element of a tensor [1] as a Python value."""
    if value is None:
        return None
    if value.size != 1:
        raise InputError(f"{field.name} has {value.size} elements; expected one.")
    item = value.reshape(-1)[0]
    if field.dtype != "TYPE_STRING":
        return item.item()
    try:
        return item.decode("utf-8") if isinstance(item, bytes) else str(item)
    except UnicodeDecodeError as error:
        raise InputError(f"{field.name} is not UTF-8 ({error.reason}).") from error
