"""Loads on a central system: saturating, paced, storms.

Neutral: only OCPP 1.6J goes over the wire.
"""

import asyncio
import errno
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from benchmarks.station import Refused, Station

Watch = Callable[[], None]  # called when the counted time begins and when it ends
Ready = Callable[[], Awaitable[None]]  # awaited when everybody is there, before that time begins

_PATIENCE_S = 60
_A_DAY, _A_MONTH = timedelta(days=1), timedelta(days=30)
# Of a station that never pauses: the day of its clock lasts for 86,400 readings, and no station
# sends as many of them in a second as this.
_SATURATED_STEP, _MOST_PER_S = timedelta(seconds=1), 500
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


class Failed(Exception):
    """The server did not do what the load needs; no figure can be given."""


@dataclass(slots=True)
class Outcome:
    """What a load saw.

    Attributes:
        confirmed: CALLRESULTs received within the counted time.
        errors: CALLERRORs, lost sockets and refused handshakes.
        skipped: Readings not sent because the answer to the one before was still missing.
        latencies_s: Of every counted CALL, from sending to answer.
    """

    stations: int
    seconds: float = 0.0
    confirmed: int = 0
    errors: int = 0
    skipped: int = 0
    latencies_s: list[float] = field(default_factory=list)
    first_error: str = ""

    def count(self, station: Station, text: bytes, waited_s: float) -> None:
        """Take the answer to a CALL."""
        if text[:2] == b"[3":
            self.confirmed += 1
            self.latencies_s.append(waited_s)
        else:
            self.fail(text[:200].decode(errors="replace"))

    def fail(self, reason: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or reason

    def percentile_ms(self, percent: float) -> float:
        self.latencies_s.sort()
        if not self.latencies_s:
            raise Failed("no CALL was confirmed")
        count = len(self.latencies_s)
        return self.latencies_s[min(count - 1, int(count * percent / 100))] * 1000

    def summary(self) -> dict[str, float]:
        return {
            "stations": self.stations,
            "seconds": round(self.seconds, 2),
            "confirmed": self.confirmed,
            "errors": self.errors,
            "skipped": self.skipped,
            "frames_per_s": round(self.confirmed / self.seconds, 1),
            "p50_ms": round(self.percentile_ms(50), 2),
            "p95_ms": round(self.percentile_ms(95), 2),
            "p99_ms": round(self.percentile_ms(99), 2),
        }


async def enter(station: Station) -> None:
    """Connect; what stands in the way is said in plain words. Raises Failed."""
    try:
        await asyncio.wait_for(station.connect(), _PATIENCE_S)
    except Refused as exc:
        raise Failed(f"the server refused {exc}") from None
    except TimeoutError:
        raise Failed(f"{station.url} did not answer a handshake for {_PATIENCE_S} s") from None
    except OSError as exc:
        if exc.errno in _TOO_MANY_FILES:
            raise Failed("there are too few file descriptors for so many sockets") from None
        raise Failed(f"cannot reach {station.url}: {exc.strerror or exc}") from None


class Answer(NamedTuple):
    """What came back, and the seconds it took."""

    text: bytes
    waited_s: float

    @property
    def confirmation(self) -> dict[str, Any]:
        """The payload of a CALLRESULT; empty for whatever else came."""
        try:
            kind, _, payload = json.loads(self.text)
        except (ValueError, TypeError):
            return {}
        return payload if kind == 3 and isinstance(payload, dict) else {}


class Conversation:
    """Calls stations together: one CALL each, all answers awaited."""

    def __init__(self) -> None:
        self._waiting: dict[Station, asyncio.Future[Answer]] = {}

    def on_answer(self, station: Station, text: bytes, waited_s: float) -> None:
        if waiting := self._still_waiting(station):
            waiting.set_result(Answer(text, waited_s))

    def on_lost(self, station: Station) -> None:
        if waiting := self._still_waiting(station):
            waiting.set_exception(Failed(f"the server closed the socket of {station.identity}"))

    def _still_waiting(self, station: Station) -> asyncio.Future[Answer] | None:
        waiting = self._waiting.pop(station, None)
        return None if waiting is None or waiting.done() else waiting

    async def call(self, station: Station, action: str, payload: str) -> Answer:
        """Return the answer. Raises Failed if there is none."""
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[station] = waiting
        station.on_lost = self.on_lost
        if station.lost:
            self.on_lost(station)
        else:
            station.call(action, payload)
        try:
            return await asyncio.wait_for(waiting, _PATIENCE_S)
        except TimeoutError:
            raise Failed(f"{action} was not answered for {_PATIENCE_S} s") from None

    async def boot(self, station: Station) -> None:
        """Raises Failed unless the central system accepts it."""
        answer = await self.call(
            station, "BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"T54"}'
        )
        if answer.confirmation.get("status") != "Accepted":
            raise Failed(f"BootNotification was answered {answer.text[:200]!r}")

    async def start(self, station: Station) -> float:
        """Begin a transaction; return the seconds it took. Raises Failed if there is none."""
        at = station.clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = await self.call(
            station,
            "StartTransaction",
            f'{{"connectorId":1,"idTag":"BENCH","meterStart":0,"timestamp":"{at}"}}',
        )
        transaction_id = answer.confirmation.get("transactionId")
        if not isinstance(transaction_id, int):
            raise Failed(f"StartTransaction was answered {answer.text[:200]!r}")
        station.transaction_id = transaction_id
        return answer.waited_s


@asynccontextmanager
async def prepared(
    urls: Sequence[str],
    prefix: str,
    count: int,
    *,
    charging: bool = True,
    behind: timedelta = _A_DAY,
) -> AsyncIterator[tuple[list[Station], Conversation]]:
    """Connect, boot (and charge) at the ``urls`` by turns; close all sockets at the end.

    Raises:
        Failed: Somebody was not let in, or not answered.
    """
    conversation = Conversation()
    stations = [
        Station(urls[number % len(urls)], f"{prefix}-{number:05d}", conversation.on_answer, behind)
        for number in range(count)
    ]
    door = asyncio.Semaphore(200)

    async def come_in(station: Station) -> None:
        async with door:
            await enter(station)

    async def begin(station: Station) -> None:
        async with door:
            await conversation.boot(station)
            if charging:
                await conversation.start(station)

    try:
        await _all(come_in(station) for station in stations)
        await _all(begin(station) for station in stations)
        yield stations, conversation
    finally:
        await _close(stations)


async def _close(stations: Iterable[Station]) -> None:
    for station in stations:
        station.close()
    await asyncio.sleep(0)  # the transports take their leave in the next turn of the loop


async def _all(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do everything; the first failure ends the rest and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def nothing() -> None:
    """Nothing has to happen before a load begins."""


async def saturate(
    urls: Sequence[str],
    prefix: str,
    count: int,
    seconds: float,
    watch: Watch,
    ready: Ready = nothing,
) -> Outcome:
    """Every station sends its next MeterValues as soon as the last one is confirmed."""
    outcome = Outcome(count)
    behind = min(max(_A_DAY, seconds * _MOST_PER_S * _SATURATED_STEP), _A_MONTH)
    async with prepared(urls, prefix, count, behind=behind) as (stations, _):
        await ready()
        began = time.perf_counter()
        watch()
        await _never_pause(outcome, stations, began + seconds)
        watch()
        outcome.seconds = time.perf_counter() - began
        _check(outcome, stations)
    return outcome


async def _never_pause(outcome: Outcome, stations: list[Station], end: float) -> None:
    idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    busy = set(stations)

    def on_answer(station: Station, text: bytes, waited_s: float) -> None:
        outcome.count(station, text, waited_s)
        if time.perf_counter() < end:
            station.meter_values(_SATURATED_STEP)
        else:
            rest(station)

    def rest(station: Station) -> None:
        busy.discard(station)
        if not busy and not idle.done():
            idle.set_result(None)

    for station in stations:
        station.on_answer, station.on_lost = on_answer, rest
        if station.lost:
            rest(station)
        else:
            station.meter_values(_SATURATED_STEP)
    try:
        await asyncio.wait_for(idle, end - time.perf_counter() + _PATIENCE_S)
    except TimeoutError:
        raise Failed(f"{len(busy)} CALLs were not answered for {_PATIENCE_S} s") from None


async def paced(
    urls: Sequence[str],
    prefix: str,
    count: int,
    interval_s: float,
    seconds: float,
    watch: Watch,
    ready: Ready = nothing,
) -> Outcome:
    """Every station sends one MeterValues per interval, spread evenly; answers are counted.

    One that still waits for an answer leaves a reading out, as its next CALL may not leave before.
    """
    outcome = Outcome(count)
    total = round(seconds / interval_s * count)
    step = timedelta(seconds=max(1, round(interval_s)))  # the readings tell whole seconds
    async with prepared(urls, prefix, count) as (stations, _):
        await ready()
        for station in stations:
            station.on_answer = outcome.count
        began = time.perf_counter()
        watch()
        await _keep_pace(outcome, stations, total, count / interval_s, step)
        sent = total - outcome.skipped
        await _settle(outcome, sent, stations)
        watch()
        outcome.seconds = time.perf_counter() - began
        outcome.errors = sent - outcome.confirmed
        _check(outcome, stations)
    return outcome


async def _keep_pace(
    outcome: Outcome, stations: list[Station], total: int, rate: float, step: timedelta
) -> None:
    order = random.Random(1).sample(stations, len(stations))
    began = time.perf_counter()
    due = 0
    while due < total:
        before, due = due, min(int((time.perf_counter() - began) * rate), total)
        for number in range(before, due):
            station = order[number % len(order)]
            if station.is_waiting:
                outcome.skipped += 1
            else:
                station.meter_values(step)
        await asyncio.sleep(0.005)


async def _settle(outcome: Outcome, sent: int, stations: list[Station]) -> None:
    """Wait for the last answers, unless somebody is gone who owes some."""
    end = time.perf_counter() + _PATIENCE_S
    while outcome.confirmed + outcome.errors < sent and time.perf_counter() < end:
        if any(station.lost for station in stations):
            return
        await asyncio.sleep(0.01)


def _check(outcome: Outcome, stations: Sequence[Station]) -> None:
    """With errors in the books there is no figure to give. Raises Failed."""
    if lost := sum(station.lost for station in stations):
        raise Failed(f"the server closed {lost} of {len(stations)} sockets during the load")
    if outcome.errors:
        reason = f", the first: {outcome.first_error}" if outcome.first_error else ""
        raise Failed(f"{outcome.errors} CALLs were not confirmed{reason}")


async def start_storm(urls: Sequence[str], prefix: str, count: int, watch: Watch) -> Outcome:
    """All stations begin a transaction at one instant."""
    outcome = Outcome(count)

    async def begin(station: Station, conversation: Conversation) -> None:
        try:
            outcome.latencies_s.append(await conversation.start(station))
        except Failed as exc:
            outcome.fail(str(exc))
        else:
            outcome.confirmed += 1

    async with prepared(urls, prefix, count, charging=False) as (stations, conversation):
        for station in stations:
            station.clock = datetime.now(UTC)
        began = time.perf_counter()
        watch()
        await asyncio.gather(*(begin(station, conversation) for station in stations))
        watch()
        outcome.seconds = time.perf_counter() - began
        _check(outcome, stations)
    return outcome


async def reconnect_storm(
    urls: Sequence[str], prefix: str, count: int, times: int, watch: Watch
) -> Outcome:
    """All stations connect and boot at once; then again, ``times`` times."""
    outcome = Outcome(count)
    began = time.perf_counter()
    watch()
    for _ in range(times):
        conversation = Conversation()
        stations = [
            Station(urls[number % len(urls)], f"{prefix}-{number:05d}", conversation.on_answer)
            for number in range(count)
        ]
        try:
            await asyncio.gather(*(_come_back(each, conversation, outcome) for each in stations))
            _check(outcome, stations)
        finally:
            await _close(stations)
    watch()
    outcome.seconds = time.perf_counter() - began
    return outcome


async def _come_back(station: Station, conversation: Conversation, outcome: Outcome) -> None:
    at = time.perf_counter()
    try:
        await enter(station)
        await conversation.boot(station)
    except Failed as exc:
        outcome.fail(str(exc))
        return
    outcome.confirmed += 1
    outcome.latencies_s.append(time.perf_counter() - at)
