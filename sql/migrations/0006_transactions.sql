-- How starts, stops and id_tags are judged: in the database, so that every replica judges alike.

ALTER TABLE transaction ADD COLUMN superseded_at timestamptz;
COMMENT ON COLUMN transaction.superseded_at IS
'Start of the next transaction of this connector, when that began before any stop was received: this one had ended';
DROP INDEX transaction_open;
DROP INDEX transaction_active_tag;
CREATE INDEX transaction_open ON transaction (charge_point_id, connector_id)
WHERE stopped_at IS NULL AND superseded_at IS NULL;
CREATE INDEX transaction_active_tag ON transaction (upper(btrim(id_tag)))
WHERE stopped_at IS NULL AND superseded_at IS NULL;

CREATE TYPE id_tag_verdict AS (status text, expiry_at timestamptz, parent_id_tag text);

CREATE FUNCTION without_serial(tag text) RETURNS text
LANGUAGE sql STABLE
RETURN CASE
    WHEN
        strpos(tag, '_') > 1
        AND NOT EXISTS (SELECT FROM id_tag AS known WHERE known.id_tag_key = upper(btrim(tag)))
        AND EXISTS (
            SELECT FROM charge_point AS cp
            WHERE upper(substring(btrim(tag) FROM '[^_]*$')) IN (upper(cp.serial_number), upper(cp.identity))
        )
        THEN regexp_replace(btrim(tag), '_[^_]*$', '')
    ELSE tag
END;
COMMENT ON FUNCTION without_serial IS
'The id_tag that was read, where a charge point hung its serial number or identity on it: TAG_SERIAL';

CREATE FUNCTION judge_id_tag(tag text, unknown_status text) RETURNS id_tag_verdict
LANGUAGE sql STABLE
RETURN (
    SELECT
        ROW(
            CASE
                WHEN known.id_tag_key IS NULL THEN unknown_status
                WHEN known.status <> 'Accepted' THEN known.status
                WHEN known.expiry_at <= now() THEN 'Expired'
                ELSE 'Accepted'
            END,
            CASE WHEN isfinite(known.expiry_at) THEN known.expiry_at END,
            known.parent_id_tag
        )::id_tag_verdict
    FROM (SELECT upper(btrim(without_serial(tag))) AS id_tag_key) AS asked
    LEFT JOIN id_tag AS known ON asked.id_tag_key = known.id_tag_key
);
COMMENT ON FUNCTION judge_id_tag IS 'What to answer about an id_tag; unknown_status is the verdict on one we do not know';

CREATE FUNCTION has_too_many_active(tag text) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (
    SELECT FROM id_tag AS known
    WHERE
        known.id_tag_key = upper(btrim(tag))
        AND known.max_active <= (
            SELECT count(*) FROM transaction AS tx
            WHERE
                upper(btrim(tx.id_tag)) = known.id_tag_key
                AND tx.stopped_at IS NULL
                AND tx.superseded_at IS NULL
                AND tx.id_tag_status = 'Accepted'
        )
);

CREATE FUNCTION repeated_start(
    cp integer, connector integer, tag text, began timestamptz, register_wh double precision, remarks text[]
)
RETURNS transaction
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_one transaction;
BEGIN
    SELECT tx.* INTO found_one FROM transaction AS tx
    WHERE
        tx.charge_point_id = cp AND tx.connector_id = connector AND tx.started_at = began
        AND tx.meter_start_wh IS NOT DISTINCT FROM register_wh AND tx.id_tag IS NOT DISTINCT FROM tag;
    IF NOT FOUND AND 'clock' = ANY(remarks) THEN
        -- Its clock is not set and our time stands in, another one each time.
        SELECT tx.* INTO found_one FROM transaction AS tx
        WHERE
            tx.charge_point_id = cp AND tx.connector_id = connector
            AND tx.stopped_at IS NULL AND tx.superseded_at IS NULL AND 'clock' = ANY(tx.flags)
            AND tx.meter_start_wh IS NOT DISTINCT FROM register_wh AND tx.id_tag IS NOT DISTINCT FROM tag
        ORDER BY tx.started_at DESC
        LIMIT 1;
    END IF;
    RETURN found_one;
END;
$$;
COMMENT ON FUNCTION repeated_start IS 'The transaction of a start that came before: our answer was lost and it came again';

CREATE FUNCTION start_transaction(
    cp integer, connector smallint, tag text, began timestamptz, register_wh double precision,
    reservation integer, remarks text[], unknown_status text,
    OUT number bigint, OUT status text, OUT expiry_at timestamptz, OUT parent_id_tag text
)
LANGUAGE plpgsql AS $$
DECLARE
    verdict id_tag_verdict := judge_id_tag(tag, unknown_status);
    read_tag text := without_serial(tag);
    known transaction := repeated_start(cp, connector, read_tag, began, register_wh, remarks);
BEGIN
    expiry_at := verdict.expiry_at;
    parent_id_tag := verdict.parent_id_tag;
    status := verdict.status;
    IF known.transaction_id IS NULL THEN
        IF status = 'Accepted' AND has_too_many_active(read_tag) THEN
            status := 'ConcurrentTx';
        END IF;
        INSERT INTO transaction AS tx (
            charge_point_id, connector_id, id_tag, id_tag_status, reservation_id, started_at, meter_start_wh,
            flags, superseded_at
        )
        SELECT
            cp, connector, read_tag, status, reservation, began, register_wh, remarks,
            (
                SELECT min(later.started_at) FROM transaction AS later
                WHERE later.charge_point_id = cp AND later.connector_id = connector AND later.started_at > began
            )
        ON CONFLICT ON CONSTRAINT transaction_start DO NOTHING
        RETURNING tx.transaction_id INTO number;
        IF number IS NOT NULL THEN
            UPDATE transaction AS earlier SET superseded_at = began, changed_at = now()
            WHERE
                earlier.charge_point_id = cp AND earlier.connector_id = connector
                AND earlier.stopped_at IS NULL AND earlier.superseded_at IS NULL
                AND earlier.started_at <= began AND earlier.transaction_id <> number;
            RETURN;
        END IF;
        -- Another replica stored the same start in this moment.
        known := repeated_start(cp, connector, read_tag, began, register_wh, remarks);
    END IF;
    number := known.transaction_id;
    status := known.id_tag_status;
