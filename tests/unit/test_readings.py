"""MeterValues to readings: nothing lost, nothing guessed in silence."""

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.facts import Reading, summary_of
from ingest.measurands import COLUMNS, CONTEXTS
from ingest.readings import read_meter_values

NOW = datetime(2026, 3, 1, 12, 0, 5, tzinfo=UTC)
NOON = "2026-03-01T12:00:00Z"


def sample(value, measurand=None, unit=None, **labels):
    given = {"value": value, "measurand": measurand, "unit": unit, **labels}
    return {name: label for name, label in given.items() if label is not None}


def element(*samples, timestamp=NOON):
    return {"timestamp": timestamp, "sampledValue": list(samples)}


def read(*elements, **situation):
    expected = {"connector_id": 1, "transaction_id": 7, "received_at": NOW, **situation}
    return read_meter_values(list(elements), **expected)


def only(*samples):
    """The columns that are filled and what is beside them, of samples that make one reading."""
    readings, aside = read(element(*samples))
    assert len(readings) == 1 and not aside
    values = dict(zip(COLUMNS, readings[0].values, strict=True))
    return {k: v for k, v in values.items() if v is not None}, readings[0].extra


def test_the_eight_measurands_of_the_bench_have_columns():
    columns, extra = only(
        sample("1204567.8", "Energy.Active.Import.Register", "Wh"),
        sample("47211.5", "Power.Active.Import", "W"),
        sample("78.3", "Current.Import", "A"),
        sample("602.9", "Voltage", "V"),
        sample("43", "SoC", "Percent", location="EV"),
        sample("31.5", "Temperature", "Celsius", location="Body"),
        sample("125", "Current.Offered", "A"),
        sample("50000", "Power.Offered", "W"),
    )

    assert columns == {
        "energy_wh": 1204567.8,
        "power_w": 47211.5,
        "current_a": 78.3,
        "voltage_v": 602.9,
        "soc_percent": 43.0,
        "temperature_c": 31.5,
        "current_offered_a": 125.0,
        "power_offered_w": 50000.0,
    }
    assert extra is None


def test_a_bare_value_is_the_register_in_wh():
    """OCPP 1.6 7.43: the defaults."""
    assert only({"value": "1234"}) == ({"energy_wh": 1234.0}, None)


@pytest.mark.parametrize(
    ("measurand", "unit", "value", "column", "stored"),
    [
        ("Energy.Active.Import.Register", "kWh", "1.5", "energy_wh", 1500.0),
        ("Energy.Active.Import.Register", "KWH", "0.25", "energy_wh", 250.0),
        ("Power.Active.Import", "kW", "47.5", "power_w", 47500.0),
        ("Current.Import", "mA", "1500", "current_a", 1.5),
        ("Temperature", "Celcius", "30", "temperature_c", 30.0),
        ("Temperature", "C", "30", "temperature_c", 30.0),
        ("Temperature", "Fahrenheit", "86", "temperature_c", pytest.approx(30.0)),
        ("Temperature", "K", "303.15", "temperature_c", pytest.approx(30.0)),
        ("SoC", "%", "50", "soc_percent", 50.0),
        ("SoC", None, "50", "soc_percent", 50.0),
        ("soc", "percent", 50, "soc_percent", 50.0),
        ("POWER.ACTIVE.IMPORT", "w", 7, "power_w", 7.0),
    ],
)
def test_units_become_base_units_and_spelling_does_not_matter(
    measurand, unit, value, column, stored
):
    assert only(sample(value, measurand, unit)) == ({column: stored}, None)


@pytest.mark.parametrize("measurand", ["Power.Active.Import", "Current.Import", "Voltage"])
def test_a_missing_unit_is_inferred_and_flagged(measurand):
    columns, extra = only(sample("7", measurand))

    assert list(columns.values()) == [7.0]
    assert extra == {"flags": ["unit"]}


