-- Sessions: which to compute, their readings, their end.

-- name: sessions_to_compute
-- Transactions that changed and the one before each on its connector, those a touched hour overlaps
-- (from their start to the cable's leaving), and open ones that a boot or a day of silence may have ended.
WITH changed AS (
    SELECT tx.transaction_id, tx.charge_point_id, tx.connector_id, tx.started_at
    FROM transaction AS tx
    WHERE tx.changed_at >= %(changed_since)s
),

touched AS (
    SELECT work.charge_point_id, work.hour
    FROM taken_work AS work
)

SELECT changed.transaction_id, changed.started_at, changed.charge_point_id FROM changed
UNION
SELECT before.transaction_id, before.started_at, changed.charge_point_id
FROM changed
CROSS JOIN LATERAL (
    SELECT tx.transaction_id, tx.started_at
    FROM transaction AS tx
    WHERE
        tx.charge_point_id = changed.charge_point_id
        AND tx.connector_id = changed.connector_id
        AND tx.started_at < changed.started_at
    ORDER BY tx.started_at DESC
    LIMIT 1
) AS before
UNION
SELECT tx.transaction_id, tx.started_at, tx.charge_point_id
FROM touched
INNER JOIN transaction AS tx
    ON
        touched.charge_point_id = tx.charge_point_id
        AND touched.hour - INTERVAL '48 hours' <= tx.started_at
        AND touched.hour + INTERVAL '70 minutes' > tx.started_at
LEFT JOIN session AS ses ON tx.transaction_id = ses.transaction_id
WHERE
    ses.unplugged_at IS NULL
    OR greatest(tx.stopped_at, ses.ended_at, ses.unplugged_at) >= touched.hour - INTERVAL '10 minutes'
UNION
SELECT ses.transaction_id, ses.started_at, ses.charge_point_id
FROM touched
INNER JOIN session AS ses
    ON
        touched.charge_point_id = ses.charge_point_id
        AND touched.hour + INTERVAL '70 minutes' > ses.started_at
WHERE
    ses.is_open OR ses.unplugged_at IS NULL
    OR (
        greatest(ses.ended_at, ses.unplugged_at) >= touched.hour - INTERVAL '10 minutes'
        AND (
            ses.unplugged_at - ses.started_at > INTERVAL '48 hours'
            OR ses.ended_at - ses.started_at > INTERVAL '48 hours'
        )
    )
UNION
SELECT ses.transaction_id, ses.started_at, ses.charge_point_id
FROM session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point_id = cp.charge_point_id
WHERE
    ses.is_open
    AND (cp.booted_at > ses.ended_at OR ses.ended_at < %(as_of)s::timestamptz - INTERVAL '24 hours')
ORDER BY started_at, transaction_id;

-- name: sessions_between
-- Transactions that began in a window, for a backfill.
SELECT tx.transaction_id, tx.started_at, tx.charge_point_id
FROM transaction AS tx
WHERE
    tx.started_at >= %(since)s AND tx.started_at < %(until)s
    AND (%(charge_point_ids)s::integer[] IS NULL OR tx.charge_point_id = ANY(%(charge_point_ids)s))
ORDER BY tx.started_at, tx.transaction_id;

-- name: charge_points_of
SELECT array_agg(DISTINCT tx.charge_point_id) AS charge_point_ids
FROM transaction AS tx
WHERE tx.transaction_id = ANY(%(transaction_ids)s);

-- name: make_work_session
CREATE TEMPORARY TABLE work_session ON COMMIT DROP AS
SELECT
    tx.transaction_id,
    tx.charge_point_id,
    tx.connector_id,
    tx.connector_id AS metered_connector_id,
    tx.started_at,
    tx.stopped_at,
    following.started_at AS next_started_at,
    cp.booted_at,
    cp.energy_factor,
    tx.meter_start_wh * cp.energy_factor AS meter_start_wh,
    tx.meter_stop_wh * cp.energy_factor AS meter_stop_wh,
    coalesce(con.rated_power_w, rated.value) AS rated_power_w,
    con.rated_power_w IS NOT NULL AS is_rated,
    con.current_type,
    tx.reason,
    tx.flags,
    tx.started_at - INTERVAL '10 minutes' AS low,
    least(
        CASE WHEN tx.stopped_at >= tx.started_at THEN tx.stopped_at END,
        following.started_at,
        %(as_of)s::timestamptz + INTERVAL '1 hour'
    ) + INTERVAL '10 minutes' AS high
FROM transaction AS tx
INNER JOIN charge_point AS cp ON tx.charge_point_id = cp.charge_point_id
INNER JOIN setting AS rated ON rated.name = 'default_rated_power_w'
LEFT JOIN connector AS con ON tx.charge_point_id = con.charge_point_id AND tx.connector_id = con.connector_id
LEFT JOIN LATERAL (
    SELECT later.started_at
    FROM transaction AS later
    WHERE
        later.charge_point_id = tx.charge_point_id
        AND later.connector_id = tx.connector_id
        AND later.started_at > tx.started_at
    ORDER BY later.started_at
    LIMIT 1
) AS following ON tx.stopped_at IS NULL OR tx.stopped_at < tx.started_at
WHERE tx.transaction_id = ANY(%(transaction_ids)s);

-- name: work_bounds
SELECT
    min(ws.low) AS low,
    max(ws.high) AS high,
    bool_or(ws.high - ws.low > INTERVAL '366 days') AS has_years
FROM work_session AS ws;

-- name: mend_starts
-- Of sessions of more than a year: where nothing names the transaction from soon after its start on for a year, it began
-- by a clock that was set meanwhile, soon before the first reading by the clock that was. It plans over every chunk of
-- readings, so it is asked only where there is such a session.
UPDATE work_session AS ws
SET started_at = began.at, low = began.at - INTERVAL '10 minutes', flags = ws.flags || '{clock}'
FROM work_session AS old
CROSS JOIN LATERAL (
    SELECT coalesce(min(mv.sampled_at), old.stopped_at) AS at
    FROM meter_value AS mv
    WHERE
        mv.charge_point_id = old.charge_point_id
        AND mv.transaction_id = old.transaction_id
        AND mv.sampled_at > old.started_at + INTERVAL '10 minutes'
        AND mv.sampled_at <= old.high
) AS began
WHERE
    ws.transaction_id = old.transaction_id
    AND old.high - old.low > INTERVAL '366 days'
    AND began.at > old.started_at + INTERVAL '366 days';

-- name: make_work_reading
-- The readings of these sessions: those that name the transaction, and those of the connector that
-- name none. kind: 0 sampled or at the edges, 1 clock-aligned or triggered, 2 names no transaction.
CREATE TEMPORARY TABLE work_reading ON COMMIT DROP AS
SELECT
    ws.transaction_id,
    mv.sampled_at,
    mv.energy_wh * ws.energy_factor AS energy_wh,
    CASE
        WHEN mv.power_w IS NULL THEN estimated_power_w(mv.voltage_v, mv.current_a, mv.extra, ws.current_type)
        WHEN mv.power_w > 0 THEN mv.power_w
        ELSE 0
    END AS power_w,
    mv.power_w IS NULL AS is_estimated,
    CASE
        WHEN mv.power_w IS NULL
            THEN
                greatest(
                    mv.current_a,
                    (mv.extra ->> 'Current.Import.L1')::double precision,
                    (mv.extra ->> 'Current.Import.L2')::double precision,
                    (mv.extra ->> 'Current.Import.L3')::double precision
                )
    END AS current_a,
    CASE
        WHEN mv.extra ? 'Energy.Active.Import.Interval'
            THEN (mv.extra ->> 'Energy.Active.Import.Interval')::double precision
        WHEN mv.extra ?| ARRAY[
            'Energy.Active.Import.Interval.L1', 'Energy.Active.Import.Interval.L2', 'Energy.Active.Import.Interval.L3'
        ]
            THEN coalesce((mv.extra ->> 'Energy.Active.Import.Interval.L1')::double precision, 0)
            + coalesce((mv.extra ->> 'Energy.Active.Import.Interval.L2')::double precision, 0)
            + coalesce((mv.extra ->> 'Energy.Active.Import.Interval.L3')::double precision, 0)
    END * ws.energy_factor AS interval_wh,
    CASE
        WHEN mv.energy_wh IS NULL
            THEN (mv.extra ->> 'Energy.Active.Import.Register.L1')::double precision * ws.energy_factor
    END AS first_phase_wh,
    mv.energy_wh IS NOT NULL
    OR mv.extra ?| ARRAY['Energy.Active.Import.Register.L2', 'Energy.Active.Import.Register.L3'] AS has_other_phases,
    mv.temperature_c,
    mv.soc_percent IS NOT NULL AS has_soc,
    mv.context = 0 AS is_periodic,
    CASE
        WHEN mv.transaction_id IS NULL THEN 2
        WHEN mv.context IN (0, 2, 3, 4, 5) THEN 0
        ELSE 1
    END::smallint AS kind
FROM work_session AS ws
INNER JOIN meter_value AS mv
    ON
        ws.charge_point_id = mv.charge_point_id
        AND ws.metered_connector_id = mv.connector_id
        AND ws.low <= mv.sampled_at
        AND ws.high > mv.sampled_at
WHERE
    mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
    AND (
        mv.transaction_id = ws.transaction_id
        OR (
            mv.transaction_id IS NULL AND mv.sampled_at >= ws.started_at
            AND mv.sampled_at <= coalesce(ws.stopped_at, ws.next_started_at, 'infinity')
        )
    );

-- name: use_first_phase
-- Of a session whose register came for L1 and nothing else, that is the register: it charged on one phase.
UPDATE work_reading AS wr SET energy_wh = wr.first_phase_wh
FROM (
    SELECT told.transaction_id
    FROM work_reading AS told
    WHERE told.first_phase_wh IS NOT NULL
    GROUP BY told.transaction_id
) AS ses
WHERE
    wr.transaction_id = ses.transaction_id AND wr.first_phase_wh IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM work_reading AS other
        WHERE other.transaction_id = ses.transaction_id AND other.has_other_phases
    );

