-- Towards DOJOT: which device is which charge point, who of the relays sends what, and the ONE
-- definition of what a reading is called there (docs/dojot.md has the table).

-- A queue: rows live for a second, so dead ones must go at once.
ALTER TABLE dojot_outbox SET (
    autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000
);

-- ---------------------------------------------------------------- devices and relays

CREATE TABLE dojot_device (
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    tenant          text        NOT NULL CHECK (tenant <> ''),
    device_id       text        NOT NULL CHECK (device_id <> ''),
    label           text        NOT NULL,
    template_id     text        NOT NULL,
    found_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_point_id, tenant),
    UNIQUE (tenant, device_id)
);
COMMENT ON TABLE dojot_device IS 'The DOJOT device of each charge point; DOJOT makes the ids and knows ours only by the label';
COMMENT ON COLUMN dojot_device.label IS 'The identity of the charge point, as DOJOT has it';
COMMENT ON COLUMN dojot_device.found_at IS 'When it was last created or seen in DOJOT';

CREATE TABLE dojot_tenant (
    url      text NOT NULL,
    username text NOT NULL,
    tenant   text NOT NULL,
    PRIMARY KEY (url, username)
);
COMMENT ON TABLE dojot_tenant IS 'What a login once told, so that known devices are served while the API is away';

