"""The server: handshakes, who is connected, and the order in which everything ends."""

import asyncio
import http
import logging
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from urllib.parse import unquote

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from ingest.admission import Admission, Admitted, Proof, Refused, certified_names
from ingest.allowance import Allowance
from ingest.charge_point import ChargePoint
from ingest.database import DATABASE_AWAY
from ingest.door import Door, network_of
from ingest.guard import GuardedConnection, Limits, TlsConnection, peer_of
from ingest.metrics import Metrics
from ingest.operations import Operations
from ingest.process import file_limit, listening
from ingest.registration import Registration
from ingest.registry import Registry
from ingest.settings import Settings
from ingest.situation import Situation
from ingest.tls import server_context
from ingest.writer import Writer

logger = logging.getLogger(__name__)

_SUBPROTOCOL = Subprotocol("ocpp1.6")
_LONGEST_IDENTITY = 255
_COME_LATER = {http.HTTPStatus.SERVICE_UNAVAILABLE, http.HTTPStatus.TOO_MANY_REQUESTS}
_OPEN_TIMEOUT_S = 30.0  # the last of ten thousand that come at once wait so long
_GATHERS_S = 60.0
_OTHER_FILES = 256  # of the process: listeners, the database, certificates, /metrics


@dataclass(slots=True)
class CentralSystem:
    """Accepts charge points and keeps one socket of each, the newest.

    Raises:
        BadCertificate: TLS is asked for with files that cannot be used.
    """

    settings: Settings
    writer: Writer
    registry: Registry
    metrics: Metrics
    operations: Operations
    connected: dict[int, ChargePoint]
    _admission: Admission = field(init=False)
    _servers: list[Server] = field(default_factory=list)
    _tls: ssl.SSLContext | None = None
    door: Door = field(init=False)
    _comings: dict[str, Allowance] = field(default_factory=dict)
    _closing: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        settings = self.settings
        self._admission = Admission(settings.wrong_passwords_per_minute, settings.pepper)
        self.door = Door(
            settings.handshakes_at_once,
            settings.handshakes_per_address,
            file_limit() - _OTHER_FILES,
        )
        if (files := self.settings.tls_files) is not None:
            self._tls = server_context(files)

    async def start(self) -> None:
        """Listen; from here on charge points come in.

        Raises:
            BadSettings: A port cannot be listened on.
        """
        await self._listen("OCPP_PORT", self.settings.ocpp_port)
        if self._tls is not None:
            await self._listen("OCPP_TLS_PORT", self.settings.ocpp_tls_port, self._tls)

    async def _listen(
        self, variable: str, port: int, context: ssl.SSLContext | None = None
    ) -> None:
        with listening(f"ELETROPOSTO_{variable}", self.settings.ocpp_host, port):
            server = await self._serve(port, context)
        self._servers.append(server)
        logger.info("listening on %s:%d", self.settings.ocpp_host, _port(server))

    async def _serve(self, port: int, context: ssl.SSLContext | None) -> Server:
        limits = Limits(self.settings.frames_per_second, self.settings.unread_seconds)
        connection: Callable[..., GuardedConnection] = partial(
            GuardedConnection, door=self.door, limits=limits
        )
        if context is not None:
            # The handshake of TLS and that of the websocket may each take so long.
            connection = partial(
                TlsConnection,
                door=self.door,
                limits=limits,
                context=context,
                patience_s=_OPEN_TIMEOUT_S,
            )
        return await serve(
            self._serve_charge_point,
            self.settings.ocpp_host,
            port,
            create_connection=connection,  # type: ignore[arg-type]
            subprotocols=[_SUBPROTOCOL],
            select_subprotocol=_select_subprotocol,
            process_request=self._check_handshake,
            compression=None,  # 20 MB per 500 sockets for frames of one kilobyte
            max_size=self.settings.largest_frame_bytes,
            max_queue=4,
            write_limit=65536,
            open_timeout=_OPEN_TIMEOUT_S,
            close_timeout=5,
            ping_interval=self.settings.ping_interval,
            ping_timeout=self.settings.ping_interval,
            server_header=None,
            backlog=4096,
        )

    @property
    def port(self) -> int:
        """The port we listen on, also where the settings left it to the system."""
        return _port(self._servers[0])

    async def stop(self) -> None:
        """Stop accepting, close the sockets with 1001, wait for their last words."""
        for charge_point in self.connected.values():
            charge_point.closed_because = "the central system stopped"
        for server in self._servers:
            server.close(code=1001, reason="the central system stops")
        for transport in list(self.door.half_open):
            transport.abort()
        for server in self._servers:
            await server.wait_closed()

    def heed(self, registration: Registration) -> None:
        """Apply what the registry says now to the socket of a charge point, if it is here."""
        charge_point = self.connected.get(registration.charge_point_id)
        if charge_point is None:
            return
        admitted = charge_point.websocket.admitted
        assert admitted is not None
        if registration.status != "registered":
            self._close(charge_point, 1008, "not registered")
        elif not admitted.stands_up_to(registration):
            self._close(charge_point, 1012, "its password or security profile was changed")
        else:
            charge_point.registration = registration
            charge_point.situation.zone = registration.zone

    def leave(
        self,
        charge_point_id: int,
        reason: str,
        opened_at: datetime | None = None,
        code: int = 1008,
    ) -> None:
        """Close the socket of a charge point that is no longer ours to serve.

        Args:
            opened_at: Of the socket that is meant; the charge point may have a newer one by now.
            code: 1008 where it is not wanted, 1012 where it may come again at once.
        """
        charge_point = self.connected.get(charge_point_id)
        if charge_point is not None and opened_at in (None, charge_point.opened_at):
            self._close(charge_point, code, reason)

    def disconnect_all(self) -> None:
        """Close every socket: charge points queue what they cannot confirm (OCPP 1.6 3.7)."""
        for charge_point in list(self.connected.values()):
            charge_point.closed_because = "the database was away"
            self._close(charge_point, 1013, "try again later")

    def _close(self, charge_point: ChargePoint, code: int, reason: str) -> None:
        task = asyncio.create_task(charge_point.close(code, reason))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _check_handshake(
        self, websocket: ServerConnection, request: Request
    ) -> Response | None:
        """Let a registered charge point in; everybody else gets a status and a sentence."""
        try:
            admitted = await self._admit(websocket, request)
        except Refused as exc:
            self._name(websocket, request.path, exc)
            return self._refuse(websocket, exc)
        except Exception:
            # The library would answer the same, and what it logs of handshakes is mostly noise.
            logger.exception("handshake of %.100r was not judged: a defect", request.path)
            sentence = "the central system has a defect"
            return self._refuse(websocket, Refused(http.HTTPStatus.INTERNAL_SERVER_ERROR, sentence))
        assert isinstance(websocket, GuardedConnection)  # as create_connection has it
        websocket.admitted = admitted
        return None

    def _name(self, websocket: ServerConnection, path: str, why: Refused) -> None:
        """Put the refused into the log, by a name that there is no endless number of."""
        what = f"{why.status} {why}"
        if why.status == http.HTTPStatus.SERVICE_UNAVAILABLE:
            self.door.complain("nobody is let in", str(why))
        elif why.of_address is not None:
            network = network_of(peer_of(websocket.transport))
            named = f"refused {path[:100]!r}: {what}"
            self.door.complain(network, named, about=f"{network} {why.of_address}")
        else:
            self.door.complain(f"refused {path[:100]!r}", what)

    def _refuse(self, websocket: ServerConnection, why: Refused) -> Response:
        self.metrics.refused[why.status.value] += 1
        response = websocket.respond(why.status, f"{why}\n")
        if why.status == http.HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="eletroposto"'
        if why.status in _COME_LATER:
            response.headers["Retry-After"] = "5"
        return response

    async def _admit(self, websocket: ServerConnection, request: Request) -> Admitted:
        if not self.writer.available:
            raise Refused(http.HTTPStatus.SERVICE_UNAVAILABLE, "the database is away")
        identity = read_identity(request.path)
        if identity is None:
            sentence = "the path names no charge point"
            raise Refused(http.HTTPStatus.NOT_FOUND, sentence, of_address="nameless")
        try:
            registration = await self.registry.find(identity)
            if registration is None:
                sentence = f"unknown charge point {identity!r}"
                raise Refused(http.HTTPStatus.NOT_FOUND, sentence, of_address="strangers")
            admitted = await self._admission.admit(registration, _proof(websocket, request))
            if not await self.registry.stands_by(admitted):
                raise Refused(http.HTTPStatus.UNAUTHORIZED, "the password is wrong")
        except DATABASE_AWAY as exc:
            raise Refused(http.HTTPStatus.SERVICE_UNAVAILABLE, "the database is away") from exc
        self._count_coming(identity)
        self.door.befriend([peer_of(websocket.transport)])
        if admitted.password_digest is not None:
            self.registry.keep_digest(registration, admitted.password_digest)
        return admitted

    def _count_coming(self, identity: str) -> None:
        """Bear with a charge point that comes again and again, up to a limit.

        Two devices under one identity, for example, push each other out for ever.
        """
        allowance = self._comings.get(identity)
        if allowance is None:
            per_s = self.settings.sockets_per_minute / 60
            allowance = self._comings[identity] = Allowance(per_s, _GATHERS_S)
        now = asyncio.get_running_loop().time()
        if allowance.spend(1, now) > 0:
            allowance.give_back(1)
            raise Refused(http.HTTPStatus.TOO_MANY_REQUESTS, f"{identity!r} comes too often")

    async def _strengthen(self, admitted: Admitted) -> None:
        """Note a better proof of identity; the next socket will do if the database cannot now."""
        try:
            await self.registry.strengthen(admitted)
        except DATABASE_AWAY as exc:
            logger.warning(
                "%s: proof not noted: %s", admitted.registration.identity, str(exc).strip()
            )

    async def _serve_charge_point(self, websocket: ServerConnection) -> None:
        assert isinstance(websocket, GuardedConnection) and websocket.admitted is not None
        admitted = websocket.admitted
        registration = admitted.registration
        headers = websocket.request.headers if websocket.request else Headers()
        offered = ", ".join(headers.get_all("Sec-WebSocket-Protocol"))
        if offered and websocket.subprotocol is None:
            # OCPP-J 1.6 3.3: complete the handshake without the header, then close.
            logger.warning("%s: no common subprotocol in %.100r", registration.identity, offered)
            await websocket.close(1002, "only ocpp1.6 is spoken here")
            return
        charge_point = self._charge_point(registration, websocket)
        if admitted.new_password_hash or admitted.security_profile > registration.security_profile:
            await self._strengthen(admitted)
        older = self.connected.get(registration.charge_point_id)
        self.connected[registration.charge_point_id] = charge_point
        if older is not None:
            self._close(older, 1012, "replaced by a newer connection")
        # It may have been changed or refused while the handshake was under way.
        newest = self.registry.newest(registration.identity)
        self.heed(newest or replace(registration, status="refused"))
        self.operations.attend(charge_point)
        logger.info("%s: connected", registration.identity)
        try:
            await charge_point.run()
        finally:
            if self.connected.get(registration.charge_point_id) is charge_point:
                del self.connected[registration.charge_point_id]
            logger.info("%s: disconnected: %s", registration.identity, charge_point.closed_because)

    def _charge_point(
        self, registration: Registration, websocket: GuardedConnection
    ) -> ChargePoint:
        return ChargePoint(
            registration,
            websocket,
            self.writer,
            self.metrics,
            Situation(
                heartbeat_interval=self.settings.heartbeat_interval,
                signs=self.operations.signing.accepts,
            ),
            self.operations.follow_up,
        )


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


def _proof(websocket: ServerConnection, request: Request) -> Proof:
    authorizations = request.headers.get_all("Authorization")
    if len(authorizations) > 1:
        raise Refused(http.HTTPStatus.UNAUTHORIZED, "there are two Authorization headers")
    secure: ssl.SSLObject | None = websocket.transport.get_extra_info("ssl_object")
    return Proof(
        network_of(peer_of(websocket.transport)),
        next(iter(authorizations), None),
        secure is not None,
        certified_names(secure.getpeercert()) if secure else frozenset(),
    )


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])


def _select_subprotocol(
    websocket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    return _SUBPROTOCOL if _SUBPROTOCOL in offered else None