-- name: drop_repeated_intervals
-- The end of a transaction may repeat the last interval.
UPDATE work_reading AS wr SET interval_wh = NULL
FROM work_reading AS periodic
WHERE
    wr.interval_wh IS NOT NULL AND NOT wr.is_periodic
    AND periodic.interval_wh IS NOT NULL AND periodic.is_periodic
    AND wr.transaction_id = periodic.transaction_id
    AND wr.sampled_at = periodic.sampled_at;

-- name: make_work_evidence
-- What the readings of a session say as a whole, before they are used. Where some tell power and others only
-- what it can be estimated from, the estimates are taken if the measured values are fewer than two, or do not come by
-- the period and lie in no more than half as many stretches of five minutes.
CREATE TEMPORARY TABLE work_evidence ON COMMIT DROP AS
WITH said AS (
    SELECT
        wr.transaction_id,
        bool_or(wr.kind < 2) AS has_own,
        bool_or(wr.is_periodic AND wr.kind = 0 AND wr.energy_wh IS NOT NULL) AS has_periodic_energy,
        bool_or(wr.is_periodic AND wr.kind = 0 AND NOT wr.is_estimated) AS has_periodic_measured,
        bool_or(wr.is_periodic AND wr.kind = 0 AND wr.is_estimated AND wr.power_w IS NOT NULL) AS has_periodic_estimate,
        bool_or(wr.is_periodic AND wr.kind = 0 AND wr.interval_wh IS NOT NULL) AS has_periodic_interval,
        bool_or(NOT wr.is_estimated) AS has_measured,
        bool_or(wr.is_estimated AND wr.power_w IS NOT NULL) AS has_estimate,
        -- No vehicle charges with less than 6 A (IEC 61851-1): half of it is a standby current or noise.
        avg(CASE WHEN wr.current_a >= 3 THEN wr.current_a ELSE 0 END) AS mean_current_a,
        max(wr.sampled_at) FILTER (WHERE wr.kind < 2) AS last_own_at
    FROM work_reading AS wr
    GROUP BY wr.transaction_id
),

