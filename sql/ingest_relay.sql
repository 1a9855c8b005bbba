-- The relay's statements. Every list parameter is an array.

-- name: feed_is_open
SELECT count(*) > 0 FROM dojot_feed;

-- name: wait_for_lock
-- No longer than this, in this transaction.
SELECT set_config('lock_timeout', %(wait)s, TRUE);

-- name: lock_feed
-- Waits for the commits that are under way, and they for us: each knows of the feed or is in its snapshot, never both.
LOCK TABLE dojot_outbox, dojot_event IN SHARE ROW EXCLUSIVE MODE;

-- name: open_feed
-- From now on commits fill the outbox.
INSERT INTO dojot_feed (snapshot, last_transaction_id)
SELECT pg_current_snapshot(), max(transaction_id) FROM transaction
ON CONFLICT DO NOTHING
RETURNING since;

-- name: plan_backfill
INSERT INTO dojot_backfill (charge_point_id, reached)
SELECT charge_point_id, %(since)s FROM charge_point
ON CONFLICT DO NOTHING;

-- name: forget_devices
-- Their ids mean nothing to this DOJOT any more. All that was committed until now goes to the next ones, so nothing may
-- be on its way to the old ones when this is called.
WITH gone AS (
    DELETE FROM dojot_device
    WHERE charge_point_id = ANY(%(charge_point_ids)s)
    RETURNING charge_point_id
)

INSERT INTO dojot_backfill (charge_point_id, reached, snapshot, last_transaction_id, planned_at)
SELECT
    gone.charge_point_id,
    %(since)s::timestamptz,
    pg_current_snapshot(),
    (SELECT max(transaction_id) FROM transaction),
    now()
FROM (SELECT DISTINCT charge_point_id FROM gone) AS gone
ON CONFLICT (charge_point_id) DO UPDATE
SET
    reached = excluded.reached,
    events_told = FALSE,
    snapshot = excluded.snapshot,
    last_transaction_id = excluded.last_transaction_id,
    planned_at = excluded.planned_at;

-- name: next_backfill
-- The charge point that is furthest behind. Events first: they are few, and what happens meanwhile tells of itself.
SELECT charge_point_id, reached, events_told FROM dojot_backfill
WHERE mod(charge_point_id, 8) = ANY(%(shards)s)
ORDER BY events_told, reached, charge_point_id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: waiting_for_backfill
-- Messages that already wait, counted in the first rows only.
SELECT coalesce(sum(waiting.messages), 0) FROM (
    (
        SELECT cardinality(charge_point_ids) AS messages FROM dojot_outbox
        WHERE shard = ANY(%(shards)s) AND NOT charge_point_ids <@ %(blocked)s::integer []
        ORDER BY outbox_id
        LIMIT 2000
    )
    UNION ALL
    (
        SELECT 1 FROM dojot_event
        WHERE shard = ANY(%(shards)s) AND charge_point_id <> ALL(%(blocked)s::integer [])
        ORDER BY event_id
        LIMIT 50000
    )
) AS waiting;

