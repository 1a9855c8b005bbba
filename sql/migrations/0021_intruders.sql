-- What intruders are after: passwords, secrets on their way, rights that a process does not need; and what a flood of
-- strangers costs.

-- ---------------------------------------------------------------- passwords

ALTER TABLE charge_point ADD COLUMN password_digest text;
COMMENT ON COLUMN charge_point.password_digest IS
'Keyed digest of the password that password_hash was proved with, bound to that hash; the key is no part of the
database. It spares a slow hash when all charge points come at once. NULL: not proved since there is a key';

-- ---------------------------------------------------------------- strangers

CREATE INDEX charge_point_pending ON charge_point (created_at, charge_point_id)
WHERE registration = 'pending' AND boot IS NULL;

CREATE FUNCTION list_strangers(strangers text[], most integer) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    older integer[];
    one integer;
BEGIN
    INSERT INTO charge_point (identity, registration)
    SELECT knocked.identity, 'pending' FROM unnest(strangers) AS knocked (identity)
    GROUP BY knocked.identity
    ORDER BY knocked.identity
    ON CONFLICT (identity) DO NOTHING;
    older := ARRAY(
        SELECT cp.charge_point_id FROM charge_point AS cp
        WHERE cp.registration = 'pending' AND cp.boot IS NULL
        ORDER BY cp.created_at DESC, cp.charge_point_id DESC
        OFFSET most
    );
    older := ARRAY(
        SELECT gone.number FROM unnest(older) AS gone (number)
        WHERE NOT EXISTS (SELECT FROM connection AS conn WHERE conn.charge_point_id = gone.number)
    );
    BEGIN
        DELETE FROM charge_point AS old WHERE old.charge_point_id = ANY(older);
    EXCEPTION WHEN foreign_key_violation THEN
        FOREACH one IN ARRAY older LOOP
            BEGIN
                DELETE FROM charge_point AS old WHERE old.charge_point_id = one;
            EXCEPTION WHEN foreign_key_violation THEN
                NULL;  -- it was somebody once: its facts stay, and so does it
            END;
        END LOOP;
    END;
END;
$$;
COMMENT ON FUNCTION list_strangers IS
'List unknown identities that knocked for approval; the oldest give way where more than so many wait';
REVOKE EXECUTE ON FUNCTION list_strangers FROM PUBLIC;
GRANT EXECUTE ON FUNCTION list_strangers TO eletroposto_ingest;