weighed AS (
    SELECT
        said.transaction_id,
        count(*) FILTER (WHERE NOT wr.is_estimated) AS measured,
        count(*) FILTER (WHERE NOT wr.is_estimated AND wr.is_periodic AND wr.kind = 0) AS periodic_measured,
        count(*) FILTER (WHERE wr.is_estimated) AS estimates,
        count(DISTINCT slot.number) FILTER (WHERE NOT wr.is_estimated) AS measured_slots,
        count(DISTINCT slot.number) FILTER (WHERE wr.is_estimated) AS estimate_slots
    FROM said
    INNER JOIN work_reading AS wr ON said.transaction_id = wr.transaction_id
    CROSS JOIN LATERAL (SELECT floor(date_part('epoch', wr.sampled_at) / 300) AS number) AS slot
    WHERE
        said.has_measured AND said.has_estimate AND wr.power_w IS NOT NULL
        AND CASE wr.kind
            WHEN 0 THEN TRUE
            WHEN 1 THEN NOT CASE WHEN wr.is_estimated THEN said.has_periodic_estimate ELSE said.has_periodic_measured END
            ELSE NOT said.has_own
        END
    GROUP BY said.transaction_id
)

SELECT
    said.transaction_id,
    said.has_own,
    said.has_periodic_energy,
    said.has_periodic_interval,
    said.mean_current_a,
    said.last_own_at,
    weighed.transaction_id IS NOT NULL AS is_mixed,
    chosen.is_estimated,
    CASE WHEN chosen.is_estimated THEN said.has_periodic_estimate ELSE said.has_periodic_measured END AS has_periodic_power