@pytest.mark.parametrize(
    ("given", "beside"),
    [
        (sample("7", "CurrentMax", "A"), {"CurrentMax[A]": 7.0, "flags": ["measurand"]}),
        (sample("7", "Request.Energy"), {"Request.Energy": 7.0, "flags": ["measurand"]}),
        (sample("7", "Voltage", "Wh"), {"Voltage[Wh]": 7.0, "flags": ["unit"]}),
        (sample("60", "Frequency", "Hz"), {"Frequency": 60.0}),
        (sample("60", "Frequency", "Hertz"), {"Frequency": 60.0}),
        (sample("0.9", "Power.Factor"), {"Power.Factor": 0.9}),
        (sample("230", "Voltage", "V", phase="L1-N"), {"Voltage.L1-N": 230.0}),
        (sample("230", "Voltage", "V", phase="l1-n"), {"Voltage.L1-N": 230.0}),
        (sample("16", "Current.Import", "A", phase="L1-N"), {"Current.Import.L1": 16.0}),
        (sample("7", "Voltage", ["V"]), {'Voltage[["V"]]': 7.0, "flags": ["unit"]}),
    ],
)
def test_what_has_no_column_is_kept_by_its_name(given, beside):
    assert only(given) == ({}, beside)


def phases(measurand, unit, *values):
    names = ("L1", "L2", "L3")
    return [sample(v, measurand, unit, phase=p) for p, v in zip(names, values, strict=False)]


def test_power_by_phase_is_summed():
    columns, extra = only(*phases("Power.Active.Import", "kW", "1", "2", "0.00"))

    assert columns == {"power_w": 3000.0}
    assert extra == {
        "Power.Active.Import.L1": 1000.0,
        "Power.Active.Import.L2": 2000.0,
        "Power.Active.Import.L3": 0.0,
    }


def test_a_total_wins_over_its_phases_and_a_difference_is_flagged():
    total = sample("3000", "Power.Active.Import", "W")
    agreeing = only(*phases("Power.Active.Import", "W", "1000", "1000", "1000"), total)
    differing = only(total, *phases("Power.Active.Import", "W", "1000", "1000", "2000"))

    assert agreeing[0] == differing[0] == {"power_w": 3000.0}
    assert "flags" not in agreeing[1]
    assert differing[1]["flags"] == ["phases"]


@pytest.mark.parametrize("suffix", ["", "-N"])
def test_a_register_by_phase_is_summed_and_flagged(suffix):
    samples = [
        sample(value, "Energy.Active.Import.Register", "kWh", phase=f"L{number}{suffix}")
        for number, value in ((1, "1"), (2, "2.5"), (3, "0.25"))
    ]

    assert only(*samples) == (
        {"energy_wh": 3750.0},
        {
            "Energy.Active.Import.Register.L1": 1000.0,
            "Energy.Active.Import.Register.L2": 2500.0,
            "Energy.Active.Import.Register.L3": 250.0,
            "flags": ["phases"],
        },
    )


def test_a_register_lacks_no_phase_and_its_total_wins():
    register = "Energy.Active.Import.Register"

    assert "energy_wh" not in only(*phases(register, "Wh", "10", "20"))[0]
    assert "flags" not in only(*phases(register, "Wh", "10", "20"))[1]
    columns, extra = only(*phases(register, "Wh", "10", "20", "30"), sample("7"))
    assert columns == {"energy_wh": 7.0} and "flags" not in extra
    for value, flags in (("2e9", ["phases", "range"]), ("-5", ["phases", "range"])):
        assert only(*phases(register, "Wh", value, value, value))[1]["flags"] == flags


def test_current_and_voltage_by_phase_are_never_summed():
    columns, extra = only(
        *phases("Current.Import", "A", "16", "16", "16"), *phases("Voltage", "V", "0.00", "230")
    )

    assert columns == {}
    assert extra["Voltage.L1"] == 0.0 and extra["Current.Import.L3"] == 16.0


