"""``/healthz`` and ``/metrics`` on a port of their own."""

import http
import json
from collections.abc import Callable
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response


async def serve_health(
    host: str, port: int, registry: CollectorRegistry, state: Callable[[], dict[str, Any]]
) -> Server:
    """Answer plain HTTP; ``state`` gives the body of /healthz, its ``ok`` the status 200 or 503."""

    def answer(websocket: ServerConnection, request: Request) -> Response:
        path = request.path.partition("?")[0]
        if path == "/metrics":
            return _response(http.HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
        if path != "/healthz":
            return websocket.respond(http.HTTPStatus.NOT_FOUND, "only /healthz and /metrics\n")
        body = state()
        status = http.HTTPStatus.OK if body["ok"] else http.HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, "application/json", json.dumps(body).encode() + b"\n")

    async def refuse(websocket: ServerConnection) -> None:
        await websocket.close()  # never reached: every request is answered above

    return await serve(refuse, host, port, process_request=answer, server_header=None)


def _response(status: http.HTTPStatus, content_type: str, body: bytes) -> Response:
    headers = Headers(
        {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"}
    )
    return Response(status.value, status.phrase, headers, body)
