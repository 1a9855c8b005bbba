-- A large network at once: every charge point charges twice a day for an hour and a half at 40 kW.
-- The same numbers give the same rows. Run in order, in one transaction.

-- name: network
WITH tariffs AS (
    INSERT INTO tariff (name, consumer_group, modality, valid_from, contracted_demand_kw, source, author)
    VALUES ('Tarifa inventada', 'A', 'verde', '2020-01-01', 1500, 'inventada para os dados de exemplo', 'seed')
    RETURNING tariff_id
),

periods AS (
    INSERT INTO tariff_period (tariff_id, posto, from_time, to_time, price_per_kwh)
    SELECT
        tariffs.tariff_id,
        hours.posto,
        hours.from_time::time,
        hours.to_time::time,
        hours.price
    FROM tariffs
    CROSS JOIN (
        VALUES ('ponta', '18:00', '21:00', 1.62), ('fora_ponta', NULL, NULL, 0.68)
    ) AS hours (posto, from_time, to_time, price)
),

replicas AS (
    -- Seen in the infinite future: it stays alive for as long as somebody looks at the data.
    INSERT INTO replica (replica_id, host, seen_at)
    VALUES ('00000000-0000-0000-0000-000000000016', 'seed', 'infinity')
),

made AS (
    INSERT INTO charge_point (
        charge_point_id, identity, name, site, latitude, longitude, vendor, model, firmware_version, booted_at
    ) OVERRIDING SYSTEM VALUE
    SELECT
        number,
        'LARGE-' || lpad(number::text, 5, '0'),
        'Eletroposto ' || lpad(number::text, 5, '0'),
        'Local ' || lpad(mod(number, 20)::text, 2, '0'),
        -1.45 + 0.01 * mod(number, 20) + 0.0001 * mod(number / 20, 30),
        -48.47 + 0.008 * mod(number, 20) + 0.0001 * mod(number / 20, 31),
        'ABB',
        'Terra 54 CJG',
        '4.1.1.10',
        %(until)s::timestamptz - %(days)s * INTERVAL '1 day'
    FROM generate_series(1, %(charge_points)s) AS number
    RETURNING charge_point_id
),

connectors AS (
    INSERT INTO connector (charge_point_id, connector_id, current_type, rated_power_w, status, error_code, status_at)
    SELECT
        made.charge_point_id,
        1,
        'DC',
        50000,
        CASE mod(made.charge_point_id, 5) WHEN 1 THEN 'Charging' ELSE 'Available' END,
        'NoError',
        %(until)s::timestamptz - INTERVAL '45 minutes'
    FROM made
)

INSERT INTO connection (opened_at, closed_at, charge_point_id, replica_id, reason)
SELECT
    %(until)s::timestamptz - %(days)s * INTERVAL '1 day',
    CASE WHEN mod(made.charge_point_id, 50) = 3 THEN %(until)s::timestamptz - INTERVAL '40 minutes' END,
    made.charge_point_id,
    '00000000-0000-0000-0000-000000000016',
    CASE WHEN mod(made.charge_point_id, 50) = 3 THEN 'no pong' END
FROM made;

-- name: tags
INSERT INTO id_tag (id_tag, alias) SELECT
    'TAG-' || number,
    'Veículo ' || number
FROM generate_series(0, 99) AS number;

-- name: planned
CREATE TEMP TABLE planned ON COMMIT DROP AS
SELECT
    cp.charge_point_id,
    cp.charge_point_id * 100000::bigint + (CURRENT_DATE - dates.day::date) * 2 + turn.number AS transaction_id,
    dates.day::date AS day,
    began.at AS started_at,
    began.at + INTERVAL '90 minutes' AS ended_at,
    'TAG-' || mod(cp.charge_point_id + turn.number, 100) AS id_tag,
    FALSE AS is_open
