"""The past the benchmarks give the flows: copied day by day, and yet what the flows would find."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from benchmarks import history

# When it was computed; and examples, which are copied as they are.
_LEFT_OUT = ("computed_at", "found_at", "quality_finding_id", "evidence")


def contents(conn: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Every row of what flows compute, in an order, without what need not be equal."""
    found = {}
    for table in history.COMPUTED:
        query = sql.SQL("SELECT (to_jsonb(it) - {}::text[])::text FROM {} AS it ORDER BY 1").format(
            sql.Literal(list(_LEFT_OUT)), sql.Identifier(table)
        )
        found[table] = [row[0] for row in conn.execute(query)]
    return found


def rows_waiting(conn: psycopg.Connection[Any]) -> Mapping[str, int]:
    """Work that the next run would find."""
    tables = ("touched_window", "touched_work", "session_work", "unsummed_day")
    count = sql.SQL("SELECT count(*) FROM {}")
    return {
        table: conn.execute(count.format(sql.Identifier(table))).fetchall()[0][0]
        for table in tables
    }


@pytest.mark.parametrize("days", [1, 2, 6])
def test_what_is_copied_is_what_the_flows_compute(database_url: str, days: int) -> None:
    with history.Maker.of(database_url) as maker:
        maker.stations(2)
        history.make_past(maker, days + 1, 2, every_s=600)
        copied = contents(maker.conn)
        waiting = rows_waiting(maker.conn)

        first, last = maker.midnight(days + 2).date(), maker.midnight(2).date()
        history.compute(database_url, first, last + timedelta(days=1))

        assert contents(maker.conn) == copied
    assert waiting == dict.fromkeys(waiting, 0)
    assert len(copied["session"]) == 2 * 3 * days
    empty = [table for table, rows in copied.items() if not rows]
    assert set(empty) <= {"session_cost", "outage", "fault_episode", "quality_finding"}
