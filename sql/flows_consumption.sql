-- Prices, consumption per day, demand per site.

-- name: consumption_days
-- The days that were handed over; those of plug-ins that were too young to be judged when this flow ran
-- last; and the day after, where its first session on a connector may answer to a plug-in of before midnight.
WITH handed AS (
    SELECT work.charge_point_id, local_day(work.hour) AS day
    FROM taken_work AS work
    UNION
    SELECT con.charge_point_id, local_day(ripe.at)
    FROM flow_watermark AS wm
    CROSS JOIN connector AS con
    CROSS JOIN LATERAL (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = con.charge_point_id AND sn.connector_id = con.connector_id
            AND sn.at > wm.done_until - INTERVAL '5 minutes' AND sn.at <= wm.done_until
            AND sn.at < now() - INTERVAL '5 minutes'
            AND sn.status = 'Preparing'
        LIMIT 1
    ) AS ripe
    WHERE wm.flow = 'consumption'
)

SELECT due.day, array_agg(due.charge_point_id ORDER BY due.charge_point_id) AS charge_point_ids
FROM (
    SELECT handed.day, handed.charge_point_id
    FROM handed
    UNION
    SELECT handed.day + 1, handed.charge_point_id
    FROM handed
    INNER JOIN connector AS con ON handed.charge_point_id = con.charge_point_id
    CROSS JOIN LATERAL (
        SELECT ses.started_at
        FROM session AS ses
        WHERE
            ses.charge_point_id = con.charge_point_id AND ses.connector_id = con.connector_id
            AND ses.started_at >= local_midnight(handed.day + 1) AND ses.started_at < local_midnight(handed.day + 2)
        ORDER BY ses.started_at
        LIMIT 1
    ) AS first
    WHERE (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = con.charge_point_id AND sn.connector_id = con.connector_id
            AND sn.at >= local_midnight(handed.day + 1) AND sn.at <= first.started_at
            AND sn.status IN ('Preparing', 'Available')
        LIMIT 1
    ) IS NULL
) AS due
GROUP BY due.day
ORDER BY due.day;

-- name: consumption_days_between
SELECT day.day::date AS day, array_agg(cp.charge_point_id) AS charge_point_ids
FROM charge_point AS cp
CROSS JOIN LATERAL generate_series(
    local_day(%(since)s)::timestamp, local_day(%(until)s - INTERVAL '1 microsecond')::timestamp, INTERVAL '1 day'
) AS day (day)
WHERE %(charge_point_ids)s::integer[] IS NULL OR cp.charge_point_id = ANY(%(charge_point_ids)s)
GROUP BY day.day
ORDER BY day.day;

-- name: price_buckets
-- Give the buckets of a day their posto and price: the tariff of the site if it has one, else the
-- general one. None, or more than one in force: no price.
WITH tariff_of_site AS MATERIALIZED (
    -- Asked once for each site: nothing tells the planner how few tariffs there are.
    SELECT found.site, array_agg(tar.tariff_id) AS tariff_ids
    FROM (
        SELECT DISTINCT cp.site FROM charge_point AS cp WHERE cp.charge_point_id = ANY(%(charge_point_ids)s)
    ) AS found
    CROSS JOIN LATERAL tariffs_in_force(found.site, %(day)s::date) AS tar
    GROUP BY found.site
),

workday AS (
    SELECT
        extract(ISODOW FROM %(day)s::date) < 6
        AND NOT EXISTS (SELECT FROM holiday AS hol WHERE hol.day = %(day)s) AS is_workday
),

priced AS (
    SELECT
        eb.transaction_id,
        eb.started_at,
        coalesce(peak.posto, 'fora_ponta') AS posto,
        (coalesce(peak.price_per_kwh, CASE WHEN peak.posto IS NULL THEN rest.price_per_kwh END) + tar.surcharge_per_kwh)
        * (1 + tar.tax_percent / 100) AS price_per_kwh
    FROM energy_bucket AS eb
    INNER JOIN charge_point AS cp ON eb.charge_point_id = cp.charge_point_id
    CROSS JOIN workday
    LEFT JOIN tariff_of_site AS tos ON cp.site IS NOT DISTINCT FROM tos.site AND cardinality(tos.tariff_ids) = 1
    LEFT JOIN tariff AS tar ON tar.tariff_id = tos.tariff_ids[1]
    LEFT JOIN LATERAL (
        SELECT per.posto, per.price_per_kwh
        FROM tariff_period AS per
        WHERE
            per.tariff_id = tar.tariff_id AND workday.is_workday
            AND per.from_time <= (eb.started_at AT TIME ZONE 'America/Sao_Paulo')::time
            AND per.to_time > (eb.started_at AT TIME ZONE 'America/Sao_Paulo')::time
        ORDER BY per.posto DESC
        LIMIT 1
    ) AS peak ON TRUE
    LEFT JOIN tariff_period AS rest ON tar.tariff_id = rest.tariff_id AND rest.posto = 'fora_ponta'
    WHERE
        eb.charge_point_id = ANY(%(charge_point_ids)s)
        AND eb.started_at >= local_midnight(%(day)s) AND eb.started_at < local_midnight(%(day)s::date + 1)
        AND eb.started_at >= %(low)s AND eb.started_at < %(high)s
)

