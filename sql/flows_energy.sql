-- Sessions: their energy, from the register, from intervals, from power.
-- Times are seconds since 1970 here; a quarter is one of 900 s.

-- name: make_work_rise
-- Rises of the register per session and quarter of an hour, spread evenly over the time they took.
-- A drop is a reset: the new value counts if it could have been delivered since, otherwise nothing.
-- What exceeds anything the session could deliver, or follows a drop and is too steep, counts nothing; nor
-- does a step between meterStart or meterStop and the samples that their time cannot explain: these are
-- values of different registers.
CREATE TEMPORARY TABLE work_rise ON COMMIT DROP AS
WITH pair AS (
    SELECT
        wu.transaction_id,
        wu.at_s,
        wu.place,
        wu.energy_wh,
        wu.power_w,
        reach.rated_power_w,
        reach.limit_wh,
        reach.has_time,
        lag(wu.at_s) OVER in_session AS from_s,
        lag(wu.place) OVER in_session AS from_place,
        lag(wu.energy_wh) OVER in_session AS from_wh,
        lag(wu.energy_wh, 2) OVER in_session AS earlier_wh
    FROM work_used AS wu
    INNER JOIN work_reach AS reach ON wu.transaction_id = reach.transaction_id
    WHERE wu.energy_wh IS NOT NULL
    WINDOW in_session AS (PARTITION BY wu.transaction_id ORDER BY wu.at_s, wu.place, wu.energy_wh, wu.power_w)
),

step AS (
    SELECT
        pair.*,
        pair.energy_wh < pair.from_wh AS is_drop,
        CASE
            WHEN (pair.place = 1) <> (pair.from_place = 1) AND pair.has_time
                THEN pair.rated_power_w * (pair.at_s - pair.from_s + 60) / 3600 * 1.05 + 1000
        END AS edge_wh,
        pair.energy_wh - pair.from_wh > pair.limit_wh
        OR (
            pair.earlier_wh > pair.from_wh
            AND pair.energy_wh - pair.from_wh > pair.rated_power_w * (pair.at_s - pair.from_s) / 3600 * 1.05 + 1000
        ) AS is_jump
    FROM pair
    WHERE pair.from_s IS NOT NULL
),

rise AS (
    SELECT
        step.*,
        coalesce(step.energy_wh - step.from_wh > step.edge_wh, FALSE) AS is_apart,
        CASE
            WHEN step.is_jump OR step.energy_wh - step.from_wh > step.edge_wh THEN 0
            WHEN NOT step.is_drop THEN step.energy_wh - step.from_wh
            WHEN
                step.place < 2
                AND step.energy_wh BETWEEN 0 AND step.rated_power_w * (step.at_s - step.from_s) / 3600
                THEN step.energy_wh
            ELSE 0
        END AS rise_wh
    FROM step
),

running AS (
    SELECT
        rise.transaction_id,
        rise.from_s,
        rise.at_s,
        rise.rise_wh,
        rise.is_drop AND rise.place < 2 AS is_reset,
        rise.is_drop AND rise.place = 2 AS is_stop_below,
        coalesce(rise.is_jump AND NOT rise.is_apart, FALSE) AS is_jump,
        rise.is_apart,
        CASE WHEN rise.is_apart OR rise.is_drop THEN rise.edge_wh END AS unseen_wh,
        rise.rise_wh * 3600 > threshold.value * (rise.at_s - rise.from_s) AS is_charging,
        sum(rise.rise_wh) OVER (
            PARTITION BY rise.transaction_id ORDER BY rise.at_s, rise.place, rise.energy_wh, rise.power_w
            ROWS UNBOUNDED PRECEDING
        ) AS total_wh,
        floor(rise.from_s / 900) AS first_quarter,
        greatest(floor(rise.from_s / 900), ceil(rise.at_s / 900) - 1) AS last_quarter
    FROM rise
    INNER JOIN setting AS threshold ON threshold.name = 'power_threshold_w'
),

