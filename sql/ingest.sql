-- The writer's statements: one batch of frames, one transaction. Parameters named *s are arrays by position. The
-- functions they call are in functions.sql.

-- name: probe_writing
-- Whether every table that a batch touches, its functions and triggers included, can be locked as the batch would
-- now, and those that hold most be written to. It is rolled back. A test holds the list against the catalogue.
SET LOCAL lock_timeout = '1s';
LOCK TABLE ONLY transaction IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY charge_point IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY connector IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY connection IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY status_notification IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY touched_window IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY dojot_outbox IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY dojot_event IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY set_aside IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY orphan_stop IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY charge_point_report IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY reservation IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY charging_profile IN ROW EXCLUSIVE MODE;
LOCK TABLE ONLY replica, id_tag, session, dojot_feed IN ACCESS SHARE MODE;
INSERT INTO ocpp_message (received_at, charge_point_id, direction, raw) VALUES (now(), 0, 'i', '');
INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context) VALUES (now(), 0, 0, 0);

-- name: held_up_by
-- What a session waits for: the table whose lock it wants, or else the server's own word; and a row for each session
-- that has the lock.
SELECT
    (
        SELECT wish.relation::regclass::text
        FROM pg_locks AS wish
        WHERE wish.pid = %(pid)s AND wish.relation IS NOT NULL AND (NOT wish.granted OR wish.locktype = 'tuple')
        LIMIT 1
    ) AS wanted,
    (
        SELECT mine.wait_event_type || ' ' || mine.wait_event
        FROM pg_stat_activity AS mine
        WHERE mine.pid = %(pid)s
    ) AS waits_for,
    holder.pid,
    holding.usename::text AS role,
    holding.application_name AS program
FROM (SELECT) AS always
LEFT JOIN unnest(pg_blocking_pids(%(pid)s)) AS holder (pid) ON TRUE
LEFT JOIN pg_stat_activity AS holding ON holder.pid = holding.pid;

-- name: store_messages
-- Log the frames and move the batch's readings in, in one round trip. A repeated reading changes nothing, a
-- further part of an instant adds what was missing. The keys of what is new go to the outbox once a relay was
-- set up.
WITH logged AS (
    INSERT INTO ocpp_message (
        received_at, charge_point_id, message_type, direction, action, message_id, raw, answer, answered_at
    )
    SELECT
        received_at, charge_point_id, message_type, direction, action, message_id, raw, answer,
        CASE WHEN answer IS NOT NULL THEN %(answered_at)s::timestamptz END
    FROM unnest(
        %(received_ats)b::timestamptz [], %(charge_point_ids)b::integer [], %(message_types)b::smallint [],
        %(directions)b::text [], %(actions)b::text [], %(message_ids)b::text [], %(raws)b::text [],
        %(answers)b::text []
    ) AS message (
        received_at, charge_point_id, message_type, direction, action, message_id, raw, answer
    )
),