-- name: tell_events_again
-- What the triggers would have told of a charge point, had there been a feed; or did tell its former device.
INSERT INTO dojot_event (shard, charge_point_id, at, attrs, is_old)
SELECT mod(%(charge_point_id)s, 8), %(charge_point_id)s, event.at, jsonb_strip_nulls(event.attrs), TRUE
FROM dojot_feed AS feed
INNER JOIN dojot_backfill AS plan ON plan.charge_point_id = %(charge_point_id)s
CROSS JOIN LATERAL (
    SELECT
        coalesce(plan.snapshot, feed.snapshot) AS snapshot,
        coalesce(plan.last_transaction_id, feed.last_transaction_id) AS last_transaction_id,
        coalesce(plan.planned_at, feed.since) AS since
) AS told
CROSS JOIN LATERAL (
    SELECT note.at, dojot_status_of(note) AS attrs
    FROM status_notification AS note
    WHERE note.charge_point_id = %(charge_point_id)s AND note.at >= %(since)s AND was_committed(note.xmin, told.snapshot)
    UNION ALL
    SELECT tx.started_at, dojot_start_of(tx)
    FROM transaction AS tx
    WHERE
        tx.charge_point_id = %(charge_point_id)s AND tx.started_at >= %(since)s
        AND tx.transaction_id <= told.last_transaction_id
    UNION ALL
    SELECT tx.stopped_at, dojot_stop_of(tx)
    FROM transaction AS tx
    WHERE
        tx.charge_point_id = %(charge_point_id)s AND tx.stopped_at >= %(since)s
        AND was_committed(tx.xmin, told.snapshot)
    UNION ALL
    SELECT conn.opened_at, '{"connected": true}'
    FROM connection AS conn
    WHERE
        conn.charge_point_id = %(charge_point_id)s AND conn.opened_at >= %(since)s
        AND (conn.opened_at < told.since OR was_committed(conn.xmin, told.snapshot))
    UNION ALL
    SELECT conn.closed_at, dojot_close_of(conn)
    FROM connection AS conn
    WHERE
        conn.charge_point_id = %(charge_point_id)s AND conn.closed_at >= %(since)s
        AND was_committed(conn.xmin, told.snapshot)
    UNION ALL
    SELECT cp.booted_at, dojot_boot_of(cp)
    FROM charge_point AS cp
    WHERE cp.charge_point_id = %(charge_point_id)s AND cp.booted_at >= %(since)s AND cp.booted_at < told.since
) AS event
WHERE dojot_can_store(event.at);

-- name: events_are_told
UPDATE dojot_backfill SET events_told = TRUE
WHERE charge_point_id = %(charge_point_id)s;

-- name: next_reading
SELECT mv.sampled_at FROM meter_value AS mv
WHERE
    mv.charge_point_id = %(charge_point_id)s
    AND mv.sampled_at >= %(since)s AND mv.sampled_at < '9999-12-31'
ORDER BY mv.sampled_at
LIMIT 1;

-- name: queue_readings
-- Those of a window that nobody else puts into the outbox.
SELECT dojot_enqueue(
    array_agg(mv.charge_point_id), array_agg(mv.sampled_at), array_agg(mv.connector_id), array_agg(mv.context),
    array_agg(mv.transaction_id)
)
FROM meter_value AS mv
WHERE
    mv.charge_point_id = %(charge_point_id)s
    AND mv.sampled_at >= %(since)s AND mv.sampled_at < %(until)s
    AND mv.origin <> 2  -- came from DOJOT
    AND dojot_can_store(mv.sampled_at)
    AND was_committed(mv.xmin, (
        SELECT coalesce(plan.snapshot, feed.snapshot)
        FROM dojot_feed AS feed
        INNER JOIN dojot_backfill AS plan ON plan.charge_point_id = %(charge_point_id)s
    ));

-- name: queue_old_readings
-- The same where chunks may be compressed, whose rows have no versions to judge by: all from before the feed. What
-- came so late that it was stored after the feed was opened is told by its own commit as well.
SELECT dojot_enqueue(
    array_agg(mv.charge_point_id), array_agg(mv.sampled_at), array_agg(mv.connector_id), array_agg(mv.context),
    array_agg(mv.transaction_id)
)
FROM meter_value AS mv
WHERE
    mv.charge_point_id = %(charge_point_id)s
    AND mv.sampled_at >= %(since)s AND mv.sampled_at < %(until)s
    AND mv.origin <> 2  -- came from DOJOT
    AND dojot_can_store(mv.sampled_at)
    AND mv.sampled_at < (
        SELECT coalesce(plan.planned_at, feed.since)
        FROM dojot_feed AS feed
        INNER JOIN dojot_backfill AS plan ON plan.charge_point_id = %(charge_point_id)s
    );

-- name: backfill_reached
UPDATE dojot_backfill SET reached = %(until)s
WHERE charge_point_id = %(charge_point_id)s;

-- name: end_backfill
DELETE FROM dojot_backfill
WHERE charge_point_id = %(charge_point_id)s;