def test_the_outlet_has_the_column_and_another_place_only_stands_in():
    inlet = sample("52000", "Power.Active.Import", "W", location="Inlet")
    outlet = sample("50000", "Power.Active.Import", "W", location="Outlet")

    for order in ((inlet, outlet), (outlet, inlet)):
        assert only(*order) == ({"power_w": 50000.0}, {"Power.Active.Import@Inlet": 52000.0})
    assert only(inlet) == ({"power_w": 52000.0}, {"Power.Active.Import@Inlet": 52000.0})


@pytest.mark.parametrize("empty", [None, "", "  ", "null"])
def test_an_empty_value_is_unknown_never_zero(empty):
    samples = [{"value": empty, "measurand": "SoC"}, sample("7")]

    assert only(*samples) == ({"energy_wh": 7.0}, None)


@pytest.mark.parametrize("value", ["n/a", "NaN", "1e308", 10**30, True, [1], {"v": 1}, "1.2.3"])
def test_one_bad_sample_does_not_cost_its_neighbours(value):
    """OCPP 1.6 4.7: a failed sanity check must not fail the frame."""
    bad = sample(value, "Voltage", "V")
    readings, aside = read(element(sample("7"), bad))

    assert [reading.values[0] for reading in readings] == [7.0]
    assert [json.loads(piece.raw) for piece in aside] == [bad]


def test_a_bad_sample_alone_makes_no_reading():
    readings, aside = read(element(sample("n/a", "Oddity", context="Odd")))

    assert readings == []
    assert [piece.reason for piece in aside] == ["not a number: 'n/a'"]


@pytest.mark.parametrize("value", ["1e13", "-1e15"])
def test_what_no_column_can_mean_is_kept_beside_it(value):
    assert only(sample(value, "Power.Active.Import", "W")) == (
        {},
        {"Power.Active.Import": float(value), "flags": ["range"]},
    )
    assert only(sample(2**63 - 1)) == (
        {},
        {"Energy.Active.Import.Register": float(2**63 - 1), "flags": ["range"]},
    )
    assert only(sample("101", "SoC", "Percent")) == ({}, {"SoC": 101.0, "flags": ["range"]})


@pytest.mark.parametrize("value", [2**32 + 1, 2**53, -5])
def test_an_implausible_register_is_kept_and_flagged(value):
    assert only(sample(value)) == ({"energy_wh": float(value)}, {"flags": ["range"]})


def test_signed_data_is_text_and_never_a_number():
    signed = sample("17", "Energy.Active.Import.Register", format="SignedData")
    ocmf = sample('OCMF|{"RV":1}|{"SD":"00"}', "Voltage", format="SignedData", phase="L1")

    assert only(signed, ocmf) == (
        {},
        {
            "signed": {
                "Energy.Active.Import.Register": "17",
                "Voltage.L1": 'OCMF|{"RV":1}|{"SD":"00"}',
            }
        },
    )


def test_two_registers_of_one_instant_are_told_apart_by_context():
    readings, _ = read(
        element(sample("10"), sample("11", context="Transaction.Begin")),
        element(sample("12", context="Trigger")),
    )

    assert [(CONTEXTS[reading.context], reading.values[0]) for reading in readings] == [
        ("Sample.Periodic", 10.0),
        ("Transaction.Begin", 11.0),
        ("Trigger", 12.0),
    ]


def test_an_unknown_context_is_other_and_kept():
    readings, _ = read(element(sample("10", context="Sample.Odd")))

    assert CONTEXTS[readings[0].context] == "Other"
    assert readings[0].extra == {"flags": ["context"], "context": "Sample.Odd"}


def test_parts_of_one_instant_merge():
    later = element(sample("9"), timestamp="2026-03-01T12:00:01Z")
    readings, _ = read(
        element(sample("7")),
        later,
        element(sample("230", "Voltage", "V"), timestamp="2026-03-01T13:00:00.000+01:00"),
    )

    assert [(reading.values[0], reading.values[3]) for reading in readings] == [
        (7.0, 230.0),
        (9.0, None),
    ]


