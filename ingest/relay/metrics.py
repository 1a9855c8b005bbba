"""What /metrics shows of the relay, and of the queues of all relays."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge
from psycopg_pool import AsyncConnectionPool

import sql

_QUERIES = sql.load("ingest")
_PREFIX = "eletroposto_relay"
_EVERY_S = 10.0


class Metrics:
    """One registry per relay, so that several may live in one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.published = self._counter("published", "Messages for the broker, by lane", "lane")
        self.acknowledged = self._counter("acknowledged", "Messages the broker confirmed", "lane")
        self.passed_over = self._counter(
            "passed_over", "Readings not sent: expired, deleted, empty or set aside", "why"
        )
        self.errors = self._counter("errors", "What went wrong, by name", "error")
        self.commands = self._counter("commands", "What config topics brought", "outcome")
        self.rows = self._gauge("backlog_rows", "Commits that wait, counted up to 100,000")
        self.readings = self._gauge("backlog_readings", "Readings in those rows")
        self.events = self._gauge(
            "backlog_events", "Events and logged frames that wait, counted up to 100,000"
        )
        self.oldest = self._gauge("backlog_oldest_seconds", "Age of the oldest of all of them")
        self.frames_behind = self._gauge(
            "frame_log_behind_seconds", "How far the frame log has still to be read; 0: it is off"
        )
        self.backfill = self._gauge(
            "backfill_charge_points", "Charge points with readings from before the feed to queue"
        )
        self.last_sent = self._gauge(
            "last_sent_timestamp_seconds", "When the broker last confirmed anything to any relay"
        )
        self.broker_away = self._gauge("broker_away", "1 while the broker cannot be reached")
        self.in_flight = self._gauge("in_flight", "Messages read from the database and not settled")
        self.connections = self._gauge("connections", "Open MQTT sessions")
        self.beyond = self._gauge(
            "devices_beyond_connections", "Devices without a session of their own: they share a few"
        )
        self.shards = self._gauge("shards", "Shards this relay has, of 8")
        self.blocked = self._gauge("blocked_charge_points", "Charge points that cannot be served")

    def _counter(self, name: str, help_text: str, label: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", help_text, [label], registry=self.registry)

    def _gauge(self, name: str, help_text: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", help_text, registry=self.registry)

    def error(self, name: str) -> None:
        self.errors.labels(name).inc()


class Measure:
    """Looks at the queues every few seconds: how much waits, since when, and when anything went.

    Args:
        logs_frames: Whether the frame log is sent, and can be behind.
        in_flight, broker_is_away: Of this relay, asked each time.
    """

    def __init__(
        self,
        pool: AsyncConnectionPool,
        metrics: Metrics,
        logs_frames: bool,
        in_flight: Callable[[], int],
        broker_is_away: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._logs_frames = logs_frames
        self._in_flight = in_flight
        self._broker_is_away = broker_is_away

    async def step(self) -> float:
        """Look once and return how many seconds to rest. Raises psycopg.Error."""
        async with self._pool.connection() as conn:
            row = await (await conn.execute(_QUERIES["backlog"])).fetchone()
        assert row is not None
        rows, readings, events, oldest_s, sent_at_s, backfill, frames_behind_s = row
        metrics = self._metrics
        metrics.rows.set(rows)
        metrics.readings.set(readings)
        metrics.events.set(events)
        metrics.oldest.set(oldest_s or 0)
        metrics.last_sent.set(sent_at_s or 0)
        metrics.backfill.set(backfill)
        metrics.frames_behind.set(frames_behind_s or 0 if self._logs_frames else 0)
        metrics.in_flight.set(self._in_flight())
        metrics.broker_away.set(self._broker_is_away())
        return _EVERY_S
