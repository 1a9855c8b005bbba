-- What the monthly reports and the quarterly export say. Parameters: first and last (exclusive) day,
-- charge_point_id NULL for the network.

-- name: report_subjects
-- Charge points that had sessions or were watched in the period.
SELECT cp.charge_point_id, cp.identity
FROM charge_point AS cp
WHERE
    (%(charge_point_ids)s::integer[] IS NULL OR cp.charge_point_id = ANY(%(charge_point_ids)s))
    AND (
        EXISTS (
            SELECT FROM consumption_day AS con
            WHERE con.charge_point_id = cp.charge_point_id AND con.day >= %(first)s AND con.day < %(last)s
        )
        OR EXISTS (
            SELECT FROM availability_day AS av
            WHERE av.charge_point_id = cp.charge_point_id AND av.day >= %(first)s AND av.day < %(last)s
        )
    )
ORDER BY cp.identity;

-- name: report_totals
WITH used AS (
    SELECT
        sum(con.energy_wh) AS energy_wh,
        sum(con.ponta_wh) AS ponta_wh,
        sum(con.intermediario_wh) AS intermediario_wh,
        sum(con.fora_ponta_wh) AS fora_ponta_wh,
        sum(con.unpriced_wh) AS unpriced_wh,
        sum(con.cost) AS cost,
        sum(con.sessions) AS sessions,
        sum(con.attempts) AS attempts,
        sum(con.idle_s) AS idle_s,
        sum(con.plug_ins) AS plug_ins,
        sum(con.plug_ins_served) AS plug_ins_served
    FROM consumption_day AS con
    WHERE
        con.day >= %(first)s AND con.day < %(last)s
        AND (%(charge_point_id)s::integer IS NULL OR con.charge_point_id = %(charge_point_id)s)
),

there AS (
    SELECT
        sum(av.observed_s) AS observed_s,
        sum(av.up_s) AS up_s,
        sum(av.down_s) AS down_s,
        sum(av.unknown_s) AS unknown_s,
        sum(av.excluded_s) AS excluded_s,
        sum(av.plugged_s) AS plugged_s,
        sum(av.up_s + av.in_service_s) AS operational_s
    FROM availability_day AS av
    WHERE
        av.day >= %(first)s AND av.day < %(last)s
        AND (%(charge_point_id)s::integer IS NULL OR av.charge_point_id = %(charge_point_id)s)
),

peak AS (
    SELECT slot.started_at, slot.energy_wh * 4 AS demand_w
    FROM (
        SELECT eb.started_at, sum(eb.energy_wh) AS energy_wh
        FROM energy_bucket AS eb
        WHERE
            eb.started_at >= local_midnight(%(first)s) AND eb.started_at < local_midnight(%(last)s)
            AND (%(charge_point_id)s::integer IS NULL OR eb.charge_point_id = %(charge_point_id)s)
        GROUP BY eb.started_at
    ) AS slot
    ORDER BY slot.energy_wh DESC, slot.started_at ASC
    LIMIT 1
),

busy AS (
    SELECT
        100 * sum(ut.charging_s) / nullif(sum(ut.operational_s), 0) AS utilisation_percent,
        100 * sum(ut.energy_wh) FILTER (WHERE ut.capacity_wh IS NOT NULL) / nullif(sum(ut.capacity_wh), 0)
            AS energy_utilisation_percent
    FROM report.utilisation AS ut
    INNER JOIN charge_point AS cp ON ut.charge_point = cp.identity
    WHERE
        ut.day >= %(first)s AND ut.day < %(last)s
        AND (%(charge_point_id)s::integer IS NULL OR cp.charge_point_id = %(charge_point_id)s)
),

fault AS (
    SELECT count(*) AS faults, sum(fe.faulted_s) AS faulted_s
    FROM fault_episode AS fe
    WHERE
        fe.started_at >= local_midnight(%(first)s) AND fe.started_at < local_midnight(%(last)s)
        AND (%(charge_point_id)s::integer IS NULL OR fe.charge_point_id = %(charge_point_id)s)
)

