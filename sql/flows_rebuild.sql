-- Readings from the raw log: what the log holds against what is stored.

-- name: frames_to_read
-- Frames with readings that may have been sampled in the window. A clock may be 5 min ahead, a reading without
-- a time may repeat one of the hour before its socket, and a history may be sent years later: what came more than
-- a week after the window is read if it names one of its days.
SELECT msg.received_at, msg.charge_point_id, coalesce(past.time_zone, cp.time_zone) AS time_zone, msg.action, msg.raw
FROM ocpp_message AS msg
INNER JOIN charge_point AS cp ON msg.charge_point_id = cp.charge_point_id
LEFT JOIN LATERAL (
    SELECT change.time_zone
    FROM time_zone_change AS change
    WHERE change.charge_point_id = msg.charge_point_id AND change.changed_at > msg.received_at
    ORDER BY change.changed_at
    LIMIT 1
) AS past ON TRUE
WHERE
    msg.received_at >= %(since)s::timestamptz - INTERVAL '80 minutes'
    AND (msg.received_at < %(until)s::timestamptz + INTERVAL '7 days' OR msg.raw ~ %(dates)s)
    AND msg.direction = 'i' AND msg.message_type = 2
    AND msg.action IN ('MeterValues', 'StopTransaction')
    AND (%(charge_point_ids)s::integer[] IS NULL OR msg.charge_point_id = ANY(%(charge_point_ids)s))
ORDER BY msg.received_at;

-- name: sockets_opened
-- Those on which frames of the window may have come soon after they opened.
SELECT conn.charge_point_id, array_agg(conn.opened_at ORDER BY conn.opened_at) AS opened_ats
FROM connection AS conn
WHERE
    conn.opened_at >= %(since)s::timestamptz - INTERVAL '2 hours' AND conn.opened_at < %(until)s
    AND (%(charge_point_ids)s::integer[] IS NULL OR conn.charge_point_id = ANY(%(charge_point_ids)s))
GROUP BY conn.charge_point_id;

-- name: prepare_rebuilt
CREATE TEMPORARY TABLE work_part (
    LIKE meter_value, is_named boolean NOT NULL, arrived bigint GENERATED ALWAYS AS IDENTITY
) ON COMMIT DROP;

-- name: keep_parts
-- Who names no connector is where its transaction is. A stop may name no transaction, or one we do not
-- know: then it is the one it closed. Readings without a transaction belong to the one that ran on their
-- connector when they were sampled, if it can be told which, and the connector was not free since.
INSERT INTO work_part (
    sampled_at, charge_point_id, connector_id, context, transaction_id, energy_wh, power_w, current_a, voltage_v,
    soc_percent, temperature_c, current_offered_a, power_offered_w, extra, origin, is_named
)
SELECT
    came.sampled_at, came.charge_point_id, placed.connector_id, came.context,
    coalesce(named.transaction_id, closed.transaction_id, came.transaction_id, running.transaction_id),
    came.energy_wh, came.power_w, came.current_a, came.voltage_v, came.soc_percent,
    came.temperature_c, came.current_offered_a, came.power_offered_w, came.extra, 3, came.transaction_id IS NOT NULL
FROM jsonb_to_recordset(%(readings)s::jsonb) AS came (
    sampled_at timestamptz, charge_point_id integer, connector_id smallint, context smallint, transaction_id bigint,
    stopped_at timestamptz, energy_wh double precision, power_w real, current_a real, voltage_v real, soc_percent real,
    temperature_c real, current_offered_a real, power_offered_w real, extra jsonb
)
INNER JOIN charge_point AS cp ON came.charge_point_id = cp.charge_point_id
LEFT JOIN transaction AS named
    ON came.transaction_id = named.transaction_id AND came.charge_point_id = named.charge_point_id
