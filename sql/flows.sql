-- What the flows ask and write. Set-based; every statement may run again and gives the same rows.
-- Formulas: docs/how-numbers-are-calculated.md. Base units; intervals are [start, end).

-- Here: work that waits, and the record of runs. The rest is in flows_*.sql, a file per flow.

-- name: claim_windows
-- Hand the touched hours to every flow that follows them. Ingest may mark an hour up to 60 s after
-- it stored there, so a young mark is looked at but kept for the next time.
WITH seen AS (
    SELECT charge_point_id, hour, max(marked_at) AS marked_at
    FROM touched_window
    GROUP BY charge_point_id, hour
),

handed AS (
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT flow.name, seen.charge_point_id, seen.hour
    FROM seen
    CROSS JOIN (VALUES ('sessions'), ('reconcile_dojot')) AS flow (name)
    WHERE flow.name = 'sessions' OR EXISTS (SELECT FROM dojot_feed)
    UNION
    SELECT flow.name, seen.charge_point_id, local_midnight(local_day(seen.hour + edge.shift))
    FROM seen
    CROSS JOIN (VALUES ('availability'), ('consumption'), ('quality')) AS flow (name)
    CROSS JOIN (VALUES (INTERVAL '0'), (INTERVAL '59 minutes 59 seconds')) AS edge (shift)
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
)

DELETE FROM touched_window
WHERE marked_at < now() - INTERVAL '2 minutes';

-- name: make_taken_work
-- What a run sees of the work that waits, written down: a clock could not tell it from what was stamped
-- before the run began and committed after it looked.
CREATE TEMPORARY TABLE taken_work AS
SELECT work.charge_point_id, work.hour, work.claimed_at
FROM touched_work AS work
WHERE work.flow = %(flow)s AND (%(claimed_until)s::timestamptz IS NULL OR work.claimed_at <= %(claimed_until)s);

-- name: make_taken_session
CREATE TEMPORARY TABLE taken_session AS
SELECT work.transaction_id, work.claimed_at
FROM session_work AS work
WHERE work.flow = %(flow)s;

-- name: forget_windows
-- Drop the work that was taken, unless it was handed over again meanwhile.
DELETE FROM touched_work AS work
USING taken_work AS taken
WHERE
    work.flow = %(flow)s
    AND work.charge_point_id = taken.charge_point_id
    AND work.hour = taken.hour
    AND work.claimed_at = taken.claimed_at;

-- name: forget_sessions
DELETE FROM session_work AS work
USING taken_session AS taken
WHERE
    work.flow = %(flow)s
    AND work.transaction_id = taken.transaction_id
    AND work.claimed_at = taken.claimed_at;

-- name: watermark
SELECT wm.done_until FROM flow_watermark AS wm WHERE wm.flow = %(flow)s;

-- name: move_watermark
INSERT INTO flow_watermark AS wm (flow, done_until) VALUES (%(flow)s, %(done_until)s)
ON CONFLICT (flow) DO UPDATE SET done_until = greatest(wm.done_until, excluded.done_until), updated_at = now();

-- name: clock
SELECT now() AS now;

-- name: take_turn
-- One run at a time: the second waits.
SELECT pg_advisory_lock(hashtext('eletroposto flow ' || %(turn)s::text));

-- name: try_turn
SELECT pg_try_advisory_lock(hashtext('eletroposto flow ' || %(turn)s::text)) AS is_taken;

-- name: lock_batch
-- Until the transaction ends nobody else writes what is computed of these charge points; NULL: of any.
-- Stripes are taken in their order, so that two who want the same ones do not wait for each other.
SELECT pg_advisory_xact_lock(hashtext('eletroposto flows'), stripe.number)
FROM (
    SELECT DISTINCT mod(asked.charge_point_id, 16) AS number
    FROM unnest(
        coalesce(%(charge_point_ids)s::integer[], ARRAY(SELECT generate_series(0, 15)))
    ) AS asked (charge_point_id)
    ORDER BY number
) AS stripe;

-- name: stripes
-- Charge points in groups whose batches never wait for each other.
SELECT array_agg(cp.identity ORDER BY cp.charge_point_id) AS identities
FROM charge_point AS cp
WHERE %(charge_point_ids)s::integer[] IS NULL OR cp.charge_point_id = ANY(%(charge_point_ids)s)
GROUP BY mod(cp.charge_point_id, 16)
ORDER BY min(cp.charge_point_id);

-- name: everything
-- A window that holds all facts the flows compute from.
SELECT
    least(
        (SELECT min(tx.started_at) FROM transaction AS tx),
        (SELECT min(sn.at) FROM status_notification AS sn),
        (SELECT min(conn.opened_at) FROM connection AS conn),
        now() - INTERVAL '1 day'
    ) AS since,
    now() + INTERVAL '1 day' AS until;

-- name: charge_point_numbers
SELECT cp.identity, cp.charge_point_id
FROM charge_point AS cp
WHERE %(identities)s::text[] IS NULL OR cp.identity = ANY(%(identities)s);

-- name: bury_runs
-- Whoever has the turn knows that an earlier run that is still running was killed.
UPDATE flow_run
SET status = 'failed', finished_at = clock_timestamp(), message = 'ended without a word'
WHERE
    flow = %(flow)s AND status = 'running'
    AND (%(is_window)s::boolean IS NULL OR (parameters ->> 'start' IS NOT NULL) = %(is_window)s);

-- name: begin_run
INSERT INTO flow_run (flow, parameters, url, started_at)
VALUES (%(flow)s, %(parameters)s::jsonb, %(url)s, %(started_at)s)
RETURNING flow_run_id;

-- name: end_run
UPDATE flow_run
SET finished_at = clock_timestamp(), status = %(status)s, summary = %(summary)s::jsonb, message = %(message)s
WHERE flow_run_id = %(flow_run_id)s;
