-- Sums that a year of a large network is answered from: of days over the network, of months by connector and by
-- tag. They follow what they are sums of: a change marks its day, days that are marked are added up anew by whoever
-- asks, and the flows write their sums down when they have done their work.

-- ---------------------------------------------------------------- which days have changed

CREATE TABLE unsummed_day (
    day  date NOT NULL,
    what text NOT NULL CHECK (what IN ('connectors', 'sessions'))
);
CREATE INDEX unsummed_day_by_what ON unsummed_day (what, day);
COMMENT ON TABLE unsummed_day IS
'Days whose sums are not written down, once or more often: a list to add to, so that writers never wait for each other';
COMMENT ON COLUMN unsummed_day.what IS 'connectors: consumption_day or availability_day changed; sessions: session or session_cost';

INSERT INTO unsummed_day (day, what)
SELECT con.day, 'connectors' FROM consumption_day AS con
UNION
SELECT av.day, 'connectors' FROM availability_day AS av
UNION
SELECT DISTINCT local_day(ses.started_at), 'sessions' FROM session AS ses;

CREATE FUNCTION mark_connector_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO unsummed_day (day, what) SELECT DISTINCT changed.day, 'connectors' FROM changed;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION mark_connector_days IS 'Mark the days of changed rows of consumption_day or availability_day';

CREATE FUNCTION mark_session_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO unsummed_day (day, what) SELECT DISTINCT local_day(changed.started_at), 'sessions' FROM changed;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION mark_session_days IS 'Mark the days on which changed sessions began';

CREATE FUNCTION mark_cost_days() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO unsummed_day (day, what)
    SELECT DISTINCT local_day(ses.started_at), 'sessions'
    FROM changed
    INNER JOIN session AS ses ON changed.transaction_id = ses.transaction_id;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION mark_cost_days IS 'Mark the days on which sessions began whose cost changed';

CREATE TRIGGER unsum_insert AFTER INSERT ON consumption_day
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_connector_days();
CREATE TRIGGER unsum_update AFTER UPDATE ON consumption_day
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_connector_days();
CREATE TRIGGER unsum_delete AFTER DELETE ON consumption_day
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_connector_days();
CREATE TRIGGER unsum_insert AFTER INSERT ON availability_day
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_connector_days();
CREATE TRIGGER unsum_update AFTER UPDATE ON availability_day
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_connector_days();
CREATE TRIGGER unsum_delete AFTER DELETE ON availability_day
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_connector_days();
CREATE TRIGGER unsum_insert AFTER INSERT ON session
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_session_days();
CREATE TRIGGER unsum_update AFTER UPDATE ON session
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_session_days();
CREATE TRIGGER unsum_delete AFTER DELETE ON session
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_session_days();
CREATE TRIGGER unsum_moved AFTER UPDATE ON session
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_session_days();
CREATE TRIGGER unsum_insert AFTER INSERT ON session_cost
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_cost_days();
CREATE TRIGGER unsum_update AFTER UPDATE ON session_cost
REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_cost_days();
CREATE TRIGGER unsum_delete AFTER DELETE ON session_cost
REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION mark_cost_days();

-- ---------------------------------------------------------------- the sums

CREATE VIEW connector_day AS
SELECT
    con.charge_point,
    con.connector_id,
    con.day,
    con.energy_wh,
    con.ponta_wh,
    con.intermediario_wh,
    con.fora_ponta_wh,
    con.unpriced_wh,
    con.cost,
    con.cost_ponta,
    con.cost_intermediario,
    con.cost_fora_ponta,
    con.cost_if_fora_ponta,
    con.sessions,
    con.attempts,
    con.idle_s,
    con.plug_ins,
    con.plug_ins_served,
    NULL::double precision AS observed_s,
    NULL::double precision AS up_s,
    NULL::double precision AS down_s,
    NULL::double precision AS unknown_s,
    NULL::double precision AS excluded_s,
    NULL::double precision AS plugged_s,
    NULL::double precision AS operational_s,
    NULL::double precision AS charging_s
FROM report.consumption_day AS con
UNION ALL
SELECT
    av.charge_point,
    av.connector_id,
    av.day,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    av.observed_s,
    av.up_s,
    av.down_s,
    av.unknown_s,
    av.excluded_s,
    av.plugged_s,
    av.operational_s,
    NULL
