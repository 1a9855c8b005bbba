"""The composition root of the relay: the only place that builds things."""

import asyncio
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypedDict
from uuid import uuid4

import psycopg
import uvloop
from psycopg_pool import AsyncConnectionPool
from pydantic import ValidationError

from ingest.health import serve_health
from ingest.relay.claims import RENEW_EVERY_S, Claims
from ingest.relay.dojot_api import DojotApi
from ingest.relay.feed import Backfill
from ingest.relay.frame_log import FrameLog
from ingest.relay.lanes import Lanes, Speeds
from ingest.relay.measure import Measure
from ingest.relay.metrics import Metrics
from ingest.relay.order_desk import OrderDesk
from ingest.relay.outbox import Message, Outbox
from ingest.relay.registrar import Registrar
from ingest.relay.sessions import Device, Sessions
from ingest.relay.settings import RelaySettings
from ingest.relay.shares import SHARDS

logger = logging.getLogger("ingest.relay")

# A deletion that a crash of the database undoes is a message sent twice, so nobody waits for it.
_OPTIONS = (
    "-c role=eletroposto_ingest -c timezone=UTC -c synchronous_commit=off"
    " -c statement_timeout=30000"
)
_LISTEN_EVERY_S = 5.0
_RETRY_S = 1.0
_DRAIN_S = 5.0


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
        self._pool = AsyncConnectionPool(
            settings.database_url.get_secret_value(),
            min_size=1,
            max_size=5,
            timeout=5,
            open=False,
            kwargs={"autocommit": True, "options": _OPTIONS},
        )
        self._orders = OrderDesk(self._pool, self.metrics)
        self._claims = Claims(self._pool, self.relay_id, self._is_empty, self._figures)
        self._told = (0, time.monotonic())  # messages sent, and when, at the last renewal
        self._api = DojotApi(
            settings.dojot_url, settings.dojot_user, settings.dojot_password.get_secret_value()
        )
        self.sessions = self._new_sessions()
        self.registrar = self._new_registrar()
        self._speeds = Speeds(settings.dojot_rate)
        self._outboxes = [
            Outbox(kind, self._pool, self.metrics, settings.dojot_retention, self._speeds.loads)
            for kind in ("readings", "events")
        ]
        work: _Work = {"shards": lambda: self._claims.shards, "unavailable": self._unavailable}
        retention, rate = settings.dojot_retention, settings.dojot_rate
        self._backfill = Backfill(self._pool, retention, rate, **work)
        self._frames = FrameLog(self._pool, self._backfill.oldest, rate, **work)
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
            settings.dojot_connections,
            settings.dojot_session_s,
            self.relay_id,
            self.metrics,
            on_config=self._orders.take,
            on_refused=lambda number, seconds: self.registrar.block(number, seconds),
        )

    def _new_registrar(self) -> Registrar:
        settings = self._settings
        return Registrar(
            self._api,
            (settings.dojot_url, settings.dojot_user),
            self._pool,
            self.metrics,
            on_found=self._on_found,
            on_lost=self.sessions.drop,
            new_tenant_s=settings.dojot_new_tenant_s,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Relay until ``stop`` is set; whatever is away then or later is waited for."""
        settings = self._settings
        await self._pool.open()
        health = await serve_health(
            settings.relay_health_host,
            settings.relay_health_port,
            self.metrics.registry,
            self.state,
        )
        tasks = [asyncio.create_task(coroutine, name=name) for name, coroutine in self._work()]
        try:
            await _until(stop, tasks)
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
                shards=lambda: self._claims.shards,
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

    def _unavailable(self) -> list[int]:
        return [*self.registrar.unavailable(), *self.sessions.stalled]

    def _deliver(self, message: Message) -> None:
        if device := self.registrar.devices.get(message.charge_point_id):
            self.sessions.send(device, message)
        else:
            self.registrar.want(message)

    def _on_found(self, device: Device, messages: list[Message]) -> None:
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
        shards = self._claims.shards
        unavailable = set(self.registrar.unavailable())
        self.sessions.keep_only(shards, SHARDS)
        self.sessions.listen(
            device
            for number, device in self.registrar.devices.items()
            if number % SHARDS in shards and number not in unavailable
        )
        return _LISTEN_EVERY_S if shards else _RETRY_S

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
        for task in settling:
            task.cancel()
        self.sessions.close()
        await asyncio.wait(tasks)
        try:
            await self._claims.release()
        except psycopg.Error as error:
            logger.warning("the shards are not released: %s", str(error).strip())


async def _until(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    """Wait for the stop signal; a task that ends before it is a defect and is raised."""
    waiting = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for task in done - {waiting}:
        task.result()


async def run_relay(settings: RelaySettings, stop: asyncio.Event | None = None) -> None:
    """Relay until ``stop`` is set, or SIGINT or SIGTERM comes if none is given."""
    if not settings.dojot_url:
        logger.warning("ELETROPOSTO_DOJOT_URL is empty: there is nothing to relay to")
        return
    _raise_file_limit()
    if stop is None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Relay(settings).run(stop)


def _raise_file_limit() -> None:
    """Each session is an open file, and the usual limit is 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def run(settings: RelaySettings) -> None:
    """Run the relay in a loop of its own, until it is interrupted."""
    uvloop.run(run_relay(settings))


def main() -> int:
    """Run with the settings of the environment; the exit code is 2 if they do not fit."""
    logging.basicConfig(
        level=os.environ.get("ELETROPOSTO_LOG_LEVEL") or "INFO",
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    # Each would write a line for every request: of ours to DOJOT, of others to /healthz.
    for name in ("httpx", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        settings = RelaySettings()
    except ValidationError as error:
        for problem in error.errors():
            variable = f"ELETROPOSTO_{problem['loc'][0]}".upper()
            print(f"relay: {variable}: {problem['msg']}", file=sys.stderr)
        return 2
    run(settings)
    logger.info("stopped")
    return 0
