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

-- name: make_work_episode
-- States that follow one another, put together. An outage: whatever is down, without a break. A fault: Faulted
-- without a break, or again with the same error code within 5 min.
CREATE TEMPORARY TABLE work_episode ON COMMIT DROP AS
WITH paired AS (
    SELECT
        kind.kind,
        region.low,
        si.*,
        lag(si.ended_at) OVER by_time AS last_ended_at,
        lag(si.error_code) OVER by_time AS last_error_code
    FROM work_region AS region
    INNER JOIN state_interval AS si ON region.charge_point_id = si.charge_point_id
    INNER JOIN (
        VALUES ('outage', 'Faulted'), ('outage', 'Unavailable'), ('outage', 'offline'), ('fault', 'Faulted')
    ) AS kind (kind, state) ON si.state = kind.state
    WHERE
        si.started_at >= region.low AND si.started_at <= region.high
        AND si.started_at >= %(low)s
    WINDOW by_time AS (PARTITION BY kind.kind, si.charge_point_id, si.connector_id, region.low ORDER BY si.started_at)
),

turned AS (
    SELECT
        paired.*,
        (paired.started_at = paired.last_ended_at) IS NOT TRUE AS is_part,
        (
            paired.started_at = paired.last_ended_at
            OR (
                paired.kind = 'fault'
                AND paired.started_at - paired.last_ended_at < INTERVAL '5 minutes'
                AND coalesce(paired.error_code, '') = coalesce(paired.last_error_code, '')
            )
        ) IS NOT TRUE AS is_turn
    FROM paired
),

numbered AS (
    SELECT
        turned.*,
        count(*) FILTER (WHERE turned.is_turn) OVER (
            PARTITION BY turned.kind, turned.charge_point_id, turned.connector_id, turned.low ORDER BY turned.started_at
        ) AS episode
    FROM turned
),

whole AS (
    SELECT
        numbered.kind,
        numbered.charge_point_id,
        numbered.connector_id,
        min(numbered.started_at) AS started_at,
        max(numbered.ended_at) AS ended_at,
        array_agg(numbered.state ORDER BY numbered.started_at) AS states,
        (array_agg(numbered.error_code ORDER BY numbered.started_at) FILTER (WHERE numbered.error_code IS NOT NULL))[1] AS error_code,
        (array_agg(numbered.vendor_error_code ORDER BY numbered.started_at)
            FILTER (WHERE numbered.vendor_error_code IS NOT NULL))[1] AS vendor_error_code,
        count(*) FILTER (WHERE numbered.is_part) AS parts,
        sum(extract(EPOCH FROM numbered.ended_at - numbered.started_at))::double precision AS length_s
    FROM numbered
    GROUP BY numbered.kind, numbered.charge_point_id, numbered.connector_id, numbered.low, numbered.episode
)

SELECT
    whole.kind,
    whole.charge_point_id,
    whole.connector_id,
    whole.started_at,
    CASE WHEN whole.ended_at < newest.ended_at THEN whole.ended_at END AS ended_at,
    whole.states,
    whole.error_code,
    whole.vendor_error_code,
    whole.parts,
    whole.length_s
FROM whole
CROSS JOIN LATERAL (
    SELECT si.ended_at
    FROM state_interval AS si
    WHERE si.charge_point_id = whole.charge_point_id AND si.connector_id = whole.connector_id
    ORDER BY si.started_at DESC
    LIMIT 1
) AS newest;

-- name: store_outages
INSERT INTO outage AS known (charge_point_id, connector_id, started_at, ended_at, states, error_code)
SELECT
    we.charge_point_id,
    we.connector_id,
    we.started_at,
    we.ended_at,
    ARRAY(
        SELECT part.state
        FROM unnest(we.states) WITH ORDINALITY AS part (state, place)
        GROUP BY part.state
        ORDER BY min(part.place)
    ),
    we.error_code
FROM work_episode AS we
WHERE we.kind = 'outage'
ON CONFLICT (charge_point_id, connector_id, started_at) DO UPDATE SET
    ended_at = excluded.ended_at, states = excluded.states, error_code = excluded.error_code;

-- name: store_faults
INSERT INTO fault_episode AS known (
    charge_point_id, connector_id, started_at, ended_at, error_code, vendor_error_code, parts, faulted_s
)
SELECT
    we.charge_point_id,
    we.connector_id,
    we.started_at,
    we.ended_at,
    we.error_code,
    we.vendor_error_code,
    we.parts,
    we.length_s
FROM work_episode AS we
WHERE we.kind = 'fault'
ON CONFLICT (charge_point_id, connector_id, started_at) DO UPDATE SET
    ended_at = excluded.ended_at, error_code = excluded.error_code,
    vendor_error_code = excluded.vendor_error_code, parts = excluded.parts, faulted_s = excluded.faulted_s;

-- name: region_low
SELECT min(region.low) AS low FROM work_region AS region;
