"""What the database must hold after a round, worked out from what charge points were told.

Nothing here uses the code of the central system: frames are read anew from their text.
"""

import json
import sqlite3
import struct
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import psycopg

from testbench.account import SessionAccount
from tests.faults.witness import Exchange

_COLUMNS = {
    "Energy.Active.Import.Register": "energy_wh",
    "Power.Active.Import": "power_w",
    "Current.Import": "current_a",
    "Voltage": "voltage_v",
    "SoC": "soc_percent",
    "Temperature": "temperature_c",
    "Current.Offered": "current_offered_a",
    "Power.Offered": "power_offered_w",
}

_JUMP = timedelta(hours=2)

Connection = psycopg.Connection[Any]
Key = tuple[str, datetime, int, str]  # charge point, instant, connector, context
Values = dict[str, float | int | None]


@dataclass
class Verdict:
    """What a round came to. ``lost`` and ``doubled`` describe each case."""

    confirmed: int = 0
    readings: int = 0
    sessions: int = 0
    given_up: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.lost and not self.doubled


def judge(
    conn: Connection,
    exchanges: list[Exchange],
    sessions: list[SessionAccount],
    since: datetime,
    *,
    our_clock_jumped: bool = False,
) -> Verdict:
    """Compare the account of the charge points with the database.

    Args:
        our_clock_jumped: By an hour at most; what has our time was then not stored in its order.
    """
    confirmed = [exchange for exchange in exchanges if exchange.answer is not None]
    verdict = Verdict(len(confirmed), sessions=len(sessions))
    verdict.given_up = sum(session.discarded for session in sessions)
    _judge_frames(conn, confirmed, since - _JUMP if our_clock_jumped else since, verdict)
    connectors: dict[int | None, int] = {
        it.transaction_id: it.connector_id for it in sessions if it.transaction_id
    }
    told = _readings(confirmed, connectors)
    verdict.readings = len(told)
    _judge_readings(conn, told, set(_readings(exchanges, connectors)), verdict)
    _judge_transactions(conn, sessions, verdict)
    statuses = [it for it in exchanges if it.action == "StatusNotification"]
    dated = [it for it in statuses if it.answer is not None and _has_time(it)]
    _judge_statuses(conn, dated, verdict)
    if not our_clock_jumped:
        undated = [it for it in statuses if not _has_time(it)]
        _judge_undated_statuses(conn, undated, since, verdict)
    return verdict


def _judge_frames(
    conn: Connection, confirmed: list[Exchange], since: datetime, verdict: Verdict
) -> None:
    """Every confirmed frame is in the raw log, with the answer the charge point got."""
    rows = conn.execute(
        "SELECT charge_point, raw, answer FROM report.ocpp_exchange"
        " WHERE received_at >= %s AND direction = 'in' AND message_type = 2",
        [since],
    ).fetchall()
    logged: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for charge_point, raw, answer in rows:
        logged[charge_point, raw.split(",", 2)[2]].append(json.loads(answer) if answer else None)
    for exchange in confirmed:
        answers = logged[exchange.charge_point, f'"{exchange.action}",{exchange.body}]']
        same = [it for it in answers if it and it[0] == 3 and it[2] == exchange.answer]
        if same:
            answers.remove(same[0])
        else:
            verdict.lost.append(f"frame not in the raw log: {exchange} (answers: {answers})")


def _readings(
    exchanges: Iterable[Exchange], connectors: dict[int | None, int]
) -> dict[Key, Values]:
    found: dict[Key, Values] = {}
    for exchange in exchanges:
        if exchange.action not in ("MeterValues", "StopTransaction"):
            continue
        payload = json.loads(exchange.body)
        transaction_id = payload.get("transactionId")
        if exchange.action == "StopTransaction" and transaction_id not in connectors:
            continue  # its start was never confirmed: no connector is known
        connector_id = payload.get("connectorId") or connectors[transaction_id]
        for element in payload.get("meterValue", payload.get("transactionData", ())):
            at = datetime.fromisoformat(element["timestamp"])
            for sample in element["sampledValue"]:
                key = (exchange.charge_point, at, connector_id, sample["context"])
                values = found.setdefault(key, {"transaction_id": transaction_id})
                values[_COLUMNS[sample["measurand"]]] = float(sample["value"])
    return found