UPDATE energy_bucket AS eb
SET
    posto = CASE WHEN priced.price_per_kwh IS NOT NULL THEN priced.posto END,
    price_per_kwh = priced.price_per_kwh,
    cost = eb.energy_wh / 1000 * priced.price_per_kwh
FROM priced
WHERE
    eb.transaction_id = priced.transaction_id AND eb.started_at = priced.started_at
    AND eb.charge_point_id = ANY(%(charge_point_ids)s)
    AND eb.started_at >= %(low)s AND eb.started_at < %(high)s
    AND (
        eb.price_per_kwh IS DISTINCT FROM priced.price_per_kwh
        OR eb.posto IS DISTINCT FROM CASE WHEN priced.price_per_kwh IS NOT NULL THEN priced.posto END
        OR eb.cost IS DISTINCT FROM eb.energy_wh / 1000 * priced.price_per_kwh
    );

-- name: priced_sessions
-- The sessions with energy that day, or begun that day with none, and how far their buckets reach.
SELECT
    array_agg(ses.transaction_id) AS transaction_ids,
    min(ses.started_at) - INTERVAL '15 minutes' AS low,
    max(ses.ended_at) + INTERVAL '1 second' AS high
FROM session AS ses
WHERE ses.transaction_id IN (
    SELECT eb.transaction_id
    FROM energy_bucket AS eb
    WHERE
        eb.charge_point_id = ANY(%(charge_point_ids)s)
        AND eb.started_at >= %(low)s AND eb.started_at < %(high)s
    UNION
    SELECT empty.transaction_id
    FROM session AS empty
    WHERE
        empty.charge_point_id = ANY(%(charge_point_ids)s)
        AND empty.started_at >= %(low)s AND empty.started_at < %(high)s
        AND empty.energy_wh = 0
);

-- name: store_costs
-- No energy costs nothing, by whatever tariff holds when the session begins. Summed in order, so that the same
-- quarters make the same last digit and nothing is written anew.
INSERT INTO session_cost AS price (transaction_id, cost, unpriced_wh)
SELECT
    ses.transaction_id,
    CASE
        WHEN ses.energy_wh > 0 THEN sum(eb.cost ORDER BY eb.started_at)
        WHEN tariffs.number = 1 THEN 0
    END,
    coalesce(sum(eb.energy_wh ORDER BY eb.started_at) FILTER (WHERE eb.cost IS NULL), 0)
FROM session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point_id = cp.charge_point_id
LEFT JOIN energy_bucket AS eb
    ON
        ses.transaction_id = eb.transaction_id
        AND eb.started_at >= %(low)s AND eb.started_at <= %(high)s
LEFT JOIN LATERAL (
    SELECT count(*) AS number
    FROM tariffs_in_force(cp.site, local_day(ses.started_at))
) AS tariffs ON ses.energy_wh = 0
WHERE ses.transaction_id = ANY(%(transaction_ids)s)
GROUP BY ses.transaction_id, tariffs.number
ON CONFLICT (transaction_id) DO UPDATE SET cost = excluded.cost, unpriced_wh = excluded.unpriced_wh
WHERE (price.cost, price.unpriced_wh) IS DISTINCT FROM (excluded.cost, excluded.unpriced_wh);

-- name: make_work_kept
-- The plug-ins of a day as they were counted, where the statuses they were counted from are gone.
CREATE TEMPORARY TABLE work_kept ON COMMIT DROP AS
SELECT con.charge_point_id, con.connector_id, con.plug_ins, con.plug_ins_served
FROM consumption_day AS con
WHERE
    con.day = %(day)s AND con.charge_point_id = ANY(%(charge_point_ids)s)
    AND %(are_statuses_gone)s;