END;
$$;
COMMENT ON FUNCTION start_transaction IS
'Store a start and number it; a repeated start gets the number it had. Refused id_tags are numbered too (OCPP 1.6 4.8)';

CREATE FUNCTION stop_transaction(
    cp integer, asked bigint, tag text, ended timestamptz, register_wh double precision,
    why text, remarks text[], unknown_status text, received timestamptz,
    OUT number bigint, OUT connector smallint, OUT status text, OUT expiry_at timestamptz, OUT parent_id_tag text
)
LANGUAGE plpgsql AS $$
DECLARE
    verdict id_tag_verdict := judge_id_tag(tag, unknown_status);
    read_tag text := without_serial(tag);
    known transaction;
BEGIN
    IF tag IS NOT NULL THEN
        status := verdict.status;
        expiry_at := verdict.expiry_at;
        parent_id_tag := verdict.parent_id_tag;
    END IF;
    SELECT * INTO known FROM transaction AS tx WHERE tx.transaction_id = asked AND tx.charge_point_id = cp;
    IF NOT FOUND THEN
        known := meant_transaction(cp, ended, register_wh);
        remarks := remarks || 'matched'::text;
    END IF;
    connector := known.connector_id;
    IF known.stopped_at IS NULL THEN
        UPDATE transaction AS tx
        SET
            stopped_at = ended, meter_stop_wh = register_wh, stop_id_tag = read_tag, reason = why,
            flags = tx.flags || remarks, changed_at = now()
        WHERE tx.transaction_id = known.transaction_id
        RETURNING tx.transaction_id INTO number;
    ELSIF known.meter_stop_wh IS NOT DISTINCT FROM register_wh
        AND (known.stopped_at = ended OR 'clock' = ANY(remarks)) THEN
        number := known.transaction_id;  -- our answer was lost and the stop came again
    END IF;
    IF number IS NULL THEN
        INSERT INTO orphan_stop (received_at, charge_point_id, transaction_id, id_tag, stopped_at, meter_stop_wh, reason)
        VALUES (received, cp, asked, read_tag, ended, register_wh, why)
        ON CONFLICT DO NOTHING;
    END IF;
END;
$$;
COMMENT ON FUNCTION stop_transaction IS
'Close a transaction; a stop nobody is open for is kept as orphan_stop and number is NULL. Idempotent';

CREATE FUNCTION meant_transaction(cp integer, ended timestamptz, register_wh double precision)
RETURNS transaction
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_one transaction;
BEGIN
    SELECT tx.* INTO found_one FROM transaction AS tx
    WHERE
        tx.charge_point_id = cp AND tx.stopped_at = ended AND tx.meter_stop_wh IS NOT DISTINCT FROM register_wh;
    IF FOUND THEN
        RETURN found_one;  -- our answer was lost and the stop came again
    END IF;
    SELECT tx.* INTO STRICT found_one FROM transaction AS tx
    WHERE
        tx.charge_point_id = cp AND tx.stopped_at IS NULL AND tx.superseded_at IS NULL
        AND tx.started_at <= ended
        AND (register_wh IS NULL OR tx.meter_start_wh IS NULL OR tx.meter_start_wh <= register_wh);
    RETURN found_one;
EXCEPTION WHEN no_data_found OR too_many_rows THEN
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION meant_transaction IS
'The transaction that a stop without a usable id can only mean: one it closed before, or the only open one, begun
before it, with a register not above';

CREATE TABLE charge_point_report (
    at              timestamptz NOT NULL,
    received_at     timestamptz NOT NULL,
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    kind            text        NOT NULL
                                CHECK (kind IN ('firmware', 'signed_firmware', 'diagnostics', 'log', 'security')),
    request_id      integer,
    status          text        NOT NULL,
    detail          text,
    UNIQUE NULLS NOT DISTINCT (charge_point_id, kind, at, request_id, status)
);
COMMENT ON TABLE charge_point_report IS
'News of a charge point about firmware, diagnostics and log uploads, and security events';
COMMENT ON COLUMN charge_point_report.status IS 'Status, or the type of a security event';

CREATE VIEW report.charge_point_report AS
SELECT rep.at, cp.identity AS charge_point, rep.kind, rep.request_id, rep.status, rep.detail, rep.received_at
FROM charge_point_report AS rep
INNER JOIN charge_point AS cp ON rep.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.charge_point_report IS 'Firmware, diagnostics, log and security news of charge points';

CREATE FUNCTION announce_charge_point() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_charge_point', NEW.charge_point_id::text);
    RETURN NULL;
END;
$$;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OF registration, password_hash, security_profile, time_zone
ON charge_point FOR EACH ROW EXECUTE FUNCTION announce_charge_point();

GRANT SELECT, INSERT ON charge_point_report TO eletroposto_ingest;
GRANT SELECT ON charge_point_report TO eletroposto_flows;
GRANT SELECT ON report.charge_point_report TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
