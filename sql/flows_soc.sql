-- State of charge of sessions.

-- name: soc_work
SELECT work.transaction_id
FROM session_work AS work
WHERE work.flow = 'soc' AND work.claimed_at <= %(claimed_until)s
ORDER BY work.transaction_id;

-- name: store_soc
-- First and last state of charge within 2 min of the session's edges, or the nearest inside it.
-- A zero is what a charge point says before the vehicle has told it.
WITH chosen AS (
    SELECT
        ses.transaction_id,
        ses.charge_point_id,
        ses.connector_id,
        ses.started_at,
        ses.ended_at,
        ses.energy_wh,
        coalesce(con.current_type, 'DC') AS current_type,
        car.usable_capacity_wh
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    LEFT JOIN connector AS con ON ses.charge_point_id = con.charge_point_id AND ses.connector_id = con.connector_id
    LEFT JOIN vehicle AS car ON upper(btrim(tx.id_tag)) = car.id_tag_key
    WHERE ses.transaction_id = ANY(%(transaction_ids)s)
),

edge AS (
    SELECT
        chosen.*,
        early.sampled_at AS first_at,
        early.soc_percent AS soc_start_percent,
        late.sampled_at AS last_at,
        late.soc_percent AS soc_end_percent
    FROM chosen
    CROSS JOIN LATERAL (
        SELECT mv.sampled_at, mv.soc_percent
        FROM meter_value AS mv
        WHERE
            mv.charge_point_id = chosen.charge_point_id
            AND mv.connector_id = chosen.connector_id
            AND mv.sampled_at >= chosen.started_at - INTERVAL '2 minutes'
            AND mv.sampled_at <= chosen.ended_at + INTERVAL '2 minutes'
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
            AND mv.soc_percent > 0 AND mv.soc_percent <= 100
            AND (mv.transaction_id = chosen.transaction_id OR mv.transaction_id IS NULL)
        ORDER BY mv.sampled_at, mv.context
        LIMIT 1
    ) AS early
    CROSS JOIN LATERAL (
        SELECT mv.sampled_at, mv.soc_percent
        FROM meter_value AS mv
        WHERE
            mv.charge_point_id = chosen.charge_point_id
            AND mv.connector_id = chosen.connector_id
            AND mv.sampled_at >= chosen.started_at - INTERVAL '2 minutes'
            AND mv.sampled_at <= chosen.ended_at + INTERVAL '2 minutes'
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
            AND mv.soc_percent > 0 AND mv.soc_percent <= 100
            AND (mv.transaction_id = chosen.transaction_id OR mv.transaction_id IS NULL)
        ORDER BY mv.sampled_at DESC, mv.context ASC
        LIMIT 1
    ) AS late
),

gone AS (
    DELETE FROM session_soc AS soc
    WHERE
        soc.transaction_id = ANY(%(transaction_ids)s)
        AND soc.transaction_id NOT IN (SELECT edge.transaction_id FROM edge)
)

INSERT INTO session_soc (
    transaction_id, soc_start_percent, soc_end_percent, first_at, last_at, soc_gain_percent, is_extrapolated,
    pack_estimate_wh, efficiency
)
SELECT
    edge.transaction_id,
    edge.soc_start_percent,
    edge.soc_end_percent,
    edge.first_at,
    edge.last_at,
    edge.soc_end_percent - edge.soc_start_percent,
    edge.first_at > edge.started_at + INTERVAL '2 minutes' OR edge.last_at < edge.ended_at - INTERVAL '2 minutes',
    CASE
        WHEN edge.soc_end_percent - edge.soc_start_percent >= 20 AND edge.energy_wh > 0
            THEN
                edge.energy_wh * CASE WHEN edge.current_type = 'DC' THEN 1 ELSE efficiency.value END
                / ((edge.soc_end_percent - edge.soc_start_percent) / 100)
    END,
    CASE
        WHEN edge.soc_end_percent > edge.soc_start_percent
            THEN edge.usable_capacity_wh * (edge.soc_end_percent - edge.soc_start_percent) / 100 / nullif(edge.energy_wh, 0)
    END
FROM edge
INNER JOIN setting AS efficiency ON efficiency.name = 'ac_charging_efficiency'
ON CONFLICT (transaction_id) DO UPDATE SET
    soc_start_percent = excluded.soc_start_percent,
    soc_end_percent = excluded.soc_end_percent,
    first_at = excluded.first_at,
    last_at = excluded.last_at,
    soc_gain_percent = excluded.soc_gain_percent,
    is_extrapolated = excluded.is_extrapolated,
    pack_estimate_wh = excluded.pack_estimate_wh,
    efficiency = excluded.efficiency,
    computed_at = now();

-- name: soc_bounds
SELECT
    min(ses.started_at) - INTERVAL '2 minutes' AS low,
    max(ses.ended_at) + INTERVAL '3 minutes' AS high
FROM session AS ses
WHERE ses.transaction_id = ANY(%(transaction_ids)s);
