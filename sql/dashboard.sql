-- Every question the dashboard asks. They read report only, as eletroposto_dashboard.
-- since and until: the period, [since, until). charge_points: identities; NULL means all of them.
-- Days are local days; first_day and last_day are both included.

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

-- name: nearest_sessions
-- The last session before the period and the first after it.
SELECT
    (
        SELECT ses.started_at FROM report.session AS ses
        WHERE
            ses.started_at < %(since)s
            AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
        ORDER BY ses.started_at DESC
        LIMIT 1
    ) AS earlier,
    (
        SELECT ses.started_at FROM report.session AS ses
        WHERE
            ses.started_at >= %(until)s
            AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
        ORDER BY ses.started_at
        LIMIT 1
    ) AS later;

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

-- name: totals
-- The figures of a period in one row. Where nothing was counted the figure is NULL.
SELECT
    sum(day.energy_wh) AS energy_wh,
    sum(day.sessions)::bigint AS sessions,
    sum(day.attempts)::bigint AS attempts,
    sum(day.cost) AS cost,
    sum(day.unpriced_wh) AS unpriced_wh,
    sum(day.idle_s) AS idle_s,
    sum(day.charging_s) AS charging_s,
    sum(day.plug_ins)::bigint AS plug_ins,
    sum(day.plug_ins_served)::bigint AS plug_ins_served,
    sum(day.up_s) AS up_s,
    sum(day.down_s) AS down_s,
    sum(day.unknown_s) AS unknown_s,
    sum(day.excluded_s) AS excluded_s,
    sum(day.plugged_s) AS plugged_s,
    sum(day.observed_s) AS observed_s,
    100 * sum(day.up_s) / nullif(sum(day.up_s) + sum(day.down_s), 0) AS technical_percent,
    100 * (sum(day.up_s) + sum(day.excluded_s)) / nullif(sum(day.up_s) + sum(day.down_s), 0) AS nevi_percent,
    100 * sum(day.charging_s) / nullif(sum(day.operational_s), 0) AS utilisation_percent,
    (100 * sum(day.plug_ins_served) / nullif(sum(day.plug_ins), 0))::double precision AS success_percent
FROM report.sums_of_days(%(first_day)s, %(last_day)s, %(charge_points)s) AS day;

-- name: totals_until
-- The figures of a period that ends at cut_at, within its last day: what an unfinished period is compared
-- with. Whole days come from their sums, the last one from quarters of an hour, sessions and states.
WITH whole AS (
    SELECT sums.*
    FROM report.sums_of_days(%(first_day)s, %(last_day)s::date - 1, %(charge_points)s) AS sums
),

days AS (
    SELECT
        sum(day.energy_wh) AS energy_wh,
        sum(day.sessions) AS sessions,
        sum(day.cost) AS cost,
        sum(day.idle_s) AS idle_s,
        sum(day.charging_s) AS charging_s
    FROM whole AS day
    UNION ALL
    SELECT
        sum(eb.energy_wh * part.share),
        NULL,
        sum(eb.cost * part.share),
        NULL,
        sum(eb.charging_s * part.share)
    FROM report.energy_bucket AS eb
    CROSS JOIN LATERAL (
        SELECT least(1, extract(EPOCH FROM %(cut_at)s - eb.started_at) / 900)::double precision AS share
    ) AS part
    WHERE
        eb.started_at >= %(last_midnight)s AND eb.started_at < %(cut_at)s
        AND (%(charge_points)s::text[] IS NULL OR eb.charge_point = ANY(%(charge_points)s))
    UNION ALL
    SELECT
        NULL,
        count(*) FILTER (WHERE NOT ses.is_attempt),
        NULL,
        sum(ses.idle_s),
        NULL
    FROM report.session AS ses
    WHERE
        ses.started_at >= %(last_midnight)s AND ses.started_at < %(cut_at)s
        AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
),

states AS (
    SELECT
        sum(day.up_s) AS up_s,
        sum(day.down_s) AS down_s,
        sum(day.operational_s) AS operational_s
    FROM whole AS day
    UNION ALL
    SELECT
        sum(part.seconds) FILTER (WHERE si.state NOT IN ('Faulted', 'Unavailable', 'offline', 'unknown')),
        sum(part.seconds) FILTER (WHERE si.state IN ('Faulted', 'Unavailable', 'offline')),
        sum(part.seconds) FILTER (WHERE si.state NOT IN ('Faulted', 'Unavailable', 'offline', 'unknown'))
    FROM report.state_interval AS si
    CROSS JOIN LATERAL (
        SELECT extract(EPOCH FROM least(si.ended_at, %(cut_at)s) - si.started_at)::double precision AS seconds
    ) AS part
    WHERE
        si.started_at >= %(last_midnight)s AND si.started_at < %(cut_at)s
        AND (%(charge_points)s::text[] IS NULL OR si.charge_point = ANY(%(charge_points)s))
)

SELECT
    used.energy_wh,
    used.sessions,
    used.cost,
    used.idle_s,
    100 * up.up_s / nullif(up.up_s + up.down_s, 0) AS technical_percent,
    100 * used.charging_s / nullif(up.operational_s, 0) AS utilisation_percent
FROM (
    SELECT
        sum(days.energy_wh) AS energy_wh,
        sum(days.sessions) AS sessions,
        sum(days.cost) AS cost,
        sum(days.idle_s) AS idle_s,
        sum(days.charging_s) AS charging_s
    FROM days
) AS used,
(
    SELECT
        coalesce(sum(states.up_s), 0) AS up_s,
        coalesce(sum(states.down_s), 0) AS down_s,
        sum(states.operational_s) AS operational_s
    FROM states
) AS up;

-- name: peak
-- The quarter of an hour with the highest coincident demand.
SELECT
    demand.started_at,
    demand.demand_w
FROM (
    SELECT
        sd.started_at,
        sum(sd.demand_w) AS demand_w
    FROM report.site_demand AS sd
    WHERE %(charge_points)s::text[] IS NULL AND sd.started_at >= %(since)s AND sd.started_at < %(until)s
    GROUP BY sd.started_at
    UNION ALL
    SELECT
        eb.started_at,
        sum(eb.mean_power_w)
    FROM report.energy_bucket AS eb
    WHERE eb.charge_point = ANY(%(charge_points)s) AND eb.started_at >= %(since)s AND eb.started_at < %(until)s
    GROUP BY eb.started_at
) AS demand
ORDER BY demand.demand_w DESC
LIMIT 1;

-- name: contracted_demand
-- The highest demand of each site beside what its tariff contracts at the end of the period, worst first.
-- The tariff is the site's own, else the general one. No row: none contracts a demand, more than one
-- is in force, or the charge points chosen are not all of the site.
WITH site AS (
    SELECT coalesce(cp.site, '') AS site
    FROM report.charge_point AS cp
    WHERE cp.registration = 'registered'
    GROUP BY 1
    HAVING %(charge_points)s::text[] IS NULL OR bool_and(cp.charge_point = ANY(%(charge_points)s))
),

in_force AS (
    SELECT DISTINCT
        tar.tariff_id,
        tar.site,
        tar.contracted_demand_kw
    FROM report.tariff AS tar
    WHERE tar.valid_from <= %(last_day)s AND (tar.valid_to IS NULL OR tar.valid_to > %(last_day)s)
),

