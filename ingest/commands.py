"""Commands: CALLs that somebody queued in the database, sent by the replica that holds the socket.

A command is claimed by one replica and sent once: what became of it is written down, also when
the answer comes too late or nobody is left to wait for it, but it is never repeated by itself.
"""

import asyncio
import itertools
import logging
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool

import sql
from ingest.actions import InvalidPayload, UnknownAction, action_named, as_answered, check
from ingest.calls import LONGEST_WAIT_S, CallFailed
from ingest.charge_point import ChargePoint
from ingest.database import DATABASE_AWAY
from ingest.effects import Command, expect_new_password, record_effect
from ingest.fields import LONGEST_ID_TAG
from ingest.frames import CallError, CallResult
from ingest.redaction import without_secrets

logger = logging.getLogger(__name__)

_QUERIES = sql.load("ingest")
_SWEEP_EVERY_S = 3.0
_SWEEPS_PER_LOOK_AT_SOCKETS = 5  # it looks at every open connection
_OWN_WAIT_S = 30.0
_BOOT_FIRST_S = 1.0  # a charge point that has just connected may want to say who it is
_STORE_TRIES = 30
_OUR_FAILURES = ("ConnectionClosed", "InvalidCommand", "Timeout")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a CALL: a response or a failure."""

    response: dict[str, Any] | None = None
    failure: CallFailed | None = None

    @property
    def name(self) -> str:
        """One of a handful of words: codes of CALLERRORs come from outside."""
        if self.failure is None:
            return "answered"
        return self.failure.code if self.failure.code in _OUR_FAILURES else "CallError"


@dataclass(slots=True)
class Commands:
    """Sends what is queued for the charge points that are connected here.

    Attributes:
        tally: What became of the CALLs, counted.
        reads_back: Whether a changed configuration key is read afterwards.
    """

    pool: AsyncConnectionPool
    connected: Mapping[int, ChargePoint]
    replica_id: UUID
    tally: Counter[str]
    reads_back: bool = True
    _working: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    _again: set[int] = field(default_factory=set)
    _waiting: set[int] = field(default_factory=set)
    _outstanding: dict[str, Command] = field(default_factory=dict)
    _recording: set[asyncio.Task[None]] = field(default_factory=set)
    _sweeps: Iterator[int] = field(default_factory=itertools.count)

    async def run(self) -> None:
        """Sweep for ever: what expired or was abandoned, and what no notice told us of."""
        while True:
            try:
                await self._sweep()
            except DATABASE_AWAY as exc:
                logger.warning("commands are not looked after: %s", str(exc).strip())
            await asyncio.sleep(_SWEEP_EVERY_S)

    async def stop(self, patience_s: float = 5.0) -> None:
        """Wait until what became of the CALLs under way is written down; their sockets are shut."""
        busy = [*self._working.values(), *self._recording]
        if busy:
            await asyncio.wait(busy, timeout=patience_s)

    def wake(self, charge_point_id: int) -> None:
        """Look for commands of this charge point, now or once its socket is here."""
        if (charge_point := self.connected.get(charge_point_id)) is None:
            self._waiting.add(charge_point_id)
            return
        if charge_point_id in self._working:
            self._again.add(charge_point_id)
            return
        task = asyncio.create_task(self._work(charge_point), name=f"commands {charge_point_id}")
        self._working[charge_point_id] = task

    def welcome(self, charge_point_id: int) -> None:
        """Look for commands that waited for this charge point to connect; cheap if none did."""
        if charge_point_id in self._waiting:
            self.wake(charge_point_id)

    async def ask(
        self, charge_point: ChargePoint, action: str, payload: dict[str, Any], asked_by: str
    ) -> dict[str, Any]:
        """Make a CALL of our own accord, recorded like any command; return its response.

        Raises:
            CallFailed: As ``Calls.call`` does.
            DATABASE_AWAY: It could not be recorded, so it was not sent.
        """
        async with charge_point.calls.turn:
            if charge_point.calls.closed:
                raise CallFailed("ConnectionClosed", "the charge point disconnected")
            command = await self._record(charge_point, action, payload, asked_by)
            outcome = await self._carry_out(charge_point, command, _OWN_WAIT_S)
        if outcome.failure is not None:
            raise outcome.failure
        return outcome.response or {}

    async def _sweep(self) -> None:
        outstanding = [command.command_id for command in self._outstanding.values()]
        async with self.pool.connection() as conn:
            expired = await conn.execute(_QUERIES["expire_commands"])
            for command_id, payload in await expired.fetchall():
                await _hide_secrets(conn, command_id, payload)
            await conn.execute(
                _QUERIES["fail_abandoned_commands"],
                {"replica_id": self.replica_id, "outstanding": outstanding},
            )
            if next(self._sweeps) % _SWEEPS_PER_LOOK_AT_SOCKETS == 0:
                await conn.execute(_QUERIES["close_replaced_connections"])
            waiting = await (await conn.execute(_QUERIES["waiting_charge_points"])).fetchall()
        self._waiting.clear()
        for (charge_point_id,) in waiting:
            self.wake(charge_point_id)

    async def _work(self, charge_point: ChargePoint) -> None:
        """Send one command after the other until none is left."""
        charge_point_id = charge_point.charge_point_id
        try:
            await charge_point.settled(_BOOT_FIRST_S)
            while not charge_point.calls.closed:
                self._again.discard(charge_point_id)
                if not await self._send_next(charge_point) and charge_point_id not in self._again:
                    return
        except DATABASE_AWAY as exc:
            logger.warning("%s: commands wait: %s", charge_point.identity, str(exc).strip())
        except Exception:
            logger.exception("%s: commands stopped", charge_point.identity)
        finally:
            del self._working[charge_point_id]
            if self.connected.get(charge_point_id, charge_point) is not charge_point:
                self.wake(charge_point_id)  # it came back while we were busy with its old socket

    async def _send_next(self, charge_point: ChargePoint) -> bool:
        """Send the oldest command; return whether there was one."""
        async with charge_point.calls.turn:
            command = await self._claim(charge_point)
            if command is None:
                return False
            wait_s = min(max(command.remaining_s, 1.0), LONGEST_WAIT_S)
            outcome = await self._carry_out(charge_point, command, wait_s)
        await self._read_back(charge_point, command, outcome)
        return True

    async def _claim(self, charge_point: ChargePoint) -> Command | None:
        async with self.pool.connection() as conn:
            cursor = conn.cursor(row_factory=class_row(Command))
            parameters = self._sending(charge_point)
            command = await (await cursor.execute(_QUERIES["claim_command"], parameters)).fetchone()
            if command is None:
                return None
            if command.action == "ReserveNow" and "parentIdTag" not in command.payload:
                command = await _with_parent(conn, command)
            command = await expect_new_password(conn, command)
            await _hide_secrets(conn, command.command_id, command.payload)
        return command

    async def _record(
        self, charge_point: ChargePoint, action: str, payload: dict[str, Any], asked_by: str
    ) -> Command:
        async with self.pool.connection() as conn:
            cursor = conn.cursor(row_factory=class_row(Command))
            parameters = {
                **self._sending(charge_point),
                "action": action,
                "payload": Jsonb(without_secrets(payload)),
                "requested_by": asked_by,
            }
            await cursor.execute(_QUERIES["record_own_command"], parameters)
            command = await cursor.fetchone()
        assert command is not None
        return replace(command, payload=payload)

    def _sending(self, charge_point: ChargePoint) -> dict[str, Any]:
        return {
            "charge_point_id": charge_point.charge_point_id,
            "opened_at": charge_point.opened_at,
            "replica_id": self.replica_id,
            "message_id": str(uuid.uuid4()),
        }

    async def _carry_out(
        self, charge_point: ChargePoint, command: Command, wait_s: float
    ) -> Outcome:
        """Send the CALL and write down what became of it. The caller has the turn."""
        try:
            action = action_named(command.action)
            command = replace(command, action=action, payload=check(action, command.payload))
        except (InvalidPayload, UnknownAction) as exc:
            outcome = Outcome(failure=CallFailed("InvalidCommand", str(exc)))
        else:
            outcome = await self._call(charge_point, command, wait_s)
        await self._finish(command, outcome)
        self.tally[outcome.name] += 1
        result = outcome.failure or outcome.name
        logger.info("%s: %s: %s", charge_point.identity, command.action, result)
        return outcome

    async def _call(self, charge_point: ChargePoint, command: Command, wait_s: float) -> Outcome:
        self._outstanding[command.message_id] = command
        try:
            response = await charge_point.calls.call(
                command.action,
                command.payload,
                wait_s,
                command.message_id,
                on_late=partial(self._take_late, command),
            )
        except CallFailed as exc:
            return Outcome(failure=exc)
        finally:
            del self._outstanding[command.message_id]
        return Outcome(as_answered(response))

    async def _finish(self, command: Command, outcome: Outcome) -> None:
        """Store the outcome, with patience: the CALL cannot be made again to find out."""
        for _ in range(_STORE_TRIES):
            try:
                await self._store(command, outcome)
                return
            except DATABASE_AWAY as exc:
                logger.warning("the answer to command %d waits: %s", command.command_id, exc)
                await asyncio.sleep(1)
        logger.error("the answer to command %d was not stored", command.command_id)

    async def _store(self, command: Command, outcome: Outcome) -> None:
        response, failure = outcome.response, outcome.failure
        parameters = {
            "command_id": command.command_id,
            "status": "failed" if failure else "answered",
            "response": None if response is None else Jsonb(without_secrets(response)),
            "error_code": failure.code if failure else None,
            "error_description": failure.description if failure else None,
        }
        async with self.pool.connection() as conn:
            await conn.execute(_QUERIES["finish_command"], parameters)
            if response is not None:
                await record_effect(conn, command, response)

    def _take_late(self, command: Command, frame: CallResult | CallError) -> None:
        """Write down an answer that came after its CALL had been given up."""
        task = asyncio.create_task(self._record_late(command, frame))
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record_late(self, command: Command, frame: CallResult | CallError) -> None:
        if isinstance(frame, CallResult):
            answer, response = "an answer", as_answered(frame.payload)
        else:
            answer, response = f"{frame.code} {frame.description}".strip(), None
        parameters = {
            "command_id": command.command_id,
            "response": None if response is None else Jsonb(without_secrets(response)),
            "answer": answer,
        }
        try:
            async with self.pool.connection() as conn:
                await conn.execute(_QUERIES["record_late_answer"], parameters)
                if response is not None:
                    await record_effect(conn, command, response)
        except DATABASE_AWAY as exc:
            logger.warning("a late answer was not stored: %s", str(exc).strip())

    async def _read_back(
        self, charge_point: ChargePoint, command: Command, outcome: Outcome
    ) -> None:
        """After a change of a key read what it is now: Accepted is not always done."""
        if not self.reads_back or command.action.lower() != "changeconfiguration":
            return
        status = (outcome.response or {}).get("status")
        shown = without_secrets(command.payload)
        if status in ("Accepted", "RebootRequired") and shown is command.payload:
            keys = {"key": [command.payload["key"]]}
            try:
                await self.ask(charge_point, "GetConfiguration", keys, "read back")
            except CallFailed as exc:
                logger.info("%s: not read back: %s", charge_point.identity, exc)


async def _with_parent(conn: AsyncConnection, command: Command) -> Command:
    """Let the parent's other tags use a reservation too (OCPP 1.6 5.13)."""
    cursor = await conn.execute(_QUERIES["parent_of"], {"id_tag": command.payload.get("idTag")})
    row = await cursor.fetchone()
    if row is None or row[0] is None or len(row[0]) > LONGEST_ID_TAG:
        return command
    payload = {**command.payload, "parentIdTag": row[0]}
    await conn.execute(
        _QUERIES["replace_payload"],
        {"command_id": command.command_id, "payload": Jsonb(payload)},
    )
    return replace(command, payload=payload)


async def _hide_secrets(conn: AsyncConnection, command_id: int, payload: Any) -> None:
    shown = without_secrets(payload)
    if shown is not payload:
        await conn.execute(
            _QUERIES["replace_payload"], {"command_id": command_id, "payload": Jsonb(shown)}
        )
