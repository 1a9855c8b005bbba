-- What commands to charge points bring about, as the central system knows it: keys, lists, reservations,
-- profiles, certificates, availability. The command is the evidence; these tables are the present state.

-- ---------------------------------------------------------------- commands

ALTER TABLE command ADD COLUMN opened_at timestamptz;
COMMENT ON COLUMN command.opened_at IS 'The connection it was sent on began then';
COMMENT ON COLUMN command.payload IS 'Of the CALL; secrets are replaced by *** once it was sent';
CREATE INDEX command_sent ON command (replica_id) WHERE status = 'sent';
CREATE INDEX command_by_action ON command (charge_point_id, action, command_id);

DROP TRIGGER announce ON command;
CREATE TRIGGER announce AFTER INSERT ON command
FOR EACH ROW WHEN (NEW.status = 'queued') EXECUTE FUNCTION announce_command();

CREATE FUNCTION announce_replaced() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_replaced', OLD.replica_id::text || ' ' || OLD.charge_point_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION announce_replaced IS
'Tell the replica that holds an older socket of a charge point: the newest one wins, wherever it is';
CREATE TRIGGER announce_replaced AFTER UPDATE OF reason ON connection
FOR EACH ROW WHEN (NEW.reason = 'a newer connection came') EXECUTE FUNCTION announce_replaced();

-- ---------------------------------------------------------------- configuration

CREATE TABLE configuration_key (
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    name            text        NOT NULL,
    value           text,
    is_readonly     boolean,
    is_known        boolean,
    read_at         timestamptz,
    asked_value     text,
    asked_status    text,
    asked_at        timestamptz,
    asked_by        text
);
CREATE UNIQUE INDEX configuration_key_key ON configuration_key (charge_point_id, lower(name));
COMMENT ON TABLE configuration_key IS 'Configuration keys of charge points: what was read last, and what was asked for last';
COMMENT ON COLUMN configuration_key.value IS 'As read; *** for a secret; NULL: no value was told';
COMMENT ON COLUMN configuration_key.is_known IS 'FALSE: the charge point said it has no such key; NULL: not read yet';
COMMENT ON COLUMN configuration_key.asked_status IS 'Its answer to the last ChangeConfiguration (OCPP 1.6 7.22)';

CREATE TABLE boot_configuration (
    charge_point_id  integer     PRIMARY KEY REFERENCES charge_point,
    configured_at    timestamptz,
    measurands_level smallint    NOT NULL DEFAULT 0 CHECK (measurands_level >= 0),
    measurands_at    timestamptz,
    paused_until     timestamptz,
    note             text
);
COMMENT ON TABLE boot_configuration IS 'How far charge points can be configured after a boot';
COMMENT ON COLUMN boot_configuration.measurands_level IS
'Which list of measurands to begin with: 0 is the whole one, each further one shorter, since the one before led to a boot loop';
COMMENT ON COLUMN boot_configuration.measurands_at IS 'When MeterValuesSampledData was last changed by us';
COMMENT ON COLUMN boot_configuration.paused_until IS 'Left alone until then, after a boot loop';

CREATE VIEW report.configuration AS
SELECT
    cp.identity AS charge_point,
    key.name AS key,
    key.value,
    key.is_readonly,
    key.is_known,
    key.read_at,
    key.asked_value,
    key.asked_status,
    key.asked_at,
    key.asked_by,
    CASE
        WHEN key.asked_value IS NOT NULL AND key.value IS NOT NULL AND key.read_at >= key.asked_at
            THEN lower(replace(key.asked_value, ' ', '')) = lower(replace(key.value, ' ', ''))
    END AS is_as_asked
FROM configuration_key AS key
INNER JOIN charge_point AS cp ON key.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.configuration IS 'Configuration keys: as read, as asked for, and whether the two agree (NULL: not known)';

-- A measurand counts as sent when it is in one of the charge point's last 500 readings of a day.
CREATE VIEW report.measurand AS
SELECT
    cp.identity AS charge_point,
    measurand.name AS measurand,
    asked.asked_status,
    asked.asked_at,
    CASE WHEN asked.asked_value IS NOT NULL
        THEN measurand.name = ANY(string_to_array(replace(asked.asked_value, ' ', ''), ',')) END AS is_asked,
    CASE WHEN asked.value IS NOT NULL
        THEN lower(measurand.name) = ANY(string_to_array(lower(replace(asked.value, ' ', '')), ',')) END AS is_configured,
    seen.readings,
    seen.last_sampled_at
