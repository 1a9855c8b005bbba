"""MeterValues as real charge points send them, and what becomes of them."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.acceptance.network import (
    meter_value,
    minutes_ago,
    sample,
    send_meter_values,
    stored,
)

case = pytest.mark.conformance


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"connectorId": 1},
        {"connectorId": 1, "meterValue": []},
        {"connectorId": 1, "meterValue": None},
        {"connectorId": 1, "meterValue": [meter_value()]},
        {"connectorId": 1, "meterValue": [{"timestamp": "2026-01-01T00:00:00Z"}]},
        {"connectorId": 1, "meterValue": [meter_value({"value": ""}, {"value": "  "}, {})]},
    ],
)
async def test_nothing_is_confirmed_and_stored_as_nothing(network, payload):
    async with network.charge_point() as charge_point:
        assert await charge_point.call("MeterValues", payload) == {}

    assert network.rows("meter_value", charge_point) == []
    assert network.rows("set_aside", charge_point) == []


async def test_lone_objects_numbers_and_texts_are_read_as_meant(network):
    async with network.charge_point() as charge_point:
        await charge_point.call(
            "MeterValues",
            {
                "connectorId": "1",
                "transactionId": "4711",
                "meterValue": {
                    "timestamp": minutes_ago(1),
                    "sampledValue": {"value": 1234.5, "unit": "Wh"},
                },
            },
        )

    row = network.row("meter_value", charge_point)
    assert (row["connector_id"], row["transaction_id"], row["energy_wh"]) == (1, 4711, 1234.5)


@pytest.mark.parametrize(
    ("value", "energy_wh"),
    [(" 12 ", 12), ("1.2e3", 1200), ("0.12345678901234567", 0.12345678901234567), ("7,5", 7.5)],
)
async def test_a_value_may_be_any_way_to_write_a_number(network, value, energy_wh):
    assert (await stored(network, sample(value)))["energy_wh"] == energy_wh


@pytest.mark.parametrize(
    "bad", ["n/a", "NaN", "Infinity", "1e308", "1e39", 1e300, True, [1], {"a": 1}]
)
async def test_what_is_no_number_is_set_aside_and_its_neighbours_stay(network, bad):
    async with network.charge_point() as charge_point:
        await send_meter_values(charge_point, meter_value(sample(bad, "Voltage"), sample("5")))

    row = network.row("meter_value", charge_point)
    assert (row["energy_wh"], row["voltage_v"]) == (5, None)
    assert "not a number" in network.row("set_aside", charge_point)["reason"]


async def test_pieces_that_are_no_objects_are_set_aside(network):
    async with network.charge_point() as charge_point:
        await send_meter_values(
            charge_point, "x", meter_value("y", None, sample("5")), {"sampledValue": [[7]]}
        )

    assert network.row("meter_value", charge_point)["energy_wh"] == 5
    assert len(network.rows("set_aside", charge_point)) == 3


async def test_a_frame_of_ten_thousand_samples_is_stored(network):
    now = datetime.now(UTC)
    values = [
        meter_value(number, at=(now - timedelta(seconds=10 * number)).isoformat())
        for number in range(10_000)
    ]
    async with network.charge_point() as charge_point:
        assert await send_meter_values(charge_point, *values) == {}

    assert len(network.rows("meter_value", charge_point)) == 10_000


# ---------------------------------------------------------------- units and measurands


@case("extra", "kWh, 17 digits, SoC without unit, Celcius: converted")
@pytest.mark.parametrize(
    ("given", "column", "value"),
    [
        (sample("1.5", unit="kWh"), "energy_wh", 1500),
        (sample("0.12345678901234567", unit="kWh"), "energy_wh", 123.45678901234567),
        (sample("47.5", "Power.Active.Import", "kW"), "power_w", 47500),
        (sample("30", "Temperature", "Celcius"), "temperature_c", 30),
        (sample("30", "Temperature", "Celsius"), "temperature_c", 30),
        (sample("30", "Temperature", "C"), "temperature_c", 30),
        (sample("50", "SoC"), "soc_percent", 50),
        (sample("50", "SoC", "%", location="EV"), "soc_percent", 50),
    ],
)
async def test_units_are_converted_to_base_units(network, given, column, value):
    row = await stored(network, given)

    assert row[column] == pytest.approx(value)
    assert row["extra"] is None


@case("extra", "Hz and unknown measurands and units are kept")
@pytest.mark.parametrize(
    ("given", "extra"),
    [
        (sample("60", "Frequency", "Hz"), {"Frequency": 60}),
        (sample("60", "Frequency", "Hertz"), {"Frequency": 60}),
        (sample("16", "CurrentMax", "A"), {"CurrentMax[A]": 16, "flags": ["measurand"]}),
        (sample("7", "Request.Energy"), {"Request.Energy": 7, "flags": ["measurand"]}),
        (sample("7", "Voltage", "Bananas"), {"Voltage[Bananas]": 7, "flags": ["unit"]}),
        (
            sample("1e16"),
            {"Energy.Active.Import.Register": 1e16, "flags": ["range"]},
        ),
        (sample("130", "SoC", "Percent"), {"SoC": 130, "flags": ["range"]}),
        (sample("1e13", "Voltage", "V"), {"Voltage": 1e13, "flags": ["range"]}),
    ],
)
async def test_what_we_do_not_understand_is_kept_by_its_name(network, given, extra):
    row = await stored(network, given)

    assert row["extra"] == extra
    assert row["energy_wh"] is row["voltage_v"] is row["soc_percent"] is None


@pytest.mark.parametrize(
    ("measurand", "column"), [("Power.Active.Import", "power_w"), ("Current.Import", "current_a")]
)
async def test_a_missing_unit_is_inferred_from_the_measurand(network, measurand, column):
    row = await stored(network, sample("7", measurand))

    assert (row[column], row["extra"]) == (7, {"flags": ["unit"]})


async def test_energy_that_looks_a_thousand_times_too_small_is_stored_as_sent(network):
    """A factor is for people to set, and acts in the aggregates: facts stay facts."""
    identity = network.add_charge_point(energy_factor=1000)
    async with network.charge_point(identity) as charge_point:
        await send_meter_values(charge_point, meter_value(sample("140", unit="Wh")))

    assert network.row("meter_value", identity)["energy_wh"] == 140


@pytest.mark.parametrize("register", [2**32 + 1, 2**53, -17])
async def test_an_implausible_register_is_kept_and_flagged(network, register):
    row = await stored(network, sample(register), transactionId=2**63 - 1)

    assert row["energy_wh"] == float(register)
    assert row["extra"] == {"flags": ["range"]}
    assert row["transaction_id"] == 2**63 - 1


async def test_signed_data_is_opaque_text(network):
    ocmf = 'OCMF|{"FV":"1.0","RV":17.5}|{"SD":"3045"}'
    row = await stored(
        network, sample(ocmf, format="SignedData"), sample("12", "Voltage", format="SignedData")
    )

    assert (row["energy_wh"], row["voltage_v"]) == (None, None)
    assert row["extra"]["signed"] == {"Energy.Active.Import.Register": ocmf, "Voltage": "12"}


# ---------------------------------------------------------------- phases


def by_phase(measurand, unit, *values, suffix=""):
    return [
        sample(value, measurand, unit, phase=f"L{number}{suffix}")
        for number, value in enumerate(values, 1)
    ]


@case("extra", "power by phase is summed")
async def test_power_of_the_phases_is_summed_where_no_total_is_sent(network):
    row = await stored(network, *by_phase("Power.Active.Import", "kW", 3.5, 3.5, "0.00"))

    assert row["power_w"] == 7000
    assert row["extra"]["Power.Active.Import.L3"] == 0


async def test_a_total_wins_over_its_phases_which_stay(network):
    phases = by_phase("Power.Active.Import", "W", 1000, 1000, 2000)
    row = await stored(network, *phases, sample(3000, "Power.Active.Import", "W"))

    assert row["power_w"] == 3000
    assert row["extra"]["Power.Active.Import.L3"] == 2000
    assert row["extra"]["flags"] == ["phases"]


@case("extra", "current and voltage by phase are kept, never summed")
async def test_current_and_voltage_by_phase_are_kept_apart(network):
    row = await stored(
        network,
        *by_phase("Current.Import", "A", 16, 15, 14, suffix="-N"),
        *by_phase("Voltage", "V", 230, 231, "0.00", suffix="-N"),
    )

    assert (row["current_a"], row["voltage_v"]) == (None, None)
    assert row["extra"]["Current.Import.L1"] == 16
    assert row["extra"]["Voltage.L3-N"] == 0


# ---------------------------------------------------------------- instants and contexts


async def test_registers_of_one_instant_are_told_apart_by_context(network):
    at = minutes_ago(1)
    async with network.charge_point() as charge_point:
        await send_meter_values(
            charge_point,
            meter_value(sample("1"), sample("2", context="Transaction.Begin"), at=at),
            meter_value(sample("3", context="Trigger"), sample("4", context="Odd"), at=at),
        )

    rows = network.rows("meter_value", charge_point)
    assert {row["context"]: row["energy_wh"] for row in rows} == {
        "Sample.Periodic": 1,
        "Transaction.Begin": 2,
        "Trigger": 3,
        "Other": 4,
    }


async def test_an_instant_in_parts_becomes_one_reading(network):
    at = minutes_ago(1)
    async with network.charge_point() as charge_point:
        await send_meter_values(
            charge_point,
            meter_value(sample("1"), at=at),
            meter_value(sample("230", "Voltage", "V"), at=at),
        )
        await send_meter_values(charge_point, meter_value(sample("80", "SoC"), at=at))
        await send_meter_values(charge_point, meter_value(sample("81", "SoC"), at=at))

    row = network.row("meter_value", charge_point)
    assert (row["energy_wh"], row["voltage_v"], row["soc_percent"]) == (1, 230, 80)


async def test_late_and_unordered_readings_stand_where_they_were_sampled(network):
    async with network.charge_point() as charge_point:
        for ago in (1, 300, 2, 60 * 24 * 40):
            await send_meter_values(charge_point, meter_value(ago, at=minutes_ago(ago)))

    rows = network.rows("meter_value", charge_point)
    assert [row["energy_wh"] for row in rows] == [60 * 24 * 40, 300, 2, 1]


async def test_a_register_that_starts_anew_is_stored_as_sent(network):
    async with network.charge_point() as charge_point:
        for ago, register in ((3, 50_000), (2, 0), (1, 800)):
            await send_meter_values(charge_point, meter_value(register, at=minutes_ago(ago)))

    rows = network.rows("meter_value", charge_point)
    assert [row["energy_wh"] for row in rows] == [50_000, 0, 800]
