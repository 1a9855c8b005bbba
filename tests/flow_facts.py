"""Facts for the flows' tests, put into a real database with plain SQL."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from flows.catalogue import carry_out
from flows.scope import Scope
from flows.settings import Settings

# Noon in UTC is nine in the morning of the same local day: a test's hours stay in one day.
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=10)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


class Facts:
    """What ingest would have stored, and the flows run on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.conn = psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def forget(self) -> None:
        """Empty the tables a test fills, for the next example of a property test."""
        self.conn.execute(
            "TRUNCATE meter_value, status_notification, connection, transaction, touched_window,"
            " orphan_stop, set_aside, connector, session, session_soc, session_cost, energy_bucket,"
            " consumption_day, site_demand, state_interval, availability_day, outage,"
            " fault_episode, quality_finding, flow_watermark, touched_work, session_work,"
            " downtime_exclusion, charge_point RESTART IDENTITY CASCADE"
        )

    def charge_point(
        self,
        identity: str = "CP-1",
        connectors: Iterable[int] = (1,),
        rated_power_w: float | None = 50_000,
        current_type: str | None = "DC",
        **columns: Any,
    ) -> int:
        row = self._insert("charge_point", {"identity": identity, **columns}, "charge_point_id")
        for connector_id in connectors:
            self._insert(
                "connector",
                {
                    "charge_point_id": row["charge_point_id"],
                    "connector_id": connector_id,
                    "rated_power_w": rated_power_w,
                    "current_type": current_type,
                },
            )
        return int(row["charge_point_id"])

    def transaction(
        self,
        charge_point_id: int,
        started_at: datetime,
        stopped_at: datetime | None = None,
        meter_start_wh: float | None = None,
        meter_stop_wh: float | None = None,
        **columns: Any,
    ) -> int:
        row = self._insert(
            "transaction",
            {
                "charge_point_id": charge_point_id,
                "connector_id": 1,
                "id_tag": "TAG",
                "id_tag_status": "Accepted",
                "started_at": started_at,
                "meter_start_wh": meter_start_wh,
                "stopped_at": stopped_at,
                "meter_stop_wh": meter_stop_wh,
                "reason": "Local" if stopped_at else None,
                **columns,
            },
            "transaction_id",
        )
        return int(row["transaction_id"])

    def reading(self, charge_point_id: int, at: datetime, **columns: Any) -> None:
        self._insert(
            "meter_value",
            {
                "charge_point_id": charge_point_id,
                "connector_id": 1,
                "sampled_at": at,
                "context": 0,
                **columns,
            },
        )
        self.touch(charge_point_id, at)

    def readings(
        self,
        charge_point_id: int,
        transaction_id: int | None,
        first_at: datetime,
        every: timedelta,
        **series: Sequence[float | None],
    ) -> None:
        """Store one reading per element of the series, which all have the same length."""
        for place, values in enumerate(zip(*series.values(), strict=True)):
            self.reading(
                charge_point_id,
                first_at + place * every,
                transaction_id=transaction_id,
                **dict(zip(series, values, strict=True)),
            )

    def status(self, charge_point_id: int, at: datetime, status: str, **columns: Any) -> None:
        self._insert(
            "status_notification",
            {
                "charge_point_id": charge_point_id,
                "connector_id": 1,
                "at": at,
                "received_at": at,
                "status": status,
                "error_code": "NoError",
                **columns,
            },
        )
        self.touch(charge_point_id, at)

    def connection(
        self,
        charge_point_id: int,
        opened_at: datetime,
        closed_at: datetime | None,
        reason: str | None = None,
    ) -> None:
        row = self._insert(
            "replica",
            {"replica_id": "00000000-0000-0000-0000-000000000001", "host": "here"},
            "replica_id",
            "ON CONFLICT (replica_id) DO UPDATE SET seen_at = now()",
        )
        self._insert(
            "connection",
            {
                "charge_point_id": charge_point_id,
                "opened_at": opened_at,
                "closed_at": closed_at,
                "replica_id": row["replica_id"],
                "reason": reason or (closed_at and "closed by the charge point"),
            },
        )

    def touch(self, charge_point_id: int, at: datetime) -> None:
        """Mark the hour as ingest does, long enough ago to be consumed for good."""
        self.conn.execute(
            "INSERT INTO touched_window (charge_point_id, hour, marked_at)"
            " VALUES (%s, date_trunc('hour', %s::timestamptz), now() - INTERVAL '5 minutes')",
            [charge_point_id, at],
        )

    def run(self, name: str = "update", **parameters: Any) -> None:
        settings = Settings(database_url=self.url)
        for _ in carry_out(settings, name, Scope(**parameters)):
            pass

    def rows(self, query: str, *parameters: Any) -> list[DictRow]:
        return self.conn.execute(query, parameters).fetchall()

    def session(self, transaction_id: int) -> DictRow:
        (row,) = self.rows("SELECT * FROM report.session WHERE transaction_id = %s", transaction_id)
        return row

    def computed(self) -> dict[str, list[DictRow]]:
        """Return all that the flows computed, but for when."""
        tables = {
            "session": "transaction_id",
            "session_soc": "transaction_id",
            "session_cost": "transaction_id",
            "energy_bucket": "transaction_id, started_at",
            "consumption_day": "charge_point_id, connector_id, day",
            "site_demand": "site, started_at",
            "state_interval": "charge_point_id, connector_id, started_at",
            "availability_day": "charge_point_id, connector_id, day",
            "outage": "charge_point_id, connector_id, started_at",
            "fault_episode": "charge_point_id, connector_id, started_at",
            "quality_finding": "charge_point_id, day, kind, connector_id",
        }
        return {
            table: [
                _without_times(row) for row in self.rows(f"SELECT * FROM {table} ORDER BY {by}")
            ]
            for table, by in tables.items()
        }

    def _insert(
        self, table: str, columns: Mapping[str, Any], returning: str = "1", conflict: str = ""
    ) -> DictRow:
        names, marks = ", ".join(columns), ", ".join(["%s"] * len(columns))
        row = self.conn.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks}) {conflict} RETURNING {returning}",
            list(columns.values()),
        ).fetchone()
        assert row is not None
        return row


def some_days(facts: Facts, charge_points: int = 3, days: int = 4) -> None:
    """Three sessions a day on each charge point; the last of a day goes on over midnight."""
    for number in range(charge_points):
        cp = facts.charge_point(f"CP-{number}", site=f"site-{number % 2}")
        facts.status(cp, NOON - timedelta(days=days), "Available")
        for day in range(days):
            for place in range(3):
                begun = NOON - timedelta(days=day) + minutes(place * 415 + number)
                tx = facts.transaction(cp, begun, begun + minutes(100), 0, 20_000)
                facts.readings(
                    cp,
                    tx,
                    begun,
                    minutes(20),
                    power_w=[12_000] * 5,
                    soc_percent=[20, 30, 40, 50, 60],
                )
                facts.status(cp, begun + minutes(1), "Charging")
                facts.status(cp, begun + minutes(110), "Available")


def _without_times(row: DictRow) -> DictRow:
    return {key: value for key, value in row.items() if key not in ("computed_at", "found_at")}
