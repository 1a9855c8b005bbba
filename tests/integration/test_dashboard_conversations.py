"""Which frames belong to a session and to each other, worked out by hand."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import streamlit as st

from dashboard import db
from dashboard.data import messages as ask
from dashboard.data import sessions as session_data
from dashboard.filters import Period, Selection

NOON = datetime(2026, 11, 18, 15, tzinfo=UTC)
DAY = Period(NOON.date(), NOON.date())


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


class Log:
    """The raw log of one charge point, filled by hand."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP')")

    def transaction(self, started_at: datetime, stopped_at: datetime, told_at: datetime) -> int:
        """``told_at``: when its stop arrived."""
        row = self.conn.execute(
            "INSERT INTO transaction (charge_point_id, connector_id, id_tag_status, started_at,"
            " stopped_at, changed_at) VALUES (1, 1, 'Accepted', %s, %s, %s)"
            " RETURNING transaction_id",
            [started_at, stopped_at, told_at],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def told(
        self, at: datetime, number: str, action: str, payload: Any, answer: Any = None
    ) -> None:
        """A CALL of the charge point and our answer."""
        self._write(
            at, "i", 2, action, number, [2, number, action, payload],
            [3, number, answer or {}], at + seconds(0.01),
        )  # fmt: skip

    def asked(self, at: datetime, number: str, action: str, payload: Any) -> None:
        """A CALL of ours."""
        self._write(at, "o", 2, action, number, [2, number, action, payload], None, None)

    def answered(self, at: datetime, number: str, action: str, *rest: Any, kind: int = 3) -> None:
        """Their answer to a CALL of ours."""
        self._write(at, "i", kind, action, number, [kind, number, *rest], None, None)

    def set_aside(self, at: datetime, reason: str) -> None:
        self.conn.execute(
            "INSERT INTO set_aside (received_at, charge_point_id, reason, raw)"
            " VALUES (%s, 1, %s, '{}')",
            [at, reason],
        )

    def _write(
        self, at: datetime, direction: str, kind: int, action: str, number: str, raw: Any,
        answer: Any, answered_at: datetime | None,
    ) -> None:  # fmt: skip
        self.conn.execute(
            "INSERT INTO ocpp_message (received_at, charge_point_id, direction, message_type,"
            " action, message_id, raw, answer, answered_at)"
            " VALUES (%s, 1, %s, %s, %s, %s, %s, %s, %s)",
            [at, direction, kind, action, number, json.dumps(raw),
             answer and json.dumps(answer), answered_at],
        )  # fmt: skip


@pytest.fixture
def log(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    with psycopg.connect(database_url, autocommit=True) as conn:
        yield Log(conn)
    db.close_all()
    st.cache_data.clear()


def utc(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def charge(log: Log, arrives: datetime, apart: float, readings: int = 12, days: float = 0) -> int:
    """An hour from noon, told from ``arrives`` on, a frame every ``apart`` seconds.

    ``days``: how much later its stop came.
    """
    end = NOON + timedelta(hours=1)
    last = arrives + (readings + 3) * seconds(apart) + timedelta(days=days)
    number = log.transaction(NOON, end, last)
    tag = {"connectorId": 1, "idTag": "A"}
    opening = {**tag, "meterStart": 5, "timestamp": utc(NOON)}
    answer = {"transactionId": number, "idTagInfo": {"status": "Accepted"}}
    log.told(arrives, "start", "StartTransaction", opening, answer)
    for place in range(readings):
        payload = {"connectorId": 1, "transactionId": number, "meterValue": []}
        at = arrives + (place + 1) * seconds(apart)
        log.told(at, f"mv-{place:02}", "MeterValues", payload)
    stop = {"transactionId": number, "meterStop": 9, "timestamp": utc(end)}
    log.told(last, "stop", "StopTransaction", stop)
    return number


def shown(number: int) -> "list[str]":
    span = session_data.Span("CP", 1, number, NOON, NOON + timedelta(hours=1))
    return list(session_data.frames(span)["message_id"])


WHOLE = ["start", "mv-00", "mv-01", "mv-10", "mv-11", "stop"]


def test_a_session_told_while_it_runs_is_shown_from_head_to_tail(log):
    assert shown(charge(log, NOON + seconds(1), apart=270)) == WHOLE


def test_a_session_that_was_held_offline_is_found_where_it_arrived(log):
    """Two days later, within a second, after another session of the same queue."""
    later = NOON + timedelta(days=2)
    log.told(later - seconds(30), "boot", "BootNotification", {"chargePointModel": "M"})
    other = {"connectorId": 1, "transactionId": 4_711, "meterValue": []}
    log.told(later - seconds(2), "other", "MeterValues", other)
    before = {"connectorId": 1, "status": "Charging", "timestamp": utc(NOON - timedelta(hours=5))}
    log.told(later - seconds(1), "other-status", "StatusNotification", before)
    number = charge(log, later, apart=0.05)
    status = {"connectorId": 1, "status": "Finishing", "timestamp": utc(NOON + seconds(3601))}
    log.told(later + seconds(2), "status", "StatusNotification", status)

    assert shown(number) == ["boot", *WHOLE, "status"]


def test_a_stop_that_came_days_later_is_there_and_the_days_between_are_not(log):
    number = charge(log, NOON + seconds(1), apart=10, days=3)
    log.told(NOON + timedelta(days=1), "yonder", "Authorize", {"idTag": "B"})
    log.told(NOON + timedelta(minutes=50), "between", "Authorize", {"idTag": "A"})

    assert shown(number) == [*WHOLE[:-1], "between", "stop"]


def test_left_out_frames_are_counted_and_the_end_is_never_cut(log):
    number = charge(log, NOON + seconds(1), apart=25, readings=140)
    for place in range(100):
        at = NOON + seconds(600 + place)
        log.told(at, f"data-{place:02}", "DataTransfer", {"vendorId": "V"})

    span = session_data.Span("CP", 1, number, NOON, NOON + timedelta(hours=1))
    frames = session_data.frames(span)

    assert len(frames) == 80
    assert list(frames["message_id"])[-3:] == ["mv-138", "mv-139", "stop"]
    assert frames[["omitted", "dropped"]].sum().tolist() == [136, 26]


def test_a_command_and_its_answer_stand_in_the_session_and_those_of_others_do_not(log):
    number = charge(log, NOON + seconds(1), apart=270)
    at = NOON + timedelta(minutes=30)
    log.asked(at, "c1", "RemoteStopTransaction", {"transactionId": number})
    log.answered(at + seconds(1), "c1", "RemoteStopTransaction", {"status": "Accepted"})
    log.asked(at + seconds(2), "c2", "UnlockConnector", {"connectorId": 2})
    log.answered(at + seconds(3), "c2", "UnlockConnector", {"status": "Unlocked"})

    assert [one for one in shown(number) if one.startswith("c")] == ["c1", "c1"]


def listed(kind: ask.Kind = "all", **wanted: Any) -> "list[tuple[str, str | None]]":
    found = ask.messages(Selection(DAY, None), ask.Wanted(kind=kind, **wanted), NOON + seconds(99))
    return list(zip(found.frame["message_id"], found.frame["answer"], strict=True))


def test_commands_stand_beside_their_answers(log):
    log.asked(NOON, "c1", "Reset", {"type": "Soft"})
    log.answered(NOON + seconds(2), "c1", "Reset", {"status": "Accepted"})
    log.asked(NOON + seconds(3), "c2", "ClearCache", {})
    log.answered(NOON + seconds(4), "c2", "ClearCache", "NotSupported", "", {}, kind=4)
    log.asked(NOON + seconds(5), "c3", "GetLog", {})
    log.answered(NOON + seconds(6), "nobody", "Reset", {"status": "Accepted"})
    ours = [
        ("nobody", None),
        ("c3", None),
        ("c2", '[4, "c2", "NotSupported", "", {}]'),
        ("c1", '[3, "c1", {"status": "Accepted"}]'),
    ]

    everything = ask.messages(Selection(DAY, None), ask.Wanted(), NOON + seconds(99)).frame
    assert listed() == ours
    assert everything["latency_ms"].iloc[-1] == pytest.approx(2000)
    assert listed("unanswered") == [ours[1]]
    assert listed("errors") == [ours[2]]
    assert listed(text="notsupported") == [ours[2]]
    assert listed(direction="out", action="Reset") == [ours[3]]


def test_frames_of_which_a_piece_was_set_aside_can_be_sought(log):
    log.told(NOON, "good", "MeterValues", {})
    log.told(NOON + seconds(1), "odd", "MeterValues", {})
    log.set_aside(NOON + seconds(1), "value is no number")

    assert [message_id for message_id, _ in listed("aside")] == ["odd"]
