-- What the dashboard needs beyond the facts: the present state of connectors, and the functions
-- through which operators act; the role of readers may not call those.

DO $$
BEGIN
    CREATE ROLE eletroposto_operator NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;  -- roles belong to the server: another database made it
END;
$$;
DO $$
BEGIN
    GRANT eletroposto_operator TO CURRENT_USER;
    GRANT eletroposto_dashboard TO eletroposto_operator;
EXCEPTION WHEN unique_violation THEN
    NULL;  -- another database of this server is doing the same
END;
$$;

-- Readers see aliases without a right to the identifiers behind them.
ALTER FUNCTION id_tag_alias(text) SECURITY DEFINER SET search_path = public, pg_temp;

-- ---------------------------------------------------------------- now

CREATE VIEW report.charge_point_now AS
SELECT
    cp.identity AS charge_point,
    greatest(
        (SELECT max(msg.received_at) FROM ocpp_message AS msg WHERE msg.charge_point_id = cp.charge_point_id),
        (SELECT max(conn.opened_at) FROM connection AS conn WHERE conn.charge_point_id = cp.charge_point_id)
    ) AS last_message_at
FROM charge_point AS cp
WHERE cp.registration = 'registered';
COMMENT ON VIEW report.charge_point_now IS 'When each charge point was last heard';

CREATE VIEW report.connector_now AS
SELECT
    cp.identity AS charge_point,
    pub.name,
    con.connector_id,
    con.current_type,
    con.rated_power_w,
    CASE
        WHEN NOT pub.is_online THEN 'offline'
        WHEN whole.status IN ('Faulted', 'Unavailable') THEN whole.status
        ELSE coalesce(con.status, 'unknown')
    END AS state,
    CASE
        WHEN NOT pub.is_online THEN pub.online_changed_at
        WHEN whole.status IN ('Faulted', 'Unavailable') THEN whole.status_at
        ELSE con.status_at
    END AS state_since,
    nullif(con.error_code, 'NoError') AS error_code,
    tx.transaction_id,
    tx.started_at,
    tx.id_tag,
    latest.sampled_at AS reading_at,
    latest.power_w::double precision AS power_w,
    CASE
        WHEN latest.energy_wh >= tx.meter_start_wh
            THEN (latest.energy_wh - tx.meter_start_wh) * cp.energy_factor
    END AS energy_so_far_wh,
    charge.soc_percent::double precision AS soc_percent
FROM connector AS con
INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id
INNER JOIN report.charge_point AS pub ON cp.identity = pub.charge_point
LEFT JOIN connector AS whole ON con.charge_point_id = whole.charge_point_id AND whole.connector_id = 0
LEFT JOIN LATERAL (
    SELECT
        running.transaction_id,
        running.started_at,
        running.id_tag,
        running.meter_start_wh
    FROM transaction AS running
    WHERE
        running.charge_point_id = con.charge_point_id
        AND running.connector_id = con.connector_id
        AND running.stopped_at IS NULL
        AND con.status IS DISTINCT FROM 'Available'
    ORDER BY running.started_at DESC
    LIMIT 1
) AS tx ON TRUE
LEFT JOIN LATERAL (
    SELECT
        mv.sampled_at,
        mv.power_w,
        mv.energy_wh
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = con.charge_point_id
        AND mv.connector_id = con.connector_id
        AND mv.sampled_at >= tx.started_at
    ORDER BY mv.sampled_at DESC
    LIMIT 1
) AS latest ON TRUE
LEFT JOIN LATERAL (
    SELECT mv.soc_percent
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = con.charge_point_id
        AND mv.connector_id = con.connector_id
        AND mv.sampled_at BETWEEN latest.sampled_at - INTERVAL '10 minutes' AND latest.sampled_at
        AND mv.soc_percent IS NOT NULL
    ORDER BY mv.sampled_at DESC
    LIMIT 1
) AS charge ON TRUE
WHERE con.connector_id > 0;
COMMENT ON VIEW report.connector_now IS
'Connectors as they are now. state: an OCPP status, offline (no websocket, which beats any status) or unknown';
COMMENT ON COLUMN report.connector_now.reading_at IS 'Time of the newest reading of the running transaction';
COMMENT ON COLUMN report.connector_now.energy_so_far_wh IS 'Register now less register at the start; NULL where one is unknown';
COMMENT ON COLUMN report.connector_now.soc_percent IS 'Newest state of charge, at most 10 minutes older than the newest reading';

-- ---------------------------------------------------------------- what operators may do

CREATE SCHEMA operation;
COMMENT ON SCHEMA operation IS 'Functions that change something; for eletroposto_operator only';

CREATE TABLE operation_log (
    operation_log_id bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at               timestamptz NOT NULL DEFAULT now(),
    who              text        NOT NULL,
    what             text        NOT NULL,
    subject          text        NOT NULL,
    details          jsonb       NOT NULL DEFAULT '{}'
);
CREATE INDEX operation_log_by_time ON operation_log (at);
COMMENT ON TABLE operation_log IS 'Who changed what through the dashboard; commands have their own table';

CREATE VIEW report.operation_log AS
SELECT
    entry.at,
    entry.who,
    entry.what,
    entry.subject,
    entry.details
FROM operation_log AS entry;
COMMENT ON VIEW report.operation_log IS 'Changes made by operators';

CREATE FUNCTION operation.charge_point_number(identity text) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    found_id integer;
BEGIN
    SELECT cp.charge_point_id INTO found_id FROM charge_point AS cp
    WHERE cp.identity = charge_point_number.identity;
    IF found_id IS NULL THEN
        RAISE EXCEPTION 'no charge point %', quote_nullable(identity) USING ERRCODE = 'no_data_found';
    END IF;
    RETURN found_id;
