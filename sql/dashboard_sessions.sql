-- Sessions, and everything about one of them. Asked by dashboard/data/sessions.py, as eletroposto_dashboard, of report only.
-- since and until: the period, [since, until); first_day and last_day: local days, both included.
-- charge_points: identities; NULL means all of them.

-- name: nearest_sessions
-- The last session before the period and the first after it.
SELECT
    (
        SELECT ses.started_at FROM report.session AS ses
        WHERE
            ses.started_at < %(since)s
            AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
        ORDER BY ses.started_at DESC
        LIMIT 1
    ) AS earlier,
    (
        SELECT ses.started_at FROM report.session AS ses
        WHERE
            ses.started_at >= %(until)s
            AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
        ORDER BY ses.started_at
        LIMIT 1
    ) AS later;

-- name: sessions
-- Sessions that began in the period, newest first: so many rows of all that fit the filters; rows NULL: every one.
SELECT
    ses.charge_point,
    cp.name,
    ses.connector_id,
    ses.transaction_id,
    ses.id_tag_alias,
    ses.started_at,
    ses.stopped_at,
    ses.is_open,
    ses.is_attempt,
    ses.duration_s,
    ses.energy_wh,
    ses.energy_source,
    ses.energy_integral_wh,
    ses.energy_delta_percent,
    ses.soc_start_percent,
    ses.soc_end_percent,
    ses.peak_power_w,
    ses.mean_power_w,
    ses.idle_s,
    ses.stop_reason,
    ses.cost,
    ses.unpriced_wh,
    ses.current_type,
    nullif(ses.visit_id, ses.transaction_id) AS continues,
    ses.soc_is_extrapolated,
    ses.pack_estimate_wh,
    array_to_string(ses.flags, ', ') AS flags
FROM report.session AS ses
INNER JOIN report.charge_point AS cp ON ses.charge_point = cp.charge_point
WHERE
    ses.started_at >= %(since)s
    AND ses.started_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
    AND (%(connector_id)s::integer IS NULL OR ses.connector_id = %(connector_id)s)
    AND (%(tag)s::text IS NULL OR strpos(lower(ses.id_tag_alias), lower(%(tag)s)) > 0)
    AND (%(min_wh)s::double precision IS NULL OR ses.energy_wh >= %(min_wh)s)
    AND (%(max_wh)s::double precision IS NULL OR ses.energy_wh <= %(max_wh)s)
    AND (%(min_s)s::double precision IS NULL OR ses.duration_s >= %(min_s)s)
    AND (%(max_s)s::double precision IS NULL OR ses.duration_s <= %(max_s)s)
    AND (%(reason)s::text IS NULL OR ses.stop_reason = %(reason)s)
    AND (%(kind)s::text <> 'open' OR ses.is_open)
    AND (%(kind)s::text <> 'flagged' OR ses.flags <> '{}')
    AND (%(kind)s::text <> 'estimated' OR ses.energy_source NOT IN ('register', 'register_series'))
    AND (%(kind)s::text <> 'served' OR NOT ses.is_attempt)
ORDER BY ses.started_at DESC, ses.transaction_id DESC
LIMIT %(rows)s;

-- name: session_totals
-- Count, energy and time of the sessions that fit the filters. Attempts are no sessions, but their energy counts.
-- With no filter at all they were added up by day.
WITH asked AS (
    SELECT
        (
            %(charge_points)s::text[] IS NULL AND %(connector_id)s::integer IS NULL AND %(tag)s::text IS NULL
            AND %(min_wh)s::double precision IS NULL AND %(max_wh)s::double precision IS NULL
            AND %(min_s)s::double precision IS NULL AND %(max_s)s::double precision IS NULL
            AND %(reason)s::text IS NULL AND %(kind)s::text = 'all'
        ) AS for_all
),

