"""Connections of the central system to a database that does not answer."""

import psycopg
import pytest

from ingest.database import DATABASE_AWAY, Pool


async def test_what_takes_too_long_counts_as_a_database_that_is_away(database_url: str) -> None:
    async with Pool(database_url, patience_s=0.3) as pool:
        with pytest.raises(DATABASE_AWAY, match="did not answer within"):
            async with pool.connection() as conn:
                await conn.execute("SELECT pg_sleep(30)")
        async with pool.connection() as conn:
            assert await (await conn.execute("SELECT 1")).fetchone() == (1,), "the pool goes on"


async def test_every_connection_asks_tcp_to_notice_a_dead_server(database_url: str) -> None:
    async with Pool(database_url) as pool, pool.connection() as conn:
        parameters = conn.info.get_parameters()
    assert (parameters["keepalives_idle"], parameters["tcp_user_timeout"]) == ("10", "20000")


async def test_trouble_inside_stays_what_it_is(database_url: str) -> None:
    async with Pool(database_url) as pool:
        with pytest.raises(psycopg.errors.UndefinedTable):
            async with pool.connection() as conn:
                await conn.execute("SELECT * FROM nothing")


async def test_work_that_waits_for_others_too_is_not_cut_off(database_url: str) -> None:
    async with Pool(database_url, patience_s=0.1) as pool, pool.connection_for_long() as conn:
        await conn.execute("SELECT pg_sleep(0.3)")
