-- The live cards and what stands on every page: names, how fresh the data are, what needs attention.
-- Asked by dashboard/data/live.py, as eletroposto_dashboard, of report only.

-- name: charge_point_names
-- Charge points to choose from. place: order of registration, which colours go by.
SELECT
    cp.charge_point,
    cp.name,
    cp.site,
    row_number() OVER (ORDER BY cp.created_at, cp.charge_point) AS place
FROM report.charge_point AS cp
WHERE cp.registration = 'registered'
ORDER BY cp.name, cp.charge_point;

-- name: newest_message
-- When anything was last heard.
SELECT max(now_.last_message_at) AS at
FROM report.charge_point_now AS now_;

-- name: slowest_flow
-- The flow behind the figures that has followed the facts least far; done_until NULL: it never ran.
SELECT
    wanted.flow,
    fresh.done_until
FROM (VALUES ('sessions'), ('consumption'), ('availability')) AS wanted (flow)
LEFT JOIN report.flow_freshness AS fresh ON wanted.flow = fresh.flow
ORDER BY fresh.done_until NULLS FIRST
LIMIT 1;

-- name: connectors_now
-- The present state of every connector.
SELECT
    con.charge_point,
    con.name,
    con.connector_id,
    con.current_type,
    con.rated_power_w,
    con.state,
    con.state_since,
    con.error_code,
    con.transaction_id,
    con.started_at,
    con.reading_at,
    con.power_w,
    con.energy_so_far_wh,
    con.soc_percent,
    count(*) OVER () AS connectors
FROM report.connector_now AS con
WHERE %(charge_points)s::text[] IS NULL OR con.charge_point = ANY(%(charge_points)s)
ORDER BY
    CASE con.state
        WHEN 'Faulted' THEN 0 WHEN 'Charging' THEN 1 WHEN 'SuspendedEVSE' THEN 2 WHEN 'SuspendedEV' THEN 2
        WHEN 'offline' THEN 3 WHEN 'Available' THEN 5 ELSE 4
    END,
    con.name,
    con.connector_id;

-- name: attention
-- What wants a person: offline over 15 min, faulted, overstay, a session without readings, a clock that is off.
-- The thirty most urgent; of_all says of how many.
SELECT
    wanted.*,
    count(*) OVER () AS of_all
FROM (
    SELECT
        con.state AS kind,
        con.charge_point,
        con.name,
        con.connector_id,
        con.state_since AS since,
        con.error_code AS detail,
        con.transaction_id
    FROM report.connector_now AS con
    WHERE con.state IN ('Faulted', 'Unavailable')
    UNION ALL
    SELECT
        'offline',
        cp.charge_point,
        cp.name,
        NULL,
        cp.online_changed_at,
        NULL,
        NULL
    FROM report.charge_point AS cp
    WHERE
        cp.registration = 'registered'
        AND NOT cp.is_online
        AND cp.online_changed_at < now() - INTERVAL '15 minutes'
    UNION ALL
    SELECT
        CASE WHEN con.state = 'Charging' THEN 'silent' ELSE 'overstay' END,
        con.charge_point,
        con.name,
        con.connector_id,
        CASE WHEN con.state = 'Charging' THEN coalesce(con.reading_at, con.started_at) ELSE con.state_since END,
        NULL,
        con.transaction_id
    FROM report.connector_now AS con
    WHERE
        (con.state IN ('Finishing', 'SuspendedEV') AND con.state_since < now() - INTERVAL '30 minutes')
        OR (
            con.state = 'Charging'
            AND coalesce(con.reading_at, con.started_at, con.state_since) < now() - INTERVAL '10 minutes'
        )
    UNION ALL
    SELECT
        'clock_skew',
        qf.charge_point,
        cp.name,
        qf.connector_id,
        max(qf.found_at),
        max(qf.value)::text,
        NULL
    FROM report.quality_finding AS qf
    INNER JOIN report.charge_point AS cp ON qf.charge_point = cp.charge_point
    WHERE qf.kind = 'clock_skew' AND qf.day >= current_date - 2
    GROUP BY qf.charge_point, cp.name, qf.connector_id
) AS wanted
WHERE %(charge_points)s::text[] IS NULL OR wanted.charge_point = ANY(%(charge_points)s)
ORDER BY
    CASE wanted.kind WHEN 'Faulted' THEN 0 WHEN 'offline' THEN 1 WHEN 'silent' THEN 2 ELSE 3 END,
    wanted.since
LIMIT 30;

-- name: quality_now
-- The worst verdict of the last two days: 0 good, 1 amber, 2 red; NULL: nothing was judged.
SELECT
    greatest(
        (
            SELECT max(CASE qf.severity WHEN 'red' THEN 2 WHEN 'amber' THEN 1 ELSE 0 END)
            FROM report.quality_finding AS qf
            WHERE qf.day >= current_date - 2
        ),
        (
            SELECT max(CASE rec.verdict WHEN 'different' THEN 2 WHEN 'unreachable' THEN 1 ELSE 0 END)
            FROM report.reconciliation AS rec
            WHERE rec.window_start >= now() - INTERVAL '2 days'
        )
    ) AS level;
