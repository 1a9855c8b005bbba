"""Days of charge points for the flows to compute, and a long past of days that they computed.

To compute a past of 300 days would take the flows an hour, and that is not what is measured.
They compute its first days; the rows of one of these are copied to each later day, moved by whole
days. Every day has the same sessions at the same times, so what is copied is what the flows
would have found, but for the numbers of transactions that a finding names as its evidence. The
facts of each day, transactions, statuses and readings, are made in full number.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from benchmarks.tables import say
from flows.catalogue import UPDATE, carry_out
from flows.scope import LOCAL, Scope
from flows.settings import Settings

_A_DAY = timedelta(days=1)
_TOLD_EVERY = 30
# What the flows of ``UPDATE`` fill, but for the sums, which follow by themselves.
COMPUTED = (
    "session", "session_soc", "energy_bucket", "session_cost", "consumption_day", "site_demand",
    "state_interval", "availability_day", "outage", "fault_episode", "quality_finding",
)  # fmt: skip

_STATIONS: LiteralString = """
    WITH made AS (
        INSERT INTO charge_point (identity, site)
        SELECT 'CP-' || number, 'site ' || (number %% 20)
        FROM generate_series(1, %(stations)s) AS number
        RETURNING charge_point_id
    )
    INSERT INTO connector (charge_point_id, connector_id, current_type, rated_power_w)
    SELECT charge_point_id, 1, 'DC', 50000 FROM made"""
# Three sessions of 96 min each, 75 kWh, with the statuses around them.
_SESSIONS: LiteralString = """
    WITH made AS (
        INSERT INTO transaction (
            charge_point_id, connector_id, id_tag, id_tag_status, started_at, meter_start_wh,
            stopped_at, meter_stop_wh, reason, changed_at
        )
        SELECT
            cp.charge_point_id, 1, 'T' || cp.charge_point_id %% 50, 'Accepted', began.at,
            (%(number)s * 3 + turn) * 75000.0, began.at + INTERVAL '96 min',
            (%(number)s * 3 + turn + 1) * 75000.0, 'Local', %(changed_at)s
        FROM charge_point AS cp
        CROSS JOIN generate_series(0, 2) AS turn
        CROSS JOIN LATERAL (
            SELECT
                %(midnight)s::timestamptz
                + turn * INTERVAL '8 h' + (cp.charge_point_id %% 60) * INTERVAL '1 min' AS at
        ) AS began
        RETURNING charge_point_id, started_at
    )
    INSERT INTO status_notification (
        at, received_at, charge_point_id, connector_id, status, error_code
    )
    SELECT made.started_at + told.after, made.started_at + told.after, made.charge_point_id, 1,
        told.status, 'NoError'
    FROM made
    CROSS JOIN (
        VALUES (INTERVAL '-30 s', 'Preparing'), (INTERVAL '1 s', 'Charging'),
        (INTERVAL '90 min', 'SuspendedEV'), (INTERVAL '96 min', 'Finishing'),
        (INTERVAL '100 min', 'Available')
    ) AS told (after, status)"""
_READINGS: LiteralString = """
    INSERT INTO meter_value (
        sampled_at, energy_wh, transaction_id, charge_point_id, power_w, current_a, voltage_v,
        soc_percent, temperature_c, connector_id, context
    )
    SELECT
        tx.started_at + step.s * INTERVAL '1 s', tx.meter_start_wh + step.s * 75000.0 / 5770,
        tx.transaction_id, tx.charge_point_id, 46800, 78, 600, 20 + step.s / 90.0, 35, 1, 0
    FROM transaction AS tx
    CROSS JOIN generate_series(%(first_s)s, 5760, %(every_s)s) AS step (s)
    WHERE tx.started_at >= %(midnight)s
        AND tx.started_at < %(midnight)s::timestamptz + INTERVAL '1 day'
    ORDER BY step.s, tx.charge_point_id"""
_TOUCHED: LiteralString = """
    INSERT INTO touched_window (charge_point_id, hour, marked_at)
    SELECT cp.charge_point_id, %(midnight)s::timestamptz + h * INTERVAL '1 h',
        now() - INTERVAL '5 min'
    FROM charge_point AS cp CROSS JOIN generate_series(0, 23) AS h"""
_SETTLE: LiteralString = """
    UPDATE transaction SET changed_at = started_at
    WHERE started_at >= %(low)s AND started_at < %(high)s"""
_DONE: LiteralString = """
    INSERT INTO flow_watermark (flow, done_until)
    SELECT name, now() FROM unnest(%(flows)s::text []) AS name
    ON CONFLICT (flow) DO UPDATE SET done_until = excluded.done_until"""
_TWIN: LiteralString = """
    CREATE TEMPORARY TABLE twin ON COMMIT DROP AS
    SELECT model.transaction_id AS model_id, later.transaction_id
    FROM transaction AS model
    INNER JOIN transaction AS later
        ON
            model.charge_point_id = later.charge_point_id
            AND model.connector_id = later.connector_id
            AND later.started_at = model.started_at + %(shift)s
    WHERE model.started_at >= %(low)s AND model.started_at < %(high)s"""
_COLUMNS: LiteralString = """
    SELECT attname, atttypid::regtype::text
    FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attidentity = ''"""


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes facts in a database, counted in days before ``today``, midnight in UTC."""

    url: str
    conn: psycopg.Connection[Any]
    today: datetime

    @classmethod
    @contextmanager
    def of(cls, url: str) -> Iterator["Maker"]:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        with psycopg.connect(url, autocommit=True) as conn:
            yield cls(url, conn, today)

    def stations(self, count: int) -> None:
        self.conn.execute(_STATIONS, {"stations": count})

    def day(self, days_ago: int, every_s: int, *, is_new: bool) -> int:
        """Make the facts of a day, and return its readings; ``is_new``: the flows shall see it."""
        midnight = self.midnight(days_ago)
        changed_at = datetime.now(UTC) if is_new else midnight
        asked = {"number": 1000 - days_ago, "changed_at": changed_at, "midnight": midnight}
        with self.conn.transaction():
            # What triggers would queue for DOJOT is not part of the picture.
            self.conn.execute("SET LOCAL session_replication_role = replica")
            self.conn.execute(_SESSIONS, asked)
        if is_new:
            self.touch(days_ago)
        return self.readings(days_ago, every_s)

    def readings(self, days_ago: int, every_s: int, first_s: int = 10) -> int:
        asked = {"midnight": self.midnight(days_ago), "every_s": every_s, "first_s": first_s}
        return self.conn.execute(_READINGS, asked).rowcount

    def touch(self, days_ago: int) -> None:
        """Mark every hour of a day, as late readings do."""
        self.conn.execute(_TOUCHED, {"midnight": self.midnight(days_ago)})

    def settle(self, days_ago: int) -> None:
        """Make the transactions of a day old news: each run looks at the newest once more."""
        midnight = self.midnight(days_ago)
        with self.conn.transaction():
            self.conn.execute("SET LOCAL session_replication_role = replica")
            self.conn.execute(_SETTLE, {"low": midnight, "high": midnight + _A_DAY})
        self.conn.execute("VACUUM transaction")

    def midnight(self, days_ago: int) -> datetime:
        return self.today - days_ago * _A_DAY


