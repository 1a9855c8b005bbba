-- Sessions: their energy, from the register, from intervals, from power.

-- name: make_work_rise
-- Rises of the register per session and quarter of an hour, spread evenly over the time they took.
-- A drop is a reset: the new value counts if it could have been delivered since, otherwise nothing.
-- What exceeds anything the session could deliver, or follows a reset and is too steep, counts nothing.
CREATE TEMPORARY TABLE work_rise ON COMMIT DROP AS
WITH point AS (
    SELECT transaction_id, at, 1 AS place, energy_wh, rated_power_w, limit_wh
    FROM work_used
    WHERE energy_wh IS NOT NULL
    UNION ALL
    SELECT
        ws.transaction_id,
        edge.at,
        edge.place,
        edge.energy_wh,
        ws.rated_power_w,
        ws.rated_power_w * extract(EPOCH FROM we.ended_at - ws.started_at)::double precision / 3600 * 1.05
    FROM work_session AS ws
    INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
    CROSS JOIN LATERAL (
        VALUES (ws.started_at, 0, ws.meter_start_wh), (we.ended_at, 2, nullif(ws.meter_stop_wh, 0))
    ) AS edge (at, place, energy_wh)
    WHERE edge.energy_wh IS NOT NULL
),

pair AS (
    SELECT
        point.*,
        lag(at) OVER session AS from_at,
        lag(energy_wh) OVER session AS from_wh,
        lag(energy_wh, 2) OVER session AS before_wh
    FROM point
    WINDOW session AS (PARTITION BY transaction_id ORDER BY at, place, energy_wh)
),

step AS (
    SELECT
        pair.*,
        energy_wh < from_wh AND place < 2 AS is_reset,
        energy_wh >= from_wh AND (
            energy_wh - from_wh > greatest(limit_wh, 1000)
            OR (
                before_wh > from_wh
                AND energy_wh - from_wh > rated_power_w * extract(EPOCH FROM at - from_at) / 3600 * 1.05 + 1000
            )
        ) AS is_jump,
        energy_wh < from_wh AND place = 2 AS is_stop_below,
        energy_wh <= rated_power_w * extract(EPOCH FROM at - from_at) / 3600 AS is_plausible_anew
    FROM pair
    WHERE from_at IS NOT NULL
),

rise AS (
    SELECT
        step.*,
        CASE
            WHEN is_jump OR is_stop_below THEN 0
            WHEN is_reset THEN CASE WHEN is_plausible_anew THEN energy_wh ELSE 0 END
            ELSE energy_wh - from_wh
        END AS rise_wh
    FROM step
),

running AS MATERIALIZED (
    SELECT
        transaction_id,
        from_at,
        at,
        rise_wh,
        is_reset,
        is_jump,
        is_stop_below,
        extract(EPOCH FROM at - from_at)::double precision AS length_s,
        sum(rise_wh) OVER (PARTITION BY transaction_id ORDER BY at, place, energy_wh ROWS UNBOUNDED PRECEDING) AS total_wh,
        time_bucket('15 minutes', from_at) AS first_bucket,
        time_bucket('15 minutes', greatest(from_at, at - INTERVAL '1 microsecond')) AS last_bucket
    FROM rise
),

piece AS (
    SELECT transaction_id, first_bucket AS bucket, length_s AS piece_s, rise_wh AS piece_wh,
        from_at, at, rise_wh, total_wh, length_s, is_reset, is_jump, is_stop_below
    FROM running
    WHERE first_bucket = last_bucket
    UNION ALL
    SELECT transaction_id, slot.bucket, part.piece_s, rise_wh * part.piece_s / length_s,
        from_at, at, rise_wh, total_wh, length_s, is_reset, is_jump, is_stop_below
    FROM running
    CROSS JOIN LATERAL generate_series(first_bucket, last_bucket, INTERVAL '15 minutes') AS slot (bucket)
    CROSS JOIN LATERAL (
        SELECT
            extract(
                EPOCH FROM least(at, slot.bucket + INTERVAL '15 minutes') - greatest(from_at, slot.bucket)
            )::double precision AS piece_s
    ) AS part
    WHERE first_bucket < last_bucket
)