def _judge_readings(
    conn: Connection, told: dict[Key, Values], possible: set[Key], verdict: Verdict
) -> None:
    """Every confirmed reading is there once with its values, and nothing nobody sent."""
    windows: dict[str, list[datetime]] = {}
    for charge_point, at, *_ in possible:
        windows.setdefault(charge_point, []).append(at)
    stored: dict[Key, Values] = {}
    for charge_point, instants in windows.items():
        cursor = conn.execute(
            "SELECT sampled_at, connector_id, context, transaction_id, energy_wh, power_w,"
            " current_a, voltage_v, soc_percent, temperature_c, current_offered_a, power_offered_w"
            " FROM report.meter_value"
            " WHERE charge_point = %s AND sampled_at BETWEEN %s AND %s",
            [charge_point, min(instants), max(instants)],
        )
        for at, connector_id, context, transaction_id, *values in cursor:
            key = (charge_point, at.astimezone(UTC), connector_id, context)
            if key in stored:
                verdict.doubled.append(f"reading stored twice: {key}")
            named = dict(zip(_COLUMNS.values(), values, strict=True))
            stored[key] = {"transaction_id": transaction_id, **named}
    for key, values in told.items():
        if key not in stored:
            verdict.lost.append(f"confirmed reading missing: {key}")
        elif differences := _differences(values, stored[key]):
            verdict.lost.append(f"confirmed reading differs: {key}: {differences}")
    foreign = stored.keys() - possible
    verdict.doubled += [f"reading nobody sent: {key}" for key in foreign]


def _differences(told: Values, stored: Values) -> list[str]:
    return [
        f"{name}: told {value}, stored {stored[name]}"
        for name, value in told.items()
        if not _is_same(name, value, stored[name])
    ]


def _is_same(name: str, told: float | int | None, stored: float | int | None) -> bool:
    if name == "transaction_id" and told == -1:
        return True  # never learnt its number (errata 3.18): the reading may be placed by time
    if told is None or stored is None or name in ("energy_wh", "transaction_id"):
        return told == stored
    return struct.pack("f", told) == struct.pack("f", stored)


def _judge_transactions(conn: Connection, sessions: list[SessionAccount], verdict: Verdict) -> None:
    """Started and stopped once, under the number that was told, with the energy delivered."""
    if not sessions:
        return
    rows = conn.execute(
        "SELECT charge_point, connector_id, started_at, transaction_id, meter_start_wh,"
        " stopped_at, meter_stop_wh FROM report.transaction WHERE started_at BETWEEN %s AND %s",
        [min(it.started_at for it in sessions).replace(microsecond=0), datetime.now(UTC)],
    ).fetchall()
    by_start: defaultdict[tuple[str, int, str], list[Any]] = defaultdict(list)
    for charge_point, connector_id, started_at, *rest in rows:
        by_start[charge_point, connector_id, _milliseconds(started_at)].append(rest)
    for session in sessions:
        start = (session.charge_point, session.connector_id, _milliseconds(session.started_at))
        _judge_transaction(session, by_start.pop(start, []), verdict)
    verdict.doubled += [f"transaction nobody began: {key}: {it}" for key, it in by_start.items()]
    (orphans,) = conn.execute("SELECT count(*) FROM report.orphan_stop").fetchone() or (0,)
    if orphans and not verdict.given_up:
        verdict.doubled.append(f"{orphans} stops without a transaction")


def _judge_transaction(session: SessionAccount, rows: list[Any], verdict: Verdict) -> None:
    if len(rows) > 1:
        verdict.doubled.append(f"transaction stored {len(rows)} times: {session}: {rows}")
    if session.transaction_id is None:
        return  # its start was given up
    if not rows:
        verdict.lost.append(f"transaction missing: {session}")
        return
    number, meter_start_wh, stopped_at, meter_stop_wh = rows[0]
    if (number, meter_start_wh) != (session.transaction_id, session.meter_start_wh):
        verdict.lost.append(f"transaction differs: {session}: {rows[0]}")
    if not session.stop_confirmed:
        return
    if stopped_at is None or meter_stop_wh - meter_start_wh != session.energy_wh:
        verdict.lost.append(f"energy differs: {session}: {rows[0]}")
    elif session.stopped_at and _milliseconds(stopped_at) != _milliseconds(session.stopped_at):
        verdict.lost.append(f"stop differs: {session}: {rows[0]}")


def _has_time(status: Exchange) -> bool:
    """Whether it has a time of the charge point's, and not that of a clock that was never set."""
    return json.loads(status.body).get("timestamp", "1970") > "2"