contracted AS (
    SELECT
        site.site,
        max(tar.contracted_demand_kw) * 1000 AS contracted_w
    FROM site
    INNER JOIN in_force AS tar
        ON
            site.site = tar.site
            OR (tar.site IS NULL AND NOT EXISTS (SELECT FROM in_force AS own WHERE own.site = site.site))
    GROUP BY site.site
    HAVING count(*) = 1 AND count(tar.contracted_demand_kw) = 1
),

peak AS (
    SELECT
        coalesce(sd.site, '') AS site,
        max(sd.demand_w) AS demand_w
    FROM report.site_demand AS sd
    WHERE sd.started_at >= %(since)s AND sd.started_at < %(until)s
    GROUP BY 1
)

SELECT
    nullif(contracted.site, '') AS site,
    contracted.contracted_w,
    peak.demand_w,
    100 * peak.demand_w / contracted.contracted_w AS share_percent,
    (SELECT count(*) FROM site) AS sites
FROM contracted
LEFT JOIN peak ON contracted.site = peak.site
ORDER BY share_percent DESC NULLS LAST, contracted.site;

-- name: daily
-- Figures by local day, for the small curves beside the totals.
SELECT
    dates.day::date AS day,
    sums.energy_wh,
    sums.sessions,
    sums.cost,
    sums.unpriced_wh,
    sums.idle_s,
    sums.charging_s,
    100 * sums.up_s / nullif(sums.up_s + sums.down_s, 0) AS technical_percent,
    100 * sums.charging_s / nullif(sums.operational_s, 0) AS utilisation_percent
FROM generate_series(%(first_day)s::date, least(%(last_day)s::date, current_date + 1), INTERVAL '1 day') AS dates (day)
LEFT JOIN report.sums_of_days(%(first_day)s, %(last_day)s, %(charge_points)s) AS sums ON dates.day = sums.day
ORDER BY dates.day;

-- name: energy_by_charge_point
-- Energy by local day and charge point; beyond the seven that drew most the rest is one (NULL).
WITH ranked AS MATERIALIZED (
    SELECT
        sums.charge_point,
        row_number() OVER (ORDER BY sum(sums.energy_wh) DESC, sums.charge_point) AS place
    FROM (
        SELECT
            whole.charge_point,
            whole.energy_wh
        FROM report.connector_month AS whole
        WHERE whole.month >= %(first_day)s AND report.last_day_of(whole.month) <= %(last_day)s
        UNION ALL
        SELECT
            con.charge_point,
            con.energy_wh
        FROM report.parts_of_period(%(first_day)s, %(last_day)s) AS part
        INNER JOIN report.consumption_day AS con ON con.day BETWEEN part.part_first AND part.part_last
    ) AS sums
    WHERE
        sums.energy_wh IS NOT NULL
        AND (%(charge_points)s::text[] IS NULL OR sums.charge_point = ANY(%(charge_points)s))
    GROUP BY sums.charge_point
),

highest AS MATERIALIZED (
    SELECT
        con.day,
        con.charge_point,
        sum(con.energy_wh) AS energy_wh
    FROM report.consumption_day AS con
    WHERE
        con.day BETWEEN %(first_day)s AND %(last_day)s
        AND con.charge_point = ANY(ARRAY(SELECT first_.charge_point FROM ranked AS first_ WHERE first_.place <= 7))
    GROUP BY con.day, con.charge_point
),

shown AS (
    SELECT
        highest.day,
        sum(highest.energy_wh) AS energy_wh
    FROM highest
    GROUP BY highest.day
)

SELECT
    highest.day,
    highest.charge_point,
    cp.name,
    ranked.place,
    highest.energy_wh
FROM highest
INNER JOIN ranked ON highest.charge_point = ranked.charge_point
INNER JOIN report.charge_point AS cp ON highest.charge_point = cp.charge_point
UNION ALL
SELECT
    sums.day,
    NULL,
    NULL,
    8,
    greatest(sums.energy_wh - coalesce(shown.energy_wh, 0), 0)
FROM report.sums_of_days(%(first_day)s, %(last_day)s, %(charge_points)s) AS sums
LEFT JOIN shown ON sums.day = shown.day
WHERE sums.energy_wh IS NOT NULL AND EXISTS (SELECT FROM ranked AS rest WHERE rest.place > 7)
ORDER BY 4, 1;

-- name: week_pattern
-- Mean energy by weekday (1 = Monday) and hour of the local clock, over those hours of the period that have begun.
WITH drawn AS (
    SELECT
        sd.started_at,
        sd.energy_wh
    FROM report.site_demand AS sd
    WHERE %(charge_points)s::text[] IS NULL AND sd.started_at >= %(since)s AND sd.started_at < %(until)s
    UNION ALL
    SELECT
        bucket.started_at,
        bucket.energy_wh
    FROM report.energy_bucket AS bucket
    WHERE bucket.charge_point = ANY(%(charge_points)s) AND bucket.started_at >= %(since)s AND bucket.started_at < %(until)s
),

summed AS (
    SELECT
        extract(ISODOW FROM drawn.started_at AT TIME ZONE 'America/Sao_Paulo')::integer AS weekday,
        extract(HOUR FROM drawn.started_at AT TIME ZONE 'America/Sao_Paulo')::integer AS hour,
        sum(drawn.energy_wh) AS energy_wh
    FROM drawn
    GROUP BY 1, 2
),

begun AS (
    SELECT
        extract(ISODOW FROM each.at AT TIME ZONE 'America/Sao_Paulo')::integer AS weekday,
        extract(HOUR FROM each.at AT TIME ZONE 'America/Sao_Paulo')::integer AS hour,
        count(*) AS hours
    FROM generate_series(
        %(since)s::timestamptz, least(%(until)s::timestamptz, now()) - INTERVAL '1 second', INTERVAL '1 hour'
    ) AS each (at)
    GROUP BY 1, 2
)

SELECT
    summed.weekday,
    summed.hour,
    summed.energy_wh / begun.hours AS energy_wh
FROM summed
INNER JOIN begun ON summed.weekday = begun.weekday AND summed.hour = begun.hour
ORDER BY 1, 2;

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

-- name: sessions
-- Sessions that began in the period, newest first: so many rows of all that fit the filters; rows NULL: every one.
SELECT
    ses.charge_point,
    cp.name,
    ses.connector_id,
    ses.transaction_id,
    ses.id_tag_alias,
    ses.started_at,
    ses.stopped_at,
    ses.is_open,
    ses.is_attempt,
    ses.duration_s,
    ses.energy_wh,
    ses.energy_source,
    ses.energy_integral_wh,
    ses.energy_delta_percent,
    ses.soc_start_percent,
    ses.soc_end_percent,
    ses.peak_power_w,
    ses.mean_power_w,
    ses.idle_s,
    ses.stop_reason,
    ses.cost,
    ses.unpriced_wh,
    ses.current_type,
    nullif(ses.visit_id, ses.transaction_id) AS continues,
    ses.soc_is_extrapolated,
    ses.pack_estimate_wh,
    array_to_string(ses.flags, ', ') AS flags
