"""The door: handshakes, who is connected, and the order in which everything ends."""

import asyncio
import http
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

import psycopg
from psycopg_pool import PoolTimeout
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ingest.charge_point import ChargePoint, Registration
from ingest.credentials import Checked, check_password, read_basic
from ingest.meanings import Situation
from ingest.metrics import Metrics
from ingest.registry import Registry
from ingest.settings import Settings
from ingest.writer import Writer

logger = logging.getLogger(__name__)

_SUBPROTOCOL = Subprotocol("ocpp1.6")
_LONGEST_IDENTITY = 255


class Refused(Exception):
    """A handshake we do not accept; carries the HTTP status and a sentence."""

    def __init__(self, status: http.HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(slots=True)
class CentralSystem:
    """Accepts charge points and keeps one socket of each, the newest."""

    settings: Settings
    writer: Writer
    registry: Registry
    metrics: Metrics
    connected: dict[int, ChargePoint] = field(default_factory=dict)
    _checked: Checked = field(default_factory=Checked)
    _server: Server | None = None

    async def start(self) -> None:
        """Listen; from here on charge points come in."""
        self._server = await serve(
            self._serve_charge_point,
            self.settings.ocpp_host,
            self.settings.ocpp_port,
            subprotocols=[_SUBPROTOCOL],
            select_subprotocol=_select_subprotocol,
            process_request=self._check_handshake,
            compression=None,  # 20 MB per 500 sockets for frames of one kilobyte
            max_size=self.settings.largest_frame_bytes,
            max_queue=4,
            write_limit=65536,
            open_timeout=15,
            close_timeout=5,
            ping_interval=self.settings.ping_interval,
            ping_timeout=self.settings.ping_interval,
            server_header=None,
            backlog=4096,
        )
        logger.info("listening on %s:%d", self.settings.ocpp_host, self.port)

    @property
    def port(self) -> int:
        """The port we listen on, also where the settings left it to the system."""
        assert self._server is not None
        return int(next(iter(self._server.sockets)).getsockname()[1])

    async def stop(self) -> None:
        """Stop accepting, close the sockets with 1001, wait for their last words."""
        if self._server is None:
            return
        for charge_point in self.connected.values():
            charge_point.closed_because = "the central system stopped"
        self._server.close(code=1001, reason="the central system stops")
        await self._server.wait_closed()

    def disconnect_all(self) -> None:
        """Close every socket: charge points queue what they cannot confirm (OCPP 1.6 3.7)."""
        for charge_point in list(self.connected.values()):
            charge_point.closed_because = "the database was away"
            asyncio.ensure_future(charge_point.close(1013, "try again later"))  # noqa: RUF006

    async def _check_handshake(
        self, websocket: ServerConnection, request: Request
    ) -> Response | None:
        """Let a registered charge point in; everybody else gets a status and a sentence."""
        try:
            known = await self._admit(request)
        except Refused as exc:
            self.metrics.refused[exc.status.value] += 1
            logger.warning("refused %.100r: %d %s", request.path, exc.status, exc)
            response = websocket.respond(exc.status, f"{exc}\n")
            if exc.status == http.HTTPStatus.UNAUTHORIZED:
                response.headers["WWW-Authenticate"] = 'Basic realm="eletroposto"'
            if exc.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
                response.headers["Retry-After"] = "5"
            return response
        websocket.known = known  # type: ignore[attr-defined]
        return None

    async def _admit(self, request: Request) -> Registration:
        if not self.writer.available:
            raise Refused(http.HTTPStatus.SERVICE_UNAVAILABLE, "the database is away")
        identity = read_identity(request.path)
        if identity is None:
            raise Refused(http.HTTPStatus.NOT_FOUND, "the path names no charge point")
        try:
            known = await self.registry.find(identity)
        except (psycopg.OperationalError, PoolTimeout) as exc:
            raise Refused(http.HTTPStatus.SERVICE_UNAVAILABLE, "the database is away") from exc
        if known is None:
            raise Refused(http.HTTPStatus.NOT_FOUND, f"unknown charge point {identity!r}")
        await self._authenticate(known, request)
        return known

    async def _authenticate(self, known: Registration, request: Request) -> None:
        if known.password_hash is None:
            return
        given = read_basic(request.headers.get("Authorization"))
        if given is None:
            raise Refused(http.HTTPStatus.UNAUTHORIZED, "credentials are missing")
        user, password = given
        if user != known.identity.encode():
            raise Refused(http.HTTPStatus.UNAUTHORIZED, "the user is not the charge point")
        if self._checked.knows(password, known.password_hash):
            return
        if not await asyncio.to_thread(check_password, password, known.password_hash):
            raise Refused(http.HTTPStatus.UNAUTHORIZED, "the password is wrong")
        self._checked.learn(password, known.password_hash)

    async def _serve_charge_point(self, websocket: ServerConnection) -> None:
        known: Registration = websocket.known  # type: ignore[attr-defined]
        offered = (
            websocket.request.headers.get("Sec-WebSocket-Protocol") if websocket.request else None
        )
        if offered and websocket.subprotocol is None:
            # OCPP-J 1.6 3.3: complete the handshake without the header, then close.
            logger.warning("%s: no common subprotocol in %.100r", known.identity, offered)
            await websocket.close(1002, "only ocpp1.6 is spoken here")
            return
        situation = Situation(heartbeat_interval=self.settings.heartbeat_interval)
        charge_point = ChargePoint(known, websocket, self.writer, self.metrics, situation)
        older = self.connected.get(known.charge_point_id)
        self.connected[known.charge_point_id] = charge_point
        if older is not None:
            asyncio.ensure_future(older.close(1012, "replaced by a newer connection"))  # noqa: RUF006
        logger.info("%s: connected", known.identity)
        try:
            await charge_point.run()
        finally:
            if self.connected.get(known.charge_point_id) is charge_point:
                del self.connected[known.charge_point_id]
            logger.info("%s: disconnected: %s", known.identity, charge_point.closed_because)


def read_identity(path: str) -> str | None:
    """Return the charge point's identity: the last segment of the path, percent-decoded."""
    segment = path.partition("?")[0].rstrip("/").rpartition("/")[2]
    try:
        identity = unquote(segment, errors="strict").strip()
    except UnicodeDecodeError:
        return None
    if not identity or len(identity) > _LONGEST_IDENTITY or not identity.isprintable():
        return None
    return identity


def _select_subprotocol(
    websocket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    return _SUBPROTOCOL if _SUBPROTOCOL in offered else None