-- Only one step can leave a quarter, so what crosses is alone in its group and keeps its times.
part AS (
    SELECT
        running.transaction_id,
        running.first_quarter,
        running.last_quarter,
        min(running.from_s) AS from_s,
        max(running.at_s) AS at_s,
        sum(running.rise_wh) AS rise_wh,
        sum(running.at_s - running.from_s) FILTER (WHERE running.is_charging) AS charging_s,
        max(running.at_s) FILTER (WHERE running.is_charging) AS last_power_s,
        min(running.from_s + (100 - running.total_wh + running.rise_wh) / running.rise_wh * (running.at_s - running.from_s))
            FILTER (WHERE running.rise_wh > 0 AND running.total_wh >= 100 AND running.total_wh - running.rise_wh < 100)
            AS energised_s,
        count(*) AS steps,
        bool_or(running.is_reset) AS is_reset,
        bool_or(running.is_jump) AS is_jump,
        bool_or(running.is_apart) AS is_apart,
        sum(running.unseen_wh) AS unseen_wh,
        bool_or(running.is_stop_below) AS is_stop_below
    FROM running
    GROUP BY running.transaction_id, running.first_quarter, running.last_quarter
)

SELECT
    part.transaction_id,
    to_timestamp(slot.quarter * 900) AS bucket,
    sum(part.rise_wh * share.portion) AS rise_wh,
    sum(part.charging_s * share.portion) AS charging_s,
    to_timestamp(max(part.last_power_s)) AS last_power_at,
    to_timestamp(min(part.energised_s)) AS energised_at,
    sum(part.steps) AS steps,
    bool_or(part.is_reset) AS is_reset,
    bool_or(part.is_jump) AS is_jump,
    bool_or(part.is_apart) AS is_apart,
    sum(part.unseen_wh * share.portion) AS unseen_wh,
    bool_or(part.is_stop_below) AS is_stop_below
FROM part
CROSS JOIN LATERAL generate_series(part.first_quarter::bigint, part.last_quarter::bigint) AS slot (quarter)
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN part.first_quarter = part.last_quarter THEN 1
            ELSE
                (least(part.at_s, slot.quarter * 900 + 900) - greatest(part.from_s, slot.quarter * 900))
                / (part.at_s - part.from_s)
        END AS portion
) AS share
GROUP BY part.transaction_id, slot.quarter;

-- name: make_work_power
-- Trapezoid of the power per session and quarter of an hour; pauses longer than the limit are gaps. Between
-- its start and the first reading, and the last and its end, a session has the power of that reading if
-- this is no longer than one reading tells of; otherwise that is a gap, where a register tells of it only as a pause is.
CREATE TEMPORARY TABLE work_power ON COMMIT DROP AS
WITH pair AS (
    SELECT
        wu.transaction_id,
        wu.at_s,
        wu.power_w,
        reach.gap_limit_s,
        reach.edge_limit_s,
        CASE WHEN reach.edge_limit_s IS NULL OR reach.registers > 0 THEN reach.gap_limit_s ELSE 0 END AS unknown_limit_s,
        lag(wu.at_s) OVER in_session AS from_s,
        lag(wu.power_w) OVER in_session AS from_w
    FROM work_used AS wu
    INNER JOIN work_reach AS reach ON wu.transaction_id = reach.transaction_id
    WHERE reach.readings > 0 AND (wu.power_w IS NOT NULL OR wu.place <> 1 OR NOT reach.has_power)
    WINDOW in_session AS (PARTITION BY wu.transaction_id ORDER BY wu.at_s, wu.place, wu.energy_wh, wu.power_w)
),

step AS (
    SELECT
        pair.transaction_id,
        pair.from_s,
        pair.at_s,
        pair.power_w,
        pair.at_s - pair.from_s AS length_s,
        pair.unknown_limit_s,
        CASE
            WHEN pair.from_w IS NULL OR pair.power_w IS NULL
                THEN CASE WHEN pair.at_s - pair.from_s <= pair.edge_limit_s THEN coalesce(pair.from_w, pair.power_w) END
            WHEN pair.at_s - pair.from_s <= pair.gap_limit_s THEN (pair.from_w + pair.power_w) / 2
        END AS mean_w,
        floor(pair.from_s / 900) AS first_quarter,
        greatest(floor(pair.from_s / 900), ceil(pair.at_s / 900) - 1) AS last_quarter
    FROM pair
    WHERE pair.from_s IS NOT NULL
),

part AS (
    SELECT
        step.transaction_id,
        step.first_quarter,
        step.last_quarter,
        min(step.from_s) AS from_s,
        max(step.at_s) AS at_s,
        sum(step.mean_w * step.length_s) / 3600 AS integral_wh,
        sum(step.length_s) FILTER (WHERE step.mean_w IS NULL AND step.length_s > step.unknown_limit_s) AS gap_s,
        sum(step.length_s) FILTER (WHERE step.mean_w > threshold.value) AS charging_s,
        max(step.at_s) FILTER (WHERE step.mean_w > threshold.value) AS last_power_s,
        max(step.power_w) AS max_power_w
    FROM step
    INNER JOIN setting AS threshold ON threshold.name = 'power_threshold_w'
    GROUP BY step.transaction_id, step.first_quarter, step.last_quarter
)