@pytest.mark.parametrize(
    ("piece", "reason"),
    [
        ({"timestamp": NOON, "value": [{"value": "77", "unit": "Wh"}]}, "no sampledValue"),
        ({"timestamp": NOON, "sampledValues": [{"value": "79"}]}, "no sampledValue"),
        ({"values": [{"timestamp": NOON}]}, "no sampledValue"),
        ({"timestamp": NOON, "sampledValue": []}, None),
        ({"timestamp": NOON, "sampledValue": [], "vendor": "x"}, None),
        ({"timestamp": NOON}, None),
        ({}, None),
    ],
)
def test_an_element_of_other_names_is_set_aside(piece, reason):
    readings, aside = read(piece)

    assert readings == []
    told = [(one.reason, json.loads(one.raw)) for one in aside]
    assert told == ([(reason, piece)] if reason else [])


@pytest.mark.parametrize(
    ("given", "reasons"),
    [
        ({"Value": "81", "Measurand": "SoC"}, ["no value"]),
        ({"value": "", "vendor": "x"}, []),
        ({"measurand": "SoC", "unit": "Percent"}, []),
        ({}, []),
    ],
)
def test_a_sample_without_a_value_is_set_aside_where_it_says_something_else(given, reasons):
    readings, aside = read(element(given))

    assert (readings, [one.reason for one in aside]) == ([], reasons)


def test_a_second_value_of_one_name_is_kept_and_a_third_set_aside():
    readings, aside = read(element(sample("7"), sample("7"), sample("8"), sample("9")))

    assert readings[0].values[0] == 7.0
    assert readings[0].extra == {"Energy.Active.Import.Register": 8.0}
    assert [piece.reason for piece in aside] == ["another value: Energy.Active.Import.Register"]


def test_samples_apart_stay_apart_where_the_clock_is_not_set():
    readings, _ = read(
        element(sample("1"), timestamp="1970-01-01T00:00:10Z"),
        element(sample("2"), timestamp="1970-01-01T00:00:20Z"),
        element(sample("230", "Voltage", "V"), timestamp="1970-01-01T00:00:10Z"),
        {"sampledValue": [sample("3")]},
    )

    assert [reading.values[0] for reading in readings] == [1.0, 2.0, 3.0]
    assert readings[0].values[3] == 230.0
    assert readings[0].extra == {"flags": ["clock"], "timestamp": "1970-01-01T00:00:10Z"}
    assert [reading.sampled_at - NOW for reading in readings] == [
        timedelta(milliseconds=n) for n in range(3)
    ]


def test_days_beyond_a_month_in_one_message_are_set_aside():
    """Each day is a part of its own in the database, and thousands at once are too many for it."""
    first = datetime(2025, 1, 1, 12, tzinfo=UTC)
    days = [(first + timedelta(days=n)).isoformat() for n in range(40)]
    again = [(first + timedelta(days=n, hours=1)).isoformat() for n in (0, 31, 39)]
    unset = element(sample("7"), timestamp="1970-01-01T00:00:00Z")
    readings, aside = read(*[element(sample("7"), timestamp=at) for at in days + again], unset)

    stored = [reading.sampled_at.isoformat() for reading in readings[:-1]]
    assert stored == days[:32] + again[:2]
    assert [json.loads(piece.raw)["timestamp"] for piece in aside] == days[32:] + again[2:]
    assert {piece.reason for piece in aside} == {"more than 32 days in one message"}


def test_of_what_is_set_aside_a_message_keeps_so_much_of_each_kind_and_counts_the_rest():
    """A frame of 4 MB has room for 200,000 bad samples: a row for each held everybody up."""
    bad = [sample(f"b{n}") for n in range(500)]
    readings, aside = read(element(*bad, "no object", sample("1"), *map(sample, "234")))

    assert len(readings) == 1
    assert [json.loads(piece.raw) for piece in aside[:20]] == bad[:20]
    assert [(piece.reason, piece.raw, piece.count) for piece in aside[20:]] == [
        ("a sampledValue is not an object", '"no object"', 1),
        ("another value: Energy.Active.Import.Register", '{"value":"3"}', 1),
        ("another value: Energy.Active.Import.Register", '{"value":"4"}', 1),
        ("not a number: and more, in the raw log", "480", 480),
    ]
    assert summary_of(aside) == (
        "500 x not a number: 'b0'; 1 x a sampledValue is not an object;"
        " 2 x another value: Energy.Active.Import.Register"
    )