FROM said
LEFT JOIN weighed ON said.transaction_id = weighed.transaction_id
CROSS JOIN LATERAL (
    SELECT
        coalesce(
            weighed.estimates > 1
            AND (
                weighed.measured < 2
                OR (weighed.periodic_measured < 2 AND weighed.estimate_slots >= 2 * weighed.measured_slots)
            ),
            NOT said.has_measured
        ) AS is_estimated
) AS chosen;

-- name: read_from_connector_0
-- Charge points that measure as a whole: where the connector has no reading at all, those of connector 0 that name
-- the transaction are its readings.
UPDATE work_session AS ws SET metered_connector_id = 0
FROM (
    SELECT lacking.transaction_id
    FROM work_session AS lacking
    LEFT JOIN work_evidence AS ev ON lacking.transaction_id = ev.transaction_id
    CROSS JOIN LATERAL (
        SELECT mv.sampled_at
        FROM meter_value AS mv
        WHERE
            mv.charge_point_id = lacking.charge_point_id
            AND mv.connector_id = 0
            AND mv.transaction_id = lacking.transaction_id
            AND mv.sampled_at >= lacking.low AND mv.sampled_at < lacking.high
            AND mv.sampled_at >= %(low)s AND mv.sampled_at < %(high)s
        LIMIT 1
    ) AS found
    WHERE ev.transaction_id IS NULL
) AS whole
WHERE ws.transaction_id = whole.transaction_id AND ws.metered_connector_id <> 0;

-- name: drop_work_reading
DROP TABLE work_reading, work_evidence;

-- name: make_work_end
-- Where a session without a StopTransaction ends: at its last evidence before the first of: the next
-- start, Available, a boot without a word since, a day of silence. With none of these it is open. Evidence is its own
-- readings; a status of a running session; and, where no reading names the transaction, readings of
-- the connector in which power flows or the register rises.
CREATE TEMPORARY TABLE work_end ON COMMIT DROP AS
WITH bound AS (
    SELECT
        ws.transaction_id,
        ws.charge_point_id,
        ws.connector_id,
        ws.started_at,
        ws.stopped_at,
        ws.next_started_at,
        coalesce(ws.stopped_at < ws.started_at, TRUE) AS is_sought,
        coalesce(ev.has_own, FALSE) AS has_own,
        CASE
            WHEN ev.last_own_at IS NULL THEN ws.started_at
            ELSE greatest(ws.started_at, least(ev.last_own_at, ws.next_started_at))
        END AS read_until,
        ws.booted_at
    FROM work_session AS ws
    LEFT JOIN work_evidence AS ev ON ws.transaction_id = ev.transaction_id
),

event AS (
    SELECT
        bound.*,
        free.at AS available_at,
        -- A charge point that goes on with its transaction after a boot has 15 minutes to show it.
        CASE
            WHEN bound.booted_at > bound.read_until AND bound.booted_at < %(as_of)s::timestamptz - INTERVAL '15 minutes'
                THEN bound.booted_at
        END AS boot_at
    FROM bound
    LEFT JOIN LATERAL (
        SELECT sn.at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = bound.charge_point_id
            AND sn.connector_id = bound.connector_id
            AND sn.at > bound.read_until
            AND sn.status = 'Available'
        ORDER BY sn.at
        LIMIT 1
    ) AS free ON bound.is_sought
),

borrowed AS (
    SELECT
        wr.transaction_id,
        wr.sampled_at,
        wr.power_w > threshold.value
        OR wr.energy_wh > lag(wr.energy_wh) OVER (PARTITION BY wr.transaction_id ORDER BY wr.sampled_at) AS is_charging
    FROM bound
    INNER JOIN work_reading AS wr ON bound.transaction_id = wr.transaction_id
    INNER JOIN setting AS threshold ON threshold.name = 'power_threshold_w'
    WHERE bound.is_sought AND NOT bound.has_own AND wr.kind = 2
),

