"""What is one fact and what are two: instants that are shared, and frames that come again."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ingest.frames import Call
from ingest.items import Message
from ingest.meanings import meaning_of
from ingest.situation import Situation
from ingest.writer import Writer
from tests.integration.test_writer import db, writing

__all__ = ["db"]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def frame(
    action: str, payload: dict[str, Any], seconds: float = 0, opened: float = -3600
) -> Message:
    """A CALL as the socket makes a message of it, so many seconds after noon."""
    received_at = NOW + timedelta(seconds=seconds)
    situation = Situation(opened_at=NOW + timedelta(seconds=opened))
    meaning = meaning_of(Call("m", action, payload), situation, received_at)
    return Message(1, received_at, "raw", 2, "i", action, "m", meaning)


def reading(
    energy_wh: int, transaction_id: int | None = None, at: str | None = "2026-03-01T11:00:00Z"
) -> dict[str, Any]:
    named = {} if transaction_id is None else {"transactionId": transaction_id}
    values = [{"timestamp": at, "sampledValue": [{"value": energy_wh}]}]
    return {"connectorId": 1, **named, "meterValue": values}


async def submit(writer: Writer, messages: Sequence[Message], together: bool) -> None:
    if together:
        await asyncio.gather(*map(writer.submit, messages))
    else:
        for message in messages:
            await writer.submit(message)


# ---------------------------------------------------------------- instants that are shared


@pytest.mark.parametrize("together", [True, False])
async def test_transactions_of_one_connector_may_share_an_instant(
    db: psycopg.Connection, database_url: str, together: bool
) -> None:
    """Sessions that overlap or follow each other, sampled on the minute; each comes twice."""
    sent = [(80, 7), (22, 8), (5, None)] * 2
    async with writing(database_url) as writer:
        await submit(writer, [frame("MeterValues", reading(*one)) for one in sent], together)

    rows = db.execute(
        "SELECT energy_wh, transaction_id, extra FROM meter_value ORDER BY 1"
    ).fetchall()
    assert rows == [(5, None, None), (22, 8, None), (80, 7, None)]


@pytest.mark.parametrize("together", [True, False])
async def test_the_outbox_names_the_transaction_of_each_reading(
    db: psycopg.Connection, database_url: str, together: bool
) -> None:
    db.execute("INSERT INTO dojot_feed DEFAULT VALUES")
    async with writing(database_url) as writer:
        sent = [frame("MeterValues", reading(1, tx)) for tx in (7, 8, None)]
        await submit(writer, sent, together)

    keys = db.execute("SELECT unnest(transaction_ids) FROM dojot_outbox").fetchall()
    assert sorted(keys, key=str) == [(7,), (8,), (None,)]


async def test_readings_of_a_history_keep_their_time(
    db: psycopg.Connection, database_url: str
) -> None:
    years = [f"{year}-06-01T10:00:00Z" for year in range(2011, 2026)]
    async with writing(database_url) as writer:
        sent = [frame("MeterValues", reading(year, 7, at)) for year, at in enumerate(years)]
        await submit(writer, sent, together=True)

    rows = db.execute("SELECT sampled_at, extra FROM meter_value ORDER BY energy_wh").fetchall()
    assert rows == [(datetime.fromisoformat(at), None) for at in years]


# ---------------------------------------------------------------- connectors


async def test_a_connector_is_known_by_its_readings_and_its_transactions(
    db: psycopg.Connection, database_url: str
) -> None:
    begins = {"connectorId": 3, "idTag": "A", "meterStart": 0, "timestamp": "2026-03-01T11:00:00Z"}
    main_meter = {**reading(1), "connectorId": 0}
    messages = [
        frame("MeterValues", reading(1)),
        frame("MeterValues", {**reading(1), "connectorId": 700}),
        frame("MeterValues", main_meter),
        frame("StartTransaction", begins),
    ]
    async with writing(database_url) as writer:
        await submit(writer, messages, together=False)

    rows = db.execute("SELECT connector_id, status FROM connector ORDER BY 1").fetchall()
    assert rows == [(1, None), (3, None), (700, None)]


async def test_numbers_that_grow_for_ever_do_not_become_connectors(
    db: psycopg.Connection, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Firmware that gives each session a connector of its own: nothing is lost, none is listed."""
    numbers = [*range(1000, 1128), 2000, 2001, 2000]
    told = [{"connectorId": number, "status": "Available"} for number in numbers]
    late = [reading(1) | {"connectorId": 2002}, reading(2) | {"connectorId": 1000}]
    async with writing(database_url) as writer:
        await submit(writer, [frame("StatusNotification", one) for one in told], together=False)
        await submit(writer, [frame("MeterValues", one) for one in late], together=False)

    assert db.execute("SELECT count(*), max(connector_id) FROM connector").fetchone() == (128, 1127)
    kept = "SELECT count(DISTINCT connector_id) FROM status_notification"
    assert db.execute(kept).fetchone() == (130,)
    assert db.execute("SELECT count(*) FROM meter_value").fetchone() == (2,)
    aside = db.execute("SELECT reason, raw FROM set_aside ORDER BY reason").fetchall()
    assert aside == [
        (f"connector {number}: the charge point has 128", f'{{"connectorId":{number}}}')
        for number in (2000, 2001, 2002)
    ]
    assert caplog.text.count("too many connectors") == 1