-- name: delete_consumption
DELETE FROM consumption_day AS con
WHERE con.day = %(day)s AND con.charge_point_id = ANY(%(charge_point_ids)s);

-- name: store_consumption
WITH bucket AS (
    SELECT
        eb.charge_point_id,
        eb.connector_id,
        eb.started_at,
        eb.energy_wh,
        eb.charging_s,
        eb.posto,
        eb.cost,
        ses.charging_s IS NOT NULL OR ses.is_attempt AS is_timed,
        sum(eb.energy_wh) OVER (PARTITION BY eb.charge_point_id, eb.connector_id, eb.started_at) AS slot_wh
    FROM energy_bucket AS eb
    INNER JOIN session AS ses ON eb.transaction_id = ses.transaction_id
    WHERE
        eb.charge_point_id = ANY(%(charge_point_ids)s)
        AND eb.started_at >= %(low)s AND eb.started_at < %(high)s
),

-- What the same energy would cost outside the peak: the price fora ponta of the day's tariff.
cheap AS (
    SELECT
        cp.charge_point_id,
        CASE
            WHEN count(DISTINCT tar.tariff_id) = 1
                THEN min((per.price_per_kwh + tar.surcharge_per_kwh) * (1 + tar.tax_percent / 100))
        END AS price_per_kwh
    FROM charge_point AS cp
    CROSS JOIN LATERAL tariffs_in_force(cp.site, %(day)s::date) AS tar
    LEFT JOIN tariff_period AS per ON tar.tariff_id = per.tariff_id AND per.posto = 'fora_ponta'
    WHERE cp.charge_point_id = ANY(%(charge_point_ids)s)
    GROUP BY cp.charge_point_id
),

energy AS (
    SELECT
        bucket.charge_point_id,
        bucket.connector_id,
        sum(bucket.energy_wh) AS energy_wh,
        coalesce(sum(bucket.energy_wh) FILTER (WHERE bucket.posto = 'ponta'), 0) AS ponta_wh,
        coalesce(sum(bucket.energy_wh) FILTER (WHERE bucket.posto = 'intermediario'), 0) AS intermediario_wh,
        coalesce(sum(bucket.energy_wh) FILTER (WHERE bucket.posto = 'fora_ponta'), 0) AS fora_ponta_wh,
        sum(bucket.cost) AS cost,
        sum(bucket.cost) FILTER (WHERE bucket.posto = 'ponta') AS cost_ponta,
        sum(bucket.cost) FILTER (WHERE bucket.posto = 'intermediario') AS cost_intermediario,
        sum(bucket.cost) FILTER (WHERE bucket.posto = 'fora_ponta') AS cost_fora_ponta,
        coalesce(sum(bucket.energy_wh) FILTER (WHERE bucket.cost IS NULL), 0) AS unpriced_wh,
        sum(bucket.charging_s) AS charging_s,
        bool_and(bucket.is_timed) AS is_timed,
        max(bucket.slot_wh) * 4 AS peak_demand_w,
        (array_agg(bucket.started_at ORDER BY bucket.slot_wh DESC, bucket.started_at ASC))[1] AS peak_demand_at
    FROM bucket
    GROUP BY bucket.charge_point_id, bucket.connector_id
),

visited AS (
    SELECT
        ses.charge_point_id,
        ses.connector_id,
        count(*) FILTER (WHERE NOT ses.is_attempt) AS sessions,
        count(*) FILTER (WHERE ses.is_attempt) AS attempts,
        sum(ses.idle_s) AS idle_s,
        bool_and(ses.charging_s IS NOT NULL OR ses.is_attempt) AS is_timed,
        bool_and(coalesce(ses.energy_wh = 0, FALSE)) AS is_empty
    FROM session AS ses
    WHERE
        ses.charge_point_id = ANY(%(charge_point_ids)s)
        AND ses.started_at >= %(low)s AND ses.started_at < %(high)s
    GROUP BY ses.charge_point_id, ses.connector_id
),