FROM report.availability AS av
UNION ALL
SELECT
    use.charge_point,
    use.connector_id,
    use.day,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    NULL,
    use.charging_s
FROM report.utilisation AS use;
COMMENT ON VIEW connector_day IS 'What is added up, a row of each kind per connector and day';

CREATE TABLE network_day (
    day date PRIMARY KEY,
    energy_wh double precision,
    ponta_wh double precision,
    intermediario_wh double precision,
    fora_ponta_wh double precision,
    unpriced_wh double precision,
    cost double precision,
    cost_ponta double precision,
    cost_intermediario double precision,
    cost_fora_ponta double precision,
    cost_if_fora_ponta double precision,
    sessions bigint,
    attempts bigint,
    idle_s double precision,
    plug_ins bigint,
    plug_ins_served bigint,
    observed_s double precision,
    up_s double precision,
    down_s double precision,
    unknown_s double precision,
    excluded_s double precision,
    plugged_s double precision,
    operational_s double precision,
    charging_s double precision
);
COMMENT ON TABLE network_day IS 'Sums of a local day over all connectors; NULL: nothing to sum';
COMMENT ON COLUMN network_day.day IS 'Local day';
COMMENT ON COLUMN network_day.energy_wh IS 'Energy delivered, Wh';
COMMENT ON COLUMN network_day.ponta_wh IS 'Part of it in the posto ponta, Wh';
COMMENT ON COLUMN network_day.intermediario_wh IS 'Part of it in the posto intermediario, Wh';
COMMENT ON COLUMN network_day.fora_ponta_wh IS 'Part of it in the posto fora ponta, Wh';
COMMENT ON COLUMN network_day.unpriced_wh IS 'Part of it for which no tariff, or more than one, is in force, Wh';
COMMENT ON COLUMN network_day.cost IS 'Cost of the priced energy, in the currency of the tariff';
COMMENT ON COLUMN network_day.cost_ponta IS 'Part of it in the posto ponta';
COMMENT ON COLUMN network_day.cost_intermediario IS 'Part of it in the posto intermediario';
COMMENT ON COLUMN network_day.cost_fora_ponta IS 'Part of it in the posto fora ponta';
COMMENT ON COLUMN network_day.cost_if_fora_ponta IS 'The same energy at the price outside the peak';
COMMENT ON COLUMN network_day.sessions IS 'Sessions begun, attempts not counted';
COMMENT ON COLUMN network_day.attempts IS 'Attempts begun';
COMMENT ON COLUMN network_day.idle_s IS 'Time plugged in without charging, after the grace, s';
COMMENT ON COLUMN network_day.plug_ins IS 'Times a vehicle was plugged in';
COMMENT ON COLUMN network_day.plug_ins_served IS 'Of these, with 0.1 kWh delivered within 5 min';
COMMENT ON COLUMN network_day.observed_s IS 'Time observed, s';
COMMENT ON COLUMN network_day.up_s IS 'Time up, s';
COMMENT ON COLUMN network_day.down_s IS 'Time down, s';
COMMENT ON COLUMN network_day.unknown_s IS 'Time of which nothing is known, s';
COMMENT ON COLUMN network_day.excluded_s IS 'Part of down_s that people excluded, s';
COMMENT ON COLUMN network_day.plugged_s IS 'Time with a vehicle plugged in, s';
COMMENT ON COLUMN network_day.operational_s IS 'Time in operation, s';
COMMENT ON COLUMN network_day.charging_s IS 'Time charging, s';

