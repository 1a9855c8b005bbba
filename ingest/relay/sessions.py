"""The MQTT sessions of all devices: one each, as many of them open as there are places."""

import asyncio
import logging
import random
import ssl
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import count
from uuid import UUID

from ingest.relay.backoff import Backoff
from ingest.relay.dialects import Device, Dialect
from ingest.relay.metrics import Metrics
from ingest.relay.mqtt import ConnectFailed, Connection, ConnectRefused
from ingest.relay.outbox import Publication
from ingest.relay.places import Places

logger = logging.getLogger(__name__)

_IN_FLIGHT = 20  # per device, as the bridge behind the broker has it
_DIALLING = 64  # at one time
_REST_S = 2.0  # longest pause before a device that was cut comes back
_FRUITLESS = 3  # closed so often with messages and no acknowledgement: it is refused
_STALLED_S = 3.0  # without an acknowledgement: it holds no more than what is in flight
_DEADLINE_S = 30.0  # for an acknowledgement: the connection is given up
_PAUSE_S = 10.0  # of a device that failed, for each failure
_REFUSED_S = 60.0
_WATCH_EVERY_S = 1.0
_PING_EVERY = 10  # times of watching: a tenth of the sessions each time


class Session:
    """Messages of one device wait here until the broker has acknowledged them.

    Attributes:
        unacknowledged: By message id, oldest first: the message and when it was published.
        fruitless: Failures in a row, without any acknowledgement between them.
    """

    def __init__(self, device: Device, sessions: "Sessions") -> None:
        self.device = device
        self.queue: deque[Publication] = deque()
        self.unacknowledged: dict[int, tuple[Publication, float]] = {}
        self.connection: Connection | None = None
        self.opening: asyncio.Task[None] | None = None
        self.fruitless = 0
        self._sessions = sessions
        self._pumping = False
        self._is_old = False
        self._ageing: asyncio.TimerHandle | None = None
        self._heard_at = 0.0  # the last acknowledgement, or the first message that waits for one

    @property
    def is_idle(self) -> bool:
        return not self.queue and not self.unacknowledged

    def pump(self) -> None:
        """Publish as much as may be in flight."""
        self._pumping = False
        if self.connection is None:
            return
        if self._is_old:
            if not self.unacknowledged:
                self._sessions.renew(self)
            return
        now = asyncio.get_running_loop().time()
        if not self.unacknowledged:
            self._heard_at = now
        while self.queue and len(self.unacknowledged) < _IN_FLIGHT:
            message = self.queue.popleft()
            self.unacknowledged[self.connection.publish(message.payload)] = message, now
        if self.is_idle:
            self._sessions.rests(self)

    def opened(self, connection: Connection, life_s: float) -> None:
        """Use ``connection``, and no longer than ``life_s``.

        DOJOT cuts every session at its age limit, and what is on its way then is stored twice.
        """
        self.connection = connection
        self._is_old = False
        self._ageing = asyncio.get_running_loop().call_later(life_s, self._age)

    def _age(self) -> None:
        self._is_old = True
        self.pump_soon()

    def pump_soon(self) -> None:
        """Once for all the acknowledgements or messages of this turn of the loop."""
        if not self._pumping:
            self._pumping = True
            asyncio.get_running_loop().call_soon(self.pump)

    def acknowledged(self, message_id: int) -> None:
        if found := self.unacknowledged.pop(message_id, None):
            self.fruitless = 0
            self._heard_at = self._sessions.heard(self)
            found[0].sent()
        self.pump_soon()

    def received(self, payload: bytes) -> None:
        self._sessions.on_config(self.device, payload)

    def closed(self) -> None:
        """What was not acknowledged is sent again: it may arrive twice, but it arrives."""
        self._forget_connection()
        self.fruitless += bool(self.unacknowledged)
        self.queue.extendleft(message for message, _ in reversed(self.unacknowledged.values()))
        self.unacknowledged.clear()
        self._sessions.closed(self)

    def is_stalled(self, now: float) -> bool:
        return bool(self.unacknowledged) and now - self._heard_at > _STALLED_S

    def is_overdue(self, now: float) -> bool:
        """Whether the broker forgot the oldest of the messages that it has."""
        _, published_at = next(iter(self.unacknowledged.values()), (None, now))
        return now - published_at > _DEADLINE_S

    def give_back(self) -> None:
        """Return every message to the database."""
        self.give_back_queued()
        for message, _ in self.unacknowledged.values():
            message.give_back()
        self.unacknowledged.clear()

    def give_back_queued(self) -> None:
        """Return those that were never published."""
        for message in self.queue:
            message.give_back()
        self.queue.clear()

    def keep_alive(self) -> None:
        if self.connection is not None:
            self.connection.keep_alive()

    def end(self) -> None:
        if self.opening is not None:
            self.opening.cancel()
            self.opening = None
        if self.connection is not None:
            self.connection.close()
            self._forget_connection()

    def _forget_connection(self) -> None:
        self.connection = None
        if self._ageing is not None:
            self._ageing.cancel()
            self._ageing = None


