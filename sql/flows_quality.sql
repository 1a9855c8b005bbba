-- What is odd about the data, per charge point and local day. Found, never corrected.

-- name: quality_days
-- The days that were handed over, and those of what touches no reading or status: pieces set aside,
-- stops nobody answers to, copies in DOJOT.
SELECT seen.day, array_agg(DISTINCT seen.charge_point_id) AS charge_point_ids
FROM (
    SELECT local_day(work.hour) AS day, work.charge_point_id
    FROM taken_work AS work
    UNION ALL
    SELECT local_day(aside.received_at), aside.charge_point_id
    FROM set_aside AS aside
    WHERE aside.received_at >= %(since)s
    UNION ALL
    SELECT local_day(os.stopped_at), os.charge_point_id
    FROM orphan_stop AS os
    WHERE os.received_at >= %(since)s
    UNION ALL
    SELECT local_day(rec.window_start), rec.charge_point_id
    FROM reconciliation AS rec
    WHERE rec.checked_at >= %(since)s AND rec.duplicates > 0
    UNION ALL
    SELECT qf.day, qf.charge_point_id
    FROM quality_finding AS qf
    INNER JOIN reconciliation AS rec
        ON
            qf.charge_point_id = rec.charge_point_id
            AND rec.window_start >= local_midnight(qf.day) AND rec.window_start < local_midnight(qf.day + 1)
    WHERE qf.kind = 'duplicate' AND qf.day >= current_date - 30 AND rec.checked_at > qf.found_at
) AS seen
GROUP BY seen.day
ORDER BY seen.day;

-- name: make_work_finding
CREATE TEMPORARY TABLE work_finding (
    charge_point_id integer     NOT NULL,
    connector_id    smallint,
    kind            text        NOT NULL,
    severity        text        NOT NULL,
    occurrences     bigint      NOT NULL,
    value           double precision,
    unit            text,
    evidence        jsonb       NOT NULL
) ON COMMIT DROP;

-- name: find_in_readings
-- Clocks that could not be used, units or values that were guessed, readings that belong to no known
-- transaction, or come after its end, or from before anything else is known of the charge point.
INSERT INTO work_finding
WITH flagged AS (
    SELECT
        mv.charge_point_id,
        mv.connector_id,
        'reading_' || flag.name AS kind,
        count(*) AS occurrences,
        min(mv.sampled_at) AS first_at,
        max(mv.sampled_at) AS last_at
    FROM meter_value AS mv
    CROSS JOIN LATERAL jsonb_array_elements_text(
        CASE WHEN jsonb_typeof(mv.extra -> 'flags') = 'array' THEN mv.extra -> 'flags' END
    ) AS flag (name)
    WHERE
        mv.charge_point_id = ANY(%(charge_point_ids)s)
        AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
        AND mv.extra ? 'flags'
    GROUP BY mv.charge_point_id, mv.connector_id, flag.name
),

named AS (
    SELECT
        mv.charge_point_id,
        mv.connector_id,
        mv.transaction_id,
        count(*) AS occurrences,
        min(mv.sampled_at) AS first_at,
        max(mv.sampled_at) AS last_at
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = ANY(%(charge_point_ids)s)
        AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
        AND mv.transaction_id IS NOT NULL
    GROUP BY mv.charge_point_id, mv.connector_id, mv.transaction_id
),

judged AS (
    SELECT
        named.*,
        CASE
            WHEN tx.transaction_id IS NULL THEN 'readings_without_transaction'
            WHEN tx.charge_point_id <> named.charge_point_id OR tx.connector_id <> named.connector_id
                THEN 'readings_of_another_connector'
            ELSE 'readings_after_stop'
        END AS kind
    FROM named
    LEFT JOIN transaction AS tx ON named.transaction_id = tx.transaction_id
    WHERE
        tx.transaction_id IS NULL
        OR tx.charge_point_id <> named.charge_point_id
        OR tx.connector_id <> named.connector_id
        OR named.last_at > tx.stopped_at + INTERVAL '10 minutes'
),

