"""Group commit, confirmation after it, and what becomes of batches that fail."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from ingest.facts import Meaning, Reading, TransactionStart
from ingest.items import Closing, Message, Opening
from ingest.store import Store
from ingest.writer import DatabaseAway, NotStored, Writer
from testbench.embedded import EmbeddedPostgres, host

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def db(database_url: str):
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP-1'), ('CP-2')")
        yield conn


@contextlib.asynccontextmanager
async def writing(url: str, **attributes: object) -> AsyncIterator[Writer]:
    replica = uuid4()
    attributes = {"on_away": lambda: None, **attributes}
    writer = Writer(url, Store(replica, "Invalid"), replica, "test", **attributes)  # type: ignore[arg-type]
    task = asyncio.create_task(writer.run())
    async with asyncio.timeout(10):
        while not writer.available:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    yield writer
    writer.stop()
    await asyncio.wait_for(task, 10)


def meter_values(second: int, *, charge_point_id: int = 1, **values: float) -> Message:
    """A frame with one reading ``second`` seconds after noon."""
    columns = ["energy_wh", "power_w"]
    reading = Reading(NOON + timedelta(seconds=second), 1, 7, 0)
    reading.values[:2] = [values.get(name) for name in columns]
    meaning = Meaning(readings=[reading])
    return Message(
        charge_point_id, NOON, f"frame {second}", 2, "i", "MeterValues", f"m-{second}", meaning
    )


def start(id_tag: str, connector_id: int = 1) -> tuple[Message, TransactionStart]:
    fact = TransactionStart(connector_id, id_tag, NOON, 100.0, None, [])
    meaning = Meaning(lambda: {"transactionId": fact.transaction_id}, [fact])
    return Message(1, NOON, "start", 2, "i", "StartTransaction", "s-1", meaning), fact


async def test_what_waits_while_a_commit_runs_becomes_one_batch(db, database_url: str) -> None:
    async with writing(database_url) as writer:
        await asyncio.gather(*(writer.submit(meter_values(s, energy_wh=s)) for s in range(200)))
        batches, items = writer.tally.batches, writer.tally.items

    assert items == 200
    assert batches < 10
    assert db.execute("SELECT count(*), sum(energy_wh) FROM meter_value").fetchone() == (200, 19900)


async def test_an_answer_exists_only_after_the_commit(db, database_url: str) -> None:
    async with writing(database_url) as writer:
        message = meter_values(1, energy_wh=5)
        done = writer.submit(message)
        assert message.answer is None
        await done

    assert message.answer == '[3,"m-1",{}]'
    assert db.execute("SELECT raw, answer FROM ocpp_message").fetchall() == [
        ("frame 1", '[3,"m-1",{}]')
    ]


async def test_parts_of_an_instant_merge_within_and_across_batches(db, database_url: str) -> None:
    async with writing(database_url) as writer:
        await asyncio.gather(
            writer.submit(meter_values(1, energy_wh=5)), writer.submit(meter_values(1, power_w=7))
        )
        await writer.submit(meter_values(2, energy_wh=6))
        await writer.submit(meter_values(2, power_w=8))
        await writer.submit(meter_values(2, power_w=999))

    rows = db.execute("SELECT energy_wh, power_w FROM meter_value ORDER BY sampled_at").fetchall()
    assert rows == [(5, 7), (6, 8)]


@pytest.mark.parametrize("apart", [True, False])
async def test_what_parts_of_an_instant_say_beside_the_columns_meets(
    db, database_url: str, apart: bool
) -> None:
    """In one batch and in two; a repeat of any part changes nothing."""
    parts = [
        {"energy_wh": 5, "extra": {"Frequency": 60, "signed": {"a": "1"}, "flags": ["unit"]}},
        {"energy_wh": 5, "extra": {"signed": {"b": "2"}, "flags": ["range", "unit"]}},
        {"power_w": 7, "extra": {"Frequency": 60}},
    ]
    async with writing(database_url) as writer:
        sent = [part_of_an_instant(**part) for part in [*parts, *parts]]  # type: ignore[arg-type]
        if apart:
            for message in sent:
                await writer.submit(message)
        else:
            await asyncio.gather(*map(writer.submit, sent))

    ((energy, power, extra),) = db.execute("SELECT energy_wh, power_w, extra FROM meter_value")
    assert (energy, power) == (5, 7)
    assert extra == {
        "Frequency": 60,
        "signed": {"a": "1", "b": "2"},
        "flags": ["unit", "range"],
    }


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        {"energy_wh": 6},
        {"extra": {"Frequency": 50}},
        {"extra": {"signed": {"a": "x"}}},
    ],
)
async def test_parts_of_an_instant_that_disagree_are_flagged(
    db, database_url: str, apart: bool, other: dict[str, object]
) -> None:
    first = {"energy_wh": 5, "extra": {"Frequency": 60, "signed": {"a": "1"}}}
    async with writing(database_url) as writer:
        versions = []
        for _ in range(2):
            one = part_of_an_instant(**first)  # type: ignore[arg-type]
            two = part_of_an_instant(**other)  # type: ignore[arg-type]
            if apart:
                await writer.submit(one)
                await writer.submit(two)
            else:
                await asyncio.gather(writer.submit(one), writer.submit(two))
            versions.append(db.execute("SELECT xmin::text FROM meter_value").fetchone())
    assert versions[0] == versions[1], "a repeat changes nothing"

    ((energy, extra),) = db.execute("SELECT energy_wh, extra FROM meter_value").fetchall()
    assert energy == 5
    assert extra == {"Frequency": 60, "signed": {"a": "1"}, "flags": ["conflict"]}


def part_of_an_instant(extra: dict[str, object] | None = None, **values: Any) -> Message:
    message = meter_values(1, **values)
    assert message.meaning is not None
    message.meaning.readings[0].extra = json.loads(json.dumps(extra))
    return message


async def test_a_repeated_start_gets_the_number_it_had(db, database_url: str) -> None:
    async with writing(database_url) as writer:
        (first, fact), (again, same) = start("A"), start("A")
        await asyncio.gather(writer.submit(first), writer.submit(again))

    assert fact.transaction_id == same.transaction_id
    assert db.execute("SELECT count(*) FROM transaction").fetchone() == (1,)


async def test_a_limit_of_active_transactions_holds_within_one_batch(db, database_url: str) -> None:
    db.execute("INSERT INTO id_tag (id_tag, max_active) VALUES ('A', 1)")
    async with writing(database_url) as writer:
        (one, first), (two, second) = start("A", connector_id=1), start("a", connector_id=2)
        await asyncio.gather(writer.submit(one), writer.submit(two))

    assert first.verdict is not None and second.verdict is not None
    assert (first.verdict.status, second.verdict.status) == ("Accepted", "ConcurrentTx")


async def test_one_refused_frame_does_not_cost_its_batch(db, database_url: str) -> None:
    """The database's refusal is theirs: set aside with its reason, and confirmed."""
    bad = meter_values(3, energy_wh=1)
    assert bad.meaning is not None
    bad.meaning.readings[0].connector_id = -1  # which the table's CHECK refuses
    async with writing(database_url) as writer:
        await asyncio.gather(
            writer.submit(meter_values(1, energy_wh=1)),
            writer.submit(bad),
            writer.submit(meter_values(2, energy_wh=2)),
        )

    assert bad.answer == '[3,"m-3",{}]'
    assert db.execute("SELECT count(*) FROM meter_value").fetchone() == (2,)
    reason, raw = db.execute("SELECT reason, raw FROM set_aside").fetchone()
    assert "connector_id_check" in reason
    assert raw == "frame 3"
    assert db.execute("SELECT count(*) FROM ocpp_message").fetchone() == (3,)


