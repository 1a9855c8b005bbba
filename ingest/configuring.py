"""Configuration after a boot: what to ask of a charge point, and when to leave it alone.

The wishes are the bench's: its eight measurands every ten seconds. A charge point that refuses
the list is offered shorter ones; one that boots again and again after it took the list is one of
those that cannot carry it: it gets a shorter list later, and peace until then.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from psycopg.rows import class_row
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.calls import CallFailed
from ingest.charge_point import ChargePoint
from ingest.commands import Commands
from ingest.database import DATABASE_AWAY
from ingest.pace import Line, two_lines

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_ASKED_BY = "configuration after boot"
_MEASURANDS_KEY = "MeterValuesSampledData"
_LENGTH_KEY = "MeterValuesSampledDataMaxLength"
_EIGHT = (
    "Energy.Active.Import.Register",
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "SoC",
    "Temperature",
    "Current.Offered",
    "Power.Offered",
)
# Offered limits and the temperature are what small firmware lacks first, then the vehicle's charge.
MEASURAND_LISTS = (_EIGHT, _EIGHT[:5], _EIGHT[:4], _EIGHT[:2])
_BOOTS_OF_A_LOOP = 4
_CHANGES_OF_A_LOOP = 8
_PAUSE = timedelta(minutes=15)
_MOST_AT_ONCE = 50  # of those who answer; however long others take, they keep nobody waiting
_GONE = ("ConnectionClosed", "Timeout")  # no refusal: there is nobody to talk to
_UNABLE = ("NotImplemented", "NotSupported")  # to tell its configuration: it has none to change
_SILENCE_BEFORE_TRIGGER_S = 10.0


@dataclass(frozen=True, slots=True)
class History:
    """What we know of earlier configurations.

    Attributes:
        level: Index of the list of measurands to begin with; past the last: do not ask.
        boots: BootNotifications in the last ten minutes that came, unasked for, within a quarter
            of an hour after we changed the list.
        changes: How often it took a list in the last ten minutes: it forgets at each boot.
    """

    level: int
    measurands_at: datetime | None
    paused_until: datetime | None
    boots: int
    changes: int = 0

    @property
    def is_loop(self) -> bool:
        return self.boots >= _BOOTS_OF_A_LOOP or self.changes >= _CHANGES_OF_A_LOOP


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    Attributes:
        level: Of the list of measurands to ask for; None: ask for nothing.
        pause_until: Leave the charge point alone until then, but for the list.
    """

    level: int | None
    pause_until: datetime | None = None


def decide(history: History, now: datetime) -> Decision:
    """Return whether to configure, and with which list of measurands. Pure."""
    if history.is_loop:
        return Decision(history.level + 1, now + _PAUSE)
    if history.paused_until is not None and now < history.paused_until:
        return Decision(None, history.paused_until)
    return Decision(history.level)


@dataclass(frozen=True, slots=True)
class Keys:
    """Configuration keys as a charge point told them; names in any case."""

    values: Mapping[str, str]
    unknown: frozenset[str] = frozenset()

    def lacks(self, name: str) -> bool:
        """Return whether the charge point said it has no such key."""
        return name.lower() in self.unknown

    def get(self, name: str) -> str | None:
        return self.values.get(name.lower())


def read_keys(response: Mapping[str, Any]) -> Keys:
    """Return what a GetConfiguration.conf tells, whatever shape it has. Pure."""
    told, unknown = response.get("configurationKey"), response.get("unknownKey")
    values = {
        str(entry["key"]).strip().lower(): "" if entry.get("value") is None else str(entry["value"])
        for entry in (told if isinstance(told, list) else [])
        if isinstance(entry, dict) and entry.get("key")
    }
    missing = (str(name).strip().lower() for name in (unknown if isinstance(unknown, list) else []))
    return Keys(values, frozenset(missing) - values.keys())


def measurands_for(level: int, keys: Keys) -> list[str]:
    """Return the list for ``level``, not longer than the charge point can hold. Pure."""
    wanted = list(MEASURAND_LISTS[level])
    longest = keys.get(_LENGTH_KEY) or ""
    return wanted[: int(longest)] if longest.isdigit() and int(longest) > 0 else wanted


