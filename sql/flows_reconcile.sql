-- Readings of the database against those of DOJOT, hour by hour.

-- name: hours_to_reconcile
-- Per charge point: the hours since the last run, or all if another device was looked at then; those touched since; and
-- those that were not found equal. Nothing older than DOJOT keeps, nothing that has not settled: what came late to an
-- hour just now may be on its way, and its touch is kept for a later run. Devices are those of this DOJOT and tenant; of
-- any tenant, while DOJOT cannot be asked which it is.
WITH device AS (
    SELECT DISTINCT ON (cp.charge_point_id)
        cp.charge_point_id, cp.identity, dev.device_id
    FROM charge_point AS cp
    LEFT JOIN dojot_device AS dev
        ON
            cp.charge_point_id = dev.charge_point_id
            AND dev.url IN (%(url)s, '')
            AND (dev.tenant = %(tenant)s OR %(tenant)s::text IS NULL)
    WHERE %(charge_point_ids)s::integer[] IS NULL OR cp.charge_point_id = ANY(%(charge_point_ids)s)
    ORDER BY cp.charge_point_id ASC, dev.url DESC, dev.found_at DESC
),

usual AS (
    SELECT
        device.charge_point_id,
        CASE
            WHEN %(with_unsettled)s AND EXISTS (
                SELECT FROM reconciliation AS rec
                WHERE
                    rec.charge_point_id = device.charge_point_id AND rec.window_start >= %(oldest)s
                    AND rec.device_id IS DISTINCT FROM device.device_id
            ) THEN %(oldest)s::timestamptz
            ELSE %(since)s::timestamptz
        END AS since
    FROM device
),

wanted AS (
    SELECT usual.charge_point_id, hour.hour
    FROM usual
    CROSS JOIN generate_series(date_trunc('hour', usual.since), %(until)s, INTERVAL '1 hour') AS hour (hour)
    UNION
    SELECT work.charge_point_id, work.hour
    FROM taken_work AS work
    WHERE %(with_unsettled)s
    UNION
    SELECT rec.charge_point_id, rec.window_start
    FROM reconciliation AS rec
    WHERE rec.verdict <> 'ok' AND rec.window_start >= %(oldest)s AND %(with_unsettled)s
)

SELECT
    device.charge_point_id,
    device.identity,
    device.device_id,
    array_agg(wanted.hour ORDER BY wanted.hour) AS hours
FROM wanted
INNER JOIN device ON wanted.charge_point_id = device.charge_point_id
WHERE
    wanted.hour >= %(oldest)s AND wanted.hour + INTERVAL '1 hour' <= %(until)s
    AND NOT (%(with_unsettled)s AND EXISTS (
        SELECT FROM touched_work AS young
        WHERE
            young.flow = 'reconcile_dojot' AND young.claimed_at > %(settled)s
            AND young.charge_point_id = wanted.charge_point_id AND young.hour = wanted.hour
    ))
GROUP BY device.charge_point_id, device.identity, device.device_id
ORDER BY device.charge_point_id;

-- name: connectors_of
SELECT con.connector_id FROM connector AS con WHERE con.charge_point_id = %(charge_point_id)s;

-- name: readings_to_compare
-- A row per hour and connector: instants in ms, registers and power, by position, the attributes by which readings
-- with neither energy nor power are looked for, and what else was measured. Those with nothing that DOJOT can hold are
-- left out.
SELECT
    looked.hour,
    looked.connector_id,
    array_agg(looked.ms ORDER BY looked.ms) AS ms,
    array_agg(looked.energy_wh ORDER BY looked.ms) AS energy_wh,
    array_agg(looked.power_w ORDER BY looked.ms) AS power_w,
    array_agg(DISTINCT looked.marker) FILTER (WHERE looked.marker <> '') AS markers,
    array_remove(ARRAY[
        CASE WHEN count(looked.current_a) > 0 THEN 'current_a' END,
        CASE WHEN count(looked.voltage_v) > 0 THEN 'voltage_v' END,
        CASE WHEN count(looked.soc_percent) > 0 THEN 'soc_percent' END,
        CASE WHEN count(looked.temperature_c) > 0 THEN 'temperature_c' END,
        CASE WHEN count(looked.current_offered_a) > 0 THEN 'current_offered_a' END,
        CASE WHEN count(looked.power_offered_w) > 0 THEN 'power_offered_w' END
    ], NULL) AS measurands