CREATE TABLE dojot_relay (
    relay_id   uuid        PRIMARY KEY,
    host       text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dojot_relay IS 'Running relays; they share the shards evenly';

CREATE TABLE dojot_shard (
    shard         smallint    PRIMARY KEY CHECK (shard BETWEEN 0 AND 7),
    relay_id      uuid,
    claimed_until timestamptz
);
INSERT INTO dojot_shard (shard) SELECT generate_series(0, 7);
COMMENT ON TABLE dojot_shard IS
'Who relays the charge points of a shard (charge_point_id % 8): one relay, since a device has one MQTT session';
COMMENT ON COLUMN dojot_shard.claimed_until IS 'A claim that is not renewed ends by itself';

-- ---------------------------------------------------------------- names and values

CREATE FUNCTION dojot_timestamp_ms(at timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN isfinite(at) THEN floor(extract(EPOCH FROM at) * 1000)::bigint END;
COMMENT ON FUNCTION dojot_timestamp_ms IS
'The instant as DOJOT keeps it: whole milliseconds since 1970, the rest cut off; NULL for infinity';

CREATE FUNCTION dojot_can_store(at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(dojot_timestamp_ms(at) > 2147483647 AND dojot_timestamp_ms(at) < 253402300800000, FALSE);
COMMENT ON FUNCTION dojot_can_store IS
'Whether a timestamp may be sent: a later one ends DOJOT''s persister, a smaller number is taken for seconds';

CREATE FUNCTION dojot_slug(name text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN left(trim(BOTH '_' FROM regexp_replace(lower(name), '[^a-z0-9-]+', '_', 'g')), 100);
COMMENT ON FUNCTION dojot_slug IS 'A legal piece of an attribute name: a-z, 0-9, _ and -';

CREATE FUNCTION dojot_measurand(measurand text) RETURNS text
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

CREATE FUNCTION dojot_extra_name(name text) RETURNS text
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

-- Naming by pattern costs 100 us a name, and every reading of a three-phase charge point has a dozen: the names
-- that occur are made once, here, and put into the function as a constant.
DO $make$
DECLARE
    known jsonb;
BEGIN
    SELECT jsonb_object_agg(made.key, dojot_extra_name(made.key)) INTO known
    FROM unnest(ARRAY[
        'Current.Export', 'Current.Import', 'Current.Offered', 'Energy.Active.Export.Interval',
        'Energy.Active.Export.Register', 'Energy.Active.Import.Interval', 'Energy.Active.Import.Register',
        'Energy.Reactive.Export.Interval', 'Energy.Reactive.Export.Register', 'Energy.Reactive.Import.Interval',
        'Energy.Reactive.Import.Register', 'Frequency', 'Power.Active.Export', 'Power.Active.Import',
        'Power.Factor', 'Power.Offered', 'Power.Reactive.Export', 'Power.Reactive.Import', 'RPM', 'SoC',
        'Temperature', 'Voltage'
    ]) AS measurand
    CROSS JOIN unnest(ARRAY[
        '', '.L1', '.L2', '.L3', '.N', '.L1-N', '.L2-N', '.L3-N', '.L1-L2', '.L2-L3', '.L3-L1'
    ]) AS phase
    CROSS JOIN LATERAL (SELECT measurand || phase AS key) AS made;
    EXECUTE format($function$
        CREATE FUNCTION dojot_extra_attributes(extra jsonb, connector smallint) RETURNS jsonb
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $body$
        BEGIN
            RETURN (
                SELECT jsonb_object_agg(
                    coalesce(%L::jsonb ->> item.key, dojot_extra_name(item.key)) || '_' || connector, item.value
                )
                FROM jsonb_each(extra) AS item
                WHERE jsonb_typeof(item.value) = 'number'
            );
        END;
        $body$
    $function$, known);
END;
$make$;
COMMENT ON FUNCTION dojot_extra_attributes IS 'The numbers of meter_value.extra; flags, signed data and texts are not sent';

CREATE FUNCTION dojot_attributes(mv meter_value) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(dojot_extra_attributes(mv.extra, mv.connector_id), '{}') || jsonb_strip_nulls(jsonb_build_object(
    'energy_wh_' || mv.connector_id, mv.energy_wh,
    'power_w_' || mv.connector_id, mv.power_w,
    'current_a_' || mv.connector_id, mv.current_a,
    'voltage_v_' || mv.connector_id, mv.voltage_v,
    'soc_percent_' || mv.connector_id, mv.soc_percent,
    'temperature_c_' || mv.connector_id, mv.temperature_c,
    'current_offered_a_' || mv.connector_id, mv.current_offered_a,
    'power_offered_w_' || mv.connector_id, mv.power_offered_w,
    'transaction_id_' || mv.connector_id, mv.transaction_id,
    'context_' || mv.connector_id, CASE WHEN mv.context <> 0 THEN context_name(mv.context) END
));
COMMENT ON FUNCTION dojot_attributes IS
'What a reading is in DOJOT, the only definition of it: names end in the connector, as connectors share a device';

CREATE FUNCTION dojot_template(connectors smallint[])
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

-- ---------------------------------------------------------------- what is to be sent

CREATE FUNCTION dojot_enqueue(
    charge_point_ids integer[], sampled_ats timestamptz[], connector_ids smallint[], contexts smallint[]
) RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
WITH keys AS (
    SELECT
        k.*,
        k.charge_point_id % 8 AS shard,
        (row_number() OVER (PARTITION BY k.charge_point_id % 8 ORDER BY k.sampled_at) - 1) / 500 AS piece
    FROM unnest(charge_point_ids, sampled_ats, connector_ids, contexts)
        AS k (charge_point_id, sampled_at, connector_id, context)
),

queued AS (
    INSERT INTO dojot_outbox (shard, charge_point_ids, sampled_ats, connector_ids, contexts)
    SELECT
        shard::smallint,
        array_agg(charge_point_id),
        array_agg(sampled_at),
        array_agg(connector_id),
        array_agg(context)
    FROM keys
    GROUP BY shard, piece
    RETURNING cardinality(dojot_outbox.charge_point_ids) AS readings
)

SELECT coalesce(sum(readings), 0)::bigint FROM queued;
END;
COMMENT ON FUNCTION dojot_enqueue IS
'Send these readings (again): keys of meter_value, by position. Returns how many; one that is not stored is passed over';

CREATE TABLE dojot_event (
    event_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard           smallint    NOT NULL,
    charge_point_id integer     NOT NULL,
    at              timestamptz NOT NULL,
    attrs           jsonb       NOT NULL CHECK (jsonb_typeof(attrs) = 'object'),
    created_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dojot_event IS
'Facts that are no readings, not yet handed to DOJOT: statuses, transactions, connections, boots, frames; deleted when sent';
COMMENT ON COLUMN dojot_event.attrs IS 'The message but for its timestamp';

CREATE FUNCTION dojot_tell(charge_point integer, at timestamptz, attrs jsonb) RETURNS void
LANGUAGE sql
BEGIN ATOMIC
INSERT INTO dojot_event (shard, charge_point_id, at, attrs)
SELECT charge_point % 8, charge_point, at, jsonb_strip_nulls(attrs)
WHERE EXISTS (SELECT FROM dojot_feed);
END;

CREATE FUNCTION dojot_tell_status() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.at, jsonb_build_object(
        'status_' || NEW.connector_id, NEW.status,
        'error_code_' || NEW.connector_id, NEW.error_code,
        'status_info_' || NEW.connector_id, NEW.info,
        'vendor_error_code_' || NEW.connector_id, NEW.vendor_error_code
    ));
    RETURN NULL;
END;
$$;
CREATE TRIGGER dojot AFTER INSERT ON status_notification FOR EACH ROW EXECUTE FUNCTION dojot_tell_status();

-- The id_tag stays here: personal data.
CREATE FUNCTION dojot_tell_start() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.started_at, jsonb_build_object(
        'transaction_event_' || NEW.connector_id, 'started',
        'transaction_id_' || NEW.connector_id, NEW.transaction_id,
        'meter_start_wh_' || NEW.connector_id, NEW.meter_start_wh
    ));
    RETURN NULL;
END;
$$;
CREATE TRIGGER dojot_start AFTER INSERT ON transaction FOR EACH ROW EXECUTE FUNCTION dojot_tell_start();

CREATE FUNCTION dojot_tell_stop() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.stopped_at, jsonb_build_object(
        'transaction_event_' || NEW.connector_id, 'stopped',
        'transaction_id_' || NEW.connector_id, NEW.transaction_id,
        'meter_stop_wh_' || NEW.connector_id, NEW.meter_stop_wh,
        'stop_reason_' || NEW.connector_id, coalesce(NEW.reason, 'Local')
    ));
    RETURN NULL;
END;
$$;
CREATE TRIGGER dojot_stop AFTER UPDATE OF stopped_at ON transaction FOR EACH ROW
WHEN (NEW.stopped_at IS NOT NULL AND OLD.stopped_at IS NULL) EXECUTE FUNCTION dojot_tell_stop();
CREATE TRIGGER dojot_stopped AFTER INSERT ON transaction FOR EACH ROW
WHEN (NEW.stopped_at IS NOT NULL) EXECUTE FUNCTION dojot_tell_stop();

CREATE FUNCTION dojot_tell_opened() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.opened_at, '{"connected": true}');
    RETURN NULL;
END;
$$;
CREATE TRIGGER dojot_opened AFTER INSERT ON connection FOR EACH ROW EXECUTE FUNCTION dojot_tell_opened();

CREATE FUNCTION dojot_tell_closed() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.closed_at, jsonb_build_object(
        'connected', FALSE,
        'disconnect_reason', NEW.reason
    ));
    RETURN NULL;
