-- Functions that act with the rights of the owner are for those that need them; and of what stood twice, or that nothing
-- has asked for since 0021, one is left, or none.

-- ---------------------------------------------------------------- rights

-- Who calls them acts as the owner too: triggers, and functions that are the owner's.
REVOKE EXECUTE ON FUNCTION
write_sums, write_sums_after_flow, readings_kept_since, mark_connector_days, mark_session_days, mark_cost_days,
keep_time_zone
FROM PUBLIC;

-- ---------------------------------------------------------------- what it says of itself

-- Of a date, date_trunc depends on the time zone of who asks; of a timestamp it does not.
CREATE OR REPLACE FUNCTION report.parts_of_period(first_day date, last_day date) RETURNS TABLE (part_first date, part_last date)
LANGUAGE sql IMMUTABLE AS $$
    SELECT head.part_first, head.part_last
    FROM (SELECT first_day AS part_first, least(last_day, report.last_day_of(first_day)) AS part_last) AS head
    WHERE first_day > date_trunc('month', first_day::timestamp) OR last_day < report.last_day_of(first_day)
    UNION ALL
    SELECT date_trunc('month', last_day::timestamp)::date, last_day
    WHERE
        date_trunc('month', last_day::timestamp) > date_trunc('month', first_day::timestamp)
        AND last_day < report.last_day_of(last_day)
$$;

-- ---------------------------------------------------------------- twice, or for nobody

CREATE OR REPLACE FUNCTION operation.charge_point_number(identity text) RETURNS integer
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT report.charge_point_number(identity)
$$;

DROP FUNCTION list_stranger(text, integer);
DROP FUNCTION dojot_enqueue(integer[], timestamptz[], smallint[], smallint[]);