CREATE TABLE connector_month (
    month        date    NOT NULL,
    charge_point text    NOT NULL,
    connector_id integer NOT NULL,
    energy_wh double precision,
    ponta_wh double precision,
    intermediario_wh double precision,
    fora_ponta_wh double precision,
    unpriced_wh double precision,
    cost double precision,
    cost_ponta double precision,
    cost_intermediario double precision,
    cost_fora_ponta double precision,
    cost_if_fora_ponta double precision,
    sessions bigint,
    attempts bigint,
    idle_s double precision,
    plug_ins bigint,
    plug_ins_served bigint,
    observed_s double precision,
    up_s double precision,
    down_s double precision,
    unknown_s double precision,
    excluded_s double precision,
    plugged_s double precision,
    operational_s double precision,
    charging_s double precision,
    PRIMARY KEY (month, charge_point, connector_id)
);
COMMENT ON TABLE connector_month IS 'Sums of a month per connector; NULL: nothing to sum';
COMMENT ON COLUMN connector_month.month IS 'First day of the month';
COMMENT ON COLUMN connector_month.charge_point IS 'Identity of the charge point';
COMMENT ON COLUMN connector_month.energy_wh IS 'Energy delivered, Wh';
COMMENT ON COLUMN connector_month.ponta_wh IS 'Part of it in the posto ponta, Wh';
COMMENT ON COLUMN connector_month.intermediario_wh IS 'Part of it in the posto intermediario, Wh';
COMMENT ON COLUMN connector_month.fora_ponta_wh IS 'Part of it in the posto fora ponta, Wh';
COMMENT ON COLUMN connector_month.unpriced_wh IS 'Part of it for which no tariff, or more than one, is in force, Wh';
COMMENT ON COLUMN connector_month.cost IS 'Cost of the priced energy, in the currency of the tariff';
COMMENT ON COLUMN connector_month.cost_ponta IS 'Part of it in the posto ponta';
COMMENT ON COLUMN connector_month.cost_intermediario IS 'Part of it in the posto intermediario';
COMMENT ON COLUMN connector_month.cost_fora_ponta IS 'Part of it in the posto fora ponta';
COMMENT ON COLUMN connector_month.cost_if_fora_ponta IS 'The same energy at the price outside the peak';
COMMENT ON COLUMN connector_month.sessions IS 'Sessions begun, attempts not counted';
COMMENT ON COLUMN connector_month.attempts IS 'Attempts begun';
COMMENT ON COLUMN connector_month.idle_s IS 'Time plugged in without charging, after the grace, s';
COMMENT ON COLUMN connector_month.plug_ins IS 'Times a vehicle was plugged in';
COMMENT ON COLUMN connector_month.plug_ins_served IS 'Of these, with 0.1 kWh delivered within 5 min';
COMMENT ON COLUMN connector_month.observed_s IS 'Time observed, s';
COMMENT ON COLUMN connector_month.up_s IS 'Time up, s';
COMMENT ON COLUMN connector_month.down_s IS 'Time down, s';
COMMENT ON COLUMN connector_month.unknown_s IS 'Time of which nothing is known, s';
COMMENT ON COLUMN connector_month.excluded_s IS 'Part of down_s that people excluded, s';
COMMENT ON COLUMN connector_month.plugged_s IS 'Time with a vehicle plugged in, s';
COMMENT ON COLUMN connector_month.operational_s IS 'Time in operation, s';
COMMENT ON COLUMN connector_month.charging_s IS 'Time charging, s';

CREATE TABLE session_day (
    day            date   PRIMARY KEY,
    sessions       bigint NOT NULL,
    attempts       bigint NOT NULL,
    continued      bigint NOT NULL,
    unknown_energy bigint NOT NULL,
    energy_wh      double precision,
    duration_s     double precision,
    idle_s         double precision,
    cost           double precision
);
COMMENT ON TABLE session_day IS 'Sums of the sessions begun on a local day, each whole';
COMMENT ON COLUMN session_day.day IS 'Local day';
COMMENT ON COLUMN session_day.sessions IS 'Sessions, attempts not counted';
COMMENT ON COLUMN session_day.attempts IS 'Attempts';
COMMENT ON COLUMN session_day.continued IS 'Of both, those that go on with the plug-in of an earlier one';
COMMENT ON COLUMN session_day.unknown_energy IS 'Of both, those whose energy is unknown';
COMMENT ON COLUMN session_day.energy_wh IS 'Energy of both, Wh';
COMMENT ON COLUMN session_day.duration_s IS 'Duration of both, s';
COMMENT ON COLUMN session_day.idle_s IS 'Time plugged in without charging, after the grace, s';
COMMENT ON COLUMN session_day.cost IS 'Cost of the priced energy, in the currency of the tariff';