-- A history may be told long after: only what no connection, status or transaction is as old as is odd. Asked
-- once for each charge point.
known AS MATERIALIZED (
    SELECT
        cp.charge_point_id,
        least(
            cp.created_at,
            heard_since(cp.charge_point_id),
            (SELECT min(tx.started_at) FROM transaction AS tx WHERE tx.charge_point_id = cp.charge_point_id)
        ) AS since
    FROM charge_point AS cp
    WHERE cp.charge_point_id = ANY(%(charge_point_ids)s) AND cp.created_at > %(low)s
),

early AS (
    SELECT
        mv.charge_point_id,
        mv.connector_id,
        count(*) AS occurrences,
        min(mv.sampled_at) AS first_at,
        max(mv.sampled_at) AS last_at,
        known.since AS known_since
    FROM known
    INNER JOIN meter_value AS mv ON known.charge_point_id = mv.charge_point_id
    WHERE
        known.since > %(low)s
        AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
        AND mv.sampled_at < known.since - INTERVAL '10 minutes'
    GROUP BY mv.charge_point_id, mv.connector_id, known.since
),

astray AS (
    SELECT
        judged.charge_point_id,
        judged.connector_id,
        judged.kind,
        sum(judged.occurrences) AS occurrences,
        min(judged.first_at) AS first_at,
        max(judged.last_at) AS last_at,
        jsonb_agg(judged.transaction_id ORDER BY judged.transaction_id) AS transaction_ids
    FROM judged
    GROUP BY judged.charge_point_id, judged.connector_id, judged.kind
)

SELECT
    flagged.charge_point_id,
    flagged.connector_id,
    flagged.kind,
    'info',
    flagged.occurrences,
    NULL::double precision,
    NULL::text,
    jsonb_build_object('first_at', flagged.first_at, 'last_at', flagged.last_at)
FROM flagged
UNION ALL
SELECT
    early.charge_point_id,
    early.connector_id,
    'readings_before_known',
    'info',
    early.occurrences,
    NULL,
    NULL,
    jsonb_build_object('first_at', early.first_at, 'last_at', early.last_at, 'known_since', early.known_since)
FROM early
UNION ALL
SELECT
    astray.charge_point_id,
    astray.connector_id,
    astray.kind,
    'amber',
    astray.occurrences,
    NULL,
    NULL,
    jsonb_build_object(
        'first_at', astray.first_at, 'last_at', astray.last_at, 'transaction_ids', astray.transaction_ids
    )
FROM astray;

-- name: find_in_sessions
-- What the sessions begun that day were flagged with.
INSERT INTO work_finding
SELECT
    ses.charge_point_id,
    ses.connector_id,
    flag.name,
    CASE
        WHEN flag.name IN ('delta_red', 'energy_unit', 'stuck_register', 'stop_before_start', 'register_implausible') THEN 'red'
        WHEN flag.name IN ('estimated_power', 'borrowed_readings', 'meter_start_missing', 'zone', 'matched') THEN 'info'
        ELSE 'amber'
    END,
    count(*),
    max(
        CASE
            WHEN flag.name = 'gap' THEN ses.gap_s
            WHEN flag.name LIKE 'delta%%' THEN abs(ses.energy_delta_percent)
            WHEN flag.name = 'energy_unit' THEN ses.energy_integral_wh / ses.energy_wh
            WHEN flag.name = 'open_long' THEN ses.duration_s
        END
    ),
    CASE
        WHEN flag.name IN ('gap', 'open_long') THEN 's'
        WHEN flag.name LIKE 'delta%%' THEN '%%'
        WHEN flag.name = 'energy_unit' THEN '1'
    END,
    jsonb_build_object('transaction_ids', jsonb_agg(ses.transaction_id ORDER BY ses.transaction_id))
FROM session AS ses
-- A flag may be of the start and of the stop.
CROSS JOIN LATERAL (SELECT DISTINCT told.name FROM unnest(ses.flags) AS told (name)) AS flag
WHERE
    ses.charge_point_id = ANY(%(charge_point_ids)s)
    AND ses.started_at >= %(low)s AND ses.started_at < %(high)s
    -- The methods drift apart in the first minute of any session: judged when it is over.
    AND NOT (ses.is_open AND flag.name LIKE 'delta%%')
GROUP BY ses.charge_point_id, ses.connector_id, flag.name;

