"""The FastAPI application over a :class:`SpeechService`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from ... import __version__
from ...errors import ChatTTSError
from ..answers import error_body, error_response, mistakes
from ..guard import Guard
from ..jobs import JobRoom
from ..metrics import Metrics
from ..service import SpeechService
from ..settings import ServeSettings
from .routes import batch, live, openai, page, state, tts, voices

_LONGEST_KIND = 80
_ABOUT = "ChatTTS from ONNX bundles: speech is sent while it is made."


def create_app(settings: ServeSettings, service: SpeechService | None = None) -> FastAPI:
    """The application.  A ``service`` that is not given is made; one that has not started is
    started with the application and closed with it."""
    metrics = Metrics()
    service = service or SpeechService(settings)
    service.observer = metrics

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        if not service.ready:
            await asyncio.to_thread(service.start)
        jobs = JobRoom(service)
        metrics.watch(service, jobs)
        app.state.jobs = jobs
        try:
            yield
        finally:
            await asyncio.to_thread(jobs.close)
            await asyncio.to_thread(service.close)

    # FastAPI's pages load scripts from elsewhere; /docs is a page of our own over /openapi.json.
    app = FastAPI(
        title="chattts-onnx",
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.service = service
    app.state.metrics = metrics
    for module in (tts, live, openai, batch, voices, state, page):
        app.include_router(module.router)
    app.add_exception_handler(ChatTTSError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_middleware(Guard, settings=settings)
    if settings.cors_origins:
        # Outside of the guard, since a browser asks with OPTIONS first, and without a key.
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
            allow_private_network=True,  # a named page on the internet, a server on this network
        )
    return app


def _known(_: Request, error: Exception) -> JSONResponse:
    return error_response(error)


def _invalid(request: Request, error: Exception) -> JSONResponse:
    """Which field is wrong, without the value; of a body that is no object, what it came as."""
    assert isinstance(error, RequestValidationError)  # registered for this class
    found = error.errors()
    message = mistakes(found)
    if any(each["loc"] == ("body",) or each["type"] == "json_invalid" for each in found):
        kind = request.headers.get("content-type", "")[:_LONGEST_KIND] or "none"
        message += (
            f" (Content-Type: {kind}); expected a JSON object, as application/json, in UTF-8 or "
            "with its charset named there"
        )
    return JSONResponse(error_body("InputError", message, 422), 422)


def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # registered for this class
    headers: Any = error.headers
    body = error_body("HTTPException", str(error.detail), error.status_code)
    return JSONResponse(body, error.status_code, headers)
