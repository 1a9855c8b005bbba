"""What holds whatever charge points send, and in whatever order it arrives."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.flow_facts import NOON, Facts, minutes

SLOW_BUT_REAL = settings(
    max_examples=8,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

STATUSES = (
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Faulted",
    "Unavailable",
)


@dataclass(frozen=True)
class Visit:
    """A session as a charge point might tell it, with pieces missing or wrong."""

    start_min: int
    length_min: int
    meter_start_wh: float | None
    meter_stop_wh: float | None
    has_stop: bool
    energy_wh: list[float | None]
    power_w: list[float | None]


visits = st.lists(
    st.builds(
        Visit,
        # Often on the quarter and of two or four hours: then readings of two visits meet.
        start_min=st.integers(0, 1500) | st.integers(0, 24).map(lambda quarter: quarter * 15),
        length_min=st.integers(0, 300) | st.sampled_from([120, 240]),
        meter_start_wh=st.none() | st.integers(0, 60_000),
        meter_stop_wh=st.none() | st.integers(0, 120_000),
        has_stop=st.booleans(),
        energy_wh=st.lists(st.none() | st.integers(0, 120_000), max_size=8),
        power_w=st.lists(st.none() | st.integers(0, 50_000), min_size=8, max_size=8),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda visit: visit.start_min,
)
reports = st.lists(st.tuples(st.integers(0, 2000), st.sampled_from(STATUSES)), max_size=12)

Fact = Callable[[Facts, int], None]


def _start(number: int, visit: Visit) -> Fact:
    return lambda facts, cp: _ignore(
        facts.transaction(
            cp,
            NOON + minutes(visit.start_min),
            meter_start_wh=visit.meter_start_wh,
            transaction_id=number,
        )
    )


def _stop(number: int, visit: Visit) -> Fact:
    def store(facts: Facts, _: int) -> None:
        facts.conn.execute(
            "UPDATE transaction SET stopped_at = %s, meter_stop_wh = %s, changed_at = now()"
            " WHERE transaction_id = %s",
            [NOON + minutes(visit.start_min + visit.length_min), visit.meter_stop_wh, number],
        )

    return store


def _reading(number: int, visit: Visit, place: int) -> Fact:
    at = NOON + minutes(visit.start_min + place * max(1, visit.length_min // 8))
    return lambda facts, cp: facts.reading(
        cp,
        at,
        transaction_id=number,
        energy_wh=visit.energy_wh[place],
        power_w=visit.power_w[place],
    )


def _status(minute: int, status: str) -> Fact:
    return lambda facts, cp: facts.status(cp, NOON + minutes(minute), status)


def _ignore(_: Any) -> None:
    return None


def told(visits: list[Visit], reports: list[tuple[int, str]]) -> list[list[Fact]]:
    """Return chains of facts: within a chain the order is given, between chains it is not."""
    chains: list[list[Fact]] = []
    for number, visit in enumerate(visits, start=1):
        stop = [_stop(number, visit)] if visit.has_stop else []
        chains.append([_start(number, visit), *stop])
        chains += [[_reading(number, visit, place)] for place in range(len(visit.energy_wh))]
    chains += [[_status(minute, status)] for minute, status in dict(reports).items()]
    chains.append([_status(2001, "Available")])  # so that nothing lasts until today
    return chains


def settled(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """Return what was computed, without today, which is longer with every look."""
    today: date = facts.rows("SELECT local_day(now()) AS day")[0]["day"]
    return {
        table: [row for row in rows if row.get("day") != today]
        for table, rows in facts.computed().items()
    }


@SLOW_BUT_REAL
@given(visits=visits, reports=reports, data=st.data())
def test_late_data_in_any_order_gives_the_same_rows(
    facts: Facts, visits: list[Visit], reports: list[tuple[int, str]], data: st.DataObject
):
    chains = told(visits, reports)
    facts.forget()
    cp = facts.charge_point()
    for chain in chains:
        for fact in chain:
            fact(facts, cp)
    facts.run()
    at_once = settled(facts)

    facts.forget()
    cp = facts.charge_point()
    waiting = data.draw(st.permutations(chains))
    when_to_run = data.draw(st.sets(st.integers(0, len(waiting)), max_size=3))
    heads, tails = [chain[:1] for chain in waiting], [chain[1:] for chain in waiting]
    for place, chain in enumerate([*heads, *tails]):
        for fact in chain:
            fact(facts, cp)
        if place in when_to_run:
            facts.run()
    facts.run()

    assert settled(facts) == at_once


@SLOW_BUT_REAL
@given(visits=visits, reports=reports)
def test_what_must_always_hold(facts: Facts, visits: list[Visit], reports: list[tuple[int, str]]):
    facts.forget()
    cp = facts.charge_point()
    for chain in told(visits, reports):
        for fact in chain:
            fact(facts, cp)
    facts.run()
    first = settled(facts)

    _buckets_sum_to_their_sessions(facts)
    _days_sum_to_the_buckets(facts)
    _every_second_of_a_day_has_one_state(facts)

    facts.run()
    assert settled(facts) == first, "running again changed something"
    facts.run(start=NOON - timedelta(days=1), end=datetime.now(UTC))
    assert settled(facts) == first, "the backfill differs from the incremental run"
    facts.run(force=True)
    assert settled(facts) == first, "a forced run differs from the incremental run"


def _buckets_sum_to_their_sessions(facts: Facts) -> None:
    for row in facts.rows(
        "SELECT ses.energy_wh, sum(eb.energy_wh) AS summed FROM session AS ses"
        " LEFT JOIN energy_bucket AS eb USING (transaction_id)"
        " GROUP BY ses.transaction_id, ses.energy_wh"
    ):
        assert (row["summed"] or 0) == pytest.approx(row["energy_wh"] or 0, rel=1e-12)


def _days_sum_to_the_buckets(facts: Facts) -> None:
    (row,) = facts.rows(
        "SELECT (SELECT coalesce(sum(energy_wh), 0) FROM consumption_day) AS days,"
        " (SELECT coalesce(sum(energy_wh), 0) FROM site_demand) AS demand,"
        " (SELECT coalesce(sum(energy_wh), 0) FROM energy_bucket) AS buckets"
    )
    assert row["days"] == pytest.approx(row["buckets"], rel=1e-9)
    assert row["demand"] == pytest.approx(row["buckets"], rel=1e-9)


def _every_second_of_a_day_has_one_state(facts: Facts) -> None:
    for row in facts.rows("SELECT * FROM report.availability"):
        assert row["up_s"] + row["down_s"] + row["unknown_s"] == pytest.approx(row["observed_s"])
        states = ("available", "preparing", "charging", "suspended_ev", "suspended_evse")
        up = sum(row[f"{state}_s"] for state in (*states, "finishing", "reserved"))
        assert up == pytest.approx(row["up_s"])
        assert row["excluded_s"] <= row["down_s"]
    for row in facts.rows(
        "SELECT charge_point_id, day, sum(extract(EPOCH FROM ended_at - started_at))::float8 AS s"
        " FROM state_interval WHERE day < local_day(now()) GROUP BY 1, 2"
    ):
        assert row["s"] == 86400
