"""The JSON bodies, with the examples that OpenAPI shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from ..audio.encode import MEDIA_TYPES
from ..speech.live import LiveText
from ..speech.options import OPTIONS, VOICE_HELP, Option, SpeechOptions
from .requests import SpeechRequest

AudioFormat = Literal["wav", "pcm", "flac", "mp3", "opus"]


def with_options(body: type[BaseModel]) -> Any:
    """The class with a field more for each option of speech."""
    fields = {name: (_annotation(option), None) for name, option in OPTIONS.items()}
    own = {name: field for name, field in fields.items() if name not in body.model_fields}
    made: Any = create_model
    return made(body.__name__, __base__=body, __doc__=body.__doc__, **own)


def _annotation(option: Option) -> Any:
    sizes = {"ge": option.least, "gt": option.above, "le": option.most}
    if option.kind is str:
        sizes = {} if option.choices else {"max_length": option.most}
    bounds: dict[str, Any] = {name: size for name, size in sizes.items() if size is not None}
    kind: Any = Literal[option.choices] if option.choices else option.kind
    return Annotated[kind | None, Field(alias=option.shown, description=option.help, **bounds)]


_FORMATS = ("format", "response_format", "stream_format")


class Optioned(BaseModel):
    """A body that :func:`with_options` has completed."""

    @model_validator(mode="before")
    @classmethod
    def _as_clients_send_it(cls, data: Any) -> Any:
        """Null is a field that was left out, and a format is told in any case.

        An error for each of 50,000 unknown fields would hold up everybody for seconds.
        """
        if not isinstance(data, dict):
            return data
        if len(data) > (most := 2 * len(cls.model_fields)):
            raise ValueError(f"{len(data)} fields; expected at most {most}")
        known = {n: v for n, v in data.items() if v is not None or n not in cls.model_fields}
        formats = [n for n in _FORMATS if isinstance(known.get(n), str)]
        return known | {name: known[name].lower() for name in formats}

    def options(self) -> SpeechOptions:
        """The options that were given."""
        values = {name: getattr(self, name) for name in OPTIONS}
        given: Any = {name: value for name, value in values.items() if value is not None}
        return given


@with_options
class SpeechBody(Optioned):
    """What to speak and how; everything but the text may be left out."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"text": "The next train leaves from platform four.", "voice": "7"},
                {
                    "text": "你好，世界。",
                    "voice": "7",
                    "speed": 5,
                    "seed": 1,
                    "format": "flac",
                },
                {"text": "Well, that is that.", "refine": True, "oral": 3, "laugh": 1},
            ]
        },
    )

    text: str = Field(description="What to speak, of any language the checkpoint knows.")
    voice: Annotated[str | int | None, Field(description=VOICE_HELP)] = None
    variant: str | None = Field(None, description="Which bundle speaks; see /v1/variants.")
    format: AudioFormat = Field("wav", description="pcm: 16-bit little-endian, mono.")
    stream_format: Literal["audio", "sse"] = Field(
        "audio", description="sse: events with parts of the audio and the times of words."
    )

    def request(self) -> SpeechRequest:
        """For the service."""
        return SpeechRequest(self.text, self.voice, self.variant, **self.options())


@with_options
class LiveBody(Optioned):
    """How a text that is still being written is spoken; the first message of a WebSocket."""

    model_config = ConfigDict(extra="forbid")

    voice: Annotated[str | int | None, Field(description=VOICE_HELP)] = None
    variant: str | None = Field(None, description="Which bundle speaks; see /v1/variants.")
    format: AudioFormat = Field("pcm", description="pcm: 16-bit little-endian, mono.")
    api_key: str | None = Field(None, description="For browsers, which can't send headers here.")

    def request(self, live: LiveText) -> SpeechRequest:
        """For the service."""
        return SpeechRequest("", self.voice, self.variant, live=live, **self.options())


@with_options
class JobBody(Optioned):
    """A file of lines, and what holds where a line names nothing else."""

    file: UploadFile = Field(description=".txt, .csv, .tsv or .jsonl")
    format: AudioFormat = "wav"
    voice: str | None = Field(None, description=VOICE_HELP)
    variant: str | None = None
    encoding: str | None = Field(None, description="Of the file; UTF-8 by default.")

    def defaults(self) -> SpeechRequest:
        """A request without a text."""
        return SpeechRequest("", self.voice, self.variant, **self.options())


class VoiceReference(BaseModel):
    """OpenAI's form of a voice that is no built-in one."""

    id: str


@with_options
class OpenAISpeechBody(Optioned):
    """The body of OpenAI's ``audio.speech.create``; in ``extra_body`` the options of /v1/tts.

    ``speed`` is OpenAI's factor.
    """

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "model": "tts-1",
                    "input": "The next train leaves from platform four.",
                    "voice": "alloy",
                    "response_format": "wav",
                }
            ]
        },
    )

    model: str = Field("tts-1", description="A variant's name; OpenAI's mean the default one.")
    input: str
    voice: str | int | VoiceReference = Field(
        "alloy", description="An OpenAI name, or any voice of /v1/tts."
    )
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    timings: bool = Field(False, description="With sse: events with the times of words, too.")
    instructions: str | None = Field(None, description="Accepted and not used.")


class ErrorDetail(BaseModel):
    """What went wrong."""

    message: str
    type: str
    code: int


class ErrorBody(BaseModel):
    """The body of every answer that is no success."""

    error: ErrorDetail


class JobStatus(BaseModel):
    """How far a batch job is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "b2c1Yk0xTm9wUXJzVA",
                    "state": "running",
                    "total": 200,
                    "done": 50,
                    "failed": 0,
                    "progress": 0.25,
                    "created": 1767225600.0,
                    "ended": None,
                    "error": None,
                }
            ]
        }
    )

    id: str
    state: Literal["queued", "running", "done", "cancelled", "failed"]
    total: int
    done: int
    failed: int
    progress: float
    created: float
    ended: float | None
    error: str | None = Field(None, description="Why it failed.")


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's entry of the errors a route may answer with."""
    return {status: {"model": ErrorBody} for status in (400, 401, 413, 422, *statuses)}


def audio(note: str = "", *further: str) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's entry of an answer with sound; ``further`` media types it may have."""
    kinds = [kind.partition(";")[0] for kind in MEDIA_TYPES.values()]
    content = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}
    content |= {kind: {"schema": {"type": "string"}} for kind in further}
    about = f"Audio, in chunks as they are made. {note}".strip()
    return {200: {"description": about, "content": content}}