FROM charge_point AS cp
LEFT JOIN configuration_key AS asked
    ON cp.charge_point_id = asked.charge_point_id AND lower(asked.name) = 'metervaluessampleddata'
CROSS JOIN LATERAL (
    SELECT
        count(last_ones.energy_wh) AS energy_wh,
        count(last_ones.power_w) AS power_w,
        count(last_ones.current_a) AS current_a,
        count(last_ones.voltage_v) AS voltage_v,
        count(last_ones.soc_percent) AS soc_percent,
        count(last_ones.temperature_c) AS temperature_c,
        count(last_ones.current_offered_a) AS current_offered_a,
        count(last_ones.power_offered_w) AS power_offered_w,
        array_agg(last_ones.extra) FILTER (WHERE last_ones.extra IS NOT NULL) AS extras,
        max(last_ones.sampled_at) AS last_sampled_at
    FROM (
        SELECT mv.*
        FROM meter_value AS mv
        WHERE mv.charge_point_id = cp.charge_point_id AND mv.sampled_at > now() - INTERVAL '1 day'
        ORDER BY mv.sampled_at DESC
        LIMIT 500
    ) AS last_ones
) AS newest
CROSS JOIN LATERAL (
    VALUES
    ('Energy.Active.Import.Register', newest.energy_wh),
    ('Power.Active.Import', newest.power_w),
    ('Current.Import', newest.current_a),
    ('Voltage', newest.voltage_v),
    ('SoC', newest.soc_percent),
    ('Temperature', newest.temperature_c),
    ('Current.Offered', newest.current_offered_a),
    ('Power.Offered', newest.power_offered_w)
) AS measurand (name, in_columns)
CROSS JOIN LATERAL (
    SELECT
        measurand.in_columns + count(piece.extra) AS readings,
        CASE WHEN measurand.in_columns + count(piece.extra) > 0 THEN newest.last_sampled_at END AS last_sampled_at
    FROM unnest(newest.extras) AS piece (extra)
    WHERE EXISTS (
        SELECT FROM jsonb_object_keys(piece.extra) AS name
        WHERE split_part(name, '@', 1) ~ ('^' || measurand.name || '(\.(L[123]|N)[-LN123]*)?$')
    )
) AS seen;
COMMENT ON VIEW report.measurand IS
'The measurands of the bench for each charge point: asked for, configured, and in how many of its last 500 readings of a day';

-- ---------------------------------------------------------------- local authorisation list

CREATE TABLE local_list (
    charge_point_id  integer     PRIMARY KEY REFERENCES charge_point,
    list_version     integer,
    sent_at          timestamptz,
    reported_version integer,
    reported_at      timestamptz
);
COMMENT ON TABLE local_list IS 'The local authorisation list of charge points';
COMMENT ON COLUMN local_list.list_version IS 'Of the last list the charge point accepted from us';
COMMENT ON COLUMN local_list.reported_version IS 'As it said itself (GetLocalListVersion): -1 not supported, 0 empty';

CREATE TABLE local_list_entry (
    charge_point_id integer     NOT NULL REFERENCES local_list,
    id_tag          text        NOT NULL,
    status          text        NOT NULL,
    expiry_at       timestamptz,
    parent_id_tag   text,
    list_version    integer     NOT NULL
);
CREATE UNIQUE INDEX local_list_entry_key ON local_list_entry (charge_point_id, upper(btrim(id_tag)));
COMMENT ON COLUMN local_list_entry.list_version IS 'The update that brought this entry';

CREATE VIEW report.local_list AS
SELECT
    cp.identity AS charge_point,
    list.list_version,
    list.sent_at,
    list.reported_version,
    list.reported_at,
    (SELECT count(*) FROM local_list_entry AS entry WHERE entry.charge_point_id = list.charge_point_id) AS entries
FROM local_list AS list
INNER JOIN charge_point AS cp ON list.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.local_list IS 'Local authorisation lists: the version we sent and the one the charge point tells';

CREATE VIEW report.local_list_entry AS
SELECT
    cp.identity AS charge_point,
    entry.id_tag,
    entry.status,
    entry.expiry_at,
    entry.parent_id_tag,
    entry.list_version
FROM local_list_entry AS entry
INNER JOIN charge_point AS cp ON entry.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.local_list_entry IS 'Who may charge at a charge point that cannot ask';

-- ---------------------------------------------------------------- reservations

