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
            known.expiry_at,
            known.parent_id_tag
        )::id_tag_verdict
    FROM (SELECT upper(btrim(tag)) AS id_tag_key) AS asked
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

CREATE FUNCTION start_transaction(
    cp integer, connector smallint, tag text, began timestamptz, register_wh double precision,
    reservation integer, remarks text[], unknown_status text,
    OUT number bigint, OUT status text, OUT expiry_at timestamptz, OUT parent_id_tag text
)
LANGUAGE plpgsql AS $$
DECLARE
    verdict id_tag_verdict := judge_id_tag(tag, unknown_status);
BEGIN
    expiry_at := verdict.expiry_at;
    parent_id_tag := verdict.parent_id_tag;
    SELECT tx.transaction_id, tx.id_tag_status INTO number, status
    FROM transaction AS tx
    WHERE
        tx.charge_point_id = cp AND tx.connector_id = connector AND tx.started_at = began
        AND tx.meter_start_wh IS NOT DISTINCT FROM register_wh AND tx.id_tag IS NOT DISTINCT FROM tag;
    IF FOUND THEN
        RETURN;  -- our answer was lost and the start came again
    END IF;
    status := verdict.status;
    IF status = 'Accepted' AND has_too_many_active(tag) THEN
        status := 'ConcurrentTx';
    END IF;
    INSERT INTO transaction AS tx (
        charge_point_id, connector_id, id_tag, id_tag_status, reservation_id, started_at, meter_start_wh,
        flags, superseded_at
    )
    SELECT
        cp, connector, tag, status, reservation, began, register_wh, remarks,
        (
            SELECT min(later.started_at) FROM transaction AS later
            WHERE later.charge_point_id = cp AND later.connector_id = connector AND later.started_at > began
        )
    RETURNING tx.transaction_id INTO number;
    UPDATE transaction AS earlier SET superseded_at = began, changed_at = now()
    WHERE
        earlier.charge_point_id = cp AND earlier.connector_id = connector
        AND earlier.stopped_at IS NULL AND earlier.superseded_at IS NULL
        AND earlier.started_at <= began AND earlier.transaction_id <> number;
END;
$$;
COMMENT ON FUNCTION start_transaction IS
'Store a start and number it; a repeated start gets the number it had. Refused id_tags are numbered too (OCPP 1.6 4.8)';

CREATE FUNCTION stop_transaction(
    cp integer, asked bigint, tag text, ended timestamptz, register_wh double precision,
    why text, remarks text[], unknown_status text, received timestamptz,
    OUT number bigint, OUT status text, OUT expiry_at timestamptz, OUT parent_id_tag text
)
LANGUAGE plpgsql AS $$
DECLARE
    verdict id_tag_verdict := judge_id_tag(tag, unknown_status);
    known transaction;
BEGIN
    IF tag IS NOT NULL THEN
        status := verdict.status;
        expiry_at := verdict.expiry_at;
        parent_id_tag := verdict.parent_id_tag;
    END IF;
    SELECT * INTO known FROM transaction AS tx WHERE tx.transaction_id = asked AND tx.charge_point_id = cp;
    IF FOUND AND known.stopped_at = ended AND known.meter_stop_wh IS NOT DISTINCT FROM register_wh THEN
        number := known.transaction_id;  -- our answer was lost and the stop came again
        RETURN;
    END IF;
    IF NOT FOUND THEN
        known := the_only_open_transaction(cp, ended, register_wh);
        remarks := remarks || 'matched'::text;
    END IF;
    IF known.transaction_id IS NULL OR known.stopped_at IS NOT NULL THEN
        INSERT INTO orphan_stop (received_at, charge_point_id, transaction_id, id_tag, stopped_at, meter_stop_wh, reason)
        VALUES (received, cp, asked, tag, ended, register_wh, why)
        ON CONFLICT DO NOTHING;
        RETURN;
    END IF;
    UPDATE transaction AS tx
    SET
        stopped_at = ended, meter_stop_wh = register_wh, stop_id_tag = tag, reason = why,
        flags = tx.flags || remarks, changed_at = now()
    WHERE tx.transaction_id = known.transaction_id;
    number := known.transaction_id;
END;
$$;
COMMENT ON FUNCTION stop_transaction IS
'Close a transaction; a stop nobody is open for is kept as orphan_stop and number is NULL. Idempotent';

CREATE FUNCTION the_only_open_transaction(cp integer, ended timestamptz, register_wh double precision)
RETURNS transaction
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found_one transaction;
BEGIN
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
COMMENT ON FUNCTION the_only_open_transaction IS
'The transaction that a stop without a usable id can only mean: one open, begun before, with a register not above';

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