def test_a_time_without_a_zone_is_flagged():
    readings, _ = read(
        element(sample("7"), timestamp="2026-03-01T09:00:00"), zone=ZoneInfo("America/Belem")
    )

    assert readings[0].sampled_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert readings[0].extra == {"flags": ["zone"]}


@pytest.mark.parametrize("nothing", [None, [], {}, [{}], [{"timestamp": NOON}], [element()]])
def test_nothing_is_no_reading(nothing):
    assert read_meter_values(nothing, connector_id=1, transaction_id=None, received_at=NOW) == (
        [],
        [],
    )


def test_lone_objects_stand_for_lists_of_one():
    readings, aside = read_meter_values(
        {"timestamp": NOON, "sampledValue": {"value": 7}},
        connector_id=1,
        transaction_id=None,
        received_at=NOW,
    )

    assert [reading.values[0] for reading in readings] == [7.0]
    assert aside == []


def test_merging_keeps_what_each_part_has():
    first = Reading(NOW, 1, None, 0, [1.0] + [None] * 7, {"flags": ["zone"], "signed": {"a": "x"}})
    first.merge(
        Reading(NOW, 1, 7, 0, [2.0, 3.0] + [None] * 6, {"flags": ["unit"], "signed": {"b": "y"}})
    )

    assert first.values[:2] == [1.0, 3.0]
    assert first.transaction_id == 7
    assert first.extra == {
        "flags": ["zone", "unit", "conflict"],  # 1.0 stays, 2.0 was said too
        "signed": {"a": "x", "b": "y"},
    }


leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
measurands = st.sampled_from(["Voltage", "SoC", "Power.Active.Import", "Frequency", "x"])
odd_samples = st.fixed_dictionaries(
    {},
    optional={
        "value": anything | st.floats().map(str),
        "measurand": measurands | anything,
        "unit": st.sampled_from(["V", "W", "kW", "Wh", "Percent"]) | anything,
        "phase": st.sampled_from(["L1", "L2", "N"]) | anything,
        "location": st.sampled_from(["EV", "Inlet", "Outlet"]) | anything,
        "context": st.sampled_from(CONTEXTS) | anything,
        "format": st.sampled_from(["Raw", "SignedData"]) | anything,
    },
)


def numbers_in(reading):
    """Every value a reading holds, in a column or beside them."""
    beside = reading.extra or {}
    kept = [v for k, v in beside.items() if k not in {"flags", "timestamp", "context", "signed"}]
    return [v for v in reading.values if v is not None] + kept + [*beside.get("signed", {})]


def is_empty(piece):
    """Whether it says that a value is not known, and nothing else."""
    labels = {"value", "measurand", "unit", "phase", "location", "context", "format"}
    return (
        isinstance(piece, dict)
        and str(piece.get("value")).strip().lower() in {"", "none", "null"}
        and ("value" in piece or piece.keys() <= labels)
    )


@given(st.lists(odd_samples | anything, max_size=6), anything | st.just(NOON))
def test_every_sample_is_read_or_set_aside_or_empty(samples, timestamp):
    readings, aside = read({"timestamp": timestamp, "sampledValue": samples})

    for piece in samples:
        alone, alone_aside = read({"timestamp": timestamp, "sampledValue": [piece]})
        assert bool(alone and numbers_in(alone[0])) + bool(alone_aside) + is_empty(piece) == 1
    assert len(aside) <= len(samples)
    assert all(numbers_in(reading) for reading in readings)
    assert bool(readings or aside) == (not all(map(is_empty, samples)))


@given(anything)
def test_no_meter_value_raises(elements):
    read_meter_values(elements, connector_id=1, transaction_id=None, received_at=NOW)
    read_meter_values([elements], connector_id=0, transaction_id=7, received_at=NOW)
