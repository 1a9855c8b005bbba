-- Readings of the database against those of DOJOT, hour by hour.

-- name: hours_to_reconcile
-- Per charge point that has a device: the hours since the last run, those touched since, and those that
-- were not found equal. Nothing older than DOJOT keeps, nothing that has not settled: what came late to an hour
-- just now may be on its way, and its touch is kept for a later run.
WITH device AS (
    SELECT DISTINCT ON (dev.charge_point_id)
        dev.charge_point_id, dev.device_id, cp.identity
    FROM dojot_device AS dev
    INNER JOIN charge_point AS cp ON dev.charge_point_id = cp.charge_point_id
    WHERE %(charge_point_ids)s::integer[] IS NULL OR dev.charge_point_id = ANY(%(charge_point_ids)s)
    ORDER BY dev.charge_point_id ASC, dev.found_at DESC
),

wanted AS (
    SELECT device.charge_point_id, hour.hour
    FROM device
    CROSS JOIN generate_series(date_trunc('hour', %(since)s::timestamptz), %(until)s, INTERVAL '1 hour') AS hour (hour)
    UNION
    SELECT work.charge_point_id, work.hour
    FROM touched_work AS work
    WHERE work.flow = 'reconcile_dojot' AND work.claimed_at <= %(claimed_until)s AND %(with_unsettled)s
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
            young.flow = 'reconcile_dojot' AND young.claimed_at > %(claimed_until)s
            AND young.charge_point_id = wanted.charge_point_id AND young.hour = wanted.hour
    ))
GROUP BY device.charge_point_id, device.identity, device.device_id
ORDER BY device.charge_point_id;

-- name: connectors_of
SELECT con.connector_id FROM connector AS con WHERE con.charge_point_id = %(charge_point_id)s
UNION
SELECT 0::smallint
ORDER BY connector_id;

-- name: readings_to_compare
-- A row per hour and connector: instants in ms and registers, by position, and the attributes by which readings
-- with neither energy nor power are looked for. Those with nothing that DOJOT can hold are left out.
SELECT
    looked.hour,
    looked.connector_id,
    array_agg(looked.ms ORDER BY looked.ms) AS ms,
    array_agg(looked.energy_wh ORDER BY looked.ms) AS energy_wh,
    array_agg(DISTINCT looked.marker) FILTER (WHERE looked.marker <> '') AS markers
FROM (
    SELECT
        date_trunc('hour', mv.sampled_at, 'UTC') AS hour,
        mv.connector_id,
        dojot_timestamp_ms(mv.sampled_at) AS ms,
        dojot_number(mv.energy_wh) AS energy_wh,
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
-- The keys of readings at these places, by position; what the relay has still to send comes first.
WITH pending AS MATERIALIZED (
    SELECT DISTINCT key.sampled_at, key.connector_id, key.context
    FROM dojot_outbox AS box
    CROSS JOIN LATERAL unnest(box.charge_point_ids, box.sampled_ats, box.connector_ids, box.contexts)
        AS key (charge_point_id, sampled_at, connector_id, context)
    WHERE
        box.shard = mod(%(charge_point_id)s::integer, 8)
        AND key.charge_point_id = %(charge_point_id)s
        AND key.sampled_at >= %(low)s AND key.sampled_at < %(high)s
)

SELECT
    mv.sampled_at,
    mv.connector_id,
    mv.context,
    place.ms,
    pending.sampled_at IS NOT NULL AS is_waiting
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
WHERE
    dojot_number(mv.energy_wh) IS NOT NULL OR dojot_number(mv.power_w) IS NOT NULL
    OR jsonb_path_exists(dojot_attributes(mv), '$.keyvalue() ? (!(@.key like_regex "^(transaction_id|context)_"))')
ORDER BY is_waiting DESC, mv.sampled_at ASC, mv.context ASC;

-- name: earlier_verdicts
SELECT rec.window_start, rec.verdict, rec.awaited
FROM reconciliation AS rec
WHERE rec.charge_point_id = %(charge_point_id)s AND rec.window_start = ANY(%(hours)s);

-- name: attributes_of
-- Names of everything a reading of these connectors may have in DOJOT.
SELECT label FROM dojot_template(%(connector_ids)s::smallint[]);

-- name: send_again
SELECT dojot_enqueue(
    array_fill(%(charge_point_id)s::integer, ARRAY[cardinality(%(sampled_ats)s::timestamptz[])]),
    %(sampled_ats)s::timestamptz[], %(connector_ids)s::smallint[], %(contexts)s::smallint[]
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
    duplicates, republished, awaited, imported, energy_database_wh, energy_dojot_wh, verdict, detail, flow_run_url
) VALUES (
    %(charge_point_id)s, %(window_start)s, %(window_end)s, %(rows_database)s, %(rows_dojot)s, %(missing_in_dojot)s,
    %(missing_in_database)s, %(duplicates)s, %(republished)s, %(awaited)s, %(imported)s, %(energy_database_wh)s,
    %(energy_dojot_wh)s, %(verdict)s, %(detail)s, %(flow_run_url)s
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
    checked_at = now();