stored AS (
    INSERT INTO meter_value AS mv (
        sampled_at, energy_wh, transaction_id, charge_point_id,
        power_w, current_a, voltage_v, soc_percent, temperature_c, current_offered_a, power_offered_w,
        connector_id, context, origin, extra
    )
    SELECT
        sampled_at, energy_wh, transaction_id, charge_point_id,
        power_w, current_a, voltage_v, soc_percent, temperature_c, current_offered_a, power_offered_w,
        connector_id, context, origin, extra
    FROM json_to_recordset(%(readings)s) AS reading (
        sampled_at timestamptz, energy_wh double precision, transaction_id bigint, charge_point_id integer,
        power_w real, current_a real, voltage_v real, soc_percent real, temperature_c real,
        current_offered_a real, power_offered_w real,
        connector_id smallint, context smallint, origin smallint, extra jsonb
    )
    ON CONFLICT (charge_point_id, sampled_at, connector_id, context, transaction_id) DO UPDATE SET
        energy_wh = coalesce(mv.energy_wh, excluded.energy_wh),
        power_w = coalesce(mv.power_w, excluded.power_w),
        current_a = coalesce(mv.current_a, excluded.current_a),
        voltage_v = coalesce(mv.voltage_v, excluded.voltage_v),
        soc_percent = coalesce(mv.soc_percent, excluded.soc_percent),
        temperature_c = coalesce(mv.temperature_c, excluded.temperature_c),
        current_offered_a = coalesce(mv.current_offered_a, excluded.current_offered_a),
        power_offered_w = coalesce(mv.power_offered_w, excluded.power_offered_w),
        extra = merge_extra(
            mv.extra, excluded.extra,
            differ(
                ARRAY[
                    mv.energy_wh, mv.power_w, mv.current_a, mv.voltage_v, mv.soc_percent, mv.temperature_c, mv.current_offered_a, mv.power_offered_w
                ],
                ARRAY[
                    excluded.energy_wh, excluded.power_w, excluded.current_a, excluded.voltage_v, excluded.soc_percent,
                    excluded.temperature_c, excluded.current_offered_a, excluded.power_offered_w
                ]
            )
        )
    WHERE
        (mv.energy_wh IS NULL AND excluded.energy_wh IS NOT NULL)
        OR (mv.power_w IS NULL AND excluded.power_w IS NOT NULL)
        OR (mv.current_a IS NULL AND excluded.current_a IS NOT NULL)
        OR (mv.voltage_v IS NULL AND excluded.voltage_v IS NOT NULL)
        OR (mv.soc_percent IS NULL AND excluded.soc_percent IS NOT NULL)
        OR (mv.temperature_c IS NULL AND excluded.temperature_c IS NOT NULL)
        OR (mv.current_offered_a IS NULL AND excluded.current_offered_a IS NOT NULL)
        OR (mv.power_offered_w IS NULL AND excluded.power_offered_w IS NOT NULL)
        OR mv.extra IS DISTINCT FROM merge_extra(
            mv.extra, excluded.extra,
            differ(
                ARRAY[
                    mv.energy_wh, mv.power_w, mv.current_a, mv.voltage_v, mv.soc_percent, mv.temperature_c, mv.current_offered_a, mv.power_offered_w
                ],
                ARRAY[
                    excluded.energy_wh, excluded.power_w, excluded.current_a, excluded.voltage_v, excluded.soc_percent,
                    excluded.temperature_c, excluded.current_offered_a, excluded.power_offered_w
                ]
            )
        )
    RETURNING mv.charge_point_id, mv.sampled_at, mv.connector_id, mv.context, mv.transaction_id
)

INSERT INTO dojot_outbox (shard, charge_point_ids, sampled_ats, connector_ids, contexts, transaction_ids)
SELECT
    mod(charge_point_id, 8)::smallint,
    array_agg(charge_point_id),
    array_agg(sampled_at),
    array_agg(connector_id),
    array_agg(context),
    array_agg(transaction_id)
FROM stored
WHERE EXISTS (SELECT FROM dojot_feed)
GROUP BY mod(charge_point_id, 8);

-- name: known_undated
-- Which of these readings, whose time is ours, came already: just now on the same socket, or on the one before.
SELECT r."position"
FROM jsonb_to_recordset(%(readings)s) AS r (
    "position" integer, charge_point_id integer, connector_id smallint, context smallint, transaction_id bigint,
    received_at timestamptz, opened_at timestamptz, extra jsonb, energy_wh double precision, power_w real, current_a real, voltage_v real, soc_percent real,
    temperature_c real, current_offered_a real, power_offered_w real
)
WHERE EXISTS (
    SELECT FROM meter_value AS mv
    WHERE
        mv.charge_point_id = r.charge_point_id
        AND mv.sampled_at >= %(since)s AND mv.sampled_at < r.received_at
        AND (
            mv.sampled_at >= r.received_at - %(same_socket)s::interval
            OR (mv.sampled_at < r.opened_at AND mv.sampled_at >= r.opened_at - %(socket_before)s::interval)
        )
        AND mv.connector_id = r.connector_id AND mv.context = r.context AND mv.extra = r.extra
        AND mv.transaction_id IS NOT DISTINCT FROM r.transaction_id
        AND mv.energy_wh IS NOT DISTINCT FROM r.energy_wh
        AND mv.power_w IS NOT DISTINCT FROM r.power_w
        AND mv.current_a IS NOT DISTINCT FROM r.current_a
        AND mv.voltage_v IS NOT DISTINCT FROM r.voltage_v
        AND mv.soc_percent IS NOT DISTINCT FROM r.soc_percent
        AND mv.temperature_c IS NOT DISTINCT FROM r.temperature_c
        AND mv.current_offered_a IS NOT DISTINCT FROM r.current_offered_a
        AND mv.power_offered_w IS NOT DISTINCT FROM r.power_offered_w
);