SELECT
    part.transaction_id,
    to_timestamp(slot.quarter * 900) AS bucket,
    sum(part.integral_wh * share.portion) AS integral_wh,
    sum(part.gap_s * share.portion) AS gap_s,
    sum(part.charging_s * share.portion) AS charging_s,
    to_timestamp(max(part.last_power_s)) AS last_power_at,
    max(part.max_power_w) FILTER (WHERE slot.quarter = part.last_quarter) AS max_power_w
FROM part
CROSS JOIN LATERAL generate_series(part.first_quarter::bigint, part.last_quarter::bigint) AS slot (quarter)
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN part.first_quarter = part.last_quarter THEN 1
            ELSE
                (least(part.at_s, slot.quarter * 900 + 900) - greatest(part.from_s, slot.quarter * 900))
                / (part.at_s - part.from_s)
        END AS portion
) AS share
GROUP BY part.transaction_id, slot.quarter;

-- name: make_work_interval
-- Energy.Active.Import.Interval: each value covers the time since the one before.
CREATE TEMPORARY TABLE work_interval ON COMMIT DROP AS
WITH point AS (
    SELECT
        wu.transaction_id,
        wu.at_s,
        greatest(wu.interval_wh, 0) AS interval_wh,
        coalesce(lag(wu.at_s) OVER (PARTITION BY wu.transaction_id ORDER BY wu.at_s), reach.started_s) AS from_s
    FROM work_used AS wu
    INNER JOIN work_reach AS reach ON wu.transaction_id = reach.transaction_id
    WHERE wu.interval_wh IS NOT NULL
)

SELECT
    point.transaction_id,
    to_timestamp(slot.quarter * 900) AS bucket,
    sum(
        CASE
            WHEN point.at_s = point.from_s THEN point.interval_wh
            ELSE
                point.interval_wh
                * (least(point.at_s, slot.quarter * 900 + 900) - greatest(point.from_s, slot.quarter * 900))
                / (point.at_s - point.from_s)
        END
    ) AS interval_wh,
    to_timestamp(
        max(point.at_s) FILTER (WHERE point.interval_wh * 3600 > threshold.value * (point.at_s - point.from_s))
    ) AS last_power_at
FROM point
INNER JOIN setting AS threshold ON threshold.name = 'power_threshold_w'
CROSS JOIN LATERAL generate_series(
    floor(point.from_s / 900)::bigint,
    greatest(floor(point.from_s / 900), ceil(point.at_s / 900) - 1)::bigint
) AS slot (quarter)
GROUP BY point.transaction_id, slot.quarter;

-- name: make_work_energy
-- The energy of a session and where it comes from, in the order of the documentation. A method that tells
-- nothing gives way where a later one tells of energy: a register may be absent, or stand still.
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
        bool_or(is_apart) AS is_apart,
        sum(unseen_wh) AS unseen_wh,
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
    SELECT transaction_id, sum(interval_wh) AS interval_wh, max(last_power_at) AS last_power_at
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
        ws.meter_stop_wh,
        CASE WHEN ws.stopped_at IS NOT NULL THEN ws.meter_stop_wh - ws.meter_start_wh END AS register_wh,
        reach.duration_s,
        reach.limit_wh,
        reach.readings,
        reach.registers,
        reach.intervals,
        reach.has_power,
        reach.is_estimated,
        reach.is_borrowed,
        reach.has_soc,
        reach.temperature_max_c,
        reach.peak_power_w,
        rise.series_wh,
        rise.unseen_wh,
        rise.charging_s AS rise_charging_s,
        rise.energised_at,
        coalesce(rise.is_reset, FALSE) AS is_reset,
        coalesce(rise.is_jump, FALSE) AS is_jump,
        coalesce(rise.is_apart, FALSE) AS is_apart,
        coalesce(rise.is_stop_below, FALSE) AS is_stop_below,
        stuck.transaction_id IS NOT NULL AS stood_still,
        CASE WHEN reach.duration_s > 0 THEN power.integral_wh END AS integral_wh,
        ev.mean_current_a * reach.duration_s / 3600 AS charge_ah,
        power.gap_s,
        power.charging_s AS power_charging_s,
        interval_sum.interval_wh,
        CASE
            WHEN reach.has_power THEN power.last_power_at
            ELSE greatest(rise.last_power_at, interval_sum.last_power_at)
        END AS last_power_at
    FROM work_session AS ws
    INNER JOIN work_reach AS reach ON ws.transaction_id = reach.transaction_id
    LEFT JOIN work_evidence AS ev ON ws.transaction_id = ev.transaction_id
    LEFT JOIN rise ON ws.transaction_id = rise.transaction_id
    LEFT JOIN power ON ws.transaction_id = power.transaction_id
    LEFT JOIN interval_sum ON ws.transaction_id = interval_sum.transaction_id
    LEFT JOIN stuck ON ws.transaction_id = stuck.transaction_id
),