part AS (
    SELECT
        day.sessions,
        day.energy_wh,
        day.duration_s,
        day.idle_s,
        day.cost,
        day.unpriced_wh,
        day.attempts,
        day.unknown_energy,
        day.continued
    FROM report.session_day AS day
    WHERE (SELECT asked.for_all FROM asked) AND day.day BETWEEN %(first_day)s AND %(last_day)s
    UNION ALL
    SELECT
        count(*) FILTER (WHERE NOT ses.is_attempt),
        sum(ses.energy_wh),
        sum(ses.duration_s),
        sum(ses.idle_s),
        sum(ses.cost),
        sum(ses.unpriced_wh),
        count(*) FILTER (WHERE ses.is_attempt),
        count(*) FILTER (WHERE ses.energy_wh IS NULL),
        count(*) FILTER (WHERE ses.visit_id <> ses.transaction_id)
    FROM report.session AS ses
    WHERE
        NOT (SELECT asked.for_all FROM asked)
        AND ses.started_at >= %(since)s
        AND ses.started_at < %(until)s
        AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
        AND (%(connector_id)s::integer IS NULL OR ses.connector_id = %(connector_id)s)
        AND (%(tag)s::text IS NULL OR strpos(lower(ses.id_tag_alias), lower(%(tag)s)) > 0)
        AND (%(min_wh)s::double precision IS NULL OR ses.energy_wh >= %(min_wh)s)
        AND (%(max_wh)s::double precision IS NULL OR ses.energy_wh <= %(max_wh)s)
        AND (%(min_s)s::double precision IS NULL OR ses.duration_s >= %(min_s)s)
        AND (%(max_s)s::double precision IS NULL OR ses.duration_s <= %(max_s)s)
        AND (%(reason)s::text IS NULL OR ses.stop_reason = %(reason)s)
        AND (%(kind)s::text <> 'open' OR ses.is_open)
        AND (%(kind)s::text <> 'flagged' OR ses.flags <> '{}')
        AND (%(kind)s::text <> 'estimated' OR ses.energy_source NOT IN ('register', 'register_series'))
        AND (%(kind)s::text <> 'served' OR NOT ses.is_attempt)
)

SELECT
    coalesce(sum(part.sessions), 0)::bigint AS sessions,
    sum(part.energy_wh) AS energy_wh,
    sum(part.duration_s) AS duration_s,
    sum(part.idle_s) AS idle_s,
    sum(part.cost) AS cost,
    sum(part.unpriced_wh) AS unpriced_wh,
    coalesce(sum(part.attempts), 0)::bigint AS attempts,
    coalesce(sum(part.unknown_energy), 0)::bigint AS unknown_energy,
    coalesce(sum(part.continued), 0)::bigint AS continued
FROM part;

-- name: session
-- One session, whole.
SELECT
    ses.*,
    cp.name,
    cp.vendor,
    cp.model
FROM report.session AS ses
INNER JOIN report.charge_point AS cp ON ses.charge_point = cp.charge_point
WHERE ses.transaction_id = %(transaction_id)s;

-- name: session_visit
-- The sessions of one plug-in taken together.
SELECT
    vis.started_at,
    vis.stopped_at,
    vis.energy_wh,
    vis.sessions,
    vis.transaction_ids
FROM report.visit AS vis
WHERE vis.visit_id = %(visit_id)s;

-- name: session_neighbours
-- The sessions of the same connector just before and after.
SELECT
    (
        SELECT prev.transaction_id FROM report.session AS prev
        WHERE
            prev.charge_point = %(charge_point)s AND prev.connector_id = %(connector_id)s
            AND prev.started_at < %(started_at)s
        ORDER BY prev.started_at DESC
        LIMIT 1
    ) AS earlier,
    (
        SELECT next_.transaction_id FROM report.session AS next_
        WHERE
            next_.charge_point = %(charge_point)s AND next_.connector_id = %(connector_id)s
            AND next_.started_at > %(started_at)s
        ORDER BY next_.started_at
        LIMIT 1
    ) AS later;

-- name: session_curve
-- Readings of a session in buckets of width_s seconds; with 1 s every reading stands alone.
SELECT
    time_bucket(make_interval(secs => %(width_s)s), mv.sampled_at) AS at,
    avg(mv.power_w)::double precision AS power_w,
    min(mv.power_w)::double precision AS power_min_w,
    max(mv.power_w)::double precision AS power_max_w,
    avg(mv.power_offered_w)::double precision AS power_offered_w,
    avg(mv.soc_percent)::double precision AS soc_percent,
    avg(mv.voltage_v)::double precision AS voltage_v,
    avg(mv.current_a)::double precision AS current_a,
    avg(mv.temperature_c)::double precision AS temperature_c,
    max(mv.energy_wh) AS energy_wh,
    count(*) AS readings
