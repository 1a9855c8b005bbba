"""A database that hangs, or refuses: who asks is told so at once, why, and who holds it up."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator

import psycopg
import pytest
from prometheus_client import generate_latest

from ingest.__main__ import Ingest
from ingest.database import Pool
from ingest.health import serve_health
from ingest.settings import Settings
from ingest.watch import Watch
from ingest.writer import NotStored
from tests.integration.test_health import answer
from tests.integration.test_writer import db, meter_values

__all__ = ["db"]


@contextlib.asynccontextmanager
async def watching(url: str) -> AsyncIterator[tuple[Ingest, int]]:
    """The parts of a replica that store and are asked how they are; and the port to ask at."""
    ingest = Ingest(Settings(database_url=url))
    ingest.writer.options += " -c statement_timeout=2000"
    pool = ingest.registry.pool
    assert isinstance(pool, Pool)
    ingest.watch = Watch(ingest.writer, pool, late_s=0.2)
    await pool.open()
    tasks = [asyncio.create_task(part.run()) for part in (ingest.writer, ingest.watch)]
    server = await serve_health("127.0.0.1", 0, ingest.metrics.registry, ingest.state)
    await until(lambda: ingest.writer.available)
    try:
        yield ingest, next(iter(server.sockets)).getsockname()[1]
    finally:
        server.close()
        ingest.writer.stop()
        tasks[1].cancel()
        await asyncio.wait(tasks, timeout=10)
        await ingest.registry.pool.close()


async def until(is_so: object) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def asked(port: int, path: str) -> tuple[int, dict[str, object]]:
    said = await answer(port, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def trouble(ingest: Ingest) -> str:
    text = generate_latest(ingest.metrics.registry).decode()
    lines = [line for line in text.splitlines() if line.startswith("eletroposto_database_trouble")]
    return "".join(line.partition('"')[2].partition('"')[0] for line in lines if line[-3:] == "1.0")


@pytest.mark.parametrize(
    "lock", ["LOCK TABLE dojot_outbox IN SHARE MODE", "LOCK TABLE meter_value"]
)
async def test_a_commit_that_waits_for_a_lock_is_told_with_who_holds_it(
    db: psycopg.Connection, database_url: str, lock: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with watching(database_url) as (ingest, port):
        assert (await asked(port, "/healthz"))[1]["reason"] is None
        with psycopg.connect(database_url, application_name="a long look") as other:
            other.execute(lock.encode())
            done = ingest.writer.submit(meter_values(1, energy_wh=1))
            await until(lambda: "held by" in ingest.watch.reason)
            status, body = await asked(port, "/healthz")
            ready, _ = await asked(port, "/readyz")
            kind, pid = trouble(ingest), other.info.backend_pid
        await done

        assert (status, body["database"], kind) == (503, "slow", "locked")
        assert ready == 200, "to turn charge points away would make it worse"
        assert lock.split()[2] in str(body["reason"])
        assert f"held by pid {pid} (a long look, role postgres)" in str(body["reason"])
        assert "no commit for" in caplog.text and f"pid {pid}" in caplog.text
        status, body = await asked(port, "/healthz")
        assert (status, body["reason"], trouble(ingest)) == (200, None, "")


async def test_a_database_that_only_works_is_not_said_to_wait_for_a_lock(
    db: psycopg.Connection, database_url: str
) -> None:
    db.execute(
        "CREATE FUNCTION think() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN PERFORM pg_sleep(1); RETURN NEW; END'"
    )
    db.execute(
        "CREATE TRIGGER t BEFORE INSERT ON ocpp_message FOR EACH ROW EXECUTE FUNCTION think()"
    )
    async with watching(database_url) as (ingest, port):
        done = ingest.writer.submit(meter_values(1, energy_wh=1))
        await until(lambda: "works at it" in ingest.watch.reason)
        status, body = await asked(port, "/healthz")
        assert (status, trouble(ingest)) == (503, "slow")
        assert "Timeout PgSleep" in str(body["reason"])
        await done


REFUSALS = {
    "disk_full": ("53100", "No space left on device", "the disk of the database is full"),
    "read_only": ("25006", "cannot execute INSERT", "the database may only be read"),
    "other": ("XX001", "invalid page", "the database refuses"),
}


@pytest.mark.parametrize("kind", REFUSALS)
async def test_why_the_database_stores_nothing_is_told_to_all_who_ask(
    db: psycopg.Connection, database_url: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """And logged once, not with every attempt to write again."""
    code, message, words = REFUSALS[kind]
    db.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE '{message}' USING ERRCODE = '{code}'; END $$"
    )
    async with watching(database_url) as (ingest, port):
        db.execute(
            "CREATE TRIGGER t BEFORE INSERT ON ocpp_message FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        with pytest.raises(NotStored), caplog.at_level(logging.WARNING):
            await ingest.writer.submit(meter_values(1, energy_wh=1))
        await asyncio.sleep(1.2)  # two attempts at least
        status, body = await asked(port, "/healthz")
        ready, _ = await asked(port, "/readyz")

        assert (status, ready, body["database"]) == (503, 503, "away")
        assert str(body["reason"]).startswith(f"{words}: {message}")
        assert trouble(ingest) == kind
        assert caplog.text.count(message) == 1
        db.execute("DROP TRIGGER t ON ocpp_message")
        await until(lambda: ingest.writer.available)
        assert (await asked(port, "/healthz"))[0] == 200
        assert trouble(ingest) == ""


async def test_a_server_that_is_not_there_is_named_as_such() -> None:
    ingest = Ingest(Settings(database_url="postgresql://127.0.0.1:1/none"))
    writing = asyncio.create_task(ingest.writer.run())
    await until(lambda: ingest.writer.trouble.kind)
    assert ingest.watch.kind == "unreachable"
    assert "Connection refused" in ingest.watch.reason
    ingest.writer.stop()
    await writing
