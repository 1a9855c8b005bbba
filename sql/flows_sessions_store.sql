-- Sessions: what is kept of them.

-- name: known_bounds
-- Between when the quarters of these sessions lie that were stored so far; a quarter begins before what
-- happens in it.
SELECT
    coalesce(min(ses.started_at), now()) - INTERVAL '15 minutes' AS low,
    coalesce(max(ses.ended_at), now()) AS high
FROM work_session AS ws
INNER JOIN session AS ses ON ws.transaction_id = ses.transaction_id;

-- name: make_work_bucket
-- Spread the energy of each session over its quarters of an hour by the shape of its curve.
CREATE TEMPORARY TABLE work_bucket ON COMMIT DROP AS
WITH shape AS (
    SELECT en.transaction_id, wri.bucket, wri.rise_wh AS weight
    FROM work_energy AS en
    INNER JOIN work_rise AS wri ON en.transaction_id = wri.transaction_id
    WHERE en.curve = 'rise'
    UNION ALL
    SELECT en.transaction_id, wp.bucket, wp.integral_wh
    FROM work_energy AS en
    INNER JOIN work_power AS wp ON en.transaction_id = wp.transaction_id
    WHERE en.curve = 'integral'
    UNION ALL
    SELECT en.transaction_id, wi.bucket, wi.interval_wh
    FROM work_energy AS en
    INNER JOIN work_interval AS wi ON en.transaction_id = wi.transaction_id
    WHERE en.curve = 'interval'
    UNION ALL
    SELECT
        en.transaction_id,
        slot.bucket,
        CASE
            WHEN en.duration_s = 0 THEN 1
            ELSE
                extract(
                    EPOCH FROM least(we.ended_at, slot.bucket + INTERVAL '15 minutes') - greatest(ws.started_at, slot.bucket)
                )
        END
    FROM work_energy AS en
    INNER JOIN work_session AS ws ON en.transaction_id = ws.transaction_id
    INNER JOIN work_end AS we ON en.transaction_id = we.transaction_id
    CROSS JOIN LATERAL generate_series(
        time_bucket('15 minutes', ws.started_at),
        time_bucket('15 minutes', greatest(ws.started_at, we.ended_at - INTERVAL '1 microsecond')),
        INTERVAL '15 minutes'
    ) AS slot (bucket)
    WHERE en.curve = 'time' AND en.energy_wh > 0
),

weighed AS (
    SELECT
        shape.transaction_id,
        shape.bucket,
        coalesce(shape.weight, 0) AS weight,
        sum(shape.weight) OVER (PARTITION BY shape.transaction_id) AS total
    FROM shape
),

filled AS (
    SELECT
        ws.transaction_id,
        ws.charge_point_id,
        ws.connector_id,
        weighed.bucket,
        coalesce(en.energy_wh * weighed.weight / nullif(weighed.total, 0), 0) AS energy_wh,
        CASE WHEN en.has_power THEN wp.charging_s ELSE wri.charging_s END AS charging_s,
        wp.max_power_w
    FROM weighed
    INNER JOIN work_session AS ws ON weighed.transaction_id = ws.transaction_id
    INNER JOIN work_energy AS en ON weighed.transaction_id = en.transaction_id
    LEFT JOIN work_power AS wp ON weighed.transaction_id = wp.transaction_id AND weighed.bucket = wp.bucket
    LEFT JOIN work_rise AS wri ON weighed.transaction_id = wri.transaction_id AND weighed.bucket = wri.bucket
    WHERE en.energy_wh IS NOT NULL
)

SELECT bucket AS started_at, transaction_id, charge_point_id, connector_id, energy_wh, charging_s, max_power_w
FROM filled
WHERE energy_wh > 0 OR charging_s > 0 OR max_power_w > 0;

-- name: delete_buckets
-- Those that these sessions no longer have; the others keep their price.
DELETE FROM energy_bucket AS eb
USING work_session AS ws
WHERE
    eb.transaction_id = ws.transaction_id AND eb.started_at >= %(low)s AND eb.started_at <= %(high)s
    AND NOT EXISTS (
        SELECT FROM work_bucket AS wb
        WHERE wb.transaction_id = eb.transaction_id AND wb.started_at = eb.started_at
    );

-- name: store_buckets
INSERT INTO energy_bucket AS eb (
    started_at, transaction_id, charge_point_id, connector_id, energy_wh, charging_s, max_power_w
)
SELECT started_at, transaction_id, charge_point_id, connector_id, energy_wh, charging_s, max_power_w
FROM work_bucket
ON CONFLICT (transaction_id, started_at) DO UPDATE SET
    charge_point_id = excluded.charge_point_id,
    connector_id = excluded.connector_id,
    energy_wh = excluded.energy_wh,
    charging_s = excluded.charging_s,
    max_power_w = excluded.max_power_w,
    cost = excluded.energy_wh / 1000 * eb.price_per_kwh
WHERE
    (eb.charge_point_id, eb.connector_id, eb.energy_wh, eb.charging_s, eb.max_power_w)
    IS DISTINCT FROM
    (excluded.charge_point_id, excluded.connector_id, excluded.energy_wh, excluded.charging_s, excluded.max_power_w);