-- name: find_in_clocks
-- The clock of the charge point against ours. A message from the future proves a clock that is ahead; a
-- steady delay points to one that is behind, and near whole hours to local time sent as UTC. A delay
-- that varies is none of these: the charge point was offline and sent its queue.
INSERT INTO work_finding
WITH delay AS (
    SELECT
        sn.charge_point_id,
        count(*) AS statuses,
        min(date_part('epoch', sn.received_at - sn.at)) AS least_s,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY date_part('epoch', sn.received_at - sn.at)) AS median_s
    FROM status_notification AS sn
    WHERE
        sn.charge_point_id = ANY(%(charge_point_ids)s)
        AND sn.at >= %(low)s AND sn.at < %(high)s
        AND NOT sn.flags @> ARRAY['clock']
    GROUP BY sn.charge_point_id
),

judged AS (
    SELECT
        delay.*,
        CASE
            WHEN
                delay.statuses >= 3 AND delay.median_s - delay.least_s < 300 AND abs(delay.median_s) > 1800
                AND abs(delay.median_s - 3600 * round(delay.median_s / 3600)) < 120
                AND abs(delay.median_s) < 50400
                THEN 'local_time_as_utc'
            WHEN delay.least_s < -60 THEN 'clock_skew'
            WHEN delay.least_s > 60 AND delay.statuses >= 3 AND delay.median_s - delay.least_s < 300 THEN 'clock_skew'
            WHEN delay.least_s > 300 THEN 'late_statuses'
        END AS kind
    FROM delay
),

told AS (
    SELECT sn.charge_point_id, flag.name, count(*) AS occurrences, min(sn.at) AS first_at, max(sn.at) AS last_at
    FROM status_notification AS sn
    CROSS JOIN LATERAL unnest(sn.flags) AS flag (name)
    WHERE
        sn.charge_point_id = ANY(%(charge_point_ids)s)
        AND sn.at >= %(low)s AND sn.at < %(high)s
    GROUP BY sn.charge_point_id, flag.name
)

SELECT
    judged.charge_point_id,
    NULL::smallint,
    judged.kind,
    CASE
        WHEN judged.kind = 'late_statuses' THEN 'info'
        WHEN abs(judged.least_s) > 600 THEN 'red'
        ELSE 'amber'
    END,
    judged.statuses,
    judged.least_s,
    's',
    jsonb_build_object('least_s', judged.least_s, 'median_s', judged.median_s, 'statuses', judged.statuses)
FROM judged
WHERE judged.kind IS NOT NULL
UNION ALL
SELECT
    told.charge_point_id,
    NULL,
    'status_' || told.name,
    'info',
    told.occurrences,
    NULL,
    NULL,
    jsonb_build_object('first_at', told.first_at, 'last_at', told.last_at)
FROM told;

-- name: find_in_the_rest
-- Stops nobody answers to, pieces set aside, energy without a price.
INSERT INTO work_finding
SELECT
    os.charge_point_id,
    NULL::smallint,
    'orphan_stop',
    'amber',
    count(*),
    NULL::double precision,
    NULL,
    jsonb_build_object('transaction_ids', jsonb_agg(os.transaction_id), 'first_at', min(os.stopped_at))
FROM orphan_stop AS os
WHERE
    os.charge_point_id = ANY(%(charge_point_ids)s)
    AND os.stopped_at >= %(low)s AND os.stopped_at < %(high)s
GROUP BY os.charge_point_id
UNION ALL
SELECT
    aside.charge_point_id,
    NULL,
    'set_aside',
    'amber',
    count(*),
    NULL,
    NULL,
    jsonb_build_object(
        'first_at', min(aside.received_at), 'last_at', max(aside.received_at), 'reason', min(aside.reason)
    )
FROM set_aside AS aside
WHERE
    aside.charge_point_id = ANY(%(charge_point_ids)s)
    AND aside.received_at >= %(low)s AND aside.received_at < %(high)s
GROUP BY aside.charge_point_id
UNION ALL
SELECT
    con.charge_point_id,
    con.connector_id,
    'unpriced',
    'info',
    1,
    con.unpriced_wh,
    'Wh',
    jsonb_build_object('tariffs_in_force', (SELECT count(*) FROM tariffs_in_force(cp.site, con.day)))
