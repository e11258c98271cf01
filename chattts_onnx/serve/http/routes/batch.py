"""``/v1/batch``: a file of lines to a zip of audio files."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, File
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from ....charset import declared as charset_of
from ...schemas import JobBody, JobStatus, errors
from .context import Jobs, Owner, keys

router = APIRouter(prefix="/v1/batch", tags=["batch"], dependencies=[keys])


@router.post(
    "",
    status_code=202,
    responses=errors(404, 429, 503),
    response_model=JobStatus,
    summary="Start a job",
)
async def create(jobs: Jobs, owner: Owner, body: Annotated[JobBody, File()]) -> dict[str, Any]:
    """Start a job.  A table needs a column ``text``, a JSON line a key ``text``; both may give
    ``id``, ``voice``, ``variant`` and the options below.  What is wrong with a line is said at
    once.
    """
    file, charset = body.file, body.encoding or charset_of(body.file.content_type or "")
    started = await run_in_threadpool(
        jobs.submit, file.file, file.filename or "", body.defaults(), body.format, owner, charset
    )
    return started.status()


@router.get("", responses=errors(), response_model=list[JobStatus], summary="All jobs of this key")
async def listing(jobs: Jobs, owner: Owner) -> list[dict[str, Any]]:
    """The jobs of this key."""
    return [job.status() for job in jobs.all(owner)]


@router.get("/{id}", responses=errors(404), response_model=JobStatus, summary="How far a job is")
async def status(jobs: Jobs, owner: Owner, id: str) -> dict[str, Any]:
    """How far it is."""
    return jobs.find(id, owner).status()


@router.delete(
    "/{id}", responses=errors(404), response_model=JobStatus, summary="Cancel or remove a job"
)
def cancel(jobs: Jobs, owner: Owner, id: str) -> dict[str, Any]:
    """Cancel a job that runs, remove one that is done."""
    return jobs.cancel(id, owner).status()


@router.get(
    "/{id}/result",
    responses=errors(404, 409),
    response_class=FileResponse,
    summary="The audio of a job as a zip",
)
async def result(jobs: Jobs, owner: Owner, id: str) -> FileResponse:
    """The zip: one audio file a line and ``manifest.json``."""
    path = jobs.result(id, owner)
    return FileResponse(path, media_type="application/zip", filename="speech.zip")