async def test_the_first_status_of_a_connector_that_was_known_counts(
    db: psycopg.Connection, database_url: str
) -> None:
    status = {"connectorId": 1, "status": "Available", "timestamp": "2025-03-01T11:00:00Z"}
    async with writing(database_url) as writer:
        await submit(
            writer, [frame("MeterValues", reading(1)), frame("StatusNotification", status)], False
        )

    assert db.execute("SELECT status FROM connector").fetchall() == [("Available",)]


@pytest.mark.parametrize("together", [True, False])
async def test_a_clock_that_was_ahead_does_not_freeze_the_state(
    db: psycopg.Connection, database_url: str, together: bool
) -> None:
    """Four minutes fast, set right a minute later; then a status of before it all arrives."""
    told = [("Charging", 240, 0), ("Faulted", 60, 60), ("Available", -30, 61)]
    frames = [
        frame("StatusNotification", {"connectorId": 1, "status": status, "timestamp": at(s)}, got)
        for status, s, got in told
    ]
    async with writing(database_url) as writer:
        await submit(writer, frames, together)

    rows = db.execute("SELECT status, status_at FROM connector").fetchall()
    assert rows == [("Faulted", NOW + timedelta(seconds=60))]
    kept = db.execute("SELECT at FROM status_notification WHERE status = 'Charging'").fetchone()
    assert kept == (NOW + timedelta(seconds=240),), "as it was told"


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).isoformat()


# ---------------------------------------------------------------- repeats without a time


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("at", ["1970-01-01T00:00:10Z", None])
async def test_a_reading_without_a_time_that_comes_again_soon_is_one(
    db: psycopg.Connection, database_url: str, together: bool, at: str | None
) -> None:
    """Another time stands in each time, and the socket is not new."""
    sent = [
        frame("MeterValues", reading(energy_wh, None, at), seconds)
        for energy_wh, seconds in ((1, 0), (1, 20), (2, 30), (2, 50))
    ]
    async with writing(database_url) as writer:
        await submit(writer, sent, together)

    assert db.execute("SELECT energy_wh FROM meter_value ORDER BY 1").fetchall() == [(1,), (2,)]
    assert db.execute("SELECT count(*) FROM ocpp_message").fetchone() == (4,)


