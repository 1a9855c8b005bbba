"""What only a stand-in has: switches and counters under ``/_standin``, without a token."""

from typing import Protocol

import orjson
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from testbench.dojot.faults import Faults
from testbench.dojot.persister import Persister


class Body(Protocol):
    """The parts of the stand-in that can be hurt by request."""

    faults: Faults
    persister: Persister

    def counted(self) -> dict[str, int | bool]: ...
    def cut_mqtt(self) -> int: ...
    def poison(self) -> None: ...
    async def stop_broker(self) -> None: ...
    async def start_broker(self) -> None: ...


class Controls:
    def __init__(self, body: Body) -> None:
        self._body = body

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/_standin", self.describe),
            Route("/_standin/faults", self.faults, methods=["GET"]),
            Route("/_standin/faults", self.change_faults, methods=["PATCH"]),
            Route("/_standin/faults", self.reset_faults, methods=["DELETE"]),
            Route("/_standin/counters", self.counters),
            Route("/_standin/cut-mqtt", self.cut_mqtt, methods=["POST"]),
            Route("/_standin/poison", self.poison, methods=["POST"]),
            Route("/_standin/restart-persister", self.restart_persister, methods=["POST"]),
            Route("/_standin/broker/stop", self.stop_broker, methods=["POST"]),
            Route("/_standin/broker/start", self.start_broker, methods=["POST"]),
        ]

    async def describe(self, _: Request) -> Response:
        text = "A stand-in for DOJOT 0.7.1, for tests and demonstrations. It is not DOJOT."
        return JSONResponse({"about": text, "faults": self._body.faults.model_dump()})

    async def faults(self, _: Request) -> Response:
        return JSONResponse(self._body.faults.model_dump())

    async def change_faults(self, request: Request) -> Response:
        try:
            self._body.faults.change(orjson.loads(await request.body()))
        except ValidationError as error:
            return JSONResponse({"errors": error.errors(include_url=False)}, 422)
        return await self.faults(request)

    async def reset_faults(self, request: Request) -> Response:
        self._body.faults.change(Faults().model_dump())
        return await self.faults(request)

    async def counters(self, _: Request) -> Response:
        return JSONResponse(self._body.counted())

    async def cut_mqtt(self, _: Request) -> Response:
        return JSONResponse({"cut": self._body.cut_mqtt()})

    async def poison(self, _: Request) -> Response:
        self._body.poison()
        return JSONResponse({"poisoned": True})

    async def restart_persister(self, request: Request) -> Response:
        self._body.persister.restart(request.query_params.get("skip_poison") == "true")
        return JSONResponse({"alive": self._body.persister.alive})

    async def stop_broker(self, _: Request) -> Response:
        await self._body.stop_broker()
        return JSONResponse({"broker": "stopped"})

    async def start_broker(self, _: Request) -> Response:
        await self._body.start_broker()
        return JSONResponse({"broker": "running"})
