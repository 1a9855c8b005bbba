-- State of charge of sessions.

-- name: soc_work
SELECT ses.transaction_id, ses.started_at
FROM taken_session AS work
INNER JOIN session AS ses ON work.transaction_id = ses.transaction_id
ORDER BY ses.started_at, ses.transaction_id;

-- name: store_soc
-- First and last state of charge within 2 min of the session's edges, or the nearest inside it: of the
-- samples that name the transaction; only where there are none, of those of the connector that name none.
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

-- Times between which a sample that names no transaction may be of this session: not beyond its neighbours.
placed AS (
    SELECT
        chosen.*,
        greatest(
            chosen.started_at - INTERVAL '2 minutes',
            least(chosen.started_at, coalesce(before.ended_at + INTERVAL '1 microsecond', '-infinity'))
        ) AS borrowed_from,
        least(chosen.ended_at + INTERVAL '2 minutes', following.started_at - INTERVAL '1 microsecond') AS borrowed_until
    FROM chosen
    LEFT JOIN LATERAL (
        SELECT ses.ended_at
        FROM session AS ses
        WHERE
            ses.charge_point_id = chosen.charge_point_id AND ses.connector_id = chosen.connector_id
            AND ses.started_at < chosen.started_at
        ORDER BY ses.started_at DESC
        LIMIT 1
    ) AS before ON TRUE
    LEFT JOIN LATERAL (
        SELECT ses.started_at
        FROM session AS ses
        WHERE
            ses.charge_point_id = chosen.charge_point_id AND ses.connector_id = chosen.connector_id
            AND ses.started_at > chosen.started_at
        ORDER BY ses.started_at
        LIMIT 1
    ) AS following ON TRUE
),

edge AS (
    SELECT
        placed.*,
        coalesce(early.sampled_at, early_borrowed.sampled_at) AS first_at,
        coalesce(early.soc_percent, early_borrowed.soc_percent) AS soc_start_percent,
        coalesce(late.sampled_at, late_borrowed.sampled_at) AS last_at,
        coalesce(late.soc_percent, late_borrowed.soc_percent) AS soc_end_percent
    FROM placed
    LEFT JOIN LATERAL (
        SELECT mv.sampled_at, mv.soc_percent
        FROM meter_value AS mv
        WHERE
            mv.charge_point_id = placed.charge_point_id
            AND mv.connector_id = placed.connector_id
            AND mv.sampled_at >= placed.started_at - INTERVAL '2 minutes'
            AND mv.sampled_at <= placed.ended_at + INTERVAL '2 minutes'
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
            AND mv.soc_percent > 0 AND mv.soc_percent <= 100
            AND mv.transaction_id = placed.transaction_id
        ORDER BY mv.sampled_at, mv.context
        LIMIT 1
    ) AS early ON TRUE
    LEFT JOIN LATERAL (
        SELECT mv.sampled_at, mv.soc_percent
        FROM meter_value AS mv
        WHERE
            early.sampled_at IS NOT NULL
            AND mv.charge_point_id = placed.charge_point_id
            AND mv.connector_id = placed.connector_id
            AND mv.sampled_at >= placed.started_at - INTERVAL '2 minutes'
            AND mv.sampled_at <= placed.ended_at + INTERVAL '2 minutes'
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
            AND mv.soc_percent > 0 AND mv.soc_percent <= 100
            AND mv.transaction_id = placed.transaction_id
        ORDER BY mv.sampled_at DESC, mv.context ASC
        LIMIT 1
    ) AS late ON TRUE
    LEFT JOIN LATERAL (
        SELECT mv.sampled_at, mv.soc_percent
        FROM meter_value AS mv
        WHERE
            early.sampled_at IS NULL
            AND mv.charge_point_id = placed.charge_point_id
            AND mv.connector_id = placed.connector_id
            AND mv.sampled_at >= placed.borrowed_from
            AND mv.sampled_at <= placed.borrowed_until
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
            AND mv.soc_percent > 0 AND mv.soc_percent <= 100
            AND mv.transaction_id IS NULL
        ORDER BY mv.sampled_at, mv.context
        LIMIT 1
    ) AS early_borrowed ON TRUE
    LEFT JOIN LATERAL (
        SELECT mv.sampled_at, mv.soc_percent
        FROM meter_value AS mv
        WHERE
            early_borrowed.sampled_at IS NOT NULL
            AND mv.charge_point_id = placed.charge_point_id
            AND mv.connector_id = placed.connector_id
            AND mv.sampled_at >= placed.borrowed_from
            AND mv.sampled_at <= placed.borrowed_until
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
            AND mv.soc_percent > 0 AND mv.soc_percent <= 100
            AND mv.transaction_id IS NULL
        ORDER BY mv.sampled_at DESC, mv.context ASC
        LIMIT 1
    ) AS late_borrowed ON TRUE
    WHERE early.sampled_at IS NOT NULL OR early_borrowed.sampled_at IS NOT NULL
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