CREATE OR REPLACE FUNCTION list_stranger(stranger text, most integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT list_strangers(ARRAY[stranger], most)
$$;

-- ---------------------------------------------------------------- secrets of commands that wait

CREATE FUNCTION is_secret_name(told text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN told ~* 'pin(?!g)|pass|pwd|psk|auth|key|secret|token|credential'
AND lower(btrim(told)) <> ALL(ARRAY[
    'authorizationcacheenabled', 'authorizeremotetxrequests', 'getconfigurationmaxkeys', 'localauthlistenabled',
    'localauthlistmaxlength', 'localauthorizeoffline', 'localpreauthorize'
]);
COMMENT ON FUNCTION is_secret_name IS
'Whether a configuration key or a field of this name may hold a secret; those of the standard only sound like it';

CREATE FUNCTION hide_secrets(told jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    named text := coalesce(told ->> 'key', told ->> 'name');
BEGIN
    CASE jsonb_typeof(told)
        WHEN 'object' THEN
            RETURN (
                SELECT coalesce(jsonb_object_agg(field.name, CASE
                    WHEN is_secret_name(named) AND lower(btrim(field.name)) = 'value' THEN '"***"'
                    WHEN is_secret_name(field.name) AND lower(btrim(field.name)) <> ALL(ARRAY[
                        'key', 'configurationkey', 'unknownkey', 'localauthorizationlist', 'issuerkeyhash', 'publickey'
                    ]) THEN '"***"'
                    ELSE hide_secrets(field.value)
                END), '{}')
                FROM jsonb_each(told) AS field (name, value)
            );
        WHEN 'array' THEN
            RETURN (
                SELECT coalesce(jsonb_agg(hide_secrets(piece.item) ORDER BY piece.place), '[]')
                FROM jsonb_array_elements(told) WITH ORDINALITY AS piece (item, place)
            );
        WHEN 'string' THEN
            RETURN to_jsonb(regexp_replace(
                regexp_replace(told #>> '{}', '://\S*@', '://***@', 'g'), '(://[^\s?]*[?])[^\s#]+', '\1***', 'g'
            ));
        ELSE
            RETURN told;
    END CASE;
END;
$$;
COMMENT ON FUNCTION hide_secrets IS
'A payload with *** for what may be a secret: by the names of keys and fields, and in addresses';

-- Secrets leave the table when a command is taken or expires; until then they are not shown.
CREATE OR REPLACE VIEW report.command AS
SELECT
    cmd.command_id,
    cp.identity AS charge_point,
    cmd.action,
    CASE
        WHEN cmd.status = 'queued' AND lower(btrim(cmd.action)) = 'datatransfer' AND cmd.payload ? 'data'
            THEN jsonb_set(hide_secrets(cmd.payload), '{data}', '"***"')
        WHEN cmd.payload::text ~* 'pin|pass|pwd|psk|auth|key|secret|token|credential|://'
            THEN hide_secrets(cmd.payload)
        ELSE cmd.payload
    END AS payload,
    cmd.requested_by,
    cmd.requested_at,
    cmd.expires_at,
    CASE
        WHEN cmd.status = 'queued' AND cmd.expires_at < now() THEN 'expired'
        ELSE cmd.status
    END AS status,
    cmd.sent_at,
    cmd.finished_at,
    cmd.response,
    cmd.error_code,
    cmd.error_description
FROM command AS cmd
INNER JOIN charge_point AS cp ON cmd.charge_point_id = cp.charge_point_id;
COMMENT ON COLUMN report.command.payload IS 'Of the CALL; what may be a secret is replaced by ***';

-- ---------------------------------------------------------------- rights

-- The central system adds facts, and changes of them what comes later: no frame, no status, no start.
REVOKE UPDATE ON
charge_point, connector, replica, connection, ocpp_message, set_aside, meter_value, touched_window,
status_notification, id_tag, transaction, orphan_stop, command, dojot_feed
FROM eletroposto_ingest;
GRANT UPDATE (
    vendor, model, serial_number, firmware_version, boot, booted_at, security_profile, password_hash,
    new_password_hash, password_digest, created_at
) ON charge_point TO eletroposto_ingest;
GRANT UPDATE (status, error_code, status_at) ON connector TO eletroposto_ingest;
GRANT UPDATE (seen_at) ON replica TO eletroposto_ingest;
GRANT UPDATE (closed_at, reason) ON connection TO eletroposto_ingest;
GRANT UPDATE (
    energy_wh, transaction_id, power_w, current_a, voltage_v, soc_percent, temperature_c, current_offered_a,
    power_offered_w, extra
) ON meter_value TO eletroposto_ingest;
-- Nobody can change what is generated, but who may is let lock the row: as it counts the transactions of a tag.
GRANT UPDATE (id_tag_key) ON id_tag TO eletroposto_ingest;
GRANT UPDATE (
    stopped_at, meter_stop_wh, stop_id_tag, reason, flags, changed_at, superseded_at
) ON transaction TO eletroposto_ingest;
GRANT UPDATE (
    status, replica_id, message_id, opened_at, sent_at, finished_at, payload, response, error_code, error_description
) ON command TO eletroposto_ingest;
REVOKE INSERT ON id_tag FROM eletroposto_ingest;

-- The flows have no business with passwords and commands.
REVOKE SELECT ON charge_point, command FROM eletroposto_flows;
DO $$
DECLARE
    readable text := (
        SELECT string_agg(quote_ident(att.attname), ', ')
        FROM pg_attribute AS att
        WHERE
            att.attrelid = 'charge_point'::regclass AND att.attnum > 0 AND NOT att.attisdropped
            AND att.attname NOT IN ('password_hash', 'new_password_hash', 'password_digest')
    );
BEGIN
    EXECUTE format('GRANT SELECT (%s) ON charge_point TO eletroposto_flows', readable);
END;
$$;
