"""Loads on a central system: saturating, paced, storms.

Neutral: only OCPP 1.6J goes over the wire.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from benchmarks.station import Station

_PATIENCE_S = 60


class Failed(Exception):
    """The server did not do what the load needs; no figure can be given."""


@dataclass(slots=True)
class Outcome:
    """What a load saw.

    Attributes:
        confirmed: CALLRESULTs received within the counted time.
        errors: CALLERRORs, lost sockets and refused handshakes.
        latencies_s: Of every counted CALL, from sending to answer.
    """

    stations: int
    seconds: float = 0.0
    confirmed: int = 0
    errors: int = 0
    meter_values: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies_s)
        if not ordered:
            raise Failed("no CALL was confirmed")
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000

    def summary(self) -> dict[str, float]:
        return {
            "stations": self.stations,
            "seconds": round(self.seconds, 2),
            "confirmed": self.confirmed,
            "errors": self.errors,
            "meter_values": self.meter_values,
            "frames_per_s": round(self.confirmed / self.seconds, 1),
            "p50_ms": round(self.percentile_ms(50), 2),
            "p95_ms": round(self.percentile_ms(95), 2),
            "p99_ms": round(self.percentile_ms(99), 2),
        }


async def connect_all(
    url: str, prefix: str, count: int, on_answer: Callable[[Station, bytes], None]
) -> list[Station]:
    """Open the websockets, some hundred at a time, and boot each charge point."""
    stations = [Station(url, f"{prefix}-{number:05d}", on_answer) for number in range(count)]
    door = asyncio.Semaphore(200)

    async def come_in(station: Station) -> None:
        async with door:
            await station.connect()

    await asyncio.gather(*(come_in(station) for station in stations))
    return stations


class Conversation:
    """Calls stations together: one CALL each, all answers awaited."""

    def __init__(self) -> None:
        self._waiting: dict[Station, asyncio.Future[bytes]] = {}

    def on_answer(self, station: Station, text: bytes) -> None:
        if text[:2] == b"[2":  # a CALL of the central system: we do not do that
            message_id = json.loads(text)[1]
            station._write(0x81, json.dumps([4, message_id, "NotSupported", "", {}]).encode())
        elif waiting := self._waiting.pop(station, None):
            waiting.set_result(text)

    async def call(self, station: Station, action: str, payload: str) -> bytes:
        waiting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[station] = waiting
        station.call(action, payload)
        return await asyncio.wait_for(waiting, _PATIENCE_S)

    async def boot(self, station: Station) -> None:
        await self.call(
            station, "BootNotification", '{"chargePointVendor":"Bench","chargePointModel":"T54"}'
        )

    async def start(self, station: Station) -> None:
        at = station.clock.strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = await self.call(
            station,
            "StartTransaction",
            f'{{"connectorId":1,"idTag":"BENCH","meterStart":0,"timestamp":"{at}"}}',
        )
        frame = json.loads(answer)
        if frame[0] != 3:
            raise Failed(f"StartTransaction was answered {answer[:200]!r}")
        station.transaction_id = frame[2]["transactionId"]


async def prepared(
    url: str, prefix: str, count: int, *, charging: bool = True
) -> tuple[list[Station], Conversation]:
    """Return connected, booted (and charging) stations."""
    conversation = Conversation()
    stations = await connect_all(url, prefix, count, conversation.on_answer)
    door = asyncio.Semaphore(100)

    async def begin(station: Station) -> None:
        async with door:
            await conversation.boot(station)
            if charging:
                await conversation.start(station)

    await asyncio.gather(*(begin(station) for station in stations))
    return stations, conversation


async def saturate(url: str, prefix: str, count: int, seconds: float) -> Outcome:
    """Every station sends its next MeterValues as soon as the last one is confirmed."""
    outcome = Outcome(count)
    stations, _ = await prepared(url, prefix, count)
    end = time.perf_counter() + seconds
    idle: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    busy = len(stations)

    def on_answer(station: Station, text: bytes) -> None:
        nonlocal busy
        now = time.perf_counter()
        if text[:2] == b"[3":
            outcome.confirmed += 1
            outcome.latencies_s.append(now - station.sent_at)
        else:
            outcome.errors += 1
        if now < end:
            station.meter_values()
        else:
            busy -= 1
            if busy == 0:
                idle.set_result(None)

    began = time.perf_counter()
    for station in stations:
        station.on_answer = on_answer
        station.meter_values()
    await asyncio.wait_for(idle, seconds + _PATIENCE_S)
    outcome.seconds = time.perf_counter() - began
    outcome.meter_values = outcome.confirmed
    outcome.errors += sum(station.lost for station in stations)
    for station in stations:
        station.close()
    return outcome


async def paced(url: str, prefix: str, count: int, interval_s: float, seconds: float) -> Outcome:
    """Every station sends one MeterValues per interval, spread evenly; answers are counted."""
    outcome = Outcome(count)
    stations, _ = await prepared(url, prefix, count)

    def on_answer(station: Station, text: bytes) -> None:
        if text[:2] == b"[3":
            outcome.confirmed += 1
            outcome.latencies_s.append(time.perf_counter() - station.sent_at)
        elif text[:2] == b"[4":
            outcome.errors += 1

    for station in stations:
        station.on_answer = on_answer
    order = random.Random(1).sample(stations, len(stations))
    began = time.perf_counter()
    sent = 0
    while (now := time.perf_counter() - began) < seconds:
        due = min(int(now / interval_s * count), int(seconds / interval_s * count))
        for number in range(sent, due):
            order[number % count].meter_values()
        sent = due
        await asyncio.sleep(0.005)
    await _settle(outcome, sent)
    outcome.seconds = time.perf_counter() - began
    outcome.meter_values = outcome.confirmed
    outcome.errors += sent - outcome.confirmed - outcome.errors
    for station in stations:
        station.close()
    return outcome


async def _settle(outcome: Outcome, sent: int) -> None:
    end = time.perf_counter() + _PATIENCE_S
    while outcome.confirmed + outcome.errors < sent and time.perf_counter() < end:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def start_storm(url: str, prefix: str, count: int) -> Outcome:
    """All stations begin a transaction at one instant."""
    outcome = Outcome(count)
    stations, conversation = await prepared(url, prefix, count, charging=False)
    for station in stations:
        station.clock = datetime.now(UTC)

    async def begin(station: Station) -> None:
        try:
            await conversation.start(station)
        except (Failed, TimeoutError):
            outcome.errors += 1
        else:
            outcome.confirmed += 1
            outcome.latencies_s.append(time.perf_counter() - station.sent_at)

    began = time.perf_counter()
    await asyncio.gather(*(begin(station) for station in stations))
    outcome.seconds = time.perf_counter() - began
    for station in stations:
        station.close()
    return outcome


async def reconnect_storm(url: str, prefix: str, count: int, times: int) -> Outcome:
    """All stations connect and boot at once; then again, ``times`` times."""
    outcome = Outcome(count)
    began = time.perf_counter()
    for _ in range(times):
        conversation = Conversation()

        async def come(number: int, conversation: Conversation = conversation) -> Station | None:
            station = Station(url, f"{prefix}-{number:05d}", conversation.on_answer)
            at = time.perf_counter()
            try:
                await station.connect()
                await conversation.boot(station)
            except (OSError, TimeoutError):
                outcome.errors += 1
                return None
            outcome.confirmed += 1
            outcome.latencies_s.append(time.perf_counter() - at)
            return station

        for station in await asyncio.gather(*(come(number) for number in range(count))):
            if station is not None:
                station.close()
    outcome.seconds = time.perf_counter() - began
    return outcome