async def test_a_repeat_stands_in_for_a_message_that_cannot_be_stored(
    db: psycopg.Connection, database_url: str
) -> None:
    """Of one batch, which fails because of something else in the first of the two."""
    first = frame("MeterValues", reading(1, None, None))
    again = frame("MeterValues", reading(1, None, None), 20)
    assert first.meaning is not None
    impossible = frame("MeterValues", reading(2)).meaning
    assert impossible is not None
    impossible.readings[0].connector_id = -1  # which the table refuses
    first.meaning.readings += impossible.readings
    async with writing(database_url) as writer:
        await submit(writer, [first, again], together=True)

    assert db.execute("SELECT energy_wh FROM meter_value").fetchall() == [(1,)]
    assert db.execute("SELECT count(*) FROM set_aside").fetchone() == (1,)


async def test_a_thing_that_rests_says_the_same_again_later(
    db: psycopg.Connection, database_url: str
) -> None:
    other = {**reading(1, 7, None), "connectorId": 2}
    sent = [
        frame("MeterValues", reading(1, 7, None)),
        frame("MeterValues", reading(1, 8, None), 10),
        frame("MeterValues", other, 20),
        frame("MeterValues", reading(1, 7, None), 150),
    ]
    async with writing(database_url) as writer:
        await submit(writer, sent, together=False)

    assert db.execute("SELECT count(*) FROM meter_value").fetchone() == (4,)


CHARGING = {"connectorId": 1, "status": "Charging", "errorCode": "NoError"}
BOOT = {"chargePointVendor": "v", "chargePointModel": "m"}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "first",
    [CHARGING, CHARGING | {"timestamp": "1970-01-01T00:00:10Z"}, CHARGING | {"info": "warm"}],
)
async def test_a_status_without_a_time_that_comes_again_is_one(
    db: psycopg.Connection, database_url: str, together: bool, first: dict[str, Any]
) -> None:
    """On the same socket and the next one; what says something else is another."""
    sent = [
        frame("StatusNotification", first),
        frame("StatusNotification", first, 20),
        frame("StatusNotification", first, 90, opened=80),
        frame("StatusNotification", {**first, "connectorId": 2}, 91),
        frame("StatusNotification", {**first, "vendorErrorCode": "E1"}, 92),
        frame("StatusNotification", first, 93),
    ]
    async with writing(database_url) as writer:
        await submit(writer, sent, together)

    rows = db.execute(
        "SELECT connector_id, vendor_error_code, at FROM status_notification ORDER BY at"
    ).fetchall()
    noon_and = [NOW + timedelta(seconds=seconds) for seconds in (0, 91, 92, 93)]
    assert rows == [
        (1, None, noon_and[0]),
        (2, None, noon_and[1]),
        (1, "E1", noon_and[2]),
        (1, None, noon_and[3]),
    ]


@pytest.mark.parametrize("between", ["a boot", "a transaction", "a while"])
async def test_a_status_that_is_said_anew_is_another(
    db: psycopg.Connection, database_url: str, between: str
) -> None:
    """A connector that is Available again after a start whose stop was lost has to be heard."""
    now = datetime.now(UTC)
    free = {"connectorId": 1, "status": "Available"}
    begins = {"connectorId": 1, "idTag": "A", "meterStart": 0, "timestamp": "2015-03-01T11:00:00Z"}
    news = {
        "a boot": [frame("BootNotification", BOOT, (now - NOW).total_seconds())],
        "a transaction": [frame("StartTransaction", begins)],
        "a while": [],
    }
    began_s = (now - NOW).total_seconds() - 1
    again_s = began_s + (700 if between == "a while" else 2)
    async with writing(database_url) as writer:
        await writer.submit(frame("StatusNotification", free, began_s))
        await submit(writer, news[between], together=False)
        await writer.submit(frame("StatusNotification", free, again_s))

    assert db.execute("SELECT count(*) FROM status_notification").fetchone() == (2,)


async def test_statuses_with_a_time_of_their_own_are_all_kept(
    db: psycopg.Connection, database_url: str
) -> None:
    sent = [
        frame("StatusNotification", CHARGING | {"timestamp": f"2026-03-01T11:00:0{second}Z"})
        for second in range(3)
    ]
    async with writing(database_url) as writer:
        await submit(writer, sent, together=True)

    assert db.execute("SELECT count(*) FROM status_notification").fetchone() == (3,)