CREATE TABLE reservation (
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    reservation_id  integer     NOT NULL,
    connector_id    smallint    NOT NULL CHECK (connector_id >= 0),
    id_tag          text        NOT NULL,
    parent_id_tag   text,
    expires_at      timestamptz NOT NULL,
    status          text        NOT NULL CHECK (status IN ('active', 'used', 'cancelled', 'refused')),
    answer          text        NOT NULL,
    reserved_at     timestamptz NOT NULL,
    ended_at        timestamptz,
    transaction_id  bigint,
    command_id      bigint      REFERENCES command,
    PRIMARY KEY (charge_point_id, reservation_id)
);
COMMENT ON TABLE reservation IS 'Connectors held for an id_tag';
COMMENT ON COLUMN reservation.connector_id IS '0: any connector';
COMMENT ON COLUMN reservation.status IS 'active until expires_at; used: by transaction_id; refused: see answer';
COMMENT ON COLUMN reservation.answer IS 'What the charge point answered: Accepted, Faulted, Occupied, Rejected, Unavailable';

CREATE FUNCTION use_reservation() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE reservation AS res
    SET status = 'used', transaction_id = NEW.transaction_id, ended_at = NEW.started_at
    WHERE
        res.charge_point_id = NEW.charge_point_id AND res.reservation_id = NEW.reservation_id
        AND res.status = 'active';
    RETURN NULL;
END;
$$;
CREATE TRIGGER use_reservation AFTER INSERT ON transaction
FOR EACH ROW WHEN (NEW.reservation_id IS NOT NULL) EXECUTE FUNCTION use_reservation();

CREATE VIEW report.reservation AS
SELECT
    cp.identity AS charge_point,
    res.reservation_id,
    res.connector_id,
    res.id_tag,
    res.parent_id_tag,
    res.expires_at,
    CASE WHEN res.status = 'active' AND res.expires_at <= now() THEN 'expired' ELSE res.status END AS status,
    res.answer,
    res.reserved_at,
    CASE WHEN res.status = 'active' AND res.expires_at <= now() THEN res.expires_at ELSE res.ended_at END AS ended_at,
    res.transaction_id
FROM reservation AS res
INNER JOIN charge_point AS cp ON res.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.reservation IS 'Reservations: active, used (with the transaction), cancelled, expired or refused';

-- ---------------------------------------------------------------- smart charging

CREATE TABLE charging_profile (
    charging_profile_number bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id         integer     NOT NULL REFERENCES charge_point,
    connector_id            smallint    CHECK (connector_id >= 0),
    charging_profile_id     integer     NOT NULL,
    purpose                 text        NOT NULL,
    stack_level             integer     NOT NULL,
    transaction_id          bigint,
    profile                 jsonb       NOT NULL,
    assigned_at             timestamptz NOT NULL,
    cleared_at              timestamptz CHECK (cleared_at >= assigned_at),
    cleared_because         text,
    command_id              bigint      REFERENCES command
);
CREATE INDEX charging_profile_assigned ON charging_profile (charge_point_id, charging_profile_id) WHERE cleared_at IS NULL;
COMMENT ON TABLE charging_profile IS 'Charging profiles that charge points accepted, and until when they held them';
COMMENT ON COLUMN charging_profile.charging_profile_id IS 'The id within OCPP; ours to choose, unique at a charge point at one time';
COMMENT ON COLUMN charging_profile.connector_id IS '0: the charge point as a whole; NULL: the connector of a remote start that named none';
COMMENT ON COLUMN charging_profile.profile IS 'The whole profile as sent (OCPP 1.6 7.8)';
COMMENT ON COLUMN charging_profile.cleared_at IS 'NULL while assigned';

CREATE FUNCTION end_transaction_profiles() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE charging_profile AS prof
    SET
        cleared_at = greatest(prof.assigned_at, coalesce(NEW.stopped_at, NEW.superseded_at)),
        cleared_because = 'its transaction ended'
    WHERE
        prof.charge_point_id = NEW.charge_point_id AND prof.cleared_at IS NULL AND prof.purpose = 'TxProfile'
        AND (
            prof.transaction_id = NEW.transaction_id
            OR (
                prof.transaction_id IS NULL AND prof.connector_id = NEW.connector_id
                AND prof.assigned_at <= coalesce(NEW.stopped_at, NEW.superseded_at)
            )
        );
    RETURN NULL;
END;
$$;
CREATE TRIGGER end_transaction_profiles AFTER UPDATE OF stopped_at, superseded_at ON transaction
FOR EACH ROW WHEN (NEW.stopped_at IS NOT NULL OR NEW.superseded_at IS NOT NULL)
EXECUTE FUNCTION end_transaction_profiles();

