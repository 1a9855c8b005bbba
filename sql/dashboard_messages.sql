-- The raw conversation. Asked by dashboard/data/messages.py, as eletroposto_dashboard, of report only.

-- name: messages
-- Frames of a window, newest first; the answer to a CALL stands beside it, whoever sent it. kind: errors (CALLERROR, or
-- unreadable), unanswered, aside (a piece of it could not become a fact).
SELECT
    ex.received_at,
    ex.charge_point,
    ex.direction,
    ex.message_type,
    ex.action,
    ex.message_id,
    extract(EPOCH FROM coalesce(ex.answered_at, theirs.received_at) - ex.received_at) * 1000 AS latency_ms,
    left(ex.raw, 4000) AS raw,
    left(coalesce(ex.answer, theirs.raw), 4000) AS answer,
    CASE WHEN %(kind)s::text = 'aside' THEN kept.reasons END AS set_aside
FROM report.ocpp_exchange AS ex
LEFT JOIN LATERAL (
    SELECT reply.received_at, reply.raw
    FROM report.ocpp_exchange AS reply
    WHERE
        ex.direction = 'out' AND ex.message_type = 2
        AND reply.charge_point = ex.charge_point
        AND reply.received_at BETWEEN ex.received_at AND ex.received_at + INTERVAL '1 hour'
        AND reply.direction = 'in' AND reply.message_type IN (3, 4) AND reply.message_id = ex.message_id
    ORDER BY reply.received_at
    LIMIT 1
) AS theirs ON TRUE
LEFT JOIN LATERAL (
    SELECT string_agg(DISTINCT aside.reason, '; ') AS reasons
    FROM report.set_aside AS aside
    WHERE
        %(kind)s::text = 'aside'
        AND aside.charge_point = ex.charge_point
        AND aside.received_at = ex.received_at
) AS kept ON TRUE
WHERE
    ex.received_at >= %(since)s
    AND ex.received_at < %(until)s
    AND (%(charge_points)s::text[] IS NULL OR ex.charge_point = ANY(%(charge_points)s))
    AND (%(action)s::text IS NULL OR ex.action = %(action)s)
    AND (%(direction)s::text IS NULL OR ex.direction = %(direction)s)
    AND (%(message_id)s::text IS NULL OR ex.message_id = %(message_id)s)
    -- An answer to a CALL of ours stands in the row of the CALL.
    AND NOT (
        ex.direction = 'in' AND coalesce(ex.message_type IN (3, 4), FALSE) AND EXISTS (
            SELECT 1 FROM report.ocpp_exchange AS call
            WHERE
                call.charge_point = ex.charge_point
                AND call.received_at BETWEEN ex.received_at - INTERVAL '1 hour' AND ex.received_at
                AND call.direction = 'out' AND call.message_type = 2 AND call.message_id = ex.message_id
        )
    )
    AND (
        %(text)s::text IS NULL
        OR strpos(lower(ex.raw), lower(%(text)s)) > 0
        OR strpos(lower(coalesce(ex.answer, theirs.raw)), lower(%(text)s)) > 0
    )
    AND (
        %(kind)s::text <> 'errors'
        OR ex.message_type = 4 OR ex.message_type IS NULL OR coalesce(ex.answer, theirs.raw) LIKE '[4%%'
    )
    AND (%(kind)s::text <> 'unanswered' OR (ex.message_type = 2 AND coalesce(ex.answer, theirs.raw) IS NULL))
    AND (
        %(kind)s::text <> 'aside'
        OR (ex.charge_point, ex.received_at) IN (
            SELECT
                piece.charge_point,
                piece.received_at
            FROM report.set_aside AS piece
            WHERE piece.received_at >= %(since)s AND piece.received_at < %(until)s
        )
    )
ORDER BY ex.received_at DESC
LIMIT %(rows)s;
