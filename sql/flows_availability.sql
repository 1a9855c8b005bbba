-- States of connectors and availability.

-- name: availability_days
-- Local days to compute: touched ones; those a status of them lasts through; those between a session of
-- them and its neighbours, where no status tells; and for every charge point the days since the last run.
WITH touched AS (
    SELECT work.charge_point_id, local_day(work.hour) AS day
    FROM taken_work AS work
    GROUP BY work.charge_point_id, local_day(work.hour)
),

place AS MATERIALIZED (
    SELECT con.charge_point_id, con.connector_id, first.at AS told_at
    FROM connector AS con
    LEFT JOIN LATERAL (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE sn.charge_point_id = con.charge_point_id AND sn.connector_id = con.connector_id
        ORDER BY sn.at
        LIMIT 1
    ) AS first ON TRUE
    WHERE con.charge_point_id IN (SELECT touched.charge_point_id FROM touched)
),

lasting AS (
    SELECT
        touched.charge_point_id,
        touched.day AS first_day,
        greatest(touched.day, local_day(coalesce(following.at, %(as_of)s))) AS last_day
    FROM touched
    INNER JOIN place ON touched.charge_point_id = place.charge_point_id
    CROSS JOIN LATERAL (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = place.charge_point_id
            AND sn.connector_id = place.connector_id
            AND sn.at >= local_midnight(touched.day) AND sn.at < local_midnight(touched.day + 1)
        ORDER BY sn.at DESC
        LIMIT 1
    ) AS told
    LEFT JOIN LATERAL (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = place.charge_point_id
            AND sn.connector_id = place.connector_id
            AND sn.at > told.at
        ORDER BY sn.at
        LIMIT 1
    ) AS following ON TRUE
    WHERE place.told_at < local_midnight(touched.day + 1)
),

served AS (
    SELECT
        ses.charge_point_id,
        local_day(least(ses.started_at, before.ended_at)) AS first_day,
        local_day(greatest(ses.ended_at, following.started_at)) AS last_day
    FROM touched
    INNER JOIN place ON touched.charge_point_id = place.charge_point_id
    CROSS JOIN LATERAL (
        SELECT begun.charge_point_id, begun.connector_id, begun.started_at, begun.ended_at
        FROM session AS begun
        WHERE
            begun.charge_point_id = place.charge_point_id AND begun.connector_id = place.connector_id
            AND begun.started_at >= local_midnight(touched.day)
            AND begun.started_at < local_midnight(touched.day + 1)
        OFFSET 0  -- by the index for each day: a join would compare all days with all sessions
    ) AS ses
    LEFT JOIN LATERAL (
        SELECT earlier.ended_at
        FROM session AS earlier
        WHERE
            earlier.charge_point_id = ses.charge_point_id AND earlier.connector_id = ses.connector_id
            AND earlier.started_at < ses.started_at
        ORDER BY earlier.started_at DESC
        LIMIT 1
    ) AS before ON TRUE
    LEFT JOIN LATERAL (
        SELECT later.started_at
        FROM session AS later
        WHERE
            later.charge_point_id = ses.charge_point_id AND later.connector_id = ses.connector_id
            AND later.started_at > ses.started_at
        ORDER BY later.started_at
        LIMIT 1
    ) AS following ON TRUE
    WHERE place.told_at IS NULL OR place.told_at > coalesce(before.ended_at, ses.started_at)
),

passed AS (
    SELECT
        cp.charge_point_id,
        greatest(local_day(%(since)s), first_fact.day) AS first_day,
        greatest(local_day(%(as_of)s), first_fact.day) AS last_day
    FROM charge_point AS cp
    CROSS JOIN LATERAL (SELECT local_day(heard_since(cp.charge_point_id)) AS day) AS first_fact
    WHERE
        first_fact.day IS NOT NULL
        AND EXISTS (SELECT FROM connector AS con WHERE con.charge_point_id = cp.charge_point_id)
),

-- United before days are made of them: a status that lasts for years may be touched on any day of them.
wanted AS (
    SELECT found.charge_point_id, range_agg(daterange(found.first_day, found.last_day, '[]')) AS ranges
    FROM (
        SELECT touched.charge_point_id, touched.day AS first_day, touched.day AS last_day FROM touched
        UNION ALL
        SELECT lasting.charge_point_id, lasting.first_day, lasting.last_day FROM lasting
        UNION ALL
        SELECT served.charge_point_id, served.first_day, served.last_day FROM served
        UNION ALL
        SELECT passed.charge_point_id, passed.first_day, passed.last_day FROM passed
    ) AS found
    GROUP BY found.charge_point_id
)

