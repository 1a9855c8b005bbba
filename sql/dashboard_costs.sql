-- Costs, tariffs, contracted demand, reports. Asked by dashboard/data/costs.py, as eletroposto_dashboard, of report only.
-- since and until: the period, [since, until); first_day and last_day: local days, both included.
-- charge_points: identities; NULL means all of them.

-- name: costs
-- Energy and cost of the period by charge point and tariff period.
SELECT
    con.charge_point,
    cp.name,
    sum(con.energy_wh) AS energy_wh,
    sum(con.unpriced_wh) AS unpriced_wh,
    sum(con.cost) AS cost,
    sum(con.cost_ponta) AS cost_ponta,
    sum(con.cost_intermediario) AS cost_intermediario,
    sum(con.cost_fora_ponta) AS cost_fora_ponta,
    sum(con.cost_if_fora_ponta) AS cost_if_fora_ponta,
    sum(con.ponta_wh) AS ponta_wh,
    sum(con.intermediario_wh) AS intermediario_wh,
    sum(con.fora_ponta_wh) AS fora_ponta_wh
FROM (
    SELECT
        whole.charge_point,
        whole.energy_wh,
        whole.unpriced_wh,
        whole.cost,
        whole.cost_ponta,
        whole.cost_intermediario,
        whole.cost_fora_ponta,
        whole.cost_if_fora_ponta,
        whole.ponta_wh,
        whole.intermediario_wh,
        whole.fora_ponta_wh
    FROM report.connector_month AS whole
    WHERE whole.month >= %(first_day)s AND report.last_day_of(whole.month) <= %(last_day)s
    UNION ALL
    SELECT
        con.charge_point,
        con.energy_wh,
        con.unpriced_wh,
        con.cost,
        con.cost_ponta,
        con.cost_intermediario,
        con.cost_fora_ponta,
        con.cost_if_fora_ponta,
        con.ponta_wh,
        con.intermediario_wh,
        con.fora_ponta_wh
    FROM report.parts_of_period(%(first_day)s, %(last_day)s) AS part
    INNER JOIN report.consumption_day AS con ON con.day BETWEEN part.part_first AND part.part_last
) AS con
INNER JOIN report.charge_point AS cp ON con.charge_point = cp.charge_point
WHERE
    con.energy_wh IS NOT NULL
    AND (%(charge_points)s::text[] IS NULL OR con.charge_point = ANY(%(charge_points)s))
GROUP BY con.charge_point, cp.name
ORDER BY energy_wh DESC;

-- name: costs_by_tag
-- Energy and cost of the sessions begun in the period by who charged: so many rows of all; rows NULL: every one.
-- Summed by identifier first: an alias is looked up once for each.
WITH part AS (
    SELECT
        nullif(sums.id_tag_key, '') AS id_tag_key,
        sums.sessions,
        sums.attempts,
        sums.energy_wh,
        sums.cost,
        sums.unpriced_wh
    FROM report.tag_day AS sums
    WHERE sums.day BETWEEN %(first_day)s AND %(last_day)s AND %(charge_points)s::text[] IS NULL
    UNION ALL
    SELECT
        upper(btrim(tx.id_tag)),
        count(*) FILTER (WHERE NOT ses.is_attempt),
        count(*) FILTER (WHERE ses.is_attempt),
        sum(ses.energy_wh),
        sum(ses.cost),
        sum(ses.unpriced_wh)
    FROM report.session AS ses
    INNER JOIN report.transaction AS tx ON ses.transaction_id = tx.transaction_id
    WHERE
        ses.started_at >= %(since)s
        AND ses.started_at < %(until)s
        AND %(charge_points)s::text[] IS NOT NULL
        AND ses.charge_point = ANY(%(charge_points)s)
    GROUP BY upper(btrim(tx.id_tag))
),

by_id_tag AS (
    SELECT
        part.id_tag_key,
        sum(part.sessions)::bigint AS sessions,
        sum(part.attempts)::bigint AS attempts,
        sum(part.energy_wh) AS energy_wh,
        sum(part.cost) AS cost,
        sum(part.unpriced_wh) AS unpriced_wh
    FROM part
    GROUP BY part.id_tag_key
)

