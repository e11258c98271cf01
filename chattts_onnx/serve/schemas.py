"""The JSON bodies, with the examples that OpenAPI shows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..audio.encode import MEDIA_TYPES
from ..text.choices import Code, Markup
from .requests import SpeechRequest

AudioFormat = Literal["wav", "pcm", "flac", "mp3", "opus"]
_SEED = 2**32 - 1


class SpeechBody(BaseModel):
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
    voice: Annotated[str | int | None, Field(description="Seed, name, or text form.")] = None
    variant: str | None = Field(None, description="Which bundle speaks; see /v1/variants.")
    format: AudioFormat = Field("wav", description="pcm: 16-bit little-endian, mono.")
    speed: int | None = Field(None, ge=0, le=9, description="0 (slow) to 9 (fast).")
    seed: int | None = Field(None, ge=0, le=_SEED, description="Repeats a request exactly.")
    temperature: float | None = Field(None, gt=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=0, le=10_000)
    max_new_tokens: int | None = Field(None, ge=1, description="Steps of 21.3 ms of one piece.")
    refine: bool = Field(False, description="Let the model add pauses and laughs first.")
    oral: int | None = Field(None, ge=0, le=9, description="How colloquial.")
    laugh: int | None = Field(None, ge=0, le=2)
    break_: int | None = Field(None, ge=0, le=7, alias="break", description="How many pauses.")
    normalize: bool = Field(True, description="Read numbers, dates and units as people do.")
    language: Literal["auto", "zh", "en"] | None = Field(
        None, description="Of numbers and formulas."
    )
    markup: Markup | None = Field(None, description="What carries the text and is not spoken.")
    code: Code | None = Field(None, description="Whether blocks of code are read.")

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, data: Any) -> Any:
        """An error for each of 50,000 unknown fields would hold up everybody for seconds."""
        if isinstance(data, dict) and len(data) > (most := 2 * len(cls.model_fields)):
            raise ValueError(f"{len(data)} fields; expected at most {most}")
        return data

    def request(self) -> SpeechRequest:
        """For the service."""
        return SpeechRequest(**self.model_dump(exclude={"format"}))


class VoiceReference(BaseModel):
    """OpenAI's form of a voice that is no built-in one."""

    id: str


class OpenAISpeechBody(BaseModel):
    """The body of OpenAI's ``audio.speech.create``."""

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
    voice: str | VoiceReference = Field(description="An OpenAI name, or any voice of /v1/tts.")
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: float = Field(1.0, ge=0.25, le=4.0)
    stream_format: Literal["audio", "sse"] = "audio"
    instructions: str | None = Field(None, description="Accepted and not used.")

    @model_validator(mode="before")
    @classmethod
    def _as_clients_send_it(cls, data: Any) -> Any:
        """Null is a field that was left out; formats are told in any case."""
        if not isinstance(data, dict):
            return data
        known = {name: value for name, value in data.items() if value is not None}
        for name in ("response_format", "stream_format"):
            if isinstance(known.get(name), str):
                known[name] = known[name].lower()
        return known


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