def differs(name: str, wanted: str, keys: Keys) -> bool:
    """Return whether the key is there, or may be, with another value. Pure."""
    if keys.lacks(name):
        return False
    present = keys.get(name)
    if present is None:
        return True
    if name == _MEASURANDS_KEY:
        return _as_set(present) != _as_set(wanted)
    return present.strip().lower() != wanted.lower()


def _as_set(measurands: str) -> set[str]:
    return {name.strip().lower() for name in measurands.split(",") if name.strip()}


@dataclass(slots=True)
class Configuring:
    """Configures charge points that booted, and asks who they are when nobody knows.

    Attributes:
        wishes: Values of the keys beside the list of measurands.
    """

    pool: AsyncConnectionPool
    commands: Commands
    wishes: Mapping[str, str]
    _introduced: set[int] = field(default_factory=set)
    _under_way: set[tuple[int, datetime]] = field(default_factory=set)
    _at_once: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_AT_ONCE))
    _first: Line = field(init=False)
    _further: Line = field(init=False)

    def __post_init__(self) -> None:
        self._first, self._further = two_lines(self.pool)

    def knows(self, charge_point: ChargePoint) -> bool:
        """Return whether a charge point said who it is, or need not be asked again."""
        is_introduced = charge_point.charge_point_id in self._introduced
        return is_introduced or charge_point.registration.has_booted

    async def after_boot(self, charge_point: ChargePoint) -> None:
        """Bring the configuration to our wishes, as far as the charge point goes along."""
        self._introduced.add(charge_point.charge_point_id)
        socket = (charge_point.charge_point_id, charge_point.opened_at)
        if socket in self._under_way:
            return  # its Boot came twice
        self._under_way.add(socket)
        try:
            await self._configure(charge_point)
        except CallFailed as exc:
            logger.info("%s: not configured: %s", charge_point.identity, exc)
        except DATABASE_AWAY as exc:
            logger.warning("%s: not configured: %s", charge_point.identity, str(exc).strip())
        finally:
            self._under_way.discard(socket)

    async def learn_identity(self, charge_point: ChargePoint) -> None:
        """Ask a charge point for its BootNotification once if it never sent us one."""
        await charge_point.settled(_SILENCE_BEFORE_TRIGGER_S)
        if self.knows(charge_point):
            return
        try:
            await self._first.turn(charge_point.calls)
            if not self.knows(charge_point) and not await self._has_booted(charge_point):
                payload = {"requestedMessage": "BootNotification"}
                await self.commands.ask(charge_point, "TriggerMessage", payload, "never booted")
        except CallFailed as exc:
            logger.info("%s: does not say who it is: %s", charge_point.identity, exc)
            if exc.code == "ConnectionClosed":
                return  # the next socket will be asked
        except DATABASE_AWAY as exc:
            logger.warning("%s: not asked who it is: %s", charge_point.identity, str(exc).strip())
            return
        self._introduced.add(charge_point.charge_point_id)

    async def _configure(self, charge_point: ChargePoint) -> None:
        await self._first.turn(charge_point.calls)
        history = await self._history(charge_point)
        decision = decide(history, datetime.now(UTC))
        if decision.level is None:
            return
        if decision.pause_until is not None:
            await self._shorten(charge_point, history, decision.level, decision.pause_until)
            return
        keys = await self._get(charge_point, {}, _UNABLE)
        async with self._at_once:
            await self._bring(charge_point, decision.level, keys)

    async def _bring(self, charge_point: ChargePoint, level: int, keys: Keys) -> None:
        """Change what differs from our wishes, and read it back."""
        keys = await self._complete(charge_point, keys)
        asked = [
            name
            for name, wanted in self.wishes.items()
            if differs(name, wanted, keys) and await self._change(charge_point, name, wanted)
        ]
        if await self._set_measurands(charge_point, level, keys):
            asked.append(_MEASURANDS_KEY)
        await self._save(charge_point, level, _MEASURANDS_KEY in asked)
        if asked:
            await self._further.turn(charge_point.calls)
            await self.commands.ask(charge_point, "GetConfiguration", {"key": asked}, _ASKED_BY)

    async def _shorten(
        self, charge_point: ChargePoint, history: History, level: int, until: datetime
    ) -> None:
        """Take the charge point out of its boot loop, and touch nothing else for a while."""
        logger.warning("%s: boots again and again", charge_point.identity)
        changed = await self._set_measurands(charge_point, level, Keys({}))
        boots = max(history.boots, history.changes)
        note = f"{boots} boots within minutes of a new list of measurands"
        await self._save(charge_point, level, changed, until, note)

    async def _complete(self, charge_point: ChargePoint, keys: Keys) -> Keys:
        """Read by name what a long list was cut short of."""
        names = [*self.wishes, _MEASURANDS_KEY]
        missing = [name for name in names if keys.get(name) is None and not keys.lacks(name)]
        if not missing:
            return keys
        await self._further.turn(charge_point.calls)
        more = await self._get(charge_point, {"key": missing})
        return Keys({**keys.values, **more.values}, keys.unknown | more.unknown)

    async def _get(
        self, charge_point: ChargePoint, payload: dict[str, Any], ends: tuple[str, ...] = ()
    ) -> Keys:
        """Return what the charge point tells; nothing where it refuses, but for what ``ends``."""
        try:
            return read_keys(
                await self.commands.ask(charge_point, "GetConfiguration", payload, _ASKED_BY)
            )
        except CallFailed as exc:
            if exc.code in (*_GONE, *ends):
                raise
            return Keys({})

    async def _change(self, charge_point: ChargePoint, name: str, wanted: str) -> bool:
        """Return whether the charge point took the value."""
        await self._further.turn(charge_point.calls)
        payload = {"key": name, "value": wanted}
        try:
            response = await self.commands.ask(
                charge_point, "ChangeConfiguration", payload, _ASKED_BY
            )
        except CallFailed as exc:
            if exc.code in _GONE:
                raise
            return False  # a CALLERROR is a refusal of this key only
        return response.get("status") in ("Accepted", "RebootRequired")

    async def _set_measurands(self, charge_point: ChargePoint, level: int, keys: Keys) -> bool:
        """Offer lists from ``level`` on until one is taken; return whether it is a new one."""
        for step in range(level, len(MEASURAND_LISTS)):
            wanted = ",".join(measurands_for(step, keys))
            if not differs(_MEASURANDS_KEY, wanted, keys):
                return False
            if await self._change(charge_point, _MEASURANDS_KEY, wanted):
                return True
        return False

    async def _has_booted(self, charge_point: ChargePoint) -> bool:
        """Ask the table: another replica may have met it."""
        parameters = {"charge_point_id": charge_point.charge_point_id}
        async with self.pool.connection() as conn:
            row = await (await conn.execute(_QUERIES["has_booted"], parameters)).fetchone()
        return row is not None and bool(row[0])

    async def _history(self, charge_point: ChargePoint) -> History:
        async with self.pool.connection() as conn:
            cursor = conn.cursor(row_factory=class_row(History))
            parameters = {
                "charge_point_id": charge_point.charge_point_id,
                "asked_by": _ASKED_BY,
                "key": _MEASURANDS_KEY,
            }
            await cursor.execute(_QUERIES["boot_configuration"], parameters)
            found = await cursor.fetchone()
        assert found is not None, "a connected charge point is registered"
        return found

    async def _save(
        self,
        charge_point: ChargePoint,
        level: int,
        changed: bool,
        paused_until: datetime | None = None,
        note: str | None = None,
    ) -> None:
        parameters = {
            "charge_point_id": charge_point.charge_point_id,
            "level": level,
            "measurands_at": datetime.now(UTC) if changed else None,
            "paused_until": paused_until,
            "note": note,
        }
        async with self.pool.connection() as conn:
            await conn.execute(_QUERIES["save_boot_configuration"], parameters)


def wishes(
    sample_interval_s: int, aligned_interval_s: int, heartbeat_s: int, ping_s: int
) -> dict[str, str]:
    """Return the keys we set beside the list of measurands, in the order they are set."""
    return {
        "MeterValueSampleInterval": str(sample_interval_s),
        "ClockAlignedDataInterval": str(aligned_interval_s),
        "HeartbeatInterval": str(heartbeat_s),
        "WebSocketPingInterval": str(ping_s),
    }