SELECT
    piece.transaction_id,
    piece.bucket,
    sum(piece.piece_wh) AS rise_wh,
    sum(piece.piece_s) FILTER (WHERE piece.rise_wh * 3600 > threshold.value * piece.length_s) AS charging_s,
    max(piece.at) FILTER (WHERE piece.rise_wh * 3600 > threshold.value * piece.length_s) AS last_power_at,
    min(piece.from_at + (100 - piece.total_wh + piece.rise_wh) / piece.rise_wh * piece.length_s * INTERVAL '1 second')
        FILTER (WHERE piece.rise_wh > 0 AND piece.total_wh >= 100 AND piece.total_wh - piece.rise_wh < 100) AS energised_at,
    count(*) AS steps,
    bool_or(piece.is_reset) AS is_reset,
    bool_or(piece.is_jump) AS is_jump,
    bool_or(piece.is_stop_below) AS is_stop_below
FROM piece
INNER JOIN setting AS threshold ON threshold.name = 'power_threshold_w'
GROUP BY piece.transaction_id, piece.bucket;

-- name: make_work_power
-- Trapezoid of the power per session and quarter of an hour; pauses longer than the limit are gaps.
CREATE TEMPORARY TABLE work_power ON COMMIT DROP AS
WITH point AS (
    SELECT wu.transaction_id, wu.at, 1 AS place, wu.power_w, reach.gap_limit_s
    FROM work_used AS wu
    INNER JOIN work_reach AS reach ON wu.transaction_id = reach.transaction_id
    WHERE wu.power_w IS NOT NULL OR NOT reach.has_power
    UNION ALL
    SELECT ws.transaction_id, edge.at, edge.place, NULL, reach.gap_limit_s
    FROM work_session AS ws
    INNER JOIN work_reach AS reach ON ws.transaction_id = reach.transaction_id
    INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
    CROSS JOIN LATERAL (VALUES (ws.started_at, 0), (we.ended_at, 2)) AS edge (at, place)
),

pair AS (
    SELECT
        point.*,
        lag(at) OVER session AS from_at,
        lag(power_w) OVER session AS from_w
    FROM point
    WINDOW session AS (PARTITION BY transaction_id ORDER BY at, place, power_w)
),

step AS (
    SELECT
        transaction_id,
        from_at,
        at,
        power_w,
        from_w,
        gap_limit_s,
        extract(EPOCH FROM at - from_at)::double precision AS length_s
    FROM pair
    WHERE from_at IS NOT NULL
),

running AS MATERIALIZED (
    SELECT
        transaction_id,
        from_at,
        at,
        power_w,
        length_s,
        length_s > gap_limit_s AS is_gap,
        CASE WHEN length_s <= gap_limit_s THEN (from_w + power_w) / 2 END AS mean_w,
        time_bucket('15 minutes', from_at) AS first_bucket,
        time_bucket('15 minutes', greatest(from_at, at - INTERVAL '1 microsecond')) AS last_bucket
    FROM step
),

piece AS (
    SELECT transaction_id, first_bucket AS bucket, length_s AS piece_s, at, power_w, is_gap, mean_w
    FROM running
    WHERE first_bucket = last_bucket
    UNION ALL
    SELECT
        transaction_id,
        slot.bucket,
        extract(
            EPOCH FROM least(at, slot.bucket + INTERVAL '15 minutes') - greatest(from_at, slot.bucket)
        )::double precision,
        at,
        CASE WHEN slot.bucket = last_bucket THEN power_w END,
        is_gap,
        mean_w
    FROM running
    CROSS JOIN LATERAL generate_series(first_bucket, last_bucket, INTERVAL '15 minutes') AS slot (bucket)
    WHERE first_bucket < last_bucket
)

SELECT
    piece.transaction_id,
    piece.bucket,
    sum(piece.mean_w * piece.piece_s) / 3600 AS integral_wh,
    sum(piece.piece_s) FILTER (WHERE piece.is_gap) AS gap_s,
    sum(piece.piece_s) FILTER (WHERE piece.mean_w > threshold.value) AS charging_s,
    max(piece.at) FILTER (WHERE piece.mean_w > threshold.value) AS last_power_at,
    max(piece.power_w) AS max_power_w,
    count(piece.power_w) AS steps
FROM piece
INNER JOIN setting AS threshold ON threshold.name = 'power_threshold_w'
GROUP BY piece.transaction_id, piece.bucket;

-- name: make_work_interval
-- Energy.Active.Import.Interval: each value covers the time since the one before.
CREATE TEMPORARY TABLE work_interval ON COMMIT DROP AS
WITH point AS (
    SELECT
        wu.transaction_id,
        wu.at,
        greatest(wu.interval_wh, 0) AS interval_wh,
        coalesce(lag(wu.at) OVER (PARTITION BY wu.transaction_id ORDER BY wu.at), ws.started_at) AS from_at
    FROM work_used AS wu
    INNER JOIN work_session AS ws ON wu.transaction_id = ws.transaction_id
    WHERE wu.interval_wh IS NOT NULL
)

