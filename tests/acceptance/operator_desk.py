"""What an operator does: queue a command, see what became of it; or the same from a shell."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from testbench.charge_point import ChargePoint
from testbench.link import Address, Backoff
from tests.waiting import until

Row = dict[str, Any]


@dataclass
class Desk:
    """Queues commands through the function that operators may call."""

    database: psycopg.Connection[Any]

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        with self.database.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()

    def row(self, query: str, *parameters: Any) -> Row:
        (only,) = self.rows(query, *parameters)
        return only

    def queue(self, identity: str, action: str, payload: Row, seconds: int = 20) -> int:
        """Return the number of the new command."""
        call = "SELECT operation.queue_command(%s, %s, %s, 'the tests', %s) AS command_id"
        return int(self.row(call, identity, action, Jsonb(payload), seconds)["command_id"])

    def command(self, command_id: int) -> Row:
        return self.row("SELECT * FROM report.command WHERE command_id = %s", command_id)

    async def finished(self, command_id: int, within_s: float = 20) -> Row:
        """Return the command once it is answered, failed or expired for good."""
        await until(
            lambda: self.command(command_id)["finished_at"] is not None,
            f"command {command_id} is not finished",
            within_s,
        )
        return self.command(command_id)

    async def send(self, identity: str, action: str, payload: Row) -> Row:
        """Send a command that is answered, and return the answer's payload."""
        command = await self.finished(self.queue(identity, action, payload))
        assert command["status"] == "answered", command
        return dict(command["response"])


@asynccontextmanager
async def simulated(url: str, identity: str, **how: Any) -> AsyncIterator[ChargePoint]:
    """Run a simulated charge point that comes back quickly; it has booted."""
    address = how.pop("address", Address(url))
    charge_point = ChargePoint(identity, address, backoff=Backoff(first_s=0.05), **how)
    async with charge_point.running():
        async with asyncio.timeout(10):
            await charge_point.link.online()
        yield charge_point


@dataclass(frozen=True)
class Spoken:
    """How a program ended and what it said."""

    code: int
    out: str
    err: str


async def eletroposto(
    database_url: str, *words: str, stdin: str = "", **environment: str
) -> Spoken:
    """Run the command line in a process of its own."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("ELETROPOSTO_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "eletroposto",
        *words,
        env=inherited | environment | {"ELETROPOSTO_DATABASE_URL": database_url},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
    assert process.returncode is not None
    return Spoken(process.returncode, out.decode(), err.decode())