class Sessions:
    """Opens and closes sessions.

    Args:
        tls: None where the broker speaks plain MQTT.
        limit: Of open sessions; beyond it most devices keep theirs and the others share a few.
        longest_s: Age at which a connection is renewed at the latest.
        on_config: Called with each message of a device's config topic.
        on_refused: Called with a charge point that cannot be served just now, and for how many
            seconds; its messages have gone back to the database.
        on_back: Called when the broker can be reached again: it may be another one.

    Attributes:
        stalled: Charge points whose messages the broker does not acknowledge; they hold no more
            than what is in flight, or one of them could hold up all the others.
    """

    def __init__(
        self,
        address: tuple[str, int],
        tls: ssl.SSLContext | None,
        dialect: Dialect,
        limit: int,
        longest_s: float,
        relay_id: UUID,
        metrics: Metrics,
        on_config: Callable[[Device, bytes], None],
        on_refused: Callable[[int, float], None],
        on_back: Callable[[], None],
    ) -> None:
        self.on_config = on_config
        self.stalled: set[int] = set()
        self.broker_is_away = False
        self._address = address
        self._tls = tls
        self._dialect = dialect
        self._longest_s = longest_s
        self._relay = relay_id.hex[:12]
        self._metrics = metrics
        self._on_refused = on_refused
        self._on_back = on_back
        self._sessions: dict[int, Session] = {}
        self._open: Places[Session] = Places(limit, _is_idle, time.monotonic)  # or opening
        self._waiting: OrderedDict[Session, None] = OrderedDict()  # for a place among them
        self._dialling = asyncio.Semaphore(_DIALLING)
        self._gate = Backoff(first_s=1, longest_s=15)
        self._not_before = 0.0
        self._heard_at = 0.0  # the broker, by any session

    def send(self, device: Device, message: Publication) -> None:
        session = self._session(device)
        if device.charge_point_id in self.stalled:
            message.give_back()
            return
        session.queue.append(message)
        if session.connection is not None:
            self._open.used(session)
            session.pump_soon()
        else:
            self._want(session)

    def listen(self, devices: Iterable[Device]) -> None:
        """Open sessions for orders from DOJOT, as long as there is room beside those that send."""
        for device in devices:
            if not self._open.has_room_to_keep:
                return
            self._want(self._session(device))

    def drop(self, charge_point_id: int) -> None:
        """Forget the session of a charge point; its messages go back to the database."""
        if session := self._sessions.pop(charge_point_id, None):
            session.end()
            self._leave(session)
            session.give_back()
            self.stalled.discard(charge_point_id)

    def keep_only(self, shards: frozenset[int], of: int) -> None:
        """Close idle sessions of charge points that other relays serve."""
        for charge_point_id, session in list(self._sessions.items()):
            if charge_point_id % of not in shards and session.is_idle:
                self.drop(charge_point_id)

    def close(self) -> None:
        for session in list(self._sessions.values()):
            session.end()

    async def keep_alive(self) -> None:
        """Ping, and notice silent brokers and messages that they forgot; runs for ever."""
        loop = asyncio.get_running_loop()
        for turn in count():
            await asyncio.sleep(_WATCH_EVERY_S)
            now = loop.time()
            for session in self._open:
                if session.unacknowledged:
                    self._watch(session, now)
                if (session.device.charge_point_id - turn) % _PING_EVERY == 0:
                    session.keep_alive()

    def _watch(self, session: Session, now: float) -> None:
        if session.is_overdue(now):
            self._fail(session, "no_acknowledgement")
        elif session.is_stalled(now):
            self.stalled.add(session.device.charge_point_id)
            session.give_back_queued()

    def heard(self, session: Session) -> float:
        """The broker acknowledged something; return when."""
        self._heard_at = asyncio.get_running_loop().time()
        self.stalled.discard(session.device.charge_point_id)
        return self._heard_at

    def _fail(self, session: Session, error: str) -> None:
        """Leave a device alone for a while, whose fault it seems to be; the others go on."""
        number = session.device.charge_point_id
        session.fruitless += 1
        self._metrics.error(error)
        logger.warning("%s: %s, %d in a row", session.device.user, error, session.fruitless)
        if session.fruitless >= _FRUITLESS:
            self._refuse(session)
            return
        session.end()
        self._leave(session)
        session.give_back()
        self.stalled.discard(number)
        self._on_refused(number, _PAUSE_S * session.fruitless)

    def _session(self, device: Device) -> Session:
        session = self._sessions.get(device.charge_point_id)
        if session is None or session.device != device:
            self.drop(device.charge_point_id)
            session = self._sessions[device.charge_point_id] = Session(device, self)
        return session

    def _want(self, session: Session) -> None:
        """Open a session now, or when one of the others rests."""
        if session in self._open or session in self._waiting:
            return
        if not self._open.take(session):
            self._open.share()
            if not self._make_room() or not self._open.take(session):
                self._waiting[session] = None
                return
        self._metrics.connections.set(len(self._open))
        session.opening = asyncio.create_task(self._keep_opening(session))

    def _make_room(self) -> bool:
        """Close a session that has nothing to do, if there is one whose place may be given away."""
        session = self._open.unused()
        if session is None and not self._waiting:  # or else none of them rests
            session = self._open.resting()
        if session is None:
            return False
        session.end()
        self._open.free(session)
        return True

    def _leave(self, session: Session) -> None:
        self._waiting.pop(session, None)
        if session not in self._open:
            return
        self._open.free(session)
        self._metrics.connections.set(len(self._open))
        if self._waiting:
            following, _ = self._waiting.popitem(last=False)
            self._want(following)

    def renew(self, session: Session) -> None:
        """Replace a connection on which nothing is on its way, before DOJOT cuts it."""
        session.end()
        session.opening = asyncio.create_task(self._keep_opening(session))

    def rests(self, session: Session) -> None:
        """A session has sent everything: a place that is shared goes to another one that waits."""
        if self._waiting and self._open.is_shared(session):
            session.end()
            self._leave(session)

    def closed(self, session: Session) -> None:
        """A connection broke, which DOJOT does to each of them every 30 minutes."""
        self._metrics.error("connection_closed")
        if session.fruitless >= _FRUITLESS:
            self._refuse(session)
        elif session in self._open:
            pause_s = random.uniform(0, _REST_S)
            session.opening = asyncio.create_task(self._keep_opening(session, pause_s))

    def _refuse(self, session: Session) -> None:
        self._metrics.error("device_refused")
        logger.error("%s: the broker takes nothing from this device", session.device.user)
        self.drop(session.device.charge_point_id)
        self._on_refused(session.device.charge_point_id, _REFUSED_S)

    async def _keep_opening(self, session: Session, pause_s: float = 0) -> None:
        """Try until it is open; nobody waits for this task, so it tells itself of a defect."""
        try:
            await self._try_until_open(session, pause_s)
        except Exception:
            logger.exception("%s: its session was not opened: a defect", session.device.user)
            session.opening = None  # this very task, which ends by itself
            self._fail(session, "defect")

    async def _try_until_open(self, session: Session, pause_s: float) -> None:
        """While the broker is away all sessions wait for one gate."""
        loop = asyncio.get_running_loop()
        while session.opening is not None and session.connection is None:
            if (closed_for_s := self._not_before - loop.time()) > 0:
                pause_s = closed_for_s + random.uniform(0, _REST_S)
            if pause_s:
                await asyncio.sleep(pause_s)
            pause_s = 0
            async with self._dialling:
                if self._not_before <= loop.time():
                    await self._open_once(session)
        session.opening = None
        session.pump()

    async def _open_once(self, session: Session) -> None:
        began = asyncio.get_running_loop().time()
        connection = Connection(self._dialect(self._relay, session.device), session)
        try:
            await connection.open(*self._address, self._tls)
        except ConnectFailed as error:
            if isinstance(error, ConnectRefused) or self._heard_at > began:
                session.opening = None  # this very task, which ends by itself
                self._fail(session, "connect_refused")
            else:
                self._gate_closes(error)
        else:
            self._heard_at = asyncio.get_running_loop().time()
            session.opened(connection, self._longest_s * random.uniform(2 / 3, 1))
            self._gate_opens()

    def _gate_closes(self, error: ConnectFailed) -> None:
        self._metrics.error("broker_unreachable")
        now = asyncio.get_running_loop().time()
        if self._not_before <= now:  # the first of those that tried together
            self._not_before = now + self._gate.failed()
        if not self.broker_is_away:
            logger.warning("the broker is away: %s", error)
        self.broker_is_away = True

    def _gate_opens(self) -> None:
        self._gate.succeeded()
        if self.broker_is_away:
            self.broker_is_away = False
            logger.info("the broker is back")
            self._on_back()


def _is_idle(session: Session) -> bool:
    return session.is_idle
