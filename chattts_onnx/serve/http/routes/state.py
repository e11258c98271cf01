"""``/health``, ``/ready``, ``/metrics``, and the exchange of bundles."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from ....errors import ChatTTSError
from ... import metrics as metrics_
from ...answers import error_body, error_response
from ...errors import status_of
from ...schemas import errors
from .context import Counted, Service

router = APIRouter()
# One batch may fail by what was asked of it; all of them fail by the machine.
FAILURES = 3


@router.get("/health", tags=["state"], summary="Whether the process lives", responses={503: {}})
async def health(service: Service) -> JSONResponse:
    """200 while the process works, 503 once batches keep failing, as with a GPU that is lost:
    restart it then, or when it does not answer."""
    failing = any(v.engine.failures >= FAILURES for v in service.variants.current)
    return JSONResponse({"status": "failing" if failing else "ok"}, 503 if failing else 200)


@router.get("/ready", tags=["state"], summary="Whether new requests are taken", responses={503: {}})
async def ready(service: Service) -> JSONResponse:
    """503 while bundles are opened and once shutdown began: send requests elsewhere."""
    state = "ready" if service.ready else "not ready"
    revisions = {variant.name: variant.revision for variant in service.variants.current}
    body = {"status": state, "variants": revisions, "active": service.active}
    return JSONResponse(body, 200 if service.ready else 503)


@router.get(
    "/metrics", tags=["state"], summary="Prometheus metrics", response_class=PlainTextResponse
)
def metrics(counted: Counted) -> Response:
    """Queue depth, slots, first audio, real-time factor, requests by outcome, memory."""
    return Response(counted.text(), media_type=metrics_.CONTENT_TYPE)


@router.post(
    "/admin/reload", tags=["admin"], responses=errors(403, 404, 500), summary="Exchange the bundles"
)
def reload(service: Service, variant: str | None = None) -> Any:
    """Open the bundles' folders anew and give them to requests from now on; requests under way
    keep theirs.  On an error the old bundle goes on serving.  Needs an admin key."""
    if not service.settings.admin_keys:
        message = "this server was started without admin keys; send it SIGHUP instead."
        return JSONResponse(error_body("AccessError", message, 403), 403)
    try:
        return {"revisions": service.reload(variant)}
    except ChatTTSError as error:
        if status_of(error) < 500:
            return error_response(error)
        return JSONResponse(error_body(type(error).__name__, str(error), 500), 500)
