"""The one definition of what a reading is called in DOJOT, in sql/migrations/0002_dojot.sql."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

LEGAL = re.compile(r"[A-Za-z0-9_-]{1,128}")


@pytest.fixture
def db(module_database_url: str) -> Iterator[psycopg.Connection]:
    """What a test does in it is rolled back."""
    with psycopg.connect(module_database_url) as conn:
        # Sequences are not rolled back.
        conn.execute(
            "INSERT INTO charge_point (charge_point_id, identity) OVERRIDING SYSTEM VALUE"
            " VALUES (1, 'CP-1'), (2, 'CP-2')"
        )
        yield conn
        conn.rollback()


def attributes(db: psycopg.Connection, **columns: Any) -> dict[str, Any]:
    """Store one reading and return what DOJOT would get of it."""
    values = {"sampled_at": "2026-11-22T06:00:00.1239Z", "connector_id": 1, "context": 0, **columns}
    names = ", ".join(values)
    marks = ", ".join(["%s"] * len(values))
    row = db.execute(
        f"INSERT INTO meter_value (charge_point_id, {names}) VALUES (1, {marks})"
        " RETURNING dojot_attributes(meter_value)",
        list(values.values()),
    ).fetchone()
    assert row is not None
    found: dict[str, Any] = row[0]
    return found


def test_every_column_has_a_name_with_its_unit_and_connector(db: psycopg.Connection) -> None:
    found = attributes(
        db,
        connector_id=2,
        context=2,
        transaction_id=77,
        energy_wh=1234.5,
        power_w=50000.1,
        current_a=125.3,
        voltage_v=400.25,
        soc_percent=55,
        temperature_c=30.5,
        current_offered_a=125,
        power_offered_w=50000,
    )

    assert found == {
        "energy_wh_2": 1234.5,
        "power_w_2": 50000.1,
        "current_a_2": 125.3,
        "voltage_v_2": 400.25,
        "soc_percent_2": 55,
        "temperature_c_2": 30.5,
        "current_offered_a_2": 125,
        "power_offered_w_2": 50000,
        "transaction_id_2": 77,
        "context_2": "Transaction.Begin",
    }


def test_what_is_unknown_is_not_sent(db: psycopg.Connection) -> None:
    assert attributes(db, power_w=0) == {"power_w_1": 0}
    assert attributes(db, connector_id=2, extra='{"flags": ["clock"], "timestamp": "x"}') == {}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("Voltage.L1-N", "voltage_v_l1-n_1"),
        ("Voltage.L1-L2", "voltage_v_l1-l2_1"),
        ("Current.Import.N", "current_a_n_1"),
        ("Power.Active.Import.L3", "power_w_l3_1"),
        ("Energy.Active.Import.Register@Inlet", "energy_wh_inlet_1"),
        ("Voltage.L2@Body", "voltage_v_l2_body_1"),
        ("Energy.Reactive.Export.Interval", "reactive_energy_export_interval_varh_1"),
        ("Frequency", "frequency_hz_1"),
        ("RPM", "fan_rpm_1"),
        ("X-Vendor: Fan.Speed", "x-vendor_fan_speed_1"),
        ("$weird/#+key" + "y" * 300, None),
    ],
)
def test_everything_else_is_named_by_measurand_phase_and_place(
    db: psycopg.Connection, key: str, name: str | None
) -> None:
    found = attributes(db, extra=Jsonb({key: 7.5}))

    assert list(found.values()) == [7.5]
    assert all(LEGAL.fullmatch(label) for label in found)
    if name is not None:
        assert list(found) == [name]


def test_a_column_wins_over_an_extra_of_the_same_name(db: psycopg.Connection) -> None:
    assert attributes(db, power_w=1, extra='{"power_w": 2}') == {"power_w_1": 1}


def test_neither_payload_nor_timestamp_can_be_a_name(db: psycopg.Connection) -> None:
    """DOJOT loses the one and doubles the other."""
    found = attributes(db, extra='{"payload": 1, "timestamp": 2}')

    assert found == {"payload_1": 1, "timestamp_1": 2}


def test_the_template_names_all_columns(db: psycopg.Connection) -> None:
    columns = dict.fromkeys(
        ("energy_wh", "power_w", "current_a", "voltage_v", "soc_percent", "temperature_c"), 1
    )
    offered = {"current_offered_a": 1, "power_offered_w": 1, "transaction_id": 1, "context": 3}
    found = attributes(db, **columns, **offered)
    rows = db.execute("SELECT label FROM dojot_template(ARRAY[0, 1]::smallint[])").fetchall()
    labels = [row[0] for row in rows]

    assert found.keys() <= set(labels)
    assert len(labels) == len(set(labels))
    assert all(LEGAL.fullmatch(label) for label in labels)


@pytest.mark.parametrize(
    ("at", "ms", "legal"),
    [
        ("2026-11-22T06:00:00.1239Z", 1_795_327_200_123, True),
        ("1970-01-20T00:00:00Z", 1_641_600_000, False),  # DOJOT would take it for seconds
        ("1969-12-31T23:59:59.9995Z", -1, False),
        ("9999-12-31T23:59:59.999Z", 253_402_300_799_999, True),
        ("10000-01-01T00:00:00Z", 253_402_300_800_000, False),
        ("infinity", None, False),
    ],
)
def test_timestamps_are_cut_to_ms_and_judged(
    db: psycopg.Connection, at: str, ms: int | None, legal: bool
) -> None:
    row = db.execute("SELECT dojot_timestamp_ms(%s), dojot_can_store(%s)", [at, at]).fetchone()

    assert row == (ms, legal)


def test_enqueued_readings_wait_in_rows_of_one_shard(db: psycopg.Connection) -> None:
    rows = db.execute(
        "SELECT dojot_enqueue(array_agg(1 + n % 2), array_agg(now() + n * interval '1 s'),"
        " array_agg(1::smallint), array_agg(0::smallint), NULL)"
        " FROM generate_series(1, 1300) AS n"
    ).fetchone()
    pieces = db.execute(
        "SELECT shard, cardinality(sampled_ats), shard = ALL(SELECT c % 8 FROM unnest("
        "charge_point_ids) AS c) FROM dojot_outbox ORDER BY 1, 2"
    ).fetchall()

    assert rows == (1300,)
    assert pieces == [(1, 150, True), (1, 500, True), (2, 150, True), (2, 500, True)]


def test_without_a_relay_nothing_is_queued(db: psycopg.Connection) -> None:
    db.execute("UPDATE charge_point SET booted_at = now()")

    assert db.execute("SELECT count(*) FROM dojot_event").fetchone() == (0,)
