"""The page of one session: what it says of an energy, and of a cost."""

from typing import Any

import psycopg
import pytest

from dashboard.i18n import Words
from tests.integration.test_dashboard_pages import closed_pools, opened, said
from tests.integration.test_dashboard_questions import NOON, conn, insert, session

__all__ = ["closed_pools", "conn"]  # fixtures
T = Words("pt")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"energy_source": "integral", "gap_s": 1440}, T("session.integral_gaps", share="40 %")),
        ({"energy_source": "integral", "gap_s": 0}, T("session.integral_only")),
        ({"energy_source": "register", "gap_s": 1440}, T("session.delta_red")),
        ({"energy_source": "register", "gap_s": 0}, T("session.no_delta")),
    ],
)
def test_gaps_are_told_whatever_the_energy_is_compared_with(
    monkeypatch: pytest.MonkeyPatch,
    conn: psycopg.Connection[Any],
    database_url: str,
    values: dict[str, Any],
    sentence: str,
) -> None:
    session(conn, 1, NOON, **values)

    page = opened(monkeypatch, database_url, "session", transacao="1")

    assert sentence in said(page)


def test_a_cost_that_lacks_a_part_says_so(
    monkeypatch: pytest.MonkeyPatch, conn: psycopg.Connection[Any], database_url: str
) -> None:
    session(conn, 1, NOON)
    conn.execute("INSERT INTO session_cost VALUES (1, 7.5, 4000)")
    expected = "R$ 7,50 (sem tarifa: 4,0 kWh)"

    one = opened(monkeypatch, database_url, "session", transacao="1")
    all_ = opened(monkeypatch, database_url, "sessions", de="2026-11-18", ate="2026-11-18")

    for page in (one, all_):
        assert expected in "".join(element.proto.body for element in page.get("html"))


def test_a_battery_that_lost_charge_has_one_sign(
    monkeypatch: pytest.MonkeyPatch, conn: psycopg.Connection[Any], database_url: str
) -> None:
    session(conn, 1, NOON, flags=["gap"], stop_reason="PowerLoss")
    insert(
        conn, "session_soc", transaction_id=1, soc_start_percent=72, soc_end_percent=70,
        soc_gain_percent=-2, first_at=NOON, last_at=NOON, is_extrapolated=False,
    )  # fmt: skip

    page = opened(monkeypatch, database_url, "session", transacao="1")
    facts = "".join(element.proto.body for element in page.get("html"))

    assert "72 → 70 % (-2)" in facts
    assert f"PowerLoss – {T('reason.PowerLoss')}" in facts
    assert T("session.flags", flags=T("finding.gap")) in said(page)
