"""The probe knows every table that a batch has to do with: by the statements and the catalogue."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import sql
from ingest.facts import Meaning, SetAside, TransactionStop
from ingest.items import Item, Opening
from ingest.writer import DatabaseAway, NotStored
from tests.integration.test_writer import NOON, db, meter_values, start, writing

__all__ = ["db"]
STORE = Path(__file__).parents[2] / "ingest"
WRITTEN = re.compile(r"\b(INSERT INTO|UPDATE|DELETE FROM)\s+(?:ONLY\s+)?(\w+)")
TOUCHED = re.compile(r"\b(?:INTO|UPDATE|FROM|JOIN)\s+(?:ONLY\s+)?(\w+)")
LOCKED = re.compile(r"LOCK TABLE ONLY ([\w, ]+) IN (ROW EXCLUSIVE|ACCESS SHARE) MODE")


class Catalogue:
    """Which tables, functions and triggers there are."""

    def __init__(self, conn: psycopg.Connection) -> None:
        rows = conn.execute(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        )
        self.tables = {name for (name,) in rows}
        rows = conn.execute(
            "SELECT proname, coalesce(pg_get_function_sqlbody(oid), prosrc) FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND prolang <> 13"
        )
        self.functions = {name: re.sub(r"--.*|\bpublic\.", "", text) for name, text in rows}
        self.triggers = conn.execute(
            "SELECT tgrelid::regclass::text, tgfoid::regproc::text, tgtype::integer,"
            " ARRAY(SELECT attname::text FROM pg_attribute"
            "   WHERE attrelid = tgrelid AND attnum = ANY(tgattr::int2[]))"
            " FROM pg_trigger WHERE NOT tgisinternal"
        ).fetchall()

    def fired(self, verb: str, table: str, text: str) -> Iterator[str]:
        """The trigger functions that this verb of a statement calls."""
        bit = {"INSERT INTO": 4, "DELETE FROM": 8, "UPDATE": 16}[verb]
        for on, function, kind, columns in self.triggers:
            sets = not columns or any(re.search(rf"\b{name}\s*=", text) for name in columns)
            if on == table and kind & bit and sets:
                yield function


def statements() -> str:
    """What the writer's thread executes, by the names that its modules call."""
    modules = [STORE / name for name in ("store.py", "repeats.py")]
    source = "".join(map(Path.read_text, modules))
    names = re.findall(r'_QUERIES\[f?"([^"]+)"\]', source)
    names += [f"store_{name}" for name in re.findall(r'_insert\(conn, "(\w+)"', source)]
    queries = sql.load("ingest")
    texts = [str(queries[name]) for name in names if "{" not in name]
    return "\n".join(re.sub(r"--.*", "", text) for text in texts)


def reached(catalogue: Catalogue) -> tuple[set[str], set[str]]:
    """The tables that are written, and all that are touched, triggers and functions included."""
    texts, done, written, touched = [statements()], set(), set(), set()
    while texts:
        text = texts.pop()
        called = {name for name in catalogue.functions if re.search(rf"\b{name}\(", text)}
        for verb, table in WRITTEN.findall(text):
            if table in catalogue.tables:
                written.add(table)
                called.update(catalogue.fired(verb, table, text))
        touched |= set(TOUCHED.findall(text)) & catalogue.tables
        texts += [
            catalogue.functions[name] for name in called - done if name in catalogue.functions
        ]
        done |= called
    return written, touched


def test_every_table_that_a_batch_touches_is_probed(db: psycopg.Connection) -> None:
    probe = str(sql.load("ingest")["probe_writing"])
    locked = [(mode, name) for names, mode in LOCKED.findall(probe) for name in names.split(", ")]
    probed_for_writing = {name for mode, name in locked if mode == "ROW EXCLUSIVE"}
    probed_for_writing |= {name for _, name in WRITTEN.findall(probe)}

    written, touched = reached(Catalogue(db))

    assert {"dojot_event", "orphan_stop", "reservation", "charging_profile"} <= written
    assert written == probed_for_writing
    assert touched <= probed_for_writing | {name for _, name in locked}


@pytest.mark.parametrize("table", ["dojot_event", "set_aside", "orphan_stop", "id_tag"])
async def test_a_locked_table_that_few_frames_need_is_an_outage(
    db: psycopg.Connection, database_url: str, table: str
) -> None:
    """Or each such frame would hold up everybody, and use up its charge point's attempts."""
    options = "-c role=eletroposto_ingest -c statement_timeout=300"
    db.execute("INSERT INTO dojot_feed VALUES (DEFAULT)")
    async with writing(database_url, options=options) as writer:
        with psycopg.connect(database_url) as other:
            other.execute(f"LOCK TABLE {table}".encode())
            with pytest.raises(NotStored):
                await writer.submit(_of(table))
            with pytest.raises(DatabaseAway):
                await writer.submit(meter_values(1, energy_wh=1))
            assert not writer.available


def _of(table: str) -> Item:
    if table == "dojot_event":
        return Opening(1, NOON, "127.0.0.1")
    message, _ = start("A")
    assert message.meaning is not None
    if table == "set_aside":
        message.meaning = Meaning(aside=[SetAside("not a number", "{}")])
    if table == "orphan_stop":
        message.meaning = Meaning(facts=[TransactionStop(9, None, NOON, 1.0, "Local", [])])
    return message
