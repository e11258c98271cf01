"""What a route gets from the application."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from ...jobs import JobRoom
from ...metrics import Metrics
from ...service import SpeechService

# Declares the scheme in OpenAPI; the guard has checked the key before.
keys = Depends(HTTPBearer(auto_error=False, description="An API key, where the server wants one."))


# Coroutines, since FastAPI calls plain functions in a pool of threads, one more for each of them.
async def _service(request: Request) -> SpeechService:
    service: SpeechService = request.app.state.service
    return service


async def _jobs(request: Request) -> JobRoom:
    jobs: JobRoom = request.app.state.jobs
    return jobs


async def _metrics(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


async def _owner(request: Request) -> str:
    return str(getattr(request.state, "owner", ""))


Service = Annotated[SpeechService, Depends(_service)]
Jobs = Annotated[JobRoom, Depends(_jobs)]
Counted = Annotated[Metrics, Depends(_metrics)]
Owner = Annotated[str, Depends(_owner)]
