-- What was stored before the first relay came is sent too; and how DOJOT is doing, at a glance.

-- ---------------------------------------------------------------- what was there before

ALTER TABLE dojot_feed ADD COLUMN snapshot pg_snapshot, ADD COLUMN last_transaction_id bigint;
COMMENT ON COLUMN dojot_feed.snapshot IS
'What was committed when the feed was opened: nobody else tells DOJOT of it. NULL: opened by an older version, which sent nothing of it';
COMMENT ON COLUMN dojot_feed.last_transaction_id IS 'The newest transaction then';

CREATE TABLE dojot_backfill (
    charge_point_id integer     PRIMARY KEY REFERENCES charge_point,
    reached         timestamptz NOT NULL,
    events_told     boolean     NOT NULL DEFAULT FALSE
);
COMMENT ON TABLE dojot_backfill IS
'Charge points of which readings from before the feed are still to be put into the outbox; a row goes when all are';
COMMENT ON COLUMN dojot_backfill.reached IS 'Readings from this time on';

CREATE FUNCTION was_committed(row_xmin xid, snapshot pg_snapshot) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_visible_in_snapshot(
    -- A row knows only the low half of its transaction's number; the snapshot knows the whole of its own.
    greatest(
        3,
        pg_snapshot_xmax(snapshot)::text::bigint - (age(row_xmin) - age(pg_snapshot_xmax(snapshot)::xid))
    )::text::xid8,
    snapshot
);
COMMENT ON FUNCTION was_committed IS 'Whether this version of a row, given by its xmin, was visible in the snapshot';

-- ---------------------------------------------------------------- what an event is called, once

CREATE FUNCTION dojot_status_of(note status_notification) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'status_' || note.connector_id, note.status,
    'error_code_' || note.connector_id, note.error_code,
    'status_info_' || note.connector_id, note.info,
    'vendor_error_code_' || note.connector_id, note.vendor_error_code
);

-- The id_tag stays here: personal data.
CREATE FUNCTION dojot_start_of(tx transaction) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'transaction_event_' || tx.connector_id, 'started',
    'transaction_id_' || tx.connector_id, tx.transaction_id,
    'meter_start_wh_' || tx.connector_id, tx.meter_start_wh
);

CREATE FUNCTION dojot_stop_of(tx transaction) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'transaction_event_' || tx.connector_id, 'stopped',
    'transaction_id_' || tx.connector_id, tx.transaction_id,
    'meter_stop_wh_' || tx.connector_id, tx.meter_stop_wh,
    'stop_reason_' || tx.connector_id, coalesce(tx.reason, 'Local')
);

CREATE FUNCTION dojot_close_of(conn connection) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('connected', FALSE, 'disconnect_reason', conn.reason);

CREATE FUNCTION dojot_boot_of(cp charge_point) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'boot', 'accepted',
    'vendor', cp.vendor,
    'model', cp.model,
    'serial_number', cp.serial_number,
    'firmware_version', cp.firmware_version
);

CREATE OR REPLACE FUNCTION dojot_tell_status() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.at, dojot_status_of(NEW::status_notification));
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION dojot_tell_start() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.started_at, dojot_start_of(NEW));
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION dojot_tell_stop() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.stopped_at, dojot_stop_of(NEW));
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION dojot_tell_closed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.closed_at, dojot_close_of(NEW::connection));
    RETURN NULL;
END;
$$;

CREATE OR REPLACE FUNCTION dojot_tell_boot() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.booted_at, dojot_boot_of(NEW));
    RETURN NULL;
END;
$$;

-- ---------------------------------------------------------------- how it is doing

ALTER TABLE dojot_shard ADD COLUMN sent_at timestamptz;
COMMENT ON COLUMN dojot_shard.sent_at IS 'When the broker last confirmed something to a relay that had it; give or take 2 s';

ALTER TABLE dojot_relay
ADD COLUMN messages_per_s real NOT NULL DEFAULT 0,
ADD COLUMN broker_is_away boolean NOT NULL DEFAULT FALSE,
ADD COLUMN problem text;
COMMENT ON COLUMN dojot_relay.messages_per_s IS 'Confirmed of late';
COMMENT ON COLUMN dojot_relay.problem IS 'Why devices cannot be looked up or made just now, by name (docs/dojot.md); NULL: they can';

CREATE VIEW report.dojot_state AS
SELECT
    feed.since AS feeding_since,
    relay.running AS relays_running,
    relay.messages_per_s,
    shard.last_sent_at,
    relay.broker_is_away,
    relay.problem,
    waiting.readings AS backlog_readings,
    event.events AS backlog_events,
    waiting.is_more OR event.is_more AS backlog_is_more,
    least(waiting.oldest_at, event.oldest_at) AS oldest_waiting_at,
    extract(EPOCH FROM now() - least(waiting.oldest_at, event.oldest_at))::double precision AS oldest_age_s,
    backfill.charge_points AS backfill_charge_points,
    backfill.reached AS backfill_reached
FROM dojot_feed AS feed
CROSS JOIN (
    SELECT
        count(*) FILTER (WHERE seen_at > now() - INTERVAL '10 seconds') AS running,
        coalesce(sum(messages_per_s) FILTER (WHERE seen_at > now() - INTERVAL '10 seconds'), 0)::double precision
            AS messages_per_s,
        coalesce(bool_or(broker_is_away) FILTER (WHERE seen_at > now() - INTERVAL '10 seconds'), FALSE)
            AS broker_is_away,
        max(problem) FILTER (WHERE seen_at > now() - INTERVAL '10 seconds') AS problem
    FROM dojot_relay
) AS relay
CROSS JOIN (
    SELECT coalesce(sum(row.readings), 0) AS readings, count(*) = 5000 AS is_more, min(row.created_at) AS oldest_at
    FROM (
        SELECT cardinality(charge_point_ids) AS readings, created_at FROM dojot_outbox ORDER BY outbox_id LIMIT 5000
    ) AS row
) AS waiting
CROSS JOIN (
    SELECT count(*) AS events, count(*) = 5000 AS is_more, min(row.created_at) AS oldest_at
    FROM (SELECT created_at FROM dojot_event ORDER BY event_id LIMIT 5000) AS row
) AS event
CROSS JOIN (SELECT max(sent_at) AS last_sent_at FROM dojot_shard) AS shard
CROSS JOIN (SELECT count(*) AS charge_points, min(reached) AS reached FROM dojot_backfill) AS backfill;
COMMENT ON VIEW report.dojot_state IS
'One row once a relay was set up: what waits for DOJOT, since when, and how fast it goes; no row: nothing is sent there';
COMMENT ON COLUMN report.dojot_state.backlog_readings IS 'Counted up to 5,000 commits; backlog_is_more: there are others';
COMMENT ON COLUMN report.dojot_state.oldest_age_s IS 'Seconds since the oldest of what waits was stored; NULL: nothing waits';
COMMENT ON COLUMN report.dojot_state.last_sent_at IS 'When the broker last confirmed a message; give or take 2 s';
COMMENT ON COLUMN report.dojot_state.backfill_charge_points IS
'Charge points of which readings from before the first relay are still to be queued, from backfill_reached on';

-- ---------------------------------------------------------------- rights

GRANT SELECT, INSERT, UPDATE, DELETE ON dojot_backfill TO eletroposto_ingest;
GRANT SELECT ON dojot_backfill TO eletroposto_flows;
GRANT SELECT ON report.dojot_state TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
