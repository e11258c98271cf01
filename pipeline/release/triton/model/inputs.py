"""The inputs of the speech model: their names and types, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chattts_onnx.decoding.params import GenerationParams
from chattts_onnx.errors import InputError, VoiceError
from chattts_onnx.speech.options import Options
from chattts_onnx.voices.mixing import parse_mix
from chattts_onnx.voices.vectors import is_text_form


@dataclass(frozen=True)
class InputField:
    """One input tensor [1] of the model; ``meaning`` is for its README."""

    name: str
    dtype: str
    meaning: str
    optional: bool = True


FIELDS = (
    InputField("text", "TYPE_STRING", "what to say, UTF-8", optional=False),
    InputField(
        "voice", "TYPE_STRING", "a seed (`7`), a voice of the bundle, or a voice's text form"
    ),
    InputField("speed", "TYPE_INT32", "0 (slow) to 9 (fast)"),
    InputField("seed", "TYPE_INT64", "0 or more; the same seed gives the same speech"),
    InputField(
        "max_new_tokens", "TYPE_INT32", "longest speech of a piece, in steps (46.875 a second)"
    ),
    InputField("min_new_tokens", "TYPE_INT32", "shortest speech of a piece, in steps"),
    InputField("temperature", "TYPE_FP32", "above 0; low is steady, high is lively"),
    InputField("top_p", "TYPE_FP32", "above 0, at most 1"),
    InputField("top_k", "TYPE_INT32", "0 switches it off"),
    InputField("repetition_penalty", "TYPE_FP32", "above 0; 1 switches it off"),
    InputField("refine", "TYPE_BOOL", "let the model add pauses and laughs to the text first"),
    InputField("refine_prompt", "TYPE_STRING", "directs that pass: `[oral_2][laugh_0][break_6]`"),
)
_SAMPLING = (
    "max_new_tokens",
    "min_new_tokens",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
)


@dataclass(frozen=True)
class SpeechRequest:
    """One request, checked as far as it can be without the model."""

    text: str
    voice: str | None
    options: Options


def read_request(
    read: Callable[[str], Any],
    defaults: GenerationParams,
    voices: list[str],
    max_characters: int,
) -> SpeechRequest:
    """A request from its tensors; ``read`` gives the value of an input, None where it was left out.

    ``voices`` are the names of the bundle's voices.  A client can't name a file: only what runs in
    the server's own process may read its disk.

    Raises :class:`InputError` or :class:`VoiceError` saying which input is wrong.
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
    changes = {name: values[name] for name in _SAMPLING if values[name] is not None}
    options: Options = {"params": defaults.but(**changes)}
    if values["seed"] is not None:
        options["seed"] = values["seed"]
    if values["speed"] is not None:
        options["speed"] = values["speed"]
    if values["refine"] or values["refine_prompt"]:
        options["skip_refine"] = False
        options["refine_prompt"] = values["refine_prompt"] or ""
    return SpeechRequest(text, _voice(values["voice"], voices), options)


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


def _voice(voice: str | None, names: list[str]) -> str | None:
    if not voice:
        return None
    terms = [voice] if voice in names else [name for name, _ in parse_mix(voice) or [(voice, 1)]]
    if all(term.isdecimal() or term in names or is_text_form(term) for term in terms):
        return voice
    raise VoiceError(
        f"no voice {voice!r}: expected a seed, a voice's text form, or one of this bundle's voices "
        f"({', '.join(names) or 'it has none'})."
    )
