"""The history API (contract section 5)."""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from urllib.parse import unquote_plus

import orjson
from dateutil import parser  # type: ignore[import-untyped]  # what the history service itself uses
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from testbench.dojot.answers import Refused
from testbench.dojot.devices import Devices
from testbench.dojot.faults import Faults
from testbench.dojot.store import Store

Entry = dict[str, Any]
Parameters = dict[str, str | list[str]]
_COLUMNS = ("attr", "value", "device_id", "ts")
_LIMITS = ("firstN", "lastN", "hLimit")
_LONGEST_LINE = 4094  # of a request, in bytes; what comes before the service allows more


class History:
    def __init__(self, store: Store, devices: Devices, faults: Faults) -> None:
        self._store = store
        self._devices = devices
        self._faults = faults

    async def of_device(self, request: Request) -> Response:
        if too_long := _line_too_long(request):
            return too_long
        as_csv = _wants_csv(request.headers.get("accept", "*/*"))
        tenant, device_id = request.state.tenant, request.path_params["device_id"]
        if not self._is_known(tenant, device_id):
            raise _not_found("Device not found", "No data for the given device could be found")
        parameters = read_query(request.url.query)
        asked = parameters.get("attr")
        if not isinstance(asked, str):
            names = self._all_labels(tenant, device_id) if asked is None else asked
            found = self._read(request, parameters, names)
            return _csv(chain.from_iterable(found.values())) if as_csv else _json(found)
        entries = self._read(request, parameters, [asked])[asked]
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

    def _read(
        self, request: Request, parameters: Parameters, names: list[str]
    ) -> dict[str, list[Entry]]:
        """At most ``limit`` entries of each attribute; none means every one, without a cap."""
        limit, ascending = _limit(parameters)
        device_id = request.path_params["device_id"]
        always_fraction = self._faults.ts_form == "fraction"
        found: dict[str, list[Entry]] = {name: [] for name in names}
        wanted = set(names)
        for ts_ms, attrs in self._messages(request, parameters, ascending):
            ts = shown_ts(ts_ms, always_fraction)
            for name in [name for name in attrs if name in wanted]:
                if attrs[name] != " ":  # stored, and filtered out
                    found[name].append(_entry(name, attrs[name], device_id, ts))
                    if len(found[name]) == limit:
                        wanted.discard(name)
            if not wanted:
                break
        return found

    def _messages(
        self, request: Request, parameters: Parameters, ascending: bool
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Sorted by time alone: messages of one instant come in no order one could rely on."""
        order = "ASC" if ascending else "DESC"
        sql = (
            "SELECT ts_ms, attrs FROM message WHERE tenant = ? AND device_id = ?"
            f" AND ts_ms BETWEEN ? AND ? ORDER BY ts_ms {order}, rowid * 7919 % 1009"
        )
        since = _instant(parameters, "dateFrom", -(2**63))
        until = _instant(parameters, "dateTo", 2**63 - 1)
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


def read_query(query: str) -> Parameters:
    """Read a query as falcon 1.0.0 does. A name that is mentioned again has a list of values, and
    so has one with commas at its first mention: bare ones, since values are unescaped last."""
    found: Parameters = {}
    for field in query.split("&"):
        escaped, _, text = field.partition("=")
        if not text:
            continue
        name = unquote_plus(escaped)
        before = found.get(name)
        if before is None:
            parts = [unquote_plus(part) for part in text.split(",") if part]
            found[name] = parts if "," in text else parts[0]
        else:
            found[name] = [*(before if isinstance(before, list) else [before]), unquote_plus(text)]
    return found


def _line_too_long(request: Request) -> Response | None:
    """What gunicorn says to a request line that it finds too long. The gateway's part of the path
    is not in it."""
    path = request.url.path.removeprefix("/history")
    length = len(f"{request.method} {path}?{request.url.query} HTTP/1.1")
    if length <= _LONGEST_LINE:
        return None
    problem = f"Request Line is too large ({length} &gt; {_LONGEST_LINE})"
    return HTMLResponse(f"<html><h1>Bad Request</h1>{problem}</html>", 400)


def _limit(parameters: Parameters) -> tuple[int, bool]:
    """(entries per attribute, ascending); the first of the three that is given counts."""
    for name in _LIMITS:
        if name in parameters:
            text = parameters[name]
            if isinstance(text, list):
                raise Unforeseen
            try:
                return abs(int(text)), name == "firstN"
            except ValueError:
                text = f'The "{name}" parameter is invalid. Must be integer.'
                raise Refused(400, {"title": "Invalid parameter", "description": text}) from None
    return 0, False


def _instant(parameters: Parameters, name: str, absent: int) -> int:
    if name not in parameters:
        return absent
    try:
        instant = parser.parse(parameters[name])
    except (ValueError, OverflowError, TypeError):
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