-- name: store_sessions
INSERT INTO session AS ses (
    transaction_id, charge_point_id, connector_id, started_at, ended_at, is_open, inferred_by, is_attempt, duration_s,
    energy_wh, energy_source, energy_register_wh, energy_series_wh, energy_integral_wh, energy_delta_percent, gap_s,
    readings, peak_power_w, mean_power_w, charging_s, temperature_max_c, energised_at, last_power_at, unplugged_at,
    idle_s, stop_reason, flags
)
SELECT
    ws.transaction_id,
    ws.charge_point_id,
    ws.connector_id,
    ws.started_at,
    we.ended_at,
    ws.stopped_at IS NULL AND we.inferred_by IS NULL,
    we.inferred_by,
    (ws.stopped_at IS NOT NULL OR we.inferred_by IS NOT NULL) AND (en.duration_s < 60 OR coalesce(en.energy_wh < 100, FALSE)),
    en.duration_s,
    en.energy_wh,
    en.energy_source,
    en.register_wh,
    CASE WHEN en.registers > 0 THEN en.series_wh END,
    en.integral_wh,
    delta.percent,
    CASE WHEN en.readings > 0 THEN en.gap_s END,
    en.readings,
    en.peak_power_w,
    -- Readings of power cover less time than the register: each is divided by its own.
    CASE
        WHEN en.has_power AND en.charging_s > 0 THEN least(en.integral_wh * 3600 / en.charging_s, en.peak_power_w)
        WHEN NOT en.has_power THEN en.energy_wh * 3600 / nullif(coalesce(nullif(en.charging_s, 0), en.duration_s), 0)
    END,
    en.charging_s,
    en.temperature_max_c,
    coalesce(crossing.energised_at, en.energised_at),
    en.last_power_at,
    plug.unplugged_at,
    CASE
        WHEN en.energy_wh IS NOT NULL OR en.last_power_at IS NOT NULL
            THEN greatest(0, plug.plugged_s - grace.value)
    END,
    ws.reason,
    ws.flags || array_remove(ARRAY[
        CASE WHEN we.inferred_by IS NOT NULL THEN 'inferred_end' END,
        CASE WHEN we.stops_before_start THEN 'stop_before_start' END,
        CASE WHEN en.duration_s = 0 AND ws.stopped_at = ws.started_at THEN 'no_duration' END,
        CASE WHEN en.readings = 0 THEN 'no_readings' END,
        CASE WHEN en.is_borrowed THEN 'borrowed_readings' END,
        CASE WHEN ws.meter_start_wh IS NULL THEN 'meter_start_missing' END,
        CASE WHEN ws.stopped_at IS NOT NULL AND ws.meter_stop_wh IS NULL THEN 'meter_stop_missing' END,
        CASE WHEN en.is_stop_zero THEN 'meter_stop_zero' END,
        CASE WHEN en.register_wh < 0 THEN 'meter_stop_below_start' END,
        CASE WHEN en.register_wh > en.limit_wh THEN 'register_implausible' END,
        CASE WHEN en.is_stop_below THEN 'meter_stop_below_last' END,
        CASE WHEN en.is_reset THEN 'register_reset' END,
        CASE WHEN en.is_jump THEN 'register_jump' END,
        CASE WHEN en.is_apart THEN 'register_mismatch' END,
        CASE WHEN en.is_stuck THEN 'stuck_register' END,
        CASE WHEN en.is_estimated THEN 'estimated_power' END,
        CASE WHEN en.gap_s > 0.1 * en.duration_s THEN 'gap' END,
        CASE
            WHEN en.energy_source IN ('register', 'register_series')
                AND en.energy_wh > 0 AND en.integral_wh / en.energy_wh BETWEEN 900 AND 1100
                THEN 'energy_unit'
        END,
        CASE
            WHEN abs(delta.percent) > 10 OR (en.is_still AND en.integral_wh > 500) THEN 'delta_red'
            WHEN abs(delta.percent) > 3 THEN 'delta_amber'
        END,
        CASE
            WHEN ws.stopped_at IS NULL AND we.inferred_by IS NULL AND ws.started_at < %(as_of)s::timestamptz - INTERVAL '24 hours'
                THEN 'open_long'
        END
    ], NULL)