FROM report.session AS ses
INNER JOIN report.charge_point AS cp ON ses.charge_point = cp.charge_point
WHERE
    ses.started_at >= %(since)s
    AND ses.started_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
    AND (%(connector_id)s::integer IS NULL OR ses.connector_id = %(connector_id)s)
    AND (%(tag)s::text IS NULL OR strpos(lower(ses.id_tag_alias), lower(%(tag)s)) > 0)
    AND (%(min_wh)s::double precision IS NULL OR ses.energy_wh >= %(min_wh)s)
    AND (%(max_wh)s::double precision IS NULL OR ses.energy_wh <= %(max_wh)s)
    AND (%(min_s)s::double precision IS NULL OR ses.duration_s >= %(min_s)s)
    AND (%(max_s)s::double precision IS NULL OR ses.duration_s <= %(max_s)s)
    AND (%(reason)s::text IS NULL OR ses.stop_reason = %(reason)s)
    AND (%(kind)s::text <> 'open' OR ses.is_open)
    AND (%(kind)s::text <> 'flagged' OR ses.flags <> '{}')
    AND (%(kind)s::text <> 'estimated' OR ses.energy_source NOT IN ('register', 'register_series'))
    AND (%(kind)s::text <> 'served' OR NOT ses.is_attempt)
ORDER BY ses.started_at DESC, ses.transaction_id DESC
LIMIT %(rows)s;

-- name: session_totals
-- Count, energy and time of the sessions that fit the filters. Attempts are no sessions, but their energy counts.
-- With no filter at all they were added up by day.
WITH asked AS (
    SELECT
        (
            %(charge_points)s::text[] IS NULL AND %(connector_id)s::integer IS NULL AND %(tag)s::text IS NULL
            AND %(min_wh)s::double precision IS NULL AND %(max_wh)s::double precision IS NULL
            AND %(min_s)s::double precision IS NULL AND %(max_s)s::double precision IS NULL
            AND %(reason)s::text IS NULL AND %(kind)s::text = 'all'
        ) AS for_all
),

part AS (
    SELECT
        day.sessions,
        day.energy_wh,
        day.duration_s,
        day.idle_s,
        day.cost,
        day.unpriced_wh,
        day.attempts,
        day.unknown_energy,
        day.continued
    FROM report.session_day AS day
    WHERE (SELECT asked.for_all FROM asked) AND day.day BETWEEN %(first_day)s AND %(last_day)s
    UNION ALL
    SELECT
        count(*) FILTER (WHERE NOT ses.is_attempt),
        sum(ses.energy_wh),
        sum(ses.duration_s),
        sum(ses.idle_s),
        sum(ses.cost),
        sum(ses.unpriced_wh),
        count(*) FILTER (WHERE ses.is_attempt),
        count(*) FILTER (WHERE ses.energy_wh IS NULL),
        count(*) FILTER (WHERE ses.visit_id <> ses.transaction_id)
    FROM report.session AS ses
    WHERE
        NOT (SELECT asked.for_all FROM asked)
        AND ses.started_at >= %(since)s
        AND ses.started_at < %(until)s
        AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
        AND (%(connector_id)s::integer IS NULL OR ses.connector_id = %(connector_id)s)
        AND (%(tag)s::text IS NULL OR strpos(lower(ses.id_tag_alias), lower(%(tag)s)) > 0)
        AND (%(min_wh)s::double precision IS NULL OR ses.energy_wh >= %(min_wh)s)
        AND (%(max_wh)s::double precision IS NULL OR ses.energy_wh <= %(max_wh)s)
        AND (%(min_s)s::double precision IS NULL OR ses.duration_s >= %(min_s)s)
        AND (%(max_s)s::double precision IS NULL OR ses.duration_s <= %(max_s)s)
        AND (%(reason)s::text IS NULL OR ses.stop_reason = %(reason)s)
        AND (%(kind)s::text <> 'open' OR ses.is_open)
        AND (%(kind)s::text <> 'flagged' OR ses.flags <> '{}')
        AND (%(kind)s::text <> 'estimated' OR ses.energy_source NOT IN ('register', 'register_series'))
        AND (%(kind)s::text <> 'served' OR NOT ses.is_attempt)
)

SELECT
    coalesce(sum(part.sessions), 0)::bigint AS sessions,
    sum(part.energy_wh) AS energy_wh,
    sum(part.duration_s) AS duration_s,
    sum(part.idle_s) AS idle_s,
    sum(part.cost) AS cost,
    sum(part.unpriced_wh) AS unpriced_wh,
    coalesce(sum(part.attempts), 0)::bigint AS attempts,
    coalesce(sum(part.unknown_energy), 0)::bigint AS unknown_energy,
    coalesce(sum(part.continued), 0)::bigint AS continued
FROM part;

-- name: session
-- One session, whole.
SELECT
    ses.*,
    cp.name,
    cp.vendor,
    cp.model
FROM report.session AS ses
INNER JOIN report.charge_point AS cp ON ses.charge_point = cp.charge_point
WHERE ses.transaction_id = %(transaction_id)s;

-- name: session_visit
-- The sessions of one plug-in taken together.
SELECT
    vis.started_at,
    vis.stopped_at,
    vis.energy_wh,
    vis.sessions,
    vis.transaction_ids
FROM report.visit AS vis
WHERE vis.visit_id = %(visit_id)s;

-- name: session_neighbours
-- The sessions of the same connector just before and after.
SELECT
    (
        SELECT prev.transaction_id FROM report.session AS prev
        WHERE
            prev.charge_point = %(charge_point)s AND prev.connector_id = %(connector_id)s
            AND prev.started_at < %(started_at)s
        ORDER BY prev.started_at DESC
        LIMIT 1
    ) AS earlier,
    (
        SELECT next_.transaction_id FROM report.session AS next_
        WHERE
            next_.charge_point = %(charge_point)s AND next_.connector_id = %(connector_id)s
            AND next_.started_at > %(started_at)s
        ORDER BY next_.started_at
        LIMIT 1
    ) AS later;

-- name: session_curve
-- Readings of a session in buckets of width_s seconds; with 1 s every reading stands alone.
SELECT
    time_bucket(make_interval(secs => %(width_s)s), mv.sampled_at) AS at,
    avg(mv.power_w)::double precision AS power_w,
    min(mv.power_w)::double precision AS power_min_w,
    max(mv.power_w)::double precision AS power_max_w,
    avg(mv.power_offered_w)::double precision AS power_offered_w,
    avg(mv.soc_percent)::double precision AS soc_percent,
    avg(mv.voltage_v)::double precision AS voltage_v,
    avg(mv.current_a)::double precision AS current_a,
    avg(mv.temperature_c)::double precision AS temperature_c,
    max(mv.energy_wh) AS energy_wh,
    count(*) AS readings
FROM report.meter_value AS mv
WHERE
    mv.charge_point = %(charge_point)s
    AND mv.connector_id = %(connector_id)s
    AND mv.sampled_at BETWEEN %(since)s AND %(until)s
    AND (mv.transaction_id = %(transaction_id)s OR mv.transaction_id IS NULL)
GROUP BY 1
ORDER BY 1
LIMIT 2000;

-- name: session_readings
-- Every reading of a session.
SELECT
    mv.sampled_at,
    mv.charge_point,
    mv.connector_id,
    mv.transaction_id,
    mv.context,
    mv.energy_wh,
    mv.power_w::double precision AS power_w,
    mv.soc_percent::double precision AS soc_percent,
    mv.voltage_v::double precision AS voltage_v,
    mv.current_a::double precision AS current_a,
    mv.temperature_c::double precision AS temperature_c,
    mv.current_offered_a::double precision AS current_offered_a,
    mv.power_offered_w::double precision AS power_offered_w,
    mv.extra::text AS extra,
    mv.origin
