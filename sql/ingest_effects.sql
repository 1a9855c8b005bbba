-- What answers to commands bring about. An effect reads the command's own payload and response, changes nothing
-- unless the answer says so, and may be repeated.

-- name: note_lost_effect
UPDATE command SET error_description = concat_ws('; ', error_description, %(note)s::text) WHERE command_id = %(command_id)s;

-- name: effect_of_get_configuration
WITH cmd AS (
    SELECT charge_point_id, response FROM command WHERE command_id = %(command_id)s
),

told AS (
    SELECT DISTINCT ON (lower(btrim(entry ->> 'key')))
        cmd.charge_point_id,
        btrim(entry ->> 'key') AS name,
        entry ->> 'value' AS value,
        coalesce(lower(entry ->> 'readonly') IN ('true', '1'), FALSE) AS is_readonly,
        TRUE AS is_known
    FROM cmd
    CROSS JOIN LATERAL jsonb_path_query(cmd.response, '$.configurationKey[*] ? (exists (@.key))') AS entry
    WHERE btrim(entry ->> 'key') <> ''
),

missed AS (
    SELECT DISTINCT ON (lower(btrim(name #>> '{}')))
        cmd.charge_point_id,
        btrim(name #>> '{}') AS name,
        NULL::text AS value,
        NULL::boolean AS is_readonly,
        FALSE AS is_known
    FROM cmd
    CROSS JOIN LATERAL jsonb_path_query(cmd.response, '$.unknownKey[*]') AS name
    WHERE
        btrim(name #>> '{}') <> ''
        AND lower(btrim(name #>> '{}')) NOT IN (SELECT lower(told.name) FROM told)
)

INSERT INTO configuration_key AS known (charge_point_id, name, value, is_readonly, is_known, read_at)
SELECT charge_point_id, name, value, is_readonly, is_known, now()
FROM (
    SELECT * FROM told
    UNION ALL
    SELECT * FROM missed
) AS found_keys
ON CONFLICT (charge_point_id, lower(name)) DO UPDATE SET
    name = excluded.name,
    value = excluded.value,
    is_readonly = excluded.is_readonly,
    is_known = excluded.is_known,
    read_at = excluded.read_at
-- Some compare names with case: that they lack one written otherwise says nothing about this one.
WHERE excluded.is_known OR known.name = excluded.name;

-- name: effect_of_change_configuration
INSERT INTO configuration_key AS known (charge_point_id, name, asked_value, asked_status, asked_at, asked_by)
SELECT
    cmd.charge_point_id,
    btrim(cmd.payload ->> 'key'),
    cmd.payload ->> 'value',
    cmd.response ->> 'status',
    cmd.sent_at,
    cmd.requested_by
FROM command AS cmd
WHERE cmd.command_id = %(command_id)s
ON CONFLICT (charge_point_id, lower(name)) DO UPDATE SET
    asked_value = excluded.asked_value,
    asked_status = excluded.asked_status,
    asked_at = excluded.asked_at,
    asked_by = excluded.asked_by;

-- name: expect_new_password
-- Which of several keys it took may not be known: the newest three count until one is used.
UPDATE charge_point
SET
    new_password_hash = concat_ws(
        ' ', %(password_hash)s::text, split_part(new_password_hash, ' ', 1), nullif(split_part(new_password_hash, ' ', 2), '')
    )
WHERE charge_point_id = %(charge_point_id)s;

-- name: forget_new_password
UPDATE charge_point
SET new_password_hash = nullif(
    array_to_string(array_remove(string_to_array(new_password_hash, ' '), %(password_hash)s::text), ' '), ''
)
WHERE charge_point_id = %(charge_point_id)s AND new_password_hash IS NOT NULL;

-- name: effect_of_send_local_list
WITH cmd AS (
    SELECT charge_point_id, payload, (payload ->> 'listVersion')::integer AS list_version, sent_at
    FROM command
    WHERE command_id = %(command_id)s AND response ->> 'status' = 'Accepted'
)

INSERT INTO local_list AS known (charge_point_id, list_version, sent_at)
SELECT charge_point_id, list_version, sent_at FROM cmd
ON CONFLICT (charge_point_id) DO UPDATE SET list_version = excluded.list_version, sent_at = excluded.sent_at;

-- name: effect_of_send_local_list_removals
-- A full list replaces all; a differential one removes the tags that come without idTagInfo.
DELETE FROM local_list_entry AS gone
USING command AS cmd
WHERE
    cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
    AND gone.charge_point_id = cmd.charge_point_id
    AND (
        cmd.payload ->> 'updateType' = 'Full'
        OR upper(btrim(gone.id_tag)) IN (
            SELECT upper(btrim(entry ->> 'idTag'))
            FROM jsonb_path_query(cmd.payload, '$.localAuthorizationList[*] ? (!exists (@.idTagInfo))') AS entry
        )
    );

-- name: effect_of_send_local_list_entries
INSERT INTO local_list_entry AS known (charge_point_id, id_tag, status, expiry_at, parent_id_tag, list_version)
SELECT DISTINCT ON (upper(btrim(entry ->> 'idTag')))
    cmd.charge_point_id,
    btrim(entry ->> 'idTag'),
    entry #>> '{idTagInfo,status}',
    (entry #>> '{idTagInfo,expiryDate}')::timestamptz,
    entry #>> '{idTagInfo,parentIdTag}',
    (cmd.payload ->> 'listVersion')::integer
FROM command AS cmd
CROSS JOIN LATERAL jsonb_path_query(cmd.payload, '$.localAuthorizationList[*] ? (exists (@.idTagInfo))') AS entry
WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
ON CONFLICT (charge_point_id, upper(btrim(id_tag))) DO UPDATE SET
    id_tag = excluded.id_tag,
    status = excluded.status,
    expiry_at = excluded.expiry_at,
    parent_id_tag = excluded.parent_id_tag,
    list_version = excluded.list_version;

-- name: effect_of_get_local_list_version
INSERT INTO local_list AS known (charge_point_id, reported_version, reported_at)
SELECT cmd.charge_point_id, (cmd.response ->> 'listVersion')::integer, now()
FROM command AS cmd
WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'listVersion' IS NOT NULL
ON CONFLICT (charge_point_id) DO UPDATE SET
    reported_version = excluded.reported_version,
    reported_at = excluded.reported_at;

-- name: effect_of_reserve_now
-- A reservation with a known number is the same one, changed; a refusal leaves an active one as it was.
INSERT INTO reservation AS known (
    charge_point_id, reservation_id, connector_id, id_tag, parent_id_tag, expires_at, status, answer, reserved_at,
    command_id
)
SELECT
    cmd.charge_point_id,
    (cmd.payload ->> 'reservationId')::integer,
    (cmd.payload ->> 'connectorId')::smallint,
    btrim(cmd.payload ->> 'idTag'),
    cmd.payload ->> 'parentIdTag',
    (cmd.payload ->> 'expiryDate')::timestamptz,
    CASE cmd.response ->> 'status' WHEN 'Accepted' THEN 'active' ELSE 'refused' END,
    coalesce(cmd.response ->> 'status', 'none'),
    cmd.sent_at,
    cmd.command_id
FROM command AS cmd
WHERE cmd.command_id = %(command_id)s
ON CONFLICT (charge_point_id, reservation_id) DO UPDATE SET
    connector_id = excluded.connector_id,
    id_tag = excluded.id_tag,
    parent_id_tag = excluded.parent_id_tag,
    expires_at = excluded.expires_at,
    status = excluded.status,
    answer = excluded.answer,
    reserved_at = excluded.reserved_at,
    ended_at = NULL,
    transaction_id = NULL,
    command_id = excluded.command_id
WHERE excluded.status = 'active' OR known.status = 'refused';

-- name: effect_of_cancel_reservation
UPDATE reservation AS res
SET status = 'cancelled', ended_at = now()
FROM command AS cmd
WHERE
    cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
    AND res.charge_point_id = cmd.charge_point_id
    AND res.reservation_id = (cmd.payload ->> 'reservationId')::integer AND res.status = 'active';

-- name: effect_of_charging_profile_replaced
-- A profile gives way to one with its number, or of its purpose and level on the same connector (OCPP 1.6 5.16.1).
UPDATE charging_profile AS prof
SET cleared_at = greatest(prof.assigned_at, now()), cleared_because = 'replaced'
FROM (
    SELECT
        cmd.charge_point_id,
        (cmd.payload ->> 'connectorId')::integer AS connector_id,
        coalesce(cmd.payload -> 'csChargingProfiles', cmd.payload -> 'chargingProfile') AS profile
    FROM command AS cmd
    WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
) AS new
WHERE
    prof.charge_point_id = new.charge_point_id AND prof.cleared_at IS NULL
    AND prof.command_id <> %(command_id)s
    AND (
        prof.charging_profile_id = (new.profile ->> 'chargingProfileId')::integer
        OR (
            prof.connector_id = new.connector_id AND prof.purpose = new.profile ->> 'chargingProfilePurpose'
            AND prof.stack_level = (new.profile ->> 'stackLevel')::integer
        )
    );

-- name: effect_of_charging_profile
INSERT INTO charging_profile (
    charge_point_id, connector_id, charging_profile_id, purpose, stack_level, transaction_id, profile, assigned_at,
    command_id
)
SELECT
    new.charge_point_id,
    new.connector_id,
    (new.profile ->> 'chargingProfileId')::integer,
    new.profile ->> 'chargingProfilePurpose',
    (new.profile ->> 'stackLevel')::integer,
    (new.profile ->> 'transactionId')::bigint,
    new.profile,
    now(),
    %(command_id)s
FROM (
    SELECT
        cmd.charge_point_id,
        (cmd.payload ->> 'connectorId')::smallint AS connector_id,
        coalesce(cmd.payload -> 'csChargingProfiles', cmd.payload -> 'chargingProfile') AS profile
    FROM command AS cmd
    WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
) AS new
WHERE
    new.profile IS NOT NULL
    AND NOT EXISTS (SELECT FROM charging_profile AS prof WHERE prof.command_id = %(command_id)s);

-- name: effect_of_clear_charging_profile
-- By number, else by what the CALL names; a CALL that names nothing clears all. Unknown: there is none to clear.
UPDATE charging_profile AS prof
SET cleared_at = greatest(prof.assigned_at, now()), cleared_because = 'cleared'
FROM command AS cmd
WHERE
    cmd.command_id = %(command_id)s AND cmd.response ->> 'status' IN ('Accepted', 'Unknown')
    AND prof.charge_point_id = cmd.charge_point_id AND prof.cleared_at IS NULL
    AND CASE
        WHEN cmd.payload ? 'id' THEN prof.charging_profile_id = (cmd.payload ->> 'id')::integer
        ELSE
            coalesce(prof.connector_id = (cmd.payload ->> 'connectorId')::integer, NOT cmd.payload ? 'connectorId')
            AND coalesce(
                prof.purpose = cmd.payload ->> 'chargingProfilePurpose', NOT cmd.payload ? 'chargingProfilePurpose'
            )
            AND coalesce(prof.stack_level = (cmd.payload ->> 'stackLevel')::integer, NOT cmd.payload ? 'stackLevel')
    END;

-- name: effect_of_change_availability
INSERT INTO connector_availability AS known (
    charge_point_id, connector_id, is_operative, is_scheduled, changed_at, command_id
)
SELECT
    cmd.charge_point_id,
    (cmd.payload ->> 'connectorId')::smallint,
    cmd.payload ->> 'type' = 'Operative',
    cmd.response ->> 'status' = 'Scheduled',
    now(),
    cmd.command_id
FROM command AS cmd
WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'status' IN ('Accepted', 'Scheduled')
ON CONFLICT (charge_point_id, connector_id) DO UPDATE SET
    is_operative = excluded.is_operative,
    is_scheduled = excluded.is_scheduled,
    changed_at = excluded.changed_at,
    command_id = excluded.command_id;

-- name: effect_of_install_certificate
INSERT INTO installed_certificate AS known (
    charge_point_id, certificate_type, serial_number, hash_algorithm, issuer_name_hash, issuer_key_hash, subject,
    certificate, installed_at
)
SELECT
    cmd.charge_point_id,
    cmd.payload ->> 'certificateType',
    %(serial_number)s,
    %(hash_algorithm)s,
    %(issuer_name_hash)s,
    %(issuer_key_hash)s,
    %(subject)s,
    cmd.payload ->> 'certificate',
    now()
FROM command AS cmd
WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
ON CONFLICT (charge_point_id, certificate_type, serial_number) WHERE deleted_at IS NULL DO UPDATE SET
    hash_algorithm = excluded.hash_algorithm,
    issuer_name_hash = excluded.issuer_name_hash,
    issuer_key_hash = excluded.issuer_key_hash,
    subject = excluded.subject,
    certificate = excluded.certificate,
    installed_at = excluded.installed_at;

-- name: effect_of_get_installed_certificate_ids_gone
-- What the charge point no longer tells of is not there any more.
UPDATE installed_certificate AS cert
SET deleted_at = now()
FROM command AS cmd
WHERE
    cmd.command_id = %(command_id)s AND cmd.response ->> 'status' IN ('Accepted', 'NotFound')
    AND cert.charge_point_id = cmd.charge_point_id AND cert.deleted_at IS NULL
    AND cert.certificate_type = cmd.payload ->> 'certificateType'
    AND cert.serial_number NOT IN (
        SELECT ltrim(lower(entry ->> 'serialNumber'), '0')
        FROM jsonb_path_query(cmd.response, '$.certificateHashData[*] ? (exists (@.serialNumber))') AS entry
    );

-- name: effect_of_get_installed_certificate_ids
INSERT INTO installed_certificate AS known (
    charge_point_id, certificate_type, serial_number, hash_algorithm, issuer_name_hash, issuer_key_hash, reported_at
)
SELECT DISTINCT ON (ltrim(lower(entry ->> 'serialNumber'), '0'))
    cmd.charge_point_id,
    cmd.payload ->> 'certificateType',
    ltrim(lower(entry ->> 'serialNumber'), '0'),
    entry ->> 'hashAlgorithm',
    entry ->> 'issuerNameHash',
    entry ->> 'issuerKeyHash',
    now()
FROM command AS cmd
CROSS JOIN LATERAL jsonb_path_query(
    cmd.response, '$.certificateHashData[*] ? (exists (@.serialNumber))'
) AS entry
WHERE cmd.command_id = %(command_id)s AND cmd.response ->> 'status' = 'Accepted'
ON CONFLICT (charge_point_id, certificate_type, serial_number) WHERE deleted_at IS NULL DO UPDATE SET
    hash_algorithm = excluded.hash_algorithm,
    issuer_name_hash = excluded.issuer_name_hash,
    issuer_key_hash = excluded.issuer_key_hash,
    reported_at = excluded.reported_at;

-- name: effect_of_delete_certificate
UPDATE installed_certificate AS cert
SET deleted_at = now()
FROM command AS cmd
WHERE
    cmd.command_id = %(command_id)s AND cmd.response ->> 'status' IN ('Accepted', 'NotFound')
    AND cert.charge_point_id = cmd.charge_point_id AND cert.deleted_at IS NULL
    AND cert.serial_number = ltrim(lower(cmd.payload #>> '{certificateHashData,serialNumber}'), '0');