-- name: start_transactions
-- Store and number the starts, in their order.
SELECT new.*
FROM jsonb_to_recordset(%(starts)s) AS s (
    "position" integer, charge_point_id integer, connector_id smallint, id_tag text, started_at timestamptz,
    meter_start_wh double precision, reservation_id integer, flags text []
)
CROSS JOIN LATERAL start_transaction(
    s.charge_point_id, s.connector_id, s.id_tag, s.started_at, s.meter_start_wh, s.reservation_id, s.flags,
    %(unknown_status)s
) AS new
ORDER BY s."position";

-- name: stop_transactions
-- Close what the stops end, in their order.
SELECT ended.*
FROM jsonb_to_recordset(%(stops)s) AS s (
    "position" integer, charge_point_id integer, transaction_id bigint, id_tag text, stopped_at timestamptz,
    meter_stop_wh double precision, reason text, flags text [], received_at timestamptz
)
CROSS JOIN LATERAL stop_transaction(
    s.charge_point_id, s.transaction_id, s.id_tag, s.stopped_at, s.meter_stop_wh, s.reason, s.flags,
    %(unknown_status)s, s.received_at
) AS ended
ORDER BY s."position";

-- name: judge_id_tags
SELECT verdict.status, verdict.expiry_at, verdict.parent_id_tag
FROM unnest(%(id_tags)s::text[]) WITH ORDINALITY AS asked (id_tag, ordinality)
CROSS JOIN LATERAL judge_id_tag(asked.id_tag, %(unknown_status)s) AS verdict
ORDER BY asked.ordinality;

-- name: store_statuses
-- Keep the statuses, and each connector's newest one by its own time, of a clock that is ahead by ours: what came later
-- wins over what was not yet. One that came without a time has ours, another
-- one each time it comes again: where it says what the last one said some minutes ago, and neither a boot nor a
-- transaction came between, it is that one. A status may return within the second a charge point counts in: received
-- again after another one of that instant it is the last of them.
WITH incoming AS (
    SELECT s.*
    FROM jsonb_to_recordset(%(statuses)s) AS s (
        "position" integer, at timestamptz, received_at timestamptz, charge_point_id integer, connector_id smallint, status text,
        error_code text, info text, vendor_id text, vendor_error_code text, flags text[]
    )
),

told AS (
    SELECT incoming.*
    FROM incoming
    LEFT JOIN LATERAL (
        SELECT one.*
        FROM (
            SELECT
                sn.received_at, -1 AS "position",
                ROW(sn.status, sn.error_code, sn.info, sn.vendor_id, sn.vendor_error_code) AS words
            FROM status_notification AS sn
            WHERE
                sn.charge_point_id = incoming.charge_point_id AND sn.connector_id = incoming.connector_id
                AND sn.at BETWEEN incoming.at - INTERVAL '10 minutes' AND incoming.at + INTERVAL '5 minutes'
            UNION ALL
            SELECT
                earlier.received_at, earlier."position",
                ROW(earlier.status, earlier.error_code, earlier.info, earlier.vendor_id, earlier.vendor_error_code)
            FROM incoming AS earlier
            WHERE
                earlier.charge_point_id = incoming.charge_point_id AND earlier.connector_id = incoming.connector_id
                AND earlier."position" < incoming."position"
                AND earlier.at >= incoming.at - INTERVAL '10 minutes'
        ) AS one
        ORDER BY one.received_at DESC, one."position" DESC
        LIMIT 1
    ) AS last_one ON incoming.at = incoming.received_at
    WHERE
        last_one.words IS DISTINCT FROM ROW(
            incoming.status, incoming.error_code, incoming.info, incoming.vendor_id, incoming.vendor_error_code
        )
        OR EXISTS (
            SELECT FROM transaction AS tx
            WHERE
                tx.charge_point_id = incoming.charge_point_id AND tx.connector_id = incoming.connector_id
                AND tx.changed_at > last_one.received_at
        )
        OR EXISTS (
            SELECT FROM charge_point AS cp
            WHERE cp.charge_point_id = incoming.charge_point_id AND cp.booted_at > last_one.received_at
        )
),

