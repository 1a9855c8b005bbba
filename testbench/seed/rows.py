"""The rows of a seeded network, by COPY."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

import psycopg

from testbench.seed import aggregates as agg
from testbench.seed.frames import frames
from testbench.seed.plan import ZONE, ChargePoint, Plan, Session, is_dc

_REPLICA = UUID("00000000-0000-0000-0000-000000000016")
_FLOWS = ("sessions", "soc", "consumption", "availability", "quality", "reconcile_dojot")
_RATED_W = {1: 50_000, 2: 22_000}


def store_network(conn: psycopg.Connection) -> None:
    """What exists once: the process that took the connections, tags, an invented tariff."""
    # Seen in the infinite future: it stays alive for as long as somebody looks at the data.
    conn.execute(
        "INSERT INTO replica (replica_id, host, seen_at) VALUES (%s, 'seed', 'infinity')",
        [_REPLICA],
    )
    conn.execute(
        "INSERT INTO id_tag (id_tag, alias) VALUES"
        " ('UFPA-BUS-01', 'Ônibus 1'), ('UFPA-BUS-02', 'Ônibus 2'),"
        " ('3F2A90C1', NULL), ('C0FFEE42', NULL), ('04A1B2C3D4', NULL)"
    )
    tariff = conn.execute(
        "INSERT INTO tariff (name, consumer_group, modality, valid_from, contracted_demand_kw,"
        " source, author) VALUES ('Tarifa inventada', 'A', 'verde', '2020-01-01', 120,"
        " 'inventada para os dados de exemplo', 'seed') RETURNING tariff_id"
    ).fetchone()
    assert tariff is not None
    hours = [
        ("intermediario", "17:00", "18:00"),
        ("ponta", "18:00", "21:00"),
        ("intermediario", "21:00", "22:00"),
        ("fora_ponta", None, None),
    ]
    _copy(
        conn,
        "COPY tariff_period (tariff_id, posto, from_time, to_time, price_per_kwh) FROM STDIN",
        [(tariff[0], name, start, end, agg.PRICES[name]) for name, start, end in hours],
    )


def store_facts(conn: psycopg.Connection, plan: Plan, made: ChargePoint) -> None:
    """What the charge point told: itself, connections, statuses, transactions, readings, frames."""
    _store_charge_point(conn, plan, made)
    _store_statuses(conn, plan, made)
    _copy(
        conn,
        "COPY transaction (transaction_id, charge_point_id, connector_id, id_tag, id_tag_status,"
        " started_at, meter_start_wh, stopped_at, meter_stop_wh, reason) FROM STDIN",
        [_transaction(session) for session in made.sessions],
    )
    raw = [s for s in made.sessions if s.started_at >= _raw_from(plan)]
    _copy(
        conn,
        "COPY meter_value (sampled_at, energy_wh, transaction_id, charge_point_id, power_w,"
        " current_a, voltage_v, soc_percent, temperature_c, current_offered_a, power_offered_w,"
        " connector_id, context) FROM STDIN",
        (row for session in raw for row in _readings(session)),
    )
    recent = [s for s in raw if s.ended_at >= plan.until - timedelta(days=2)]
    _copy(
        conn,
        "COPY ocpp_message (received_at, charge_point_id, message_type, direction, action,"
        " message_id, raw, answer, answered_at) FROM STDIN",
        (row for session in recent for row in frames(session)),
    )


def _store_charge_point(conn: psycopg.Connection, plan: Plan, made: ChargePoint) -> None:
    conn.execute(
        "INSERT INTO charge_point (charge_point_id, identity, name, site, latitude, longitude,"
        " vendor, model, serial_number, firmware_version, booted_at) OVERRIDING SYSTEM VALUE"
        " VALUES (%s, %s, %s, %s, %s, %s, 'ABB', 'Terra 54 CJG', %s, '4.1.1.10', %s)",
        [
            made.charge_point_id,
            made.identity,
            made.name,
            made.site,
            made.latitude,
            made.longitude,
            f"T54-BR-{made.charge_point_id:06d}",
            plan.until - timedelta(days=plan.days),
        ],
    )
    _copy(
        conn,
        "COPY connection (opened_at, closed_at, charge_point_id, replica_id, reason) FROM STDIN",
        _connections(plan, made),
    )


def _connections(plan: Plan, made: ChargePoint) -> Iterable[tuple[Any, ...]]:
    opened: datetime | None = plan.until - timedelta(days=plan.days)
    offline = [outage for outage in made.outages if outage.state == "offline"]
    for outage in sorted(offline, key=lambda item: item.started_at):
        yield (opened, outage.started_at, made.charge_point_id, _REPLICA, "no pong")
        opened = outage.ended_at
    if opened is not None:
        yield (opened, None, made.charge_point_id, _REPLICA, None)


def _store_statuses(conn: psycopg.Connection, plan: Plan, made: ChargePoint) -> None:
    for connector_id, rated_w in _RATED_W.items():
        told = [
            interval
            for interval in agg.states(plan, made, connector_id)
            if interval.state != "offline"
        ]
        _copy(
            conn,
            "COPY status_notification (at, received_at, charge_point_id, connector_id, status,"
            " error_code) FROM STDIN",
            [
                (
                    item.started_at,
                    item.started_at,
                    made.charge_point_id,
                    connector_id,
                    item.state,
                    item.error_code or "NoError",
                )
                for item in told
            ],
        )
        conn.execute(
            "INSERT INTO connector VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [
                made.charge_point_id,
                connector_id,
                "DC" if is_dc(connector_id) else "AC",
                rated_w,
                told[-1].state,
                told[-1].error_code or "NoError",
                told[-1].started_at,
            ],
        )


def _transaction(session: Session) -> tuple[Any, ...]:
    stop: tuple[Any, ...] = (None, None, None)
    if not session.is_open:
        stop = (session.ended_at, session.readings[-1].energy_wh, "Local")
    return (
        session.transaction_id,
        session.charge_point_id,
        session.connector_id,
        session.id_tag,
        "Accepted",
        session.started_at,
        session.meter_start_wh,
        *stop,
    )


def _readings(session: Session) -> Iterable[tuple[Any, ...]]:
    for reading in session.stored:
        yield (
            reading.at,
            reading.energy_wh,
            session.transaction_id,
            session.charge_point_id,
            reading.power_w,
            reading.current_a,
            reading.voltage_v,
            reading.soc_percent,
            reading.temperature_c,
            125 if is_dc(session.connector_id) else 32,
            _RATED_W[session.connector_id],
            session.connector_id,
            0,
        )


def store_aggregates(conn: psycopg.Connection, plan: Plan, made: ChargePoint) -> None:
    """What the flows would have computed."""
    _copy(
        conn,
        "COPY session (transaction_id, charge_point_id, connector_id, visit_id, started_at,"
        " ended_at, is_open, is_attempt, duration_s, energy_wh, energy_source,"
        " energy_register_wh, energy_series_wh, energy_integral_wh, energy_delta_percent, gap_s,"
        " readings, peak_power_w, mean_power_w, charging_s, temperature_max_c, last_power_at,"
        " unplugged_at, idle_s, stop_reason, flags) FROM STDIN",
        [_session(plan, session) for session in made.sessions],
    )
    _copy(
        conn,
        "COPY session_soc (transaction_id, soc_start_percent, soc_end_percent, first_at, last_at,"
        " soc_gain_percent, is_extrapolated) FROM STDIN",
        [_soc(session) for session in made.sessions if is_dc(session.connector_id)],
    )
    _copy(
        conn,
        "COPY energy_bucket (started_at, transaction_id, charge_point_id, connector_id, posto,"
        " energy_wh, charging_s, max_power_w, price_per_kwh, cost) FROM STDIN",
        (row for session in made.sessions for row in _buckets(session)),
    )
    # Sums of the quarters, as the flow keeps them beside the session.
    conn.execute(
        "INSERT INTO session_cost (transaction_id, cost, unpriced_wh)"
        " SELECT transaction_id, sum(cost), 0 FROM energy_bucket"
        " WHERE charge_point_id = %s GROUP BY transaction_id",
        [made.charge_point_id],
    )
    _store_consumption(conn, made)
    _store_availability(conn, plan, made)


def _session(plan: Plan, session: Session) -> tuple[Any, ...]:
    energy = session.energy_wh
    raw = session.started_at >= _raw_from(plan)
    integral = agg.integral_wh(session) if raw else None
    delta = None if integral is None or not energy else (energy - integral) / energy * 100
    charging = sum(bucket.charging_s for bucket in agg.buckets(session).values())
    gap = (session.gap[1] - session.gap[0]).total_seconds() if session.gap else 0.0
    return (
        session.transaction_id,
        session.charge_point_id,
        session.connector_id,
        session.transaction_id,
        session.started_at,
        session.ended_at,
        session.is_open,
        False,
        (session.ended_at - session.started_at).total_seconds(),
        energy,
        "register_series" if session.is_open else "register",
        None if session.is_open else energy,
        energy,
        integral,
        delta,
        gap,
        len(session.stored),
        max(reading.power_w for reading in session.readings),
        energy / charging * 3600 if charging else None,
        charging,
        max(reading.temperature_c for reading in session.readings),
        session.ended_at,
        session.unplugged_at,
        None if session.is_open else agg.idle(session).total_seconds(),
        None if session.is_open else "Local",
        ["gap"] if session.gap else [],
    )


def _soc(session: Session) -> tuple[Any, ...]:
    first, last = session.readings[0], session.readings[-1]
    assert first.soc_percent is not None and last.soc_percent is not None
    return (
        session.transaction_id,
        first.soc_percent,
        last.soc_percent,
        first.at,
        last.at,
        last.soc_percent - first.soc_percent,
        False,
    )


def _buckets(session: Session) -> Iterable[tuple[Any, ...]]:
    for start, bucket in agg.buckets(session).items():
        posto = agg.posto(start)
        yield (
            start,
            session.transaction_id,
            session.charge_point_id,
            session.connector_id,
            posto,
            bucket.energy_wh,
            bucket.charging_s,
            bucket.max_power_w,
            agg.PRICES[posto],
            bucket.energy_wh / 1000 * agg.PRICES[posto],
        )


def _store_consumption(conn: psycopg.Connection, made: ChargePoint) -> None:
    _copy(
        conn,
        "COPY consumption_day (day, charge_point_id, connector_id, energy_wh, ponta_wh,"
        " intermediario_wh, fora_ponta_wh, cost, cost_ponta, cost_intermediario,"
        " cost_fora_ponta, cost_if_fora_ponta, unpriced_wh, charging_s, peak_demand_w,"
        " peak_demand_at, sessions, attempts, idle_s, plug_ins, plug_ins_served) FROM STDIN",
        [
            _consumption_day(key[0], made.charge_point_id, key[1], day)
            for key, day in agg.consumption(made).items()
        ],
    )


def _consumption_day(day: Any, charge_point_id: int, connector_id: int, of: agg.Day) -> Any:
    energies = [of.energy_wh[posto] for posto in ("ponta", "intermediario", "fora_ponta")]
    costs = [of.energy_wh[posto] / 1000 * price for posto, price in agg.PRICES.items()]
    energy = sum(energies)
    return (
        day,
        charge_point_id,
        connector_id,
        energy,
        *energies,
        sum(costs),
        *costs,
        energy / 1000 * agg.PRICES["fora_ponta"],
        0,
        of.charging_s,
        of.peak_w or None,
        of.peak_at,
        of.sessions,
        0,
        of.idle_s,
        of.sessions,
        of.sessions,
    )


def _store_availability(conn: psycopg.Connection, plan: Plan, made: ChargePoint) -> None:
    for connector_id in _RATED_W:
        intervals = agg.states(plan, made, connector_id)
        _copy(
            conn,
            "COPY state_interval (started_at, ended_at, day, charge_point_id, connector_id,"
            " state, error_code) FROM STDIN",
            [
                (
                    part.started_at,
                    part.ended_at,
                    day,
                    made.charge_point_id,
                    connector_id,
                    part.state,
                    part.error_code,
                )
                for day, part in agg.cut_at_midnight(intervals)
            ],
        )
        _copy(
            conn,
            "COPY availability_day (day, charge_point_id, connector_id, observed_s, up_s, down_s,"
            " unknown_s, excluded_s, plugged_s, available_s, preparing_s, charging_s,"
            " suspended_ev_s, suspended_evse_s, finishing_s, reserved_s, unavailable_s,"
            " faulted_s, offline_s) FROM STDIN",
            [
                _availability(day, made.charge_point_id, connector_id, seconds)
                for day, seconds in agg.seconds_by_state(intervals).items()
            ],
        )
    _store_outages(conn, made)


def _availability(day: Any, charge_point_id: int, connector_id: int, seconds: Any) -> Any:
    observed, down = sum(seconds.values()), agg.down_s(seconds)
    columns = ["Available", "Preparing", "Charging", "SuspendedEV", "SuspendedEVSE"]
    columns += ["Finishing", "Reserved", "Unavailable", "Faulted", "offline"]
    return (
        day,
        charge_point_id,
        connector_id,
        observed,
        observed - down,
        down,
        0,
        0,
        agg.plugged_s(seconds),
        *(seconds.get(state, 0) for state in columns),
    )


def _store_outages(conn: psycopg.Connection, made: ChargePoint) -> None:
    outages, episodes = [], []
    for outage in made.outages:
        for connector_id in [outage.connector_id] if outage.connector_id else _RATED_W:
            key = (made.charge_point_id, connector_id, outage.started_at, outage.ended_at)
            outages.append((*key, [outage.state], outage.error_code))
            if outage.state == "Faulted":
                seconds = (outage.ended_at or outage.started_at) - outage.started_at
                episodes.append((*key, outage.error_code, 1, seconds.total_seconds()))
    _copy(
        conn,
        "COPY outage (charge_point_id, connector_id, started_at, ended_at, states, error_code)"
        " FROM STDIN",
        outages,
    )
    _copy(
        conn,
        "COPY fault_episode (charge_point_id, connector_id, started_at, ended_at, error_code,"
        " parts, faulted_s) FROM STDIN",
        episodes,
    )


def store_demand(conn: psycopg.Connection) -> None:
    """Coincident demand per site, from the buckets."""
    conn.execute(
        "INSERT INTO site_demand (started_at, site, energy_wh, connectors)"
        " SELECT eb.started_at, coalesce(cp.site, ''), sum(eb.energy_wh),"
        " count(DISTINCT (eb.charge_point_id, eb.connector_id))"
        " FROM energy_bucket AS eb JOIN charge_point AS cp USING (charge_point_id)"
        " GROUP BY 1, 2"
    )


def store_findings(conn: psycopg.Connection, plan: Plan, made: ChargePoint) -> None:
    """Reconciliation verdicts by day, and what is odd about the data."""
    findings: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    by_day: dict[Any, int] = {}
    for session in made.sessions:
        if session.started_at < _raw_from(plan):
            continue
        day = session.started_at.astimezone(ZONE).date()
        by_day[day] = by_day.get(day, 0) + len(session.stored)
        if session.gap:
            evidence = json.dumps({"transaction_id": session.transaction_id})
            where = (day, made.charge_point_id, session.connector_id)
            findings[where] = (*where, "gap", "amber", 1, 1020, "s", evidence)
    checks = [_check(made, day, count) for day, count in by_day.items()]
    _copy(
        conn,
        "COPY reconciliation (charge_point_id, window_start, window_end, rows_database,"
        " rows_dojot, missing_in_dojot, missing_in_database, duplicates, verdict) FROM STDIN",
        checks,
    )
    _copy(
        conn,
        "COPY quality_finding (day, charge_point_id, connector_id, kind, severity, occurrences,"
        " value, unit, evidence) FROM STDIN",
        findings.values(),
    )


def store_numbers(conn: psycopg.Connection) -> None:
    """Let new rows be numbered after the seeded ones."""
    conn.execute(
        "SELECT setval(pg_get_serial_sequence('charge_point', 'charge_point_id'),"
        " max(charge_point_id)) FROM charge_point"
    )
    conn.execute("SELECT setval('transaction_number', max(transaction_id)) FROM transaction")


def store_watermarks(conn: psycopg.Connection, plan: Plan) -> None:
    """As if the flows had just run."""
    _copy(
        conn,
        "COPY flow_watermark (flow, done_until) FROM STDIN",
        [(flow, plan.until) for flow in _FLOWS],
    )


def _check(made: ChargePoint, day: Any, count: int) -> tuple[Any, ...]:
    """Every eleventh day of a charge point DOJOT lacks two readings."""
    start = datetime(day.year, day.month, day.day, tzinfo=ZONE)
    missing = 2 if (day.toordinal() + made.charge_point_id) % 11 == 0 else 0
    verdict = "different" if missing else "ok"
    end = start + timedelta(days=1)
    return (made.charge_point_id, start, end, count, count - missing, missing, 0, 0, verdict)


def _raw_from(plan: Plan) -> datetime:
    return plan.until - timedelta(days=plan.raw_days)


def _copy(
    conn: psycopg.Connection, statement: LiteralString, rows: Iterable[tuple[Any, ...]]
) -> None:
    with conn.cursor().copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
