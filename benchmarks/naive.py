"""The naive reference: what an afternoon with the libraries' defaults gives.

The ``ocpp`` package with its validation, one blocking connection, one commit per message: a raw
row, and a row per sampled value. It stores what we store and nothing is tuned.
"""

import asyncio
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import psycopg
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import Action, AuthorizationStatus, RegistrationStatus
from websockets.asyncio.server import ServerConnection, serve

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS raw (at timestamptz DEFAULT now(), charge_point text, frame text);
    CREATE TABLE IF NOT EXISTS value (
        at timestamptz, charge_point text, connector_id int, transaction_id int,
        measurand text, value double precision, unit text
    );
    CREATE TABLE IF NOT EXISTS start (
        transaction_id serial PRIMARY KEY, charge_point text, id_tag text, meter_start int
    );
"""


class Naive(ChargePoint):
    database: psycopg.Connection

    def _log(self, **fields: Any) -> None:
        self.database.execute(
            "INSERT INTO raw (charge_point, frame) VALUES (%s, %s)",
            [self.id, json.dumps(fields, default=str)],
        )

    @on(Action.boot_notification)
    def on_boot(self, **fields: Any) -> call_result.BootNotification:
        with self.database.transaction():
            self._log(**fields)
        now = datetime.now(UTC).isoformat()
        return call_result.BootNotification(now, 300, RegistrationStatus.accepted)

    @on(Action.start_transaction)
    def on_start(
        self, id_tag: str, meter_start: int, **fields: Any
    ) -> call_result.StartTransaction:
        with self.database.transaction():
            self._log(id_tag=id_tag, meter_start=meter_start, **fields)
            row = self.database.execute(
                "INSERT INTO start (charge_point, id_tag, meter_start) VALUES (%s, %s, %s)"
                " RETURNING transaction_id",
                [self.id, id_tag, meter_start],
            ).fetchone()
        assert row is not None
        return call_result.StartTransaction(row[0], IdTagInfo(AuthorizationStatus.accepted))

    @on(Action.meter_values)
    def on_meter_values(
        self,
        connector_id: int,
        meter_value: list[dict[str, Any]],
        transaction_id: int | None = None,
    ) -> call_result.MeterValues:
        with self.database.transaction():
            self._log(connector_id=connector_id, meter_value=meter_value)
            for element in meter_value:
                for sample in element["sampled_value"]:
                    self.database.execute(
                        "INSERT INTO value VALUES (%s, %s, %s, %s, %s, %s, %s)",
                        [
                            element["timestamp"],
                            self.id,
                            connector_id,
                            transaction_id,
                            sample["measurand"],
                            float(sample["value"]),
                            sample["unit"],
                        ],
                    )
        return call_result.MeterValues()


async def main(port: int, url: str) -> None:
    logging.getLogger("ocpp").setLevel(logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    database = psycopg.connect(url, autocommit=True)
    database.execute(_SCHEMA)

    async def handle(websocket: ServerConnection) -> None:
        assert websocket.request is not None
        charge_point = Naive(websocket.request.path.rpartition("/")[2], websocket)
        charge_point.database = database
        await charge_point.start()

    async with serve(handle, "127.0.0.1", port, subprotocols=["ocpp1.6"]):  # type: ignore[list-item]
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
