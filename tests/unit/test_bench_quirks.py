"""Each quirk bends its frame as the charge points it was seen on do."""

import copy
import json
from typing import Any

import pytest

from testbench import quirks

AT = "2026-03-01T20:30:00.000Z"


def sample(measurand, value, unit):
    return {"value": value, "measurand": measurand, "unit": unit, "context": "Sample.Periodic"}


REGISTER = sample("Energy.Active.Import.Register", "63019593", "Wh")
POWER = sample("Power.Active.Import", "47010", "W")
SOC = sample("SoC", "41", "Percent")
TEMPERATURE = sample("Temperature", "31.5", "Celsius")
VOLTAGE = sample("Voltage", "610.2", "V")
SAMPLES = [REGISTER, POWER, SOC, TEMPERATURE, VOLTAGE]

METER_VALUES: list[Any] = [
    2,
    "id-1",
    "MeterValues",
    {
        "transactionId": 71,
        "connectorId": 1,
        "meterValue": [{"timestamp": AT, "sampledValue": SAMPLES}],
    },
]
START = [
    2,
    "id-2",
    "StartTransaction",
    {"connectorId": 1, "idTag": "BUS-1", "meterStart": 63_000_000, "timestamp": AT},
]
STOP = [2, "id-3", "StopTransaction", {"transactionId": 71, "meterStop": 63_200_000}]
STATUS = [
    2,
    "id-4",
    "StatusNotification",
    {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": AT},
]
BOOT = [2, "id-5", "BootNotification", {"chargePointVendor": "ABB", "chargePointModel": "T54"}]
HEARTBEAT = [2, "id-6", "Heartbeat", {}]
FRAMES = [METER_VALUES, START, STOP, STATUS, BOOT, HEARTBEAT]


def bent(name, frame=METER_VALUES):
    return quirks.FRAME[name](frame)


def values(frame):
    return [
        (it.get("measurand"), it["value"], it.get("unit"), it.get("phase"))
        for element in frame[3]["meterValue"]
        for it in element["sampledValue"]
    ]


@pytest.mark.parametrize("name", sorted(quirks.FRAME))
def test_no_quirk_changes_the_frame_it_is_given(name):
    before = copy.deepcopy(FRAMES)

    for frame in FRAMES:
        quirks.FRAME[name](frame)

    assert before == FRAMES


@pytest.mark.parametrize("name", sorted(quirks.FRAME))
def test_every_frame_quirk_does_something(name):
    assert any(quirks.FRAME[name](frame) != frame for frame in FRAMES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("kwh_labelled_wh", ("63019.593", "Wh")),
        ("kilo_units", ("63019.593", "kWh")),
        ("comma_decimal", ("63019593,00", "Wh")),
        ("exponent_values", ("6.301959300E+07", "Wh")),
        ("padded_values", (" 63019593\t", "Wh")),
        ("numeric_values", (63019593.0, "Wh")),
        ("unit_missing", ("63019593", None)),
    ],
)
def test_the_register_is_written_in_an_odd_way(name, expected):
    _, value, unit, _ = values(bent(name))[0]

    assert (value, unit) == expected


def test_power_comes_by_phases_with_or_without_their_sum():
    by_phase = [("Power.Active.Import", "15670.0", "W", f"L{number}") for number in (1, 2, 3)]
    total = ("Power.Active.Import", "47010", "W", None)

    assert values(bent("phases_only"))[1:4] == by_phase
    assert values(bent("phases_and_total"))[1:5] == [total, *by_phase]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zone_less", "2026-03-01T20:30:00.000"),
        ("local_time_as_utc", "2026-03-01T17:30:00.000Z"),
        ("offset_timestamps", "2026-03-01T21:30:00.1234567+01:00"),
        ("clock_1970", "1970-01-01T20:30:00Z"),
        ("future_clock", "2026-03-02T20:30:00.000Z"),
    ],
)
def test_clocks_are_wrong_everywhere_in_a_frame(name, expected):
    assert bent(name)[3]["meterValue"][0]["timestamp"] == expected
    assert bent(name, STATUS)[3]["timestamp"] == expected
    assert bent(name, START)[3]["timestamp"] == expected


def test_the_session_register_begins_with_nothing():
    quirk = quirks.session_register(63_000_000)

    assert quirk(START)[3]["meterStart"] == 0
    assert values(quirk(METER_VALUES))[0][1] == "19593"
    assert values(quirk(METER_VALUES))[1] == ("Power.Active.Import", "47010", "W", None)
    assert quirk(STOP)[3]["meterStop"] == 200_000


def test_the_transaction_is_not_named_or_wrongly():
    assert "transactionId" not in bent("no_transaction_id")[3]
    assert bent("no_transaction_id", STOP) == STOP
    assert bent("transaction_id_zero")[3]["transactionId"] == 0
    assert bent("transaction_id_minus_one")[3]["transactionId"] == -1


def test_one_instant_is_split_over_elements():
    elements = bent("split_meter_value")[3]["meterValue"]

    assert [it["sampledValue"] for it in elements] == [[one] for one in SAMPLES]
    assert {it["timestamp"] for it in elements} == {AT}


def test_shapes_are_wrong():
    assert bent("meter_value_object")[3]["meterValue"] == METER_VALUES[3]["meterValue"][0]
    assert bent("no_samples")[3]["meterValue"][0]["sampledValue"] == []
    assert bent("ids_as_text")[3]["connectorId"] == "1"
    assert "timestamp" not in bent("status_without_timestamp", STATUS)[3]
    assert len(bent("long_serial", BOOT)[3]["chargePointSerialNumber"]) > 25


def test_texts_hold_nul_bytes():
    text = quirks.misbehaving(["nul_bytes"])(json.dumps(START))

    assert json.loads(text[0])[3]["idTag"] == "BUS-1\x00"
    assert "\\u0000" in text[0]


def test_starts_come_twice_and_stops_never():
    twice = quirks.STREAM["duplicate_start"](START)

    assert [frame[2:] for frame in twice] == [START[2:], START[2:]]
    assert len({frame[1] for frame in twice}) == 2
    assert quirks.STREAM["duplicate_start"](STOP) == [STOP]
    assert quirks.STREAM["lost_stop"](STOP) == []
    assert quirks.STREAM["lost_stop"](START) == [START]


@pytest.mark.parametrize("name", ["truncated", "trailing_comma"])
def test_text_is_no_longer_json(name):
    with pytest.raises(json.JSONDecodeError):
        json.loads(quirks.TEXT[name](json.dumps(METER_VALUES)))


def test_quirks_add_up():
    bend = quirks.misbehaving(["kilo_units", "comma_decimal", "duplicate_meter_values"])
    with pytest.raises(ValueError, match="could not convert"):
        quirks.misbehaving(["comma_decimal", "kilo_units"])(json.dumps(METER_VALUES))

    frames = [json.loads(text) for text in bend(json.dumps(METER_VALUES))]

    assert len(frames) == 2
    assert values(frames[0])[0][1:3] == ("63019,59", "kWh")


def test_the_session_register_is_bound_to_the_latest_start():
    bend = quirks.misbehaving(["session_register"])

    start, readings, stop = (
        json.loads(bend(json.dumps(it))[0]) for it in (START, METER_VALUES, STOP)
    )

    assert start[3]["meterStart"] == 0
    assert values(readings)[0][1] == "19593"
    assert stop[3]["meterStop"] == 200_000


def test_an_unknown_quirk_is_refused_by_name():
    with pytest.raises(ValueError, match="no_such_quirk"):
        quirks.misbehaving(["kilo_units", "no_such_quirk"])