FROM report.meter_value AS mv
WHERE
    mv.charge_point = %(charge_point)s
    AND mv.connector_id = %(connector_id)s
    AND mv.sampled_at BETWEEN %(since)s AND %(until)s
    AND (mv.transaction_id = %(transaction_id)s OR mv.transaction_id IS NULL)
GROUP BY 1
ORDER BY 1
LIMIT 2000;

-- name: session_readings
-- Every reading of a session.
SELECT
    mv.sampled_at,
    mv.charge_point,
    mv.connector_id,
    mv.transaction_id,
    mv.context,
    mv.energy_wh,
    mv.power_w::double precision AS power_w,
    mv.soc_percent::double precision AS soc_percent,
    mv.voltage_v::double precision AS voltage_v,
    mv.current_a::double precision AS current_a,
    mv.temperature_c::double precision AS temperature_c,
    mv.current_offered_a::double precision AS current_offered_a,
    mv.power_offered_w::double precision AS power_offered_w,
    mv.extra::text AS extra,
    mv.origin
FROM report.meter_value AS mv
WHERE
    mv.charge_point = %(charge_point)s
    AND mv.connector_id = %(connector_id)s
    AND mv.sampled_at BETWEEN %(since)s AND %(until)s
    AND (mv.transaction_id = %(transaction_id)s OR mv.transaction_id IS NULL)
ORDER BY mv.sampled_at, mv.context
LIMIT 200000;

-- name: session_phases
-- Voltage and current by phase, where the charge point sends phases.
SELECT
    time_bucket(make_interval(secs => %(width_s)s), mv.sampled_at) AS at,
    split_part(part.key, '@', 1) AS measurand,
    avg(part.value::text::double precision) AS value
FROM report.meter_value AS mv
CROSS JOIN LATERAL jsonb_each(mv.extra) AS part (key, value)
WHERE
    mv.charge_point = %(charge_point)s
    AND mv.connector_id = %(connector_id)s
    AND mv.sampled_at BETWEEN %(since)s AND %(until)s
    AND mv.transaction_id = %(transaction_id)s
    AND jsonb_typeof(part.value) = 'number'
    AND part.key ~ '^(Voltage|Current\.Import)\.L[123](-N)?(@Outlet)?$'
GROUP BY 1, 2
ORDER BY 2, 1
LIMIT 4000;

-- name: session_gaps
-- Stretches of a session without readings: longer than 5 min and than three sample periods.
WITH spaced AS (
    SELECT
        mv.sampled_at AS started_at,
        lead(mv.sampled_at, 1, %(until)s::timestamptz) OVER (ORDER BY mv.sampled_at) AS ended_at
    FROM report.meter_value AS mv
    WHERE
        mv.charge_point = %(charge_point)s
        AND mv.connector_id = %(connector_id)s
        AND mv.sampled_at BETWEEN %(since)s AND %(until)s
        AND (mv.transaction_id = %(transaction_id)s OR mv.transaction_id IS NULL)
),

usual AS (
    SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY spaced.ended_at - spaced.started_at) AS period
    FROM spaced
    WHERE spaced.ended_at > spaced.started_at
)

SELECT
    spaced.started_at,
    spaced.ended_at
FROM spaced, usual
WHERE spaced.ended_at - spaced.started_at > greatest(INTERVAL '5 minutes', 3 * usual.period)
ORDER BY spaced.started_at
LIMIT 200;

-- name: session_statuses
-- Status changes around a session.
SELECT
    st.at,
    st.connector_id,
    st.status,
    st.error_code
FROM report.status AS st
WHERE
    st.charge_point = %(charge_point)s
    AND st.connector_id IN (0, %(connector_id)s)
    AND st.at BETWEEN %(since)s::timestamptz - INTERVAL '5 minutes' AND %(until)s::timestamptz + INTERVAL '10 minutes'
ORDER BY st.at
LIMIT 200;

-- name: session_postos
-- Energy and cost of a session by tariff period.
SELECT
    eb.posto,
    sum(eb.energy_wh) AS energy_wh,
    sum(eb.cost) AS cost
FROM report.energy_bucket AS eb
WHERE
    eb.transaction_id = %(transaction_id)s
    AND eb.started_at BETWEEN %(since)s::timestamptz - INTERVAL '15 minutes' AND %(until)s
GROUP BY eb.posto
ORDER BY eb.posto;

