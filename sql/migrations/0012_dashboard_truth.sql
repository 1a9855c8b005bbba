-- What the dashboard shows of now: a transaction that another start replaced, or whose session was
-- found to have ended, does not run, whatever its connector last reported.

CREATE OR REPLACE VIEW report.transaction AS
SELECT
    tx.transaction_id,
    cp.identity AS charge_point,
    tx.connector_id,
    tx.id_tag,
    tx.started_at,
    tx.meter_start_wh,
    tx.stopped_at,
    tx.meter_stop_wh,
    tx.reason,
    tx.id_tag_status,
    tx.stop_id_tag,
    tx.reservation_id,
    tx.flags,
    tx.stopped_at IS NULL
    AND tx.superseded_at IS NULL
    AND NOT EXISTS (
        SELECT FROM session AS ses
        WHERE ses.transaction_id = tx.transaction_id AND ses.inferred_by IS NOT NULL
    ) AS is_running
FROM transaction AS tx
INNER JOIN charge_point AS cp ON tx.charge_point_id = cp.charge_point_id;
COMMENT ON COLUMN report.transaction.is_running IS
'Neither stopped, nor replaced by a later start, nor found to have ended (report.session.inferred_by)';

CREATE OR REPLACE VIEW report.connector_now AS
SELECT
    cp.identity AS charge_point,
    pub.name,
    con.connector_id,
    con.current_type,
    con.rated_power_w,
    CASE
        WHEN NOT pub.is_online THEN 'offline'
        WHEN whole.status IN ('Faulted', 'Unavailable') THEN whole.status
        ELSE coalesce(con.status, 'unknown')
    END AS state,
    CASE
        WHEN NOT pub.is_online THEN pub.online_changed_at
        WHEN whole.status IN ('Faulted', 'Unavailable') THEN whole.status_at
        ELSE con.status_at
    END AS state_since,
    nullif(con.error_code, 'NoError') AS error_code,
    tx.transaction_id,
    tx.started_at,
    tx.id_tag,
    latest.sampled_at AS reading_at,
    latest.power_w::double precision AS power_w,
    CASE
        WHEN latest.energy_wh >= tx.meter_start_wh
            THEN (latest.energy_wh - tx.meter_start_wh) * cp.energy_factor
    END AS energy_so_far_wh,
    charge.soc_percent::double precision AS soc_percent
FROM connector AS con
INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id
INNER JOIN report.charge_point AS pub ON cp.identity = pub.charge_point
LEFT JOIN connector AS whole ON con.charge_point_id = whole.charge_point_id AND whole.connector_id = 0
LEFT JOIN LATERAL (
    SELECT
        running.transaction_id,
        running.started_at,
        running.id_tag,
        running.meter_start_wh
    FROM transaction AS running
    WHERE
        running.charge_point_id = con.charge_point_id
        AND running.connector_id = con.connector_id
        AND running.stopped_at IS NULL
        AND running.superseded_at IS NULL
        AND con.status IS DISTINCT FROM 'Available'
        AND NOT EXISTS (
            SELECT FROM session AS ses
            WHERE ses.transaction_id = running.transaction_id AND ses.inferred_by IS NOT NULL
        )
    ORDER BY running.started_at DESC
    LIMIT 1
) AS tx ON TRUE
LEFT JOIN LATERAL (
    SELECT
        mv.sampled_at,
        mv.power_w,
        mv.energy_wh
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = con.charge_point_id
        AND mv.connector_id = con.connector_id
        AND mv.sampled_at >= tx.started_at
    ORDER BY mv.sampled_at DESC
    LIMIT 1
) AS latest ON TRUE
LEFT JOIN LATERAL (
    SELECT mv.soc_percent
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = con.charge_point_id
        AND mv.connector_id = con.connector_id
        AND mv.sampled_at BETWEEN latest.sampled_at - INTERVAL '10 minutes' AND latest.sampled_at
        AND mv.soc_percent IS NOT NULL
    ORDER BY mv.sampled_at DESC
    LIMIT 1
) AS charge ON TRUE
WHERE con.connector_id > 0;

-- A session without its transaction does not exist; joined from the left, the planner leaves the
-- transactions out of every question that asks for none of their columns.
CREATE OR REPLACE VIEW report.session AS
SELECT
    cp.identity AS charge_point,
    ses.connector_id,
    ses.transaction_id,
    ses.visit_id,
    id_tag_alias(tx.id_tag) AS id_tag_alias,
    ses.started_at,
    CASE WHEN NOT ses.is_open THEN ses.ended_at END AS stopped_at,
    ses.ended_at AS last_evidence_at,
    ses.is_open,
    ses.inferred_by,
    ses.is_attempt,
    ses.duration_s,
    ses.energy_wh,
    ses.energy_source,
    ses.energy_register_wh,
    ses.energy_series_wh,
    ses.energy_integral_wh,
    ses.energy_delta_percent,
    tx.meter_start_wh,
    tx.meter_stop_wh,
    ses.gap_s,
    ses.readings,
    soc.soc_start_percent,
    soc.soc_end_percent,
    soc.soc_gain_percent,
    soc.is_extrapolated AS soc_is_extrapolated,
    soc.pack_estimate_wh,
    soc.efficiency,
    ses.peak_power_w,
    ses.mean_power_w,
    ses.charging_s,
    ses.temperature_max_c,
    ses.energised_at,
    ses.last_power_at,
    ses.unplugged_at,
    ses.idle_s,
    ses.stop_reason,
    price.cost,
    coalesce(price.unpriced_wh, 0) AS unpriced_wh,
    con.current_type,
    con.rated_power_w,
    cp.site,
    ses.flags,
    ses.computed_at
FROM session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point_id = cp.charge_point_id
LEFT JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
LEFT JOIN connector AS con ON ses.charge_point_id = con.charge_point_id AND ses.connector_id = con.connector_id
LEFT JOIN session_soc AS soc ON ses.transaction_id = soc.transaction_id
LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id;
