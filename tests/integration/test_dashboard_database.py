"""The dashboard's own connections: what a reader is told when they fail, and how soon."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from dashboard import db
from tests.waiting import wait_until

SLEEP = "SELECT pg_sleep(%(seconds)s)::text AS slept"
QUEUE = "SELECT pg_advisory_xact_lock_shared(7)::text AS turn"
NOW = "SELECT 1 AS one"


@pytest.fixture
def conn(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection[Any]]:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    with psycopg.connect(database_url, autocommit=True) as made:
        yield made
    db.close_all()


def test_a_server_that_stops_in_mid_sentence_is_given_up(conn, monkeypatch):
    """The process is there and its socket open, but it says nothing any more."""
    monkeypatch.setattr(db, "_PATIENCE_S", 1.0)
    pid = int(db.fetch("SELECT pg_backend_pid() AS pid", {})["pid"].iloc[0])
    os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(db.NoAnswer) as failure:
            db.fetch(NOW, {})
    finally:
        os.kill(pid, signal.SIGCONT)

    assert failure.value.reason == "away"
    assert time.monotonic() - began < 3
    db.retry_now()
    assert db.fetch(NOW, {})["one"].iloc[0] == 1


def test_many_questions_at_once_do_not_count_as_a_database_that_is_away(conn):
    """All connections are in use; who comes then is told so, and the next one is answered."""
    conn.execute("SELECT pg_advisory_lock(7)")

    def waiting() -> bool:
        row = conn.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ).fetchone()
        return row == (6,)

    with ThreadPoolExecutor(6) as people:
        slow = [people.submit(db.fetch, QUEUE, {}) for _ in range(6)]
        try:
            wait_until(waiting, "they do not use all connections")
            with pytest.raises(db.NoAnswer) as failure:
                db.fetch(NOW, {})
        finally:
            conn.execute("SELECT pg_advisory_unlock(7)")
        assert [len(one.result()) for one in slow] == [1] * 6

    assert failure.value.reason == "busy"
    assert db.fetch(NOW, {})["one"].iloc[0] == 1  # at once: nobody rests


def test_a_statement_the_server_ends_itself_is_slow_and_nobody_rests(conn):
    with pytest.raises(db.NoAnswer) as failure:
        db.fetch("SELECT set_config('statement_timeout', '100', false), pg_sleep(0)", {})
        db.fetch(SLEEP, {"seconds": 3})

    assert failure.value.reason == "slow"
    assert db.fetch(NOW, {})["one"].iloc[0] == 1


@pytest.mark.parametrize(
    ("state", "reason"),
    [("53200", "slow"), ("40P01", "slow"), ("57P01", "away"), ("08006", "away")],
)
def test_what_a_server_says_over_a_working_connection_is_not_its_absence(conn, state, reason):
    """Too little memory and the like: an OperationalError, but somebody is there to say it."""
    conn.execute(
        "CREATE FUNCTION report.fail(state text) RETURNS integer LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION USING ERRCODE = state; END $$"
    )
    conn.execute("GRANT EXECUTE ON FUNCTION report.fail TO eletroposto_dashboard")

    with pytest.raises(db.NoAnswer) as failure:
        db.fetch("SELECT report.fail(%(state)s)", {"state": state})

    assert failure.value.reason == reason
    db.retry_now()
    assert db.fetch(NOW, {})["one"].iloc[0] == 1


def test_a_database_nobody_serves_is_away_and_the_next_question_does_not_wait(monkeypatch):
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", "host=127.0.0.1 port=1 dbname=x user=x")
    with pytest.raises(db.NoAnswer) as failure:
        db.fetch(NOW, {})
    began = time.monotonic()
    with pytest.raises(db.NoAnswer) as again:
        db.fetch(NOW, {})

    db.close_all()
    assert (failure.value.reason, again.value.reason) == ("away", "away")
    assert time.monotonic() - began < 0.5