drawn AS (
    SELECT event.transaction_id, max(borrowed.sampled_at) AS at
    FROM event
    INNER JOIN borrowed ON event.transaction_id = borrowed.transaction_id
    WHERE
        borrowed.is_charging
        AND borrowed.sampled_at < least(event.next_started_at, event.available_at, event.boot_at, %(as_of)s::timestamptz)
    GROUP BY event.transaction_id
),

evidence AS (
    SELECT
        event.*,
        greatest(event.read_until, drawn.at, seen.at) AS evidence_at
    FROM event
    LEFT JOIN drawn ON event.transaction_id = drawn.transaction_id
    LEFT JOIN LATERAL (
        SELECT max(sn.at) AS at
        FROM status_notification AS sn
        WHERE
            sn.charge_point_id = event.charge_point_id
            AND sn.connector_id = event.connector_id
            AND sn.at > event.read_until
            AND sn.at < least(event.next_started_at, event.available_at, event.boot_at, %(as_of)s::timestamptz)
            AND sn.status IN ('Charging', 'SuspendedEV', 'SuspendedEVSE', 'Finishing')
    ) AS seen ON event.is_sought
)

SELECT
    evidence.transaction_id,
    CASE WHEN evidence.stopped_at >= evidence.started_at THEN evidence.stopped_at ELSE evidence.evidence_at END AS ended_at,
    evidence.stopped_at < evidence.started_at AS stops_before_start,
    CASE
        WHEN evidence.stopped_at IS NOT NULL THEN NULL
        WHEN evidence.next_started_at <= coalesce(least(evidence.available_at, evidence.boot_at), 'infinity') THEN 'next start'
        WHEN evidence.available_at <= coalesce(evidence.boot_at, 'infinity') THEN 'available'
        WHEN evidence.boot_at IS NOT NULL THEN 'boot'
        WHEN evidence.evidence_at < %(as_of)s::timestamptz - INTERVAL '24 hours' THEN 'silence'
    END AS inferred_by
FROM evidence;

-- name: choose_power
-- Of a session with measured power and estimates only what was chosen is used.
UPDATE work_reading AS wr SET power_w = NULL
FROM work_evidence AS ev
WHERE ev.is_mixed AND wr.transaction_id = ev.transaction_id AND wr.is_estimated <> ev.is_estimated;

-- name: make_work_used
-- What a session is computed from, in the order of its time: its start (place 0), the readings (1), its
-- end (2). Times are held within the session: values up to 10 min late count at its edge. Of what is
-- clock-aligned or triggered only what no periodic reading tells is taken. at_s: seconds since 1970, as
-- arithmetic on timestamps is slow.
CREATE TEMPORARY TABLE work_used ON COMMIT DROP AS
SELECT
    wr.transaction_id,
    date_part('epoch', greatest(least(wr.sampled_at, we.ended_at), ws.started_at)) AS at_s,
    1::smallint AS place,
    CASE WHEN wr.kind <> 1 OR NOT ev.has_periodic_energy THEN wr.energy_wh END AS energy_wh,
    CASE WHEN wr.kind <> 1 OR NOT ev.has_periodic_power THEN wr.power_w END AS power_w,
    CASE WHEN wr.kind <> 1 OR NOT ev.has_periodic_interval THEN wr.interval_wh END AS interval_wh,
    wr.temperature_c,
    wr.is_estimated,
    wr.has_soc,
    wr.kind
FROM work_reading AS wr
INNER JOIN work_session AS ws ON wr.transaction_id = ws.transaction_id
INNER JOIN work_end AS we ON wr.transaction_id = we.transaction_id
INNER JOIN work_evidence AS ev ON wr.transaction_id = ev.transaction_id
WHERE
    wr.sampled_at <= we.ended_at + INTERVAL '10 minutes'
    AND CASE wr.kind
        WHEN 0 THEN TRUE
        WHEN 1
            THEN
                NOT (ev.has_periodic_energy OR ev.has_periodic_power OR ev.has_periodic_interval)
                OR (wr.energy_wh IS NOT NULL AND NOT ev.has_periodic_energy)
                OR (wr.power_w IS NOT NULL AND NOT ev.has_periodic_power)
                OR (wr.interval_wh IS NOT NULL AND NOT ev.has_periodic_interval)
        ELSE NOT ev.has_own
    END
