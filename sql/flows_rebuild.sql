-- Readings from the raw log: what the log holds against what is stored.

-- name: frames_to_read
-- Frames with readings that may have been sampled in the window: a queue may be sent a week later.
SELECT msg.received_at, msg.charge_point_id, cp.time_zone, msg.action, msg.raw
FROM ocpp_message AS msg
INNER JOIN charge_point AS cp ON msg.charge_point_id = cp.charge_point_id
WHERE
    msg.received_at >= %(since)s AND msg.received_at < %(until)s::timestamptz + INTERVAL '7 days'
    AND msg.direction = 'i' AND msg.message_type = 2
    AND msg.action IN ('MeterValues', 'StopTransaction')
    AND (%(charge_point_ids)s::integer[] IS NULL OR msg.charge_point_id = ANY(%(charge_point_ids)s))
ORDER BY msg.received_at;

-- name: prepare_rebuilt
CREATE TEMPORARY TABLE work_part (LIKE meter_value, arrived bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DROP;

-- name: keep_parts
-- transactionData names no connector (0): it is that of the transaction.
INSERT INTO work_part (
    sampled_at, charge_point_id, connector_id, context, transaction_id, energy_wh, power_w, current_a, voltage_v,
    soc_percent, temperature_c, current_offered_a, power_offered_w, extra, origin
)
SELECT
    came.sampled_at, came.charge_point_id, coalesce(tx.connector_id, came.connector_id), came.context,
    came.transaction_id, came.energy_wh, came.power_w, came.current_a, came.voltage_v, came.soc_percent,
    came.temperature_c, came.current_offered_a, came.power_offered_w, came.extra, 3
FROM jsonb_to_recordset(%(readings)s::jsonb) AS came (
    sampled_at timestamptz, charge_point_id integer, connector_id smallint, context smallint, transaction_id bigint,
    energy_wh double precision, power_w real, current_a real, voltage_v real, soc_percent real, temperature_c real,
    current_offered_a real, power_offered_w real, extra jsonb
)
LEFT JOIN transaction AS tx
    ON
        came.connector_id = 0
        AND came.transaction_id = tx.transaction_id
        AND came.charge_point_id = tx.charge_point_id
WHERE came.sampled_at >= %(since)s AND came.sampled_at < %(until)s;

-- name: make_work_rebuilt
-- A reading may come in parts and more than once: the first value of each column counts.
CREATE TEMPORARY TABLE work_rebuilt ON COMMIT DROP AS
SELECT
    wp.sampled_at,
    wp.charge_point_id,
    wp.connector_id,
    wp.context,
    (array_agg(wp.transaction_id ORDER BY wp.arrived) FILTER (WHERE wp.transaction_id IS NOT NULL))[1] AS transaction_id,
    (array_agg(wp.energy_wh ORDER BY wp.arrived) FILTER (WHERE wp.energy_wh IS NOT NULL))[1] AS energy_wh,
    (array_agg(wp.power_w ORDER BY wp.arrived) FILTER (WHERE wp.power_w IS NOT NULL))[1] AS power_w,
    (array_agg(wp.current_a ORDER BY wp.arrived) FILTER (WHERE wp.current_a IS NOT NULL))[1] AS current_a,
    (array_agg(wp.voltage_v ORDER BY wp.arrived) FILTER (WHERE wp.voltage_v IS NOT NULL))[1] AS voltage_v,
    (array_agg(wp.soc_percent ORDER BY wp.arrived) FILTER (WHERE wp.soc_percent IS NOT NULL))[1] AS soc_percent,
    (array_agg(wp.temperature_c ORDER BY wp.arrived) FILTER (WHERE wp.temperature_c IS NOT NULL))[1] AS temperature_c,
    (array_agg(wp.current_offered_a ORDER BY wp.arrived) FILTER (WHERE wp.current_offered_a IS NOT NULL))[1] AS current_offered_a,
    (array_agg(wp.power_offered_w ORDER BY wp.arrived) FILTER (WHERE wp.power_offered_w IS NOT NULL))[1] AS power_offered_w,
    (array_agg(wp.extra ORDER BY wp.arrived) FILTER (WHERE wp.extra IS NOT NULL))[1] AS extra
FROM work_part AS wp
GROUP BY wp.sampled_at, wp.charge_point_id, wp.connector_id, wp.context;

-- name: compare_rebuilt
SELECT
    count(*) AS in_log,
    count(*) FILTER (WHERE mv.charge_point_id IS NULL) AS missing,
    count(*) FILTER (
        WHERE
        mv.charge_point_id IS NOT NULL
        AND NOT coalesce(
            ROW(
                mv.energy_wh, mv.power_w, mv.current_a, mv.voltage_v, mv.soc_percent, mv.temperature_c,
                mv.current_offered_a, mv.power_offered_w
            )::text
            = ROW(
                wr.energy_wh, wr.power_w, wr.current_a, wr.voltage_v, wr.soc_percent, wr.temperature_c,
                wr.current_offered_a, wr.power_offered_w
            )::text,
            FALSE
        )
    ) AS different
FROM work_rebuilt AS wr
LEFT JOIN meter_value AS mv
    ON
        wr.charge_point_id = mv.charge_point_id
        AND wr.sampled_at = mv.sampled_at
        AND wr.connector_id = mv.connector_id
        AND wr.context = mv.context
        AND mv.sampled_at >= %(since)s AND mv.sampled_at < %(until)s;

-- name: store_rebuilt
INSERT INTO meter_value (
    sampled_at, charge_point_id, connector_id, context, transaction_id, energy_wh, power_w, current_a, voltage_v,
    soc_percent, temperature_c, current_offered_a, power_offered_w, extra, origin
)
SELECT
    wr.sampled_at, wr.charge_point_id, wr.connector_id, wr.context, wr.transaction_id, wr.energy_wh, wr.power_w,
    wr.current_a, wr.voltage_v, wr.soc_percent, wr.temperature_c, wr.current_offered_a, wr.power_offered_w, wr.extra, 3
FROM work_rebuilt AS wr
ON CONFLICT DO NOTHING;

-- name: touch_rebuilt
INSERT INTO touched_work (flow, charge_point_id, hour)
SELECT flow.name, touched.charge_point_id, touched.hour
FROM (
    SELECT DISTINCT wr.charge_point_id, date_trunc('hour', wr.sampled_at) AS hour
    FROM work_rebuilt AS wr
) AS touched
CROSS JOIN (VALUES ('sessions'), ('quality')) AS flow (name)
ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();