async def test_a_start_the_database_refuses_is_answered_with_an_error(
    db, database_url: str
) -> None:
    message, fact = start("A")
    fact.reservation_id = 2**40
    async with writing(database_url) as writer:
        await writer.submit(message)

    assert message.answer is not None
    assert message.answer.startswith('[4,"s-1","PropertyConstraintViolation"')


async def test_without_a_database_nothing_is_confirmed_and_everybody_is_told() -> None:
    told = asyncio.Event()
    with (
        host.temporary_folder() as folder,
        EmbeddedPostgres(folder / "postgres", ephemeral=True, durable=True) as server,
    ):
        from sql.migrations import migrate

        url = server.create_database("outage")
        migrate(url)
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute("INSERT INTO charge_point (identity) VALUES ('CP-1')")
        async with writing(url, on_away=told.set) as writer:
            await writer.submit(meter_values(1, energy_wh=1))
            await asyncio.to_thread(server.kill)
            with pytest.raises(DatabaseAway):
                await writer.submit(meter_values(2, energy_wh=2))
            assert told.is_set()
            with pytest.raises(DatabaseAway):
                await writer.submit(meter_values(3, energy_wh=3))
            await asyncio.to_thread(server.start)
            async with asyncio.timeout(30):
                while not writer.available:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await writer.submit(meter_values(4, energy_wh=4))
        with psycopg.connect(url) as conn:
            rows = conn.execute("SELECT energy_wh FROM meter_value ORDER BY 1").fetchall()
    assert [row[0] for row in rows] == [1, 4]


