"""The page at ``/``: type, choose, listen."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)
_FOLDER = Path(__file__).parents[2] / "page"
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src data:; media-src blob:; "
    "object-src 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page() -> FileResponse:
    return FileResponse(_FOLDER / "index.html", headers=_HEADERS)


@router.get("/docs")
async def description() -> FileResponse:
    return FileResponse(_FOLDER / "docs.html", headers=_HEADERS)


@router.get("/{name}.js")
async def script(name: Literal["page", "player", "docs"]) -> FileResponse:
    return FileResponse(_FOLDER / f"{name}.js", media_type="text/javascript", headers=_HEADERS)


@router.get("/page.css")
async def style() -> FileResponse:
    return FileResponse(_FOLDER / "page.css", media_type="text/css", headers=_HEADERS)