kept AS (
    INSERT INTO status_notification AS known (
        at, received_at, charge_point_id, connector_id, status, error_code, info, vendor_id, vendor_error_code, flags
    )
    SELECT DISTINCT ON (charge_point_id, connector_id, at, status, error_code, vendor_error_code)
        at, received_at, charge_point_id, connector_id, status, error_code, info, vendor_id, vendor_error_code, flags
    FROM told
    ORDER BY charge_point_id, connector_id, at, status, error_code, vendor_error_code, received_at DESC
    ON CONFLICT (charge_point_id, connector_id, at, status, error_code, vendor_error_code) DO UPDATE
    SET received_at = excluded.received_at
    WHERE EXISTS (
        SELECT FROM status_notification AS other
        WHERE
            other.charge_point_id = known.charge_point_id AND other.connector_id = known.connector_id
            AND other.at = known.at AND other.received_at > known.received_at
    )
)

UPDATE connector AS con
SET status = newest.status, error_code = newest.error_code, status_at = newest.status_at
FROM (
    SELECT DISTINCT ON (charge_point_id, connector_id)
        charge_point_id, connector_id, status, error_code, least(at, received_at) AS status_at
    FROM told
    ORDER BY charge_point_id ASC, connector_id ASC, status_at DESC, received_at DESC
) AS newest
WHERE
    con.charge_point_id = newest.charge_point_id AND con.connector_id = newest.connector_id
    AND (con.status_at IS NULL OR newest.status_at >= con.status_at);

-- name: store_boots
UPDATE charge_point AS cp
SET
    vendor = coalesce(b.vendor, cp.vendor),
    model = coalesce(b.model, cp.model),
    serial_number = coalesce(b.serial_number, cp.serial_number),
    firmware_version = coalesce(b.firmware_version, cp.firmware_version),
    boot = b.payload,
    booted_at = b.received_at
FROM (
    SELECT DISTINCT ON (charge_point_id) *
    FROM jsonb_to_recordset(%(boots)s) AS b (
        charge_point_id integer, vendor text, model text, serial_number text, firmware_version text,
        payload jsonb, received_at timestamptz
    )
    ORDER BY charge_point_id ASC, received_at DESC
) AS b
WHERE cp.charge_point_id = b.charge_point_id;

-- name: store_reports
INSERT INTO charge_point_report (at, received_at, charge_point_id, kind, request_id, status, detail)
SELECT at, received_at, charge_point_id, kind, request_id, status, detail
FROM jsonb_to_recordset(%(reports)s) AS r (
    at timestamptz, received_at timestamptz, charge_point_id integer, kind text, request_id integer,
    status text, detail text
)
ON CONFLICT DO NOTHING;

-- name: store_set_aside
INSERT INTO set_aside (received_at, charge_point_id, reason, raw)
SELECT received_at, charge_point_id, reason, raw
FROM jsonb_to_recordset(%(set_aside)s) AS p (
    received_at timestamptz, charge_point_id integer, reason text, raw text
);

-- name: touch_windows
INSERT INTO touched_window (charge_point_id, hour)
SELECT t.charge_point_id, t.hour
FROM unnest(%(charge_point_ids)s::integer[], %(hours)s::timestamptz[]) AS t (charge_point_id, hour);

-- name: note_connectors
-- Connectors that speak only through readings and transactions are there too; of their status we know nothing. Where
-- there are so many that it cannot be true no more are noted: those are returned.
WITH asked AS (
    SELECT
        c.charge_point_id, c.connector_id,
        (SELECT count(*) FROM connector AS known WHERE known.charge_point_id = c.charge_point_id) AS there
    FROM unnest(%(charge_point_ids)s::integer[], %(connector_ids)s::smallint[]) AS c (charge_point_id, connector_id)
),

noted AS (
    INSERT INTO connector (charge_point_id, connector_id)
    SELECT charge_point_id, connector_id FROM asked WHERE there < %(most)s
    ORDER BY charge_point_id, connector_id
    ON CONFLICT DO NOTHING
)

SELECT asked.charge_point_id, asked.connector_id
FROM asked
WHERE
    asked.there >= %(most)s
    AND NOT EXISTS (
        SELECT FROM connector AS con
        WHERE con.charge_point_id = asked.charge_point_id AND con.connector_id = asked.connector_id
    );

-- name: await_other_replicas
-- Two replicas that open sockets of one charge point at once do so one after the other, and the later one sees
-- what the earlier one recorded.
SELECT FROM charge_point
WHERE charge_point_id = ANY(%(charge_point_ids)s)
ORDER BY charge_point_id
FOR NO KEY UPDATE;