SELECT
    coalesce(tag.id_tag_alias, 'tag-' || left(md5(by_id_tag.id_tag_key), 6), '—') AS id_tag_alias,
    by_id_tag.sessions,
    by_id_tag.attempts,
    by_id_tag.energy_wh,
    by_id_tag.cost,
    by_id_tag.unpriced_wh,
    count(*) OVER () AS of_all
FROM by_id_tag
LEFT JOIN report.id_tag AS tag ON by_id_tag.id_tag_key = upper(btrim(tag.id_tag))
ORDER BY by_id_tag.energy_wh DESC NULLS LAST, by_id_tag.id_tag_key
LIMIT %(rows)s;

-- name: tariffs
-- Tariffs with their periods, newest first. valid_to: the last day.
SELECT
    tar.tariff_id,
    tar.name,
    tar.consumer_group,
    tar.modality,
    tar.site,
    tar.valid_from,
    tar.valid_to - 1 AS valid_to,
    tar.posto,
    to_char(tar.from_time, 'HH24:MI') AS from_time,
    to_char(tar.to_time, 'HH24:MI') AS to_time,
    tar.price_per_kwh,
    tar.full_price_per_kwh,
    tar.contracted_demand_kw,
    tar.demand_price_per_kw,
    tar.source,
    tar.author
FROM report.tariff AS tar
ORDER BY tar.valid_from DESC, tar.tariff_id, tar.from_time NULLS FIRST
LIMIT 300;

-- name: co2
-- The factors of the CO2 estimate.
SELECT
    co2.grid_kg_per_kwh,
    co2.combustion_kg_per_km,
    co2.consumption_kwh_per_km,
    co2.avoided_kg_per_kwh,
    co2.grid_source,
    co2.combustion_source,
    co2.consumption_source
FROM report.co2;

-- name: demand_months
-- What the demand of the sites costs, for the months the period touches; of the chosen charge points' sites.
SELECT
    dm.month,
    dm.site,
    dm.tariff,
    dm.days,
    dm.contracted_demand_kw,
    dm.measured_demand_kw,
    dm.measured_at,
    dm.billed_demand_kw,
    dm.full_price_per_kw,
    dm.demand_cost
FROM report.demand_month AS dm
WHERE
    dm.month >= date_trunc('month', %(first_day)s::timestamp)::date AND dm.month <= %(last_day)s
    AND (
        %(charge_points)s::text[] IS NULL
        OR EXISTS (
            SELECT FROM report.charge_point AS cp
            WHERE cp.charge_point = ANY(%(charge_points)s) AND cp.site IS NOT DISTINCT FROM dm.site
        )
    )
ORDER BY dm.month DESC, dm.site, dm.days DESC;

-- name: settings
-- The numbers that formulas use.
SELECT
    setting.name,
    setting.value,
    setting.unit,
    setting.meaning,
    setting.source,
    setting.source_year,
    setting.updated_at,
    setting.updated_by
FROM report.setting
ORDER BY setting.name;

-- name: reports
-- Reports of a month and of the quarter it lies in, without their content; charge_point NULL: of the network.
SELECT
    rep.report_file_id,
    rep.kind,
    rep.period_start,
    rep.charge_point,
    rep.language,
    rep.format,
    rep.file_name,
    rep.bytes,
    rep.created_at
FROM report.monthly_report AS rep
WHERE
    (
        (rep.kind = 'monthly' AND rep.period_start = %(month)s::date)
        OR (rep.kind <> 'monthly' AND rep.period_start = date_trunc('quarter', %(month)s::date)::date)
    )
    AND rep.charge_point IS NOT DISTINCT FROM %(charge_point)s::text
ORDER BY rep.kind, rep.language DESC, rep.format;

-- name: oldest_report
-- The first month there is a report of; NULL: there is none.
SELECT min(rep.period_start) AS month
FROM report.monthly_report AS rep;

-- name: report_content
-- One report file.
SELECT rep.content
FROM report.monthly_report AS rep
WHERE rep.report_file_id = %(report_file_id)s;
