"""Fills ``reconciliation``: does DOJOT hold what the database holds? Repairs both sides."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg.rows import DictRow

from flows.comparison import IMPORTED, Difference, Place, rows_to_import
from flows.database import Connection, ask, ask_one, connect, do, now
from flows.dojot_history import DojotHistory, HistoryError
from flows.runs import Compute, Outcome
from flows.scope import Scope, ScopeError, charge_point_ids
from flows.settings import Settings
from flows.sought_readings import HOUR, Ours, read_ours
from flows.windows import forget, take

logger = logging.getLogger(__name__)

_SWEEP_MARGIN = timedelta(minutes=15)  # DOJOT deletes while we ask, and by its own clock
_FIRST_LOOK = timedelta(days=30)  # back, where DOJOT keeps everything
_SPAN_HOURS = 24  # how much is asked for at once
_THREADS = 4

Row = dict[str, Any]


def computer(settings: Settings, run_url: str | None) -> Compute:
    """Return the flow for this DOJOT."""

    def compute_all(conn: Connection, scope: Scope) -> Outcome:
        if not settings.dojot_url:
            return Outcome({"windows": 0}, "ELETROPOSTO_DOJOT_URL is not set: nothing to compare")
        history = DojotHistory(settings.dojot_url, settings.dojot_user, settings.dojot_password)
        try:
            return _Reconciliation(settings, scope, history, run_url).carry_out(conn)
        finally:
            history.close()

    return compute_all


class _Reconciliation:
    def __init__(
        self, settings: Settings, scope: Scope, history: DojotHistory, run_url: str | None
    ) -> None:
        self._settings = settings
        self._scope = scope
        self._history = history
        self._run_url = run_url
        self._tenant: str | None = None
        self._problem = ""  # why DOJOT cannot be asked at all

    def carry_out(self, conn: Connection) -> Outcome:
        as_of = now(conn)
        try:
            self._tenant = self._history.tenant()
        except HistoryError as exc:
            self._problem = str(exc)
            logger.warning("%s", exc)
        # An hour that was touched just now has readings that may be on their way.
        take(conn, "reconcile_dojot", self._settled(as_of))
        found = self._hours(conn, as_of)
        shares = [found[start::_THREADS] for start in range(_THREADS)]
        with ThreadPoolExecutor(_THREADS) as pool:
            rows = [row for rows in pool.map(self._reconcile, shares) for row in rows]
        is_complete = self._scope.is_incremental and not self._scope.charge_points
        if is_complete and not self._scope.dry_run:
            forget(conn, "reconcile_dojot")
            do(conn, "move_watermark", flow="reconcile_dojot", done_until=as_of)
        return _outcome(rows, self._settings.missing_tolerated_percent)

    def _hours(self, conn: Connection, as_of: datetime) -> list[DictRow]:
        oldest = self._oldest(as_of)
        settled = self._settled(as_of)
        mark = ask(conn, "watermark", flow="reconcile_dojot")
        since = self._scope.start or (mark[0]["done_until"] - 2 * HOUR if mark else oldest)
        if self._scope.force and self._scope.is_incremental:
            since = oldest
        if self._scope.end is not None and self._scope.end <= oldest:
            raise ScopeError(f"DOJOT keeps nothing from before {oldest}: the window ends earlier")
        return ask(
            conn,
            "hours_to_reconcile",
            charge_point_ids=charge_point_ids(conn, self._scope),
            url=self._settings.dojot_url,
            tenant=self._tenant,
            since=max(since, oldest),
            until=min(settled, self._scope.end or settled),
            oldest=oldest,
            settled=settled,
            with_unsettled=self._scope.is_incremental,
        )

    def _settled(self, as_of: datetime) -> datetime:
        return as_of - timedelta(seconds=self._settings.dojot_settle_s)

    def _oldest(self, as_of: datetime) -> datetime:
        """Return from when on DOJOT may hold something, as far as it is worth asking."""
        if retention := self._settings.dojot_retention:
            return as_of - retention + _SWEEP_MARGIN
        return self._scope.start or as_of - _FIRST_LOOK

    def _reconcile(self, devices: Sequence[DictRow]) -> list[Row]:
        """Compare all wanted hours of some charge points, over a connection of their own."""
        with connect(self._settings.database_url) as conn:
            return [
                row
                for device in devices
                for hours in _spans(device["hours"])
                for row in self._reconcile_span(conn, device, hours)
            ]

    def _reconcile_span(
        self, conn: Connection, device: DictRow, hours: Sequence[datetime]
    ) -> list[Row]:
        number: int = device["charge_point_id"]
        ours = read_ours(conn, number, hours[0], hours[-1] + HOUR)
        if device["device_id"] is None:
            return self._keep_deviceless(conn, device, hours, ours)
        try:
            if self._problem:
                raise HistoryError(self._problem)
            found = self._compare(device["device_id"], ours, hours)
        except HistoryError as exc:
            logger.warning("%s: %s", device["identity"], exc)
            return [self._keep(conn, device, _unreachable(hour, str(exc))) for hour in hours]
        earlier = _earlier(conn, device, hours)
        with conn.transaction():
            return [
                self._settle(conn, device, hour, found[hour], earlier.get(hour))
                for hour in hours
                if hour in ours.hours or found[hour].rows_dojot or hour in earlier
            ]

    def _compare(
        self, device_id: str, ours: Ours, hours: Sequence[datetime]
    ) -> dict[datetime, Difference]:
        """Ask for what finds ours, and for what none of ours has, which costs nothing where DOJOT
        has none either. The rest, values that come with the former, only where something differs:
        it would be the most of all that is stored."""
        theirs = self._history.values(
            device_id, [*ours.sought, *ours.rare], hours[0], hours[-1] + HOUR
        )
        found = {hour: ours.compare(theirs, hour) for hour in hours}
        odd = [hour for hour, it in found.items() if it.missing_in_dojot or it.missing_in_database]
        if odd and ours.common:
            theirs |= self._history.values(device_id, ours.common, odd[0], odd[-1] + HOUR)
            found |= {hour: ours.compare(theirs, hour) for hour in odd}
        return found

    def _keep_deviceless(
        self, conn: Connection, device: DictRow, hours: Sequence[datetime], ours: Ours
    ) -> list[Row]:
        """Where the database has readings, DOJOT cannot have them: its relay has made no device."""
        earlier = _earlier(conn, device, hours)
        rows = []
        for hour in hours:
            if hour not in ours.hours and hour not in earlier:
                continue
            if self._problem:
                row = _unreachable(hour, self._problem)
            else:
                difference = ours.compare({}, hour)
                row = _row(hour, difference, sum(difference.missing_in_dojot.values()))
                where = f"{self._settings.dojot_url}, tenant {self._tenant}"
                row["verdict"], row["detail"] = (
                    ("different", f"no device in DOJOT ({where})")
                    if difference.rows_database
                    else ("ok", None)
                )
            rows.append(self._keep(conn, device, row))
        return rows

    def _settle(
        self,
        conn: Connection,
        device: DictRow,
        hour: datetime,
        difference: Difference,
        earlier: DictRow | None,
    ) -> Row:
        number = device["charge_point_id"]
        lacking = _lacking(conn, number, hour, difference.missing_in_dojot)
        row = _row(hour, difference, len(lacking.keys))
        if not self._scope.dry_run:
            try:
                row["imported"] = self._import(conn, device, hour, difference)
            except HistoryError as exc:
                return self._keep(conn, device, _unreachable(hour, str(exc)))
            row["republished"] = _send_again(conn, number, lacking.keys)
        if row["republished"] or lacking.waiting:
            row["awaited"] = row["republished"] or (earlier or row)["awaited"]
        row["verdict"], row["detail"] = _verdict(difference, lacking.waiting, row, earlier)
        return self._keep(conn, device, row)

    def _import(
        self, conn: Connection, device: DictRow, hour: datetime, difference: Difference
    ) -> int:
        places = difference.missing_in_database
        if not places:
            return 0
        connectors = sorted({connector_id for connector_id, _ in places})
        names = [f"{kind}_{connector}" for connector in connectors for kind in IMPORTED]
        theirs = self._history.values(device["device_id"], names, hour, hour + HOUR)
        readings = json.dumps(rows_to_import(places, theirs))
        number = device["charge_point_id"]
        imported = do(conn, "import_readings", charge_point_id=number, readings=readings)
        do(conn, "touch_imported", charge_point_id=number, hour=hour)
        return imported

    def _keep(self, conn: Connection, device: DictRow, row: Row) -> Row:
        if not self._scope.dry_run:
            do(
                conn,
                "store_reconciliation",
                charge_point_id=device["charge_point_id"],
                device_id=device["device_id"],
                flow_run_url=self._run_url,
                **row,
            )
        return {"charge_point": device["identity"], **row}


def _spans(hours: Sequence[datetime]) -> Iterator[Sequence[datetime]]:
    """Group hours so that one question covers a day at most."""
    group: list[datetime] = []
    for hour in hours:
        if group and hour >= group[0] + _SPAN_HOURS * HOUR:
            yield group
            group = []
        group.append(hour)
    if group:
        yield group


def _earlier(
    conn: Connection, device: DictRow, hours: Sequence[datetime]
) -> dict[datetime, DictRow]:
    rows = ask(
        conn,
        "earlier_verdicts",
        charge_point_id=device["charge_point_id"],
        hours=list(hours),
        device_id=device["device_id"],
    )
    return {row["window_start"]: row for row in rows}


@dataclass(frozen=True, slots=True)
class _Lacking:
    """What DOJOT has not: keys of readings to send again, and how many wait for the relay."""

    keys: Sequence[DictRow] = ()
    waiting: int = 0


def _lacking(
    conn: Connection, number: int, hour: datetime, places: Mapping[Place, int]
) -> _Lacking:
    """Which of several readings of an instant is lacking cannot be told: those about to be sent."""
    if not places:
        return _Lacking()
    rows = ask(
        conn,
        "readings_at",
        charge_point_id=number,
        low=hour,
        high=hour + HOUR,
        connector_ids=[connector_id for connector_id, _ in places],
        ms=[ms for _, ms in places],
    )
    left = dict(places)
    keys, waiting = [], 0
    for row in rows:  # those that wait first
        place = row["connector_id"], row["ms"]
        if left[place]:
            left[place] -= 1
            waiting += row["is_waiting"]
            keys += [] if row["is_waiting"] else [row]
    return _Lacking(keys, waiting)


def _row(hour: datetime, difference: Difference, missing_in_dojot: int) -> Row:
    return {
        "window_start": hour,
        "window_end": hour + HOUR,
        "rows_database": difference.rows_database,
        "rows_dojot": difference.rows_dojot,
        "missing_in_dojot": missing_in_dojot,
        "missing_in_database": sum(difference.missing_in_database.values()),
        "duplicates": difference.duplicates,
        "republished": 0,
        "awaited": 0,
        "imported": 0,
        "energy_database_wh": difference.energy_database_wh,
        "energy_dojot_wh": difference.energy_dojot_wh,
    }


def _unreachable(hour: datetime, problem: str) -> Row:
    counts = ("rows_database", "rows_dojot", "missing_in_dojot", "missing_in_database")
    unknown = ("duplicates", "energy_database_wh", "energy_dojot_wh")
    return {
        "window_start": hour,
        "window_end": hour + HOUR,
        **dict.fromkeys((*counts, *unknown)),
        "republished": 0,
        "awaited": 0,
        "imported": 0,
        "verdict": "unreachable",
        "detail": problem[:500],
    }


def _send_again(conn: Connection, number: int, keys: Sequence[DictRow]) -> int:
    if not keys:
        return 0
    row = ask_one(
        conn,
        "send_again",
        charge_point_id=number,
        sampled_ats=[key["sampled_at"] for key in keys],
        connector_ids=[key["connector_id"] for key in keys],
        contexts=[key["context"] for key in keys],
        transaction_ids=[key["transaction_id"] for key in keys],
    )
    return int(row["queued"])


def _verdict(
    difference: Difference, waiting: int, row: Row, earlier: DictRow | None
) -> tuple[str, str | None]:
    if difference.changed:
        return "different", f"{difference.changed} readings with another energy or power in DOJOT"
    if row["missing_in_dojot"] and earlier is not None and earlier["awaited"]:
        return "different", "still missing in DOJOT after having been sent again"
    if row["missing_in_dojot"] > row["republished"]:
        return "different", "missing in DOJOT"
    if row["missing_in_database"] and not row["imported"]:
        return "different", "missing in the database"
    if row["republished"] or row["imported"]:
        return "repaired", f"sent again {row['republished']}, imported {row['imported']}"
    if waiting:
        return "waiting", f"{waiting} readings wait for the relay"
    return "ok", None


def _outcome(rows: Sequence[Row], tolerated_percent: float) -> Outcome:
    total = {
        kind: sum(row[kind] or 0 for row in rows)
        for kind in (
            "rows_database",
            "rows_dojot",
            "missing_in_dojot",
            "missing_in_database",
            "duplicates",
            "republished",
            "imported",
        )
    }
    verdict = (
        f"{len(rows)} windows: {total['rows_database']} readings in the database,"
        f" {total['rows_dojot']} in DOJOT, {total['missing_in_dojot']} missing there,"
        f" {total['missing_in_database']} missing here"
    )
    outcome = Outcome({"windows": len(rows), **total}, verdict, _worst_first(rows))
    return replace(outcome, broken=_broken(rows, total, tolerated_percent))


def _broken(rows: Sequence[Row], total: dict[str, int], tolerated_percent: float) -> str:
    unreachable = [row for row in rows if row["verdict"] == "unreachable"]
    if unreachable:
        return f"DOJOT could not be asked about {len(unreachable)} windows: " + str(
            unreachable[0]["detail"]
        )
    different = [row for row in rows if row["verdict"] == "different"]
    if different:
        first = different[0]
        return (
            f"{len(different)} windows differ and could not be repaired, first"
            f" {first['charge_point']} at {first['window_start']:%Y-%m-%d %H:%M}: {first['detail']}"
        )
    missing = total["missing_in_dojot"] + total["missing_in_database"]
    known = max(total["rows_database"], total["rows_dojot"])
    if known and 100 * missing > tolerated_percent * known:
        return (
            f"{missing} of {known} readings were missing on one side, more than the"
            f" {tolerated_percent:g} % tolerated; they are being repaired"
        )
    return ""


def _worst_first(rows: Sequence[Row]) -> list[Row]:
    order = ("unreachable", "different", "repaired", "waiting", "ok")
    return sorted(rows, key=lambda row: (order.index(row["verdict"]), row["window_start"]))
