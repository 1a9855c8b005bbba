"""Charge points at the wire and what became of their frames, seen through the public views."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row, tuple_row

from testbench.socket import OnCall, RawChargePoint, connected
from tests.waiting import wait_until

BOOT = {"chargePointVendor": "ABB", "chargePointModel": "Terra 54"}


def minutes_ago(minutes: float) -> str:
    """A time on a charge point's clock, to the millisecond."""
    at = datetime.now(UTC) - timedelta(minutes=minutes)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def instant(written: str) -> datetime:
    return datetime.fromisoformat(written)


def meter_value(*samples: Any, at: str | None = None) -> dict[str, Any]:
    """A ``meterValue``; a sample that is a number is the register in Wh."""
    return {
        "timestamp": at or minutes_ago(1),
        "sampledValue": [s if isinstance(s, dict) else {"value": str(s)} for s in samples],
    }


@dataclass
class Network:
    """One central system, its database, and as many charge points as a test wants.

    Attributes:
        url: For charge points, without the identity.
        database: Sees what is committed; with all rights.
    """

    url: str
    database: psycopg.Connection[Any]
    _prefix: str = field(default_factory=lambda: secrets.token_hex(3).upper())
    _numbers: Iterable[int] = field(default_factory=itertools.count)

    def new_identity(self) -> str:
        return f"{self._prefix}-{next(iter(self._numbers))}"

    @asynccontextmanager
    async def charge_point(
        self, identity: str | None = None, *, on_call: OnCall | None = None, **how: Any
    ) -> AsyncIterator[RawChargePoint]:
        """Connect a charge point, one nobody used before unless told which."""
        async with connected(
            self.url, identity or self.new_identity(), on_call=on_call, **how
        ) as charge_point:
            yield charge_point

    def rows(self, view: str, charge_point: RawChargePoint | str) -> list[dict[str, Any]]:
        """Return what ``report.<view>`` has of a charge point, oldest first."""
        identity = charge_point if isinstance(charge_point, str) else charge_point.charge_point_id
        with self.database.cursor(row_factory=dict_row) as cursor:
            cursor.execute(
                sql.SQL("SELECT * FROM report.{} WHERE charge_point = %s ORDER BY {}").format(
                    sql.Identifier(view), sql.Identifier(_TIME_OF[view])
                ),
                [identity],
            )
            return cursor.fetchall()

    def row(self, view: str, charge_point: RawChargePoint | str) -> dict[str, Any]:
        """Return the only row."""
        (only,) = self.rows(view, charge_point)
        return only

    def ask(self, query: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Any]:
        with self.database.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(query, parameters)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def add_id_tag(self, status: str = "Accepted", **columns: Any) -> str:
        """Register an id_tag nobody used before."""
        id_tag = f"TAG{next(iter(self._numbers))}{self._prefix}"
        names = ["id_tag", "status", *columns]
        statement = sql.SQL("INSERT INTO id_tag ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        )
        self.database.execute(statement, [id_tag, status, *columns.values()])
        return id_tag

    def add_charge_point(self, **columns: Any) -> str:
        """Register a charge point and return its identity."""
        identity = self.new_identity()
        names = ["identity", *columns]
        statement = sql.SQL("INSERT INTO charge_point ({}) VALUES ({})").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        )
        self.database.execute(statement, [identity, *columns.values()])
        return identity


_TIME_OF = {
    "charge_point": "created_at",
    "charge_point_report": "received_at",
    "command": "requested_at",
    "connection": "opened_at",
    "connector": "connector_id",
    "meter_value": "sampled_at",
    "ocpp_exchange": "received_at",
    "ocpp_message": "received_at",
    "orphan_stop": "received_at",
    "set_aside": "received_at",
    "status": "at",
    "transaction": "transaction_id",
}


async def start(
    charge_point: RawChargePoint, id_tag: str, *, at: str | None = None, **fields: Any
) -> dict[str, Any]:
    """Send a StartTransaction on connector 1 with the register at 1000 Wh."""
    payload = {
        "connectorId": 1,
        "idTag": id_tag,
        "meterStart": 1000,
        "timestamp": at or minutes_ago(10),
        **fields,
    }
    return await charge_point.call("StartTransaction", payload)


async def stop(
    charge_point: RawChargePoint, transaction_id: Any, *, at: str | None = None, **fields: Any
) -> dict[str, Any]:
    """Send a StopTransaction with the register at 9000 Wh."""
    payload = {
        "transactionId": transaction_id,
        "meterStop": 9000,
        "timestamp": at or minutes_ago(2),
        **fields,
    }
    return await charge_point.call("StopTransaction", payload)


async def send_meter_values(
    charge_point: RawChargePoint, *meter_values: Any, **fields: Any
) -> dict[str, Any]:
    """Send MeterValues of connector 1."""
    return await charge_point.call(
        "MeterValues", {"connectorId": 1, "meterValue": list(meter_values), **fields}
    )


async def settle(charge_point: RawChargePoint) -> None:
    """Wait until everything sent so far is handled: CALLs are answered in order."""
    await charge_point.call("Heartbeat")


async def eventually(is_true: Any, complaint: str, seconds: float = 10) -> None:
    """Wait for what the central system does by itself."""
    await asyncio.to_thread(wait_until, is_true, complaint, seconds)