SELECT
    point.transaction_id,
    slot.bucket,
    sum(
        CASE
            WHEN point.at = point.from_at THEN point.interval_wh
            ELSE
                point.interval_wh * extract(
                    EPOCH FROM least(point.at, slot.bucket + INTERVAL '15 minutes') - greatest(point.from_at, slot.bucket)
                )::double precision / extract(EPOCH FROM point.at - point.from_at)::double precision
        END
    ) AS interval_wh
FROM point
CROSS JOIN LATERAL generate_series(
    time_bucket('15 minutes', point.from_at),
    time_bucket('15 minutes', greatest(point.from_at, point.at - INTERVAL '1 microsecond')),
    INTERVAL '15 minutes'
) AS slot (bucket)
GROUP BY point.transaction_id, slot.bucket;

-- name: make_work_energy
-- The energy of a session and where it comes from, in the order of the documentation.
CREATE TEMPORARY TABLE work_energy ON COMMIT DROP AS
WITH rise AS (
    SELECT
        transaction_id,
        sum(rise_wh) AS series_wh,
        sum(charging_s) AS charging_s,
        max(last_power_at) AS last_power_at,
        min(energised_at) AS energised_at,
        bool_or(is_reset) AS is_reset,
        bool_or(is_jump) AS is_jump,
        bool_or(is_stop_below) AS is_stop_below
    FROM work_rise
    GROUP BY transaction_id
),

power AS (
    SELECT
        transaction_id,
        sum(integral_wh) AS integral_wh,
        coalesce(sum(gap_s), 0) AS gap_s,
        coalesce(sum(charging_s), 0) AS charging_s,
        max(last_power_at) AS last_power_at
    FROM work_power
    GROUP BY transaction_id
),

interval_sum AS (
    SELECT transaction_id, sum(interval_wh) AS interval_wh
    FROM work_interval
    GROUP BY transaction_id
),

stuck AS (
    SELECT wp.transaction_id
    FROM work_power AS wp
    INNER JOIN work_rise AS wri ON wp.transaction_id = wri.transaction_id AND wp.bucket = wri.bucket
    WHERE wp.integral_wh > 500 AND wri.rise_wh = 0 AND wri.steps >= 3
    GROUP BY wp.transaction_id
),

known AS (
    SELECT
        ws.transaction_id,
        ws.stopped_at,
        ws.meter_start_wh,
        ws.meter_stop_wh,
        extract(EPOCH FROM we.ended_at - ws.started_at)::double precision AS duration_s,
        ws.rated_power_w * extract(EPOCH FROM we.ended_at - ws.started_at)::double precision / 3600 * 1.05 AS limit_wh,
        ws.meter_stop_wh = 0 AND rise.series_wh > 0 AS is_stop_zero,
        coalesce(reach.readings, 0) AS readings,
        coalesce(reach.registers, 0) AS registers,
        coalesce(reach.intervals, 0) AS intervals,
        coalesce(reach.has_power, FALSE) AS has_power,
        coalesce(reach.is_estimated, FALSE) AS is_estimated,
        coalesce(reach.is_borrowed, FALSE) AS is_borrowed,
        coalesce(reach.has_soc, FALSE) AS has_soc,
        reach.temperature_max_c,
        reach.peak_power_w,
        rise.series_wh,
        rise.energised_at,
        coalesce(rise.is_reset, FALSE) AS is_reset,
        coalesce(rise.is_jump, FALSE) AS is_jump,
        coalesce(rise.is_stop_below, FALSE) AS is_stop_below,
        stuck.transaction_id IS NOT NULL AS is_stuck,
        power.integral_wh,
        power.gap_s,
        interval_sum.interval_wh,
        CASE
            WHEN reach.has_power THEN power.charging_s
            WHEN reach.registers > 0 OR ws.meter_stop_wh >= ws.meter_start_wh THEN coalesce(rise.charging_s, 0)
        END AS charging_s,
        CASE WHEN reach.has_power THEN power.last_power_at ELSE rise.last_power_at END AS last_power_at
    FROM work_session AS ws
    INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
    LEFT JOIN work_reach AS reach ON ws.transaction_id = reach.transaction_id
    LEFT JOIN rise ON ws.transaction_id = rise.transaction_id
    LEFT JOIN power ON ws.transaction_id = power.transaction_id
    LEFT JOIN interval_sum ON ws.transaction_id = interval_sum.transaction_id
    LEFT JOIN stuck ON ws.transaction_id = stuck.transaction_id
),

