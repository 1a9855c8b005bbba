"""``/healthz``, ``/readyz`` and ``/metrics`` on a port of their own."""

import http
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from ingest.door import Door
from ingest.guard import GuardedConnection, Limits

_MOST_AT_ONCE, _MOST_FROM_ONE = 64, 32
_OPEN_TIMEOUT_S = 5.0


class _ProbedConnection(GuardedConnection):
    """Reads a request of HTTP/1.0, as many probes send it: the library knows 1.1 only."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data.replace(b" HTTP/1.0\r\n", b" HTTP/1.1\r\n", 1))


async def serve_health(
    host: str, port: int, registry: CollectorRegistry, state: Callable[[], dict[str, Any]]
) -> Server:
    """Answer plain HTTP; ``state`` gives a body, its ``ok`` the status of /healthz, 200 or 503.

    /readyz goes by its ``ready``, where it has one: whether to send anybody here. What is slow is
    not well, but to turn everybody away would make it worse.

    Few connections at a time, and none for long: it must not use up the files of the process.
    """
    door = Door(_MOST_AT_ONCE, _MOST_FROM_ONE)
    limits = Limits(frames_per_s=10, unread_s=_OPEN_TIMEOUT_S)

    def answer(websocket: ServerConnection, request: Request) -> Response:
        path = request.path.partition("?")[0]
        if path == "/metrics":
            return _response(http.HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
        if path not in ("/healthz", "/readyz"):
            return websocket.respond(http.HTTPStatus.NOT_FOUND, "/healthz, /readyz or /metrics\n")
        body = state()
        is_well = body.get("ready", body["ok"]) if path == "/readyz" else body["ok"]
        status = http.HTTPStatus.OK if is_well else http.HTTPStatus.SERVICE_UNAVAILABLE
        return _response(status, "application/json", json.dumps(body).encode() + b"\n")

    async def refuse(websocket: ServerConnection) -> None:
        await websocket.close()  # never reached: every request is answered above

    return await serve(
        refuse,
        host,
        port,
        process_request=answer,
        create_connection=partial(  # type: ignore[arg-type]
            _ProbedConnection, door=door, limits=limits
        ),
        open_timeout=_OPEN_TIMEOUT_S,
        server_header=None,
        compression=None,
    )


def _response(status: http.HTTPStatus, content_type: str, body: bytes) -> Response:
    headers = Headers(
        {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close"}
    )
    return Response(status.value, status.phrase, headers, body)