CREATE VIEW report.charging_profile AS
SELECT
    cp.identity AS charge_point,
    prof.connector_id,
    prof.charging_profile_id,
    prof.purpose,
    prof.profile ->> 'chargingProfileKind' AS kind,
    prof.stack_level,
    prof.transaction_id,
    prof.profile,
    prof.assigned_at,
    prof.cleared_at,
    prof.cleared_because
FROM charging_profile AS prof
INNER JOIN charge_point AS cp ON prof.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.charging_profile IS 'Charging profiles of charge points; cleared_at is NULL while one is assigned';

-- ---------------------------------------------------------------- certificates

CREATE TABLE installed_certificate (
    installed_certificate_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id          integer     NOT NULL REFERENCES charge_point,
    certificate_type         text        NOT NULL,
    serial_number            text        NOT NULL,
    hash_algorithm           text,
    issuer_name_hash         text,
    issuer_key_hash          text,
    subject                  text,
    certificate              text,
    installed_at             timestamptz,
    reported_at              timestamptz,
    deleted_at               timestamptz
);
CREATE UNIQUE INDEX installed_certificate_key ON installed_certificate (charge_point_id, certificate_type, serial_number)
WHERE deleted_at IS NULL;
COMMENT ON TABLE installed_certificate IS 'Root certificates in charge points: as installed by us, as told by GetInstalledCertificateIds';
COMMENT ON COLUMN installed_certificate.serial_number IS 'Hexadecimal, lower case, without leading zeros';
COMMENT ON COLUMN installed_certificate.certificate IS 'PEM; NULL for one that we did not install';
COMMENT ON COLUMN installed_certificate.reported_at IS 'When the charge point last told that it has it';

CREATE TABLE certificate_signing (
    certificate_signing_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id        integer     NOT NULL REFERENCES charge_point,
    requested_at           timestamptz NOT NULL,
    csr                    text        NOT NULL,
    status                 text        NOT NULL CHECK (status IN ('signed', 'refused')),
    reason                 text,
    serial_number          text,
    certificate_chain      text,
    expires_at             timestamptz,
    command_id             bigint      REFERENCES command
);
CREATE INDEX certificate_signing_by_charge_point ON certificate_signing (charge_point_id, requested_at);
COMMENT ON TABLE certificate_signing IS 'Requests of charge points for a certificate of their own';
COMMENT ON COLUMN certificate_signing.reason IS 'Why it was refused';
COMMENT ON COLUMN certificate_signing.command_id IS 'The CertificateSigned that carried the chain; its answer is the charge point''s';

CREATE VIEW report.installed_certificate AS
SELECT
    cp.identity AS charge_point,
    cert.certificate_type,
    cert.serial_number,
    cert.subject,
    cert.hash_algorithm,
    cert.issuer_name_hash,
    cert.issuer_key_hash,
    cert.installed_at,
    cert.reported_at,
    cert.deleted_at
FROM installed_certificate AS cert
INNER JOIN charge_point AS cp ON cert.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.installed_certificate IS 'Root certificates in charge points; deleted_at is NULL while one is there';

CREATE VIEW report.certificate_signing AS
SELECT
    cp.identity AS charge_point,
    sign.requested_at,
    sign.status,
    sign.reason,
    sign.serial_number,
    sign.expires_at,
    cmd.status AS delivery,
    cmd.response ->> 'status' AS answer,
    sign.certificate_chain
FROM certificate_signing AS sign
INNER JOIN charge_point AS cp ON sign.charge_point_id = cp.charge_point_id
LEFT JOIN command AS cmd ON sign.command_id = cmd.command_id;
COMMENT ON VIEW report.certificate_signing IS
'Certificates charge points asked for. delivery: of the CertificateSigned; answer: Accepted once the charge point took it';

-- ---------------------------------------------------------------- availability

CREATE TABLE connector_availability (
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    connector_id    smallint    NOT NULL CHECK (connector_id >= 0),
    is_operative    boolean     NOT NULL,
    is_scheduled    boolean     NOT NULL,
    changed_at      timestamptz NOT NULL,
    command_id      bigint      REFERENCES command,
    PRIMARY KEY (charge_point_id, connector_id)
);
COMMENT ON TABLE connector_availability IS 'The last ChangeAvailability that a charge point took; connector 0 means all of them';
COMMENT ON COLUMN connector_availability.is_scheduled IS 'It takes effect when the running transaction ends';