-- name: session_frames
-- Exchanges of a session and around it. A charge point that was offline tells a session later than it was, so
-- its frames are sought from where its start arrived to where its stop did. Of the MeterValues and Heartbeats only
-- the first and last two, of all only the head and the tail: omitted says how many of action lie between, dropped how
-- many of any.
WITH opening AS MATERIALIZED (
    SELECT ex.received_at
    FROM report.ocpp_exchange AS ex
    WHERE
        ex.charge_point = %(charge_point)s
        AND ex.received_at BETWEEN %(since)s::timestamptz - INTERVAL '1 day' AND coalesce(
            (SELECT tx.changed_at FROM report.transaction AS tx WHERE tx.transaction_id = %(transaction_id)s), now()
        ) + INTERVAL '1 minute'
        AND ex.action = 'StartTransaction'
        AND substring(ex.answer FROM '"transactionId"\s*:\s*(-?\d+)') = %(transaction_id)s::text
    ORDER BY ex.received_at
    LIMIT 1
),

closing AS MATERIALIZED (
    SELECT ex.received_at
    FROM report.ocpp_exchange AS ex
    WHERE
        ex.charge_point = %(charge_point)s
        AND ex.received_at BETWEEN
        coalesce((SELECT op.received_at FROM opening AS op), %(since)s::timestamptz - INTERVAL '2 minutes')
        AND coalesce(
            (SELECT tx.changed_at FROM report.transaction AS tx WHERE tx.transaction_id = %(transaction_id)s), now()
        ) + INTERVAL '1 minute'
        AND ex.action = 'StopTransaction'
        AND substring(ex.raw FROM '"transactionId"\s*:\s*(-?\d+)') IN (%(transaction_id)s::text, '0', '-1')
    ORDER BY ex.received_at
    LIMIT 1
),

bound AS MATERIALIZED (
    SELECT
        coalesce(op.received_at, %(since)s) AS opened_at,
        coalesce(
            cl.received_at,
            greatest(%(until)s, op.received_at + (%(until)s::timestamptz - %(since)s::timestamptz))
        ) AS closed_at
    FROM (VALUES (1)) AS only_row (number)
    LEFT JOIN opening AS op ON TRUE
    LEFT JOIN closing AS cl ON TRUE
),

told AS (
    SELECT
        ex.received_at,
        ex.direction,
        ex.message_type,
        ex.message_id,
        ex.action,
        ex.raw,
        ex.answered_at,
        ex.answer,
        substring(ex.raw FROM '"transactionId"\s*:\s*(-?\d+)') AS number,
        substring(ex.raw FROM '"connectorId"\s*:\s*(\d+)') AS connector,
        substring(ex.raw FROM '"timestamp"\s*:\s*"(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)') AS clock,
        ex.raw ~ '"timestamp"\s*:\s*"[^"]{10,}(Z|[+-]00:?00)"' AS is_utc,
        ex.action IN ('StartTransaction', 'MeterValues', 'StopTransaction') AS is_own,
        ex.received_at BETWEEN %(since)s::timestamptz - INTERVAL '2 minutes' AND %(until)s::timestamptz + INTERVAL '2 minutes'
        OR ex.received_at BETWEEN bound.opened_at - INTERVAL '2 minutes' AND bound.opened_at + INTERVAL '2 minutes'
        OR ex.received_at BETWEEN bound.closed_at - INTERVAL '2 minutes' AND bound.closed_at + INTERVAL '2 minutes'
        -- Told while it happened, by a clock that may be hours off.
        OR bound.closed_at - bound.opened_at
        < %(until)s::timestamptz - %(since)s::timestamptz + INTERVAL '10 minutes' AS is_near
    FROM report.ocpp_exchange AS ex
    CROSS JOIN bound
    WHERE
        ex.charge_point = %(charge_point)s
        AND ex.received_at BETWEEN
        (SELECT bo.opened_at FROM bound AS bo) - INTERVAL '2 minutes'
        AND (SELECT bo.closed_at FROM bound AS bo) + INTERVAL '2 minutes'
),