LEFT JOIN LATERAL (
    SELECT tx.transaction_id, tx.connector_id
    FROM transaction AS tx
    WHERE tx.charge_point_id = came.charge_point_id AND tx.stopped_at = came.stopped_at
    LIMIT 1
) AS closed ON named.transaction_id IS NULL
CROSS JOIN LATERAL (
    SELECT coalesce(came.connector_id, named.connector_id, closed.connector_id, 0::smallint) AS connector_id
) AS placed
LEFT JOIN LATERAL (
    SELECT latest.transaction_id
    FROM (
        SELECT
            tx.transaction_id,
            tx.started_at,
            coalesce(tx.stopped_at, tx.superseded_at) AS over_at
        FROM transaction AS tx
        WHERE
            tx.charge_point_id = came.charge_point_id AND tx.connector_id = placed.connector_id
            AND tx.started_at <= came.sampled_at
        ORDER BY tx.started_at DESC
        LIMIT 1
    ) AS latest
    WHERE
        came.sampled_at <= coalesce(latest.over_at, 'infinity')
        AND NOT EXISTS (
            SELECT FROM transaction AS other
            WHERE
                other.charge_point_id = came.charge_point_id AND other.connector_id = placed.connector_id
                AND other.started_at = latest.started_at AND other.transaction_id <> latest.transaction_id
        )
        AND NOT EXISTS (
            SELECT FROM status_notification AS sn
            WHERE
                sn.charge_point_id = came.charge_point_id AND sn.connector_id = placed.connector_id
                AND sn.at > latest.started_at AND sn.at < came.sampled_at
                AND (
                    sn.status = 'Available'
                    OR (
                        sn.status IN ('Preparing', 'Finishing')
                        AND cp.booted_at > latest.started_at AND sn.received_at > cp.booted_at
                    )
                )
        )
) AS running ON came.transaction_id IS NULL AND came.stopped_at IS NULL
WHERE came.sampled_at >= %(since)s AND came.sampled_at < %(until)s;

-- name: make_work_rebuilt
-- A reading may come in parts and more than once: the first value of each column counts. Two transactions may
-- have a reading each at one instant; a part without a transaction belongs to the one there is.
CREATE TEMPORARY TABLE work_rebuilt ON COMMIT DROP AS
WITH instant AS (
    SELECT
        part.*,
        min(part.transaction_id) OVER same_instant AS least_number,
        max(part.transaction_id) OVER same_instant AS greatest_number
    FROM work_part AS part
    WINDOW same_instant AS (PARTITION BY part.sampled_at, part.charge_point_id, part.connector_id, part.context)
),

joined AS (
    SELECT
        instant.*,
        CASE
            WHEN instant.transaction_id IS NULL AND instant.least_number = instant.greatest_number THEN instant.least_number
            ELSE instant.transaction_id
        END AS owner
    FROM instant
)

SELECT
    wp.sampled_at,
    wp.charge_point_id,
    wp.connector_id,
    wp.context,
    wp.owner AS transaction_id,
    bool_or(wp.is_named) AS is_named,
    (array_agg(wp.energy_wh ORDER BY wp.arrived) FILTER (WHERE wp.energy_wh IS NOT NULL))[1] AS energy_wh,
    (array_agg(wp.power_w ORDER BY wp.arrived) FILTER (WHERE wp.power_w IS NOT NULL))[1] AS power_w,
    (array_agg(wp.current_a ORDER BY wp.arrived) FILTER (WHERE wp.current_a IS NOT NULL))[1] AS current_a,
    (array_agg(wp.voltage_v ORDER BY wp.arrived) FILTER (WHERE wp.voltage_v IS NOT NULL))[1] AS voltage_v,
    (array_agg(wp.soc_percent ORDER BY wp.arrived) FILTER (WHERE wp.soc_percent IS NOT NULL))[1] AS soc_percent,
    (array_agg(wp.temperature_c ORDER BY wp.arrived) FILTER (WHERE wp.temperature_c IS NOT NULL))[1] AS temperature_c,
    (array_agg(wp.current_offered_a ORDER BY wp.arrived) FILTER (WHERE wp.current_offered_a IS NOT NULL))[1] AS current_offered_a,
    (array_agg(wp.power_offered_w ORDER BY wp.arrived) FILTER (WHERE wp.power_offered_w IS NOT NULL))[1] AS power_offered_w,
    (
        SELECT jsonb_object_agg(part.key, part.value)
        FROM (
            SELECT DISTINCT ON (told.key) told.key, told.value
            FROM unnest(array_agg(wp.extra ORDER BY wp.arrived)) WITH ORDINALITY AS came (extra, place)
            CROSS JOIN LATERAL jsonb_each(came.extra) AS told
            ORDER BY told.key, came.place
        ) AS part
    ) AS extra
FROM joined AS wp
GROUP BY wp.sampled_at, wp.charge_point_id, wp.connector_id, wp.context, wp.owner;