END;
$$;
COMMENT ON FUNCTION operation.charge_point_number IS 'Our number for an identity; raises for one we do not know';

CREATE FUNCTION operation.note(who text, what text, subject text, details jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO operation_log (who, what, subject, details) VALUES (who, what, subject, details);
$$;
COMMENT ON FUNCTION operation.note IS 'Write a line into the log of changes';

CREATE FUNCTION operation.queue_command(
    charge_point text, action text, payload jsonb, who text, seconds integer DEFAULT 60
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    new_id bigint;
BEGIN
    IF action NOT IN (
        'CancelReservation', 'CertificateSigned', 'ChangeAvailability', 'ChangeConfiguration', 'ClearCache',
        'ClearChargingProfile', 'DataTransfer', 'DeleteCertificate', 'ExtendedTriggerMessage',
        'GetCompositeSchedule', 'GetConfiguration', 'GetDiagnostics', 'GetInstalledCertificateIds',
        'GetLocalListVersion', 'GetLog', 'InstallCertificate', 'RemoteStartTransaction',
        'RemoteStopTransaction', 'ReserveNow', 'Reset', 'SendLocalList', 'SetChargingProfile',
        'SignedUpdateFirmware', 'TriggerMessage', 'UnlockConnector', 'UpdateFirmware'
    ) THEN
        RAISE EXCEPTION 'a central system cannot send %', action;
    END IF;
    IF jsonb_typeof(payload) <> 'object' THEN
        RAISE EXCEPTION 'the payload of a command is an object';
    END IF;
    IF seconds NOT BETWEEN 1 AND 86400 THEN
        RAISE EXCEPTION 'a command waits between 1 s and a day, not % s', seconds;
    END IF;
    INSERT INTO command (charge_point_id, action, payload, requested_by, expires_at)
    VALUES (
        operation.charge_point_number(charge_point), action, payload, left(who, 200),
        now() + make_interval(secs => seconds)
    )
    RETURNING command_id INTO new_id;
    RETURN new_id;
END;
$$;
COMMENT ON FUNCTION operation.queue_command IS 'Queue a CALL; the replica that holds the socket sends it. Returns command_id';

CREATE FUNCTION operation.register_charge_point(charge_point text, decision text, who text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF decision NOT IN ('registered', 'refused') THEN
        RAISE EXCEPTION 'a charge point is registered or refused, not %', decision;
    END IF;
    UPDATE charge_point AS cp SET registration = decision
    WHERE cp.charge_point_id = operation.charge_point_number(register_charge_point.charge_point);
    PERFORM operation.note(who, 'register_charge_point', charge_point, jsonb_build_object('decision', decision));
END;
$$;
COMMENT ON FUNCTION operation.register_charge_point IS 'Approve or refuse a charge point that knocked';

CREATE FUNCTION operation.describe_charge_point(
    charge_point text, new_name text, new_site text, new_latitude double precision,
    new_longitude double precision, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE charge_point AS cp
    SET
        name = nullif(btrim(new_name), ''),
        site = nullif(btrim(new_site), ''),
        latitude = new_latitude,
        longitude = new_longitude
    WHERE cp.charge_point_id = operation.charge_point_number(describe_charge_point.charge_point);
    PERFORM operation.note(
        who, 'describe_charge_point', charge_point,
        jsonb_build_object('name', new_name, 'site', new_site, 'latitude', new_latitude, 'longitude', new_longitude)
    );
END;
$$;
COMMENT ON FUNCTION operation.describe_charge_point IS 'Name, site and place of a charge point';

CREATE FUNCTION operation.save_id_tag(
    tag text, new_status text, new_expiry timestamptz, new_parent text, new_max_active integer,
    new_alias text, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF length(btrim(tag)) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'an id tag has 1 to 255 characters';
    END IF;
    INSERT INTO id_tag AS known (id_tag, status, expiry_at, parent_id_tag, max_active, alias)
    VALUES (
        btrim(tag), new_status, new_expiry, nullif(btrim(new_parent), ''), new_max_active,
        nullif(btrim(new_alias), '')
    )
    ON CONFLICT (id_tag_key) DO UPDATE SET
        status = excluded.status,
        expiry_at = excluded.expiry_at,
        parent_id_tag = excluded.parent_id_tag,
        max_active = excluded.max_active,
        alias = excluded.alias;
    PERFORM operation.note(
        who, 'save_id_tag', 'tag-' || left(md5(upper(btrim(tag))), 6),
        jsonb_build_object('status', new_status, 'expiry_at', new_expiry, 'max_active', new_max_active)
    );
END;
$$;
COMMENT ON FUNCTION operation.save_id_tag IS 'Add an id tag or change it; the log keeps its pseudonym only';

REVOKE ALL ON SCHEMA operation FROM PUBLIC;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA operation FROM PUBLIC;
GRANT USAGE ON SCHEMA operation TO eletroposto_operator;
GRANT EXECUTE ON FUNCTION
operation.queue_command, operation.register_charge_point, operation.describe_charge_point, operation.save_id_tag
TO eletroposto_operator;
-- What people enter changes costs and availability: operators only.
GRANT EXECUTE ON FUNCTION
report.add_downtime_exclusion, report.withdraw_downtime_exclusion, report.add_tariff, report.remove_tariff,
report.add_holiday, report.set_setting
TO eletroposto_operator;
GRANT SELECT ON report.charge_point_now, report.connector_now, report.operation_log
TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