SELECT day.day::date AS day, array_agg(wanted.charge_point_id ORDER BY wanted.charge_point_id) AS charge_point_ids
FROM wanted
CROSS JOIN LATERAL unnest(wanted.ranges) AS part (slot)
CROSS JOIN LATERAL generate_series(
    lower(part.slot)::timestamp, least(upper(part.slot) - 1, local_day(%(as_of)s))::timestamp, INTERVAL '1 day'
) AS day (day)
GROUP BY day.day
ORDER BY day.day;

-- name: availability_days_between
SELECT day.day::date AS day, array_agg(cp.charge_point_id ORDER BY cp.charge_point_id) AS charge_point_ids
FROM charge_point AS cp
CROSS JOIN LATERAL (
    SELECT local_day(least(
        heard_since(cp.charge_point_id),
        (SELECT min(ses.started_at) FROM session AS ses WHERE ses.charge_point_id = cp.charge_point_id)
    )) AS day
) AS first_fact
CROSS JOIN LATERAL generate_series(
    greatest(local_day(%(since)s), first_fact.day)::timestamp,
    local_day(least(%(until)s::timestamptz - INTERVAL '1 microsecond', %(as_of)s))::timestamp,
    INTERVAL '1 day'
) AS day (day)
WHERE
    first_fact.day IS NOT NULL
    AND (%(charge_point_ids)s::integer[] IS NULL OR cp.charge_point_id = ANY(%(charge_point_ids)s))
GROUP BY day.day
ORDER BY day.day;

-- name: make_work_port
-- The connectors of the charge points, or connector 0 where no other is known.
CREATE TEMPORARY TABLE work_port ON COMMIT DROP AS
SELECT con.charge_point_id, con.connector_id
FROM connector AS con
WHERE
    con.charge_point_id = ANY(%(charge_point_ids)s)
    AND (
        con.connector_id > 0
        OR NOT EXISTS (
            SELECT FROM connector AS other
            WHERE other.charge_point_id = con.charge_point_id AND other.connector_id > 0
        )
    );

-- name: make_work_known
-- Per connector: since when its charge point was heard of by status or connection, when the connector
-- reported its first status, and from when until when it had transactions. Other days have no row.
CREATE TEMPORARY TABLE work_known ON COMMIT DROP AS
WITH heard AS (
    SELECT asked.charge_point_id, local_day(heard_since(asked.charge_point_id)) AS day
    FROM unnest(%(charge_point_ids)s::integer[]) AS asked (charge_point_id)
)

SELECT
    port.charge_point_id,
    port.connector_id,
    heard.day AS heard_day,
    told.at AS told_at,
    first.started_at,
    greatest(first.ended_at, last.ended_at) AS ended_at
FROM work_port AS port
INNER JOIN heard ON port.charge_point_id = heard.charge_point_id
LEFT JOIN LATERAL (
    SELECT sn.at
    FROM status_notification AS sn
    WHERE sn.charge_point_id = port.charge_point_id AND sn.connector_id = port.connector_id
    ORDER BY sn.at
    LIMIT 1
) AS told ON TRUE
LEFT JOIN LATERAL (
    SELECT ses.started_at, ses.ended_at
    FROM session AS ses
    WHERE ses.charge_point_id = port.charge_point_id AND ses.connector_id = port.connector_id
    ORDER BY ses.started_at
    LIMIT 1
) AS first ON TRUE
LEFT JOIN LATERAL (
    SELECT ses.ended_at
    FROM session AS ses
    WHERE ses.charge_point_id = port.charge_point_id AND ses.connector_id = port.connector_id
    ORDER BY ses.started_at DESC
    LIMIT 1
) AS last ON TRUE;

-- name: make_work_use
-- When transactions ran on each local day, until a status said that the connector was free again.
CREATE TEMPORARY TABLE work_use ON COMMIT DROP AS
SELECT
    ses.charge_point_id,
    ses.connector_id,
    day.day::date AS day,
    range_agg(tstzrange(ses.started_at, coalesce(free.at, ses.ended_at))) AS ranges