FROM report.meter_value AS mv
WHERE
    mv.charge_point = %(charge_point)s
    AND mv.connector_id = %(connector_id)s
    AND mv.sampled_at BETWEEN %(since)s AND %(until)s
    AND (mv.transaction_id = %(transaction_id)s OR mv.transaction_id IS NULL)
ORDER BY mv.sampled_at, mv.context
LIMIT 200000;

-- name: session_phases
-- Voltage and current by phase, where the charge point sends phases.
SELECT
    time_bucket(make_interval(secs => %(width_s)s), mv.sampled_at) AS at,
    split_part(part.key, '@', 1) AS measurand,
    avg(part.value::text::double precision) AS value
FROM report.meter_value AS mv
CROSS JOIN LATERAL jsonb_each(mv.extra) AS part (key, value)
WHERE
    mv.charge_point = %(charge_point)s
    AND mv.connector_id = %(connector_id)s
    AND mv.sampled_at BETWEEN %(since)s AND %(until)s
    AND mv.transaction_id = %(transaction_id)s
    AND jsonb_typeof(part.value) = 'number'
    AND part.key ~ '^(Voltage|Current\.Import)\.L[123](-N)?(@Outlet)?$'
GROUP BY 1, 2
ORDER BY 2, 1
LIMIT 4000;

-- name: session_gaps
-- Stretches of a session without readings: longer than 5 min and than three sample periods.
WITH spaced AS (
    SELECT
        mv.sampled_at AS started_at,
        lead(mv.sampled_at, 1, %(until)s::timestamptz) OVER (ORDER BY mv.sampled_at) AS ended_at
    FROM report.meter_value AS mv
    WHERE
        mv.charge_point = %(charge_point)s
        AND mv.connector_id = %(connector_id)s
        AND mv.sampled_at BETWEEN %(since)s AND %(until)s
        AND (mv.transaction_id = %(transaction_id)s OR mv.transaction_id IS NULL)
),

usual AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY spaced.ended_at - spaced.started_at) AS period
    FROM spaced
    WHERE spaced.ended_at > spaced.started_at
)

SELECT
    spaced.started_at,
    spaced.ended_at
FROM spaced, usual
WHERE spaced.ended_at - spaced.started_at > greatest(INTERVAL '5 minutes', 3 * usual.period)
ORDER BY spaced.started_at
LIMIT 200;

-- name: session_statuses
-- Status changes around a session.
SELECT
    st.at,
    st.connector_id,
    st.status,
    st.error_code
FROM report.status AS st
WHERE
    st.charge_point = %(charge_point)s
    AND st.connector_id IN (0, %(connector_id)s)
    AND st.at BETWEEN %(since)s::timestamptz - INTERVAL '5 minutes' AND %(until)s::timestamptz + INTERVAL '10 minutes'
ORDER BY st.at
LIMIT 200;

-- name: session_postos
-- Energy and cost of a session by tariff period.
SELECT
    eb.posto,
    sum(eb.energy_wh) AS energy_wh,
    sum(eb.cost) AS cost
FROM report.energy_bucket AS eb
WHERE
    eb.transaction_id = %(transaction_id)s
    AND eb.started_at BETWEEN %(since)s::timestamptz - INTERVAL '15 minutes' AND %(until)s
GROUP BY eb.posto
ORDER BY eb.posto;

-- name: session_frames
-- Exchanges of a session and around it. A charge point that was offline tells a session later than it was, so
-- its frames are sought from where its start arrived to where its stop did. Of the MeterValues and Heartbeats only
-- the first and last two, of all only the head and the tail: omitted says how many of action lie between, dropped how
-- many of any.
WITH opening AS MATERIALIZED (
    SELECT ex.received_at
    FROM report.ocpp_exchange AS ex
    WHERE
        ex.charge_point = %(charge_point)s
        AND ex.received_at BETWEEN %(since)s::timestamptz - INTERVAL '1 day' AND coalesce(
            (SELECT tx.changed_at FROM report.transaction AS tx WHERE tx.transaction_id = %(transaction_id)s), now()
        ) + INTERVAL '1 minute'
        AND ex.action = 'StartTransaction'
        AND substring(ex.answer FROM '"transactionId"\s*:\s*(-?\d+)') = %(transaction_id)s::text
    ORDER BY ex.received_at
    LIMIT 1
),

closing AS MATERIALIZED (
    SELECT ex.received_at
    FROM report.ocpp_exchange AS ex
    WHERE
        ex.charge_point = %(charge_point)s
        AND ex.received_at BETWEEN
        coalesce((SELECT op.received_at FROM opening AS op), %(since)s::timestamptz - INTERVAL '2 minutes')
        AND coalesce(
            (SELECT tx.changed_at FROM report.transaction AS tx WHERE tx.transaction_id = %(transaction_id)s), now()
        ) + INTERVAL '1 minute'
        AND ex.action = 'StopTransaction'
        AND substring(ex.raw FROM '"transactionId"\s*:\s*(-?\d+)') IN (%(transaction_id)s::text, '0', '-1')
    ORDER BY ex.received_at
    LIMIT 1
),

bound AS MATERIALIZED (
    SELECT
        coalesce(op.received_at, %(since)s) AS opened_at,
        coalesce(
            cl.received_at,
            greatest(%(until)s, op.received_at + (%(until)s::timestamptz - %(since)s::timestamptz))
        ) AS closed_at
    FROM (VALUES (1)) AS only_row (number)
    LEFT JOIN opening AS op ON TRUE
    LEFT JOIN closing AS cl ON TRUE
),

told AS (
    SELECT
        ex.received_at,
        ex.direction,
        ex.message_type,
        ex.message_id,
        ex.action,
        ex.raw,
        ex.answered_at,
        ex.answer,
        substring(ex.raw FROM '"transactionId"\s*:\s*(-?\d+)') AS number,
        substring(ex.raw FROM '"connectorId"\s*:\s*(\d+)') AS connector,
        substring(ex.raw FROM '"timestamp"\s*:\s*"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)') AS clock,
        ex.raw ~ '"timestamp"\s*:\s*"[^"]{10,}(Z|[+-]00:?00)"' AS is_utc,
        ex.action IN ('StartTransaction', 'MeterValues', 'StopTransaction') AS is_own,
        ex.received_at BETWEEN %(since)s::timestamptz - INTERVAL '2 minutes' AND %(until)s::timestamptz + INTERVAL '2 minutes'
        OR ex.received_at BETWEEN bound.opened_at - INTERVAL '2 minutes' AND bound.opened_at + INTERVAL '2 minutes'
        OR ex.received_at BETWEEN bound.closed_at - INTERVAL '2 minutes' AND bound.closed_at + INTERVAL '2 minutes'
        -- Told while it happened, by a clock that may be hours off.
        OR bound.closed_at - bound.opened_at
        < %(until)s::timestamptz - %(since)s::timestamptz + INTERVAL '10 minutes' AS is_near
    FROM report.ocpp_exchange AS ex
    CROSS JOIN bound
    WHERE
        ex.charge_point = %(charge_point)s
        AND ex.received_at BETWEEN
        (SELECT bo.opened_at FROM bound AS bo) - INTERVAL '2 minutes'
        AND (SELECT bo.closed_at FROM bound AS bo) + INTERVAL '2 minutes'
),