CREATE TABLE tag_month (
    month      date   NOT NULL,
    id_tag_key text   NOT NULL,
    sessions   bigint NOT NULL,
    attempts   bigint NOT NULL,
    energy_wh  double precision,
    cost       double precision,
    PRIMARY KEY (month, id_tag_key)
);
COMMENT ON TABLE tag_month IS 'Sums of the sessions begun in a month, each whole, by who charged';
COMMENT ON COLUMN tag_month.month IS 'First day of the month';
COMMENT ON COLUMN tag_month.id_tag_key IS 'upper(btrim(id_tag)), the key as in id_tag; empty: unknown';
COMMENT ON COLUMN tag_month.sessions IS 'Sessions, attempts not counted';
COMMENT ON COLUMN tag_month.attempts IS 'Attempts';
COMMENT ON COLUMN tag_month.energy_wh IS 'Energy of both, Wh';
COMMENT ON COLUMN tag_month.cost IS 'Cost of the priced energy, in the currency of the tariff';

CREATE FUNCTION report.sums_of_day(of_day date) RETURNS SETOF network_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        of_day,
        sum(cd.energy_wh),
        sum(cd.ponta_wh),
        sum(cd.intermediario_wh),
        sum(cd.fora_ponta_wh),
        sum(cd.unpriced_wh),
        sum(cd.cost),
        sum(cd.cost_ponta),
        sum(cd.cost_intermediario),
        sum(cd.cost_fora_ponta),
        sum(cd.cost_if_fora_ponta),
        sum(cd.sessions)::bigint,
        sum(cd.attempts)::bigint,
        sum(cd.idle_s),
        sum(cd.plug_ins)::bigint,
        sum(cd.plug_ins_served)::bigint,
        sum(cd.observed_s),
        sum(cd.up_s),
        sum(cd.down_s),
        sum(cd.unknown_s),
        sum(cd.excluded_s),
        sum(cd.plugged_s),
        sum(cd.operational_s),
        sum(cd.charging_s)
    FROM connector_day AS cd
    WHERE cd.day = of_day
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION report.sums_of_day IS 'Sums of a day over all connectors, added up now; no row: nothing to sum';

CREATE FUNCTION report.sums_of_connectors(first_day date, last_day date) RETURNS SETOF connector_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        first_day,
        cd.charge_point,
        cd.connector_id,
        sum(cd.energy_wh),
        sum(cd.ponta_wh),
        sum(cd.intermediario_wh),
        sum(cd.fora_ponta_wh),
        sum(cd.unpriced_wh),
        sum(cd.cost),
        sum(cd.cost_ponta),
        sum(cd.cost_intermediario),
        sum(cd.cost_fora_ponta),
        sum(cd.cost_if_fora_ponta),
        sum(cd.sessions)::bigint,
        sum(cd.attempts)::bigint,
        sum(cd.idle_s),
        sum(cd.plug_ins)::bigint,
        sum(cd.plug_ins_served)::bigint,
        sum(cd.observed_s),
        sum(cd.up_s),
        sum(cd.down_s),
        sum(cd.unknown_s),
        sum(cd.excluded_s),
        sum(cd.plugged_s),
        sum(cd.operational_s),
        sum(cd.charging_s)
    FROM connector_day AS cd
    WHERE cd.day BETWEEN first_day AND last_day
    GROUP BY cd.charge_point, cd.connector_id
$$;
COMMENT ON FUNCTION report.sums_of_connectors IS 'Sums of some days per connector, added up now; month is their first day';

CREATE FUNCTION report.sums_of_sessions(of_day date) RETURNS SETOF session_day
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
        sum(price.cost)
    FROM session AS ses
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(of_day) AND ses.started_at < local_midnight(of_day + 1)
    HAVING count(*) > 0
$$;
COMMENT ON FUNCTION report.sums_of_sessions IS 'Sums of the sessions begun on a day, added up now; no row: none began';

CREATE FUNCTION report.sums_of_tags(first_day date, last_day date) RETURNS SETOF tag_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT
        first_day,
        coalesce(upper(btrim(tx.id_tag)), ''),
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        sum(ses.energy_wh),
        sum(price.cost)
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id
    WHERE ses.started_at >= local_midnight(first_day) AND ses.started_at < local_midnight(last_day + 1)
    GROUP BY coalesce(upper(btrim(tx.id_tag)), '')