-- name: make_work_missing
-- What is not stored, neither as it is nor under another transaction where one of the two was only inferred.
CREATE TEMPORARY TABLE work_missing ON COMMIT DROP AS
SELECT wr.*
FROM work_rebuilt AS wr
LEFT JOIN meter_value AS mv
    ON
        wr.charge_point_id = mv.charge_point_id
        AND wr.sampled_at = mv.sampled_at
        AND wr.connector_id = mv.connector_id
        AND wr.context = mv.context
        AND coalesce(wr.transaction_id, 0) = coalesce(mv.transaction_id, 0)
        AND mv.sampled_at >= %(since)s AND mv.sampled_at < %(until)s
WHERE
    mv.charge_point_id IS NULL
    AND NOT EXISTS (
        SELECT FROM meter_value AS other
        WHERE
            other.charge_point_id = wr.charge_point_id
            AND other.sampled_at = wr.sampled_at
            AND other.connector_id = wr.connector_id
            AND other.context = wr.context
            AND other.sampled_at >= %(since)s AND other.sampled_at < %(until)s
            AND (other.transaction_id IS NULL OR NOT wr.is_named)
    );

-- name: compare_rebuilt
SELECT
    count(*) AS in_log,
    (SELECT count(*) FROM work_missing) AS missing,
    count(*) FILTER (
        WHERE
        (
            mv.charge_point_id, mv.transaction_id, mv.energy_wh, mv.power_w, mv.current_a, mv.voltage_v, mv.soc_percent,
            mv.temperature_c, mv.current_offered_a, mv.power_offered_w, nullif(mv.extra, '{}')
        ) IS DISTINCT FROM (
            wr.charge_point_id, wr.transaction_id, wr.energy_wh, wr.power_w, wr.current_a, wr.voltage_v, wr.soc_percent,
            wr.temperature_c, wr.current_offered_a, wr.power_offered_w, nullif(wr.extra, '{}')
        )
    ) - (SELECT count(*) FROM work_missing) AS different
FROM work_rebuilt AS wr
LEFT JOIN meter_value AS mv
    ON
        wr.charge_point_id = mv.charge_point_id
        AND wr.sampled_at = mv.sampled_at
        AND wr.connector_id = mv.connector_id
        AND wr.context = mv.context
        AND coalesce(wr.transaction_id, 0) = coalesce(mv.transaction_id, 0)
        AND mv.sampled_at >= %(since)s AND mv.sampled_at < %(until)s;

-- name: count_not_in_log
-- Readings that came from charge points and that the log does not have (any more).
SELECT count(*) AS not_in_log
FROM meter_value AS mv
WHERE
    mv.sampled_at >= %(since)s AND mv.sampled_at < %(until)s
    AND (%(charge_point_ids)s::integer[] IS NULL OR mv.charge_point_id = ANY(%(charge_point_ids)s))
    AND mv.origin IN (0, 1)
    AND NOT EXISTS (
        SELECT FROM work_rebuilt AS wr
        WHERE
            wr.charge_point_id = mv.charge_point_id AND wr.sampled_at = mv.sampled_at
            AND wr.connector_id = mv.connector_id AND wr.context = mv.context
            AND (wr.transaction_id = mv.transaction_id OR mv.transaction_id IS NULL OR NOT wr.is_named)
    );

-- name: store_rebuilt
INSERT INTO meter_value (
    sampled_at, charge_point_id, connector_id, context, transaction_id, energy_wh, power_w, current_a, voltage_v,
    soc_percent, temperature_c, current_offered_a, power_offered_w, extra, origin
)
SELECT
    wm.sampled_at, wm.charge_point_id, wm.connector_id, wm.context, wm.transaction_id, wm.energy_wh, wm.power_w,
    wm.current_a, wm.voltage_v, wm.soc_percent, wm.temperature_c, wm.current_offered_a, wm.power_offered_w, wm.extra, 3
FROM work_missing AS wm
ON CONFLICT DO NOTHING;

-- name: touch_rebuilt
INSERT INTO touched_work (flow, charge_point_id, hour)
SELECT flow.name, touched.charge_point_id, touched.hour
FROM (
    SELECT DISTINCT wm.charge_point_id, date_trunc('hour', wm.sampled_at) AS hour
    FROM work_missing AS wm
) AS touched
CROSS JOIN (VALUES ('sessions'), ('quality'), ('reconcile_dojot')) AS flow (name)
WHERE flow.name <> 'reconcile_dojot' OR EXISTS (SELECT FROM dojot_feed)
ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();