around AS (
    SELECT told.*
    FROM told
    WHERE
        (told.is_near OR told.is_own)
        -- What is of other transactions, connectors and times is not of this session.
        AND CASE
            WHEN told.action = 'StartTransaction' AND told.message_type = 2
                THEN
                    coalesce(
                        substring(told.answer FROM '"transactionId"\s*:\s*(-?\d+)') = %(transaction_id)s::text,
                        told.connector = %(connector_id)s::text
                    )
            ELSE coalesce(told.number IN (%(transaction_id)s::text, '0', '-1'), told.action <> 'StopTransaction', TRUE)
        END
        AND coalesce(told.connector IN ('0', %(connector_id)s::text), TRUE)
        AND CASE
            WHEN told.number = %(transaction_id)s::text OR told.clock IS NULL THEN TRUE
            WHEN NOT pg_input_is_valid(told.clock, 'timestamp') THEN TRUE
            WHEN told.is_utc
                THEN
                    told.clock::timestamp AT TIME ZONE 'UTC'
                    BETWEEN %(since)s::timestamptz - INTERVAL '15 minutes' AND %(until)s::timestamptz + INTERVAL '15 minutes'
            ELSE
                told.clock::timestamp AT TIME ZONE 'UTC'
                BETWEEN %(since)s::timestamptz - INTERVAL '1 day' AND %(until)s::timestamptz + INTERVAL '1 day'
        END
),

counted AS (
    SELECT
        around.*,
        row_number() OVER (PARTITION BY around.action ORDER BY around.received_at, around.message_id) AS nth,
        count(*) OVER (PARTITION BY around.action) AS of_action
    FROM around
    WHERE
        -- The answer to a command goes where the command goes.
        around.direction = 'out' OR around.message_type IS NULL OR around.message_type = 2
        OR EXISTS (
            SELECT 1 FROM around AS call
            WHERE call.direction = 'out' AND call.message_type = 2 AND call.message_id = around.message_id
        )
),

shown AS (
    SELECT
        counted.*,
        CASE
            WHEN counted.action IN ('MeterValues', 'Heartbeat') AND counted.nth = 2 AND counted.of_action > 4
                THEN counted.of_action - 4
            ELSE 0
        END AS omitted,
        row_number() OVER (ORDER BY counted.received_at, counted.message_id) AS place,
        count(*) OVER () AS places
    FROM counted
    WHERE
        counted.action IS NULL OR counted.action NOT IN ('MeterValues', 'Heartbeat')
        OR counted.nth <= 2 OR counted.nth > counted.of_action - 2
)

SELECT
    shown.received_at,
    shown.direction,
    shown.message_type,
    shown.message_id,
    shown.action,
    left(shown.raw, 2000) AS raw,
    shown.answered_at,
    left(shown.answer, 1000) AS answer,
    shown.omitted,
    CASE WHEN shown.place = 40 AND shown.places > 80 THEN shown.places - 80 ELSE 0 END AS dropped
FROM shown
WHERE shown.place <= 40 OR shown.place > shown.places - 40
ORDER BY shown.place;

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

-- name: energy_series
-- Energy in steps of a quarter of an hour or an hour by tariff period.
SELECT
    time_bucket(make_interval(secs => %(width_s)s), eb.started_at) AS at,
    eb.posto,
    sum(eb.energy_wh) AS energy_wh
FROM report.energy_bucket AS eb
WHERE
    eb.started_at >= %(since)s
    AND eb.started_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR eb.charge_point = ANY(%(charge_points)s))
GROUP BY 1, 2
ORDER BY 1, 2
LIMIT 6000;

-- name: energy_days
-- Energy by local day or month (grain) and tariff period; none_wh: what no tariff says the posto of.
SELECT
    date_trunc(%(grain)s, sums.day::timestamp)::date AS day,
    sum(sums.ponta_wh) AS ponta_wh,
    sum(sums.intermediario_wh) AS intermediario_wh,
    sum(sums.fora_ponta_wh) AS fora_ponta_wh,
    greatest(sum(sums.energy_wh - sums.ponta_wh - sums.intermediario_wh - sums.fora_ponta_wh), 0) AS none_wh,
    sum(sums.energy_wh) AS energy_wh
FROM report.sums_of_days(%(first_day)s, %(last_day)s, %(charge_points)s) AS sums
WHERE sums.energy_wh IS NOT NULL
GROUP BY 1
ORDER BY 1;

-- name: demand_duration
-- Demand by how much of the period reached it, zeros left out: for hours of the period it was demand_w or more.
-- The highest 200 quarters one by one, so that no peak hides in a step; the rest in 200 steps.
WITH demand AS (
    SELECT
        sd.started_at,
        sum(sd.demand_w) AS demand_w
    FROM report.site_demand AS sd
    WHERE %(charge_points)s::text[] IS NULL AND sd.started_at >= %(since)s AND sd.started_at < %(until)s
    GROUP BY sd.started_at
    UNION ALL
    SELECT
        eb.started_at,
        sum(eb.mean_power_w)
    FROM report.energy_bucket AS eb
    WHERE eb.charge_point = ANY(%(charge_points)s) AND eb.started_at >= %(since)s AND eb.started_at < %(until)s
    GROUP BY eb.started_at
),

ordered AS (
    SELECT
        demand.demand_w,
        row_number() OVER (ORDER BY demand.demand_w DESC) AS place,
        count(*) OVER () AS places
    FROM demand
    WHERE demand.demand_w > 0
)

SELECT
    max(ordered.place) / 4.0 AS hours,
    min(ordered.demand_w) AS demand_w
FROM ordered
GROUP BY CASE WHEN ordered.place <= 200 THEN ordered.place ELSE 200 + ceil(ordered.place * 200.0 / ordered.places) END
ORDER BY 1;

-- name: peaks
-- The ten highest quarters of an hour and who drew in them.
WITH demand AS (
    SELECT
        sd.started_at,
        sum(sd.demand_w) AS demand_w
    FROM report.site_demand AS sd
    WHERE %(charge_points)s::text[] IS NULL AND sd.started_at >= %(since)s AND sd.started_at < %(until)s
    GROUP BY sd.started_at
    UNION ALL
    SELECT
        eb.started_at,
        sum(eb.mean_power_w)
    FROM report.energy_bucket AS eb
    WHERE eb.charge_point = ANY(%(charge_points)s) AND eb.started_at >= %(since)s AND eb.started_at < %(until)s
    GROUP BY eb.started_at
),

highest AS (
    SELECT
        demand.started_at,
        demand.demand_w
    FROM demand
    ORDER BY demand.demand_w DESC, demand.started_at
    LIMIT 10
),

place AS (
    SELECT
        cp.charge_point,
        cp.name || CASE WHEN count(*) OVER (PARTITION BY cp.name) > 1 THEN ' (' || cp.charge_point || ')' ELSE '' END AS name
    FROM report.charge_point AS cp
)

SELECT
    highest.started_at,
    highest.demand_w,
    string_agg(place.name || ' / ' || eb.connector_id, ', ' ORDER BY eb.energy_wh DESC) AS who