$$;
COMMENT ON FUNCTION report.sums_of_tags IS 'Sums of the sessions begun on some days by who charged, added up now; month is their first day';

-- ---------------------------------------------------------------- writing them down

CREATE FUNCTION report.last_day_of(month date) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (date_trunc('month', month::timestamp) + INTERVAL '1 month - 1 day')::date;
COMMENT ON FUNCTION report.last_day_of IS 'The last day of the month in which a day lies';

CREATE FUNCTION write_sums() RETURNS void
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
    DELETE FROM session_day AS old WHERE old.day = ANY(session_days);
    INSERT INTO session_day SELECT fresh.* FROM unnest(session_days) AS each (day), report.sums_of_sessions(each.day) AS fresh;
    DELETE FROM connector_month AS old
    WHERE old.month IN (SELECT date_trunc('month', each.day)::date FROM unnest(connector_days) AS each (day));
    INSERT INTO connector_month
    SELECT fresh.*
    FROM (SELECT DISTINCT date_trunc('month', each.day)::date AS month FROM unnest(connector_days) AS each (day)) AS dates,
        report.sums_of_connectors(dates.month, report.last_day_of(dates.month)) AS fresh;
    DELETE FROM tag_month AS old
    WHERE old.month IN (SELECT date_trunc('month', each.day)::date FROM unnest(session_days) AS each (day));
    INSERT INTO tag_month
    SELECT fresh.*
    FROM (SELECT DISTINCT date_trunc('month', each.day)::date AS month FROM unnest(session_days) AS each (day)) AS dates,
        report.sums_of_tags(dates.month, report.last_day_of(dates.month)) AS fresh;
END;
$$;
COMMENT ON FUNCTION write_sums IS 'Write down the sums of all days that are marked';

CREATE FUNCTION write_sums_after_flow() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM write_sums();
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION write_sums_after_flow IS 'A flow that moves its watermark has done its work';
CREATE TRIGGER write_sums AFTER INSERT OR UPDATE ON flow_watermark
FOR EACH STATEMENT EXECUTE FUNCTION write_sums_after_flow();

-- ---------------------------------------------------------------- the public face

CREATE VIEW report.network_day AS
SELECT sums.*
FROM network_day AS sums
WHERE NOT EXISTS (SELECT FROM unsummed_day AS un WHERE un.what = 'connectors' AND un.day = sums.day)
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT un.day FROM unsummed_day AS un WHERE un.what = 'connectors') AS marked
CROSS JOIN LATERAL report.sums_of_day(marked.day) AS fresh;
COMMENT ON VIEW report.network_day IS 'Sums of a local day over all connectors; for percentages divide sums';

CREATE VIEW report.connector_month AS
SELECT sums.*
FROM connector_month AS sums
WHERE
    NOT EXISTS (
        SELECT FROM unsummed_day AS un
        WHERE un.what = 'connectors' AND date_trunc('month', un.day)::date = sums.month
    )
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT date_trunc('month', un.day)::date AS month FROM unsummed_day AS un WHERE un.what = 'connectors') AS marked
CROSS JOIN LATERAL report.sums_of_connectors(marked.month, report.last_day_of(marked.month)) AS fresh;
COMMENT ON VIEW report.connector_month IS 'Sums of a month per connector; for percentages divide sums';

CREATE VIEW report.session_day AS
SELECT sums.*
FROM session_day AS sums
WHERE NOT EXISTS (SELECT FROM unsummed_day AS un WHERE un.what = 'sessions' AND un.day = sums.day)
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT un.day FROM unsummed_day AS un WHERE un.what = 'sessions') AS marked
CROSS JOIN LATERAL report.sums_of_sessions(marked.day) AS fresh;
COMMENT ON VIEW report.session_day IS 'Sums of the sessions begun on a local day, each whole; attempts are no sessions';

