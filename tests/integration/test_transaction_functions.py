"""Starts and stops where replicas meet, and where a batch has to be saved again."""

import asyncio
import json
import threading

import psycopg
import pytest

from tests.integration.test_writer import db, meter_values, start, writing

__all__ = ["db"]

START = """
    SELECT number, status FROM start_transaction(
        1, 1::smallint, 'A', '2026-03-01T12:00:00Z', 100, NULL, '{}', 'Accepted'
    )
"""


def test_two_replicas_that_store_one_start_at_once_give_it_one_number(db, database_url: str):
    answers = []

    def start_elsewhere() -> None:
        with psycopg.connect(database_url) as other:
            answers.append(other.execute(START).fetchone())

    elsewhere = threading.Thread(target=start_elsewhere)
    with psycopg.connect(database_url) as one:
        first = one.execute(START).fetchone()
        elsewhere.start()
        elsewhere.join(0.3)
        assert elsewhere.is_alive(), "the other waits for this commit"
    elsewhere.join()

    assert answers == [first]
    assert db.execute("SELECT count(*) FROM transaction").fetchone() == (1,)


STOP = """
    SELECT number FROM stop_transaction(
        1, %(asked)s, NULL, %(ended)s, %(meter)s, 'Local', %(flags)s, 'Accepted', %(ended)s
    )
"""
ONE, TWO = "2026-03-01T13:00:00Z", "2026-03-01T13:00:05Z"


@pytest.mark.parametrize(
    ("first", "second", "is_known", "orphans"),
    [
        (("ours", ONE, 5000, ["zone"]), ("ours", ONE, 5000, ["zone"]), True, 0),
        (("ours", ONE, 5000, ["clock"]), ("ours", TWO, 5000, ["clock"]), True, 0),
        ((None, ONE, 5000, ["clock"]), (None, TWO, 5000, ["clock"]), True, 0),
        (("ours", ONE, 5000, ["zone"]), (None, ONE, 5000, ["zone"]), True, 0),
        (("ours", ONE, 5000, []), ("ours", TWO, 7000, []), False, 1),
        (("ours", ONE, 7000, []), ("ours", ONE, 5000, []), False, 1),
        ((None, ONE, 5000, []), (None, TWO, 7000, []), False, 1),
    ],
    ids=[
        "the same",
        "the same, our time",
        "the same, no number, our time",
        "the same, once without its number",
        "another",
        "another meter, the larger first",
        "another, no number",
    ],
)
def test_of_two_stops_that_replicas_store_at_once_the_confirmed_one_stays(
    db, database_url: str, first, second, is_known, orphans
):
    """The charge point moved to another replica while the commit of its stop hung."""
    ((ours,),) = db.execute("SELECT number FROM (" + START + ") AS began").fetchall()
    (_, ended, meter, flags), answers = first, []

    def stop(conn: psycopg.Connection, said) -> None:
        asked, at, register, remarks = said
        asked = ours if asked == "ours" else None
        values = {"asked": asked, "ended": at, "meter": register, "flags": remarks}
        answers.extend(*conn.execute(STOP, values).fetchall())

    def stop_elsewhere() -> None:
        with psycopg.connect(database_url) as other:
            other.execute("SET ROLE eletroposto_ingest")
            stop(other, second)

    elsewhere = threading.Thread(target=stop_elsewhere)
    with psycopg.connect(database_url) as one:
        one.execute("SET ROLE eletroposto_ingest")
        stop(one, first)
        elsewhere.start()
        elsewhere.join(0.3)
        assert elsewhere.is_alive(), "the other waits for this commit"
    elsewhere.join()

    assert answers == [ours, ours if is_known else None]
    marks = flags if first[0] else [*flags, "matched"]
    stored = "SELECT stopped_at = %s, meter_stop_wh, flags FROM transaction"
    assert db.execute(stored, [ended]).fetchall() == [(True, meter, marks)]
    assert db.execute("SELECT count(*) FROM orphan_stop").fetchone() == (orphans,)


async def test_an_answer_names_the_transaction_of_the_attempt_that_was_committed(
    db, database_url: str
):
    """The first attempt of this batch fails after the start was numbered."""
    bad = meter_values(1, energy_wh=1)
    assert bad.meaning is not None
    bad.meaning.readings[0].connector_id = -1
    async with writing(database_url) as writer:
        message, _ = start("A")
        await asyncio.gather(writer.submit(message), writer.submit(bad))

    ((stored,),) = db.execute("SELECT transaction_id FROM transaction").fetchall()
    assert message.answer is not None
    assert json.loads(message.answer)[2] == {"transactionId": stored}


@pytest.mark.parametrize(
    ("tag", "read"),
    [
        ("TAG_SN-1", "TAG"),
        ("TAG_cp-1", "TAG"),
        (" tag_sn-1 ", "tag"),
        ("TAG_SN-2", "TAG_SN-2"),
        ("OWN_SN-1", "OWN_SN-1"),
        ("_SN-1", "_SN-1"),
        ("SN-1", "SN-1"),
        (None, None),
    ],
)
def test_only_a_serial_number_we_know_is_cut_off_an_id_tag(db, tag, read):
    db.execute("UPDATE charge_point SET serial_number = 'SN-1' WHERE identity = 'CP-1'")
    db.execute("INSERT INTO id_tag (id_tag) VALUES ('TAG'), ('OWN_SN-1')")

    assert db.execute("SELECT without_serial(%s)", [tag]).fetchone() == (read,)