FROM highest
INNER JOIN report.energy_bucket AS eb ON highest.started_at = eb.started_at
INNER JOIN place ON eb.charge_point = place.charge_point
WHERE
    eb.energy_wh > 0
    AND eb.started_at >= %(since)s
    AND eb.started_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR eb.charge_point = ANY(%(charge_points)s))
GROUP BY 1, 2
ORDER BY 2 DESC, 1;

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

-- name: nevi_sessions
-- The sessions of 23 CFR 680.112, less payment. error_codes: what the connector told from start to last evidence.
WITH chosen AS MATERIALIZED (
    SELECT
        ses.charge_point,
        ses.connector_id,
        ses.transaction_id,
        ses.started_at,
        ses.stopped_at,
        ses.last_evidence_at,
        ses.energy_wh,
        ses.peak_power_w,
        ses.stop_reason,
        array_to_string(ses.flags, ', ') AS flags
    FROM report.session AS ses
    WHERE
        ses.started_at >= %(since)s
        AND ses.started_at < %(until)s
        AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
),

told AS (
    SELECT
        chosen.transaction_id,
        string_agg(DISTINCT st.error_code, ', ') AS error_codes
    FROM chosen
    INNER JOIN report.status AS st ON chosen.charge_point = st.charge_point AND chosen.connector_id = st.connector_id
    WHERE
        st.at BETWEEN chosen.started_at AND chosen.last_evidence_at
        AND st.at >= %(since)s
        AND st.at <= (SELECT max(any_.last_evidence_at) FROM chosen AS any_)
        AND st.error_code <> 'NoError'
    GROUP BY chosen.transaction_id
)

SELECT
    chosen.charge_point,
    chosen.connector_id,
    chosen.transaction_id,
    chosen.started_at,
    chosen.stopped_at,
    chosen.energy_wh,
    chosen.peak_power_w,
    told.error_codes,
    chosen.stop_reason,
    chosen.flags
FROM chosen
LEFT JOIN told ON chosen.transaction_id = told.transaction_id
ORDER BY chosen.started_at DESC, chosen.transaction_id DESC;

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

-- name: costs
-- Energy and cost of the period by charge point and tariff period.
SELECT
    con.charge_point,
    cp.name,
    sum(con.energy_wh) AS energy_wh,
    sum(con.unpriced_wh) AS unpriced_wh,
    sum(con.cost) AS cost,
    sum(con.cost_ponta) AS cost_ponta,
    sum(con.cost_intermediario) AS cost_intermediario,
    sum(con.cost_fora_ponta) AS cost_fora_ponta,
    sum(con.cost_if_fora_ponta) AS cost_if_fora_ponta,
    sum(con.ponta_wh) AS ponta_wh,
    sum(con.intermediario_wh) AS intermediario_wh,
    sum(con.fora_ponta_wh) AS fora_ponta_wh
FROM (
    SELECT
        whole.charge_point,
        whole.energy_wh,
        whole.unpriced_wh,
        whole.cost,
        whole.cost_ponta,
        whole.cost_intermediario,
        whole.cost_fora_ponta,
        whole.cost_if_fora_ponta,
        whole.ponta_wh,
        whole.intermediario_wh,
        whole.fora_ponta_wh
    FROM report.connector_month AS whole
    WHERE whole.month >= %(first_day)s AND report.last_day_of(whole.month) <= %(last_day)s
    UNION ALL
    SELECT
        con.charge_point,
        con.energy_wh,
        con.unpriced_wh,
        con.cost,
        con.cost_ponta,
        con.cost_intermediario,
        con.cost_fora_ponta,
        con.cost_if_fora_ponta,
        con.ponta_wh,
        con.intermediario_wh,
        con.fora_ponta_wh
    FROM report.parts_of_period(%(first_day)s, %(last_day)s) AS part
    INNER JOIN report.consumption_day AS con ON con.day BETWEEN part.part_first AND part.part_last
) AS con
INNER JOIN report.charge_point AS cp ON con.charge_point = cp.charge_point
WHERE
    con.energy_wh IS NOT NULL
    AND (%(charge_points)s::text[] IS NULL OR con.charge_point = ANY(%(charge_points)s))
GROUP BY con.charge_point, cp.name
ORDER BY energy_wh DESC;

-- name: costs_by_tag
-- Energy and cost of the sessions begun in the period by who charged: so many rows of all; rows NULL: every one.
-- Summed by identifier first: an alias is looked up once for each.
WITH part AS (
    SELECT
        nullif(sums.id_tag_key, '') AS id_tag_key,
        sums.sessions,
        sums.attempts,
        sums.energy_wh,
        sums.cost,
        sums.unpriced_wh
    FROM report.tags_of_period(%(first_day)s, %(last_day)s) AS sums
    WHERE %(charge_points)s::text[] IS NULL
    UNION ALL
    SELECT
        upper(btrim(tx.id_tag)),
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        sum(ses.energy_wh),
        sum(ses.cost),
        sum(ses.unpriced_wh)
    FROM report.session AS ses
    INNER JOIN report.transaction AS tx ON ses.transaction_id = tx.transaction_id
    WHERE
        ses.started_at >= %(since)s
        AND ses.started_at < %(until)s
        AND %(charge_points)s::text[] IS NOT NULL
        AND ses.charge_point = ANY(%(charge_points)s)
    GROUP BY upper(btrim(tx.id_tag))
),

by_id_tag AS (
    SELECT
        part.id_tag_key,
        sum(part.sessions)::bigint AS sessions,
        sum(part.attempts)::bigint AS attempts,
        sum(part.energy_wh) AS energy_wh,
        sum(part.cost) AS cost,
        sum(part.unpriced_wh) AS unpriced_wh
    FROM part
    GROUP BY part.id_tag_key
)

SELECT
    coalesce(tag.id_tag_alias, 'tag-' || left(md5(by_id_tag.id_tag_key), 6), '—') AS id_tag_alias,
    by_id_tag.sessions,
    by_id_tag.attempts,
    by_id_tag.energy_wh,
    by_id_tag.cost,
    by_id_tag.unpriced_wh,
    count(*) OVER () AS of_all
FROM by_id_tag
LEFT JOIN report.id_tag AS tag ON by_id_tag.id_tag_key = upper(btrim(tag.id_tag))
ORDER BY by_id_tag.energy_wh DESC NULLS LAST, by_id_tag.id_tag_key
LIMIT %(rows)s;

-- name: tariffs
-- Tariffs with their periods, newest first. valid_to: the last day.
SELECT
    tar.tariff_id,
    tar.name,
    tar.consumer_group,
    tar.modality,
    tar.site,
    tar.valid_from,
    tar.valid_to - 1 AS valid_to,
    tar.posto,
    to_char(tar.from_time, 'HH24:MI') AS from_time,
    to_char(tar.to_time, 'HH24:MI') AS to_time,
    tar.price_per_kwh,
    tar.full_price_per_kwh,
    tar.contracted_demand_kw,
    tar.demand_price_per_kw,
    tar.source,
    tar.author
FROM report.tariff AS tar
ORDER BY tar.valid_from DESC, tar.tariff_id, tar.from_time NULLS FIRST
LIMIT 300;

-- name: co2
-- The factors of the CO2 estimate.
SELECT
    co2.grid_kg_per_kwh,
    co2.combustion_kg_per_km,
    co2.consumption_kwh_per_km,
    co2.avoided_kg_per_kwh,
    co2.grid_source,
    co2.combustion_source,
    co2.consumption_source