def make_past(maker: Maker, first: int, last: int, every_s: int) -> None:
    """Make the days from ``first`` to ``last`` days ago, and all that flows compute of them."""
    for days_ago in range(first, last - 1, -1):
        maker.day(days_ago, every_s, is_new=False)
        _tell("made", first - days_ago + 1, first - last + 1)
    maker.conn.execute("ANALYZE")
    model, edge = (maker.midnight(days_ago).date() for days_ago in (first, last))
    compute(maker.url, model - _A_DAY, model + _A_DAY)
    targets = [model + number * _A_DAY for number in range(1, (edge - model).days)]
    for number, target in enumerate(targets, 1):
        copy_day(maker.conn, model, target)
        _tell("computed", number, len(targets))
    compute(maker.url, max(edge, model + _A_DAY), edge + _A_DAY)
    maker.conn.execute(_DONE, {"flows": list(UPDATE)})
    for _ in carry_out(Settings(maker.url), "update", Scope()):
        pass  # what the windows above left behind for the next run


def compute(url: str, first: date, end: date) -> None:
    """Let the flows compute local days, up to ``end`` and without it."""
    scope = Scope(_local_midnight(first), _local_midnight(end))
    for _ in carry_out(Settings(url), "update", scope):
        pass


def copy_day(conn: psycopg.Connection[Any], model: date, target: date) -> None:
    """Copy what was computed of one local day to another one with the same sessions."""
    low, high = _local_midnight(model), _local_midnight(model + _A_DAY)
    asked = {"low": low, "high": high, "shift": target - model, "model": model}
    with conn.transaction():
        conn.execute(_TWIN, asked)
        conn.execute("CREATE INDEX ON twin (model_id)")
        conn.execute("ANALYZE twin")
        for table in COMPUTED:
            columns = conn.execute(_COLUMNS, [table]).fetchall()
            conn.execute(_copying(table, dict(columns)), asked)


def _local_midnight(day: date) -> datetime:
    return datetime.combine(day, time(), LOCAL)


def _copying(table: str, types: dict[str, str]) -> sql.Composed:
    """A statement that copies a table's rows of the model day, by names and types of columns."""
    is_of_sessions = "transaction_id" in types
    if "day" in types:
        of_day = sql.SQL("model.day = %(model)s")
    elif "started_at" in types:
        of_day = sql.SQL("model.started_at >= %(low)s AND model.started_at < %(high)s")
    else:
        of_day = sql.SQL("TRUE")
    return sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {} AS model {} WHERE {}").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, types)),
        sql.SQL(", ").join(_moved(name, kind) for name, kind in types.items()),
        sql.Identifier(table),
        sql.SQL("INNER JOIN twin ON model.transaction_id = twin.model_id" * is_of_sessions),
        of_day,
    )


def _moved(name: str, kind: str) -> sql.Composable:
    column = sql.Identifier("model", name)
    if name == "transaction_id":
        return sql.Identifier("twin", name)
    if name == "visit_id":
        return sql.SQL(
            "(SELECT first.transaction_id FROM twin AS first WHERE first.model_id = {})"
        ).format(column)
    if name in ("computed_at", "found_at") or kind not in ("date", "timestamp with time zone"):
        return column
    moved = sql.SQL("({} + %(shift)s)::date" if kind == "date" else "{} + %(shift)s")
    return moved.format(column)


def _tell(what: str, number: int, count: int) -> None:
    if number % _TOLD_EVERY == 0:
        say(f"  {number} of {count} days {what}")