-- name: announce_relay
INSERT INTO dojot_relay (relay_id, host)
VALUES (%(relay_id)s, %(host)s)
ON CONFLICT (relay_id) DO UPDATE
SET
    seen_at = now(), messages_per_s = %(messages_per_s)s, broker_is_away = %(broker_is_away)s, problem = %(problem)s;

-- name: forget_relays
DELETE FROM dojot_relay
WHERE relay_id = %(relay_id)s OR seen_at < now() - INTERVAL '1 day';

-- name: count_relays
SELECT count(*) FROM dojot_relay
WHERE seen_at > now() - %(lease)s::interval;

-- name: shards
-- Who has which shard; locked, so that relays decide one after the other.
SELECT shard, CASE WHEN claimed_until > now() THEN relay_id END AS relay_id
FROM dojot_shard
ORDER BY shard
FOR UPDATE;

-- name: hold_shards
UPDATE dojot_shard
SET
    relay_id = %(relay_id)s,
    claimed_until = now() + %(lease)s::interval,
    sent_at = CASE WHEN %(has_sent)s THEN now() ELSE sent_at END
WHERE shard = ANY(%(shards)s);

-- name: release_shards
UPDATE dojot_shard
SET relay_id = NULL, claimed_until = NULL
WHERE relay_id = %(relay_id)s AND shard = ANY(%(shards)s);

-- name: newest_readings
SELECT coalesce(max(outbox_id), 0) FROM dojot_outbox;

-- name: fresh_readings
-- Newest first: what does not fit into one pass is backlog from then on.
SELECT
    outbox_id,
    shard,
    cardinality(charge_point_ids),
    (SELECT extract(EPOCH FROM min(s))::float8 FROM unnest(sampled_ats) AS s),
    (SELECT extract(EPOCH FROM max(s))::float8 FROM unnest(sampled_ats) AS s)
FROM dojot_outbox
WHERE
    outbox_id > %(after)s
    AND NOT is_old
    AND shard = ANY(%(shards)s)
    AND NOT charge_point_ids <@ %(blocked)s::integer []
ORDER BY outbox_id DESC
LIMIT %(rows)s;

-- name: backlog_readings
-- Oldest first, of what the fresh lane left behind or never looks at.
SELECT
    outbox_id,
    shard,
    cardinality(charge_point_ids),
    (SELECT extract(EPOCH FROM min(s))::float8 FROM unnest(sampled_ats) AS s),
    (SELECT extract(EPOCH FROM max(s))::float8 FROM unnest(sampled_ats) AS s)
FROM dojot_outbox
WHERE
    outbox_id > %(after)s
    AND (is_old OR outbox_id <= %(until)s)
    AND shard = ANY(%(shards)s)
    AND NOT charge_point_ids <@ %(blocked)s::integer []
ORDER BY outbox_id
LIMIT %(rows)s;

-- name: read_readings
-- The readings behind the keys. The bounds let the planner leave out chunks, which costs 3 us a chunk and reading
-- otherwise; they are seconds, since a charge point may send years that no client can hold. LIMIT keeps it to
-- look-ups by key. attrs is NULL for a reading that was deleted since.
SELECT
    o.outbox_id,
    k.position::integer,
    k.charge_point_id,
    dojot_timestamp_ms(k.sampled_at),
    reading.attrs
FROM dojot_outbox AS o
CROSS JOIN LATERAL unnest(o.charge_point_ids, o.sampled_ats, o.connector_ids, o.contexts, o.transaction_ids)
WITH ORDINALITY AS k (charge_point_id, sampled_at, connector_id, context, transaction_id, position)
LEFT JOIN LATERAL (
    SELECT dojot_attributes(mv)::text AS attrs
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = k.charge_point_id
        AND mv.sampled_at = k.sampled_at
        AND mv.connector_id = k.connector_id
        AND mv.context = k.context
        AND (o.transaction_ids IS NULL OR mv.transaction_id IS NOT DISTINCT FROM k.transaction_id)
        AND mv.sampled_at BETWEEN to_timestamp(%(since)s::float8) AND to_timestamp(%(until)s::float8)
    ORDER BY mv.sampled_at
    LIMIT 1
) AS reading ON TRUE
WHERE o.outbox_id = ANY(%(ids)s);

