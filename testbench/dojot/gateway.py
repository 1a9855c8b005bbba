"""The HTTP side: routes of the services, the gateway before them and its faults."""

import asyncio

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from testbench.dojot.answers import Refused, answer_refused
from testbench.dojot.auth import Auth
from testbench.dojot.devices import Devices
from testbench.dojot.faults import Faults
from testbench.dojot.history import History, Unforeseen, answer_unforeseen

_HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def routes_of(auth: Auth, devices: Devices, history: History) -> list[BaseRoute]:
    templates = devices.templates
    return [
        Route("/auth", auth.login, methods=["POST"]),
        Route("/template", templates.create, methods=["POST"]),
        Route("/template", templates.find, methods=["GET"]),
        Route("/template/{template_id}", templates.get, methods=["GET"]),
        Route("/template/{template_id}", templates.update, methods=["PUT"]),
        Route("/template/{template_id}", templates.delete, methods=["DELETE"]),
        Route("/device", devices.create, methods=["POST"]),
        Route("/device", devices.find, methods=["GET"]),
        Route("/device", devices.delete_all, methods=["DELETE"]),
        Route("/device/template/{template_id}", devices.find_of_template, methods=["GET"]),
        Route("/device/{device_id}", devices.get, methods=["GET"]),
        Route("/device/{device_id}", devices.update, methods=["PUT"]),
        Route("/device/{device_id}", devices.delete, methods=["DELETE"]),
        Route("/device/{device_id}/actuate", devices.actuate, methods=["PUT"]),
        Route("/device/{device_id}/template/{template_id}", devices.attach, methods=["POST"]),
        Route("/device/{device_id}/template/{template_id}", devices.detach, methods=["DELETE"]),
        # The gateway strips the first "history"; the second belongs to the service.
        Route("/history/device/{device_id}/history", history.of_device, methods=["GET"]),
    ]


async def _unknown_path(_: Request, __: Exception) -> Response:
    return JSONResponse({"msg": "Invalid endpoint requested"}, 404)


def application(routes: list[BaseRoute], auth: Auth, faults: Faults) -> ASGIApp:
    services = Starlette(
        routes=routes,
        exception_handlers={
            404: _unknown_path,
            405: _unknown_path,
            Refused: answer_refused,
            Unforeseen: answer_unforeseen,
        },
    )
    return _Faulty(_guarded(services, auth), faults)


def _guarded(services: ASGIApp, auth: Auth) -> ASGIApp:
    """Only the login and the controls of the stand-in are open to everybody."""

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(("/auth", "/_standin")):
            request = Request(scope, receive)
            try:
                claims = auth.check(request)
            except Refused as refused:
                response = await answer_refused(request, refused)
                await response(scope, receive, send)
                return
            scope.setdefault("state", {})["tenant"] = claims["service"]
        await services(scope, receive, send)

    return guarded


class _Faulty:
    """Spoils the answers of ``inner`` as the faults say; the controls are spared."""

    def __init__(self, inner: ASGIApp, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith("/_standin"):
            await self._inner(scope, receive, send)
            return
        await asyncio.sleep(self._faults.http_delay_s)
        response = self._instead(scope["path"]) or await self._spoiled(scope, receive)
        response.headers["X-Stand-In"] = "eletroposto"  # nobody shall take this for DOJOT
        await response(scope, receive, send)

    def _instead(self, path: str) -> Response | None:
        """An answer given without asking the service."""
        if self._faults.take("next_429", path):
            body = {"message": "API rate limit exceeded"}
            return JSONResponse(body, 429, {"Retry-After": "1"})
        if self._faults.take("next_403", path):
            return Response(status_code=403)
        if self._faults.take("next_500", path):
            return JSONResponse({"msg": "Internal Error"}, 500)
        if self._faults.take("next_html", path):
            return HTMLResponse(_HTML, 200)
        return None

    async def _spoiled(self, scope: Scope, receive: Receive) -> Response:
        status, headers, body = await _capture(self._inner, scope, receive)
        path = scope["path"]
        if scope["method"] != "GET" and self._faults.take("next_500_but_done", path):
            return JSONResponse({"msg": "Internal Error"}, 500)
        if self._faults.take("next_half_json", path):
            body = body[: len(body) // 2]
        if self._faults.take("next_wrong_types", path):
            body = b'[{"devices": 7, "jwt": null, "pagination": "none"}]'
        response = Response(body, status)
        kept = ("content-type", "retry-after", "ratelimit-reset", "x-ratelimit")
        for name, value in headers:
            if name.decode().startswith(kept):
                response.headers[name.decode()] = value.decode()
        return response


async def _capture(
    app: ASGIApp, scope: Scope, receive: Receive
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Run ``app`` and return (status, headers, body) of its answer."""
    sent: list[Message] = []

    async def keep(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, keep)
    start, *parts = sent
    return start["status"], start["headers"], b"".join(part.get("body", b"") for part in parts)
