"""A frame that the writer cannot store through a defect of ours harms nobody else."""

import asyncio
import logging

import psycopg
import pytest

from ingest.items import Message
from tests.integration.test_writer import db, meter_values, writing

__all__ = ["db"]


def unstorable(second: int, value: object) -> Message:
    """A frame whose reading cannot be encoded, or that the database refuses."""
    message = meter_values(second, energy_wh=1)
    assert message.meaning is not None
    message.meaning.readings[0].values[0] = value  # type: ignore[call-overload]
    return message


@pytest.mark.parametrize(
    ("value", "is_ours"), [("text", False), ({"a": 1}, False), (object(), True), (1 + 2j, True)]
)
async def test_one_frame_that_cannot_be_stored_is_set_aside(
    db: psycopg.Connection,
    database_url: str,
    value: object,
    is_ours: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = unstorable(50, value)
    with caplog.at_level(logging.ERROR):
        async with writing(database_url) as writer:
            await asyncio.gather(
                *(writer.submit(meter_values(second, energy_wh=second)) for second in range(50)),
                writer.submit(bad),
                *(writer.submit(meter_values(s, energy_wh=s)) for s in range(51, 100)),
            )
            await writer.submit(meter_values(200, energy_wh=1))
            outages = writer.tally.outages

    assert outages == 0
    assert bad.answer == '[3,"m-50",{}]'
    assert db.execute("SELECT count(*) FROM meter_value").fetchone() == (100,)
    assert db.execute("SELECT raw FROM set_aside").fetchall() == [("frame 50",)]
    assert ("a defect" in caplog.text) == is_ours


async def test_several_bad_frames_in_a_batch_cost_few_commits(
    db: psycopg.Connection, database_url: str
) -> None:
    async with writing(database_url) as writer:
        await writer.submit(meter_values(10_000, energy_wh=1))
        commits = db.execute("SELECT count(DISTINCT xmin::text) FROM ocpp_message").fetchone()
        waiting = [writer.submit(meter_values(second, energy_wh=1)) for second in range(400)]
        waiting += [writer.submit(unstorable(400 + n, "text")) for n in range(3)]
        await asyncio.gather(*waiting)

    assert commits == (1,)
    query = "SELECT count(DISTINCT xmin::text) FROM ocpp_message"
    ((transactions,),) = db.execute(query).fetchall()
    assert transactions < 30, "halving finds three in four hundred with few commits"
    assert db.execute("SELECT count(*) FROM set_aside").fetchone() == (3,)