-- name: delete_readings
DELETE FROM dojot_outbox
WHERE outbox_id = ANY(%(ids)s);

-- name: keep_readings
-- Leave only these positions of a row: the others were sent. Unless another relay had it too and left less of it
-- meanwhile: the positions would be of other readings.
UPDATE dojot_outbox AS o
SET
    charge_point_ids = ARRAY(SELECT o.charge_point_ids[p] FROM unnest(%(positions)s::integer []) AS p),
    sampled_ats = ARRAY(SELECT o.sampled_ats[p] FROM unnest(%(positions)s::integer []) AS p),
    connector_ids = ARRAY(SELECT o.connector_ids[p] FROM unnest(%(positions)s::integer []) AS p),
    contexts = ARRAY(SELECT o.contexts[p] FROM unnest(%(positions)s::integer []) AS p),
    transaction_ids = CASE
        WHEN o.transaction_ids IS NOT NULL
            THEN ARRAY(SELECT o.transaction_ids[p] FROM unnest(%(positions)s::integer []) AS p)
    END
WHERE o.outbox_id = %(id)s AND cardinality(o.charge_point_ids) = %(readings)s;

-- name: newest_events
SELECT coalesce(max(event_id), 0) FROM dojot_event;

-- name: fresh_events
SELECT event_id, shard, 1 AS readings, 0 AS since, 0 AS until
FROM dojot_event
WHERE
    event_id > %(after)s
    AND NOT is_old
    AND shard = ANY(%(shards)s)
    AND charge_point_id <> ALL(%(blocked)s::integer [])
ORDER BY event_id DESC
LIMIT %(rows)s;

-- name: backlog_events
SELECT event_id, shard, 1 AS readings, 0 AS since, 0 AS until
FROM dojot_event
WHERE
    event_id > %(after)s
    AND (is_old OR event_id <= %(until)s)
    AND shard = ANY(%(shards)s)
    AND charge_point_id <> ALL(%(blocked)s::integer [])
ORDER BY event_id
LIMIT %(rows)s;

-- name: read_events
SELECT event_id, 1, charge_point_id, dojot_timestamp_ms(at), attrs::text
FROM dojot_event
WHERE event_id = ANY(%(ids)s);

-- name: delete_events
DELETE FROM dojot_event
WHERE event_id = ANY(%(ids)s);

-- name: set_aside
INSERT INTO set_aside (received_at, charge_point_id, reason, raw)
SELECT now(), p.charge_point_id, p.reason, p.raw
FROM jsonb_to_recordset(%(pieces)s) AS p (charge_point_id integer, reason text, raw text);

-- name: remember_tenant
INSERT INTO dojot_tenant (url, username, tenant)
VALUES (%(url)s, %(username)s, %(tenant)s)
ON CONFLICT (url, username) DO UPDATE SET tenant = excluded.tenant;

-- name: devices
SELECT charge_point_id, device_id FROM dojot_device
WHERE url = %(url)s AND tenant = %(tenant)s AND mod(charge_point_id, 8) = ANY(%(shards)s);

-- name: labels
-- The charge points that are to be found in DOJOT, by the label they have there; with the device if another relay
-- found it meanwhile.
SELECT cp.charge_point_id, cp.identity, dev.device_id
FROM charge_point AS cp
LEFT JOIN dojot_device AS dev
    ON cp.charge_point_id = dev.charge_point_id AND dev.url = %(url)s AND dev.tenant = %(tenant)s
WHERE cp.charge_point_id = ANY(%(charge_point_ids)s);