FROM charge_point AS cp
CROSS JOIN generate_series(
    local_day(%(until)s::timestamptz) - %(days)s + 1, local_day(%(until)s::timestamptz), INTERVAL '1 day'
) AS dates (day)
CROSS JOIN generate_series(0, 1) AS turn (number)
CROSS JOIN LATERAL (
    SELECT
        local_midnight(dates.day::date)
        + INTERVAL '6 hours' + turn.number * INTERVAL '8 hours' + mod(cp.charge_point_id, 180) * INTERVAL '1 minute' AS at
) AS began
WHERE began.at + INTERVAL '2 hours' < %(until)s::timestamptz - INTERVAL '50 minutes'
UNION ALL
SELECT
    cp.charge_point_id,
    cp.charge_point_id * 100000::bigint + 99999,
    local_day(%(until)s::timestamptz - INTERVAL '45 minutes'),
    %(until)s::timestamptz - INTERVAL '45 minutes',
    %(until)s::timestamptz,
    'TAG-' || mod(cp.charge_point_id, 100),
    TRUE
FROM charge_point AS cp
WHERE mod(cp.charge_point_id, 5) = 1;

-- name: transactions
INSERT INTO transaction (
    transaction_id, charge_point_id, connector_id, id_tag, id_tag_status, started_at, meter_start_wh,
    stopped_at, meter_stop_wh, reason
)
SELECT
    planned.transaction_id,
    planned.charge_point_id,
    1,
    planned.id_tag,
    'Accepted',
    planned.started_at,
    0,
    CASE WHEN NOT planned.is_open THEN planned.ended_at END,
    CASE WHEN NOT planned.is_open THEN 60000 END,
    CASE WHEN NOT planned.is_open THEN 'Local' END
FROM planned;

-- name: readings
INSERT INTO meter_value (
    sampled_at, energy_wh, transaction_id, charge_point_id, power_w, current_a, voltage_v, soc_percent,
    temperature_c, current_offered_a, power_offered_w, connector_id, context
)
SELECT
    step.at,
    extract(EPOCH FROM step.at - planned.started_at) / 3600 * 40000,
    planned.transaction_id,
    planned.charge_point_id,
    40000,
    66,
    606,
    20 + extract(EPOCH FROM step.at - planned.started_at) / 120,
    35,
    125,
    50000,
    1,
    0
FROM planned
CROSS JOIN LATERAL generate_series(
    planned.started_at, planned.ended_at, make_interval(secs => %(sample_s)s)
) AS step (at)
WHERE planned.started_at >= %(until)s::timestamptz - %(raw_days)s * INTERVAL '1 day'
ORDER BY planned.day, step.at;