FROM (
    SELECT recent.charge_point_id, recent.connector_id, recent.started_at, recent.ended_at
    FROM session AS recent
    WHERE
        recent.charge_point_id = ANY(%(charge_point_ids)s)
        AND recent.started_at >= %(low)s::timestamptz - INTERVAL '48 hours' AND recent.started_at < %(high)s
    UNION ALL
    SELECT long.charge_point_id, long.connector_id, long.started_at, long.ended_at
    FROM session AS long
    WHERE
        long.charge_point_id = ANY(%(charge_point_ids)s)
        AND long.started_at < %(low)s::timestamptz - INTERVAL '48 hours'
        AND long.ended_at - long.started_at > INTERVAL '48 hours'
) AS ses
LEFT JOIN LATERAL (
    SELECT sn.at
    FROM status_notification AS sn
    WHERE
        sn.charge_point_id = ses.charge_point_id
        AND sn.connector_id = ses.connector_id
        AND sn.at > ses.started_at AND sn.at < ses.ended_at
        AND sn.status IN ('Available', 'Reserved')
    ORDER BY sn.at
    LIMIT 1
) AS free ON TRUE
CROSS JOIN LATERAL generate_series(
    greatest(local_day(ses.started_at), %(first_day)s)::timestamp,
    least(local_day(ses.ended_at), %(last_day)s)::timestamp,
    INTERVAL '1 day'
) AS day (day)
WHERE ses.ended_at > %(low)s
GROUP BY ses.charge_point_id, ses.connector_id, day.day;

-- name: make_work_link
-- Per charge point: from when its websocket was on, off, or we were not listening (deaf). After the
-- central system stopped, or closed its sockets for want of a database, nobody knows, until it is back
-- and had 5 min to be reconnected to.
CREATE TEMPORARY TABLE work_link ON COMMIT DROP AS
WITH chosen AS (
    SELECT unnest(%(charge_point_ids)s::integer[]) AS charge_point_id
),

socket AS (
    SELECT chosen.charge_point_id, conn.opened_at, conn.closed_at, conn.replica_id, conn.reason
    FROM chosen
    CROSS JOIN LATERAL (
        SELECT con.opened_at, con.closed_at, con.replica_id, con.reason
        FROM connection AS con
        WHERE con.charge_point_id = chosen.charge_point_id AND con.opened_at < %(low)s
        ORDER BY con.opened_at DESC
        LIMIT 1
    ) AS conn
    UNION ALL
    SELECT con.charge_point_id, con.opened_at, con.closed_at, con.replica_id, con.reason
    FROM connection AS con
    WHERE con.charge_point_id = ANY(%(charge_point_ids)s) AND con.opened_at >= %(low)s AND con.opened_at < %(high)s
),

ended AS (
    SELECT
        socket.charge_point_id,
        socket.opened_at,
        coalesce(
            socket.closed_at,
            CASE
                WHEN rep.seen_at < %(as_of)s::timestamptz - INTERVAL '30 seconds' THEN greatest(rep.seen_at, socket.opened_at)
            END
        ) AS closed_at,
        coalesce(socket.reason, 'the central system stopped') IN (
            'the central system stopped', 'the database was away', 'a newer connection came'
        ) AS is_ours,
        lead(socket.opened_at) OVER (PARTITION BY socket.charge_point_id ORDER BY socket.opened_at) AS next_opened_at
    FROM socket
    LEFT JOIN replica AS rep ON socket.replica_id = rep.replica_id
),

gone AS (
    SELECT ended.*
    FROM ended
    WHERE ended.closed_at < coalesce(ended.next_opened_at, 'infinity')
),

back AS (
    SELECT
        stop.closed_at,
        (SELECT min(con.opened_at) FROM connection AS con WHERE con.opened_at > stop.closed_at) AS back_at
    FROM (SELECT DISTINCT gone.closed_at FROM gone WHERE gone.is_ours) AS stop
)

