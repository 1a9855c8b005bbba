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


async def test_an_answer_names_the_transaction_of_the_attempt_that_was_committed(
    db, database_url: str
):
    """The first attempt of this batch fails after the start was numbered."""
    bad = meter_values(1, energy_wh=1)
    bad.meaning.readings[0].connector_id = -1
    async with writing(database_url) as writer:
        message, _ = start("A")
        await asyncio.gather(writer.submit(message), writer.submit(bad))

    ((stored,),) = db.execute("SELECT transaction_id FROM transaction").fetchall()
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