UNION ALL
SELECT
    ws.transaction_id, date_part('epoch', edge.at), edge.place, edge.energy_wh, NULL, NULL, NULL, FALSE, FALSE, NULL
FROM work_session AS ws
INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
CROSS JOIN LATERAL (
    VALUES (ws.started_at, 0::smallint, ws.meter_start_wh), (we.ended_at, 2::smallint, nullif(ws.meter_stop_wh, 0))
) AS edge (at, place, energy_wh)
ORDER BY transaction_id, at_s, place, energy_wh, power_w;

-- name: make_work_reach
-- Per session: its length and the most energy it can have had, how many readings it has, whether
-- they hold power, how long a pause is a gap, how far the first and the last power reach. Whole seconds and coarse
-- registers make short sessions look too strong: a minute and 1 kWh are granted. Where the rated power is not known, or
-- not the time, only what a vehicle can hold bounds the energy: 1 MWh.
CREATE TEMPORARY TABLE work_reach ON COMMIT DROP AS
WITH counted AS (
    SELECT
        wu.transaction_id,
        count(*)::integer AS readings,
        count(wu.power_w) AS powers,
        bool_or(wu.is_estimated AND wu.power_w IS NOT NULL) AS is_estimated,
        bool_or(wu.has_soc) AS has_soc,
        bool_or(wu.kind = 2) AS is_borrowed,
        count(wu.energy_wh) AS registers,
        count(wu.interval_wh) AS intervals,
        max(wu.temperature_c) AS temperature_max_c,
        max(wu.power_w) AS peak_power_w,
        max(wu.at_s) - min(wu.at_s) AS span_s
    FROM work_used AS wu
    WHERE wu.place = 1
    GROUP BY wu.transaction_id
),

-- A median above 100 s needs a mean above 50 s: only then it is worth computing.
sparse AS (
    SELECT
        pause.transaction_id,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY pause.length_s) AS period_s
    FROM (
        SELECT
            wu.transaction_id,
            wu.at_s - lag(wu.at_s) OVER (PARTITION BY wu.transaction_id ORDER BY wu.at_s) AS length_s
        FROM work_used AS wu
        INNER JOIN counted ON wu.transaction_id = counted.transaction_id
        WHERE
            wu.place = 1 AND counted.span_s > 50 * counted.readings
            AND (wu.power_w IS NOT NULL OR counted.powers = 0)
    ) AS pause
    WHERE pause.length_s > 0
    GROUP BY pause.transaction_id
)

SELECT
    ws.transaction_id,
    date_part('epoch', ws.started_at) AS started_s,
    date_part('epoch', we.ended_at - ws.started_at) AS duration_s,
    ws.rated_power_w,
    timed.has_time,
    greatest(
        ws.rated_power_w * (date_part('epoch', we.ended_at - ws.started_at) + 60) / 3600 * 1.05,
        CASE WHEN ws.is_rated AND timed.has_time THEN 1000 ELSE 1000000 END
    ) AS limit_wh,
    coalesce(counted.readings, 0) AS readings,
    coalesce(counted.powers > 0, FALSE) AS has_power,
    coalesce(counted.is_estimated, FALSE) AS is_estimated,
    coalesce(counted.has_soc, FALSE) AS has_soc,
    coalesce(counted.is_borrowed, FALSE) AS is_borrowed,
    coalesce(counted.registers, 0) AS registers,
    coalesce(counted.intervals, 0) AS intervals,
    counted.temperature_max_c,
    counted.peak_power_w,
    greatest(300, 3 * coalesce(sparse.period_s, 0)) AS gap_limit_s,
    -- A sample is due every period: what it says holds that long, and a little more, beyond the readings.
    CASE WHEN counted.powers > 1 THEN 1.5 * coalesce(sparse.period_s, counted.span_s / (counted.powers - 1)) END AS edge_limit_s
FROM work_session AS ws
INNER JOIN work_end AS we ON ws.transaction_id = we.transaction_id
CROSS JOIN LATERAL (
    SELECT
        we.ended_at > ws.started_at AND we.stops_before_start IS NOT TRUE AND NOT ws.flags @> ARRAY['clock'] AS has_time
) AS timed
LEFT JOIN counted ON ws.transaction_id = counted.transaction_id
LEFT JOIN sparse ON ws.transaction_id = sparse.transaction_id;
