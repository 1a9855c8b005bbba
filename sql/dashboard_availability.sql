-- States, faults and outages. Asked by dashboard/data/availability.py, as eletroposto_dashboard, of report only.
-- since and until: the period, [since, until); first_day and last_day: local days, both included.
-- charge_points: identities; NULL means all of them.

-- name: nevi_ports
-- Seconds and percentages by port and month, over the twelve months up to the end of the period: the data set
-- of 23 CFR 680.112, and what months of charge points and years of ports are added up from.
SELECT
    sums.month,
    sums.charge_point,
    sums.connector_id,
    sums.observed_s,
    sums.up_s,
    sums.down_s,
    sums.excluded_s,
    sums.unknown_s,
    100 * sums.up_s / nullif(sums.up_s + sums.down_s, 0) AS technical_percent,
    100 * (sums.up_s + sums.excluded_s) / nullif(sums.up_s + sums.down_s, 0) AS nevi_percent
FROM report.connector_month AS sums
WHERE
    sums.month > (date_trunc('month', %(last_day)s::date) - INTERVAL '12 months')::date
    AND sums.month <= %(last_day)s
    AND sums.observed_s IS NOT NULL
    AND (%(charge_points)s::text[] IS NULL OR sums.charge_point = ANY(%(charge_points)s))
ORDER BY 2, 3, 1;

-- name: outages
-- Down time that touched the period, longest first: so many rows of all; rows NULL: every one.
SELECT
    count(*) OVER () AS of_all,
    outage.charge_point,
    cp.name,
    outage.connector_id,
    outage.started_at,
    outage.ended_at,
    outage.duration_s,
    array_to_string(outage.states, ', ') AS states,
    nullif(outage.error_code, 'NoError') AS error_code,
    outage.excluded_for
FROM report.outage
INNER JOIN report.charge_point AS cp ON outage.charge_point = cp.charge_point
WHERE
    outage.started_at < %(until)s
    AND coalesce(outage.ended_at, now()) >= %(since)s
    AND (%(charge_points)s::text[] IS NULL OR outage.charge_point = ANY(%(charge_points)s))
ORDER BY outage.duration_s DESC, outage.started_at, outage.charge_point, outage.connector_id
LIMIT %(rows)s;

-- name: faults
-- Fault episodes of the period by error code, every one: what they sum up to is divided by.
SELECT
    coalesce(nullif(fault.error_code, ''), '?') AS error_code,
    nullif(fault.vendor_error_code, '') AS vendor_error_code,
    count(*) AS episodes,
    sum(fault.faulted_s) AS faulted_s,
    count(DISTINCT fault.charge_point) AS charge_points
FROM report.fault_episode AS fault
WHERE
    fault.started_at >= %(since)s
    AND fault.started_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR fault.charge_point = ANY(%(charge_points)s))
GROUP BY fault.error_code, fault.vendor_error_code
ORDER BY episodes DESC, faulted_s DESC;

-- name: exclusions
-- Exclusions in force that touch the period.
SELECT
    ex.downtime_exclusion_id,
    ex.charge_point,
    cp.name,
    ex.connector_id,
    ex.started_at,
    ex.ended_at,
    ex.reason,
    ex.evidence,
    ex.author
FROM report.downtime_exclusion AS ex
INNER JOIN report.charge_point AS cp ON ex.charge_point = cp.charge_point
WHERE
    ex.withdrawn_at IS NULL
    AND ex.started_at < %(until)s
    AND ex.ended_at >= %(since)s
    AND (%(charge_points)s::text[] IS NULL OR ex.charge_point = ANY(%(charge_points)s))
ORDER BY ex.started_at DESC
LIMIT 300;