END;
$$;
CREATE TRIGGER dojot_closed AFTER UPDATE OF closed_at ON connection FOR EACH ROW
WHEN (NEW.closed_at IS NOT NULL AND OLD.closed_at IS NULL) EXECUTE FUNCTION dojot_tell_closed();

CREATE FUNCTION dojot_tell_boot() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM dojot_tell(NEW.charge_point_id, NEW.booted_at, jsonb_build_object(
        'boot', 'accepted',
        'vendor', NEW.vendor,
        'model', NEW.model,
        'serial_number', NEW.serial_number,
        'firmware_version', NEW.firmware_version
    ));
    RETURN NULL;
END;
$$;
CREATE TRIGGER dojot_boot AFTER UPDATE OF booted_at ON charge_point FOR EACH ROW
WHEN (NEW.booted_at IS DISTINCT FROM OLD.booted_at AND NEW.booted_at IS NOT NULL)
EXECUTE FUNCTION dojot_tell_boot();

CREATE TABLE dojot_frame_cursor (
    shard       smallint    PRIMARY KEY REFERENCES dojot_shard,
    received_at timestamptz NOT NULL
);
COMMENT ON TABLE dojot_frame_cursor IS 'How far the log of frames was sent, where that is switched on';

-- ---------------------------------------------------------------- rights

GRANT SELECT, INSERT, UPDATE, DELETE ON
dojot_device, dojot_tenant, dojot_relay, dojot_shard, dojot_event, dojot_outbox, dojot_frame_cursor TO eletroposto_ingest;
GRANT SELECT ON dojot_device, dojot_tenant, dojot_relay, dojot_shard, dojot_event TO eletroposto_flows;
GRANT INSERT, SELECT ON dojot_outbox TO eletroposto_flows;

CREATE VIEW report.dojot_device AS
SELECT cp.identity AS charge_point, dev.tenant, dev.device_id, dev.found_at
FROM dojot_device AS dev
INNER JOIN charge_point AS cp ON dev.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.dojot_device IS 'Which DOJOT device is which charge point';
GRANT SELECT ON report.dojot_device TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