SELECT
    used.*,
    there.*,
    100 * there.up_s / nullif(there.up_s + there.down_s, 0) AS technical_percent,
    100 * (there.up_s + there.excluded_s) / nullif(there.up_s + there.down_s, 0) AS nevi_percent,
    100.0 * used.plug_ins_served / nullif(used.plug_ins, 0) AS driver_success_percent,
    100 * there.plugged_s / nullif(there.operational_s, 0) AS occupancy_percent,
    peak.demand_w AS peak_demand_w,
    peak.started_at AS peak_demand_at,
    fault.faults,
    there.up_s / nullif(fault.faults, 0) AS mtbf_s,
    fault.faulted_s / nullif(fault.faults, 0) AS mttr_s,
    used.energy_wh / 1000 * co2.avoided_kg_per_kwh AS co2_avoided_kg,
    busy.utilisation_percent,
    busy.energy_utilisation_percent
FROM used
CROSS JOIN busy
CROSS JOIN there
CROSS JOIN fault
CROSS JOIN report.co2
LEFT JOIN peak ON TRUE;

-- name: report_demand
-- What the demand of the sites costs; charge points have no demand of their own to pay.
SELECT
    dm.site, dm.tariff, dm.modality, dm.days AS days_held, dm.contracted_demand_kw, dm.measured_demand_kw, dm.measured_at,
    dm.billed_demand_kw, dm.full_price_per_kw, dm.demand_cost
FROM report.demand_month AS dm
WHERE dm.month >= %(first)s AND dm.month < %(last)s AND %(charge_point_id)s::integer IS NULL
ORDER BY dm.site, dm.days DESC;

-- name: report_days
SELECT
    day.day::date AS day,
    sum(con.energy_wh) AS energy_wh,
    sum(con.cost) AS cost,
    sum(con.sessions) AS sessions
FROM generate_series(%(first)s::timestamp, %(last)s::timestamp - INTERVAL '1 day', INTERVAL '1 day') AS day (day)
LEFT JOIN consumption_day AS con
    ON
        day.day::date = con.day
        AND (%(charge_point_id)s::integer IS NULL OR con.charge_point_id = %(charge_point_id)s)
GROUP BY day.day
ORDER BY day.day;

-- name: report_connectors
SELECT
    cp.identity AS charge_point,
    port.connector_id,
    used.energy_wh,
    used.sessions,
    used.cost,
    100 * there.up_s / nullif(there.up_s + there.down_s, 0) AS technical_percent,
    100 * (there.up_s + there.excluded_s) / nullif(there.up_s + there.down_s, 0) AS nevi_percent,
    there.down_s,
    there.excluded_s
FROM (
    SELECT con.charge_point_id, con.connector_id FROM connector AS con
    UNION
    SELECT con.charge_point_id, con.connector_id
    FROM consumption_day AS con
    WHERE con.day >= %(first)s AND con.day < %(last)s
    UNION
    SELECT av.charge_point_id, av.connector_id
    FROM availability_day AS av
    WHERE av.day >= %(first)s AND av.day < %(last)s
) AS port
INNER JOIN charge_point AS cp ON port.charge_point_id = cp.charge_point_id
LEFT JOIN LATERAL (
    SELECT sum(con.energy_wh) AS energy_wh, sum(con.sessions) AS sessions, sum(con.cost) AS cost
    FROM consumption_day AS con
    WHERE
        con.charge_point_id = port.charge_point_id AND con.connector_id = port.connector_id
        AND con.day >= %(first)s AND con.day < %(last)s
) AS used ON TRUE
LEFT JOIN LATERAL (
    SELECT sum(av.up_s) AS up_s, sum(av.down_s) AS down_s, sum(av.excluded_s) AS excluded_s
    FROM availability_day AS av
    WHERE
        av.charge_point_id = port.charge_point_id AND av.connector_id = port.connector_id
        AND av.day >= %(first)s AND av.day < %(last)s
) AS there ON TRUE
WHERE
    (%(charge_point_id)s::integer IS NULL OR port.charge_point_id = %(charge_point_id)s)
    AND (used.energy_wh IS NOT NULL OR there.up_s IS NOT NULL)
ORDER BY cp.identity, port.connector_id;