judged AS (
    SELECT
        known.*,
        CASE WHEN stopped_at IS NOT NULL THEN meter_stop_wh - meter_start_wh END AS register_wh,
        CASE
            WHEN
                stopped_at IS NOT NULL AND meter_stop_wh >= meter_start_wh
                AND meter_stop_wh - meter_start_wh <= limit_wh AND is_stop_zero IS NOT TRUE
                THEN 'register'
            WHEN registers > 0 AND series_wh <= limit_wh THEN 'register_series'
            WHEN intervals > 0 AND interval_wh <= limit_wh THEN 'interval'
            WHEN integral_wh IS NOT NULL THEN 'integral'
            ELSE 'none'
        END AS energy_source
    FROM known
)

SELECT
    judged.*,
    CASE energy_source
        WHEN 'register' THEN register_wh
        WHEN 'register_series' THEN series_wh
        WHEN 'interval' THEN interval_wh
        WHEN 'integral' THEN integral_wh
    END AS energy_wh,
    -- What the quarters of an hour are weighed with: the best curve that has any energy in it.
    CASE
        WHEN energy_source = 'interval' AND interval_wh > 0 THEN 'interval'
        WHEN energy_source IN ('integral', 'interval') THEN 'integral'
        WHEN registers = 0 AND integral_wh > 0 AND gap_s <= 0.1 * duration_s THEN 'integral'
        WHEN series_wh > 0 THEN 'rise'
        WHEN integral_wh > 0 THEN 'integral'
        ELSE 'time'
    END AS curve
FROM judged;

-- name: make_work_plug
-- When the cable left after the last power, and how long the charge point itself paused until then.
CREATE TEMPORARY TABLE work_plug ON COMMIT DROP AS
WITH since AS (
    SELECT
        ws.transaction_id,
        ws.charge_point_id,
        ws.connector_id,
        ws.started_at,
        we.ended_at,
        we.inferred_by IS NULL AND ws.stopped_at IS NULL AS is_open,
        coalesce(en.last_power_at, ws.started_at) AS power_until,
        following.started_at AS next_started_at
    FROM work_session AS ws
    INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
    INNER JOIN work_energy AS en ON ws.transaction_id = en.transaction_id
    LEFT JOIN LATERAL (
        SELECT tx.started_at
        FROM transaction AS tx
        WHERE
            tx.charge_point_id = ws.charge_point_id
            AND tx.connector_id = ws.connector_id
            AND tx.started_at > ws.started_at
        ORDER BY tx.started_at
        LIMIT 1
    ) AS following ON TRUE
),

left_at AS (
    SELECT
        since.*,
        CASE WHEN NOT since.is_open THEN least(free.at, since.next_started_at) END AS unplugged_at
    FROM since
    LEFT JOIN LATERAL (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = since.charge_point_id
            AND sn.connector_id = since.connector_id
            AND sn.status = 'Available'
            AND sn.at >= since.power_until
            AND sn.at > since.started_at
            AND sn.at <= coalesce(since.next_started_at, 'infinity')
        ORDER BY sn.at
        LIMIT 1
    ) AS free ON TRUE
)

SELECT
    left_at.transaction_id,
    left_at.unplugged_at,
    extract(EPOCH FROM coalesce(left_at.unplugged_at, left_at.ended_at) - left_at.power_until)::double precision AS after_power_s,
    coalesce(paused.length_s, 0) AS paused_s
FROM left_at
LEFT JOIN LATERAL (
    SELECT
        sum(
            extract(
                EPOCH FROM least(part.until, coalesce(left_at.unplugged_at, left_at.ended_at))
                - greatest(part.at, left_at.power_until)
            )
        )::double precision AS length_s
    FROM (
        SELECT
            sn.at,
            sn.status,
            coalesce(lead(sn.at) OVER (ORDER BY sn.at, sn.received_at), 'infinity') AS until
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = left_at.charge_point_id
            AND sn.connector_id = left_at.connector_id
            AND sn.at >= left_at.started_at
            AND sn.at < coalesce(left_at.unplugged_at, left_at.ended_at)
    ) AS part
    WHERE part.status = 'SuspendedEVSE' AND part.until > left_at.power_until
) AS paused ON TRUE;