-- name: open_connections
-- Record the new sockets; an older one of the same charge point that nobody closed ends here, or when
-- its replica was last alive.
WITH opened AS (
    SELECT c.*
    FROM jsonb_to_recordset(%(connections)s) AS c (
        charge_point_id integer, opened_at timestamptz, remote_address text
    )
),

ended AS (
    UPDATE connection AS old
    SET
        closed_at = greatest(old.opened_at, least(opened.opened_at, coalesce(rep.seen_at, opened.opened_at))),
        reason = 'a newer connection came'
    FROM opened, replica AS rep
    WHERE
        old.charge_point_id = opened.charge_point_id AND old.closed_at IS NULL AND old.replica_id = rep.replica_id
        AND rep.replica_id <> %(replica_id)s
)

INSERT INTO connection (opened_at, charge_point_id, replica_id, remote_address)
SELECT opened_at, charge_point_id, %(replica_id)s, remote_address FROM opened
ON CONFLICT DO NOTHING;

-- name: close_connections
UPDATE connection AS conn
SET closed_at = greatest(c.closed_at, conn.opened_at), reason = c.reason
FROM jsonb_to_recordset(%(connections)s) AS c (
    charge_point_id integer, opened_at timestamptz, closed_at timestamptz, reason text
)
WHERE conn.charge_point_id = c.charge_point_id AND conn.opened_at = c.opened_at AND conn.closed_at IS NULL;

-- name: close_own_connections
-- What this replica could not close while its database was away.
UPDATE connection
SET closed_at = greatest(opened_at, %(closed_at)s::timestamptz), reason = 'the database was away'
WHERE replica_id = %(replica_id)s AND closed_at IS NULL;

-- name: known_transactions
-- Those that are open, and the last one of each connector that is not: its readings may come after its stop. An end
-- without a stop is the moment the connector was free, or not charging after a boot.
SELECT
    tx.charge_point_id,
    tx.transaction_id,
    tx.connector_id,
    tx.started_at,
    coalesce(
        tx.stopped_at,
        least(
            tx.superseded_at,
            (
                SELECT min(seen.at) FROM status_notification AS seen
                WHERE
                    seen.charge_point_id = tx.charge_point_id AND seen.connector_id = tx.connector_id
                    AND seen.at > tx.started_at AND seen.at < coalesce(tx.superseded_at, 'infinity')
                    AND (
                        seen.status = 'Available'
                        OR (
                            seen.status IN ('Preparing', 'Finishing')
                            AND cp.booted_at > tx.started_at AND seen.received_at > cp.booted_at
                        )
                    )
            )
        )
    ) AS ended_at,
    coalesce(cp.booted_at > tx.started_at, FALSE) AS has_booted,
    (tx.stopped_at IS NOT NULL OR tx.superseded_at IS NOT NULL) AS is_closed
FROM (
    SELECT still_open.*
    FROM transaction AS still_open
    WHERE
        still_open.charge_point_id = ANY(%(charge_point_ids)s)
        AND still_open.stopped_at IS NULL AND still_open.superseded_at IS NULL
    UNION ALL
    SELECT last_one.*
    FROM connector AS con
    CROSS JOIN LATERAL (
        SELECT closed.*
        FROM transaction AS closed
        WHERE
            closed.charge_point_id = con.charge_point_id AND closed.connector_id = con.connector_id
            AND (closed.stopped_at IS NOT NULL OR closed.superseded_at IS NOT NULL)
        ORDER BY closed.started_at DESC
        LIMIT 1
    ) AS last_one
    WHERE con.charge_point_id = ANY(%(charge_point_ids)s)
) AS tx
INNER JOIN charge_point AS cp ON tx.charge_point_id = cp.charge_point_id;

-- name: charge_points
-- The registry, whole or one of them.
SELECT
    charge_point_id, identity, registration AS status, time_zone, password_hash, new_password_hash,
    password_digest, security_profile, boot IS NOT NULL AS has_booted
FROM charge_point
WHERE %(charge_point_id)s::integer IS NULL OR charge_point_id = %(charge_point_id)s;

-- name: find_charge_points
SELECT
    charge_point_id, identity, registration AS status, time_zone, password_hash, new_password_hash,
    password_digest, security_profile, boot IS NOT NULL AS has_booted
