"""CALLs of charge points, and what each comes to."""

import json
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.facts import Authorization, Boot, Report, StatusChange, TransactionStart, Verdict
from ingest.frames import Call, read_frame
from ingest.meanings import MEANINGS, meaning_of
from ingest.situation import KnownTransaction, Situation

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
NOON = "2026-03-01T12:00:00Z"


def mean(action, payload, situation=None):
    return meaning_of(Call("7", action, payload), situation or Situation(), NOW)


def fact(action, payload):
    (only,) = mean(action, payload).facts
    return only


def test_a_boot_is_accepted_with_our_time_and_an_interval():
    meaning = mean("BootNotification", {"chargePointVendor": "ABB", "chargePointModel": "Terra 54"})

    assert meaning.answer == {
        "status": "Accepted",
        "currentTime": "2026-03-01T12:00:05.000Z",
        "interval": 300,
    }
    assert [(boot.vendor, boot.model) for boot in meaning.facts] == [("ABB", "Terra 54")]


@pytest.mark.parametrize("vendor", [None, "", "null"])
def test_a_boot_without_a_vendor_is_accepted(vendor):
    meaning = mean("BootNotification", {"chargePointVendor": vendor})

    assert meaning.answer["status"] == "Accepted"
    assert isinstance(meaning.facts[0], Boot) and meaning.facts[0].vendor is None


def test_a_heartbeat_tells_the_time():
    assert mean("Heartbeat", {}).answer == {"currentTime": "2026-03-01T12:00:05.000Z"}


def test_a_status_has_our_time_where_it_has_none():
    change = fact("StatusNotification", {"connectorId": 1, "status": "Charging"})

    assert (change.at, change.flags) == (NOW, [])


def test_an_old_status_keeps_its_time():
    change = fact(
        "StatusNotification",
        {"connectorId": "1", "status": "Charging", "timestamp": "2026-03-01T06:30:00Z"},
    )

    assert (change.connector_id, NOW - change.at) == (1, timedelta(hours=5, minutes=30, seconds=5))


@pytest.mark.parametrize("begin", ["2014-01-01T00:00:09Z", "2019-12-31T23:59:59Z"])
def test_a_status_of_a_clock_that_was_never_set_is_of_now(begin):
    """A history of readings and transactions may be as old: those are taken at their word."""
    status = {"connectorId": 1, "status": "Charging", "timestamp": begin}
    change = fact("StatusNotification", status)
    start = fact("StartTransaction", {"connectorId": 1, "meterStart": 0, "timestamp": begin})

    assert (change.at, change.flags) == (NOW, ["clock"])
    assert (start.started_at, start.flags) == (datetime.fromisoformat(begin), [])


@pytest.mark.parametrize(
    ("sent", "stored", "flags"),
    [
        (("Faulted", "GroundFailure", ""), ("Faulted", "GroundFailure", None), []),
        (("Charging", "GroundFailure", "E1"), ("Charging", "GroundFailure", "E1"), []),
        (("suspendedevse", "noerror", None), ("SuspendedEVSE", "NoError", None), ["value"]),
        (("Faulted", "Error", None), ("Faulted", "OtherError", "Error"), ["value"]),
        (("Faulted", "Error", "E1"), ("Faulted", "OtherError", "E1"), ["value"]),
        (("Occupied", "", None), ("Occupied", None, None), ["value"]),
        (("Available", None, "null"), ("Available", None, None), []),
    ],
)
def test_status_and_error_code_are_normalised_and_the_rest_kept(sent, stored, flags):
    status, error_code, vendor_error_code = sent
    change = fact(
        "StatusNotification",
        {
            "connectorId": 1,
            "status": status,
            "errorCode": error_code,
            "vendorErrorCode": vendor_error_code,
        },
    )

    assert (change.status, change.error_code, change.vendor_error_code) == stored
    assert change.flags == flags


@pytest.mark.parametrize(
    "payload",
    [
        {"connectorId": 1, "status": ""},
        {"connectorId": -1, "status": "Charging"},
        {"connectorId": 2**40, "status": "Charging"},
        {"connectorId": "one", "status": "Charging"},
        {"status": "Charging"},
    ],
)
def test_a_status_without_a_connector_or_a_word_is_set_aside_and_confirmed(payload):
    meaning = mean("StatusNotification", payload)

    assert (meaning.answer, meaning.facts, meaning.error) == ({}, [], None)
    assert orjson.loads(meaning.aside[0].raw) == payload