SELECT ended.charge_point_id, ended.opened_at AS at, 'on' AS link
FROM ended
UNION ALL
SELECT gone.charge_point_id, gone.closed_at, CASE WHEN gone.is_ours THEN 'deaf' ELSE 'off' END
FROM gone
UNION ALL
SELECT gone.charge_point_id, back.back_at + INTERVAL '5 minutes', 'off'
FROM gone
INNER JOIN back ON gone.closed_at = back.closed_at
WHERE
    gone.is_ours
    AND back.back_at + INTERVAL '5 minutes' < least(coalesce(gone.next_opened_at, 'infinity'), %(as_of)s);

-- name: make_work_status
-- The statuses of the days and the last one before them, of connectors and of the charge point as a whole.
CREATE TEMPORARY TABLE work_status ON COMMIT DROP AS
WITH place AS (
    SELECT charge_point_id, connector_id FROM work_port
    UNION
    SELECT charge_point_id, 0::smallint FROM work_port
)

SELECT place.charge_point_id, place.connector_id, sn.at, sn.received_at, sn.status, sn.error_code, sn.vendor_error_code
FROM place
CROSS JOIN LATERAL (
    SELECT earlier.at, earlier.received_at, earlier.status, earlier.error_code, earlier.vendor_error_code
    FROM status_notification AS earlier
    WHERE
        earlier.charge_point_id = place.charge_point_id
        AND earlier.connector_id = place.connector_id
        AND earlier.at < %(low)s
    ORDER BY earlier.at DESC, earlier.received_at DESC
    LIMIT 1
) AS sn
UNION ALL
SELECT place.charge_point_id, place.connector_id, sn.at, sn.received_at, sn.status, sn.error_code, sn.vendor_error_code
FROM place
INNER JOIN status_notification AS sn
    ON place.charge_point_id = sn.charge_point_id AND place.connector_id = sn.connector_id
WHERE sn.at >= %(low)s AND sn.at < %(high)s;

-- name: make_work_state
-- The state of each connector through the days, cut at midnight. Offline beats what was reported; Faulted and
-- Unavailable of the whole charge point beat the connector's own status.
CREATE TEMPORARY TABLE work_state ON COMMIT DROP AS
WITH event AS (
    SELECT
        ws.charge_point_id, ws.connector_id, ws.at, ws.received_at AS tie,
        ROW(ws.status, ws.error_code, ws.vendor_error_code)::reported AS own, NULL::reported AS whole, NULL AS link
    FROM work_status AS ws
    INNER JOIN work_port AS port ON ws.charge_point_id = port.charge_point_id AND ws.connector_id = port.connector_id
    UNION ALL
    SELECT
        port.charge_point_id, port.connector_id, ws.at, ws.received_at,
        NULL, ROW(ws.status, ws.error_code, ws.vendor_error_code)::reported, NULL
    FROM work_status AS ws
    INNER JOIN work_port AS port ON ws.charge_point_id = port.charge_point_id
    WHERE ws.connector_id = 0 AND port.connector_id > 0
    UNION ALL
    SELECT port.charge_point_id, port.connector_id, wl.at, wl.at AS tie, NULL, NULL, wl.link
    FROM work_link AS wl
    INNER JOIN work_port AS port ON wl.charge_point_id = port.charge_point_id
    UNION ALL
    SELECT port.charge_point_id, port.connector_id, local_midnight(day.day::date), '-infinity', NULL, NULL, NULL
    FROM work_port AS port
    CROSS JOIN generate_series(
        %(first_day)s::timestamp, %(last_day)s::timestamp, INTERVAL '1 day'
    ) AS day (day)
),

grouped AS (
    SELECT
        event.*,
        count(event.own) OVER sofar AS own_number,
        count(event.whole) OVER sofar AS whole_number,
        count(event.link) OVER sofar AS link_number,
        lead(event.at) OVER (PARTITION BY event.charge_point_id, event.connector_id ORDER BY event.at, event.tie, event.link) AS until
    FROM event
    WINDOW sofar AS (
        PARTITION BY event.charge_point_id, event.connector_id ORDER BY event.at, event.tie, event.link
        ROWS UNBOUNDED PRECEDING
    )
),