FROM charge_point
WHERE identity = ANY(%(identities)s);

-- name: register_charge_points
-- Another replica may register the same ones at this moment: then its rows are returned.
INSERT INTO charge_point AS cp (identity)
SELECT identity FROM unnest(%(identities)s::text[]) AS stranger (identity) ORDER BY identity
ON CONFLICT (identity) DO UPDATE SET created_at = cp.created_at
RETURNING
    cp.charge_point_id, cp.identity, cp.registration AS status, cp.time_zone, cp.password_hash, cp.new_password_hash,
    cp.password_digest, cp.security_profile, cp.boot IS NOT NULL AS has_booted;

-- name: list_strangers
-- Pending until somebody approves them, or until so many others came after them.
SELECT list_strangers(%(identities)s, %(most)s);

-- name: keep_password_digests
-- Which ones were kept: what is locked is left out, nobody has to wait for it.
UPDATE charge_point AS cp
SET password_digest = made.digest
FROM (
    SELECT known.charge_point_id, new.digest
    FROM unnest(%(charge_point_ids)s::integer[], %(digests)s::text[]) AS new (charge_point_id, digest)
    INNER JOIN charge_point AS known ON new.charge_point_id = known.charge_point_id
    FOR NO KEY UPDATE OF known SKIP LOCKED
) AS made
WHERE cp.charge_point_id = made.charge_point_id
RETURNING cp.charge_point_id;

-- name: familiar_addresses
-- Where charge points came from in the last week.
SELECT conn.remote_address
FROM connection AS conn
WHERE conn.opened_at > now() - INTERVAL '7 days' AND conn.remote_address IS NOT NULL
GROUP BY conn.remote_address
ORDER BY max(conn.opened_at)
LIMIT 20000;

-- name: heartbeat_interval
-- As read from the charge point, or as it took it from us, in seconds.
SELECT greatest(
    CASE WHEN value ~ '^\d{1,9}$' THEN value::integer END,
    CASE WHEN asked_status IN ('Accepted', 'RebootRequired') AND asked_value ~ '^\d{1,9}$' THEN asked_value::integer END
)::double precision AS interval_s
FROM configuration_key
WHERE
    charge_point_id = %(charge_point_id)s AND lower(name) = 'heartbeatinterval'
    AND (value ~ '^\d{1,9}$' OR (asked_status IN ('Accepted', 'RebootRequired') AND asked_value ~ '^\d{1,9}$'));

-- name: own_connections
SELECT charge_point_id, opened_at FROM connection WHERE replica_id = %(replica_id)s AND closed_at IS NULL;

-- name: reopen_connections
-- Others took this replica for dead, but it holds these sockets still, and their charge points went nowhere else.
UPDATE connection AS conn
SET closed_at = NULL, reason = NULL
FROM unnest(%(charge_point_ids)s::integer[], %(opened_ats)s::timestamptz[]) AS held (charge_point_id, opened_at)
WHERE
    conn.charge_point_id = held.charge_point_id AND conn.opened_at = held.opened_at
    AND conn.replica_id = %(replica_id)s AND conn.reason = 'the central system stopped'
    AND NOT EXISTS (
        SELECT FROM connection AS newer
        WHERE newer.charge_point_id = conn.charge_point_id AND newer.opened_at > conn.opened_at
    )
RETURNING conn.charge_point_id, conn.opened_at;

-- name: announce_replica
INSERT INTO replica AS rep (replica_id, host)
VALUES (%(replica_id)s, %(host)s)
ON CONFLICT (replica_id) DO UPDATE SET seen_at = now();

-- name: close_dead_replicas
-- What a replica left open when it died ends with its last sign of life.
WITH dead AS (
    SELECT replica_id, seen_at FROM replica
    WHERE seen_at < now() - INTERVAL '30 seconds'
),

closed AS (
    UPDATE connection AS conn
    SET closed_at = greatest(dead.seen_at, conn.opened_at), reason = 'the central system stopped'
    FROM dead
    WHERE conn.replica_id = dead.replica_id AND conn.closed_at IS NULL
    RETURNING conn.replica_id
)

DELETE FROM replica
WHERE
    replica_id IN (SELECT replica_id FROM dead)
    AND seen_at < now() - INTERVAL '1 day'
    AND replica_id NOT IN (SELECT replica_id FROM closed);
