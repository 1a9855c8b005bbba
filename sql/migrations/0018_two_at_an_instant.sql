-- Two transactions of one connector may both have a reading at one instant: sessions that overlap or follow each other,
-- sampled on the minute. The transaction is part of a reading's key. Readings without one have a key of their own.

-- ---------------------------------------------------------------- the key

-- A server that compresses makes no unique index over compressed chunks; they are opened first, and closed again by the
-- policy when they are due.
DO $$
DECLARE
    is_compressing boolean := (
        SELECT hyper.compression_enabled FROM timescaledb_information.hypertables AS hyper
        WHERE hyper.hypertable_schema = 'public' AND hyper.hypertable_name = 'meter_value'
    );
BEGIN
    IF is_compressing THEN
        PERFORM remove_compression_policy('meter_value', if_exists => TRUE);
        PERFORM decompress_chunk(chunk, if_compressed => TRUE) FROM show_chunks('meter_value') AS chunk;
        ALTER TABLE meter_value SET (timescaledb.compress = FALSE);
    END IF;
    DROP INDEX meter_value_key;
    CREATE UNIQUE INDEX meter_value_key ON meter_value
    (charge_point_id, sampled_at, connector_id, context, transaction_id) NULLS NOT DISTINCT;
    IF is_compressing THEN
        ALTER TABLE meter_value SET (
            timescaledb.compress = TRUE,
            timescaledb.compress_segmentby = 'charge_point_id',
            timescaledb.compress_orderby = 'sampled_at, connector_id, context, transaction_id'
        );
        PERFORM add_compression_policy('meter_value', INTERVAL '14 days');
    END IF;
END;
$$;
COMMENT ON TABLE meter_value IS
'One row per charge point, connector, instant, context and transaction; a later part of an instant merges';
COMMENT ON COLUMN meter_value.energy_wh IS
'Energy.Active.Import.Register in Wh, as counted by the meter, not corrected: the total, or the sum of L1 to L3 where
only those were sent (then extra.flags has "phases")';
COMMENT ON COLUMN report.meter_value.energy_wh IS
'Energy.Active.Import.Register in Wh, as counted by the meter, not corrected: the total, or the sum of L1 to L3 where
only those were sent (then extra.flags has "phases")';

-- ---------------------------------------------------------------- towards DOJOT

ALTER TABLE dojot_outbox ADD COLUMN transaction_ids bigint[];
COMMENT ON COLUMN dojot_outbox.charge_point_ids IS 'With the four arrays beside it: the keys of meter_value, by position';
COMMENT ON COLUMN dojot_outbox.transaction_ids IS
'Of each reading, NULL where it has none. The whole array NULL: not known, any reading of that instant is meant';

CREATE FUNCTION dojot_enqueue(
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

CREATE OR REPLACE FUNCTION dojot_enqueue(
    charge_point_ids integer[], sampled_ats timestamptz[], connector_ids smallint[], contexts smallint[]
) RETURNS bigint
LANGUAGE sql
BEGIN ATOMIC
SELECT dojot_enqueue(charge_point_ids, sampled_ats, connector_ids, contexts, NULL::bigint[]);
END;
COMMENT ON FUNCTION dojot_enqueue(integer[], timestamptz[], smallint[], smallint[]) IS
'The same where the transactions are not known';
