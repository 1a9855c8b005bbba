-- Charge points, and everything about one of them. Asked by dashboard/data/stations.py, as eletroposto_dashboard, of report only.

-- name: stations
-- Charge points with their figures of the period.
SELECT
    cp.charge_point,
    cp.name,
    cp.site,
    cp.latitude,
    cp.longitude,
    cp.vendor,
    cp.model,
    cp.firmware_version,
    cp.is_online,
    cp.online_changed_at,
    heard.last_message_at,
    100 * sums.up_s / nullif(sums.up_s + sums.down_s, 0) AS technical_percent,
    100 * sums.charging_s / nullif(sums.operational_s, 0) AS utilisation_percent,
    sums.energy_wh,
    sums.sessions,
    coalesce(faults.faults, 0) AS faults
FROM report.charge_point AS cp
LEFT JOIN report.charge_point_now AS heard ON cp.charge_point = heard.charge_point
LEFT JOIN (
    SELECT
        period.charge_point,
        sum(period.energy_wh) AS energy_wh,
        sum(period.sessions)::bigint AS sessions,
        sum(period.up_s) AS up_s,
        sum(period.down_s) AS down_s,
        sum(period.operational_s) AS operational_s,
        sum(period.charging_s) AS charging_s
    FROM report.sums_of_period(%(first_day)s, %(last_day)s) AS period
    GROUP BY period.charge_point
) AS sums ON cp.charge_point = sums.charge_point
LEFT JOIN (
    SELECT
        fault.charge_point,
        count(*) AS faults
    FROM report.fault_episode AS fault
    WHERE fault.started_at >= %(since)s AND fault.started_at < %(until)s
    GROUP BY fault.charge_point
) AS faults ON cp.charge_point = faults.charge_point
WHERE
    cp.registration = 'registered'
    AND (%(charge_points)s::text[] IS NULL OR cp.charge_point = ANY(%(charge_points)s))
ORDER BY cp.name;

-- name: station
-- One charge point.
SELECT
    cp.charge_point,
    cp.name,
    cp.site,
    cp.vendor,
    cp.model,
    cp.serial_number,
    cp.firmware_version,
    cp.booted_at,
    cp.security_profile,
    cp.is_online,
    cp.online_changed_at,
    cp.registration,
    heard.last_message_at
FROM report.charge_point AS cp
LEFT JOIN report.charge_point_now AS heard ON cp.charge_point = heard.charge_point
WHERE cp.charge_point = %(charge_point)s;

-- name: station_states
-- The states of a charge point's connectors for the timeline.
SELECT
    si.connector_id,
    greatest(si.started_at, %(since)s) AS started_at,
    least(si.ended_at, %(until)s) AS ended_at,
    si.state,
    si.error_code
FROM report.state_interval AS si
WHERE
    si.charge_point = %(charge_point)s
    AND si.started_at >= %(since)s::timestamptz - INTERVAL '1 day'
    AND si.started_at < %(until)s
    AND si.ended_at > %(since)s
ORDER BY si.connector_id, si.started_at
LIMIT 2000;

-- name: station_protocol
-- How a charge point behaves on the wire, over the period.
SELECT
    (
        SELECT count(*) FROM report.connection AS conn
        WHERE
            conn.charge_point = %(charge_point)s AND conn.opened_at >= %(since)s AND conn.opened_at < %(until)s
    ) AS connections,
    (
        SELECT conn.reason FROM report.connection AS conn
        WHERE conn.charge_point = %(charge_point)s AND conn.closed_at IS NOT NULL
        ORDER BY conn.opened_at DESC
        LIMIT 1
    ) AS last_reason,
    (
        SELECT count(*) FROM report.set_aside AS aside
        WHERE
            aside.charge_point = %(charge_point)s AND aside.received_at >= %(since)s AND aside.received_at < %(until)s
    ) AS set_aside,
    (
        SELECT count(*) FROM report.orphan_stop AS stop
        WHERE
            stop.charge_point = %(charge_point)s AND stop.received_at >= %(since)s AND stop.received_at < %(until)s
    ) AS orphan_stops,
    (
        SELECT max(abs(qf.value)) FROM report.quality_finding AS qf
        WHERE
            qf.charge_point = %(charge_point)s AND qf.kind = 'clock_skew'
            AND qf.day BETWEEN %(first_day)s AND %(last_day)s
    ) AS clock_skew_s;

-- name: station_configuration
-- Configuration keys as last read, and what was asked for.
SELECT
    conf.key,
    conf.value,
    conf.is_readonly,
    conf.read_at,
    conf.asked_value,
    conf.asked_status,
    conf.asked_at,
    conf.asked_by
FROM report.configuration AS conf
WHERE conf.charge_point = %(charge_point)s
ORDER BY conf.key
LIMIT 500;