FROM consumption_day AS con
INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id
WHERE
    con.charge_point_id = ANY(%(charge_point_ids)s) AND con.day = %(day)s
    AND con.unpriced_wh > 0
    AND EXISTS (SELECT FROM tariff);

-- name: find_missing_readings
-- Sessions whose readings came with a steady period but not all of them.
INSERT INTO work_finding
SELECT
    lacking.charge_point_id,
    lacking.connector_id,
    'missing_readings',
    CASE WHEN sum(lacking.missing) > 0.1 * sum(lacking.expected) THEN 'red' ELSE 'amber' END,
    count(*),
    sum(lacking.missing),
    'readings',
    jsonb_build_object(
        'transaction_ids', jsonb_agg(lacking.transaction_id ORDER BY lacking.transaction_id),
        'expected', sum(lacking.expected)
    )
FROM (
    SELECT
        ses.transaction_id,
        ses.charge_point_id,
        ses.connector_id,
        round(ses.duration_s / every.seconds) - 1 AS expected,
        round(ses.duration_s / every.seconds) - 1 - ses.readings AS missing
    FROM session AS ses
    INNER JOIN configuration_key AS key
        ON
            ses.charge_point_id = key.charge_point_id
            AND lower(key.name) = 'metervaluesampleinterval'
            AND key.value ~ '^ *[0-9]{1,5} *$'
    CROSS JOIN LATERAL (SELECT nullif(key.value::integer, 0) AS seconds) AS every
    WHERE
        ses.charge_point_id = ANY(%(charge_point_ids)s)
        AND ses.started_at >= %(low)s AND ses.started_at < %(high)s
        AND NOT ses.is_open
) AS lacking
-- With more than half of them absent the charge point sampled more slowly: that is no loss.
WHERE lacking.missing > 3 AND lacking.missing BETWEEN 0.02 * lacking.expected AND 0.5 * lacking.expected
GROUP BY lacking.charge_point_id, lacking.connector_id;

-- name: find_duplicates
-- Copies of a reading that DOJOT keeps. The database has none: a repeated reading meets its own key.
INSERT INTO work_finding
SELECT
    rec.charge_point_id,
    NULL::smallint,
    'duplicate',
    'amber',
    count(*),
    sum(rec.duplicates),
    'readings',
    jsonb_build_object('first_at', min(rec.window_start), 'last_at', max(rec.window_end), 'where', 'DOJOT')
FROM reconciliation AS rec
WHERE
    rec.charge_point_id = ANY(%(charge_point_ids)s)
    AND rec.window_start >= %(low)s AND rec.window_start < %(high)s
    AND rec.duplicates > 0
GROUP BY rec.charge_point_id;

-- name: delete_findings
-- But those whose facts were dropped since: nobody could find them again.
DELETE FROM quality_finding AS qf
WHERE
    qf.day = %(day)s AND qf.charge_point_id = ANY(%(charge_point_ids)s)
    AND NOT EXISTS (
        SELECT FROM dropped_facts AS gone
        WHERE
            gone.dropped_before > %(low)s
            AND CASE gone.hypertable
                WHEN 'meter_value' THEN qf.kind LIKE 'reading%%'
                WHEN 'status_notification'
                    THEN qf.kind LIKE 'status%%' OR qf.kind IN ('clock_skew', 'local_time_as_utc', 'late_statuses')
                WHEN 'ocpp_message' THEN qf.kind = 'set_aside'
                ELSE FALSE
            END
    );

-- name: store_findings
INSERT INTO quality_finding (
    day, charge_point_id, connector_id, kind, severity, occurrences, value, unit, evidence
)
SELECT
    %(day)s,
    wf.charge_point_id,
    wf.connector_id,
    wf.kind,
    wf.severity,
    wf.occurrences,
    wf.value,
    wf.unit,
    wf.evidence
FROM work_finding AS wf
ON CONFLICT DO NOTHING;

-- name: findings_table
-- The findings of a run for its artifact, worst first.
SELECT qf.day, qf.charge_point, qf.connector_id, qf.kind, qf.severity, qf.occurrences, qf.value, qf.unit
FROM report.quality_finding AS qf
WHERE qf.found_at >= %(since)s
ORDER BY array_position(ARRAY['red', 'amber', 'info'], qf.severity) ASC, qf.day DESC, qf.charge_point ASC
LIMIT 200;