def test_a_start_is_answered_with_what_the_store_decides():
    start = mean(
        "StartTransaction",
        {"connectorId": 2, "idTag": " tag ", "meterStart": "1000", "timestamp": NOON},
    )
    (begun,) = start.facts
    assert isinstance(begun, TransactionStart)
    begun.transaction_id = 17
    begun.verdict = Verdict("Invalid", NOW, "PARENT")

    assert (begun.connector_id, begun.id_tag, begun.meter_start_wh) == (2, "tag", 1000.0)
    assert start.answer() == {
        "transactionId": 17,
        "idTagInfo": {
            "status": "Invalid",
            "expiryDate": "2026-03-01T12:00:05.000Z",
            "parentIdTag": "PARENT",
        },
    }


@pytest.mark.parametrize(("parent", "is_told"), [("P" * 20, True), ("P" * 21, False)])
def test_a_parent_that_the_standard_has_no_room_for_is_not_told(parent, is_told):
    authorize = mean("Authorize", {"idTag": "tag"})
    authorize.facts[0].verdict = Verdict("Accepted", None, parent)

    told = {"parentIdTag": parent} if is_told else {}
    assert authorize.answer() == {"idTagInfo": {"status": "Accepted"} | told}


def test_a_start_with_nothing_usable_is_still_a_start():
    """OCPP 1.6 4.8: sanity checks must not prevent the answer."""
    meaning = mean("StartTransaction", {"connectorId": 47110, "reservationId": 2**40})
    (begun,) = meaning.facts

    assert [piece.reason for piece in meaning.aside] == ["no connector 47110: 0 stands in"]
    assert (begun.connector_id, begun.id_tag, begun.reservation_id) == (0, None, None)
    assert begun.flags == ["clock", "connector", "meter_start"]


@pytest.mark.parametrize(
    ("sent", "reason"), [(None, "Local"), ("evdisconnected", "EVDisconnected"), ("Odd", "Odd")]
)
def test_a_stop_has_a_reason(sent, reason):
    stop = fact("StopTransaction", {"transactionId": 7, "meterStop": 5, "reason": sent})

    assert stop.reason == reason


@pytest.mark.parametrize("transaction_id", [0, -1, None, "x", 2**70])
def test_a_stop_may_name_no_transaction(transaction_id):
    stop = mean(
        "StopTransaction",
        {"transactionId": transaction_id, "meterStop": None, "timestamp": NOON},
    )

    assert stop.facts[0].transaction_id is None
    assert stop.facts[0].flags == ["meter_stop"]
    assert stop.answer() == {}


METER_VALUE = {"timestamp": NOON, "sampledValue": [{"value": "1"}]}


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"connectorId": 1}, (1, 17)),
        ({"connectorId": 1, "transactionId": -1}, (1, 17)),
        ({"connectorId": 1, "transactionId": 0}, (1, 17)),
        ({"connectorId": 1, "transactionId": None}, (1, 17)),
        ({"connectorId": 1, "transactionId": "17"}, (1, 17)),
        ({"connectorId": 1, "transactionId": 2**63 - 1}, (1, 2**63 - 1)),
        ({"transactionId": 17}, (1, 17)),
        ({"connectorId": 2}, (2, None)),
        ({"connectorId": 0}, (0, None)),
        ({"connectorId": 3}, (3, None)),
        ({"connectorId": 4}, (4, 21)),
        ({"connectorId": 5}, (5, 23)),
        ({"connectorId": 6}, (6, 26)),
        ({}, (0, None)),
    ],
)
def test_readings_find_their_connector_and_transaction(payload, found):
    started = datetime(2026, 3, 1, 11, tzinfo=UTC)
    situation = Situation(
        transactions={
            17: KnownTransaction(1, started),
            18: KnownTransaction(2, NOW),  # began after the sample
            19: KnownTransaction(3, started),
            20: KnownTransaction(3, started),
            21: KnownTransaction(4, started),
            22: KnownTransaction(4, started - timedelta(hours=1)),  # its stop is still to come
            23: KnownTransaction(5, started, NOW, is_closed=True),
            24: KnownTransaction(6, started, started, is_closed=True),
            25: KnownTransaction(6, NOW),
            26: KnownTransaction(6, started - timedelta(hours=1)),
        }
    )
    (reading,) = mean("MeterValues", payload | {"meterValue": [METER_VALUE]}, situation).readings

    assert (reading.connector_id, reading.transaction_id) == found


@pytest.mark.parametrize("connector_id", [-1, 2**15, 2**40, "A"])
def test_readings_of_no_connector_are_set_aside(connector_id):
    meaning = mean("MeterValues", {"connectorId": connector_id, "meterValue": [METER_VALUE]})

    assert (meaning.answer, meaning.readings) == ({}, [])
    assert [piece.reason for piece in meaning.aside] == [f"no connector {connector_id!r}"]


