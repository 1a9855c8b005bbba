"""Backfills beside what is new: whose turn it is, what is refused, what is computed."""

from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from flows import consumption, runs, sessions, soc
from flows.catalogue import carry_out
from flows.runs import Compute
from flows.scope import Scope, ScopeError
from flows.settings import Settings
from tests.flow_facts import NOON, Facts, some_days
from tests.waiting import wait_until

WINDOW = {"start": NOON - timedelta(days=4), "end": NOON + timedelta(days=1)}


def verdicts(facts: Facts, name: str, **parameters: Any) -> dict[str, str]:
    settings = Settings(database_url=facts.url)
    return {
        part: outcome.verdict for part, outcome in carry_out(settings, name, Scope(**parameters))
    }


def test_a_run_of_what_is_new_is_skipped_while_another_is_at_it(facts: Facts):
    with psycopg.connect(facts.url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(hashtext('eletroposto flow soc'))")

        said = verdicts(facts, "soc")

    assert said == {"soc": "skipped: another run of it has not ended"}
    assert facts.rows("SELECT * FROM report.flow_run") == []
    assert "skipped" not in verdicts(facts, "soc")["soc"]


@pytest.mark.parametrize(
    "flow, compute, work, columns, values",
    [
        (
            "consumption",
            consumption.compute,
            "touched_work",
            "charge_point_id, hour",
            "1, '2026-03-01T03:00Z'",
        ),
        ("soc", soc.compute, "session_work", "transaction_id", "1"),
    ],
)
def test_work_committed_after_a_run_looked_is_left_to_the_next(
    facts: Facts, flow: str, compute: Compute, work: str, columns: str, values: str
):
    with psycopg.connect(facts.url) as late, psycopg.connect(facts.url, autocommit=True) as gate:
        late.execute(f"INSERT INTO {work} (flow, {columns}) VALUES ('{flow}', {values})")
        gate.execute("SELECT pg_advisory_lock(hashtext('eletroposto flows'), 0)")
        with ThreadPoolExecutor(1) as pool:
            run = pool.submit(runs.run, facts.url, flow, Scope(), compute)
            wait_until(lambda: _waits_to_forget(facts), "the run does not come to forget")
            late.commit()
            gate.execute("SELECT pg_advisory_unlock_all()")
            run.result(20)

    assert len(facts.rows(f"SELECT * FROM {work}")) == 1
    verdicts(facts, flow)
    assert facts.rows(f"SELECT * FROM {work}") == []


def _waits_to_forget(facts: Facts) -> bool:
    return bool(
        facts.rows(
            "SELECT FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


def test_windows_of_a_flow_take_turns_and_leave_the_schedule_alone(facts: Facts):
    with psycopg.connect(facts.url, autocommit=True) as first:
        first.execute("SELECT pg_advisory_lock(hashtext('eletroposto flow soc window'))")
        with ThreadPoolExecutor(1) as pool:
            second = pool.submit(verdicts, facts, "soc", **WINDOW)
            with pytest.raises(TimeoutError):
                second.result(0.5)
            assert "skipped" not in verdicts(facts, "soc")["soc"]
            first.execute("SELECT pg_advisory_unlock_all()")
            second.result(20)


def test_a_backfill_beside_what_is_new_gives_the_rows_of_one_after_the_other(facts: Facts):
    some_days(facts)
    facts.run()
    expected = facts.computed()
    assert len(expected["session"]) == 3 * 4 * 3

    def again(_: int) -> None:
        facts_of_thread = Facts(facts.url)
        for row in facts_of_thread.rows("SELECT charge_point_id, started_at FROM transaction"):
            facts_of_thread.touch(row["charge_point_id"], row["started_at"])
        facts_of_thread.run()
        facts_of_thread.conn.close()

    with ThreadPoolExecutor(4) as pool:
        backfills = [pool.submit(verdicts, facts, "backfill", **WINDOW) for _ in range(2)]
        news = [pool.submit(again, number) for number in range(2)]
        futures: list[Future[Any]] = [*backfills, *news]
        for future in futures:
            future.result(60)

    found = facts.computed()
    for table, rows in expected.items():
        assert [_closed(row) for row in found[table]] == [_closed(row) for row in rows], table


def _closed(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row without what goes on while the test runs: the end of today."""
    today = (datetime.now(UTC) - timedelta(hours=3)).date()
    if row.get("day") == today:
        return {key: row[key] for key in ("day", "charge_point_id", "connector_id")}
    return row


@pytest.mark.parametrize(
    "name, parameters, complaint",
    [
        ("backfill", {}, "a backfill needs a window"),
        ("update", {"charge_points": ["CP-0"]}, "charge points are for a window"),
        ("soc", {"charge_points": ["CP-0"]}, "charge points are for a window"),
        ("update", {"charge_points": ["CP-O"], "force": True}, "no such charge point: 'CP-O'"),
        ("quality", {"charge_points": ["CP-O"], **WINDOW}, "no such charge point: 'CP-O'"),
        ("reports", {"charge_points": ["CP-O"]}, "no such charge point: 'CP-O'"),
        ("retention", WINDOW, "retention goes by age"),
    ],
)
def test_what_would_be_passed_over_is_refused_and_nothing_is_run(
    facts: Facts, name: str, parameters: dict[str, Any], complaint: str
):
    facts.charge_point("CP-0")

    with pytest.raises(ScopeError, match=complaint):
        verdicts(facts, name, **parameters)

    assert facts.rows("SELECT * FROM report.flow_run") == []


def test_force_computes_every_part_anew_for_the_charge_points_asked_for(facts: Facts):
    some_days(facts, charge_points=2, days=1)
    facts.run()
    right = facts.computed()
    spoiled = {
        "session": "SET energy_wh = 1",
        "session_soc": "SET soc_end_percent = 99",
        "consumption_day": "SET energy_wh = 1",
        "availability_day": "SET up_s = 1",
    }
    for table, change in spoiled.items():
        facts.conn.execute(f"UPDATE {table} {change}")
    facts.conn.execute("DELETE FROM quality_finding")
    wrong = facts.computed()

    facts.run(force=True, charge_points=["CP-1"])

    (number,) = facts.rows("SELECT charge_point_id FROM charge_point WHERE identity = 'CP-1'")
    found = facts.computed()
    for table in spoiled:
        for at, row in enumerate(found[table]):
            is_asked_for = (
                row.get("charge_point_id", number["charge_point_id"]) == (number["charge_point_id"])
            )
            if table == "session_soc":
                is_asked_for = row["transaction_id"] in _of(right, number["charge_point_id"])
            expected = right if is_asked_for else wrong
            assert _closed(row) == _closed(expected[table][at]), table
    assert found["quality_finding"] == [
        row
        for row in right["quality_finding"]
        if row["charge_point_id"] == number["charge_point_id"]
    ]


def _of(computed: dict[str, list[Any]], charge_point_id: int) -> set[int]:
    return {
        row["transaction_id"]
        for row in computed["session"]
        if row["charge_point_id"] == charge_point_id
    }


def test_many_sessions_are_computed_on_two_connections_at_once(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
):
    some_days(facts, charge_points=4, days=2)
    assert "24 sessions would be computed" in verdicts(facts, "sessions", dry_run=True)["sessions"]
    facts.run()
    expected = facts.computed()
    monkeypatch.setattr(sessions, "_MANY", 2)
    facts.conn.execute("TRUNCATE session, energy_bucket")
    used = []
    compute_rows = sessions._compute_rows

    def noted(conn, *rest):
        used.append(conn)
        return compute_rows(conn, *rest)

    monkeypatch.setattr(sessions, "_compute_rows", noted)

    facts.run("sessions", **WINDOW)

    assert len(used) == 2
    found = facts.computed()
    for table in ("session", "energy_bucket"):
        assert found[table] == expected[table]