-- A plug-in is a change to Preparing with no cable in before, or a visit that began without one: the
-- vehicle may have waited for it up to a day, if the connector was not told to be free meanwhile.
reported AS (
    SELECT
        place.charge_point_id,
        place.connector_id,
        sn.at,
        sn.status,
        lag(sn.status) OVER (PARTITION BY place.charge_point_id, place.connector_id ORDER BY sn.at, sn.received_at) AS status_before
    FROM connector AS place
    CROSS JOIN LATERAL (
        (
            SELECT earlier.at, earlier.received_at, earlier.status
            FROM status_notification AS earlier
            WHERE
                earlier.charge_point_id = place.charge_point_id AND earlier.connector_id = place.connector_id
                AND earlier.at < %(low)s
            ORDER BY earlier.at DESC, earlier.received_at DESC
            LIMIT 1
        )
        UNION ALL
        (
            SELECT today.at, today.received_at, today.status
            FROM status_notification AS today
            WHERE
                today.charge_point_id = place.charge_point_id AND today.connector_id = place.connector_id
                AND today.at >= %(low)s AND today.at < %(high)s
        )
    ) AS sn
    WHERE place.charge_point_id = ANY(%(charge_point_ids)s)
),

plugged AS (
    SELECT reported.charge_point_id, reported.connector_id, reported.at
    FROM reported
    WHERE
        reported.at >= %(low)s
        AND reported.status = 'Preparing'
        AND coalesce(reported.status_before, 'Available') NOT IN ('Preparing', 'Charging', 'SuspendedEV', 'SuspendedEVSE', 'Finishing')
    UNION
    SELECT ses.charge_point_id, ses.connector_id, ses.started_at
    FROM session AS ses
    WHERE
        ses.charge_point_id = ANY(%(charge_point_ids)s)
        AND ses.started_at >= %(low)s AND ses.started_at < %(high)s
        AND ses.visit_id = ses.transaction_id
        AND NOT EXISTS (
            SELECT FROM status_notification AS sn
            WHERE
                sn.charge_point_id = ses.charge_point_id AND sn.connector_id = ses.connector_id
                AND sn.status = 'Preparing'
                AND sn.at > %(low)s::timestamptz - INTERVAL '1 day' AND sn.at < %(high)s::timestamptz + INTERVAL '1 minute'
                AND sn.at <= ses.started_at + INTERVAL '1 minute'
                AND sn.at > ses.started_at - INTERVAL '1 day'
                AND sn.at > coalesce((
                    SELECT earlier.ended_at
                    FROM session AS earlier
                    WHERE
                        earlier.charge_point_id = ses.charge_point_id AND earlier.connector_id = ses.connector_id
                        AND earlier.started_at < ses.started_at
                    ORDER BY earlier.started_at DESC
                    LIMIT 1
                ), '-infinity')
                AND NOT EXISTS (
                    SELECT FROM status_notification AS free
                    WHERE
                        free.charge_point_id = sn.charge_point_id AND free.connector_id = sn.connector_id
                        AND free.status = 'Available'
                        AND free.at > %(low)s::timestamptz - INTERVAL '1 day' AND free.at < %(high)s
                        AND free.at > sn.at AND free.at < ses.started_at
                )
        )
),

answered AS (
    SELECT
        plugged.charge_point_id,
        plugged.connector_id,
        plugged.at,
        EXISTS (
            SELECT FROM session AS ses
            WHERE
                ses.charge_point_id = plugged.charge_point_id AND ses.connector_id = plugged.connector_id
                AND ses.started_at >= plugged.at - INTERVAL '1 minute'
                AND ses.started_at <= plugged.at + INTERVAL '5 minutes'
                AND ses.energised_at <= plugged.at + INTERVAL '5 minutes'
        ) AS is_served
    FROM plugged
),

-- Who plugged in a moment ago may still be served: neither a success nor a failure yet.
tried AS (
    SELECT
        answered.charge_point_id,
        answered.connector_id,
        count(*) AS plug_ins,
        count(*) FILTER (WHERE answered.is_served) AS plug_ins_served
    FROM answered
    WHERE answered.is_served OR answered.at < now() - INTERVAL '5 minutes'
    GROUP BY answered.charge_point_id, answered.connector_id
),

port AS (
    SELECT charge_point_id, connector_id FROM energy
    UNION
    SELECT charge_point_id, connector_id FROM visited
    UNION
    SELECT charge_point_id, connector_id FROM tried
    UNION
    SELECT charge_point_id, connector_id FROM work_kept WHERE plug_ins > 0
)

