"""Label Studio's protocol over HTTP."""

import json
from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from mmseg_mllm.datasets.limits import check_limit
from mmseg_mllm.errors import DataError, MMSegMLLMError
from mmseg_mllm.label_studio.backend import LabelStudioBackend

MAX_REQUEST_BYTES = 256 * 2**20
"""Tasks come with their annotations, of which brushes are large."""


def label_studio_service(backend: LabelStudioBackend) -> Starlette:
    """The service, for an ASGI server.

    What can't be answered gets status 422 and ``{"error": MESSAGE}``.
    """

    async def health(request: Request) -> JSONResponse:
        return JSONResponse(dict(status="UP", model_version=backend.model_version))

    async def versions(request: Request) -> JSONResponse:
        return JSONResponse(dict(versions=[backend.model_version]))

    def answers(ask: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable:
        async def answer(request: Request) -> JSONResponse:
            content = await _object(request)
            return JSONResponse(await run_in_threadpool(ask, content))

        return answer

    routes = [
        Route("/", health),
        Route("/health", health),
        Route("/versions", versions),
        Route("/setup", answers(backend.setup), methods=["POST"]),
        Route("/predict", answers(backend.predict), methods=["POST"]),
    ]
    return Starlette(routes=routes, exception_handlers={MMSegMLLMError: _refusal})


async def _refusal(request: Request, error: Exception) -> JSONResponse:
    return JSONResponse(dict(error=str(error)), status_code=422)


async def _object(request: Request) -> dict[str, Any]:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        check_limit("the request has at least", len(body), MAX_REQUEST_BYTES, unit="bytes")
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise DataError("the request is no JSON object")
    return content