weighed AS (
    SELECT
        known.*,
        amps.is_drawing,
        meter_stop_wh = 0
        AND (series_wh > 0 OR (registers = 0 AND (integral_wh > 100 OR interval_wh > 0 OR is_drawing))) AS is_stop_zero,
        -- Start, samples and stop of the register are the same.
        coalesce(series_wh, register_wh) = 0 AND coalesce(register_wh, 0) = 0 AND NOT is_jump AND NOT is_apart AS is_still,
        greatest(integral_wh, CASE WHEN interval_wh <= limit_wh THEN interval_wh END) AS beside_wh
    FROM known
    -- A current that no power can be made of: about as much as 0.5 kWh at 230 V.
    CROSS JOIN LATERAL (
        SELECT coalesce(known.integral_wh IS NULL AND known.interval_wh IS NULL AND known.charge_ah > 2, FALSE) AS is_drawing
    ) AS amps
),

judged AS (
    SELECT
        weighed.*,
        CASE
            WHEN
                register_wh BETWEEN 0 AND limit_wh AND is_stop_zero IS NOT TRUE
                AND (register_wh = 0 AND (series_wh > 100 OR beside_wh > 500 OR is_drawing)) IS NOT TRUE
                -- meterStart of one register, meterStop of another.
                AND NOT (is_apart AND register_wh > series_wh + unseen_wh)
                THEN 'register'
            WHEN
                registers > 0 AND series_wh <= limit_wh
                AND (series_wh = 0 AND (is_jump OR (is_apart AND registers = 1) OR beside_wh > 500 OR is_drawing)) IS NOT TRUE
                THEN 'register_series'
            WHEN
                intervals > 0 AND interval_wh <= limit_wh
                AND (interval_wh = 0 AND integral_wh > 500) IS NOT TRUE
                THEN 'interval'
            WHEN integral_wh IS NOT NULL THEN 'integral'
            ELSE 'none'
        END AS energy_source
    FROM weighed
)

SELECT
    judged.*,
    stood_still OR (is_still AND series_wh = 0 AND (beside_wh > 500 OR is_drawing)) AS is_stuck,
    CASE
        WHEN has_power THEN power_charging_s
        WHEN energy_source IN ('register', 'register_series') THEN coalesce(rise_charging_s, 0)
    END AS charging_s,
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

-- name: make_work_crossing
-- When the first 0.1 kWh had come, of sessions with the curve of the power or of the intervals. The rises
-- of the register tell it of the others.
CREATE TEMPORARY TABLE work_crossing ON COMMIT DROP AS
WITH point AS (
    SELECT
        wu.transaction_id,
        wu.at_s,
        wu.power_w,
        wu.interval_wh,
        en.curve,
        reach.started_s,
        reach.gap_limit_s,
        reach.edge_limit_s,
        lag(wu.at_s) OVER in_session AS from_s,
        lag(wu.power_w) OVER in_session AS from_w
    FROM work_energy AS en
    INNER JOIN work_reach AS reach ON en.transaction_id = reach.transaction_id
    INNER JOIN work_used AS wu ON en.transaction_id = wu.transaction_id
    WHERE
        en.curve IN ('integral', 'interval')
        AND CASE en.curve WHEN 'integral' THEN wu.power_w IS NOT NULL OR wu.place <> 1 ELSE wu.interval_wh IS NOT NULL END
    WINDOW in_session AS (PARTITION BY wu.transaction_id ORDER BY wu.at_s, wu.place, wu.power_w)
),

step AS (
    SELECT
        point.transaction_id,
        point.at_s,
        coalesce(point.from_s, point.started_s) AS from_s,
        CASE
            WHEN point.curve = 'interval' THEN greatest(point.interval_wh, 0)
            WHEN point.from_w IS NULL OR point.power_w IS NULL
                THEN
                    CASE WHEN point.at_s - point.from_s <= point.edge_limit_s THEN coalesce(point.from_w, point.power_w) ELSE 0 END
                    * (point.at_s - point.from_s) / 3600
            WHEN point.at_s - point.from_s <= point.gap_limit_s
                THEN (point.from_w + point.power_w) / 2 * (point.at_s - point.from_s) / 3600
            ELSE 0
        END AS step_wh
    FROM point
),