FROM (
    SELECT
        date_trunc('hour', mv.sampled_at, 'UTC') AS hour,
        mv.connector_id,
        dojot_timestamp_ms(mv.sampled_at) AS ms,
        dojot_number(mv.energy_wh) AS energy_wh,
        dojot_number(mv.power_w) AS power_w,
        mv.current_a,
        mv.voltage_v,
        mv.soc_percent,
        mv.temperature_c,
        mv.current_offered_a,
        mv.power_offered_w,
        CASE
            WHEN dojot_number(mv.energy_wh) IS NOT NULL OR dojot_number(mv.power_w) IS NOT NULL THEN ''
            ELSE (
                SELECT min(attribute.name)
                FROM jsonb_object_keys(dojot_attributes(mv)) AS attribute (name)
                WHERE attribute.name !~ '^(transaction_id|context)_'
            )
        END AS marker
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = %(charge_point_id)s
        AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
        AND mv.sampled_at >= '1970-01-25 20:31:24Z'  -- see dojot_can_store()
) AS looked
WHERE looked.marker IS NOT NULL
GROUP BY looked.hour, looked.connector_id;

-- name: readings_at
-- The keys of readings at these places, by position; what the relay has still to send comes first, or to queue: what
-- was there before it, and all of a charge point that has another device.
WITH pending AS MATERIALIZED (
    SELECT
        key.sampled_at,
        key.connector_id,
        key.context,
        array_agg(key.transaction_id) AS transaction_ids,
        bool_or(box.transaction_ids IS NULL) AS is_any
    FROM dojot_outbox AS box
    CROSS JOIN LATERAL
        unnest(box.charge_point_ids, box.sampled_ats, box.connector_ids, box.contexts, box.transaction_ids)
            AS key (charge_point_id, sampled_at, connector_id, context, transaction_id)
    WHERE
        box.shard = mod(%(charge_point_id)s::integer, 8)
        AND key.charge_point_id = %(charge_point_id)s
        AND key.sampled_at >= %(low)s AND key.sampled_at < %(high)s
    GROUP BY key.sampled_at, key.connector_id, key.context
)

SELECT
    mv.sampled_at,
    mv.connector_id,
    mv.context,
    mv.transaction_id,
    place.ms,
    coalesce(pending.is_any OR array_position(pending.transaction_ids, mv.transaction_id) IS NOT NULL, FALSE)
    OR coalesce(mv.sampled_at >= backfill.reached, FALSE) AS is_waiting
FROM unnest(%(connector_ids)s::smallint[], %(ms)s::bigint[]) AS place (connector_id, ms)
INNER JOIN meter_value AS mv
    ON
        place.connector_id = mv.connector_id
        AND place.ms = dojot_timestamp_ms(mv.sampled_at)
        AND mv.charge_point_id = %(charge_point_id)s
        AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
LEFT JOIN pending
    ON
        mv.sampled_at = pending.sampled_at
        AND mv.connector_id = pending.connector_id
        AND mv.context = pending.context
LEFT JOIN dojot_backfill AS backfill ON mv.charge_point_id = backfill.charge_point_id
WHERE
    dojot_number(mv.energy_wh) IS NOT NULL OR dojot_number(mv.power_w) IS NOT NULL
    OR jsonb_path_exists(dojot_attributes(mv), '$.keyvalue() ? (!(@.key like_regex "^(transaction_id|context)_"))')
