"""Charge points at the wire and what became of their frames, seen through the public views."""

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
from psycopg.types.json import Jsonb

from testbench.socket import CallError, OnCall, RawChargePoint, Reply, connected
from tests.waiting import until

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


def sample(
    value: Any,
    measurand: str = "Energy.Active.Import.Register",
    unit: str | None = None,
    **labels: Any,
) -> dict[str, Any]:
    labels |= {"unit": unit} if unit else {}
    return {"value": value, "measurand": measurand, **labels}


@dataclass
class Network:
    """One central system, its database, and as many charge points as a test wants.

    Attributes:
        url: For charge points, without the identity.
        database: Sees what is committed; with all rights.
    """

    url: str
    database_url: str
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
            cursor.execute(query, parameters)
            return cursor.fetchall() if cursor.description else []

    async def command(
        self, charge_point: RawChargePoint, action: str, payload: Any = None, lasts_s: float = 20
    ) -> dict[str, Any]:
        """Queue a command as any client may, and return its row once it is decided."""
        ((command_id,),) = self.ask(
            """INSERT INTO command (charge_point_id, action, payload, requested_by, expires_at)
            SELECT charge_point_id, %s, %s, 'test', now() + %s * INTERVAL '1 second'
            FROM charge_point WHERE identity = %s RETURNING command_id""",
            [action, Jsonb(payload or {}), lasts_s, charge_point.charge_point_id],
        )

        def row() -> dict[str, Any]:
            rows = self.rows("command", charge_point)
            return next(row for row in rows if row["command_id"] == command_id)

        decided = {"answered", "failed", "expired"}
        await until(lambda: row()["status"] in decided, f"{action} is decided", lasts_s + 10)
        return row()

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


@dataclass
class Answers:
    """How a scripted charge point answers our CALLs, and what it was asked.

    Attributes:
        by_action: A payload, or a CALLERROR; Accepted where there is none.
    """

    by_action: dict[str, Mapping[str, Any] | CallError] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __call__(self, action: str, payload: dict[str, Any]) -> Reply | Mapping[str, Any]:
        self.asked.append((action, payload))
        answer = self.by_action.get(action, {"status": "Accepted"})
        if isinstance(answer, CallError):
            raise answer
        return answer


def answered(row: dict[str, Any], **response: Any) -> bool:
    """Check a row of report.command, and show it if it is another."""
    assert (row["status"], row["response"]) == ("answered", response), row
    return True


async def boot(charge_point: RawChargePoint) -> None:
    """Send BootNotification and the status of two free connectors."""
    await charge_point.call("BootNotification", BOOT)
    for connector_id in (0, 1, 2):
        await show(charge_point, "Available", connector_id)


async def show(
    charge_point: RawChargePoint, status: str, connector_id: int = 1, **fields: Any
) -> None:
    """Send a StatusNotification."""
    payload = {"connectorId": connector_id, "status": status, "errorCode": "NoError", **fields}
    assert await charge_point.call("StatusNotification", payload) == {}


_TIME_OF = {
    "certificate_signing": "requested_at",
    "charging_profile": "assigned_at",
    "configuration": "key",
    "installed_certificate": "installed_at",
    "local_list": "list_version",
    "local_list_entry": "id_tag",
    "request_progress": "at",
    "reservation": "reserved_at",
    "security_event": "at",
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


async def stored(network: Network, *samples: Any, **fields: Any) -> dict[str, Any]:
    """Send the samples as one meterValue and return the only reading."""
    async with network.charge_point() as charge_point:
        assert await send_meter_values(charge_point, meter_value(*samples), **fields) == {}
    return network.row("meter_value", charge_point)


async def settle(charge_point: RawChargePoint) -> None:
    """Wait until everything sent so far is handled: CALLs are answered in order."""
    await charge_point.call("Heartbeat")