INSERT INTO consumption_day (
    day, charge_point_id, connector_id, energy_wh, ponta_wh, intermediario_wh, fora_ponta_wh, cost, cost_ponta,
    cost_intermediario, cost_fora_ponta, cost_if_fora_ponta, unpriced_wh, charging_s, peak_demand_w, peak_demand_at,
    sessions, attempts, idle_s, plug_ins, plug_ins_served, is_timed
)
SELECT
    %(day)s,
    port.charge_point_id,
    port.connector_id,
    coalesce(energy.energy_wh, 0),
    coalesce(energy.ponta_wh, 0),
    coalesce(energy.intermediario_wh, 0),
    coalesce(energy.fora_ponta_wh, 0),
    CASE
        WHEN coalesce(energy.energy_wh, 0) > 0 THEN energy.cost
        WHEN visited.is_empty AND cheap.price_per_kwh IS NOT NULL THEN 0
    END,
    energy.cost_ponta,
    energy.cost_intermediario,
    energy.cost_fora_ponta,
    (energy.energy_wh - energy.unpriced_wh) / 1000 * cheap.price_per_kwh,
    coalesce(energy.unpriced_wh, 0),
    energy.charging_s,
    energy.peak_demand_w,
    energy.peak_demand_at,
    coalesce(visited.sessions, 0),
    coalesce(visited.attempts, 0),
    visited.idle_s,
    coalesce(work_kept.plug_ins, tried.plug_ins, 0),
    coalesce(work_kept.plug_ins_served, tried.plug_ins_served, 0),
    CASE WHEN energy.is_timed IS NOT NULL OR visited.is_timed IS NOT NULL
        THEN coalesce(energy.is_timed, TRUE) AND coalesce(visited.is_timed, TRUE)
    END
FROM port
LEFT JOIN energy ON port.charge_point_id = energy.charge_point_id AND port.connector_id = energy.connector_id
LEFT JOIN visited ON port.charge_point_id = visited.charge_point_id AND port.connector_id = visited.connector_id
LEFT JOIN tried ON port.charge_point_id = tried.charge_point_id AND port.connector_id = tried.connector_id
LEFT JOIN work_kept ON port.charge_point_id = work_kept.charge_point_id AND port.connector_id = work_kept.connector_id
LEFT JOIN cheap ON port.charge_point_id = cheap.charge_point_id;

-- name: store_demand
-- The demand of every site on that day, of those too that a charge point has left; only what changed is written.
WITH fresh AS (
    SELECT
        eb.started_at,
        coalesce(cp.site, '') AS site,
        sum(eb.energy_wh ORDER BY eb.transaction_id) AS energy_wh,
        count(DISTINCT eb.charge_point_id * 65536::bigint + eb.connector_id) FILTER (WHERE eb.energy_wh > 0) AS connectors
    FROM energy_bucket AS eb
    INNER JOIN charge_point AS cp ON eb.charge_point_id = cp.charge_point_id
    WHERE eb.started_at >= %(low)s AND eb.started_at < %(high)s
    GROUP BY eb.started_at, coalesce(cp.site, '')
),

gone AS (
    DELETE FROM site_demand AS sd
    WHERE
        sd.started_at >= %(low)s AND sd.started_at < %(high)s
        AND NOT EXISTS (SELECT FROM fresh WHERE fresh.started_at = sd.started_at AND fresh.site = sd.site)
)

INSERT INTO site_demand AS sd (started_at, site, energy_wh, connectors)
SELECT fresh.started_at, fresh.site, fresh.energy_wh, fresh.connectors
FROM fresh
ON CONFLICT (started_at, site) DO UPDATE SET energy_wh = excluded.energy_wh, connectors = excluded.connectors
WHERE (sd.energy_wh, sd.connectors) IS DISTINCT FROM (excluded.energy_wh, excluded.connectors);

-- name: touch_unpriced
-- The findings about energy without a price are to follow.
INSERT INTO touched_work (flow, charge_point_id, hour)
SELECT 'quality', differing.charge_point_id, local_midnight(%(day)s)
FROM (
    SELECT coalesce(con.charge_point_id, qf.charge_point_id) AS charge_point_id
    FROM (
        SELECT day.charge_point_id, day.connector_id, day.unpriced_wh
        FROM consumption_day AS day
        WHERE
            day.day = %(day)s AND day.charge_point_id = ANY(%(charge_point_ids)s)
            AND day.unpriced_wh > 0 AND EXISTS (SELECT FROM tariff)
    ) AS con
    FULL JOIN (
        SELECT found.charge_point_id, found.connector_id, found.value
        FROM quality_finding AS found
        WHERE
            found.day = %(day)s AND found.charge_point_id = ANY(%(charge_point_ids)s)
            AND found.kind = 'unpriced'
    ) AS qf ON con.charge_point_id = qf.charge_point_id AND con.connector_id = qf.connector_id
    WHERE con.unpriced_wh IS DISTINCT FROM qf.value
) AS differing
GROUP BY differing.charge_point_id
ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();
