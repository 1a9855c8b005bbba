-- The demand of a choice of charge points, which every question about demand asked for in its own words.

-- It has no rights and no settings of its own, so that the planner may take it apart.
CREATE FUNCTION report.demand(since timestamptz, until timestamptz, charge_points text[])
RETURNS TABLE (started_at timestamptz, energy_wh double precision, demand_w double precision)
LANGUAGE sql STABLE AS $$
    SELECT
        sd.started_at,
        sum(sd.energy_wh),
        sum(sd.demand_w)
    FROM report.site_demand AS sd
    WHERE charge_points IS NULL AND sd.started_at >= since AND sd.started_at < until
    GROUP BY sd.started_at
    UNION ALL
    SELECT
        eb.started_at,
        sum(eb.energy_wh),
        sum(eb.mean_power_w)
    FROM report.energy_bucket AS eb
    WHERE eb.charge_point = ANY(charge_points) AND eb.started_at >= since AND eb.started_at < until
    GROUP BY eb.started_at
$$;
COMMENT ON FUNCTION report.demand IS
'Energy (Wh) and mean power (W) of each quarter of an hour, [since, until), of these charge points taken together; NULL:
all. Where nothing was measured there is no row';