CREATE VIEW report.tag_month AS
SELECT sums.*
FROM tag_month AS sums
WHERE NOT EXISTS (SELECT FROM unsummed_day AS un WHERE un.what = 'sessions' AND date_trunc('month', un.day)::date = sums.month)
UNION ALL
SELECT fresh.*
FROM (SELECT DISTINCT date_trunc('month', un.day)::date AS month FROM unsummed_day AS un WHERE un.what = 'sessions') AS marked
CROSS JOIN LATERAL report.sums_of_tags(marked.month, report.last_day_of(marked.month)) AS fresh;
COMMENT ON VIEW report.tag_month IS 'Sums of the sessions begun in a month, each whole, by who charged';

CREATE FUNCTION report.sums_of_days(first_day date, last_day date, charge_points text[]) RETURNS SETOF network_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT written.*
    FROM report.network_day AS written
    WHERE charge_points IS NULL AND written.day BETWEEN first_day AND last_day
    UNION ALL
    SELECT
        cd.day,
        sum(cd.energy_wh),
        sum(cd.ponta_wh),
        sum(cd.intermediario_wh),
        sum(cd.fora_ponta_wh),
        sum(cd.unpriced_wh),
        sum(cd.cost),
        sum(cd.cost_ponta),
        sum(cd.cost_intermediario),
        sum(cd.cost_fora_ponta),
        sum(cd.cost_if_fora_ponta),
        sum(cd.sessions)::bigint,
        sum(cd.attempts)::bigint,
        sum(cd.idle_s),
        sum(cd.plug_ins)::bigint,
        sum(cd.plug_ins_served)::bigint,
        sum(cd.observed_s),
        sum(cd.up_s),
        sum(cd.down_s),
        sum(cd.unknown_s),
        sum(cd.excluded_s),
        sum(cd.plugged_s),
        sum(cd.operational_s),
        sum(cd.charging_s)
    FROM connector_day AS cd
    WHERE charge_points IS NOT NULL AND cd.charge_point = ANY(charge_points) AND cd.day BETWEEN first_day AND last_day
    GROUP BY cd.day
$$;
COMMENT ON FUNCTION report.sums_of_days IS
'Sums of each day of a period, its ends included: over these charge points, or with NULL over all as written down';

CREATE FUNCTION report.parts_of_period(first_day date, last_day date) RETURNS TABLE (part_first date, part_last date)
LANGUAGE sql IMMUTABLE AS $$
    SELECT head.part_first, head.part_last
    FROM (SELECT first_day AS part_first, least(last_day, report.last_day_of(first_day)) AS part_last) AS head
    WHERE first_day > date_trunc('month', first_day) OR last_day < report.last_day_of(first_day)
    UNION ALL
    SELECT date_trunc('month', last_day)::date, last_day
    WHERE date_trunc('month', last_day) > date_trunc('month', first_day) AND last_day < report.last_day_of(last_day)
$$;
COMMENT ON FUNCTION report.parts_of_period IS 'The parts of a period, its ends included, that are no whole months';

CREATE FUNCTION report.sums_of_period(first_day date, last_day date) RETURNS SETOF connector_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT whole.*
    FROM report.connector_month AS whole
    WHERE whole.month >= first_day AND report.last_day_of(whole.month) <= last_day
    UNION ALL
    SELECT fresh.*
    FROM report.parts_of_period(first_day, last_day) AS part
    CROSS JOIN LATERAL report.sums_of_connectors(part.part_first, part.part_last) AS fresh
$$;
COMMENT ON FUNCTION report.sums_of_period IS
'Sums of a period, its ends included, per connector: of whole months as written down, of the parts as added up now. Add up the rows';

CREATE FUNCTION report.tags_of_period(first_day date, last_day date) RETURNS SETOF tag_month
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT whole.*
    FROM report.tag_month AS whole
    WHERE whole.month >= first_day AND report.last_day_of(whole.month) <= last_day
    UNION ALL
    SELECT fresh.*
    FROM report.parts_of_period(first_day, last_day) AS part
    CROSS JOIN LATERAL report.sums_of_tags(part.part_first, part.part_last) AS fresh
$$;
COMMENT ON FUNCTION report.tags_of_period IS 'Sums of the sessions begun in a period by who charged. Add up the rows';

-- Days of which little is known are few, and asked for at every look at the bars.
CREATE INDEX availability_day_unknown ON availability_day (day) WHERE unknown_s > 0;

GRANT SELECT ON report.network_day, report.connector_month, report.session_day, report.tag_month
TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