around AS (
    SELECT told.*
    FROM told
    WHERE
        (told.is_near OR told.is_own)
        -- What is of other transactions, connectors and times is not of this session.
        AND CASE
            WHEN told.action = 'StartTransaction' AND told.message_type = 2
                THEN
                    coalesce(
                        substring(told.answer FROM '"transactionId"\s*:\s*(-?\d+)') = %(transaction_id)s::text,
                        told.connector = %(connector_id)s::text
                    )
            ELSE coalesce(told.number IN (%(transaction_id)s::text, '0', '-1'), told.action <> 'StopTransaction', TRUE)
        END
        AND coalesce(told.connector IN ('0', %(connector_id)s::text), TRUE)
        AND CASE
            WHEN told.number = %(transaction_id)s::text OR told.clock IS NULL THEN TRUE
            WHEN NOT pg_input_is_valid(told.clock, 'timestamp') THEN TRUE
            WHEN told.is_utc
                THEN
                    told.clock::timestamp AT TIME ZONE 'UTC'
                    BETWEEN %(since)s::timestamptz - INTERVAL '15 minutes' AND %(until)s::timestamptz + INTERVAL '15 minutes'
            ELSE
                told.clock::timestamp AT TIME ZONE 'UTC'
                BETWEEN %(since)s::timestamptz - INTERVAL '1 day' AND %(until)s::timestamptz + INTERVAL '1 day'
        END
),

counted AS (
    SELECT
        around.*,
        row_number() OVER (PARTITION BY around.action ORDER BY around.received_at, around.message_id) AS nth,
        count(*) OVER (PARTITION BY around.action) AS of_action
    FROM around
    WHERE
        -- The answer to a command goes where the command goes.
        around.direction = 'out' OR around.message_type IS NULL OR around.message_type = 2
        OR EXISTS (
            SELECT 1 FROM around AS call
            WHERE call.direction = 'out' AND call.message_type = 2 AND call.message_id = around.message_id
        )
),

shown AS (
    SELECT
        counted.*,
        CASE
            WHEN counted.action IN ('MeterValues', 'Heartbeat') AND counted.nth = 2 AND counted.of_action > 4
                THEN counted.of_action - 4
            ELSE 0
        END AS omitted,
        row_number() OVER (ORDER BY counted.received_at, counted.message_id) AS place,
        count(*) OVER () AS places
    FROM counted
    WHERE
        counted.action IS NULL OR counted.action NOT IN ('MeterValues', 'Heartbeat')
        OR counted.nth <= 2 OR counted.nth > counted.of_action - 2
)

SELECT
    shown.received_at,
    shown.direction,
    shown.message_type,
    shown.message_id,
    shown.action,
    left(shown.raw, 2000) AS raw,
    shown.answered_at,
    left(shown.answer, 1000) AS answer,
    shown.omitted,
    CASE WHEN shown.place = 40 AND shown.places > 80 THEN shown.places - 80 ELSE 0 END AS dropped
FROM shown
WHERE shown.place <= 40 OR shown.place > shown.places - 40
ORDER BY shown.place;

-- name: nevi_sessions
-- The sessions of 23 CFR 680.112, less payment. error_codes: what the connector told from start to last evidence.
WITH chosen AS MATERIALIZED (
    SELECT
        ses.charge_point,
        ses.connector_id,
        ses.transaction_id,
        ses.started_at,
        ses.stopped_at,
        ses.last_evidence_at,
        ses.energy_wh,
        ses.peak_power_w,
        ses.stop_reason,
        array_to_string(ses.flags, ', ') AS flags
    FROM report.session AS ses
    WHERE
        ses.started_at >= %(since)s
        AND ses.started_at < %(until)s
        AND (%(charge_points)s::text[] IS NULL OR ses.charge_point = ANY(%(charge_points)s))
),

told AS (
    SELECT
        chosen.transaction_id,
        string_agg(DISTINCT st.error_code, ', ') AS error_codes
    FROM chosen
    INNER JOIN report.status AS st ON chosen.charge_point = st.charge_point AND chosen.connector_id = st.connector_id
    WHERE
        st.at BETWEEN chosen.started_at AND chosen.last_evidence_at
        AND st.at >= %(since)s
        AND st.at <= (SELECT max(any_.last_evidence_at) FROM chosen AS any_)
        AND st.error_code <> 'NoError'
    GROUP BY chosen.transaction_id
)

SELECT
    chosen.charge_point,
    chosen.connector_id,
    chosen.transaction_id,
    chosen.started_at,
    chosen.stopped_at,
    chosen.energy_wh,
    chosen.peak_power_w,
    told.error_codes,
    chosen.stop_reason,
    chosen.flags
FROM chosen
LEFT JOIN told ON chosen.transaction_id = told.transaction_id
ORDER BY chosen.started_at DESC, chosen.transaction_id DESC;