-- name: adopt_devices
-- The same DOJOT under another address, or from before addresses were kept: an id and a label that fit are no chance.
UPDATE dojot_device AS dev SET url = %(url)s
FROM unnest(%(device_ids)s::text [], %(labels)s::text []) AS there (device_id, label)
WHERE
    mod(dev.charge_point_id, 8) = ANY(%(shards)s)
    AND dev.tenant = %(tenant)s
    AND dev.url <> %(url)s
    AND dev.device_id = there.device_id
    AND dev.label = there.label
    AND NOT EXISTS (
        SELECT FROM dojot_device AS own
        WHERE
            own.url = %(url)s AND own.tenant = %(tenant)s
            AND (own.charge_point_id = dev.charge_point_id OR own.device_id = dev.device_id)
    );

-- name: strange_devices
-- Charge points whose device is in another DOJOT, or in none any more.
SELECT charge_point_id FROM dojot_device
WHERE mod(charge_point_id, 8) = ANY(%(shards)s)
GROUP BY charge_point_id
HAVING NOT bool_or(url = %(url)s AND tenant = %(tenant)s AND device_id = ANY(%(device_ids)s::text []));

-- name: other_holders
SELECT charge_point_id FROM dojot_device
WHERE
    url = %(url)s AND tenant = %(tenant)s AND device_id = %(device_id)s
    AND charge_point_id <> %(charge_point_id)s;

-- name: remember_device
INSERT INTO dojot_device AS dev (charge_point_id, url, tenant, device_id, label, template_id)
VALUES (%(charge_point_id)s, %(url)s, %(tenant)s, %(device_id)s, %(label)s, %(template_id)s)
ON CONFLICT (charge_point_id, url, tenant) DO UPDATE
SET
    device_id = excluded.device_id,
    label = excluded.label,
    template_id = excluded.template_id,
    found_at = CASE WHEN dev.device_id = excluded.device_id THEN dev.found_at ELSE now() END;

-- name: lock_provisioning
-- Kept after this transaction; waits in turn, no longer than wait_for_lock says.
SELECT pg_advisory_lock(hashtext('dojot provisioning'));

-- name: unlock_provisioning
SELECT pg_advisory_unlock(hashtext('dojot provisioning'));

-- name: clock
SELECT extract(EPOCH FROM clock_timestamp())::float8;

-- name: template
-- The dynamic attributes a template must have for the connectors we know, and always for 0, 1 and 2.
SELECT t.label, t.value_type
FROM dojot_template(ARRAY(
    SELECT generate_series(0, greatest(2, (SELECT max(least(con.connector_id, 32)) FROM connector AS con)))::smallint
)) AS t;

-- name: insert_command
-- Once, also if the answer of an earlier attempt was lost.
INSERT INTO command (charge_point_id, action, payload, requested_by, requested_at, expires_at)
SELECT
    %(charge_point_id)s, %(action)s, %(payload)s, %(requested_by)s, %(requested_at)s,
    now() + make_interval(secs => %(left_s)s)
WHERE
    NOT EXISTS (
        SELECT FROM command AS cmd
        WHERE
            cmd.charge_point_id = %(charge_point_id)s AND cmd.requested_at = %(requested_at)s
            AND cmd.action = %(action)s AND cmd.requested_by = %(requested_by)s
    );

-- name: frames_since
-- How far the frame log came in the shard that is furthest behind, and the time.
SELECT min(greatest(coalesce(cur.received_at, feed.since), %(oldest)s)), now()
FROM unnest(%(shards)s::smallint []) AS s (shard)
CROSS JOIN dojot_feed AS feed
LEFT JOIN dojot_frame_cursor AS cur ON s.shard = cur.shard;

-- name: queue_frames
-- Move the frame log on by a window. Frames of before it that were stored only after the last look are in it, too.
WITH span AS (
    SELECT s.shard, greatest(coalesce(cur.received_at, feed.since), %(oldest)s) AS since, cur.snapshot
    FROM unnest(%(shards)s::smallint []) AS s (shard)
    CROSS JOIN dojot_feed AS feed
    LEFT JOIN dojot_frame_cursor AS cur ON s.shard = cur.shard
    WHERE coalesce(cur.received_at, feed.since) < %(until)s
),

moved AS (
    INSERT INTO dojot_frame_cursor (shard, received_at, snapshot)
    SELECT shard, %(until)s, pg_current_snapshot() FROM span
    ON CONFLICT (shard) DO UPDATE SET received_at = excluded.received_at, snapshot = excluded.snapshot
)

