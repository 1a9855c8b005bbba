-- What DOJOT can hold of a number; which rows of the queues are no news; how far the frame log was seen; what the
-- reconciliation waits for.

-- ---------------------------------------------------------------- numbers

-- DOJOT's bridge reads numbers as JavaScript does, so whole ones beyond 2^53 arrive rounded; and its database
-- refuses a message with one beyond 64 bits.

CREATE FUNCTION dojot_number(value double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(value) <= 9007199254740992 THEN value END;
COMMENT ON FUNCTION dojot_number(double precision) IS 'The value, or NULL if it is beyond 2^53: DOJOT would round or refuse it';

CREATE FUNCTION dojot_number(value real) RETURNS real
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN abs(value) <= 9007199254740992 THEN value END;
COMMENT ON FUNCTION dojot_number(real) IS 'The value, or NULL if it is beyond 2^53: DOJOT would round or refuse it';

CREATE FUNCTION dojot_id(id bigint) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN id BETWEEN -9007199254740992 AND 9007199254740992 THEN to_jsonb(id)
    ELSE to_jsonb(id::text)
END;
COMMENT ON FUNCTION dojot_id IS 'A number that names something: as text if it is beyond 2^53, for a rounded one would name another';

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

CREATE OR REPLACE FUNCTION dojot_start_of(tx transaction) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'transaction_event_' || tx.connector_id, 'started',
    'transaction_id_' || tx.connector_id, dojot_id(tx.transaction_id),
    'meter_start_wh_' || tx.connector_id, dojot_number(tx.meter_start_wh)
);

CREATE OR REPLACE FUNCTION dojot_stop_of(tx transaction) RETURNS jsonb
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN jsonb_build_object(
    'transaction_event_' || tx.connector_id, 'stopped',
    'transaction_id_' || tx.connector_id, dojot_id(tx.transaction_id),
    'meter_stop_wh_' || tx.connector_id, dojot_number(tx.meter_stop_wh),
    'stop_reason_' || tx.connector_id, coalesce(tx.reason, 'Local')
);

-- As in 0002, where it is explained; the names that occur are made once.
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
        CREATE OR REPLACE FUNCTION dojot_extra_attributes(extra jsonb, connector smallint) RETURNS jsonb
        LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $body$
        BEGIN
            RETURN (
                SELECT jsonb_object_agg(
                    coalesce(%L::jsonb ->> item.key, dojot_extra_name(item.key)) || '_' || connector, item.value
                )
                FROM jsonb_each(extra) AS item
                WHERE
                    CASE jsonb_typeof(item.value)
                        WHEN 'number' THEN abs(item.value::numeric) <= 9007199254740992
                    END
            );
        END;
        $body$
    $function$, known);
END;
$make$;
COMMENT ON FUNCTION dojot_extra_attributes IS
'The numbers of meter_value.extra up to 2^53; flags, signed data and texts are not sent';

-- ---------------------------------------------------------------- what is no news

ALTER TABLE dojot_outbox ADD COLUMN is_old boolean NOT NULL DEFAULT FALSE;
ALTER TABLE dojot_event ADD COLUMN is_old boolean NOT NULL DEFAULT FALSE;
COMMENT ON COLUMN dojot_outbox.is_old IS
'Queued from what was stored before, or sent again: it waits in the lane of the backlog, not in the way of what is new';
COMMENT ON COLUMN dojot_event.is_old IS 'From before the feed: it waits in the lane of the backlog';

CREATE OR REPLACE FUNCTION dojot_enqueue(
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
    INSERT INTO dojot_outbox (shard, charge_point_ids, sampled_ats, connector_ids, contexts, is_old)
    SELECT
        shard::smallint,
        array_agg(charge_point_id),
        array_agg(sampled_at),
        array_agg(connector_id),
        array_agg(context),
        TRUE
    FROM keys
    GROUP BY shard, piece
    RETURNING cardinality(dojot_outbox.charge_point_ids) AS readings
)

SELECT coalesce(sum(readings), 0)::bigint FROM queued;
END;

-- ---------------------------------------------------------------- the frame log

ALTER TABLE dojot_frame_cursor ADD COLUMN snapshot pg_snapshot;
COMMENT ON COLUMN dojot_frame_cursor.snapshot IS
'What was committed at the last look: a frame that is older than received_at and not in it was stored late, and is still to be sent';

-- ---------------------------------------------------------------- what was sent again

ALTER TABLE reconciliation ADD COLUMN awaited integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN reconciliation.awaited IS 'Readings sent again of which some were missing in DOJOT at every look since';