carried AS (
    SELECT
        grouped.charge_point_id,
        grouped.connector_id,
        greatest(grouped.at, %(low)s) AS started_at,
        least(coalesce(grouped.until, 'infinity'), %(high)s, %(as_of)s) AS ended_at,
        first_value(grouped.own) OVER (
            PARTITION BY grouped.charge_point_id, grouped.connector_id, grouped.own_number
            ORDER BY grouped.at, grouped.tie, grouped.link
        ) AS own,
        first_value(grouped.whole) OVER (
            PARTITION BY grouped.charge_point_id, grouped.connector_id, grouped.whole_number
            ORDER BY grouped.at, grouped.tie, grouped.link
        ) AS whole,
        first_value(grouped.link) OVER (
            PARTITION BY grouped.charge_point_id, grouped.connector_id, grouped.link_number
            ORDER BY grouped.at, grouped.tie, grouped.link
        ) AS link
    FROM grouped
),

named AS (
    SELECT
        carried.charge_point_id,
        carried.connector_id,
        carried.started_at,
        carried.ended_at,
        CASE
            WHEN carried.link = 'off' THEN 'offline'
            WHEN carried.link = 'deaf' THEN 'unknown'
            WHEN (carried.whole).status IN ('Faulted', 'Unavailable') THEN (carried.whole).status
            ELSE coalesce((carried.own).status, 'unknown')
        END AS state,
        CASE
            WHEN carried.link IN ('off', 'deaf') THEN NULL
            WHEN (carried.whole).status IN ('Faulted', 'Unavailable') THEN carried.whole
            ELSE carried.own
        END AS told
    FROM carried
    INNER JOIN work_known AS wk ON carried.charge_point_id = wk.charge_point_id AND carried.connector_id = wk.connector_id
    WHERE
        carried.started_at < carried.ended_at
        AND (
            local_day(carried.started_at) >= wk.heard_day
            OR local_day(carried.started_at) BETWEEN local_day(wk.started_at) AND local_day(wk.ended_at)
        )
),

piece AS (
    SELECT
        named.charge_point_id,
        named.connector_id,
        named.started_at,
        named.ended_at,
        named.state,
        nullif((named.told).error_code, 'NoError') AS error_code,
        (named.told).vendor_error_code AS vendor_error_code,
        concat_ws(
            '/', local_day(named.started_at), named.state, (named.told).error_code, '', (named.told).vendor_error_code
        ) AS look
    FROM named
),

turned AS (
    SELECT
        piece.*,
        (
            piece.look = lag(piece.look) OVER (
                PARTITION BY piece.charge_point_id, piece.connector_id ORDER BY piece.started_at
            )
        ) IS NOT TRUE AS is_turn
    FROM piece
),

numbered AS (
    SELECT
        turned.*,
        count(*) FILTER (WHERE turned.is_turn) OVER (
            PARTITION BY turned.charge_point_id, turned.connector_id ORDER BY turned.started_at
        ) AS stretch
    FROM turned
)

SELECT
    numbered.charge_point_id,
    numbered.connector_id,
    min(numbered.started_at) AS started_at,
    max(numbered.ended_at) AS ended_at,
    min(numbered.state) AS state,
    min(numbered.error_code) AS error_code,
    min(numbered.vendor_error_code) AS vendor_error_code
FROM numbered
GROUP BY numbered.charge_point_id, numbered.connector_id, numbered.stretch;

-- name: delete_states
DELETE FROM state_interval AS si
WHERE
    si.charge_point_id = ANY(%(charge_point_ids)s)
    AND si.started_at >= %(low)s AND si.started_at < %(high)s;

-- name: store_states
INSERT INTO state_interval (
    started_at, ended_at, day, charge_point_id, connector_id, state, error_code, vendor_error_code
)
SELECT
    ws.started_at, ws.ended_at, local_day(ws.started_at), ws.charge_point_id, ws.connector_id, ws.state, ws.error_code, ws.vendor_error_code
FROM work_state AS ws;

-- name: delete_availability
DELETE FROM availability_day AS av
WHERE av.day >= %(first_day)s AND av.day <= %(last_day)s AND av.charge_point_id = ANY(%(charge_point_ids)s);

-- name: store_availability
WITH state AS (
    SELECT
        ws.charge_point_id,
        ws.connector_id,
        local_day(ws.started_at) AS day,
        ws.state,
        extract(EPOCH FROM ws.ended_at - ws.started_at)::double precision AS length_s,
        ws.state IN ('Faulted', 'Unavailable', 'offline') AS is_down,
        ws.state = 'unknown' AS is_unknown,
        ws.started_at,
        ws.ended_at
    FROM work_state AS ws
),

