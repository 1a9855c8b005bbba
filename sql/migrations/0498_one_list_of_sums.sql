-- The sums of a day, of all charge points or of some, added up by one function.

-- It has no rights and no settings of its own, so that the planner may take it apart.
CREATE FUNCTION sums_by_day(first_day date, last_day date, charge_points text[]) RETURNS SETOF network_day
LANGUAGE sql STABLE AS $$
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
    FROM (
        SELECT whole.*
        FROM connector_day AS whole
        WHERE charge_points IS NULL AND whole.day BETWEEN first_day AND last_day
        UNION ALL
        SELECT chosen.*
        FROM connector_day AS chosen
        WHERE chosen.charge_point = ANY(charge_points) AND chosen.day BETWEEN first_day AND last_day
    ) AS cd
    GROUP BY cd.day
$$;
COMMENT ON FUNCTION sums_by_day IS
'Sums of days, both included, over the connectors of these charge points (NULL: all), added up now; none: nothing to sum';

CREATE OR REPLACE FUNCTION report.sums_of_day(of_day date) RETURNS SETOF network_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT sums.* FROM sums_by_day(of_day, of_day, NULL) AS sums
$$;

CREATE OR REPLACE FUNCTION report.sums_of_days(first_day date, last_day date, charge_points text[]) RETURNS SETOF network_day
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT written.*
    FROM report.network_day AS written
    WHERE charge_points IS NULL AND written.day BETWEEN first_day AND last_day
    UNION ALL
    SELECT fresh.*
    FROM sums_by_day(first_day, last_day, charge_points) AS fresh
    WHERE charge_points IS NOT NULL
$$;
