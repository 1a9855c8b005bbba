-- Outages and faults, put together from the states of neighbouring days.

-- name: make_work_region
-- Where outages and faults have to be put together anew: around runs of computed days, and as far as
-- what was known there reaches. Those of a connector do not overlap: of all begun before, the last may reach in.
CREATE TEMPORARY TABLE work_region ON COMMIT DROP AS
WITH day AS (
    SELECT
        asked.charge_point_id,
        asked.day,
        asked.day - row_number() OVER (PARTITION BY asked.charge_point_id ORDER BY asked.day)::integer AS run_of_days
    FROM unnest(%(charge_point_ids)s::integer[], %(days)s::date[]) AS asked (charge_point_id, day)
),

span AS (
    SELECT
        day.charge_point_id,
        local_midnight(min(day.day)) - INTERVAL '5 minutes' AS low,
        local_midnight(max(day.day) + 1) + INTERVAL '5 minutes' AS high
    FROM day
    GROUP BY day.charge_point_id, day.run_of_days
),

reach AS (
    SELECT
        span.charge_point_id,
        least(span.low, min(known.started_at)) AS low,
        greatest(span.high, max(coalesce(known.ended_at, 'infinity')) FILTER (WHERE known.started_at IS NOT NULL)) AS high
    FROM span
    LEFT JOIN LATERAL (
        SELECT last.started_at, last.ended_at
        FROM connector AS con
        CROSS JOIN (VALUES (span.low), (span.high)) AS edge (at)
        CROSS JOIN LATERAL (
            (
                SELECT one.started_at, one.ended_at
                FROM outage AS one
                WHERE
                    one.charge_point_id = con.charge_point_id AND one.connector_id = con.connector_id
                    AND one.started_at <= edge.at
                ORDER BY one.started_at DESC
                LIMIT 1
            )
            UNION ALL
            (
                SELECT one.started_at, one.ended_at
                FROM fault_episode AS one
                WHERE
                    one.charge_point_id = con.charge_point_id AND one.connector_id = con.connector_id
                    AND one.started_at <= edge.at
                ORDER BY one.started_at DESC
                LIMIT 1
            )
        ) AS last
        WHERE con.charge_point_id = span.charge_point_id
    ) AS known ON span.low <= coalesce(known.ended_at, 'infinity')
    GROUP BY span.charge_point_id, span.low, span.high
),

united AS (
    SELECT reach.charge_point_id, range_agg(tstzrange(reach.low, reach.high, '[]')) AS ranges
    FROM reach
    GROUP BY reach.charge_point_id
)

SELECT united.charge_point_id, lower(part.slot) AS low, upper(part.slot) AS high
FROM united
CROSS JOIN LATERAL unnest(united.ranges) AS part (slot);

-- name: delete_outages
DELETE FROM outage AS gone
USING work_region AS region
WHERE
    gone.charge_point_id = region.charge_point_id
    AND gone.started_at >= region.low AND gone.started_at <= region.high;

-- name: delete_faults
DELETE FROM fault_episode AS gone
USING work_region AS region
WHERE
    gone.charge_point_id = region.charge_point_id
    AND gone.started_at >= region.low AND gone.started_at <= region.high;

-- name: store_outages
WITH down AS (
    SELECT si.charge_point_id, si.connector_id, si.started_at, si.ended_at, si.state, si.error_code, region.low
    FROM work_region AS region
    INNER JOIN state_interval AS si ON region.charge_point_id = si.charge_point_id
    WHERE
        si.started_at >= region.low AND si.started_at <= region.high
        AND si.started_at >= %(low)s
        AND si.state IN ('Faulted', 'Unavailable', 'offline')
),

turned AS (
    SELECT
        down.*,
        (
            down.started_at = lag(down.ended_at) OVER (
                PARTITION BY down.charge_point_id, down.connector_id, down.low ORDER BY down.started_at
            )
        ) IS NOT TRUE AS is_turn
    FROM down
),

numbered AS (
    SELECT
        turned.*,
        count(*) FILTER (WHERE turned.is_turn) OVER (
            PARTITION BY turned.charge_point_id, turned.connector_id, turned.low ORDER BY turned.started_at
        ) AS stretch
    FROM turned
),

whole AS (
    SELECT
        numbered.charge_point_id,
        numbered.connector_id,
        min(numbered.started_at) AS started_at,
        max(numbered.ended_at) AS ended_at,
        array_agg(numbered.state ORDER BY numbered.started_at) AS states,
        (array_agg(numbered.error_code ORDER BY numbered.started_at) FILTER (WHERE numbered.error_code IS NOT NULL))[1] AS error_code
    FROM numbered
    GROUP BY numbered.charge_point_id, numbered.connector_id, numbered.low, numbered.stretch
)

