-- Energy and demand over a period. Asked by dashboard/data/energy.py, as eletroposto_dashboard, of report only.
-- since and until: the period, [since, until); first_day and last_day: local days, both included.
-- charge_points: identities; NULL means all of them.

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
FROM report.demand(%(since)s, %(until)s, %(charge_points)s) AS demand
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
WITH summed AS (
    SELECT
        extract(ISODOW FROM drawn.started_at AT TIME ZONE 'America/Sao_Paulo')::integer AS weekday,
        extract(HOUR FROM drawn.started_at AT TIME ZONE 'America/Sao_Paulo')::integer AS hour,
        sum(drawn.energy_wh) AS energy_wh
    FROM report.demand(%(since)s, %(until)s, %(charge_points)s) AS drawn
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
WITH ordered AS (
    SELECT
        demand.demand_w,
        row_number() OVER (ORDER BY demand.demand_w DESC) AS place,
        count(*) OVER () AS places
    FROM report.demand(%(since)s, %(until)s, %(charge_points)s) AS demand
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
WITH highest AS (
    SELECT
        demand.started_at,
        demand.demand_w
    FROM report.demand(%(since)s, %(until)s, %(charge_points)s) AS demand
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
