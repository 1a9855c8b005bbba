-- Each function of the database as the last migration left it, by name. For reading: nothing
-- applies this file. To change a function, write it whole into a new migration; then
-- `python -m sql.functions` writes this anew. (dojot_extra_attributes is not here:
-- 0013_dojot_limits.sql puts it together when it runs.)

-- 0495_id_tag_alias.sql
CREATE OR REPLACE FUNCTION operation.add_id_tag(
    tag text, new_status text, new_expiry timestamptz, new_parent text, new_max_active integer,
    new_alias text, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO id_tag (id_tag, status) VALUES (btrim(tag), new_status)
    ON CONFLICT (id_tag_key) DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this id tag is known already';
    END IF;
    PERFORM operation.save_id_tag(tag, new_status, new_expiry, new_parent, new_max_active, new_alias, who);
END;
$$;
COMMENT ON FUNCTION operation.add_id_tag IS 'Add an id tag; one that is known is refused and stays as it is';

-- 0031_closed_functions.sql
CREATE OR REPLACE FUNCTION operation.charge_point_number(identity text) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT report.charge_point_number(identity)
$$;
COMMENT ON FUNCTION operation.charge_point_number IS 'Our number for an identity; raises for one we do not know';

-- 0005_dashboard.sql
CREATE OR REPLACE FUNCTION operation.describe_charge_point(
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

-- 0024_ended_by_hand.sql
CREATE OR REPLACE FUNCTION operation.end_transaction(number bigint, who text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    ended charge_point;
BEGIN
    UPDATE transaction AS tx
    SET superseded_at = greatest(tx.started_at, now()), changed_at = now()
    FROM charge_point AS cp
    WHERE
        tx.transaction_id = number AND tx.stopped_at IS NULL AND tx.superseded_at IS NULL
        AND cp.charge_point_id = tx.charge_point_id
    RETURNING cp.* INTO ended;
    IF ended.charge_point_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM pg_notify('eletroposto_ended', ended.charge_point_id || ' ' || number);
    PERFORM operation.note(
        who, 'end_transaction', ended.identity, jsonb_build_object('transaction_id', number)
    );
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION operation.end_transaction IS
'Count a transaction as ended whose stop is lost; FALSE: it was not open. Its stop is still taken when it comes';

-- 0005_dashboard.sql
CREATE OR REPLACE FUNCTION operation.note(who text, what text, subject text, details jsonb) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO operation_log (who, what, subject, details) VALUES (who, what, subject, details);
$$;
COMMENT ON FUNCTION operation.note IS 'Write a line into the log of changes';

-- 0005_dashboard.sql
CREATE OR REPLACE FUNCTION operation.queue_command(
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

-- 0005_dashboard.sql
CREATE OR REPLACE FUNCTION operation.register_charge_point(charge_point text, decision text, who text) RETURNS void
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

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION operation.remove_vehicle(tag text, who text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM vehicle AS car WHERE car.id_tag_key = upper(btrim(tag));
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    PERFORM operation.note(who, 'remove_vehicle', 'tag-' || left(md5(upper(btrim(tag))), 6), '{}');
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION operation.remove_vehicle IS 'Forget the vehicle behind a tag';

-- 0005_dashboard.sql
CREATE OR REPLACE FUNCTION operation.save_id_tag(
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

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION operation.save_vehicle(
    tag text, new_name text, new_usable_capacity_wh double precision, new_consumption_wh_per_km double precision, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF length(btrim(tag)) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'an id tag has 1 to 255 characters' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO vehicle AS car (id_tag_key, name, usable_capacity_wh, consumption_wh_per_km)
    VALUES (upper(btrim(tag)), nullif(btrim(new_name), ''), new_usable_capacity_wh, new_consumption_wh_per_km)
    ON CONFLICT (id_tag_key) DO UPDATE SET
        name = excluded.name,
        usable_capacity_wh = excluded.usable_capacity_wh,
        consumption_wh_per_km = excluded.consumption_wh_per_km;
    PERFORM operation.note(
        who, 'save_vehicle', 'tag-' || left(md5(upper(btrim(tag))), 6),
        jsonb_build_object('usable_capacity_wh', new_usable_capacity_wh, 'consumption_wh_per_km', new_consumption_wh_per_km)
    );
END;
$$;
COMMENT ON FUNCTION operation.save_vehicle IS 'Say which vehicle a tag stands for; the log keeps the pseudonym of the tag only';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION operation.set_connector(
    charge_point text, number integer, new_current_type text, new_rated_power_w double precision, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF number NOT BETWEEN 1 AND 32767 THEN
        RAISE EXCEPTION 'connectors are numbered from 1' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO connector AS con (charge_point_id, connector_id, current_type, rated_power_w)
    VALUES (operation.charge_point_number(charge_point), number, new_current_type, new_rated_power_w)
    ON CONFLICT (charge_point_id, connector_id) DO UPDATE SET
        current_type = coalesce(excluded.current_type, con.current_type),
        rated_power_w = coalesce(excluded.rated_power_w, con.rated_power_w);
    PERFORM operation.note(
        who, 'set_connector', charge_point,
        jsonb_build_object('connector_id', number, 'current_type', new_current_type, 'rated_power_w', new_rated_power_w)
    );
END;
$$;
COMMENT ON FUNCTION operation.set_connector IS
'AC or DC and the rated power (W) of a connector; NULL: as it was. Its sessions are computed anew';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION operation.set_energy_factor(charge_point text, factor double precision, who text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE charge_point AS cp SET energy_factor = factor
    WHERE cp.charge_point_id = operation.charge_point_number(set_energy_factor.charge_point);
    PERFORM operation.note(who, 'set_energy_factor', charge_point, jsonb_build_object('energy_factor', factor));
END;
$$;
COMMENT ON FUNCTION operation.set_energy_factor IS
'What its energy readings are multiplied by (1000: labels kWh as Wh); its sessions are computed anew';

-- 0001_facts.sql
CREATE OR REPLACE FUNCTION announce_answer() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_answer', NEW.command_id::text);
    RETURN NULL;
END;
$$;

-- 0006_transactions.sql
CREATE OR REPLACE FUNCTION announce_charge_point() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_charge_point', NEW.charge_point_id::text);
    RETURN NULL;
END;
$$;

-- 0001_facts.sql
CREATE OR REPLACE FUNCTION announce_command() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_command', NEW.charge_point_id::text);
    RETURN NULL;
END;
$$;

-- 0008_replaced.sql
CREATE OR REPLACE FUNCTION announce_replaced() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        'eletroposto_replaced',
        format(
            '%s %s %s', OLD.replica_id, OLD.charge_point_id,
            (extract(EPOCH FROM OLD.opened_at) * 1000000)::bigint
        )
    );
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION announce_replaced IS
'Tell the replica that holds an older socket of a charge point: the newest one wins, wherever it is';

-- 0494_power_of_phases.sql
CREATE OR REPLACE FUNCTION common_voltage_v(extra jsonb, voltage_v real) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    phase_voltage_v(extra, 'L1'),
    -- Between two lines it is that of three phases only where there are three.
    CASE WHEN extra ? 'Current.Import.L3' THEN (extra ->> 'Voltage.L1-L2')::double precision / sqrt(3) END,
    voltage_v
);
COMMENT ON FUNCTION common_voltage_v IS 'What a phase that tells no voltage is taken to have to the neutral; V';

-- 0001_facts.sql
CREATE OR REPLACE FUNCTION context_name(code smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY[
    'Sample.Periodic', 'Sample.Clock', 'Transaction.Begin', 'Transaction.End',
    'Interruption.Begin', 'Interruption.End', 'Trigger', 'Other'
])[code + 1];
COMMENT ON FUNCTION context_name IS 'The reading context (OCPP 1.6 7.33) behind meter_value.context';

-- 0014_lost_answers.sql
CREATE OR REPLACE FUNCTION differ(mine double precision[], theirs double precision[]) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN EXISTS (
    SELECT FROM unnest(mine, theirs) AS pair (one, other)
    WHERE pair.one <> pair.other
);
COMMENT ON FUNCTION differ IS 'Whether two rows of values have another one in the same place; NULL is none';

-- 0013_dojot_limits.sql
CREATE OR REPLACE FUNCTION dojot_attributes(mv meter_value) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(dojot_extra_attributes(mv.extra, mv.connector_id), '{}') || jsonb_strip_nulls(jsonb_build_object(
    'energy_wh_' || mv.connector_id, dojot_number(mv.energy_wh),
    'power_w_' || mv.connector_id, dojot_number(mv.power_w),
    'current_a_' || mv.connector_id, dojot_number(mv.current_a),
    'voltage_v_' || mv.connector_id, dojot_number(mv.voltage_v),
    'soc_percent_' || mv.connector_id, dojot_number(mv.soc_percent),
    'temperature_c_' || mv.connector_id, dojot_number(mv.temperature_c),
    'current_offered_a_' || mv.connector_id, dojot_number(mv.current_offered_a),
    'power_offered_w_' || mv.connector_id, dojot_number(mv.power_offered_w),
    'transaction_id_' || mv.connector_id, dojot_id(mv.transaction_id),
    'context_' || mv.connector_id, CASE WHEN mv.context <> 0 THEN context_name(mv.context) END
));
COMMENT ON FUNCTION dojot_attributes IS
'What a reading is in DOJOT, the only definition of it: names end in the connector, as connectors share a device';

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_boot_of(cp charge_point) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'boot', 'accepted',
    'vendor', cp.vendor,
    'model', cp.model,
    'serial_number', cp.serial_number,
    'firmware_version', cp.firmware_version
);

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_can_store(at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(dojot_timestamp_ms(at) > 2147483647 AND dojot_timestamp_ms(at) < 253402300800000, FALSE);
COMMENT ON FUNCTION dojot_can_store IS
'Whether a timestamp may be sent: a later one ends DOJOT''s persister, a smaller number is taken for seconds';

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_close_of(conn connection) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object('connected', FALSE, 'disconnect_reason', conn.reason);

-- 0018_two_at_an_instant.sql
CREATE OR REPLACE FUNCTION dojot_enqueue(
    charge_point_ids integer[], sampled_ats timestamptz[], connector_ids smallint[], contexts smallint[],
    transaction_ids bigint[]
) RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
WITH keys AS (
    SELECT
        k.*,
        k.charge_point_id % 8 AS shard,
        (row_number() OVER (PARTITION BY k.charge_point_id % 8 ORDER BY k.sampled_at) - 1) / 500 AS piece
    FROM unnest(charge_point_ids, sampled_ats, connector_ids, contexts, transaction_ids)
        AS k (charge_point_id, sampled_at, connector_id, context, transaction_id)
),

queued AS (
    INSERT INTO dojot_outbox (
        shard, charge_point_ids, sampled_ats, connector_ids, contexts, transaction_ids, is_old
    )
    SELECT
        shard::smallint,
        array_agg(charge_point_id),
        array_agg(sampled_at),
        array_agg(connector_id),
        array_agg(context),
        CASE WHEN transaction_ids IS NOT NULL THEN array_agg(transaction_id) END,
        TRUE
    FROM keys
    GROUP BY shard, piece
    RETURNING cardinality(dojot_outbox.charge_point_ids) AS readings
)

SELECT coalesce(sum(readings), 0)::bigint FROM queued;
END;
COMMENT ON FUNCTION dojot_enqueue(integer[], timestamptz[], smallint[], smallint[], bigint[]) IS
'Send these readings (again): keys of meter_value, by position. Returns how many; one that is not stored is passed over';

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_extra_name(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (
    SELECT
        left(concat_ws(
            '_',
            dojot_measurand(regexp_replace(sample.kind, '\.(L[123](-(N|L[123]))?|N)$', '')),
            lower(substring(sample.kind FROM '\.((?:L[123](?:-(?:N|L[123]))?)|N)$')),
            nullif(dojot_slug(sample.location), '')
        ), 120)
    FROM (SELECT split_part(name, '@', 1) AS kind, split_part(name, '@', 2) AS location) AS sample
);
COMMENT ON FUNCTION dojot_extra_name IS
'A key of meter_value.extra, measurand[.phase][@location], as an attribute name: Voltage.L1-N@Inlet is voltage_v_l1-n_inlet';

-- 0013_dojot_limits.sql
CREATE OR REPLACE FUNCTION dojot_id(id bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN id BETWEEN -9007199254740992 AND 9007199254740992 THEN to_jsonb(id)
    ELSE to_jsonb(id::text)
END;
COMMENT ON FUNCTION dojot_id IS 'A number that names something: as text if it is beyond 2^53, for a rounded one would name another';

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_measurand(measurand text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE measurand
    WHEN 'Current.Export' THEN 'current_export_a'
    WHEN 'Current.Import' THEN 'current_a'
    WHEN 'Current.Offered' THEN 'current_offered_a'
    WHEN 'Energy.Active.Export.Interval' THEN 'energy_export_interval_wh'
    WHEN 'Energy.Active.Export.Register' THEN 'energy_export_wh'
    WHEN 'Energy.Active.Import.Interval' THEN 'energy_interval_wh'
    WHEN 'Energy.Active.Import.Register' THEN 'energy_wh'
    WHEN 'Energy.Reactive.Export.Interval' THEN 'reactive_energy_export_interval_varh'
    WHEN 'Energy.Reactive.Export.Register' THEN 'reactive_energy_export_varh'
    WHEN 'Energy.Reactive.Import.Interval' THEN 'reactive_energy_interval_varh'
    WHEN 'Energy.Reactive.Import.Register' THEN 'reactive_energy_varh'
    WHEN 'Frequency' THEN 'frequency_hz'
    WHEN 'Power.Active.Export' THEN 'power_export_w'
    WHEN 'Power.Active.Import' THEN 'power_w'
    WHEN 'Power.Factor' THEN 'power_factor'
    WHEN 'Power.Offered' THEN 'power_offered_w'
    WHEN 'Power.Reactive.Export' THEN 'reactive_power_export_var'
    WHEN 'Power.Reactive.Import' THEN 'reactive_power_var'
    WHEN 'RPM' THEN 'fan_rpm'
    WHEN 'SoC' THEN 'soc_percent'
    WHEN 'Temperature' THEN 'temperature_c'
    WHEN 'Voltage' THEN 'voltage_v'
    ELSE dojot_slug(measurand)
END;
COMMENT ON FUNCTION dojot_measurand IS 'A measurand (OCPP 1.6 7.31) as an attribute name with its unit';

-- 0013_dojot_limits.sql
CREATE OR REPLACE FUNCTION dojot_number(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(value) <= 9007199254740992 THEN value END;
COMMENT ON FUNCTION dojot_number(double precision) IS 'The value, or NULL if it is beyond 2^53: DOJOT would round or refuse it';

-- 0013_dojot_limits.sql
CREATE OR REPLACE FUNCTION dojot_number(value real) RETURNS real
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(value) <= 9007199254740992 THEN value END;
COMMENT ON FUNCTION dojot_number(real) IS 'The value, or NULL if it is beyond 2^53: DOJOT would round or refuse it';

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_slug(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(trim(BOTH '_' FROM regexp_replace(lower(name), '[^a-z0-9-]+', '_', 'g')), 100);
COMMENT ON FUNCTION dojot_slug IS 'A legal piece of an attribute name: a-z, 0-9, _ and -';

-- 0013_dojot_limits.sql
CREATE OR REPLACE FUNCTION dojot_start_of(tx transaction) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'transaction_event_' || tx.connector_id, 'started',
    'transaction_id_' || tx.connector_id, dojot_id(tx.transaction_id),
    'meter_start_wh_' || tx.connector_id, dojot_number(tx.meter_start_wh)
);

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_status_of(note status_notification) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'status_' || note.connector_id, note.status,
    'error_code_' || note.connector_id, note.error_code,
    'status_info_' || note.connector_id, note.info,
    'vendor_error_code_' || note.connector_id, note.vendor_error_code
);

-- 0013_dojot_limits.sql
CREATE OR REPLACE FUNCTION dojot_stop_of(tx transaction) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'transaction_event_' || tx.connector_id, 'stopped',
    'transaction_id_' || tx.connector_id, dojot_id(tx.transaction_id),
    'meter_stop_wh_' || tx.connector_id, dojot_number(tx.meter_stop_wh),
    'stop_reason_' || tx.connector_id, coalesce(tx.reason, 'Local')
);

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_tell(charge_point integer, at timestamptz, attrs jsonb) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
INSERT INTO dojot_event (shard, charge_point_id, at, attrs)
SELECT charge_point % 8, charge_point, at, jsonb_strip_nulls(attrs)
WHERE EXISTS (SELECT FROM dojot_feed);
END;

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_tell_boot() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.booted_at, dojot_boot_of(NEW));
    RETURN NULL;
END;
$$;

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_tell_closed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.closed_at, dojot_close_of(NEW::connection));
    RETURN NULL;
END;
$$;

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_tell_opened() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.opened_at, '{"connected": true}');
    RETURN NULL;
END;
$$;

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_tell_start() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.started_at, dojot_start_of(NEW));
    RETURN NULL;
END;
$$;

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_tell_status() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.at, dojot_status_of(NEW::status_notification));
    RETURN NULL;
END;
$$;

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION dojot_tell_stop() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.stopped_at, dojot_stop_of(NEW));
    RETURN NULL;
END;
$$;

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_template(connectors smallint[])
RETURNS TABLE (label text, value_type text)
LANGUAGE sql IMMUTABLE
BEGIN ATOMIC
SELECT name.stem || '_' || connector, name.value_type
FROM unnest(connectors) AS connector
CROSS JOIN (
    VALUES
    ('energy_wh', 'float'), ('power_w', 'float'), ('current_a', 'float'), ('voltage_v', 'float'),
    ('soc_percent', 'float'), ('temperature_c', 'float'), ('current_offered_a', 'float'),
    ('power_offered_w', 'float'), ('transaction_id', 'integer'), ('context', 'string'),
    ('status', 'string'), ('error_code', 'string'), ('status_info', 'string'), ('vendor_error_code', 'string'),
    ('transaction_event', 'string'), ('meter_start_wh', 'float'), ('meter_stop_wh', 'float'), ('stop_reason', 'string')
) AS name (stem, value_type)
UNION ALL
VALUES
('connected', 'bool'), ('disconnect_reason', 'string'), ('boot', 'string'), ('vendor', 'string'),
('model', 'string'), ('serial_number', 'string'), ('firmware_version', 'string'),
('ocpp_frame_in', 'string'), ('ocpp_frame_out', 'string');
END;
COMMENT ON FUNCTION dojot_template IS
'The dynamic attributes of the template for these connectors; what extra brings besides is accepted by DOJOT all the same';

-- 0002_dojot.sql
CREATE OR REPLACE FUNCTION dojot_timestamp_ms(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN isfinite(at) THEN floor(extract(EPOCH FROM at) * 1000)::bigint END;
COMMENT ON FUNCTION dojot_timestamp_ms IS
'The instant as DOJOT keeps it: whole milliseconds since 1970, the rest cut off; NULL for infinity';

-- 0010_dropped_facts.sql
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

-- 0007_operations.sql
CREATE OR REPLACE FUNCTION end_transaction_profiles() RETURNS trigger
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

-- 0494_power_of_phases.sql
CREATE OR REPLACE FUNCTION estimated_power_w(voltage_v real, current_a real, extra jsonb, current_type text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- DC, or one phase without a power factor: the product.
    WHEN voltage_v IS NOT NULL AND current_a IS NOT NULL AND (extra IS NULL OR NOT extra ? 'Current.Import.L2')
        THEN voltage_v * current_a * coalesce((extra ->> 'Power.Factor')::double precision, 1)
    WHEN extra IS NULL OR current_type = 'DC' THEN NULL
    WHEN extra ?| ARRAY['Current.Import.L1', 'Current.Import.L2', 'Current.Import.L3']
        THEN (
            phase_power_w(extra, 'L1', common_voltage_v(extra, voltage_v))
            + phase_power_w(extra, 'L2', common_voltage_v(extra, voltage_v))
            + phase_power_w(extra, 'L3', common_voltage_v(extra, voltage_v))
        ) * coalesce((extra ->> 'Power.Factor')::double precision, 1)
    -- A current of no phase is that of the only phase there is; of several it may be the sum, or that of each.
    WHEN coalesce(phase_voltage_v(extra, 'L2'), 0) = 0 AND coalesce(phase_voltage_v(extra, 'L3'), 0) = 0
        THEN current_a * phase_voltage_v(extra, 'L1') * coalesce((extra ->> 'Power.Factor')::double precision, 1)
END;
COMMENT ON FUNCTION estimated_power_w IS 'Power from voltage and current, for charge points that do not measure it; W';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION follow_charge_point() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.energy_factor IS DISTINCT FROM OLD.energy_factor THEN
        PERFORM touch_sessions(NEW.charge_point_id);
    END IF;
    IF NEW.site IS DISTINCT FROM OLD.site THEN
        INSERT INTO touched_work (flow, charge_point_id, hour)
        SELECT 'consumption', con.charge_point_id, local_midnight(con.day)
        FROM consumption_day AS con
        WHERE con.charge_point_id = NEW.charge_point_id
        GROUP BY con.charge_point_id, con.day
        ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_charge_point IS 'Another site has other prices and another demand; another factor is another energy';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION follow_connector() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM touch_sessions(NEW.charge_point_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_connector IS 'The kind of current decides the grace of idle time, the rated power what is plausible';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION follow_setting() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.name IN ('power_threshold_w', 'default_rated_power_w', 'idle_grace_dc_s', 'idle_grace_ac_s') THEN
        PERFORM touch_sessions(NULL);
    ELSIF NEW.name = 'ac_charging_efficiency' THEN
        PERFORM touch_soc_of(NULL);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_setting IS 'What a number of the formulas changes; the factors of CO2 are used when they are asked for';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION follow_vehicle() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM touch_soc_of(coalesce(NEW.id_tag_key, OLD.id_tag_key));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_vehicle IS 'The capacity of a vehicle gives its sessions an efficiency';

-- 0014_lost_answers.sql
CREATE OR REPLACE FUNCTION forget_records(as_of timestamptz) RETURNS TABLE (record text, older_than timestamptz, forgotten bigint)
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

-- 0003_report_facts.sql
CREATE OR REPLACE FUNCTION frame_as_jsonb(raw text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN raw::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION frame_as_jsonb IS 'The frame, or NULL where it is not JSON: one odd frame must not break a view';

-- 0014_lost_answers.sql
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

-- 0026_short_updates.sql
CREATE OR REPLACE FUNCTION heard_since(of_charge_point integer) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT least(
        (
            SELECT min(first.at)
            FROM (
                SELECT con.connector_id FROM connector AS con WHERE con.charge_point_id = of_charge_point
                UNION
                SELECT 0::smallint
            ) AS place
            CROSS JOIN LATERAL (
                SELECT sn.at
                FROM status_notification AS sn
                WHERE sn.charge_point_id = of_charge_point AND sn.connector_id = place.connector_id
                ORDER BY sn.at
                LIMIT 1
            ) AS first
        ),
        (
            SELECT conn.opened_at
            FROM connection AS conn
            WHERE conn.charge_point_id = of_charge_point
            ORDER BY conn.opened_at
            LIMIT 1
        )
    )
$$;
COMMENT ON FUNCTION heard_since IS
'When a charge point was first heard of, by a status or a connection; read by the index of each connector, not over all that it said';

-- 0021_intruders.sql
CREATE OR REPLACE FUNCTION hide_secrets(told jsonb) RETURNS jsonb
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

-- 0004_aggregates.sql
CREATE OR REPLACE FUNCTION id_tag_alias(tag text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (SELECT known.alias FROM id_tag AS known WHERE known.id_tag_key = upper(btrim(tag))),
    'tag-' || left(md5(upper(btrim(tag))), 6)
);
-- Readers see aliases without a right to the identifiers behind them.
ALTER FUNCTION id_tag_alias(text) SECURITY DEFINER SET search_path = public, pg_temp;
COMMENT ON FUNCTION id_tag_alias IS 'What to show in place of an identifier: its alias, or a pseudonym; NULL for none';

-- 0014_lost_answers.sql
CREATE OR REPLACE FUNCTION is_known_orphan(
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

-- 0021_intruders.sql
CREATE OR REPLACE FUNCTION is_secret_name(told text) RETURNS boolean
LANGUAGE sql IMMUTABLE
RETURN told ~* 'pin(?!g)|pass|pwd|psk|auth|key|secret|token|credential'
AND lower(btrim(told)) <> ALL(ARRAY[
    'authorizationcacheenabled', 'authorizeremotetxrequests', 'getconfigurationmaxkeys', 'localauthlistenabled',
    'localauthlistmaxlength', 'localauthorizeoffline', 'localpreauthorize'
]);
COMMENT ON FUNCTION is_secret_name IS
'Whether a configuration key or a field of this name may hold a secret; those of the standard only sound like it';

-- 0006_transactions.sql
CREATE OR REPLACE FUNCTION judge_id_tag(tag text, unknown_status text) RETURNS id_tag_verdict
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

-- 0026_short_updates.sql
CREATE OR REPLACE FUNCTION keep_time_zone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO time_zone_change (charge_point_id, time_zone) VALUES (OLD.charge_point_id, OLD.time_zone);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION keep_time_zone IS 'Write down the time zone a charge point had until now';

-- 0021_intruders.sql
CREATE OR REPLACE FUNCTION list_strangers(strangers text[], most integer) RETURNS void
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

-- 0004_aggregates.sql
CREATE OR REPLACE FUNCTION local_day(at timestamptz) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (at AT TIME ZONE 'America/Sao_Paulo')::date;
COMMENT ON FUNCTION local_day IS 'The day an instant belongs to in reports';

-- 0004_aggregates.sql
CREATE OR REPLACE FUNCTION local_midnight(day date) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN day::timestamp AT TIME ZONE 'America/Sao_Paulo';
COMMENT ON FUNCTION local_midnight IS 'The instant at which a day of the reports begins';

-- 0023_sums_of_a_year.sql
CREATE OR REPLACE FUNCTION mark_connector_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO unsummed_day (day, what) SELECT DISTINCT changed.day, 'connectors' FROM changed;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION mark_connector_days IS 'Mark the days of changed rows of consumption_day or availability_day';

-- 0023_sums_of_a_year.sql
CREATE OR REPLACE FUNCTION mark_cost_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO unsummed_day (day, what)
    SELECT DISTINCT local_day(ses.started_at), 'sessions'
    FROM changed
    INNER JOIN session AS ses ON changed.transaction_id = ses.transaction_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION mark_cost_days IS 'Mark the days on which sessions began whose cost changed';

-- 0023_sums_of_a_year.sql
CREATE OR REPLACE FUNCTION mark_session_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO unsummed_day (day, what) SELECT DISTINCT local_day(changed.started_at), 'sessions' FROM changed;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION mark_session_days IS 'Mark the days on which changed sessions began';

-- 0006_transactions.sql
CREATE OR REPLACE FUNCTION meant_transaction(cp integer, ended timestamptz, register_wh double precision)
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

-- 0014_lost_answers.sql
CREATE OR REPLACE FUNCTION merge_extra(mine jsonb, theirs jsonb, conflict boolean) RETURNS jsonb
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

-- 0494_power_of_phases.sql
CREATE OR REPLACE FUNCTION phase_power_w(extra jsonb, phase text, other_voltage_v double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN extra ? ('Current.Import.' || phase)
        THEN (extra ->> ('Current.Import.' || phase))::double precision
        * coalesce(phase_voltage_v(extra, phase), other_voltage_v)
    ELSE 0
END;
COMMENT ON FUNCTION phase_power_w IS
'Power of a phase by its current and its voltage, or the other one where it tells none; 0 without a current; W';

-- 0494_power_of_phases.sql
CREATE OR REPLACE FUNCTION phase_voltage_v(extra jsonb, phase text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    (extra ->> ('Voltage.' || phase || '-N'))::double precision, (extra ->> ('Voltage.' || phase))::double precision
);
COMMENT ON FUNCTION phase_voltage_v IS 'Voltage of a phase to the neutral, whichever way the charge point names it; V';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION readings_kept_since() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(max(now() - make_interval(secs => st.value * 86400)), '-infinity')
    FROM setting AS st
    WHERE st.name = 'meter_value_days'
$$;
COMMENT ON FUNCTION readings_kept_since IS 'Sessions before this are not computed anew: their readings are gone';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION refuse_overlap(new_tariff tariff) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    other tariff;
BEGIN
    SELECT tar.* INTO other
    FROM tariff AS tar
    WHERE
        tar.site IS NOT DISTINCT FROM new_tariff.site
        AND tar.tariff_id IS DISTINCT FROM new_tariff.tariff_id
        AND tar.valid_from < coalesce(new_tariff.valid_to, 'infinity')
        AND coalesce(tar.valid_to, 'infinity') > new_tariff.valid_from
    ORDER BY tar.valid_from
    LIMIT 1;
    IF other.tariff_id IS NOT NULL THEN
        RAISE EXCEPTION 'tariff % (%) holds from % to %: choose other days, end it, or remove it',
            other.tariff_id, other.name, other.valid_from, coalesce(other.valid_to::text, 'further notice')
        USING ERRCODE = 'exclusion_violation';
    END IF;
END;
$$;
COMMENT ON FUNCTION refuse_overlap IS 'Raise where another tariff of the same site holds on one of the days';

-- 0006_transactions.sql
CREATE OR REPLACE FUNCTION repeated_start(
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

-- 0019_use_by_transactions.sql
CREATE OR REPLACE FUNCTION seconds_in(ranges tstzmultirange) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(extract(EPOCH FROM upper(part.slot) - lower(part.slot))), 0)::double precision
    FROM unnest(ranges) AS part (slot)
$$;
COMMENT ON FUNCTION seconds_in IS 'The length of these intervals together, s';

-- 0004_aggregates.sql
CREATE OR REPLACE FUNCTION session_before(asked bigint)
RETURNS TABLE (transaction_id bigint, visit_id bigint, goes_on boolean)
LANGUAGE sql STABLE AS $$
    SELECT
        before.transaction_id,
        before.visit_id,
        ses.started_at <= before.ended_at + INTERVAL '5 minutes'
        AND upper(btrim(tx.id_tag)) = upper(btrim(tx_before.id_tag))
        AND NOT EXISTS (
            SELECT FROM status_notification AS sn
            WHERE
                sn.charge_point_id = ses.charge_point_id
                AND sn.connector_id = ses.connector_id
                AND sn.status = 'Available'
                AND sn.at > before.ended_at AND sn.at <= ses.started_at
        )
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    CROSS JOIN LATERAL (
        SELECT earlier.transaction_id, earlier.visit_id, earlier.ended_at
        FROM session AS earlier
        WHERE
            earlier.charge_point_id = ses.charge_point_id
            AND earlier.connector_id = ses.connector_id
            AND earlier.started_at < ses.started_at
        ORDER BY earlier.started_at DESC
        LIMIT 1
    ) AS before
    INNER JOIN transaction AS tx_before ON before.transaction_id = tx_before.transaction_id
    WHERE ses.transaction_id = asked
$$;
COMMENT ON FUNCTION session_before IS 'The session before on the same connector, and whether this one goes on with its visit';

-- 0014_lost_answers.sql
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
COMMENT ON FUNCTION start_transaction IS
'Store a start and number it; a repeated start gets the number it had. Refused id_tags are numbered too (OCPP 1.6 4.8)';

-- 0030_one_stop_at_a_time.sql
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
COMMENT ON FUNCTION stop_transaction IS
'Close a transaction; a stop nobody is open for is kept as orphan_stop and number is NULL. Idempotent';

-- 0014_lost_answers.sql
CREATE OR REPLACE FUNCTION stopped_before(cp integer, tag text, ended timestamptz, register_wh double precision)
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

-- 0498_one_list_of_sums.sql
-- It has no rights and no settings of its own, so that the planner may take it apart.
CREATE OR REPLACE FUNCTION sums_by_day(first_day date, last_day date, charge_points text[]) RETURNS SETOF network_day
LANGUAGE sql STABLE AS $$
    SELECT
        cd.day,
        sum(cd.energy_wh),
        sum(cd.ponta_wh),
        sum(cd.intermediario_wh),
        sum(cd.fora_ponta_wh),
        sum(cd.unpriced_wh),
        sum(cd.cost),
        sum(cd.cost_ponta),
        sum(cd.cost_intermediario),
        sum(cd.cost_fora_ponta),
        sum(cd.cost_if_fora_ponta),
        sum(cd.sessions)::bigint,
        sum(cd.attempts)::bigint,
        sum(cd.idle_s),
        sum(cd.plug_ins)::bigint,
        sum(cd.plug_ins_served)::bigint,
        sum(cd.observed_s),
        sum(cd.up_s),
        sum(cd.down_s),
        sum(cd.unknown_s),
        sum(cd.excluded_s),
        sum(cd.plugged_s),
        sum(cd.operational_s),
        sum(cd.charging_s)
    FROM (
        SELECT whole.*
        FROM connector_day AS whole
        WHERE charge_points IS NULL AND whole.day BETWEEN first_day AND last_day
        UNION ALL
        SELECT chosen.*
        FROM connector_day AS chosen
        WHERE chosen.charge_point = ANY(charge_points) AND chosen.day BETWEEN first_day AND last_day
    ) AS cd
    GROUP BY cd.day
$$;
COMMENT ON FUNCTION sums_by_day IS
'Sums of days, both included, over the connectors of these charge points (NULL: all), added up now; none: nothing to sum';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION tariffs_in_force(of_site text, on_day date) RETURNS SETOF tariff
LANGUAGE sql STABLE AS $$
    SELECT tar.*
    FROM tariff AS tar
    WHERE
        tar.valid_from <= on_day AND coalesce(tar.valid_to, 'infinity') > on_day
        AND tar.site IS NOT DISTINCT FROM (
            SELECT min(own.site) FROM tariff AS own
            WHERE own.site = of_site AND own.valid_from <= on_day AND coalesce(own.valid_to, 'infinity') > on_day
        )
$$;
COMMENT ON FUNCTION tariffs_in_force IS
'The tariffs of a site on a day: its own if it has any, else the general ones. More than one: no price';

-- 0010_dropped_facts.sql
CREATE OR REPLACE FUNCTION thin_connections(from_at timestamptz, to_at timestamptz, kept_from timestamptz) RETURNS void
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

-- 0010_dropped_facts.sql
-- Delete the statuses of a chunk that a later one had replaced by then.
CREATE OR REPLACE FUNCTION thin_statuses(from_at timestamptz, to_at timestamptz, kept_from timestamptz) RETURNS void
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

-- 0004_aggregates.sql
CREATE OR REPLACE FUNCTION touch_days(asked_flow text, charge_point integer, first_at timestamptz, last_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT asked_flow, charge_point, local_midnight(day::date)
    FROM generate_series(local_day(first_at)::timestamp, local_day(least(last_at, now()))::timestamp, INTERVAL '1 day') AS day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_days IS 'Have these days of a charge point computed anew by a flow that works by days';

-- 0026_short_updates.sql
CREATE OR REPLACE FUNCTION touch_prices(first_day date, last_day date, of_site text DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT flow.name, con.charge_point_id, local_midnight(con.day)
    FROM consumption_day AS con
    INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id
    CROSS JOIN (VALUES ('consumption'), ('quality')) AS flow (name)
    WHERE
        con.day >= first_day AND (last_day IS NULL OR con.day < last_day)
        AND (of_site IS NULL OR cp.site = of_site)
    GROUP BY flow.name, con.charge_point_id, con.day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_prices IS
'Have costs and their findings computed anew for these days; last_day exclusive, NULL: open; of_site NULL: of all charge points';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION touch_sessions(of_charge_point integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT 'sessions', ses.charge_point_id, date_trunc('hour', ses.started_at)
    FROM session AS ses
    WHERE
        (of_charge_point IS NULL OR ses.charge_point_id = of_charge_point)
        AND ses.started_at >= readings_kept_since()
    GROUP BY ses.charge_point_id, date_trunc('hour', ses.started_at)
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_sessions IS 'Have the sessions of a charge point computed anew; NULL: of all';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION touch_soc_of(of_tag_key text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO session_work (flow, transaction_id)
    SELECT 'soc', ses.transaction_id
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    WHERE
        (of_tag_key IS NULL OR upper(btrim(tx.id_tag)) = of_tag_key)
        AND ses.started_at >= readings_kept_since()
    ON CONFLICT (flow, transaction_id) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_soc_of IS 'Have the state of charge of a tag''s sessions computed anew; NULL: of all';

-- 0007_operations.sql
CREATE OR REPLACE FUNCTION use_reservation() RETURNS trigger
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

-- 0009_dojot_backfill.sql
CREATE OR REPLACE FUNCTION was_committed(row_xmin xid, snapshot pg_snapshot) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE
RETURN pg_visible_in_snapshot(
    -- A row knows only the low half of its transaction's number; the snapshot knows the whole of its own.
    greatest(
        3,
        pg_snapshot_xmax(snapshot)::text::bigint - (age(row_xmin) - age(pg_snapshot_xmax(snapshot)::xid))
    )::text::xid8,
    snapshot
);
COMMENT ON FUNCTION was_committed IS 'Whether this version of a row, given by its xmin, was visible in the snapshot';

-- 0006_transactions.sql
CREATE OR REPLACE FUNCTION without_serial(tag text) RETURNS text
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

-- 0029_sums_of_tags_by_day.sql
CREATE OR REPLACE FUNCTION write_sums() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    connector_days date[];
    session_days date[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('write_sums'));
    -- What others have not committed stays marked for the next time.
    WITH gone AS (DELETE FROM unsummed_day RETURNING day, what)
    SELECT
        coalesce(array_agg(DISTINCT gone.day) FILTER (WHERE gone.what = 'connectors'), '{}'),
        coalesce(array_agg(DISTINCT gone.day) FILTER (WHERE gone.what = 'sessions'), '{}')
    INTO connector_days, session_days
    FROM gone;
    DELETE FROM network_day AS old WHERE old.day = ANY(connector_days);
    INSERT INTO network_day SELECT fresh.* FROM unnest(connector_days) AS each (day), report.sums_of_day(each.day) AS fresh;
    DELETE FROM connector_month AS old
    WHERE old.month IN (SELECT date_trunc('month', each.day)::date FROM unnest(connector_days) AS each (day));
    INSERT INTO connector_month
    SELECT fresh.*
    FROM (SELECT DISTINCT date_trunc('month', each.day)::date AS month FROM unnest(connector_days) AS each (day)) AS dates,
        report.sums_of_connectors(dates.month, report.last_day_of(dates.month)) AS fresh;
    DELETE FROM session_day AS old WHERE old.day = ANY(session_days);
    INSERT INTO session_day SELECT fresh.* FROM unnest(session_days) AS each (day), report.sums_of_sessions(each.day) AS fresh;
    DELETE FROM tag_day AS old WHERE old.day = ANY(session_days);
    INSERT INTO tag_day SELECT fresh.* FROM unnest(session_days) AS each (day), report.sums_of_tags(each.day) AS fresh;
END;
$$;
COMMENT ON FUNCTION write_sums IS 'Write down the sums of all days that are marked';

-- 0023_sums_of_a_year.sql
CREATE OR REPLACE FUNCTION write_sums_after_flow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM write_sums();
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION write_sums_after_flow IS
'Write the sums down once per update: availability is the last of its flows that changes what is added up';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION report.add_downtime_exclusion(
    charge_point text, connector_id integer, started_at timestamptz, ended_at timestamptz,
    reason text, evidence text, author text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number integer := report.charge_point_number(charge_point);
    exclusion bigint;
BEGIN
    INSERT INTO downtime_exclusion (charge_point_id, connector_id, started_at, ended_at, reason, evidence, author)
    VALUES (
        number, add_downtime_exclusion.connector_id, add_downtime_exclusion.started_at, add_downtime_exclusion.ended_at,
        add_downtime_exclusion.reason, add_downtime_exclusion.evidence, add_downtime_exclusion.author
    )
    RETURNING downtime_exclusion_id INTO exclusion;
    PERFORM touch_days('availability', number, add_downtime_exclusion.started_at, add_downtime_exclusion.ended_at);
    PERFORM operation.note(
        author, 'add_downtime_exclusion', charge_point,
        jsonb_build_object(
            'exclusion', exclusion, 'connector_id', add_downtime_exclusion.connector_id, 'reason', add_downtime_exclusion.reason,
            'started_at', add_downtime_exclusion.started_at, 'ended_at', add_downtime_exclusion.ended_at
        )
    );
    RETURN exclusion;
END;
$$;
COMMENT ON FUNCTION report.add_downtime_exclusion IS
'Exclude down time (connector_id NULL: whole charge point); counted at the next availability run. Returns its number';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION report.add_holiday(day date, name text, author text DEFAULT session_user) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO holiday AS hol (day, name) VALUES (add_holiday.day, add_holiday.name)
    ON CONFLICT ON CONSTRAINT holiday_pkey DO UPDATE SET name = excluded.name;
    PERFORM touch_prices(add_holiday.day, add_holiday.day + 1);
    PERFORM operation.note(author, 'add_holiday', add_holiday.day::text, jsonb_build_object('name', add_holiday.name));
END;
$$;
COMMENT ON FUNCTION report.add_holiday IS 'Make a day fora ponta throughout';

-- 0026_short_updates.sql
CREATE OR REPLACE FUNCTION report.add_tariff(tariff jsonb, periods jsonb, author text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added tariff;
    ended integer;
BEGIN
    added := jsonb_populate_record(NULL::tariff, add_tariff.tariff);
    added.site := nullif(btrim(added.site), '');
    IF added.valid_to <= added.valid_from THEN
        RAISE EXCEPTION 'a tariff from % cannot end on %', added.valid_from, added.valid_to USING ERRCODE = 'check_violation';
    END IF;
    LOCK TABLE tariff IN SHARE ROW EXCLUSIVE MODE;
    UPDATE tariff AS tar SET valid_to = added.valid_from
    WHERE
        tar.site IS NOT DISTINCT FROM added.site
        AND tar.valid_to IS NULL AND tar.valid_from < added.valid_from
    RETURNING tar.tariff_id INTO ended;
    PERFORM refuse_overlap(added);
    INSERT INTO tariff (
        name, consumer_group, modality, site, valid_from, valid_to, currency, tax_percent, surcharge_per_kwh,
        contracted_demand_kw, demand_price_per_kw, source, author
    ) VALUES (
        added.name, added.consumer_group, added.modality, added.site, added.valid_from, added.valid_to,
        coalesce(added.currency, 'BRL'), coalesce(added.tax_percent, 0), coalesce(added.surcharge_per_kwh, 0),
        added.contracted_demand_kw, added.demand_price_per_kw, added.source, add_tariff.author
    )
    RETURNING * INTO added;
    INSERT INTO tariff_period (tariff_id, posto, from_time, to_time, price_per_kwh)
    SELECT added.tariff_id, period.posto, period.from_time, period.to_time, period.price_per_kwh
    FROM jsonb_to_recordset(periods) AS period (posto text, from_time time, to_time time, price_per_kwh double precision);
    PERFORM touch_prices(added.valid_from, CASE WHEN ended IS NULL THEN added.valid_to END, added.site);
    PERFORM operation.note(
        author, 'add_tariff', added.name,
        jsonb_build_object(
            'tariff_id', added.tariff_id, 'site', added.site, 'valid_from', added.valid_from, 'valid_to', added.valid_to,
            'ended', ended
        )
    );
    RETURN added.tariff_id;
END;
$$;
COMMENT ON FUNCTION report.add_tariff IS
'tariff: columns of report.tariff as JSON; periods: [{"posto": "ponta", "from_time": "18:00", "to_time": "21:00", "price_per_kwh": 1.9}, ...].
Ends the open tariff of the same site the day it begins; an overlap with another one is refused';

-- 0004_aggregates.sql
CREATE OR REPLACE FUNCTION report.charge_point_number(identity text) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number integer;
BEGIN
    SELECT cp.charge_point_id INTO number FROM charge_point AS cp WHERE cp.identity = charge_point_number.identity;
    IF number IS NULL THEN
        RAISE EXCEPTION 'no charge point %', quote_nullable(identity) USING ERRCODE = 'no_data_found';
    END IF;
    RETURN number;
END;
$$;
COMMENT ON FUNCTION report.charge_point_number IS 'Our number of a charge point; an error names one that is unknown';

-- 0493_demand.sql
-- It has no rights and no settings of its own, so that the planner may take it apart.
CREATE OR REPLACE FUNCTION report.demand(since timestamptz, until timestamptz, charge_points text[])
RETURNS TABLE (started_at timestamptz, energy_wh double precision, demand_w double precision)
LANGUAGE sql STABLE AS $$
    SELECT
        sd.started_at,
        sum(sd.energy_wh),
        sum(sd.demand_w)
    FROM report.site_demand AS sd
    WHERE charge_points IS NULL AND sd.started_at >= since AND sd.started_at < until
    GROUP BY sd.started_at
    UNION ALL
    SELECT
        eb.started_at,
        sum(eb.energy_wh),
        sum(eb.mean_power_w)
    FROM report.energy_bucket AS eb
    WHERE eb.charge_point = ANY(charge_points) AND eb.started_at >= since AND eb.started_at < until
    GROUP BY eb.started_at
$$;
COMMENT ON FUNCTION report.demand IS
'Energy (Wh) and mean power (W) of each quarter of an hour, [since, until), of these charge points taken together; NULL:
all. Where nothing was measured there is no row';

-- 0026_short_updates.sql
CREATE OR REPLACE FUNCTION report.end_tariff(tariff_number integer, last_day date, author text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    before tariff;
    changed tariff;
BEGIN
    LOCK TABLE tariff IN SHARE ROW EXCLUSIVE MODE;
    SELECT tar.* INTO before FROM tariff AS tar WHERE tar.tariff_id = tariff_number;
    IF before.tariff_id IS NULL THEN
        RAISE EXCEPTION 'no tariff %', tariff_number USING ERRCODE = 'no_data_found';
    END IF;
    changed := before;
    changed.valid_to := last_day;
    IF changed.valid_to <= before.valid_from THEN
        RAISE EXCEPTION 'tariff % begins on %: it cannot end on %', tariff_number, before.valid_from, last_day
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM refuse_overlap(changed);
    UPDATE tariff AS tar SET valid_to = last_day WHERE tar.tariff_id = tariff_number;
    PERFORM touch_prices(least(before.valid_to, last_day), NULL, before.site);
    PERFORM operation.note(
        author, 'end_tariff', before.name,
        jsonb_build_object('tariff_id', tariff_number, 'valid_to', last_day, 'before', before.valid_to)
    );
END;
$$;
COMMENT ON FUNCTION report.end_tariff IS 'Set the first day a tariff no longer holds; NULL: open. An overlap is refused';

-- 0023_sums_of_a_year.sql
CREATE OR REPLACE FUNCTION report.last_day_of(month date) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (date_trunc('month', month::timestamp) + INTERVAL '1 month - 1 day')::date;
COMMENT ON FUNCTION report.last_day_of IS 'The last day of the month in which a day lies';

-- 0029_sums_of_tags_by_day.sql
CREATE OR REPLACE FUNCTION report.last_known_day(last_day date) RETURNS date
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM consumption_day AS con WHERE con.day > last_day AND con.day <= report.last_day_of(last_day)
        ) OR EXISTS (
            SELECT FROM availability_day AS av WHERE av.day > last_day AND av.day <= report.last_day_of(last_day)
        ) THEN last_day
        ELSE report.last_day_of(last_day)
    END
$$;
COMMENT ON FUNCTION report.last_known_day IS
'The last day of the month if nothing is known of the days after this one, which then makes no difference; else this one';

-- 0031_closed_functions.sql
-- Of a date, date_trunc depends on the time zone of who asks; of a timestamp it does not.
CREATE OR REPLACE FUNCTION report.parts_of_period(first_day date, last_day date) RETURNS TABLE (part_first date, part_last date)
LANGUAGE sql IMMUTABLE AS $$
    SELECT head.part_first, head.part_last
    FROM (SELECT first_day AS part_first, least(last_day, report.last_day_of(first_day)) AS part_last) AS head
    WHERE first_day > date_trunc('month', first_day::timestamp) OR last_day < report.last_day_of(first_day)
    UNION ALL
    SELECT date_trunc('month', last_day::timestamp)::date, last_day
    WHERE
        date_trunc('month', last_day::timestamp) > date_trunc('month', first_day::timestamp)
        AND last_day < report.last_day_of(last_day)
$$;
COMMENT ON FUNCTION report.parts_of_period IS 'The parts of a period, its ends included, that are no whole months';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION report.remove_holiday(day date, author text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone holiday;
BEGIN
    DELETE FROM holiday AS hol WHERE hol.day = remove_holiday.day RETURNING * INTO gone;
    IF gone.day IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_prices(gone.day, gone.day + 1);
    PERFORM operation.note(author, 'remove_holiday', gone.day::text, jsonb_build_object('name', gone.name));
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION report.remove_holiday IS 'Let a day count as any other again; costs follow at the next run';

-- 0026_short_updates.sql
CREATE OR REPLACE FUNCTION report.remove_tariff(tariff_number integer, author text DEFAULT session_user) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone tariff;
BEGIN
    DELETE FROM tariff WHERE tariff_id = tariff_number RETURNING * INTO gone;
    IF gone.tariff_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_prices(gone.valid_from, gone.valid_to, gone.site);
    PERFORM operation.note(author, 'remove_tariff', gone.name, to_jsonb(gone) - 'name');
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION report.remove_tariff IS 'Remove a tariff with its periods; costs follow at the next run';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION report.set_setting(setting_name text, new_value double precision, source text, source_year integer, author text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    before setting;
    stated text := nullif(btrim(set_setting.source), '');
BEGIN
    SELECT st.* INTO before FROM setting AS st WHERE st.name = setting_name;
    IF before.name IS NULL THEN
        RAISE EXCEPTION 'no setting %', quote_nullable(setting_name) USING ERRCODE = 'no_data_found';
    END IF;
    IF setting_name ~ '(co2|consumption)' AND new_value IS NOT NULL AND (stated IS NULL OR set_setting.source_year IS NULL) THEN
        RAISE EXCEPTION '% needs the source and the year of its value', setting_name USING ERRCODE = 'check_violation';
    END IF;
    UPDATE setting AS st
    SET
        value = new_value, source = stated, source_year = set_setting.source_year,
        updated_at = now(), updated_by = author
    WHERE st.name = setting_name;
    PERFORM operation.note(
        author, 'set_setting', setting_name,
        jsonb_build_object('value', new_value, 'before', before.value, 'source', stated, 'source_year', set_setting.source_year)
    );
END;
$$;
COMMENT ON FUNCTION report.set_setting IS
'Change a number that formulas use; what it changes is computed anew as far back as readings are kept';

-- 0023_sums_of_a_year.sql
CREATE OR REPLACE FUNCTION report.sums_of_connectors(first_day date, last_day date) RETURNS SETOF connector_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        first_day,
        cd.charge_point,
        cd.connector_id,
        sum(cd.energy_wh),
        sum(cd.ponta_wh),
        sum(cd.intermediario_wh),
        sum(cd.fora_ponta_wh),
        sum(cd.unpriced_wh),
        sum(cd.cost),
        sum(cd.cost_ponta),
        sum(cd.cost_intermediario),
        sum(cd.cost_fora_ponta),
        sum(cd.cost_if_fora_ponta),
        sum(cd.sessions)::bigint,
        sum(cd.attempts)::bigint,
        sum(cd.idle_s),
        sum(cd.plug_ins)::bigint,
        sum(cd.plug_ins_served)::bigint,
        sum(cd.observed_s),
        sum(cd.up_s),
        sum(cd.down_s),
        sum(cd.unknown_s),
        sum(cd.excluded_s),
        sum(cd.plugged_s),
        sum(cd.operational_s),
        sum(cd.charging_s)
    FROM connector_day AS cd
    WHERE cd.day BETWEEN first_day AND last_day
    GROUP BY cd.charge_point, cd.connector_id
$$;
COMMENT ON FUNCTION report.sums_of_connectors IS 'Sums of some days per connector, added up now; month is their first day';

-- 0498_one_list_of_sums.sql
CREATE OR REPLACE FUNCTION report.sums_of_day(of_day date) RETURNS SETOF network_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT sums.* FROM sums_by_day(of_day, of_day, NULL) AS sums
$$;
COMMENT ON FUNCTION report.sums_of_day IS 'Sums of a day over all connectors, added up now; no row: nothing to sum';

-- 0498_one_list_of_sums.sql
CREATE OR REPLACE FUNCTION report.sums_of_days(first_day date, last_day date, charge_points text[]) RETURNS SETOF network_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT written.*
    FROM report.network_day AS written
    WHERE charge_points IS NULL AND written.day BETWEEN first_day AND last_day
    UNION ALL
    SELECT fresh.*
    FROM sums_by_day(first_day, last_day, charge_points) AS fresh
    WHERE charge_points IS NOT NULL
$$;
COMMENT ON FUNCTION report.sums_of_days IS
'Sums of each day of a period, its ends included: over these charge points, or with NULL over all as written down';

-- 0029_sums_of_tags_by_day.sql
CREATE OR REPLACE FUNCTION report.sums_of_period(first_day date, last_day date) RETURNS SETOF connector_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH period AS (SELECT report.last_known_day(last_day) AS last_day)

    SELECT whole.*
    FROM report.connector_month AS whole
    WHERE whole.month >= first_day AND report.last_day_of(whole.month) <= (SELECT period.last_day FROM period)
    UNION ALL
    SELECT fresh.*
    FROM period
    CROSS JOIN LATERAL report.parts_of_period(first_day, period.last_day) AS part
    CROSS JOIN LATERAL report.sums_of_connectors(part.part_first, part.part_last) AS fresh
$$;
COMMENT ON FUNCTION report.sums_of_period IS
'Sums of a period, its ends included, per connector: of whole months as written down, of the parts as added up now. Add up the rows';

-- 0027_unpriced_sums.sql
CREATE OR REPLACE FUNCTION report.sums_of_sessions(of_day date) RETURNS SETOF session_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        of_day,
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        count(*) FILTER (WHERE ses.visit_id <> ses.transaction_id),
        count(*) FILTER (WHERE ses.energy_wh IS NULL),
        sum(ses.energy_wh),
        sum(ses.duration_s),
        sum(ses.idle_s),
        sum(price.cost),
        coalesce(sum(price.unpriced_wh), 0)
    FROM session AS ses
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(of_day) AND ses.started_at < local_midnight(of_day + 1)
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION report.sums_of_sessions IS 'Sums of the sessions begun on a day, added up now; no row: none began';

-- 0029_sums_of_tags_by_day.sql
CREATE OR REPLACE FUNCTION report.sums_of_tags(of_day date) RETURNS SETOF tag_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        of_day,
        coalesce(upper(btrim(tx.id_tag)), ''),
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        sum(ses.energy_wh),
        sum(price.cost),
        coalesce(sum(price.unpriced_wh), 0)
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(of_day) AND ses.started_at < local_midnight(of_day + 1)
    GROUP BY coalesce(upper(btrim(tx.id_tag)), '')
$$;
COMMENT ON FUNCTION report.sums_of_tags IS 'Sums of the sessions begun on a day by who charged, added up now';

-- 0011_prices_and_sites.sql
CREATE OR REPLACE FUNCTION report.withdraw_downtime_exclusion(exclusion bigint, author text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone downtime_exclusion;
BEGIN
    UPDATE downtime_exclusion SET withdrawn_at = now(), withdrawn_by = withdraw_downtime_exclusion.author
    WHERE downtime_exclusion_id = exclusion AND withdrawn_at IS NULL
    RETURNING * INTO gone;
    IF gone.downtime_exclusion_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_days('availability', gone.charge_point_id, gone.started_at, gone.ended_at);
    PERFORM operation.note(
        author, 'withdraw_downtime_exclusion',
        (SELECT cp.identity FROM charge_point AS cp WHERE cp.charge_point_id = gone.charge_point_id),
        jsonb_build_object('exclusion', exclusion)
    );
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION report.withdraw_downtime_exclusion IS 'Take an exclusion back; it stays on record';