@pytest.mark.parametrize(
    ("payload", "reasons"),
    [
        ({"connectorId": 4, "values": [METER_VALUE]}, ["no meterValue"]),
        ({"connectorId": 4, "transactionId": 17, "meterValues": [METER_VALUE]}, ["no meterValue"]),
        ({"connectorId": 4, "transactionId": 17}, []),
        ({"connectorId": 4, "meterValue": [], "vendor": "x"}, []),
    ],
)
def test_readings_under_another_name_are_set_aside(payload, reasons):
    meaning = mean("MeterValues", payload)

    assert (meaning.answer, meaning.readings) == ({}, [])
    assert [piece.reason for piece in meaning.aside] == reasons
    assert [json.loads(piece.raw) for piece in meaning.aside] == [payload] * len(reasons)


def test_the_data_of_a_stop_are_readings():
    stop = mean("StopTransaction", {"transactionId": 17, "transactionData": METER_VALUE})

    assert [reading.transaction_id for reading in stop.readings] == [17]


def test_the_word_of_a_data_transfer_is_not_understood_but_answered():
    assert mean("DataTransfer", {"vendorId": "x", "data": {"a": 1}}).answer == {
        "status": "UnknownVendorId"
    }


@pytest.mark.parametrize(
    ("action", "kind"),
    [
        ("DiagnosticsStatusNotification", "diagnostics"),
        ("FirmwareStatusNotification", "firmware"),
        ("LogStatusNotification", "log"),
        ("SignedFirmwareStatusNotification", "signed_firmware"),
    ],
)
def test_news_of_a_request_is_kept_under_its_number(action, kind):
    assert fact(action, {"status": "Uploaded", "requestId": 3}) == Report(
        kind, "Uploaded", NOW, request_id=3
    )


def test_a_security_event_keeps_its_type_and_detail():
    payload = {"type": "FirmwareUpdated", "timestamp": NOON, "techInfo": "1.8.22"}

    assert fact("SecurityEventNotification", payload) == Report(
        "security", "FirmwareUpdated", datetime(2026, 3, 1, 12, tzinfo=UTC), detail="1.8.22"
    )


def test_what_is_ours_to_ask_is_not_supported_and_the_unknown_not_implemented():
    assert mean("Reset", {"type": "Soft"}).error[0] == "NotSupported"
    assert mean("OpenSesame", {}).error[0] == "NotImplemented"


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "chargePointVendor",
    "chargePointSerialNumber",
    "connectorId",
    "status",
    "errorCode",
    "info",
    "timestamp",
    "vendorErrorCode",
    "idTag",
    "meterStart",
    "meterStop",
    "reservationId",
    "transactionId",
    "reason",
    "transactionData",
    "meterValue",
    "requestId",
    "type",
    "techInfo",
    "vendorId",
    "messageId",
    "data",
    "csr",
]
meter_value = st.fixed_dictionaries({"timestamp": anything, "sampledValue": anything})
payloads = st.dictionaries(st.text(max_size=8), anything, max_size=3) | st.fixed_dictionaries(
    {}, optional={name: anything | st.lists(meter_value, max_size=2) for name in FIELDS}
)


def answer_of(meaning):
    """The answer once the store has given its verdicts."""
    for found in meaning.facts:
        if isinstance(found, Authorization | TransactionStart):
            found.verdict = Verdict("Accepted")
    return meaning.answer() if callable(meaning.answer) else meaning.answer


@given(st.sampled_from(sorted(MEANINGS)) | st.text(), payloads)
def test_no_payload_of_any_action_raises(action, payload):
    meaning = mean(action, payload)

    orjson.dumps(answer_of(meaning))
    assert bool(meaning.error) == (action not in MEANINGS)


@given(st.sampled_from(sorted(MEANINGS)), payloads)
def test_what_a_frame_means_can_be_written_as_json(action, payload):
    """The store hands facts to the database as JSON, in UTF-8, without NUL."""
    frame = read_frame(json.dumps([2, "7", action, payload]).encode())
    assert isinstance(frame, Call)
    meaning = meaning_of(frame, Situation(), NOW)

    orjson.dumps([meaning.facts, meaning.readings, meaning.aside])


@given(payloads)
def test_a_status_is_kept_or_set_aside(payload):
    meaning = mean("StatusNotification", payload)

    assert [type(found) for found in meaning.facts] in ([StatusChange], [])
    assert len(meaning.facts) + len(meaning.aside) == 1