-- name: report_sessions
SELECT
    ses.charge_point, ses.connector_id, ses.transaction_id, ses.id_tag_alias, ses.started_at, ses.stopped_at,
    ses.duration_s, ses.energy_wh, ses.energy_source, ses.soc_start_percent, ses.soc_end_percent, ses.peak_power_w,
    ses.idle_s, ses.cost, ses.stop_reason, array_to_string(ses.flags, ' ') AS flags
FROM report.session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point = cp.identity
WHERE
    ses.started_at >= local_midnight(%(first)s) AND ses.started_at < local_midnight(%(last)s)
    AND (%(charge_point_id)s::integer IS NULL OR cp.charge_point_id = %(charge_point_id)s)
ORDER BY ses.started_at, ses.transaction_id;

-- name: report_outages
SELECT
    ou.charge_point, ou.connector_id, ou.started_at, ou.ended_at, ou.duration_s,
    array_to_string(ou.states, ' ') AS states, ou.error_code, ou.excluded_for
FROM report.outage AS ou
INNER JOIN charge_point AS cp ON ou.charge_point = cp.identity
WHERE
    ou.started_at < local_midnight(%(last)s)
    AND coalesce(ou.ended_at, 'infinity') > local_midnight(%(first)s)
    AND (%(charge_point_id)s::integer IS NULL OR cp.charge_point_id = %(charge_point_id)s)
ORDER BY ou.duration_s DESC, ou.started_at ASC;

-- name: quarter_ports
-- The public-charging export: uptime, outage and excluded minutes of each port and month.
SELECT
    av.charge_point,
    av.connector_id,
    av.month,
    av.observed_s / 60 AS observed_min,
    (av.observed_s - av.unknown_s) / 60 AS known_min,
    av.down_s / 60 AS outage_min,
    av.excluded_s / 60 AS excluded_min,
    av.nevi_percent AS uptime_percent
FROM report.availability_month AS av
WHERE av.month >= %(first)s AND av.month < %(last)s
ORDER BY av.charge_point, av.connector_id, av.month;

-- name: quarter_sessions
-- The public-charging export: each session with its errors. Payment is not known here.
SELECT
    ses.charge_point,
    ses.connector_id,
    ses.started_at,
    ses.stopped_at,
    ses.energy_wh / 1000 AS energy_kwh,
    ses.peak_power_w / 1000 AS peak_kw,
    (
        SELECT string_agg(DISTINCT sn.error_code, ' ' ORDER BY sn.error_code)
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = cp.charge_point_id AND sn.connector_id = ses.connector_id
            AND sn.at >= ses.started_at AND sn.at <= ses.last_evidence_at
            AND sn.error_code <> 'NoError'
    ) AS error_codes,
    ses.stop_reason,
    ses.energy_source
FROM report.session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point = cp.identity
WHERE ses.started_at >= local_midnight(%(first)s) AND ses.started_at < local_midnight(%(last)s)
ORDER BY ses.started_at, ses.charge_point, ses.connector_id;

-- name: quarter_outages
-- The public-charging export: every outage of a port that reaches into the quarter, with its whole duration.
SELECT
    ou.charge_point,
    ou.connector_id,
    ou.started_at,
    ou.ended_at,
    ou.duration_s / 60 AS duration_min,
    extract(
        EPOCH FROM least(coalesce(ou.ended_at, now()), local_midnight(%(last)s)) - greatest(ou.started_at, local_midnight(%(first)s))
    )::double precision / 60 AS in_quarter_min,
    array_to_string(ou.states, ' ') AS states,
    ou.error_code,
    ou.excluded_for
FROM report.outage AS ou
WHERE
    ou.started_at < local_midnight(%(last)s)
    AND coalesce(ou.ended_at, 'infinity') > local_midnight(%(first)s)
ORDER BY ou.charge_point, ou.connector_id, ou.started_at;

-- name: store_report
INSERT INTO report_file AS rf (kind, period_start, charge_point_id, language, format, file_name, content)
VALUES (
    %(kind)s, %(period_start)s, %(charge_point_id)s, %(language)s, %(format)s, %(file_name)s, %(content)s
)
ON CONFLICT (kind, period_start, charge_point_id, language, format) DO UPDATE SET
    file_name = excluded.file_name, content = excluded.content, created_at = now();