ORDER BY is_waiting DESC, mv.sampled_at ASC, mv.context ASC, mv.transaction_id ASC;

-- name: earlier_verdicts
-- What was sent again to another device is not awaited in this one.
SELECT
    rec.window_start,
    rec.verdict,
    CASE WHEN coalesce(rec.device_id = %(device_id)s, FALSE) THEN rec.awaited ELSE 0 END AS awaited
FROM reconciliation AS rec
WHERE rec.charge_point_id = %(charge_point_id)s AND rec.window_start = ANY(%(hours)s);

-- name: send_again
SELECT dojot_enqueue(
    array_fill(%(charge_point_id)s::integer, ARRAY[cardinality(%(sampled_ats)s::timestamptz[])]),
    %(sampled_ats)s::timestamptz[], %(connector_ids)s::smallint[], %(contexts)s::smallint[],
    %(transaction_ids)s::bigint[]
) AS queued;

-- name: import_readings
INSERT INTO meter_value (
    sampled_at, charge_point_id, connector_id, context, transaction_id, energy_wh, power_w, current_a, voltage_v,
    soc_percent, temperature_c, current_offered_a, power_offered_w, origin
)
SELECT
    to_timestamp(came.ms / 1000.0), %(charge_point_id)s, came.connector_id, came.context, came.transaction_id,
    came.energy_wh, came.power_w, came.current_a, came.voltage_v, came.soc_percent, came.temperature_c,
    came.current_offered_a, came.power_offered_w, 2
FROM jsonb_to_recordset(%(readings)s::jsonb) AS came (
    ms bigint, connector_id smallint, context smallint, transaction_id bigint, energy_wh double precision,
    power_w real, current_a real, voltage_v real, soc_percent real, temperature_c real, current_offered_a real,
    power_offered_w real
)
ON CONFLICT DO NOTHING;

-- name: touch_imported
INSERT INTO touched_work (flow, charge_point_id, hour)
SELECT 'sessions', %(charge_point_id)s, %(hour)s
UNION ALL
SELECT 'quality', %(charge_point_id)s, local_midnight(local_day(%(hour)s))
ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();

-- name: store_reconciliation
INSERT INTO reconciliation AS rec (
    charge_point_id, window_start, window_end, rows_database, rows_dojot, missing_in_dojot, missing_in_database,
    duplicates, republished, awaited, imported, energy_database_wh, energy_dojot_wh, verdict, detail, flow_run_url,
    device_id
) VALUES (
    %(charge_point_id)s, %(window_start)s, %(window_end)s, %(rows_database)s, %(rows_dojot)s, %(missing_in_dojot)s,
    %(missing_in_database)s, %(duplicates)s, %(republished)s, %(awaited)s, %(imported)s, %(energy_database_wh)s,
    %(energy_dojot_wh)s, %(verdict)s, %(detail)s, %(flow_run_url)s,
    %(device_id)s
)
ON CONFLICT (charge_point_id, window_start, window_end) DO UPDATE SET
    rows_database = excluded.rows_database,
    rows_dojot = excluded.rows_dojot,
    missing_in_dojot = excluded.missing_in_dojot,
    missing_in_database = excluded.missing_in_database,
    duplicates = excluded.duplicates,
    republished = rec.republished + excluded.republished,
    awaited = CASE WHEN excluded.verdict = 'unreachable' THEN rec.awaited ELSE excluded.awaited END,
    imported = rec.imported + excluded.imported,
    energy_database_wh = excluded.energy_database_wh,
    energy_dojot_wh = excluded.energy_dojot_wh,
    verdict = excluded.verdict,
    detail = excluded.detail,
    flow_run_url = excluded.flow_run_url,
    device_id = CASE WHEN excluded.verdict = 'unreachable' THEN rec.device_id ELSE excluded.device_id END,
    checked_at = now();
