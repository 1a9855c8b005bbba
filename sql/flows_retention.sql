-- Dropping raw data by whole chunks; aggregates stay.

-- name: retention_limits
-- How long each hypertable of facts is kept, where a setting says so; what frees most on a full disk first. Statuses
-- and connections are thinned by rows, which may need some room.
SELECT kept.hypertable, st.name AS setting, st.value AS days
FROM setting AS st
INNER JOIN (
    VALUES
    ('ocpp_message', 'raw_log_days'), ('meter_value', 'meter_value_days'),
    ('status_notification', 'status_days'), ('connection', 'status_days')
) AS kept (hypertable, name) ON st.name = kept.name
WHERE st.value IS NOT NULL
ORDER BY kept.hypertable = 'ocpp_message' DESC, kept.hypertable = 'meter_value' DESC, kept.hypertable;

-- name: chunks_beyond
SELECT count(*) AS chunks
FROM show_chunks(%(hypertable)s::text::regclass, older_than => %(older_than)s::timestamptz);

-- name: drop_chunks_beyond
SELECT count(*) AS chunks FROM drop_facts(%(hypertable)s, %(older_than)s);

-- name: unprocessed_beyond
-- Facts the flows have not seen yet must not go.
SELECT
    (
        SELECT count(*) FROM touched_work AS work
        WHERE work.hour < %(older_than)s AND work.flow IN ('sessions', 'availability')
    )
    + (SELECT count(*) FROM touched_window AS mark WHERE mark.hour < %(older_than)s) AS waiting;

-- name: dropped_before
SELECT max(gone.dropped_before) AS dropped_before
FROM dropped_facts AS gone
WHERE gone.hypertable = ANY(%(hypertables)s);

-- name: sessions_beyond
-- Readings up to 10 min before the start count for a session.
SELECT ses.transaction_id
FROM session AS ses
WHERE
    ses.transaction_id = ANY(%(transaction_ids)s)
    AND NOT ses.is_open
    AND ses.started_at < %(dropped_before)s::timestamptz + INTERVAL '10 minutes';

-- name: forget_runs
DELETE FROM flow_run WHERE started_at < %(older_than)s;

-- name: forget_records
-- What grows beside the facts, by the same limits; none where nothing is limited.
SELECT record, older_than, forgotten FROM forget_records(%(as_of)s) WHERE older_than IS NOT NULL;