@contextlib.asynccontextmanager
async def writing_impatiently(url: str, **attributes: object) -> AsyncIterator[Writer]:
    options = "-c role=eletroposto_ingest -c statement_timeout=300"
    async with writing(url, options=options, **attributes) as writer:
        yield writer


async def test_contention_is_a_hiccup_and_costs_no_socket(db, database_url: str) -> None:
    """A lock held longer than the statement's time: a CALLERROR, and the frame comes again."""
    async with writing_impatiently(database_url) as writer:
        for second in (1, 2):
            with psycopg.connect(database_url) as other:
                other.execute("LOCK TABLE meter_value")
                with pytest.raises(NotStored) as refused:
                    await writer.submit(meter_values(second, energy_wh=1))
            assert writer.available and refused.type is NotStored
            await writer.submit(meter_values(second, energy_wh=1))
    assert db.execute("SELECT count(*) FROM meter_value").fetchone() == (2,)


@pytest.mark.parametrize("table", ["meter_value", "transaction"])
async def test_contention_that_lasts_is_a_database_that_is_away(
    db, database_url: str, table: str
) -> None:
    """Charge points keep what they could not deliver, and do not use up their attempts."""
    told = []
    async with writing_impatiently(database_url, on_away=lambda: told.append(1)) as writer:
        with psycopg.connect(database_url) as other:
            other.execute(f"LOCK TABLE {table}".encode())
            with pytest.raises(NotStored):
                await writer.submit(_of(table, 1))
            assert not told
            with pytest.raises(DatabaseAway):
                await writer.submit(_of(table, 2))
            assert told == [1] and not writer.available
            await asyncio.sleep(1.5)
            assert not writer.available, "the lock is still held"
        async with asyncio.timeout(10):
            while not writer.available:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        with psycopg.connect(database_url) as other:
            other.execute(f"LOCK TABLE {table}".encode())
            with pytest.raises(DatabaseAway):
                await writer.submit(_of(table, 3))
    assert db.execute("SELECT count(*) FROM ocpp_message").fetchone() == (0,)


def _of(table: str, number: int) -> Message:
    if table == "meter_value":
        return meter_values(number, energy_wh=1)
    return start(f"TAG-{number}")[0]


async def test_a_socket_is_an_interval_and_a_newer_replica_ends_the_one_a_dead_replica_left(
    db, database_url: str
) -> None:
    later = NOON + timedelta(hours=1)
    async with writing(database_url) as dead:
        await dead.submit(Opening(1, NOON, "127.0.0.1"))
    async with writing(database_url) as alive:
        await alive.submit(Opening(1, later, "127.0.0.1"))
        await alive.submit(Closing(1, later, later + timedelta(minutes=1), "ended"))

    rows = db.execute("SELECT opened_at, closed_at, reason FROM connection ORDER BY 1").fetchall()
    assert rows == [
        (NOON, later, "a newer connection came"),
        (later, later + timedelta(minutes=1), "ended"),
    ]


async def test_a_socket_learns_which_transactions_are_open(db, database_url: str) -> None:
    async with writing(database_url) as writer:
        message, fact = start("A", connector_id=2)
        await writer.submit(message)
        opening = Opening(1, NOON, "127.0.0.1")
        await writer.submit(opening)

    assert fact.transaction_id is not None
    assert opening.transactions[fact.transaction_id].connector_id == 2


async def test_hours_are_marked_once_a_minute_for_the_flows(db, database_url: str) -> None:
    async with writing(database_url) as writer:
        for second in range(5):
            await writer.submit(meter_values(second, energy_wh=1))
        await writer.submit(meter_values(3600, energy_wh=1))

    marks = db.execute("SELECT charge_point_id, hour FROM touched_window ORDER BY 2").fetchall()
    assert marks == [(1, NOON), (1, NOON + timedelta(hours=1))]
