-- Commands to charge points: taken, finished, given up; and what the central system notes beside answering.

-- name: claim_command
-- The oldest command for this socket, if it is still the charge point's newest; no other replica can take it too.
UPDATE command
SET
    status = 'sent', sent_at = now(), replica_id = %(replica_id)s, message_id = %(message_id)s,
    opened_at = %(opened_at)s
WHERE command_id = (
    SELECT cmd.command_id
    FROM command AS cmd
    WHERE
        cmd.charge_point_id = %(charge_point_id)s AND cmd.status = 'queued' AND cmd.expires_at > now()
        AND EXISTS (
            SELECT FROM connection AS conn
            WHERE
                conn.charge_point_id = cmd.charge_point_id AND conn.opened_at = %(opened_at)s
                AND conn.closed_at IS NULL
        )
    ORDER BY cmd.command_id
    LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING
    command_id, charge_point_id, action, payload, message_id, requested_by,
    extract(EPOCH FROM expires_at - now())::double precision AS remaining_s;

-- name: record_own_command
-- A CALL that the central system makes by itself.
INSERT INTO command (
    charge_point_id, action, payload, requested_by, status, sent_at, replica_id, message_id, opened_at
)
VALUES (
    %(charge_point_id)s, %(action)s, %(payload)s, %(requested_by)s, 'sent', now(), %(replica_id)s, %(message_id)s,
    %(opened_at)s
)
RETURNING
    command_id, charge_point_id, action, payload, message_id, requested_by,
    extract(EPOCH FROM expires_at - now())::double precision AS remaining_s;

-- name: queue_command
INSERT INTO command (charge_point_id, action, payload, requested_by, expires_at)
VALUES (%(charge_point_id)s, %(action)s, %(payload)s, %(requested_by)s, now() + INTERVAL '1 minute')
RETURNING command_id;

-- name: replace_payload
UPDATE command SET payload = %(payload)s WHERE command_id = %(command_id)s;

-- name: parent_of
SELECT parent_id_tag FROM id_tag WHERE id_tag_key = upper(btrim(%(id_tag)s));

-- name: finish_command
UPDATE command
SET
    status = %(status)s, finished_at = now(), response = %(response)s, error_code = %(error_code)s,
    error_description = %(error_description)s
WHERE command_id = %(command_id)s AND status = 'sent';

-- name: record_late_answer
UPDATE command
SET
    response = %(response)s,
    error_description = concat_ws(
        '; ', error_description,
        %(answer)s::text || ' came ' || round(extract(EPOCH FROM now() - sent_at), 1) || ' s after the CALL'
    )
WHERE command_id = %(command_id)s AND status = 'failed' AND response IS NULL;

-- name: close_replaced_connections
-- Two replicas that opened a socket of one charge point in the same instant did not see each other's. Only the
-- new ones are held against the others: every replica asks this every few seconds.
UPDATE connection AS old
SET closed_at = greatest(old.opened_at, newer.opened_at), reason = 'a newer connection came'
FROM connection AS newer
WHERE
    old.closed_at IS NULL AND newer.closed_at IS NULL AND newer.charge_point_id = old.charge_point_id
    AND newer.replica_id <> old.replica_id AND newer.opened_at > old.opened_at
    AND newer.opened_at > now() - INTERVAL '10 minutes';

-- name: waiting_charge_points
SELECT DISTINCT charge_point_id FROM command WHERE status = 'queued' AND expires_at > now();

-- name: expire_commands
WITH online AS (
    SELECT conn.charge_point_id
    FROM connection AS conn
    INNER JOIN replica AS rep ON conn.replica_id = rep.replica_id
    WHERE
        conn.closed_at IS NULL AND rep.seen_at > now() - INTERVAL '30 seconds'
        AND conn.charge_point_id IN (
            SELECT late.charge_point_id FROM command AS late
            WHERE late.status = 'queued' AND late.expires_at <= now()
        )
),

due AS (
    SELECT
        cmd.command_id,
        cmd.charge_point_id IN (SELECT online.charge_point_id FROM online) AS is_online
    FROM command AS cmd
    WHERE cmd.status = 'queued' AND cmd.expires_at <= now()
    FOR UPDATE SKIP LOCKED
)

UPDATE command AS cmd
SET
    status = 'expired', finished_at = now(),
    error_code = CASE WHEN due.is_online THEN 'Expired' ELSE 'NotConnected' END,
    error_description = CASE
        WHEN due.is_online THEN 'it expired before its turn came' ELSE 'the charge point is not connected'
    END
FROM due
WHERE cmd.command_id = due.command_id
RETURNING cmd.command_id, cmd.payload;

-- name: fail_abandoned_commands
-- Sent, but whoever waited for the answer is gone.
UPDATE command AS cmd
SET
    status = 'failed', finished_at = now(), error_code = 'Abandoned',
    error_description = 'the central system stopped before the answer came'
WHERE
    cmd.status = 'sent' AND cmd.sent_at < now() - INTERVAL '30 seconds'
    AND CASE
        WHEN cmd.replica_id = %(replica_id)s THEN cmd.command_id <> ALL(%(outstanding)s::bigint[])
        ELSE NOT EXISTS (
            SELECT FROM replica AS rep
            WHERE rep.replica_id = cmd.replica_id AND rep.seen_at > now() - INTERVAL '30 seconds'
        )
    END;

-- name: use_new_password
-- It came with the key it was given: from now on only this one counts.
UPDATE charge_point SET password_hash = %(password_hash)s, new_password_hash = NULL
WHERE charge_point_id = %(charge_point_id)s AND %(password_hash)s = ANY(string_to_array(new_password_hash, ' '));

-- name: raise_security_profile
UPDATE charge_point SET security_profile = %(security_profile)s
WHERE charge_point_id = %(charge_point_id)s AND security_profile < %(security_profile)s;

-- name: record_signing
INSERT INTO certificate_signing (
    charge_point_id, requested_at, csr, status, reason, serial_number, certificate_chain, expires_at, command_id
)
VALUES (
    %(charge_point_id)s, %(requested_at)s, %(csr)s, %(status)s, %(reason)s, %(serial_number)s, %(chain)s,
    %(expires_at)s, %(command_id)s
);

-- name: boot_configuration
-- How far this charge point lets itself be configured, and how often it booted after our last change of
-- measurands without being told to.
SELECT
    coalesce(conf.measurands_level, 0) AS level,
    conf.measurands_at,
    conf.paused_until,
    greatest(0, (
        SELECT count(*)
        FROM ocpp_message AS msg
        WHERE
            msg.charge_point_id = cp.charge_point_id AND msg.action = 'BootNotification' AND msg.direction = 'i'
            AND msg.received_at > greatest(conf.measurands_at, now() - INTERVAL '10 minutes')
            AND msg.received_at < conf.measurands_at + INTERVAL '15 minutes'
    ) - (
        SELECT count(*)
        FROM command AS cmd
        WHERE
            cmd.charge_point_id = cp.charge_point_id
            AND cmd.action IN (
                'Reset', 'TriggerMessage', 'ExtendedTriggerMessage', 'UpdateFirmware', 'SignedUpdateFirmware'
            )
            AND cmd.sent_at > greatest(conf.measurands_at, now() - INTERVAL '10 minutes')
    ))::integer AS boots,
    (
        SELECT count(*)
        FROM command AS cmd
        WHERE
            cmd.charge_point_id = cp.charge_point_id AND cmd.action = 'ChangeConfiguration'
            AND cmd.requested_by = %(asked_by)s AND cmd.payload ->> 'key' = %(key)s
            AND cmd.response ->> 'status' IN ('Accepted', 'RebootRequired')
            AND cmd.sent_at > greatest(conf.paused_until - INTERVAL '15 minutes', now() - INTERVAL '10 minutes')
    )::integer AS changes
FROM charge_point AS cp
LEFT JOIN boot_configuration AS conf ON cp.charge_point_id = conf.charge_point_id
WHERE cp.charge_point_id = %(charge_point_id)s;

-- name: save_boot_configuration
INSERT INTO boot_configuration AS known (
    charge_point_id, configured_at, measurands_level, measurands_at, paused_until, note
)
VALUES (%(charge_point_id)s, now(), %(level)s, %(measurands_at)s, %(paused_until)s, %(note)s)
ON CONFLICT (charge_point_id) DO UPDATE SET
    configured_at = excluded.configured_at,
    measurands_level = excluded.measurands_level,
    measurands_at = coalesce(excluded.measurands_at, known.measurands_at),
    paused_until = excluded.paused_until,
    note = excluded.note;

-- name: has_booted
SELECT boot IS NOT NULL AS has_booted FROM charge_point WHERE charge_point_id = %(charge_point_id)s;