def _judge_statuses(conn: Connection, confirmed: list[Exchange], verdict: Verdict) -> None:
    told = {(it.charge_point, it.body): json.loads(it.body) for it in confirmed}
    if not told:
        return
    oldest = min(payload["timestamp"] for payload in told.values())
    rows = conn.execute(
        "SELECT charge_point, connector_id, status, at FROM report.status WHERE at >= %s",
        [oldest],
    ).fetchall()
    stored = Counter((cp, number, status, _milliseconds(at)) for cp, number, status, at in rows)
    for (charge_point, _), payload in told.items():
        at = _milliseconds(datetime.fromisoformat(payload["timestamp"]))
        key = (charge_point, payload["connectorId"], payload["status"], at)
        if not stored[key]:
            verdict.lost.append(f"status missing: {key}")
        elif stored[key] > 1:
            verdict.doubled.append(f"status stored {stored[key]} times: {key}")


def _judge_undated_statuses(
    conn: Connection, exchanges: list[Exchange], since: datetime, verdict: Verdict
) -> None:
    """What a connector told is there in that order, and not again for having been repeated."""
    told: defaultdict[tuple[str, int], list[tuple[str, bool]]] = defaultdict(list)
    for it in exchanges:
        payload = json.loads(it.body)
        key = (it.charge_point, payload["connectorId"])
        told[key].append((payload["status"], it.answer is not None))
    for (charge_point, connector_id), statuses in told.items():
        rows = conn.execute(
            "SELECT status, at FROM report.status"
            " WHERE charge_point = %s AND connector_id = %s AND at <= now() ORDER BY at",
            [charge_point, connector_id],
        ).fetchall()
        earlier = [status for status, at in rows if at < since][-1:]
        stored = [status for status, at in rows if at >= since]
        where = f"{charge_point} {connector_id}: told {statuses}, stored {earlier} {stored}"
        if Counter(stored) - _tellings(statuses):
            verdict.doubled.append(f"undated status stored again: {where}")
        confirmed = [status for status, is_confirmed in statuses if is_confirmed]
        if not _is_within(confirmed, earlier + stored):
            verdict.lost.append(f"undated status missing: {where}")


def _tellings(statuses: list[tuple[str, bool]]) -> Counter[str]:
    """How often each was told: a CALL after an unconfirmed one with the same status repeats it."""
    before = [("", True), *statuses]
    return Counter(
        status
        for last, (status, _) in zip(before, statuses, strict=False)
        if last != (status, False)
    )


def _is_within(told: list[str], stored: list[str]) -> bool:
    """Whether what was told, repeats left out, stands in that order in what was stored."""
    left = iter(stored)
    return all(status in left for status, _ in groupby(told))


def missing_in_dojot(
    conn: Connection, database: Path, identities: Iterable[str], since: datetime
) -> list[str]:
    """Committed readings, sampled ``since`` then, that DOJOT's history has not."""
    rows = conn.execute(
        "SELECT dev.device_id, mv.sampled_at, mv.connector_id, mv.power_w, mv.energy_wh"
        " FROM meter_value AS mv"
        " INNER JOIN charge_point AS cp ON mv.charge_point_id = cp.charge_point_id"
        " LEFT JOIN dojot_device AS dev ON mv.charge_point_id = dev.charge_point_id"
        " WHERE cp.identity = ANY(%s) AND mv.sampled_at >= %s",
        [list(identities), since],
    ).fetchall()
    history = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        there = {
            (device_id, ts_ms, name)
            for device_id, ts_ms, attrs in history.execute(
                "SELECT device_id, ts_ms, attrs FROM message WHERE ts_ms >= ?",
                [_epoch_ms(since)],
            )
            for name in json.loads(attrs)
        }
    finally:
        history.close()
    missing = []
    for device_id, at, connector_id, power_w, _ in rows:
        name = f"energy_wh_{connector_id}" if power_w is None else f"power_w_{connector_id}"
        if (device_id, _epoch_ms(at), name) not in there:
            missing.append(f"{device_id} {at} {name}")
    return missing


def copies_in_dojot(database: Path, since: datetime) -> set[str]:
    """Messages that DOJOT's history has more than once."""
    history = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return {
            f"{device_id} {ts_ms} {attrs}: {count} times"
            for device_id, ts_ms, attrs, count in history.execute(
                "SELECT device_id, ts_ms, attrs, count(*) FROM message WHERE ts_ms >= ?"
                " GROUP BY device_id, ts_ms, attrs HAVING count(*) > 1",
                [_epoch_ms(since)],
            )
        }
    finally:
        history.close()


def _epoch_ms(at: datetime) -> int:
    return int((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 + 0.5)


def _milliseconds(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds")
