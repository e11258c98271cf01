"""``/v1/batch``: a file of lines to a zip of audio files."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, File, Form, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from ...charset import declared as charset_of
from ..job_lines import read_lines
from ..requests import SpeechRequest
from ..schemas import JobStatus, errors
from .context import Jobs, Owner, Service, keys

router = APIRouter(prefix="/v1/batch", tags=["batch"], dependencies=[keys])


@router.post("", status_code=202, responses=errors(404, 429, 503), response_model=JobStatus)
async def create(
    service: Service,
    jobs: Jobs,
    owner: Owner,
    file: Annotated[UploadFile, File(description=".txt, .csv, .tsv or .jsonl")],
    format: Annotated[Literal["wav", "pcm", "flac", "mp3", "opus"], Form()] = "wav",
    voice: Annotated[str | None, Form(description="Where a line names none.")] = None,
    variant: Annotated[str | None, Form()] = None,
    speed: Annotated[int | None, Form(ge=0, le=9)] = None,
    seed: Annotated[int | None, Form(ge=0)] = None,
    max_new_tokens: Annotated[int | None, Form(ge=1)] = None,
    encoding: Annotated[str | None, Form(description="Of the file; UTF-8 by default.")] = None,
) -> dict[str, Any]:
    """Start a job.  A table needs a column ``text``, a JSON line a key ``text``; both may give
    ``id``, ``voice``, ``speed``, ``seed`` and more.  What is wrong with a line is said at once.
    """
    defaults = SpeechRequest(
        "", voice=voice, variant=variant, speed=speed, seed=seed, max_new_tokens=max_new_tokens
    )
    data, name, settings = await file.read(), file.filename or "", service.settings
    most, longest = settings.batch_lines, settings.max_chars

    charset = encoding or charset_of(file.content_type or "")

    def start() -> dict[str, Any]:
        lines = read_lines(data, name, defaults, most, longest, charset)
        return jobs.submit(lines, format, owner).status()

    return await run_in_threadpool(start)


@router.get("", responses=errors(), response_model=list[JobStatus])
async def listing(jobs: Jobs, owner: Owner) -> list[dict[str, Any]]:
    """The jobs of this key."""
    return [job.status() for job in jobs.all(owner)]


@router.get("/{id}", responses=errors(404), response_model=JobStatus)
async def status(jobs: Jobs, owner: Owner, id: str) -> dict[str, Any]:
    """How far it is."""
    return jobs.find(id, owner).status()


@router.delete("/{id}", responses=errors(404), response_model=JobStatus)
def cancel(jobs: Jobs, owner: Owner, id: str) -> dict[str, Any]:
    """Cancel a job that runs, remove one that is done."""
    return jobs.cancel(id, owner).status()


@router.get("/{id}/result", responses=errors(404, 409), response_class=FileResponse)
async def result(jobs: Jobs, owner: Owner, id: str) -> FileResponse:
    """The zip: one audio file a line and ``manifest.json``."""
    path = jobs.result(id, owner)
    return FileResponse(path, media_type="application/zip", filename="speech.zip")
