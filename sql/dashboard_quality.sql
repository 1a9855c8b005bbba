-- How whole the data are: days, findings, reconciliation, what was set aside. Asked by dashboard/data/quality.py, as eletroposto_dashboard, of report only.
-- since and until: the period, [since, until); first_day and last_day: local days, both included.
-- charge_points: identities; NULL means all of them.

-- name: quality_days
-- The worst verdict by day and charge point: from findings and reconciliation; the forty with most days not ok.
WITH judged AS (
    SELECT
        qf.day,
        qf.charge_point,
        CASE qf.severity WHEN 'red' THEN 2 WHEN 'amber' THEN 1 ELSE 0 END AS level,
        qf.kind AS what
    FROM report.quality_finding AS qf
    WHERE qf.day BETWEEN %(first_day)s AND %(last_day)s
    UNION ALL
    SELECT
        (rec.window_start AT TIME ZONE 'America/Sao_Paulo')::date,
        rec.charge_point,
        CASE rec.verdict WHEN 'different' THEN 2 WHEN 'unreachable' THEN 1 WHEN 'beyond retention' THEN 1 ELSE 0 END,
        'DOJOT: ' || rec.verdict
    FROM report.reconciliation AS rec
    WHERE rec.window_start >= %(since)s AND rec.window_start < %(until)s
),

days AS (
    SELECT
        judged.day,
        judged.charge_point,
        max(judged.level) AS level,
        string_agg(DISTINCT judged.what, ', ') AS what
    FROM judged
    WHERE %(charge_points)s::text[] IS NULL OR judged.charge_point = ANY(%(charge_points)s)
    GROUP BY judged.day, judged.charge_point
),

ranked AS (
    SELECT days.charge_point
    FROM days
    GROUP BY days.charge_point
    ORDER BY sum(days.level) DESC, days.charge_point
    LIMIT 40
)

SELECT
    days.day,
    cp.name,
    days.charge_point,
    days.level,
    left(days.what, 200) AS what
FROM days
INNER JOIN ranked ON days.charge_point = ranked.charge_point
INNER JOIN report.charge_point AS cp ON days.charge_point = cp.charge_point
ORDER BY cp.name, days.day;

-- name: reconciliation
-- Windows compared with DOJOT, those that differ first: so many of all; rows NULL: every one.
SELECT
    rec.charge_point,
    cp.name,
    rec.window_start,
    rec.window_end,
    rec.rows_database,
    rec.rows_dojot,
    rec.missing_in_dojot,
    rec.missing_in_database,
    rec.duplicates,
    rec.republished,
    rec.imported,
    rec.energy_database_wh - rec.energy_dojot_wh AS energy_difference_wh,
    rec.verdict,
    rec.detail,
    rec.checked_at,
    rec.flow_run_url
FROM report.reconciliation AS rec
INNER JOIN report.charge_point AS cp ON rec.charge_point = cp.charge_point
WHERE
    rec.window_start >= %(since)s
    AND rec.window_start < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR rec.charge_point = ANY(%(charge_points)s))
ORDER BY rec.verdict = 'ok', rec.window_start DESC, cp.name, rec.charge_point
LIMIT %(rows)s;

-- name: reconciliation_totals
-- The sums of the comparison with DOJOT.
SELECT
    count(*) AS windows,
    count(*) FILTER (WHERE rec.verdict IN ('ok', 'repaired')) AS agreeing,
    sum(rec.rows_database) AS rows_database,
    sum(rec.rows_dojot) AS rows_dojot,
    sum(rec.missing_in_dojot) AS missing_in_dojot,
    sum(rec.missing_in_database) AS missing_in_database,
    sum(rec.duplicates) AS duplicates,
    max(rec.checked_at) AS checked_at
FROM report.reconciliation AS rec
WHERE
    rec.window_start >= %(since)s
    AND rec.window_start < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR rec.charge_point = ANY(%(charge_points)s));

-- name: findings
-- What is odd about the data, worst first: so many rows of all; rows NULL: every one.
SELECT
    count(*) OVER () AS of_all,
    qf.day,
    qf.charge_point,
    cp.name,
    qf.connector_id,
    qf.kind,
    qf.severity,
    qf.occurrences,
    qf.value,
    qf.unit,
    left(qf.evidence::text, 20000) AS evidence
FROM report.quality_finding AS qf
INNER JOIN report.charge_point AS cp ON qf.charge_point = cp.charge_point
WHERE
    qf.day BETWEEN %(first_day)s AND %(last_day)s
    AND (%(charge_points)s::text[] IS NULL OR qf.charge_point = ANY(%(charge_points)s))
ORDER BY
    CASE qf.severity WHEN 'red' THEN 0 WHEN 'amber' THEN 1 ELSE 2 END,
    qf.day DESC,
    cp.name,
    qf.kind,
    qf.connector_id
LIMIT %(rows)s;

-- name: set_aside
-- What was confirmed but could not become a fact, by reason.
SELECT
    aside.reason,
    count(*) AS pieces,
    count(DISTINCT aside.charge_point) AS charge_points,
    max(aside.received_at) AS newest_at,
    left(max(aside.raw), 300) AS example
FROM report.set_aside AS aside
WHERE
    aside.received_at >= %(since)s
    AND aside.received_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR aside.charge_point = ANY(%(charge_points)s))
GROUP BY aside.reason
ORDER BY pieces DESC
LIMIT 50;

-- name: flow_freshness
-- How far the flows are, and their last runs.
SELECT
    fresh.flow,
    fresh.done_until,
    fresh.waiting,
    run.started_at,
    run.status,
    run.message,
    run.url
FROM report.flow_freshness AS fresh
LEFT JOIN LATERAL (
    SELECT
        last_run.started_at,
        last_run.status,
        left(last_run.message, 300) AS message,
        last_run.url
    FROM report.flow_run AS last_run
    WHERE last_run.flow = fresh.flow
    ORDER BY last_run.started_at DESC
    LIMIT 1
) AS run ON TRUE
ORDER BY fresh.flow;

-- name: ingest_lag
-- How quickly messages of the last 15 minutes were answered, in milliseconds.
SELECT
    count(*) AS messages,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY lag.ms) AS median_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY lag.ms) AS p95_ms
FROM (
    SELECT extract(EPOCH FROM ex.answered_at - ex.received_at) * 1000 AS ms
    FROM report.ocpp_exchange AS ex
    WHERE ex.received_at > now() - INTERVAL '15 minutes' AND ex.answered_at IS NOT NULL
    LIMIT 20000
) AS lag;