-- Exclusions may overlap: united first, so that no second counts twice.
excluded_range AS (
    SELECT
        port.charge_point_id,
        port.connector_id,
        range_agg(tstzrange(ex.started_at, ex.ended_at)) AS ranges
    FROM work_port AS port
    INNER JOIN downtime_exclusion AS ex
        ON
            port.charge_point_id = ex.charge_point_id
            AND coalesce(ex.connector_id, port.connector_id) = port.connector_id
    WHERE ex.withdrawn_at IS NULL AND ex.started_at < %(high)s AND ex.ended_at > %(low)s
    GROUP BY port.charge_point_id, port.connector_id
),

excluded_down AS (
    SELECT
        state.charge_point_id,
        state.connector_id,
        state.day,
        sum(extract(EPOCH FROM upper(part.slot) - lower(part.slot)))::double precision AS excluded_s
    FROM state
    INNER JOIN excluded_range AS er ON state.charge_point_id = er.charge_point_id AND state.connector_id = er.connector_id
    CROSS JOIN LATERAL unnest(er.ranges * tstzmultirange(tstzrange(state.started_at, state.ended_at))) AS part (slot)
    WHERE state.is_down
    GROUP BY state.charge_point_id, state.connector_id, state.day
),

-- What only transactions tell: use where the state is none of a plugged-in vehicle and not down; and
-- operation where nobody knows the state, throughout from the first to the last one before the first status.
told_by_transactions AS (
    SELECT
        state.charge_point_id,
        state.connector_id,
        state.day,
        sum(seconds_in(coalesce(wu.ranges, '{}') * piece.slot)) AS in_use_s,
        coalesce(
            sum(seconds_in((coalesce(wu.ranges, '{}') + piece.served) * piece.slot)) FILTER (WHERE state.is_unknown), 0
        ) AS in_service_s
    FROM state
    INNER JOIN work_known AS wk ON state.charge_point_id = wk.charge_point_id AND state.connector_id = wk.connector_id
    LEFT JOIN work_use AS wu
        ON
            state.charge_point_id = wu.charge_point_id
            AND state.connector_id = wu.connector_id
            AND state.day = wu.day
    CROSS JOIN LATERAL (
        SELECT
            tstzmultirange(tstzrange(state.started_at, state.ended_at)) AS slot,
            tstzmultirange(tstzrange(wk.started_at, greatest(wk.started_at, least(wk.ended_at, wk.told_at)))) AS served
    ) AS piece
    WHERE wk.started_at IS NOT NULL AND state.state IN ('Available', 'Reserved', 'unknown')
    GROUP BY state.charge_point_id, state.connector_id, state.day
)

INSERT INTO availability_day (
    day, charge_point_id, connector_id, observed_s, up_s, down_s, unknown_s, excluded_s, plugged_s, available_s,
    preparing_s, charging_s, suspended_ev_s, suspended_evse_s, finishing_s, reserved_s, unavailable_s, faulted_s, offline_s,
    in_use_s, in_service_s
)
SELECT
    state.day,
    state.charge_point_id,
    state.connector_id,
    sum(state.length_s),
    coalesce(sum(state.length_s) FILTER (WHERE NOT state.is_down AND NOT state.is_unknown), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.is_down), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.is_unknown), 0),
    coalesce(max(ed.excluded_s), 0),
    coalesce(sum(state.length_s) FILTER (
        WHERE state.state IN ('Preparing', 'Charging', 'SuspendedEV', 'SuspendedEVSE', 'Finishing')
    ), 0) + coalesce(max(tt.in_use_s), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Available'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Preparing'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Charging'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'SuspendedEV'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'SuspendedEVSE'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Finishing'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Reserved'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Unavailable'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'Faulted'), 0),
    coalesce(sum(state.length_s) FILTER (WHERE state.state = 'offline'), 0),
    coalesce(max(tt.in_use_s), 0),
    coalesce(max(tt.in_service_s), 0)
FROM state
LEFT JOIN excluded_down AS ed
    ON state.charge_point_id = ed.charge_point_id AND state.connector_id = ed.connector_id AND state.day = ed.day
LEFT JOIN told_by_transactions AS tt
    ON state.charge_point_id = tt.charge_point_id AND state.connector_id = tt.connector_id AND state.day = tt.day
GROUP BY state.charge_point_id, state.connector_id, state.day;
