"""What the dashboard's roles may do in the database, and what the pages then offer."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import db, visitor
from dashboard.data import operations
from tests.integration.test_dashboard_pages import opened, said

ACTS = (
    "operation.queue_command('CP', 'Reset', '{\"type\": \"Soft\"}', 'ana', 60)",
    "operation.register_charge_point('CP', 'refused', 'ana')",
    "operation.describe_charge_point('CP', 'x', 'y', 0, 0, 'ana')",
    "operation.save_id_tag('T', 'Accepted', NULL, NULL, NULL, NULL, 'ana')",
    "report.remove_tariff(1)",
    "report.end_tariff(1, NULL, 'ana')",
    "report.add_holiday('2026-12-25', 'Natal')",
    "report.remove_holiday('2026-12-25', 'ana')",
    "operation.set_energy_factor('CP', 1000, 'ana')",
    "operation.set_connector('CP', 1, 'DC', 50000, 'ana')",
    "operation.save_vehicle('T', 'Bus', 1, 1, 'ana')",
    "operation.remove_vehicle('T', 'ana')",
    "report.set_setting('power_threshold_w', 60, 'x', 2026, 'ana')",
    "report.withdraw_downtime_exclusion(1, 'ana')",
)
NONSENSE = (psycopg.errors.RaiseException, psycopg.errors.CheckViolation)


def fill(url: str) -> None:
    """One charge point that is known and one that knocks."""
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO charge_point (identity, registration)"
            " VALUES ('CP', 'registered'), ('KNOCKS', 'pending')"
        )
        conn.execute("INSERT INTO connector (charge_point_id, connector_id) VALUES (1, 1)")
        conn.execute(
            "INSERT INTO tariff (name, consumer_group, modality, valid_from, author)"
            " VALUES ('x', 'B', 'branca', '2026-01-01', 'ana')"
        )


@pytest.fixture(scope="module")
def known(module_database_url: str) -> str:
    """For tests that change nothing: what their connections did is rolled back."""
    fill(module_database_url)
    return module_database_url


@pytest.fixture
def network(database_url, monkeypatch) -> Iterator[str]:
    fill(database_url)
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    yield database_url
    db.close_all()
    st.cache_data.clear()


@contextmanager
def as_role(url: str, role: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(url, options=f"-c role=eletroposto_{role}") as conn:
        yield conn
        conn.rollback()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


@pytest.mark.parametrize("act", ACTS)
def test_a_reader_of_the_dashboard_cannot_act(known, act):
    with as_role(known, "dashboard") as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(f"SELECT {act}")


@pytest.mark.parametrize("act", ACTS)
def test_an_operator_can(known, act):
    with as_role(known, "operator") as conn:
        conn.execute(f"SELECT {act}")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO command (charge_point_id, action) VALUES (1, 'Reset')",
        "UPDATE charge_point SET registration = 'registered'",
        "DELETE FROM id_tag",
        "SELECT * FROM charge_point",
        "INSERT INTO operation_log (who, what, subject) VALUES ('x', 'y', 'z')",
        "SELECT operation.note('x', 'y', 'z', '{}')",
    ],
)
def test_an_operator_reaches_tables_through_the_functions_only(known, statement):
    with as_role(known, "operator") as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(statement)


@pytest.mark.parametrize(
    "call",
    [
        "operation.queue_command('CP', 'Explode', '{}', 'ana', 60)",
        "operation.queue_command('CP', 'Reset', '[]', 'ana', 60)",
        "operation.queue_command('CP', 'Reset', '{}', 'ana', 0)",
        "operation.register_charge_point('CP', 'pending', 'ana')",
        "operation.save_id_tag(' ', 'Accepted', NULL, NULL, NULL, NULL, 'ana')",
        "operation.save_id_tag('T', 'Maybe', NULL, NULL, NULL, NULL, 'ana')",
        "operation.describe_charge_point('CP', 'x', 'y', 91, 0, 'ana')",
        "operation.set_energy_factor('CP', 0, 'ana')",
        "operation.set_connector('CP', 0, 'DC', NULL, 'ana')",
        "operation.set_connector('CP', 1, 'XC', NULL, 'ana')",
        "operation.save_vehicle(' ', 'Bus', 1, 1, 'ana')",
        "operation.save_vehicle('T', 'Bus', -1, 1, 'ana')",
    ],
)
def test_the_database_refuses_nonsense_from_operators_too(known, call):
    with as_role(known, "operator") as conn, pytest.raises(NONSENSE):
        conn.execute(f"SELECT {call}")


@pytest.mark.parametrize(
    "call",
    [
        "operation.queue_command('nobody', 'Reset', '{}', 'ana', 60)",
        "operation.set_energy_factor('nobody', 1000, 'ana')",
        "report.end_tariff(99, NULL, 'ana')",
    ],
)
def test_what_does_not_exist_is_said_not_to(known, call):
    with as_role(known, "operator") as conn, pytest.raises(psycopg.errors.NoDataFound):
        conn.execute(f"SELECT {call}")


def test_a_command_of_an_operator_waits_for_the_socket(network):
    visitor.sign_in("ana", "operator")

    number = operations.queue_command("CP", "Reset", {"type": "Soft"}, 30)

    found = rows(network, "SELECT command_id, action, payload, requested_by, status FROM command")
    assert found == [(number, "Reset", {"type": "Soft"}, "ana", "queued")]


@pytest.mark.parametrize("role", ["viewer", "engineer"])
def test_nobody_else_gets_as_far_as_the_database(network, role):
    visitor.sign_in("bob", role)

    with pytest.raises(db.NoAnswer) as refused:
        operations.queue_command("CP", "Reset", {"type": "Soft"}, 30)

    assert refused.value.reason == "refused"
    assert rows(network, "SELECT * FROM command") == []


def test_the_database_says_why_it_refuses(network):
    visitor.sign_in("ana", "operator")

    with pytest.raises(db.NoAnswer) as refused:
        operations.queue_command("nobody", "Reset", {}, 30)

    assert "nobody" in refused.value.detail


def test_who_changed_what_is_on_record_without_the_identifier(network):
    visitor.sign_in("ana", "operator")

    operations.save_id_tag("SECRET-1", "Blocked", None, "", 1, "Ônibus", is_new=False)

    [(who, what, subject, details)] = rows(
        network, "SELECT who, what, subject, details FROM operation_log"
    )
    assert (who, what) == ("ana", "save_id_tag")
    assert "SECRET" not in subject + json.dumps(details)


def test_an_exclusion_and_its_withdrawal_are_kept(network):
    visitor.sign_in("ana", "operator")
    start = datetime(2026, 11, 1, tzinfo=UTC)

    operations.exclude("CP", 1, start, start + timedelta(hours=1), "vandalism", "B.O. 123")
    operations.withdraw_exclusion(1)

    [(reason, author, withdrawn)] = rows(
        network, "SELECT reason, author, withdrawn_by FROM downtime_exclusion"
    )
    assert (reason, author, withdrawn) == ("vandalism", "ana", "ana")


def test_one_click_lets_a_charge_point_in(monkeypatch, network):
    page = opened(monkeypatch, network, "registry")

    page.button(key="registered_KNOCKS").click().run()

    assert not page.exception
    assert rows(network, "SELECT identity FROM charge_point WHERE registration = 'pending'") == []


def test_a_command_that_may_disturb_asks_first(monkeypatch, network):
    page = opened(monkeypatch, network, "operations", comando="Reset")

    press(page)
    assert rows(network, "SELECT * FROM command") == []
    assert "a estação inteira" in said(page)
    page.button(key="confirm_agree").click().run()
    assert rows(network, "SELECT action, payload FROM command") == [("Reset", {"type": "Soft"})]

    press(page)  # agreeing once is not agreeing for ever
    page.button(key="confirm_cancel").click().run()
    assert len(rows(network, "SELECT * FROM command")) == 1


def test_whom_a_command_reaches_is_named(monkeypatch, network):
    with psycopg.connect(network) as conn:
        conn.execute(
            "INSERT INTO transaction (charge_point_id, connector_id, id_tag_status, started_at)"
            " VALUES (1, 1, 'Accepted', now()), (1, 2, 'Accepted', now())"
        )
    page = opened(monkeypatch, network, "operations", comando="UnlockConnector")

    press(page)

    assert "conector 1: sessão 1," in said(page)
    assert "sessão 2" not in said(page)


def test_an_operator_ends_a_session_whose_stop_is_lost(monkeypatch, network):
    with psycopg.connect(network) as conn:
        conn.execute(
            "INSERT INTO transaction (charge_point_id, connector_id, id_tag_status, started_at)"
            " VALUES (1, 1, 'Accepted', now() - interval '1 hour')"
        )
        conn.execute(
            "INSERT INTO session (transaction_id, charge_point_id, connector_id, started_at,"
            " ended_at, is_open, is_attempt, duration_s, energy_source, readings) VALUES"
            " (1, 1, 1, now() - interval '1 hour', now(), true, false, 3600, 'none', 0)"
        )
    page = opened(monkeypatch, network, "session", transacao="1")

    page.button(key="end_session").click().run()
    assert rows(network, "SELECT * FROM operation_log") == []
    page.button(key="confirm_agree").click().run()

    assert not page.exception
    assert rows(network, "SELECT what, details FROM operation_log") == [
        ("end_transaction", {"transaction_id": 1})
    ]


def press(page: AppTest) -> None:
    next(button for button in page.button if button.label == "Enviar").click()
    page.run()
    assert not page.exception


def test_without_signing_in_nothing_is_shown(monkeypatch, network, tmp_path):
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", network)
    page = opened(monkeypatch, network)
    assert page.title

    monkeypatch.setenv("ELETROPOSTO_DASHBOARD_USERS", str(tmp_path / "users"))
    page.run()

    assert not page.title
    assert not page.metric
    assert "Entre para ver" in said(page)
