"""A short campaign of ``make faults``: nothing that was confirmed is lost, and nothing doubles."""

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from tests.faults.breakages import SELDOM
from tests.faults.campaign import Plan, carry_out
from tests.faults.verdict import judge
from tests.faults.witness import Exchange


async def test_a_short_campaign_loses_and_doubles_nothing(tmp_path: Path) -> None:
    kinds = ("ingest killed", "postgres killed", "network half open", "relay killed")
    plan = Plan(seed=2026, rounds=4, seconds=1.5, charge_points=4, kinds=kinds)
    lines: list[str] = []
    outcome = await carry_out(plan, tmp_path, lines.append)

    told = "\n".join(lines)
    assert outcome.lost == [], told
    assert outcome.doubled == [], told
    assert outcome.defects == [], told
    assert sorted(outcome.kinds) == sorted(kinds)
    assert outcome.readings > 50, "there was too little load to say anything"
    assert outcome.sessions >= 8


def test_every_fault_comes_again_but_for_the_slowest() -> None:
    plan = Plan(seed=1, rounds=150)
    counted = Counter(plan.picks())
    assert counted.keys() == plan.known_kinds().keys()
    assert {kind: counted[kind] for kind in SELDOM} == dict.fromkeys(SELDOM, 1)
    assert min(count for kind, count in counted.items() if kind not in SELDOM) > 1
    assert plan.picks() == Plan(seed=1, rounds=150).picks(), "the same seed, the same faults"


def test_the_judge_sees_what_is_missing_and_what_is_too_much(database_url: str) -> None:
    """A campaign that cannot fail would prove nothing."""
    body = (
        '{"connectorId":1,"transactionId":1,"meterValue":[{"timestamp":"2026-03-01T12:00:00.000Z",'
        '"sampledValue":[{"value":"5","measurand":"Voltage","context":"Sample.Periodic"}]}]}'
    )
    told = Exchange("CP-1", "MeterValues", body, {})
    with psycopg.connect(database_url, autocommit=True) as conn:
        missing = judge(conn, [told], [], datetime.now(UTC))
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP-1')")
        conn.execute(
            "INSERT INTO meter_value"
            " (sampled_at, charge_point_id, connector_id, context, voltage_v)"
            " SELECT '2026-03-01T12:00:00Z', charge_point_id, connector_id, 0, 4"
            " FROM charge_point, (VALUES (1), (2)) AS c (connector_id)"
        )
        wrong = judge(conn, [told], [], datetime.now(UTC))
    assert [case.split(":")[0] for case in missing.lost] == [
        "frame not in the raw log",
        "confirmed reading missing",
    ]
    assert "confirmed reading differs" in wrong.lost[1]
    assert "reading nobody sent" in wrong.doubled[0]


def test_the_judge_tells_a_repeat_from_a_second_telling(database_url: str) -> None:
    """Of statuses without a time, whose only order is that in which they came."""
    began = datetime.now(UTC)
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP-1')")
        for status in ("Available", "Preparing", "Preparing"):
            conn.execute(
                "INSERT INTO status_notification"
                " (at, received_at, charge_point_id, connector_id, status)"
                " SELECT at, at, 1, 1, %s FROM clock_timestamp() AS at",
                [status],
            )
        told_twice = [_status("Available"), _status("Preparing"), _status("Preparing")]
        repeated = [_status("Available"), _status("Preparing", told=False), _status("Preparing")]
        out_of_order = [_status("Preparing"), _status("Available")]
        verdicts = [judge(conn, it, [], began) for it in (told_twice, repeated, out_of_order)]
    doubled, lost = [it.doubled for it in verdicts], [it.lost for it in verdicts]
    assert [bool(it) for it in doubled] == [False, True, True]
    assert ["undated status missing" in " ".join(it) for it in lost] == [False, False, True]


def _status(status: str, *, told: bool = True) -> Exchange:
    body = f'{{"connectorId":1,"errorCode":"NoError","status":"{status}"}}'
    return Exchange("CP-1", "StatusNotification", body, {} if told else None)