CREATE VIEW report.connector_availability AS
SELECT
    cp.identity AS charge_point,
    av.connector_id,
    av.is_operative,
    av.is_scheduled,
    av.changed_at
FROM connector_availability AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.connector_availability IS 'What operators last made of connectors: operative or not';

-- ---------------------------------------------------------------- firmware, diagnostics, logs, security

-- Reports of signed firmware and logs carry the number of their request; the others belong to the last
-- request of their kind sent before.
CREATE VIEW report.request_progress AS
SELECT
    cp.identity AS charge_point,
    cmd.command_id,
    cmd.action,
    (cmd.payload ->> 'requestId')::integer AS request_id,
    cmd.requested_by,
    cmd.sent_at,
    coalesce(cmd.response ->> 'status', cmd.status) AS answer,
    coalesce(cmd.response ->> 'fileName', cmd.response ->> 'filename') AS file_name,
    rep.at,
    rep.status,
    rep.detail
FROM command AS cmd
INNER JOIN charge_point AS cp ON cmd.charge_point_id = cp.charge_point_id
LEFT JOIN LATERAL (
    SELECT news.at, news.status, news.detail
    FROM charge_point_report AS news
    WHERE
        news.charge_point_id = cmd.charge_point_id
        AND news.kind = CASE cmd.action
            WHEN 'UpdateFirmware' THEN 'firmware'
            WHEN 'SignedUpdateFirmware' THEN 'signed_firmware'
            WHEN 'GetDiagnostics' THEN 'diagnostics'
            WHEN 'GetLog' THEN 'log'
        END
        AND news.received_at >= cmd.sent_at
        AND (news.request_id IS NULL OR news.request_id = (cmd.payload ->> 'requestId')::integer)
        AND NOT EXISTS (
            SELECT FROM command AS later
            WHERE
                later.charge_point_id = cmd.charge_point_id AND later.action = cmd.action
                AND later.command_id > cmd.command_id AND later.sent_at <= news.received_at
                AND (
                    news.request_id IS NULL
                    OR later.payload ->> 'requestId' = cmd.payload ->> 'requestId'
                )
        )
) AS rep ON TRUE
WHERE cmd.action IN ('UpdateFirmware', 'SignedUpdateFirmware', 'GetDiagnostics', 'GetLog');
COMMENT ON VIEW report.request_progress IS
'Firmware, diagnostics and log requests with every status the charge point reported for them, a row each';

CREATE INDEX charge_point_report_by_kind ON charge_point_report (charge_point_id, kind, received_at);

CREATE VIEW report.security_event AS
SELECT
    rep.at,
    cp.identity AS charge_point,
    rep.status AS type,
    rep.detail AS tech_info,
    rep.received_at
FROM charge_point_report AS rep
INNER JOIN charge_point AS cp ON rep.charge_point_id = cp.charge_point_id
WHERE rep.kind = 'security';
COMMENT ON VIEW report.security_event IS 'Security events that charge points reported';

-- ---------------------------------------------------------------- keys and security profiles

ALTER TABLE charge_point ADD COLUMN new_password_hash text;
COMMENT ON COLUMN charge_point.new_password_hash IS
'Slow hash of an AuthorizationKey the charge point accepted but did not use yet; the old one counts until it does';
COMMENT ON COLUMN charge_point.security_profile IS
'Highest security profile it has connected with; lower ones are refused. Only people make it lower';

DROP TRIGGER announce ON charge_point;
CREATE TRIGGER announce AFTER INSERT OR UPDATE OF registration, password_hash, new_password_hash, security_profile, time_zone
ON charge_point FOR EACH ROW EXECUTE FUNCTION announce_charge_point();

-- ---------------------------------------------------------------- rights

GRANT SELECT, INSERT, UPDATE ON
configuration_key, boot_configuration, local_list, local_list_entry, reservation, charging_profile,
installed_certificate, certificate_signing, connector_availability
TO eletroposto_ingest;
GRANT DELETE ON local_list_entry TO eletroposto_ingest;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO eletroposto_ingest;
GRANT SELECT ON
configuration_key, boot_configuration, local_list, local_list_entry, reservation, charging_profile,
installed_certificate, certificate_signing, connector_availability
TO eletroposto_flows;
GRANT SELECT ON
report.configuration, report.measurand, report.local_list, report.local_list_entry, report.reservation,
report.charging_profile, report.installed_certificate, report.certificate_signing, report.connector_availability,
report.request_progress, report.security_event
TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
