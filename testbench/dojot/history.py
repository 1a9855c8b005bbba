"""The history API (contract section 5)."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import orjson
from dateutil import parser  # type: ignore[import-untyped]  # what the history service itself uses
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from testbench.dojot.answers import Refused
from testbench.dojot.devices import Devices
from testbench.dojot.faults import Faults
from testbench.dojot.store import Store

Entry = dict[str, Any]
_COLUMNS = ("attr", "value", "device_id", "ts")
_LIMITS = ("firstN", "lastN", "hLimit")


class History:
    def __init__(self, store: Store, devices: Devices, faults: Faults) -> None:
        self._store = store
        self._devices = devices
        self._faults = faults

    async def of_device(self, request: Request) -> Response:
        as_csv = _wants_csv(request.headers.get("accept", "*/*"))
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        if not self._is_known(tenant, device_id):
            raise _not_found("Device not found", "No data for the given device could be found")
        names = _names(request)
        found = self._read(request, names or self._all_labels(tenant, device_id))
        if len(names) != 1:
            return _csv(chain.from_iterable(found.values())) if as_csv else _json(found)
        entries = found[names[0]]
        if not entries:
            raise _not_found("Attr not found", "No data for the given attribute could be found")
        return _csv(entries) if as_csv else _json(entries)

    def _is_known(self, tenant: str, device_id: str) -> bool:
        sql = "SELECT 1 FROM seen WHERE tenant = ? AND device_id = ?"
        return self._store.row(sql, tenant, device_id) is not None

    def _all_labels(self, tenant: str, device_id: str) -> list[str]:
        """Asks the device manager; a deleted device is more than the service can bear."""
        try:
            return self._devices.labels(tenant, device_id)
        except Refused:
            raise Unforeseen from None

    def _read(self, request: Request, names: list[str]) -> dict[str, list[Entry]]:
        """At most ``limit`` entries of each attribute; none means every one, without a cap."""
        limit, ascending = _limit(request)
        device_id = request.path_params["device_id"]
        always_fraction = self._faults.ts_form == "fraction"
        found: dict[str, list[Entry]] = {name: [] for name in names}
        wanted = set(names)
        for ts_ms, attrs in self._messages(request, ascending):
            ts = shown_ts(ts_ms, always_fraction)
            for name in wanted & attrs.keys():
                if attrs[name] != " ":  # stored, and filtered out
                    found[name].append(_entry(name, attrs[name], device_id, ts))
                    if len(found[name]) == limit:
                        wanted.discard(name)
            if not wanted:
                break
        return found

    def _messages(self, request: Request, ascending: bool) -> Iterator[tuple[int, dict[str, Any]]]:
        """Sorted by time alone: messages of one instant come in no order one could rely on."""
        order = "ASC" if ascending else "DESC"
        sql = (
            "SELECT ts_ms, attrs FROM message WHERE tenant = ? AND device_id = ?"
            f" AND ts_ms BETWEEN ? AND ? ORDER BY ts_ms {order}, rowid * 7919 % 1009"
        )
        since = _instant(request, "dateFrom", -(2**63))
        until = _instant(request, "dateTo", 2**63 - 1)
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        for row in self._store.rows(sql, tenant, device_id, since, until):
            yield row["ts_ms"], orjson.loads(row["attrs"])


def _entry(name: str, value: Any, device_id: str, ts: str) -> Entry:
    return {"attr": name, "value": value, "device_id": device_id, "ts": ts, "metadata": {}}


def _json(content: Any) -> Response:
    """A day of readings is some megabytes; the standard library would need seconds for them."""
    return Response(orjson.dumps(content), media_type="application/json")


class Unforeseen(Exception):
    """Ends in a 500 that is not JSON."""


async def answer_unforeseen(_: Request, __: Exception) -> Response:
    return PlainTextResponse("A server error occurred. Please contact the administrator.", 500)


def shown_ts(ts_ms: int, always_fraction: bool = False) -> str:
    """UTC with six digits, or with none on a whole second."""
    seconds, ms = divmod(ts_ms, 1000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
    return f"{text}.{ms:03d}000Z" if ms or always_fraction else f"{text}Z"


def _not_found(title: str, description: str) -> Refused:
    return Refused(404, {"title": title, "description": description})


def _names(request: Request) -> list[str]:
    """``attr=a,b`` and ``attr=a&attr=b`` alike."""
    asked = request.query_params.getlist("attr")
    return [name for item in asked for name in item.split(",") if name]


def _limit(request: Request) -> tuple[int, bool]:
    """(entries per attribute, ascending); the first of the three that is given counts."""
    for name in _LIMITS:
        if name in request.query_params:
            try:
                count = abs(int(request.query_params[name]))
            except ValueError:
                text = f'The "{name}" parameter is invalid. Must be integer.'
                raise Refused(400, {"title": "Invalid parameter", "description": text}) from None
            return count, name == "firstN"
    return 0, False


def _instant(request: Request, name: str, absent: int) -> int:
    if name not in request.query_params:
        return absent
    try:
        instant = parser.parse(request.query_params[name])
    except (ValueError, OverflowError):
        raise Unforeseen from None
    zoned = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return int(zoned.timestamp() * 1000)


def _wants_csv(accept: str) -> bool:
    """JSON wins when both are accepted; anything else is refused."""
    kinds = {part.split(";")[0].strip() for part in accept.split(",")}
    if kinds & {"application/json", "*/*", "application/*"}:
        return False
    if "text/csv" not in kinds:
        raise Refused(406, {"title": "Media type not acceptable"})
    return True


def _csv(entries: Iterable[Entry]) -> Response:
    """The content type still says JSON."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(entries)
    return Response(text.getvalue(), media_type="application/json")