def test_an_id_tag_that_never_expires_has_no_date(db):
    db.execute(
        "INSERT INTO id_tag (id_tag, expiry_at) VALUES ('A', 'infinity'), ('B', '-infinity')"
    )

    for id_tag, status in (("A", "Accepted"), ("B", "Expired")):
        verdict = db.execute("SELECT * FROM judge_id_tag(%s, 'Invalid')", [id_tag]).fetchone()
        assert verdict == (status, None, None)


# ---------------------------------------------------------------- limits of an id_tag

BEGIN = """
    SELECT status FROM start_transaction(
        %s, %s::smallint, 'A', %s, 100, NULL, '{}', 'Invalid'
    )
"""
NOON, LATER = "2026-03-01T12:00:00Z", "2026-03-01T14:00:00Z"


@pytest.fixture
def limited(db):
    db.execute("INSERT INTO id_tag (id_tag, max_active) VALUES ('A', 1)")
    assert db.execute(BEGIN, [1, 1, NOON]).fetchone() == ("Accepted",)
    return db


def test_two_replicas_that_start_one_tag_at_once_let_it_begin_as_often_as_it_may(
    db, database_url: str
):
    db.execute("INSERT INTO id_tag (id_tag, max_active) VALUES ('A', 1)")
    answers = []

    def start_elsewhere() -> None:
        with psycopg.connect(database_url) as other:
            answers.append(other.execute(BEGIN, [2, 1, NOON]).fetchone())

    elsewhere = threading.Thread(target=start_elsewhere)
    with psycopg.connect(database_url) as one:
        answers.append(one.execute(BEGIN, [1, 1, NOON]).fetchone())
        elsewhere.start()
        elsewhere.join(0.3)
    elsewhere.join()

    assert answers == [("Accepted",), ("ConcurrentTx",)]


@pytest.mark.parametrize(
    ("connector", "status", "at", "verdict"),
    [
        (1, "Available", "2026-03-01T13:00:00Z", "Accepted"),
        (1, "Available", "2026-03-01T11:59:00Z", "ConcurrentTx"),
        (1, "Charging", "2026-03-01T13:00:00Z", "ConcurrentTx"),
        (2, "Available", "2026-03-01T13:00:00Z", "ConcurrentTx"),
    ],
)
def test_a_transaction_whose_connector_is_free_does_not_count(
    limited, connector, status, at, verdict
):
    limited.execute(
        "INSERT INTO status_notification (at, received_at, charge_point_id, connector_id, status)"
        " VALUES (%s, now(), 1, %s, %s)",
        [at, connector, status],
    )
    with limited.transaction():
        limited.execute("SET LOCAL ROLE eletroposto_ingest")
        assert limited.execute(BEGIN, [2, 1, LATER]).fetchone() == (verdict,)


def test_a_transaction_whose_session_was_found_to_have_ended_does_not_count(limited):
    limited.execute(
        "INSERT INTO session (transaction_id, charge_point_id, connector_id, started_at, ended_at,"
        " is_open, inferred_by, is_attempt, duration_s, energy_source, readings)"
        " SELECT transaction_id, 1, 1, started_at, started_at, FALSE, 'silence', TRUE, 0, 'none', 0"
        " FROM transaction"
    )
    assert limited.execute(BEGIN, [2, 1, LATER]).fetchone() == ("Accepted",)


def test_an_operator_ends_a_transaction_whose_stop_is_lost(limited):
    ((number,),) = limited.execute("SELECT transaction_id FROM transaction").fetchall()
    with limited.transaction():
        limited.execute("SET LOCAL ROLE eletroposto_operator")
        end = "SELECT operation.end_transaction(%s, 'ana')"
        assert limited.execute(end, [number]).fetchone() == (True,)
        assert limited.execute(end, [number]).fetchone() == (False,)
    assert limited.execute(BEGIN, [2, 1, LATER]).fetchone() == ("Accepted",)
    log = "SELECT who, what, subject, details FROM operation_log"
    assert limited.execute(log).fetchall() == [
        ("ana", "end_transaction", "CP-1", {"transaction_id": number})
    ]
    stop = (
        "SELECT number FROM stop_transaction(1, %s, NULL, %s, 900, 'Local', '{}', 'Invalid', now())"
    )
    assert limited.execute(stop, [number, LATER]).fetchone() == (number,), (
        "its stop comes after all"
    )


@pytest.mark.parametrize("role", ["ingest", "flows", "dashboard"])
def test_only_operators_end_transactions(limited, role):
    limited.execute(f"SET ROLE eletroposto_{role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        limited.execute("SELECT operation.end_transaction(1, 'x')")