FROM report.co2;

-- name: demand_months
-- What the demand of the sites costs, for the months the period touches; of the chosen charge points' sites.
SELECT
    dm.month,
    dm.site,
    dm.tariff,
    dm.days,
    dm.contracted_demand_kw,
    dm.measured_demand_kw,
    dm.measured_at,
    dm.billed_demand_kw,
    dm.full_price_per_kw,
    dm.demand_cost
FROM report.demand_month AS dm
WHERE
    dm.month >= date_trunc('month', %(first_day)s::timestamp)::date AND dm.month <= %(last_day)s
    AND (
        %(charge_points)s::text[] IS NULL
        OR EXISTS (
            SELECT FROM report.charge_point AS cp
            WHERE cp.charge_point = ANY(%(charge_points)s) AND cp.site IS NOT DISTINCT FROM dm.site
        )
    )
ORDER BY dm.month DESC, dm.site, dm.days DESC;

-- name: settings
-- The numbers that formulas use.
SELECT
    setting.name,
    setting.value,
    setting.unit,
    setting.meaning,
    setting.source,
    setting.source_year,
    setting.updated_at,
    setting.updated_by
FROM report.setting
ORDER BY setting.name;

-- name: reports
-- Reports of a month and of the quarter it lies in, without their content; charge_point NULL: of the network.
SELECT
    rep.report_file_id,
    rep.kind,
    rep.period_start,
    rep.charge_point,
    rep.language,
    rep.format,
    rep.file_name,
    rep.bytes,
    rep.created_at
FROM report.monthly_report AS rep
WHERE
    (
        (rep.kind = 'monthly' AND rep.period_start = %(month)s::date)
        OR (rep.kind <> 'monthly' AND rep.period_start = date_trunc('quarter', %(month)s::date)::date)
    )
    AND rep.charge_point IS NOT DISTINCT FROM %(charge_point)s::text
ORDER BY rep.kind, rep.language DESC, rep.format;

-- name: oldest_report
-- The first month there is a report of; NULL: there is none.
SELECT min(rep.period_start) AS month
FROM report.monthly_report AS rep;

-- name: report_content
-- One report file.
SELECT rep.content
FROM report.monthly_report AS rep
WHERE rep.report_file_id = %(report_file_id)s;

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

-- name: messages
-- Frames of a window, newest first; the answer to a CALL stands beside it, whoever sent it. kind: errors (CALLERROR, or
-- unreadable), unanswered, aside (a piece of it could not become a fact).
SELECT
    ex.received_at,
    ex.charge_point,
    ex.direction,
    ex.message_type,
    ex.action,
    ex.message_id,
    extract(EPOCH FROM coalesce(ex.answered_at, theirs.received_at) - ex.received_at) * 1000 AS latency_ms,
    left(ex.raw, 4000) AS raw,
    left(coalesce(ex.answer, theirs.raw), 4000) AS answer,
    CASE WHEN %(kind)s::text = 'aside' THEN kept.reasons END AS set_aside
FROM report.ocpp_exchange AS ex
LEFT JOIN LATERAL (
    SELECT reply.received_at, reply.raw
    FROM report.ocpp_exchange AS reply
    WHERE
        ex.direction = 'out' AND ex.message_type = 2
        AND reply.charge_point = ex.charge_point
        AND reply.received_at BETWEEN ex.received_at AND ex.received_at + INTERVAL '1 hour'
        AND reply.direction = 'in' AND reply.message_type IN (3, 4) AND reply.message_id = ex.message_id
    ORDER BY reply.received_at
    LIMIT 1
) AS theirs ON TRUE
LEFT JOIN LATERAL (
    SELECT string_agg(DISTINCT aside.reason, '; ') AS reasons
    FROM report.set_aside AS aside
    WHERE
        %(kind)s::text = 'aside'
        AND aside.charge_point = ex.charge_point
        AND aside.received_at = ex.received_at
) AS kept ON TRUE
WHERE
    ex.received_at >= %(since)s
    AND ex.received_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR ex.charge_point = ANY(%(charge_points)s))
    AND (%(action)s::text IS NULL OR ex.action = %(action)s)
    AND (%(direction)s::text IS NULL OR ex.direction = %(direction)s)
    AND (%(message_id)s::text IS NULL OR ex.message_id = %(message_id)s)
    -- An answer to a CALL of ours stands in the row of the CALL.
    AND NOT (
        ex.direction = 'in' AND coalesce(ex.message_type IN (3, 4), FALSE) AND EXISTS (
            SELECT 1 FROM report.ocpp_exchange AS call
            WHERE
                call.charge_point = ex.charge_point
                AND call.received_at BETWEEN ex.received_at - INTERVAL '1 hour' AND ex.received_at
                AND call.direction = 'out' AND call.message_type = 2 AND call.message_id = ex.message_id
        )
    )
    AND (
        %(text)s::text IS NULL
        OR strpos(lower(ex.raw), lower(%(text)s)) > 0
        OR strpos(lower(coalesce(ex.answer, theirs.raw)), lower(%(text)s)) > 0
    )
    AND (
        %(kind)s::text <> 'errors'
        OR ex.message_type = 4 OR ex.message_type IS NULL OR coalesce(ex.answer, theirs.raw) LIKE '[4%%'
    )
    AND (%(kind)s::text <> 'unanswered' OR (ex.message_type = 2 AND coalesce(ex.answer, theirs.raw) IS NULL))
    AND (
        %(kind)s::text <> 'aside'
        OR (ex.charge_point, ex.received_at) IN (
            SELECT
                piece.charge_point,
                piece.received_at
            FROM report.set_aside AS piece
            WHERE piece.received_at >= %(since)s AND piece.received_at < %(until)s
        )
    )
ORDER BY ex.received_at DESC
LIMIT %(rows)s;

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

-- name: commands
-- Commands to charge points, newest first.
SELECT
    cmd.command_id,
    cmd.requested_at,
    cmd.charge_point,
    cmd.action,
    cmd.status,
    coalesce(cmd.response ->> 'status', cmd.error_code) AS outcome,
    extract(EPOCH FROM cmd.finished_at - cmd.sent_at)::double precision AS answered_after_s,
    cmd.requested_by,
    left(cmd.payload::text, 2000) AS payload,
    left(cmd.response::text, 8000) AS response,
    cmd.error_description
FROM report.command AS cmd
WHERE %(charge_point)s::text IS NULL OR cmd.charge_point = %(charge_point)s
ORDER BY cmd.requested_at DESC
LIMIT 60;

-- name: running_transactions
-- Transactions of a charge point that still run.
SELECT
    tx.transaction_id,
    tx.connector_id,
    tx.started_at
FROM report.transaction AS tx
WHERE tx.charge_point = %(charge_point)s AND tx.is_running AND tx.started_at > now() - INTERVAL '7 days'
ORDER BY tx.started_at DESC
LIMIT 20;

-- name: connectors_of
-- The connectors of a charge point.
SELECT con.connector_id
FROM report.connector AS con
WHERE con.charge_point = %(charge_point)s AND con.connector_id > 0
ORDER BY con.connector_id;

-- name: reservations
-- Reservations of a charge point that have not ended.
SELECT
    res.reservation_id,
    res.connector_id,
    res.expires_at,
    res.status
