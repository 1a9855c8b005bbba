-- Periods seldom begin with a month. Sums by tag are of days instead, so none is added up from sessions again; and a
-- month of which nothing is known after the last day asked for counts as whole.

-- ---------------------------------------------------------------- by who charged

CREATE TABLE tag_day (
    day         date   NOT NULL,
    id_tag_key  text   NOT NULL,
    sessions    bigint NOT NULL,
    attempts    bigint NOT NULL,
    energy_wh   double precision,
    cost        double precision,
    unpriced_wh double precision NOT NULL,
    PRIMARY KEY (day, id_tag_key)
);
COMMENT ON TABLE tag_day IS 'Sums of the sessions begun on a local day, each whole, by who charged';
COMMENT ON COLUMN tag_day.day IS 'Local day';
COMMENT ON COLUMN tag_day.id_tag_key IS 'upper(btrim(id_tag)), the key as in id_tag; empty: unknown';
COMMENT ON COLUMN tag_day.sessions IS 'Sessions, attempts not counted';
COMMENT ON COLUMN tag_day.attempts IS 'Attempts';
COMMENT ON COLUMN tag_day.energy_wh IS 'Energy of both, Wh';
COMMENT ON COLUMN tag_day.cost IS 'Cost of the priced energy, in the currency of the tariff';
COMMENT ON COLUMN tag_day.unpriced_wh IS 'Part of energy_wh without a price, Wh';

INSERT INTO tag_day
SELECT
    local_day(ses.started_at),
    coalesce(upper(btrim(tx.id_tag)), ''),
    count(*) FILTER (WHERE NOT ses.is_attempt),
    count(*) FILTER (WHERE ses.is_attempt),
    sum(ses.energy_wh),
    sum(price.cost),
    coalesce(sum(price.unpriced_wh), 0)
FROM session AS ses
INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
GROUP BY 1, 2;

DROP VIEW report.tag_month;
DROP FUNCTION report.tags_of_period;
DROP FUNCTION report.sums_of_tags;
DROP TABLE tag_month;

CREATE FUNCTION report.sums_of_tags(of_day date) RETURNS SETOF tag_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        of_day,
        coalesce(upper(btrim(tx.id_tag)), ''),
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        sum(ses.energy_wh),
        sum(price.cost),
        coalesce(sum(price.unpriced_wh), 0)
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(of_day) AND ses.started_at < local_midnight(of_day + 1)
    GROUP BY coalesce(upper(btrim(tx.id_tag)), '')
$$;
COMMENT ON FUNCTION report.sums_of_tags IS 'Sums of the sessions begun on a day by who charged, added up now';

CREATE VIEW report.tag_day AS
SELECT sums.*
FROM tag_day AS sums
WHERE NOT EXISTS (SELECT FROM unsummed_day AS un WHERE un.what = 'sessions' AND un.day = sums.day)
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT un.day FROM unsummed_day AS un WHERE un.what = 'sessions') AS marked
CROSS JOIN LATERAL report.sums_of_tags(marked.day) AS fresh;
COMMENT ON VIEW report.tag_day IS 'Sums of the sessions begun on a local day, each whole, by who charged';
GRANT SELECT ON report.tag_day TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;

CREATE OR REPLACE FUNCTION write_sums() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    connector_days date[];
    session_days date[];
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('write_sums'));
    -- What others have not committed stays marked for the next time.
    WITH gone AS (DELETE FROM unsummed_day RETURNING day, what)
    SELECT
        coalesce(array_agg(DISTINCT gone.day) FILTER (WHERE gone.what = 'connectors'), '{}'),
        coalesce(array_agg(DISTINCT gone.day) FILTER (WHERE gone.what = 'sessions'), '{}')
    INTO connector_days, session_days
    FROM gone;
    DELETE FROM network_day AS old WHERE old.day = ANY(connector_days);
    INSERT INTO network_day SELECT fresh.* FROM unnest(connector_days) AS each (day), report.sums_of_day(each.day) AS fresh;
    DELETE FROM connector_month AS old
    WHERE old.month IN (SELECT date_trunc('month', each.day)::date FROM unnest(connector_days) AS each (day));
    INSERT INTO connector_month
    SELECT fresh.*
    FROM (SELECT DISTINCT date_trunc('month', each.day)::date AS month FROM unnest(connector_days) AS each (day)) AS dates,
        report.sums_of_connectors(dates.month, report.last_day_of(dates.month)) AS fresh;
    DELETE FROM session_day AS old WHERE old.day = ANY(session_days);
    INSERT INTO session_day SELECT fresh.* FROM unnest(session_days) AS each (day), report.sums_of_sessions(each.day) AS fresh;
    DELETE FROM tag_day AS old WHERE old.day = ANY(session_days);
    INSERT INTO tag_day SELECT fresh.* FROM unnest(session_days) AS each (day), report.sums_of_tags(each.day) AS fresh;
END;
$$;

-- ---------------------------------------------------------------- by connector

CREATE FUNCTION report.last_known_day(last_day date) RETURNS date
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT CASE
        WHEN EXISTS (
            SELECT FROM consumption_day AS con WHERE con.day > last_day AND con.day <= report.last_day_of(last_day)
        ) OR EXISTS (
            SELECT FROM availability_day AS av WHERE av.day > last_day AND av.day <= report.last_day_of(last_day)
        ) THEN last_day
        ELSE report.last_day_of(last_day)
    END
$$;
COMMENT ON FUNCTION report.last_known_day IS
'The last day of the month if nothing is known of the days after this one, which then makes no difference; else this one';

CREATE OR REPLACE FUNCTION report.sums_of_period(first_day date, last_day date) RETURNS SETOF connector_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH period AS (SELECT report.last_known_day(last_day) AS last_day)

    SELECT whole.*
    FROM report.connector_month AS whole
    WHERE whole.month >= first_day AND report.last_day_of(whole.month) <= (SELECT period.last_day FROM period)
    UNION ALL
    SELECT fresh.*
    FROM period
    CROSS JOIN LATERAL report.parts_of_period(first_day, period.last_day) AS part
    CROSS JOIN LATERAL report.sums_of_connectors(part.part_first, part.part_last) AS fresh
$$;

-- ---------------------------------------------------------------- the demand of a site

DROP INDEX site_demand_by_site;
CREATE INDEX site_demand_by_site ON site_demand (site, started_at) INCLUDE (energy_wh);