-- name: frames
INSERT INTO ocpp_message (
    received_at, charge_point_id, message_type, direction, action, message_id, raw, answer, answered_at
)
SELECT
    mv.sampled_at + INTERVAL '1 second',
    mv.charge_point_id,
    2,
    'i',
    'MeterValues',
    mv.transaction_id || '-' || extract(EPOCH FROM mv.sampled_at)::bigint,
    '[2,"' || mv.transaction_id || '-' || extract(EPOCH FROM mv.sampled_at)::bigint
    || '","MeterValues",{"connectorId":1,"transactionId":' || mv.transaction_id
    || ',"meterValue":[{"timestamp":"' || to_char(mv.sampled_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
    || '","sampledValue":[{"measurand":"Energy.Active.Import.Register","unit":"Wh","value":"' || mv.energy_wh
    || '"},{"measurand":"Power.Active.Import","unit":"W","value":"40000"},'
    || '{"measurand":"SoC","unit":"Percent","value":"' || mv.soc_percent::integer || '"}]}]}]',
    '[3,"' || mv.transaction_id || '-' || extract(EPOCH FROM mv.sampled_at)::bigint || '",{}]',
    mv.sampled_at + INTERVAL '1007 milliseconds'
FROM meter_value AS mv
WHERE mv.sampled_at >= %(until)s::timestamptz - %(log_days)s * INTERVAL '1 day'
ORDER BY mv.sampled_at;

-- name: sessions
INSERT INTO session (
    transaction_id, charge_point_id, connector_id, visit_id, started_at, ended_at, is_open, is_attempt, duration_s,
    energy_wh, energy_source, energy_register_wh, energy_series_wh, energy_integral_wh, energy_delta_percent, gap_s,
    readings, peak_power_w, mean_power_w, charging_s, last_power_at, unplugged_at, idle_s, stop_reason
)
SELECT
    planned.transaction_id,
    planned.charge_point_id,
    1,
    planned.transaction_id AS visit_id,
    planned.started_at,
    planned.ended_at,
    planned.is_open,
    FALSE,
    length.s,
    length.s / 3600 * 40000,
    CASE WHEN planned.is_open THEN 'register_series' ELSE 'register' END,
    CASE WHEN NOT planned.is_open THEN 60000 END,
    length.s / 3600 * 40000,
    length.s / 3600 * 40000,
    0,
    0,
    length.s / %(sample_s)s,
    40000,
    40000,
    length.s AS charging_s,
    planned.ended_at AS last_power_at,
    CASE WHEN NOT planned.is_open THEN planned.ended_at + INTERVAL '5 minutes' END,
    CASE WHEN NOT planned.is_open THEN mod(planned.charge_point_id, 7) * 60 END,
    CASE WHEN NOT planned.is_open THEN 'Local' END
FROM planned
CROSS JOIN LATERAL (
    SELECT extract(EPOCH FROM planned.ended_at - planned.started_at)::double precision AS s
) AS length;

-- name: soc
INSERT INTO session_soc (
    transaction_id, soc_start_percent, soc_end_percent, first_at, last_at, soc_gain_percent, is_extrapolated,
    pack_estimate_wh
)
SELECT
    planned.transaction_id,
    20,
    65,
    planned.started_at,
    planned.ended_at,
    45,
    FALSE,
    133333
FROM planned
WHERE NOT planned.is_open;

-- name: buckets
INSERT INTO energy_bucket (
    started_at, transaction_id, charge_point_id, connector_id, posto, energy_wh, charging_s, max_power_w,
    price_per_kwh, cost
)
SELECT
    quarter.at,
    planned.transaction_id,
    planned.charge_point_id,
    1,
    CASE WHEN price.per_kwh > 1 THEN 'ponta' ELSE 'fora_ponta' END,
    part.s / 3600 * 40000,
    part.s,
    40000,
    price.per_kwh,
    part.s / 3600 * 40 * price.per_kwh
FROM planned
CROSS JOIN LATERAL generate_series(
    time_bucket('15 minutes', planned.started_at), planned.ended_at - INTERVAL '1 second', INTERVAL '15 minutes'
) AS quarter (at)
CROSS JOIN LATERAL (
    SELECT
        extract(
            EPOCH FROM
            least(planned.ended_at, quarter.at + INTERVAL '15 minutes') - greatest(planned.started_at, quarter.at)
        )::double precision AS s
) AS part
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN
                extract(HOUR FROM quarter.at AT TIME ZONE 'America/Sao_Paulo') BETWEEN 18 AND 20
                AND extract(ISODOW FROM planned.day) < 6
                THEN 1.62
            ELSE 0.68
        END AS per_kwh
) AS price
ORDER BY planned.day, quarter.at;

-- name: costs
INSERT INTO session_cost (transaction_id, cost, unpriced_wh)
SELECT
    eb.transaction_id,
    sum(eb.cost),
    0
FROM energy_bucket AS eb
GROUP BY eb.transaction_id;

