"""The composition root of the relay: the only place that builds things."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict
from uuid import uuid4

import psycopg

from ingest.database import Pool
from ingest.health import serve_health
from ingest.process import end_all, file_limit, first_end, listening
from ingest.relay.backfill import Backfill
from ingest.relay.catalogue import Catalogue
from ingest.relay.claims import RENEW_EVERY_S, Claims
from ingest.relay.clock import DatabaseClock
from ingest.relay.device_table import DeviceTable
from ingest.relay.dialects import DIALECTS, Device
from ingest.relay.dojot_api import DojotApi
from ingest.relay.frame_log import FrameLog
from ingest.relay.lanes import Lanes, Speeds
from ingest.relay.metrics import Measure, Metrics
from ingest.relay.order_desk import OrderDesk
from ingest.relay.outbox import Outbox, Publication
from ingest.relay.registrar import Registrar
from ingest.relay.sessions import Sessions
from ingest.relay.settings import RelaySettings
from ingest.relay.shares import SHARDS

logger = logging.getLogger(__name__)

# A deletion that a crash of the database undoes is a message sent twice, so nobody waits for it.
_OPTIONS = (
    "-c role=eletroposto_ingest -c timezone=UTC -c synchronous_commit=off"
    " -c statement_timeout=30000"
)
_PATIENCE_S = 60.0  # a step has several statements
_LISTEN_EVERY_S = 5.0
_RETRY_S = 1.0
_DRAIN_S = 5.0
_OTHER_FILES = 200  # that are open besides the sessions, at most


class _Work(TypedDict):
    """What there is to work at just now."""

    shards: Callable[[], frozenset[int]]
    unavailable: Callable[[], list[int]]


class Relay:
    """Everything of one relay process."""

    def __init__(self, settings: RelaySettings) -> None:
        self.relay_id = uuid4()
        self.metrics = Metrics()
        self._settings = settings
        self._database_ok = False
        url = settings.database_url.get_secret_value()
        self._pool = Pool(url, _PATIENCE_S, options=_OPTIONS, most=5, autocommit=True)
        self._clock = DatabaseClock(self._pool, settings.dojot_retention, self.metrics)
        self._orders = OrderDesk(self._pool, self.metrics)
        self._claims = Claims(self._pool, self.relay_id, self._is_empty, self._figures)
        self._told = (0, time.monotonic())  # messages sent, and when, at the last renewal
        self._api = DojotApi(
            settings.dojot_url, settings.dojot_user, settings.dojot_password.get_secret_value()
        )
        self._most_sessions = _most_sessions(settings)
        self._beyond = 0  # devices, of that
        self.sessions = self._new_sessions()
        self.registrar = self._new_registrar()
        self._speeds = Speeds(settings.dojot_rate)
        oldest = self._clock.oldest_to_send
        self._outboxes = [
            Outbox(kind, self._pool, self.metrics, oldest, self._speeds.loads)
            for kind in ("readings", "events")
        ]
        work: _Work = {"shards": lambda: self._claims.shards, "unavailable": self._unavailable}
        self._backfill = Backfill(self._pool, self._clock, settings.dojot_rate, **work)
        self._frames = FrameLog(self._pool, oldest, settings.dojot_rate, **work)
        self._measure = Measure(
            self._pool,
            self.metrics,
            settings.dojot_frame_log,
            in_flight=self._in_flight,
            broker_is_away=lambda: self.sessions.broker_is_away,
        )

    def _new_sessions(self) -> Sessions:
        settings = self._settings
        return Sessions(
            settings.mqtt_address,
            settings.mqtt_tls(),
            DIALECTS[settings.dojot_mqtt_agent],
            self._most_sessions,
            settings.dojot_session_s,
            self.relay_id,
            self.metrics,
            on_config=self._orders.take,
            on_refused=lambda number, seconds: self.registrar.block(number, seconds),
            on_back=lambda: self.registrar.check_soon(),
        )

    def _new_registrar(self) -> Registrar:
        settings = self._settings
        return Registrar(
            self._api,
            Catalogue(self._api, self.metrics, settings.dojot_new_tenant_s),
            DeviceTable(self._pool, settings.dojot_url, settings.dojot_user),
            self.metrics,
            oldest=self._clock.oldest_to_send,
            on_found=self._on_found,
            on_lost=self.sessions.drop,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop`` is set; whatever is away then or later is waited for.

        Raises:
            BadSettings: Where it should listen, it cannot.
        """
        host, port = self._settings.relay_health_host, self._settings.relay_health_port
        with listening("ELETROPOSTO_RELAY_HEALTH_PORT", host, port):
            health = await serve_health(host, port, self.metrics.registry, self.state)
        await self._pool.open()
        tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in self._work()]
        try:
            await first_end(stop, tasks)
        finally:
            await self._end(tasks)
            health.close()
            await self._api.close()
            await self._pool.close()

    def state(self) -> dict[str, Any]:
        """What /healthz tells; DOJOT may be away for a week without making us ill."""
        return {
            "ok": self._database_ok,
            "database": "connected" if self._database_ok else "away",
            "broker": "away" if self.sessions.broker_is_away else "not known to be away",
            "unavailable_charge_points": len(self._unavailable()),
            "in_flight": self._in_flight(),
            "shards": sorted(self._claims.shards),
            "shards_checked": sorted(self.registrar.checked),
            "relay": str(self.relay_id),
        }

    def _work(self) -> list[tuple[str, Any]]:
        repeated: list[tuple[str, Callable[[], Awaitable[float]]]] = [
            ("claims", self._claim),
            ("measure", self._measure.step),
            ("listen", self._listen),
            ("backfill", self._backfill.step),
            ("orders", self._orders.step),
        ]
        if self._settings.dojot_frame_log:
            repeated.append(("frames", self._frames.step))
        for outbox in self._outboxes:
            lanes = Lanes(
                outbox,
                self._speeds,
                self.metrics,
                shards=self._served,
                unavailable=self._unavailable,
                deliver=self._deliver,
            )
            repeated += [
                (f"fresh {outbox.kind}", lanes.fresh_pass),
                (f"backlog {outbox.kind}", lanes.backlog_pass),
                (f"settle {outbox.kind}", outbox.settle),
            ]
        return [
            ("registrar", self.registrar.run()),
            ("keep alive", self.sessions.keep_alive()),
            *((name, self._repeat(name, step)) for name, step in repeated),
        ]

    async def _repeat(self, name: str, step: Callable[[], Awaitable[float]]) -> None:
        """Do one step after the other, each at its own pace; wait for an absent database."""
        while True:
            try:
                rest_s = await step()
            except psycopg.OperationalError as error:
                if self._database_ok:
                    logger.warning("%s: the database is away: %s", name, str(error).strip())
                self._database_ok = False
                self.metrics.error("database")
                rest_s = _RETRY_S
            except psycopg.Error as error:
                logger.error("%s: the database refuses: %s", name, str(error).strip())
                self.metrics.error("database_refuses")
                rest_s = _RETRY_S
            await asyncio.sleep(rest_s)

    def _served(self) -> frozenset[int]:
        return self._claims.shards & self.registrar.checked

    def _unavailable(self) -> list[int]:
        return [*self.registrar.unavailable(), *self.sessions.stalled]

    def _deliver(self, message: Publication) -> None:
        if device := self.registrar.devices.get(message.charge_point_id):
            self.sessions.send(device, message)
        else:
            self.registrar.want(message)

    def _on_found(self, device: Device, messages: list[Publication]) -> None:
        for message in messages:
            self.sessions.send(device, message)

    def _is_empty(self, shard: int) -> bool:
        return all(
            row.shard != shard for outbox in self._outboxes for row in outbox.in_flight.values()
        )

    def _figures(self) -> dict[str, object]:
        """What others may know of us; told with every renewal of our claims."""
        (before, at), now = self._told, time.monotonic()
        sent = sum(outbox.sent for outbox in self._outboxes)
        self._told = (sent, now)
        return {
            "messages_per_s": (sent - before) / max(now - at, 0.001),
            "has_sent": sent > before,
            "broker_is_away": self.sessions.broker_is_away,
            "problem": self.registrar.problem,
        }

    def _in_flight(self) -> int:
        return self._speeds.loads.total()

    async def _claim(self) -> float:
        await self._clock.look()
        if not self._database_ok:
            await self._backfill.open_feed()
        before = self._claims.shards
        await self._claims.renew()
        self._speeds.divide(self._claims.relays)
        self._database_ok = True
        if (shards := self._claims.shards) != before:
            logger.info("shards %s", sorted(shards))
            await self.registrar.load(shards)
        self.metrics.shards.set(len(shards))
        return RENEW_EVERY_S

    async def _listen(self) -> float:
        """Be there for orders to charge points that send nothing."""
        served = self._served()
        unavailable = set(self.registrar.unavailable())
        self.sessions.keep_only(self._claims.shards, SHARDS)
        self.sessions.listen(
            device
            for number, device in self.registrar.devices.items()
            if number % SHARDS in served and number not in unavailable
        )
        self._tell_of_too_many(len(self.registrar.devices))
        return _LISTEN_EVERY_S if served else _RETRY_S

    def _tell_of_too_many(self, devices: int) -> None:
        before, self._beyond = self._beyond, max(0, devices - self._most_sessions)
        self.metrics.beyond.set(self._beyond)
        if self._beyond and not before:
            text = "%d devices, but only %d connections: some open one each time they send"
            logger.warning(text, devices, self._most_sessions)

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        """Read no more, let what is in flight arrive, hand over the shards."""
        settling = [task for task in tasks if task.get_name().startswith("settle")]
        for task in tasks:
            if task not in settling:
                task.cancel()
        self.registrar.give_back()
        clock = asyncio.get_running_loop().time
        patience = clock() + (0 if self.sessions.broker_is_away else _DRAIN_S)
        while any(outbox.in_flight for outbox in self._outboxes) and clock() < patience:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        self.sessions.close()
        await end_all(tasks)
        await self._orders.drain(_DRAIN_S)
        try:
            await self._claims.release()
        except psycopg.Error as error:
            logger.warning("the shards are not released: %s", str(error).strip())


def _most_sessions(settings: RelaySettings) -> int:
    """Each is an open file."""
    allowed = max(1, file_limit() - _OTHER_FILES)
    return min(settings.dojot_connections or allowed, allowed)
