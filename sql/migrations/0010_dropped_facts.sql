-- What retention dropped is written down, so that nothing is computed anew from facts that are gone; and
-- what still counts stays: open connections, and the status and connection that last into the kept time.

CREATE TABLE dropped_facts (
    hypertable     text        PRIMARY KEY,
    dropped_before timestamptz NOT NULL,
    updated_at     timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dropped_facts IS 'Up to when the facts of a hypertable were dropped by retention; no row: never';
COMMENT ON COLUMN dropped_facts.hypertable IS 'meter_value, ocpp_message, status_notification or connection';
COMMENT ON COLUMN dropped_facts.dropped_before IS
'Facts from before are gone, but for the status and connection of each place that lasted until then, and open connections';
COMMENT ON COLUMN dropped_facts.updated_at IS 'When retention last dropped some';
GRANT SELECT ON dropped_facts TO eletroposto_flows;

-- Retention ran before this was written down: nothing is left from before the oldest chunk.
INSERT INTO dropped_facts (hypertable, dropped_before)
SELECT kept.hypertable, min(chunk.range_start)
FROM (
    VALUES
    ('ocpp_message', 'raw_log_days'), ('meter_value', 'meter_value_days'),
    ('status_notification', 'status_days'), ('connection', 'status_days')
) AS kept (hypertable, name)
INNER JOIN setting AS st ON kept.name = st.name AND st.value IS NOT NULL
INNER JOIN flow_watermark AS wm ON wm.flow = 'retention'
INNER JOIN timescaledb_information.chunks AS chunk
    ON kept.hypertable = chunk.hypertable_name AND chunk.hypertable_schema = 'public'
GROUP BY kept.hypertable;

-- Delete the statuses of a chunk that a later one had replaced by then.
CREATE FUNCTION thin_statuses(from_at timestamptz, to_at timestamptz, kept_from timestamptz) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM status_notification AS gone
    WHERE
        gone.at >= from_at AND gone.at < to_at
        AND EXISTS (
            SELECT FROM status_notification AS later
            WHERE
                later.charge_point_id = gone.charge_point_id
                AND later.connector_id = gone.connector_id
                AND later.at >= gone.at AND later.at < kept_from
                AND (later.at, later.received_at) > (gone.at, gone.received_at)
        )
$$;
COMMENT ON FUNCTION thin_statuses IS 'Delete statuses of a chunk, but the one of each connector that lasted into the kept time';

CREATE FUNCTION thin_connections(from_at timestamptz, to_at timestamptz, kept_from timestamptz) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM connection AS gone
    WHERE
        gone.opened_at >= from_at AND gone.opened_at < to_at
        AND gone.closed_at < kept_from
        AND EXISTS (
            SELECT FROM connection AS later
            WHERE
                later.charge_point_id = gone.charge_point_id
                AND later.opened_at > gone.opened_at AND later.opened_at < kept_from
        )
$$;
COMMENT ON FUNCTION thin_connections IS 'Delete connections of a chunk, but open ones and those that tell of the kept time';
REVOKE EXECUTE ON FUNCTION thin_statuses, thin_connections FROM PUBLIC;

CREATE OR REPLACE FUNCTION drop_facts(hypertable text, older_than timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    kept_from timestamptz;
    part record;
    is_empty boolean;
BEGIN
    IF drop_facts.hypertable NOT IN ('ocpp_message', 'meter_value', 'status_notification', 'connection') THEN
        RAISE EXCEPTION 'nothing is dropped from %', quote_nullable(drop_facts.hypertable);
    END IF;
    SELECT max(chunk.range_end) INTO kept_from
    FROM timescaledb_information.chunks AS chunk
    WHERE
        chunk.hypertable_schema = 'public' AND chunk.hypertable_name = drop_facts.hypertable
        AND chunk.range_end <= drop_facts.older_than;
    IF kept_from IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO dropped_facts AS known (hypertable, dropped_before) VALUES (drop_facts.hypertable, kept_from)
    ON CONFLICT ON CONSTRAINT dropped_facts_pkey DO UPDATE SET
        dropped_before = greatest(known.dropped_before, excluded.dropped_before), updated_at = now();
    IF drop_facts.hypertable IN ('ocpp_message', 'meter_value') THEN
        RETURN QUERY SELECT drop_chunks(drop_facts.hypertable::regclass, older_than => kept_from);
        RETURN;
    END IF;
    FOR part IN
        SELECT chunk.range_start, chunk.range_end
        FROM timescaledb_information.chunks AS chunk
        WHERE
            chunk.hypertable_schema = 'public' AND chunk.hypertable_name = drop_facts.hypertable
            AND chunk.range_end <= kept_from
        ORDER BY chunk.range_start
    LOOP
        IF drop_facts.hypertable = 'connection' THEN
            PERFORM thin_connections(part.range_start, part.range_end, kept_from);
            is_empty := NOT EXISTS (
                SELECT FROM connection AS conn WHERE conn.opened_at >= part.range_start AND conn.opened_at < part.range_end
            );
        ELSE
            PERFORM thin_statuses(part.range_start, part.range_end, kept_from);
            is_empty := NOT EXISTS (
                SELECT FROM status_notification AS sn WHERE sn.at >= part.range_start AND sn.at < part.range_end
            );
        END IF;
        IF is_empty THEN
            RETURN QUERY SELECT drop_chunks(
                drop_facts.hypertable::regclass, older_than => part.range_end, newer_than => part.range_start
            );
        END IF;
    END LOOP;
END;
$$;
COMMENT ON FUNCTION drop_facts IS
'Drop raw facts by whole chunks, but what still counts of statuses and connections; only their owner may, so the flows ask through this';

COMMENT ON COLUMN session.idle_s IS
'Plugged in and served (Preparing, Charging, SuspendedEV, Finishing, online) after the last power, less the grace (10 min DC, 30 min AC)';
COMMENT ON COLUMN report.session.idle_s IS
'Plugged in and served (Preparing, Charging, SuspendedEV, Finishing, online) after the last power, less the grace (10 min DC, 30 min AC)';