-- name: consumption
INSERT INTO consumption_day (
    day, charge_point_id, connector_id, energy_wh, ponta_wh, intermediario_wh, fora_ponta_wh, cost, cost_ponta,
    cost_fora_ponta, cost_if_fora_ponta, unpriced_wh, charging_s, peak_demand_w, sessions, attempts, idle_s,
    plug_ins, plug_ins_served
)
SELECT
    local_day(eb.started_at),
    eb.charge_point_id,
    1,
    sum(eb.energy_wh),
    coalesce(sum(eb.energy_wh) FILTER (WHERE eb.posto = 'ponta'), 0),
    0,
    coalesce(sum(eb.energy_wh) FILTER (WHERE eb.posto = 'fora_ponta'), 0),
    sum(eb.cost),
    sum(eb.cost) FILTER (WHERE eb.posto = 'ponta'),
    sum(eb.cost) FILTER (WHERE eb.posto = 'fora_ponta'),
    sum(eb.energy_wh) / 1000 * 0.68,
    0,
    sum(eb.charging_s),
    40000,
    count(DISTINCT eb.transaction_id),
    0,
    mod(eb.charge_point_id, 7) * 60 * count(DISTINCT eb.transaction_id),
    count(DISTINCT eb.transaction_id),
    count(DISTINCT eb.transaction_id)
FROM energy_bucket AS eb
GROUP BY local_day(eb.started_at), eb.charge_point_id;

-- name: demand
INSERT INTO site_demand (started_at, site, energy_wh, connectors)
SELECT
    eb.started_at,
    cp.site,
    sum(eb.energy_wh),
    count(DISTINCT eb.charge_point_id)
FROM energy_bucket AS eb
INNER JOIN charge_point AS cp ON eb.charge_point_id = cp.charge_point_id
GROUP BY eb.started_at, cp.site;

-- name: changes
CREATE TEMP TABLE changes ON COMMIT DROP AS
SELECT
    planned.charge_point_id,
    planned.day,
    planned.started_at AS at,
    'Charging' AS state
FROM planned
UNION ALL
SELECT
    planned.charge_point_id,
    planned.day,
    planned.ended_at,
    'Finishing'
FROM planned
WHERE NOT planned.is_open
UNION ALL
SELECT
    planned.charge_point_id,
    planned.day,
    planned.ended_at + INTERVAL '5 minutes',
    'Available'
FROM planned
WHERE NOT planned.is_open
UNION ALL
SELECT
    cp.charge_point_id,
    dates.day::date,
    local_midnight(dates.day::date) + change.after,
    change.state
FROM charge_point AS cp
CROSS JOIN generate_series(
    local_day(%(until)s::timestamptz) - %(days)s + 1, local_day(%(until)s::timestamptz), INTERVAL '1 day'
) AS dates (day)
CROSS JOIN (
    VALUES (INTERVAL '0', 'Available'), (INTERVAL '20 hours 30 minutes', 'Faulted'),
    (INTERVAL '21 hours 30 minutes', 'Available')
) AS change (after, state)
WHERE
    (change.after = INTERVAL '0' OR mod(cp.charge_point_id + extract(DOY FROM dates.day)::integer, 17) = 0)
    AND local_midnight(dates.day::date) + INTERVAL '22 hours' < %(until)s::timestamptz
    OR (change.after = INTERVAL '0' AND local_midnight(dates.day::date) < %(until)s::timestamptz);

-- name: intervals
INSERT INTO state_interval (started_at, ended_at, day, charge_point_id, connector_id, state, error_code)
SELECT
    cut.at,
    cut.ended_at,
    cut.day,
    cut.charge_point_id,
    1,
    cut.state,
    CASE cut.state WHEN 'Faulted' THEN 'GroundFailure' END
FROM (
    SELECT
        changes.*,
        lead(changes.at, 1, least(local_midnight(changes.day + 1), %(until)s::timestamptz)) OVER (
            PARTITION BY changes.charge_point_id, changes.day
            ORDER BY changes.at
        ) AS ended_at
    FROM changes
) AS cut
WHERE cut.ended_at > cut.at
ORDER BY cut.day, cut.at;

-- name: statuses
INSERT INTO status_notification (at, received_at, charge_point_id, connector_id, status, error_code)
SELECT
    changes.at,
    changes.at AS received_at,
    changes.charge_point_id,
    1,
    changes.state,
    CASE changes.state WHEN 'Faulted' THEN 'GroundFailure' ELSE 'NoError' END