INSERT INTO outage AS known (charge_point_id, connector_id, started_at, ended_at, states, error_code)
SELECT
    whole.charge_point_id,
    whole.connector_id,
    whole.started_at,
    CASE WHEN whole.ended_at < newest.ended_at THEN whole.ended_at END,
    ARRAY(
        SELECT part.state
        FROM unnest(whole.states) WITH ORDINALITY AS part (state, place)
        GROUP BY part.state
        ORDER BY min(part.place)
    ),
    whole.error_code
FROM whole
CROSS JOIN LATERAL (
    SELECT si.ended_at
    FROM state_interval AS si
    WHERE si.charge_point_id = whole.charge_point_id AND si.connector_id = whole.connector_id
    ORDER BY si.started_at DESC
    LIMIT 1
) AS newest
ON CONFLICT (charge_point_id, connector_id, started_at) DO UPDATE SET
    ended_at = excluded.ended_at, states = excluded.states, error_code = excluded.error_code;

-- name: store_faults
WITH fault AS (
    SELECT si.charge_point_id, si.connector_id, si.started_at, si.ended_at, si.error_code, si.vendor_error_code, region.low
    FROM work_region AS region
    INNER JOIN state_interval AS si ON region.charge_point_id = si.charge_point_id
    WHERE
        si.started_at >= region.low AND si.started_at <= region.high
        AND si.started_at >= %(low)s
        AND si.state = 'Faulted'
),

paired AS (
    SELECT
        fault.*,
        lag(fault.ended_at) OVER by_time AS last_ended_at,
        lag(fault.error_code) OVER by_time AS last_error_code
    FROM fault
    WINDOW by_time AS (PARTITION BY fault.charge_point_id, fault.connector_id, fault.low ORDER BY fault.started_at)
),

turned AS (
    SELECT
        paired.*,
        (paired.started_at = paired.last_ended_at) IS NOT TRUE AS is_part,
        (
            paired.started_at = paired.last_ended_at
            OR (
                paired.started_at - paired.last_ended_at < INTERVAL '5 minutes'
                AND coalesce(paired.error_code, '') = coalesce(paired.last_error_code, '')
            )
        ) IS NOT TRUE AS is_turn
    FROM paired
),

numbered AS (
    SELECT
        turned.*,
        count(*) FILTER (WHERE turned.is_turn) OVER (
            PARTITION BY turned.charge_point_id, turned.connector_id, turned.low ORDER BY turned.started_at
        ) AS episode
    FROM turned
),

whole AS (
    SELECT
        numbered.charge_point_id,
        numbered.connector_id,
        min(numbered.started_at) AS started_at,
        max(numbered.ended_at) AS ended_at,
        (array_agg(numbered.error_code ORDER BY numbered.started_at) FILTER (WHERE numbered.error_code IS NOT NULL))[1] AS error_code,
        (array_agg(numbered.vendor_error_code ORDER BY numbered.started_at)
            FILTER (WHERE numbered.vendor_error_code IS NOT NULL))[1] AS vendor_error_code,
        count(*) FILTER (WHERE numbered.is_part) AS parts,
        sum(extract(EPOCH FROM numbered.ended_at - numbered.started_at))::double precision AS faulted_s
    FROM numbered
    GROUP BY numbered.charge_point_id, numbered.connector_id, numbered.low, numbered.episode
)

INSERT INTO fault_episode AS known (
    charge_point_id, connector_id, started_at, ended_at, error_code, vendor_error_code, parts, faulted_s
)
SELECT
    whole.charge_point_id,
    whole.connector_id,
    whole.started_at,
    CASE WHEN whole.ended_at < newest.ended_at THEN whole.ended_at END,
    whole.error_code,
    whole.vendor_error_code,
    whole.parts,
    whole.faulted_s
FROM whole
CROSS JOIN LATERAL (
    SELECT si.ended_at
    FROM state_interval AS si
    WHERE si.charge_point_id = whole.charge_point_id AND si.connector_id = whole.connector_id
    ORDER BY si.started_at DESC
    LIMIT 1
) AS newest
ON CONFLICT (charge_point_id, connector_id, started_at) DO UPDATE SET
    ended_at = excluded.ended_at, error_code = excluded.error_code,
    vendor_error_code = excluded.vendor_error_code, parts = excluded.parts, faulted_s = excluded.faulted_s;

-- name: region_low
SELECT min(region.low) AS low FROM work_region AS region;
