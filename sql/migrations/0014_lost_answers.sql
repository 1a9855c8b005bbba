-- What is lost on the way: stops that never come, answers that do not arrive, times that are none.

-- ---------------------------------------------------------------- how many transactions an id_tag has

GRANT SELECT ON session TO eletroposto_ingest;

CREATE OR REPLACE FUNCTION has_too_many_active(tag text) RETURNS boolean
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
                AND NOT EXISTS (
                    SELECT FROM status_notification AS seen
                    WHERE
                        seen.charge_point_id = tx.charge_point_id AND seen.connector_id = tx.connector_id
                        AND seen.at > tx.started_at AND seen.status = 'Available'
                )
                AND NOT EXISTS (
                    SELECT FROM session AS ses
                    WHERE ses.transaction_id = tx.transaction_id AND ses.inferred_by IS NOT NULL
                )
        )
);
COMMENT ON FUNCTION has_too_many_active IS
'Whether an id_tag has reached its max_active. A transaction whose connector was free since, or whose session was
found to have ended, does not count: its stop is lost';

CREATE OR REPLACE FUNCTION start_transaction(
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
        IF status = 'Accepted' THEN
            -- Whoever counts waits for whoever is counting: another replica may start this tag too.
            PERFORM FROM id_tag AS limited
            WHERE limited.id_tag_key = upper(btrim(read_tag)) AND limited.max_active IS NOT NULL
            FOR UPDATE;
            IF has_too_many_active(read_tag) THEN
                status := 'ConcurrentTx';
            END IF;
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

CREATE FUNCTION operation.end_transaction(number bigint, who text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    charge_point text;
BEGIN
    UPDATE transaction AS tx
    SET superseded_at = greatest(tx.started_at, now()), changed_at = now()
    FROM charge_point AS cp
    WHERE
        tx.transaction_id = number AND tx.stopped_at IS NULL AND tx.superseded_at IS NULL
        AND cp.charge_point_id = tx.charge_point_id
    RETURNING cp.identity INTO charge_point;
    IF charge_point IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM operation.note(
        who, 'end_transaction', charge_point, jsonb_build_object('transaction_id', number)
    );
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION operation.end_transaction IS
'Count a transaction as ended whose stop is lost; FALSE: it was not open. Its stop is still taken when it comes';
REVOKE EXECUTE ON FUNCTION operation.end_transaction FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operation.end_transaction TO eletroposto_operator;

COMMENT ON COLUMN transaction.superseded_at IS
'Start of the next transaction of this connector, when that began before any stop was received: this one had ended.
Or when an operator ended it (report.operation_log says who)';

-- ---------------------------------------------------------------- stops of a charge point without a clock

CREATE FUNCTION stopped_before(cp integer, tag text, ended timestamptz, register_wh double precision)
RETURNS transaction
LANGUAGE sql STABLE AS $$
    SELECT tx.*
    FROM transaction AS tx
    WHERE
        tx.charge_point_id = cp AND tx.stopped_at BETWEEN ended - INTERVAL '1 day' AND ended
        AND 'clock' = ANY(tx.flags)
        AND tx.meter_stop_wh = register_wh AND tx.stop_id_tag IS NOT DISTINCT FROM tag
        -- What began on the connector since may have ended with the same register: a session of nothing.
        AND NOT EXISTS (
            SELECT FROM transaction AS later
            WHERE
                later.charge_point_id = cp AND later.connector_id = tx.connector_id
                AND later.started_at >= tx.stopped_at
        )
    ORDER BY tx.stopped_at DESC
    LIMIT 1
$$;
COMMENT ON FUNCTION stopped_before IS
'The transaction that a stop without a usable id and time closed before: our answer was lost and it came again, with
our time in place of its own, another one each time';

CREATE FUNCTION is_known_orphan(
    cp integer, asked bigint, tag text, register_wh double precision, received timestamptz
) RETURNS boolean
LANGUAGE sql STABLE
RETURN EXISTS (
    SELECT FROM orphan_stop AS known
    WHERE
        known.charge_point_id = cp AND known.transaction_id IS NOT DISTINCT FROM asked
        AND known.id_tag IS NOT DISTINCT FROM tag AND known.meter_stop_wh IS NOT DISTINCT FROM register_wh
        AND known.received_at BETWEEN received - INTERVAL '1 day' AND received
);
COMMENT ON FUNCTION is_known_orphan IS 'Whether a stop without a usable time was set aside within the last day';

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

-- ---------------------------------------------------------------- strangers

CREATE FUNCTION list_stranger(stranger text, most integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO charge_point (identity, registration) VALUES (stranger, 'pending')
    ON CONFLICT (identity) DO NOTHING;
    BEGIN
        DELETE FROM charge_point AS old
        WHERE
            old.charge_point_id IN (
                SELECT cp.charge_point_id FROM charge_point AS cp
                WHERE cp.registration = 'pending' AND cp.boot IS NULL
                ORDER BY cp.created_at DESC, cp.charge_point_id DESC
                OFFSET most
            )
            AND NOT EXISTS (SELECT FROM connection AS conn WHERE conn.charge_point_id = old.charge_point_id);
    EXCEPTION WHEN foreign_key_violation THEN
        NULL;  -- it was somebody once: its facts stay, and so does it
    END;
END;
$$;
COMMENT ON FUNCTION list_stranger IS
'List an unknown identity that knocked for approval; the oldest give way where more than so many wait';
REVOKE EXECUTE ON FUNCTION list_stranger FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_stranger TO eletroposto_ingest;

COMMENT ON COLUMN charge_point.new_password_hash IS
'Slow hashes, apart by blanks, of AuthorizationKeys that were sent and not refused, newest first: the charge point may
hold any of them. The old one counts until one of these was used';

-- ---------------------------------------------------------------- parts of an instant that come apart

CREATE FUNCTION differ(mine double precision[], theirs double precision[]) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN EXISTS (
    SELECT FROM unnest(mine, theirs) AS pair (one, other)
    WHERE pair.one <> pair.other
);
COMMENT ON FUNCTION differ IS 'Whether two rows of values have another one in the same place; NULL is none';

CREATE FUNCTION merge_extra(mine jsonb, theirs jsonb, conflict boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    merged jsonb := coalesce(theirs, '{}') || coalesce(mine, '{}');
    flags jsonb := coalesce(mine -> 'flags', '[]');
    signed jsonb := coalesce(theirs -> 'signed', '{}') || coalesce(mine -> 'signed', '{}');
BEGIN
    IF
        conflict
        OR NOT merged @> (coalesce(theirs, '{}') - '{flags,signed,context,timestamp}'::text[])
        OR NOT signed @> coalesce(theirs -> 'signed', '{}')
    THEN
        theirs := jsonb_set(
            coalesce(theirs, '{}'), '{flags}', coalesce(theirs -> 'flags', '[]') || '["conflict"]'
        );
    END IF;
    SELECT flags || coalesce(jsonb_agg(DISTINCT further.flag), '[]') INTO flags
    FROM jsonb_array_elements(theirs -> 'flags') AS further (flag)
    WHERE NOT flags @> further.flag;
    IF flags <> '[]' THEN
        merged := merged || jsonb_build_object('flags', flags);
    END IF;
    IF signed <> '{}' THEN
        merged := merged || jsonb_build_object('signed', signed);
    END IF;
    RETURN nullif(merged, '{}');
END;
$$;
COMMENT ON FUNCTION merge_extra IS
'What stands beside the columns, with what another part of the instant adds; where that says otherwise of something
the first word stays, and the flag "conflict" says so';

-- ---------------------------------------------------------------- reports that tell different things at one time

ALTER TABLE charge_point_report DROP CONSTRAINT charge_point_report_charge_point_id_kind_at_request_id_stat_key;
CREATE UNIQUE INDEX charge_point_report_key ON charge_point_report
(charge_point_id, kind, at, request_id, status, md5(detail)) NULLS NOT DISTINCT;

-- ---------------------------------------------------------------- what is kept beside the facts

CREATE INDEX reservation_by_command ON reservation (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX charging_profile_by_command ON charging_profile (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX certificate_signing_by_command ON certificate_signing (command_id) WHERE command_id IS NOT NULL;
CREATE INDEX connector_availability_by_command ON connector_availability (command_id) WHERE command_id IS NOT NULL;

CREATE FUNCTION forget_records(as_of timestamptz) RETURNS TABLE (record text, older_than timestamptz, forgotten bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    frames_from timestamptz := (
        SELECT as_of - make_interval(days => st.value::integer) FROM setting AS st WHERE st.name = 'raw_log_days'
    );
    facts_from timestamptz := (
        SELECT as_of - make_interval(days => st.value::integer) FROM setting AS st WHERE st.name = 'status_days'
    );
BEGIN
    older_than := frames_from;
    record := 'set_aside';
    DELETE FROM set_aside AS old WHERE old.received_at < frames_from;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN NEXT;
    record := 'charge_point_report';
    DELETE FROM charge_point_report AS old WHERE old.received_at < frames_from;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN NEXT;
    record := 'command';
    DELETE FROM command AS old
    WHERE
        old.requested_at < frames_from AND old.status NOT IN ('queued', 'sent')
        AND NOT EXISTS (SELECT FROM reservation AS res WHERE res.command_id = old.command_id)
        AND NOT EXISTS (SELECT FROM charging_profile AS prof WHERE prof.command_id = old.command_id)
        AND NOT EXISTS (SELECT FROM certificate_signing AS cert WHERE cert.command_id = old.command_id)
        AND NOT EXISTS (SELECT FROM connector_availability AS av WHERE av.command_id = old.command_id);
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN NEXT;
    older_than := facts_from;
    record := 'orphan_stop';
    DELETE FROM orphan_stop AS old WHERE old.received_at < facts_from;
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN NEXT;
END;
$$;
COMMENT ON FUNCTION forget_records IS
'Delete what grows beside the facts: pieces set aside, reports and finished commands as old as the raw log may be,
orphan stops as old as statuses may be; a limit that is not set keeps them for ever. A command that a present state
rests on stays';
REVOKE EXECUTE ON FUNCTION forget_records FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_records TO eletroposto_flows;

-- ---------------------------------------------------------------- rights

-- Given by mistake with those on all tables: what is applied is the owner's to write.
REVOKE INSERT, UPDATE ON eletroposto_migration FROM eletroposto_ingest;
