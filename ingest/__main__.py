"""The composition root of the central system: the only place that builds things."""

import asyncio
import gc
import logging
import socket
import sys
import traceback
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import uvloop
from psycopg import AsyncConnection

from ingest.central_system import CentralSystem
from ingest.certificate_authority import BadAuthority, load_authority
from ingest.charge_point import ChargePoint
from ingest.commands import Commands
from ingest.configuring import Configuring, wishes
from ingest.database import KEEPALIVE, OPTIONS, Pool
from ingest.health import serve_health
from ingest.metrics import Metrics
from ingest.operations import Operations
from ingest.presence import Presence
from ingest.process import (
    first_end,
    listening,
    raise_file_limit,
    start_logging,
    stop_signals,
)
from ingest.registry import Registry
from ingest.settings import BadSettings, Settings, from_environment
from ingest.signing import Signing
from ingest.store import Store
from ingest.tls import BadCertificate
from ingest.watch import Watch
from ingest.writer import Writer
from sql.migrations import MigrationError, migrate

logger = logging.getLogger("ingest")

_EPOCH = datetime.fromtimestamp(0, UTC)
_LISTEN_S = 30.0  # then we ask whether anybody is still there
_ANSWER_S = 10.0


@dataclass(slots=True)
class Ingest:
    """The central system's process: what runs beside the sockets, and how it starts and ends."""

    settings: Settings
    replica_id: UUID = field(default_factory=uuid4)
    metrics: Metrics = field(default_factory=Metrics)
    writer: Writer = field(init=False)
    registry: Registry = field(init=False)
    central_system: CentralSystem = field(init=False)
    operations: Operations = field(init=False)
    presence: Presence = field(init=False)
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        url = self.settings.database_url.get_secret_value()
        unknown = "Accepted" if self.settings.unknown_id_tags == "accept" else "Invalid"
        store = Store(self.replica_id, unknown)
        self.writer = Writer(
            url,
            store,
            self.replica_id,
            socket.gethostname(),
            on_away=lambda: self.central_system.disconnect_all(),
        )
        pool = Pool(url)
        self.watch = Watch(self.writer, pool)
        self.metrics.trouble = lambda: self.watch.kind
        accept = self.settings.unknown_charge_points == "accept"
        self.registry = Registry(pool, accept)
        connected: dict[int, ChargePoint] = {}
        commands = Commands(
            pool,
            connected,
            self.replica_id,
            self.metrics.commands,
            reads_back=self.settings.configure_on_boot,
        )
        self.operations = _operations(self.settings, pool, commands)
        self.central_system = CentralSystem(
            self.settings, self.writer, self.registry, self.metrics, self.operations, connected
        )
        self.presence = Presence(
            pool,
            self.replica_id,
            self.central_system,
            self.settings.silent_intervals,
            least_silence_s=2 * self.settings.ping_interval,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then end in order: door, database, last batch.

        Raises:
            BadSettings: Where it should listen, it cannot.
        """
        _show(self)
        host, port = self.settings.health_host, self.settings.health_port
        with listening("ELETROPOSTO_HEALTH_PORT", host, port):
            health = await serve_health(host, port, self.metrics.registry, self.state)
        writing = asyncio.create_task(self.writer.run(), name="writer")
        await self.registry.pool.open()
        try:
            await self._load_registry(stop)
            await self.central_system.start()
            await self._work(stop, writing)
        finally:
            self.writer.stop()
            health.close()
            await self.registry.pool.close()
            await writing

    async def _work(self, stop: asyncio.Event, writing: asyncio.Task[None]) -> None:
        """Serve charge points, then let them go."""
        beside = [
            asyncio.create_task(self._listen(), name="listen"),
            asyncio.create_task(self.presence.run(), name="presence"),
            asyncio.create_task(self.watch.run(), name="watch"),
            asyncio.create_task(self.operations.commands.run(), name="commands"),
        ]
        try:
            await first_end(stop, [writing, *beside])
        finally:
            await self.central_system.stop()
            await self.operations.stop()
            for task in beside:
                task.cancel()

    def state(self) -> dict[str, Any]:
        """What /healthz and /readyz tell."""
        reason = self.watch.reason
        connected = "slow" if reason else "connected"
        return {
            "ok": not reason,
            "ready": self.writer.available,
            "database": connected if self.writer.available else "away",
            "reason": reason or None,
            "commit_age_s": round(self.writer.commit_age_s, 1),
            "connected_charge_points": len(self.central_system.connected),
            "queued_frames": self.writer.queued,
            "replica": str(self.replica_id),
        }

    async def _load_registry(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.registry.load()
                self.central_system.door.befriend(await self.registry.familiar_addresses())
                return
            except psycopg.Error as exc:
                logger.warning("no registry yet: %s", str(exc).strip())
                await asyncio.sleep(1)

    async def _listen(self) -> None:
        """Follow what other processes do: change the registry, queue commands, take a socket."""
        while True:
            try:
                await self._follow()
            except (psycopg.Error, TimeoutError) as exc:
                logger.warning("not listening: %s", str(exc).strip() or "no answer in time")
                await asyncio.sleep(1)

    async def _follow(self) -> None:
        url = self.settings.database_url.get_secret_value()
        async with await AsyncConnection.connect(
            url,
            autocommit=True,
            options=OPTIONS,
            application_name="eletroposto listen",
            connect_timeout=10,
            **KEEPALIVE,
        ) as conn:
            for channel in ("charge_point", "command", "ended", "replaced"):
                await conn.execute(f"LISTEN eletroposto_{channel}")
            await self._catch_up()
            while True:
                async for notice in conn.notifies(timeout=_LISTEN_S):
                    await self._heed(notice.channel, notice.payload)
                async with asyncio.timeout(_ANSWER_S):
                    await conn.execute("SELECT 1")

    async def _heed(self, channel: str, payload: str) -> None:
        match channel, payload.split():
            case "eletroposto_command", [number] if number.isdecimal():
                self.operations.commands.wake(int(number))
            case "eletroposto_replaced", [replica, number, opened_at_us] if replica == str(
                self.replica_id
            ):
                opened_at = _EPOCH + timedelta(microseconds=int(opened_at_us))
                reason = "replaced by a newer connection"
                self.central_system.leave(int(number), reason, opened_at)
            case "eletroposto_ended", [number, transaction_id] if transaction_id.isdecimal():
                if (charge_point := self.central_system.connected.get(int(number))) is not None:
                    charge_point.situation.close(int(transaction_id), datetime.now(UTC))
            case "eletroposto_charge_point", [number] if number.isdecimal():
                await self._load_registered(int(number))

    async def _catch_up(self) -> None:
        """Do what we would have been told of while nobody listened."""
        await self._load_registered()
        await self.presence.compare()

    async def _load_registered(self, charge_point_id: int | None = None) -> None:
        """Read the registry, or a charge point of it, anew, and apply what it says."""
        for registration in await self.registry.load(charge_point_id):
            self.central_system.heed(registration)


def _operations(settings: Settings, pool: Pool, commands: Commands) -> Operations:
    """Build what works beside the answers. Raises BadAuthority."""
    authority = None
    if settings.authority_certificate and settings.authority_key:
        authority = load_authority(settings.authority_certificate, settings.authority_key)
        if authority.ended_at is not None:  # no reason to leave charge points alone
            logger.error(
                "no certificate can be signed: the authority ended at %s", authority.ended_at
            )
    wished = wishes(
        settings.meter_value_interval,
        settings.clock_aligned_interval,
        settings.heartbeat_interval,
        round(settings.ping_interval),
    )
    configuring = Configuring(pool, commands, wished) if settings.configure_on_boot else None
    return Operations(commands, Signing(pool, authority), configuring)


def _show(ingest: Ingest) -> None:
    """Put the writer's figures into /metrics; they are read when somebody asks."""
    tally, writer = ingest.writer.tally, ingest.writer
    door, connected = ingest.central_system.door, ingest.central_system.connected
    ingest.metrics.gauges |= {
        "connected_charge_points": ("Open websockets", lambda: len(connected)),
        "open_connections": (
            "Sockets that use up files, in their handshake too",
            lambda: door.open,
        ),
        "most_connections": ("What the limit of open files allows", lambda: door.files),
        "queued_frames": ("Frames waiting for the next commit", lambda: writer.queued),
        "database_available": ("1 while commits succeed", lambda: int(writer.available)),
        "last_commit_seconds": (
            "Duration of the last batch that ended",
            lambda: tally.last_commit_s,
        ),
        "commit_age_seconds": (
            "For how long the batch under way waits, 0 where there is none",
            lambda: writer.commit_age_s,
        ),
        "largest_batch": ("Most items in one commit", lambda: tally.largest_batch),
    }
    ingest.metrics.counters |= {
        "commits": ("Batches committed", lambda: tally.batches),
        "stored_items": ("Frames and connection changes committed", lambda: tally.items),
        "set_aside_frames": ("Frames the database refused", lambda: tally.set_aside),
        "unconfirmed_items": ("Items that failed and were not confirmed", lambda: tally.failed),
        "database_outages": ("Times the database was lost", lambda: tally.outages),
        "reset_handshakes": (
            "Connections reset: too many unfinished handshakes",
            lambda: door.refused,
        ),
        "reset_for_files": (
            "Connections reset: the limit of open files allows no more",
            lambda: door.full,
        ),
        "malformed_handshakes": (
            "Connections that asked for no websocket",
            lambda: door.malformed,
        ),
        "slowed_reads": ("Times a socket sent too much and was not read", lambda: door.slowed),
    }


def _collect_rarely() -> None:
    """Look for garbage in large steps.

    A closed socket leaves some, an answered frame hardly any. In a storm of handshakes the
    collector's usual steps walk over everybody who is connected, again and again: a third of the
    work of a handshake.
    """
    gc.freeze()  # what was imported stays
    gc.set_threshold(20_000, 50, 10)


async def _main(settings: Settings) -> None:
    await Ingest(settings).run(stop_signals())


def _is_noise(record: logging.LogRecord) -> bool:
    """Port scans, clients that do not verify, clients gone before they were answered.

    A traceback each would bury what matters. For the last the library answers on a stream that
    has ended, and takes that for an error of its own.
    """
    if record.msg in ("opening handshake failed", "keepalive ping failed"):
        return True
    error = record.exc_info[1] if record.exc_info else None
    if not isinstance(error, AssertionError):
        return False
    return traceback.extract_tb(error.__traceback__)[-1].name in ("send_eof", "send_response")


def main() -> int:
    """Run the central system; the exit code is 2 for settings, 1 for a schema that will not do."""
    try:
        return _run(from_environment(Settings))
    except (BadSettings, BadAuthority, BadCertificate) as exc:
        print(f"ingest: {exc}", file=sys.stderr)
        return 2


def _run(settings: Settings) -> int:
    start_logging(settings.log_level, "websockets")
    logging.getLogger("websockets.server").addFilter(lambda record: not _is_noise(record))
    try:
        applied = migrate(settings.database_url.get_secret_value())
    except (MigrationError, psycopg.Error) as exc:
        print(f"ingest: the database is not ready: {exc}", file=sys.stderr)
        return 1
    if applied:
        logger.info("applied %s", ", ".join(applied))
    raise_file_limit()
    _collect_rarely()
    uvloop.run(_main(settings))
    logger.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