INSERT INTO dojot_event (shard, charge_point_id, at, attrs, is_old)
SELECT
    span.shard,
    msg.charge_point_id,
    msg.received_at,
    jsonb_strip_nulls(jsonb_build_object(
        'ocpp_frame_in', CASE WHEN msg.direction = 'i' THEN msg.raw END,
        'ocpp_frame_out', CASE WHEN msg.direction = 'o' THEN msg.raw ELSE msg.answer END
    )),
    %(is_old)s
FROM span
INNER JOIN ocpp_message AS msg ON span.shard = mod(msg.charge_point_id, 8)
WHERE
    msg.received_at > %(low)s AND msg.received_at <= %(until)s
    AND (msg.received_at > span.since OR NOT was_committed(msg.xmin, span.snapshot))
    AND length(msg.raw) + coalesce(length(msg.answer), 0) < 100000;

-- name: queue_old_frames
-- The same where nothing is stored any more, and a compressed chunk knows no versions of rows.
WITH span AS (
    SELECT s.shard, greatest(coalesce(cur.received_at, feed.since), %(oldest)s) AS since, cur.snapshot
    FROM unnest(%(shards)s::smallint []) AS s (shard)
    CROSS JOIN dojot_feed AS feed
    LEFT JOIN dojot_frame_cursor AS cur ON s.shard = cur.shard
    WHERE coalesce(cur.received_at, feed.since) < %(until)s
),

moved AS (
    INSERT INTO dojot_frame_cursor (shard, received_at, snapshot)
    SELECT shard, %(until)s, pg_current_snapshot() FROM span
    ON CONFLICT (shard) DO UPDATE SET received_at = excluded.received_at, snapshot = excluded.snapshot
)

INSERT INTO dojot_event (shard, charge_point_id, at, attrs, is_old)
SELECT
    span.shard,
    msg.charge_point_id,
    msg.received_at,
    jsonb_strip_nulls(jsonb_build_object(
        'ocpp_frame_in', CASE WHEN msg.direction = 'i' THEN msg.raw END,
        'ocpp_frame_out', CASE WHEN msg.direction = 'o' THEN msg.raw ELSE msg.answer END
    )),
    %(is_old)s
FROM span
INNER JOIN ocpp_message AS msg ON span.shard = mod(msg.charge_point_id, 8)
WHERE
    msg.received_at > %(low)s AND msg.received_at <= %(until)s
    AND msg.received_at > span.since
    AND length(msg.raw) + coalesce(length(msg.answer), 0) < 100000;

-- name: backlog
-- How much waits, each queue counted up to 100,000 rows, and since when; when something was last sent; for how many
-- charge points earlier readings are still to be queued; how far the frame log is behind.
SELECT
    reading.commits,
    reading.readings,
    event.events,
    extract(EPOCH FROM now() - least(reading.oldest_at, event.oldest_at)),
    (SELECT extract(EPOCH FROM max(sent_at)) FROM dojot_shard),
    (SELECT count(*) FROM dojot_backfill),
    (
        SELECT extract(EPOCH FROM now() - min(coalesce(cur.received_at, feed.since)))
        FROM dojot_feed AS feed
        CROSS JOIN dojot_shard AS shard
        LEFT JOIN dojot_frame_cursor AS cur ON shard.shard = cur.shard
    )
FROM (
    SELECT
        count(*) AS commits,
        coalesce(sum(waiting.readings), 0) AS readings,
        min(waiting.created_at) AS oldest_at
    FROM (
        SELECT cardinality(charge_point_ids) AS readings, created_at
        FROM dojot_outbox
        ORDER BY outbox_id
        LIMIT 100000
    ) AS waiting
) AS reading
CROSS JOIN (
    SELECT count(*) AS events, min(waiting.created_at) AS oldest_at
    FROM (SELECT created_at FROM dojot_event ORDER BY event_id LIMIT 100000) AS waiting
) AS event;