running AS (
    SELECT
        step.*,
        sum(step.step_wh) OVER (
            PARTITION BY step.transaction_id ORDER BY step.at_s, step.from_s ROWS UNBOUNDED PRECEDING
        ) AS total_wh
    FROM step
)

SELECT
    running.transaction_id,
    to_timestamp(
        min(running.from_s + (100 - running.total_wh + running.step_wh) / running.step_wh * (running.at_s - running.from_s))
    ) AS energised_at
FROM running
WHERE running.step_wh > 0 AND running.total_wh >= 100 AND running.total_wh - running.step_wh < 100
GROUP BY running.transaction_id;

-- name: make_work_plug
-- When the cable left after the last power, and for how long until then a vehicle was seen plugged in
-- that the charge point would have served: reported so by the connector (SuspendedEVSE is a pause of the
-- charge point's own), the charge point not Faulted or Unavailable as a whole, and not offline. Until the
-- connector's first status the transaction itself says so.
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
),

reached AS (
    SELECT
        left_at.*,
        greatest(coalesce(left_at.unplugged_at, left_at.ended_at), left_at.power_until) AS until
    FROM left_at
),

seen AS (
    SELECT
        reached.transaction_id,
        reached.unplugged_at,
        tstzmultirange(tstzrange(reached.power_until, reached.until))
        * coalesce(own.plugged, '{}') - coalesce(whole.down, '{}') - coalesce(link.off, '{}') AS plugged
    FROM reached
    LEFT JOIN LATERAL (
        SELECT
            coalesce(
                range_agg(tstzrange(part.at, part.until)) FILTER (
                    WHERE part.status IN ('Preparing', 'Charging', 'SuspendedEV', 'Finishing')
                ),
                '{}'
            )
            + tstzmultirange(tstzrange(reached.started_at, coalesce(min(part.at), reached.ended_at))) AS plugged
        FROM (
            SELECT sn.at, sn.status, lead(sn.at) OVER (ORDER BY sn.at, sn.received_at) AS until
            FROM status_notification AS sn
            WHERE
                sn.charge_point_id = reached.charge_point_id
                AND sn.connector_id = reached.connector_id
                AND sn.at >= reached.started_at
                AND sn.at < reached.until
        ) AS part
    ) AS own ON reached.until > reached.power_until
    LEFT JOIN LATERAL (
        SELECT range_agg(tstzrange(part.at, part.until)) AS down
        FROM (
            SELECT sn.at, sn.status, lead(sn.at) OVER (ORDER BY sn.at, sn.received_at) AS until
            FROM status_notification AS sn
            WHERE
                sn.charge_point_id = reached.charge_point_id
                AND sn.connector_id = 0
                AND sn.at >= reached.started_at
                AND sn.at < reached.until
        ) AS part
        WHERE part.status IN ('Faulted', 'Unavailable')
    ) AS whole ON reached.until > reached.power_until
    LEFT JOIN LATERAL (
        SELECT range_agg(tstzrange(part.closed_at, part.next_opened_at)) AS off
        FROM (
            SELECT socket.closed_at, lead(socket.opened_at) OVER (ORDER BY socket.opened_at) AS next_opened_at
            FROM (
                (
                    SELECT conn.opened_at, conn.closed_at
                    FROM connection AS conn
                    WHERE conn.charge_point_id = reached.charge_point_id AND conn.opened_at <= reached.power_until
                    ORDER BY conn.opened_at DESC
                    LIMIT 1
                )
                UNION ALL
                SELECT conn.opened_at, conn.closed_at
                FROM connection AS conn
                WHERE
                    conn.charge_point_id = reached.charge_point_id
                    AND conn.opened_at > reached.power_until AND conn.opened_at < reached.until
            ) AS socket
        ) AS part
        WHERE part.closed_at < coalesce(part.next_opened_at, 'infinity')
    ) AS link ON reached.until > reached.power_until
)

SELECT
    seen.transaction_id,
    seen.unplugged_at,
    (
        SELECT coalesce(sum(extract(EPOCH FROM upper(part.slot) - lower(part.slot))), 0)
        FROM unnest(seen.plugged) AS part (slot)
    )::double precision AS plugged_s
FROM seen;