FROM work_session AS ws
INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
INNER JOIN work_energy AS en ON ws.transaction_id = en.transaction_id
INNER JOIN work_plug AS plug ON ws.transaction_id = plug.transaction_id
LEFT JOIN work_crossing AS crossing ON ws.transaction_id = crossing.transaction_id
INNER JOIN setting AS grace
    ON
        grace.name = CASE
            WHEN ws.current_type = 'DC' THEN 'idle_grace_dc_s'
            WHEN ws.current_type IS NULL AND (en.has_soc OR en.peak_power_w > 22500) THEN 'idle_grace_dc_s'
            ELSE 'idle_grace_ac_s'
        END
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN en.energy_source IN ('register', 'register_series')
                THEN 100 * (en.energy_wh - en.integral_wh) / nullif(en.energy_wh, 0)
        END AS percent
) AS delta
ON CONFLICT (transaction_id) DO UPDATE SET
    charge_point_id = excluded.charge_point_id,
    connector_id = excluded.connector_id,
    started_at = excluded.started_at,
    ended_at = excluded.ended_at,
    is_open = excluded.is_open,
    inferred_by = excluded.inferred_by,
    is_attempt = excluded.is_attempt,
    duration_s = excluded.duration_s,
    energy_wh = excluded.energy_wh,
    energy_source = excluded.energy_source,
    energy_register_wh = excluded.energy_register_wh,
    energy_series_wh = excluded.energy_series_wh,
    energy_integral_wh = excluded.energy_integral_wh,
    energy_delta_percent = excluded.energy_delta_percent,
    gap_s = excluded.gap_s,
    readings = excluded.readings,
    peak_power_w = excluded.peak_power_w,
    mean_power_w = excluded.mean_power_w,
    charging_s = excluded.charging_s,
    temperature_max_c = excluded.temperature_max_c,
    energised_at = excluded.energised_at,
    last_power_at = excluded.last_power_at,
    unplugged_at = excluded.unplugged_at,
    idle_s = excluded.idle_s,
    stop_reason = excluded.stop_reason,
    flags = excluded.flags,
    computed_at = now();

-- name: touch_days
-- The days of these sessions, as they were known and as they are now: their consumption, plug-ins (up to
-- 5 min before a session, or 1 min after its start) and counts; which readings have a transaction; and
-- when, where no status tells, the connector was in use.
INSERT INTO touched_work (flow, charge_point_id, hour)
SELECT flow.name, span.charge_point_id, local_midnight(day.day::date)
FROM (
    SELECT ses.charge_point_id, ses.started_at, ses.ended_at
    FROM work_session AS ws
    INNER JOIN session AS ses ON ws.transaction_id = ses.transaction_id
    UNION
    SELECT ws.charge_point_id, ws.started_at, we.ended_at
    FROM work_session AS ws
    INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
) AS span
CROSS JOIN LATERAL generate_series(
    local_day(span.started_at - INTERVAL '5 minutes')::timestamp,
    local_day(greatest(span.ended_at, span.started_at + INTERVAL '1 minute'))::timestamp,
    INTERVAL '1 day'
) AS day (day)
CROSS JOIN (VALUES ('consumption'), ('quality'), ('availability')) AS flow (name)
GROUP BY flow.name, span.charge_point_id, day.day
ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();

-- name: touch_soc
-- The sessions after these too: which samples without a transaction are theirs depends on where these end.
INSERT INTO session_work (flow, transaction_id)
SELECT 'soc', ws.transaction_id
FROM work_session AS ws
UNION
SELECT 'soc', following.transaction_id
FROM work_session AS ws
CROSS JOIN LATERAL (
    SELECT ses.transaction_id
    FROM session AS ses
    WHERE
        ses.charge_point_id = ws.charge_point_id AND ses.connector_id = ws.connector_id
        AND ses.started_at > ws.started_at
    ORDER BY ses.started_at
    LIMIT 1
) AS following
ON CONFLICT (flow, transaction_id) DO UPDATE SET claimed_at = clock_timestamp();

-- name: link_visits
-- A session goes on with the visit of the one before when connector and tag are the same, at most
-- 5 min lie between, and Available was not reported. What follows these sessions is linked anew too.
WITH RECURSIVE linked AS (
    SELECT
        ses.transaction_id,
        ses.charge_point_id,
        ses.connector_id,
        ses.started_at,
        CASE WHEN before.goes_on THEN coalesce(before.visit_id, before.transaction_id) ELSE ses.transaction_id END AS visit_id
    FROM session AS ses
    LEFT JOIN LATERAL session_before(ses.transaction_id) AS before ON TRUE
    WHERE
        ses.transaction_id = ANY(%(transaction_ids)s)
        AND NOT coalesce(before.goes_on AND before.transaction_id = ANY(%(transaction_ids)s), FALSE)
    UNION
    SELECT following.transaction_id, following.charge_point_id, following.connector_id, following.started_at,
        CASE WHEN before.goes_on THEN linked.visit_id ELSE following.transaction_id END
    FROM linked
    CROSS JOIN LATERAL (
        SELECT ses.transaction_id, ses.charge_point_id, ses.connector_id, ses.started_at, ses.visit_id
        FROM session AS ses
        WHERE
            ses.charge_point_id = linked.charge_point_id
            AND ses.connector_id = linked.connector_id
            AND ses.started_at > linked.started_at
        ORDER BY ses.started_at
        LIMIT 1
    ) AS following
    CROSS JOIN LATERAL session_before(following.transaction_id) AS before
    WHERE before.goes_on OR following.visit_id IS DISTINCT FROM following.transaction_id
)

UPDATE session AS ses SET visit_id = linked.visit_id
FROM linked
WHERE ses.transaction_id = linked.transaction_id AND ses.visit_id IS DISTINCT FROM linked.visit_id;
