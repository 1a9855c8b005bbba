-- Two replicas that store stops of one charge point at once do so one after the other: what was confirmed stays.

CREATE OR REPLACE FUNCTION stop_transaction(
    cp integer, asked bigint, tag text, ended timestamptz, register_wh double precision,
    why text, remarks text[], unknown_status text, received timestamptz,
    OUT number bigint, OUT connector smallint, OUT status text, OUT expiry_at timestamptz, OUT parent_id_tag text
)
LANGUAGE plpgsql AS $$
DECLARE
    verdict id_tag_verdict := judge_id_tag(tag, unknown_status);
    read_tag text := without_serial(tag);
    has_no_clock boolean := 'clock' = ANY(remarks);
    known transaction;
BEGIN
    IF tag IS NOT NULL THEN
        status := verdict.status;
        expiry_at := verdict.expiry_at;
        parent_id_tag := verdict.parent_id_tag;
    END IF;
    -- One stop of a charge point at a time: it may have moved here from another replica, and whatever that one is
    -- about to confirm must be seen by all that follows.
    PERFORM FROM charge_point AS ours WHERE ours.charge_point_id = cp FOR NO KEY UPDATE;
    SELECT * INTO known FROM transaction AS tx WHERE tx.transaction_id = asked AND tx.charge_point_id = cp;
    IF NOT FOUND THEN
        remarks := remarks || 'matched'::text;
        IF has_no_clock THEN
            known := stopped_before(cp, read_tag, ended, register_wh);
        END IF;
        IF known.transaction_id IS NULL THEN
            known := meant_transaction(cp, ended, register_wh);
        END IF;
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
        AND (known.stopped_at = ended OR has_no_clock) THEN
        number := known.transaction_id;  -- our answer was lost and the stop came again
    END IF;
    IF number IS NULL AND NOT (has_no_clock AND is_known_orphan(cp, asked, read_tag, register_wh, received)) THEN
        INSERT INTO orphan_stop (received_at, charge_point_id, transaction_id, id_tag, stopped_at, meter_stop_wh, reason)
        VALUES (received, cp, asked, read_tag, ended, register_wh, why)
        ON CONFLICT DO NOTHING;
    END IF;
END;
$$;