FROM report.reservation AS res
WHERE res.charge_point = %(charge_point)s AND res.ended_at IS NULL
ORDER BY res.reserved_at DESC
LIMIT 50;

-- name: knocking
-- Charge points that wait for approval or were refused.
SELECT
    cp.charge_point,
    cp.registration,
    cp.created_at,
    cp.vendor,
    cp.model
FROM report.charge_point AS cp
WHERE cp.registration <> 'registered'
ORDER BY cp.registration, cp.created_at DESC
LIMIT 300;

-- name: known_charge_points
-- Registered charge points with what people may describe.
SELECT
    cp.charge_point,
    cp.name,
    cp.site,
    cp.latitude,
    cp.longitude,
    cp.security_profile,
    setup.energy_factor,
    cp.created_at
FROM report.charge_point AS cp
INNER JOIN report.charge_point_setup AS setup ON cp.charge_point = setup.charge_point
WHERE cp.registration = 'registered'
ORDER BY cp.name;

-- name: connectors_known
-- What is known of the connectors of a charge point.
SELECT
    con.connector_id,
    con.current_type,
    con.rated_power_w
FROM report.connector AS con
WHERE con.charge_point = %(charge_point)s AND con.connector_id > 0
ORDER BY con.connector_id;

-- name: holidays
SELECT
    hol.day,
    hol.name
FROM report.holiday AS hol
ORDER BY hol.day DESC
LIMIT 300;

-- name: vehicles
SELECT
    car.id_tag,
    car.id_tag_alias,
    car.name,
    car.usable_capacity_wh,
    car.consumption_wh_per_km / 1000 AS consumption_kwh_per_km
FROM report.vehicle AS car
ORDER BY car.name, car.id_tag_alias
LIMIT 1000;

-- name: id_tags
-- Identifiers that may charge: so many rows of all; rows NULL: every one.
SELECT
    count(*) OVER () AS of_all,
    tag.id_tag,
    tag.id_tag_alias,
    tag.status,
    tag.expiry_at,
    tag.parent_id_tag,
    tag.max_active,
    tag.created_at
FROM report.id_tag AS tag
WHERE
    %(text)s::text IS NULL
    OR strpos(lower(tag.id_tag), lower(%(text)s)) > 0
    OR strpos(lower(tag.id_tag_alias), lower(%(text)s)) > 0
ORDER BY tag.id_tag_alias, tag.id_tag
LIMIT %(rows)s;

-- name: operation_log
-- Who changed what.
SELECT
    entry.at,
    entry.who,
    entry.what,
    entry.subject,
    left(entry.details::text, 500) AS details
FROM report.operation_log AS entry
ORDER BY entry.at DESC
LIMIT 200;

-- name: dictionary
-- Views and columns others may rely on, with their comments.
SELECT
    pg_class.relname::text AS view_name,
    pg_attribute.attname::text AS column_name,
    format_type(pg_attribute.atttypid, NULL) AS type_name,
    col_description(pg_class.oid, pg_attribute.attnum) AS column_comment,
    obj_description(pg_class.oid) AS view_comment
FROM pg_class
INNER JOIN pg_namespace ON pg_class.relnamespace = pg_namespace.oid
INNER JOIN pg_attribute ON pg_class.oid = pg_attribute.attrelid
WHERE pg_namespace.nspname = 'report' AND pg_attribute.attnum > 0 AND NOT pg_attribute.attisdropped
ORDER BY pg_class.relname, pg_attribute.attnum;

-- name: act_queue_command
SELECT operation.queue_command(%(charge_point)s, %(action)s, %(payload)s::jsonb, %(who)s, %(seconds)s);

-- name: act_end_transaction
SELECT operation.end_transaction(%(transaction_id)s, %(who)s);

-- name: act_register_charge_point
SELECT operation.register_charge_point(%(charge_point)s, %(decision)s, %(who)s);

-- name: act_describe_charge_point
SELECT operation.describe_charge_point(%(charge_point)s, %(name)s, %(site)s, %(latitude)s, %(longitude)s, %(who)s);

-- name: act_save_id_tag
SELECT operation.save_id_tag(
    %(tag)s, %(status)s, %(expiry)s, %(parent)s, %(max_active)s, %(alias)s, %(who)s
);

-- name: act_exclude
SELECT report.add_downtime_exclusion(
    %(charge_point)s, %(connector_id)s, %(started_at)s, %(ended_at)s, %(reason)s, %(evidence)s, %(who)s
);

-- name: act_withdraw_exclusion
SELECT report.withdraw_downtime_exclusion(%(exclusion)s, %(who)s);

-- name: act_add_tariff
SELECT report.add_tariff(%(tariff)s::jsonb, %(periods)s::jsonb, %(who)s);

-- name: act_remove_tariff
SELECT report.remove_tariff(%(tariff_id)s, %(who)s);

-- name: act_end_tariff
-- last_day is the last one it holds; NULL: until further notice.
SELECT report.end_tariff(%(tariff_id)s, %(last_day)s::date + 1, %(who)s);

-- name: act_add_holiday
SELECT report.add_holiday(%(day)s, %(name)s, %(who)s);

-- name: act_remove_holiday
SELECT report.remove_holiday(%(day)s, %(who)s);

-- name: act_set_energy_factor
SELECT operation.set_energy_factor(%(charge_point)s, %(factor)s, %(who)s);

-- name: act_set_connector
SELECT operation.set_connector(%(charge_point)s, %(connector_id)s, %(current_type)s, %(rated_power_w)s, %(who)s);

-- name: act_save_vehicle
SELECT operation.save_vehicle(%(tag)s, %(name)s, %(usable_capacity_wh)s, %(consumption_wh_per_km)s, %(who)s);

-- name: act_remove_vehicle
SELECT operation.remove_vehicle(%(tag)s, %(who)s);

-- name: act_set_setting
SELECT report.set_setting(%(name)s, %(value)s, %(source)s, %(source_year)s, %(who)s);

-- name: incomplete_days
-- Days, and of how many charge points data are missing: of no connector is most of the day known, or a finding
-- says that readings or sessions were lost.
SELECT
    lacking.day,
    count(DISTINCT lacking.charge_point) AS charge_points
FROM (
    SELECT
        av.day,
        av.charge_point
    FROM report.availability AS av
    WHERE
        av.day BETWEEN %(first_day)s AND %(last_day)s
        AND av.unknown_s > 0
        AND av.unknown_s - (av.operational_s - av.up_s) > 0.5 * av.observed_s
        AND NOT EXISTS (
            SELECT FROM report.availability AS known
            WHERE
                known.charge_point = av.charge_point
                AND known.day = av.day
                AND known.unknown_s - (known.operational_s - known.up_s) <= 0.5 * known.observed_s
        )
    UNION ALL
    SELECT
        qf.day,
        qf.charge_point
    FROM report.quality_finding AS qf
    WHERE
        qf.day BETWEEN %(first_day)s AND %(last_day)s
        AND qf.severity <> 'info'
        AND qf.kind IN (
            'gap', 'missing_readings', 'no_readings', 'orphan_stop', 'readings_without_transaction', 'set_aside'
        )
) AS lacking
WHERE %(charge_points)s::text[] IS NULL OR lacking.charge_point = ANY(%(charge_points)s)
GROUP BY lacking.day
ORDER BY lacking.day;

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