FROM changes
WHERE changes.at >= %(until)s::timestamptz - %(raw_days)s * INTERVAL '1 day'
ORDER BY changes.at;

-- name: availability
INSERT INTO availability_day (
    day, charge_point_id, connector_id, observed_s, up_s, down_s, unknown_s, excluded_s, plugged_s, available_s,
    preparing_s, charging_s, suspended_ev_s, suspended_evse_s, finishing_s, reserved_s, unavailable_s, faulted_s,
    offline_s
)
SELECT
    si.day,
    si.charge_point_id,
    1,
    sum(length.s),
    coalesce(sum(length.s) FILTER (WHERE si.state <> 'Faulted'), 0),
    coalesce(sum(length.s) FILTER (WHERE si.state = 'Faulted'), 0),
    0,
    0,
    coalesce(sum(length.s) FILTER (WHERE si.state IN ('Charging', 'Finishing')), 0),
    coalesce(sum(length.s) FILTER (WHERE si.state = 'Available'), 0),
    0,
    coalesce(sum(length.s) FILTER (WHERE si.state = 'Charging'), 0),
    0,
    0,
    coalesce(sum(length.s) FILTER (WHERE si.state = 'Finishing'), 0),
    0,
    0,
    coalesce(sum(length.s) FILTER (WHERE si.state = 'Faulted'), 0),
    0
FROM state_interval AS si
CROSS JOIN LATERAL (
    SELECT extract(EPOCH FROM si.ended_at - si.started_at)::double precision AS s
) AS length
GROUP BY si.day, si.charge_point_id;

-- name: outages
WITH faults AS (
    INSERT INTO fault_episode (
        charge_point_id, connector_id, started_at, ended_at, error_code, parts, faulted_s
    )
    SELECT
        si.charge_point_id,
        1,
        si.started_at,
        si.ended_at,
        si.error_code,
        1,
        3600
    FROM state_interval AS si
    WHERE si.state = 'Faulted'
)

INSERT INTO outage (charge_point_id, connector_id, started_at, ended_at, states, error_code)
SELECT
    si.charge_point_id,
    1,
    si.started_at,
    si.ended_at,
    ARRAY['Faulted'],
    si.error_code
FROM state_interval AS si
WHERE si.state = 'Faulted';

-- name: findings
INSERT INTO quality_finding (day, charge_point_id, connector_id, kind, severity, occurrences, value, unit)
SELECT
    av.day,
    av.charge_point_id,
    1,
    'gap',
    'amber',
    1,
    1020,
    's'
FROM availability_day AS av
WHERE mod(av.charge_point_id + extract(DOY FROM av.day)::integer, 13) = 0;

-- name: reconciliations
INSERT INTO reconciliation (
    charge_point_id, window_start, window_end, rows_database, rows_dojot, missing_in_dojot, missing_in_database,
    duplicates, verdict
)
SELECT
    av.charge_point_id,
    local_midnight(av.day),
    local_midnight(av.day + 1),
    1080,
    1080 - missing.readings,
    missing.readings,
    0,
    0,
    CASE WHEN missing.readings > 0 THEN 'different' ELSE 'ok' END
FROM availability_day AS av
CROSS JOIN LATERAL (
    SELECT CASE WHEN mod(av.charge_point_id + extract(DOY FROM av.day)::integer, 29) = 0 THEN 2 ELSE 0 END AS readings
) AS missing
WHERE av.day > local_day(%(until)s::timestamptz) - %(raw_days)s;

-- name: changed
INSERT INTO unsummed_day (day, what)
SELECT con.day, 'connectors' FROM consumption_day AS con
UNION
SELECT av.day, 'connectors' FROM availability_day AS av
UNION
SELECT local_day(ses.started_at), 'sessions' FROM session AS ses;

-- name: sums
-- What the flows would write down.
SELECT write_sums();
