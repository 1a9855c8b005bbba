-- A sum of costs that lacks the price of some energy must be able to say so: sums of sessions carry the energy
-- without a price beside the cost.

ALTER TABLE session_day ADD COLUMN unpriced_wh double precision;
ALTER TABLE tag_month ADD COLUMN unpriced_wh double precision;
COMMENT ON COLUMN session_day.unpriced_wh IS 'Part of energy_wh without a price, Wh';
COMMENT ON COLUMN tag_month.unpriced_wh IS 'Part of energy_wh without a price, Wh';

CREATE OR REPLACE FUNCTION report.sums_of_sessions(of_day date) RETURNS SETOF session_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        of_day,
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        count(*) FILTER (WHERE ses.visit_id <> ses.transaction_id),
        count(*) FILTER (WHERE ses.energy_wh IS NULL),
        sum(ses.energy_wh),
        sum(ses.duration_s),
        sum(ses.idle_s),
        sum(price.cost),
        coalesce(sum(price.unpriced_wh), 0)
    FROM session AS ses
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(of_day) AND ses.started_at < local_midnight(of_day + 1)
    HAVING count(*) > 0
$$;

CREATE OR REPLACE FUNCTION report.sums_of_tags(first_day date, last_day date) RETURNS SETOF tag_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        first_day,
        coalesce(upper(btrim(tx.id_tag)), ''),
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        sum(ses.energy_wh),
        sum(price.cost),
        coalesce(sum(price.unpriced_wh), 0)
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(first_day) AND ses.started_at < local_midnight(last_day + 1)
    GROUP BY coalesce(upper(btrim(tx.id_tag)), '')
$$;

CREATE OR REPLACE VIEW report.session_day AS
SELECT sums.*
FROM session_day AS sums
WHERE NOT EXISTS (SELECT FROM unsummed_day AS un WHERE un.what = 'sessions' AND un.day = sums.day)
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT un.day FROM unsummed_day AS un WHERE un.what = 'sessions') AS marked
CROSS JOIN LATERAL report.sums_of_sessions(marked.day) AS fresh;

CREATE OR REPLACE VIEW report.tag_month AS
SELECT sums.*
FROM tag_month AS sums
WHERE NOT EXISTS (SELECT FROM unsummed_day AS un WHERE un.what = 'sessions' AND date_trunc('month', un.day)::date = sums.month)
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT date_trunc('month', un.day)::date AS month FROM unsummed_day AS un WHERE un.what = 'sessions') AS marked
CROSS JOIN LATERAL report.sums_of_tags(marked.month, report.last_day_of(marked.month)) AS fresh;

-- What was written down before, in one pass over the sessions.
WITH unpriced AS (
    SELECT
        local_day(ses.started_at) AS day,
        coalesce(upper(btrim(tx.id_tag)), '') AS id_tag_key,
        coalesce(sum(price.unpriced_wh), 0) AS wh
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    GROUP BY 1, 2
),

days AS (
    UPDATE session_day AS old
    SET unpriced_wh = sums.wh
    FROM (SELECT up.day, sum(up.wh) AS wh FROM unpriced AS up GROUP BY up.day) AS sums
    WHERE old.day = sums.day
)

UPDATE tag_month AS old
SET unpriced_wh = sums.wh
FROM (
    SELECT date_trunc('month', up.day::timestamp)::date AS month, up.id_tag_key, sum(up.wh) AS wh
    FROM unpriced AS up
    GROUP BY 1, 2
) AS sums
WHERE old.month = sums.month AND old.id_tag_key = sums.id_tag_key;
