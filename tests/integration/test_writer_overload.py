"""What is too much for the database at once is stored in pieces, and nobody pays for a culprit."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import psycopg
import pytest

from ingest.items import Message
from ingest.writer import NotStored, Writer
from tests.integration.test_writer import db, meter_values, start, writing

__all__ = ["db"]
DAY_S = 86_400
# A frame that the database works on for longer than it may, and one that takes more than it has.
CULPRITS = """
CREATE FUNCTION weigh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.energy_wh = 666 THEN
        PERFORM pg_sleep(2);
    ELSIF NEW.energy_wh = 667 THEN
        RAISE 'out of shared memory' USING ERRCODE = 'out_of_memory';
    END IF;
    RETURN NEW;
END;
$$;
CREATE TRIGGER weigh BEFORE INSERT ON meter_value FOR EACH ROW EXECUTE FUNCTION weigh();
"""


@contextlib.asynccontextmanager
async def writing_briefly(url: str) -> AsyncIterator[Writer]:
    options = "-c role=eletroposto_ingest -c statement_timeout=400"
    async with writing(url, options=options, hasty_lock_timeout_ms=150) as writer:
        yield writer


def culprit(second: int, energy_wh: float, readings: int = 2) -> Message:
    message = meter_values(second, energy_wh=energy_wh)
    assert message.meaning is not None
    for number in range(1, readings):
        later = meter_values(1000 + 100 * second + number, energy_wh=1).meaning
        assert later is not None
        message.meaning.readings += later.readings
    return message


def stored(db: psycopg.Connection) -> int:
    ((count,),) = db.execute("SELECT count(*) FROM meter_value")
    return int(count)


async def test_a_batch_of_many_days_is_stored_in_several_commits(
    db: psycopg.Connection, database_url: str
) -> None:
    """Each day is made when its first reading comes, which takes time and locks."""
    async with writing(database_url) as writer:
        days = [meter_values(-day * DAY_S, energy_wh=day) for day in range(200)]
        await asyncio.gather(*map(writer.submit, days))
        first = writer.tally.batches
        again = [meter_values(-day * DAY_S - 1, energy_wh=day) for day in range(200)]
        await asyncio.gather(*map(writer.submit, again))
        second = writer.tally.batches - first

    assert stored(db) == 400
    assert first >= 4, "at most 64 new days in a commit"
    assert second <= 2, "the days are known by now"


@pytest.mark.parametrize("energy_wh", [666, 667])
async def test_a_frame_that_is_too_much_by_itself_is_set_aside_and_its_neighbours_are_stored(
    db: psycopg.Connection, database_url: str, energy_wh: float
) -> None:
    db.execute(CULPRITS)
    first, alone = culprit(50, energy_wh), culprit(100, energy_wh)
    async with writing_briefly(database_url) as writer:
        await asyncio.gather(
            *(writer.submit(meter_values(second, energy_wh=1)) for second in range(50)),
            writer.submit(first),
            *(writer.submit(meter_values(second, energy_wh=1)) for second in range(51, 60)),
        )
        await writer.submit(alone)
        outages, failed = writer.tally.outages, writer.tally.failed

    assert (outages, failed) == (0, 0)
    assert first.answer == '[3,"m-50",{}]'
    assert stored(db) == 59
    assert db.execute("SELECT raw FROM set_aside ORDER BY set_aside_id").fetchall() == [
        ("frame 50",),
        ("frame 100",),
    ]


@pytest.mark.parametrize("energy_wh", [666, 667])
async def test_a_frame_of_one_reading_is_too_much_for_nobody(
    db: psycopg.Connection, database_url: str, energy_wh: float
) -> None:
    """Somebody else has the locks or the disk: it is to come again, and the others go on."""
    db.execute(CULPRITS)
    async with writing_briefly(database_url) as writer:
        others = [writer.submit(meter_values(second, energy_wh=1)) for second in range(20)]
        with pytest.raises(NotStored):
            await writer.submit(culprit(50, energy_wh, readings=1))
        await asyncio.gather(*others)
        assert (writer.available, writer.tally.outages) == (True, 0)

    assert stored(db) == 20
    assert db.execute("SELECT count(*) FROM set_aside").fetchone() == (0,)


async def test_what_waits_for_a_row_somebody_holds_is_not_too_much(
    db: psycopg.Connection, database_url: str
) -> None:
    """Ours, not theirs: not confirmed, not set aside, and the others go on."""
    db.execute("INSERT INTO id_tag (id_tag, max_active) VALUES ('A', 1)")
    async with writing_briefly(database_url) as writer:
        with psycopg.connect(database_url) as other:
            other.execute("SELECT FROM id_tag FOR UPDATE")
            with pytest.raises(NotStored):
                await writer.submit(_start())
            assert writer.available
            await writer.submit(meter_values(1, energy_wh=1))
        await writer.submit(_start())

    assert db.execute("SELECT count(*) FROM set_aside").fetchone() == (0,)
    assert db.execute("SELECT count(*) FROM transaction").fetchone() == (1,)


def _start() -> Message:
    message, _ = start("A")
    return message


async def test_a_row_that_stays_locked_holds_the_others_up_for_long_but_once(
    db: psycopg.Connection, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    db.execute("INSERT INTO id_tag (id_tag, max_active) VALUES ('A', 1)")
    options = "-c role=eletroposto_ingest -c statement_timeout=1500"
    waits = []
    async with writing(database_url, options=options, hasty_lock_timeout_ms=100) as writer:
        with psycopg.connect(database_url) as other:
            other.execute("SELECT FROM id_tag FOR UPDATE")
            for attempt in range(3):
                began = time.monotonic()
                culprit_done = writer.submit(_start())
                others = [
                    writer.submit(meter_values(20 * attempt + n, energy_wh=1)) for n in range(20)
                ]
                await asyncio.gather(*others)
                with pytest.raises(NotStored):
                    await culprit_done
                waits.append(time.monotonic() - began)
        assert (writer.available, writer.tally.outages) == (True, 0)

    assert stored(db) == 60
    assert waits[0] > 1.5 > max(waits[1:])
    assert 'lock timeout, while locking tuple (0,1) in relation "id_tag"' in caplog.text
