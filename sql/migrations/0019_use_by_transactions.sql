-- Where no status tells, transactions do: what charge points that send nothing else were used for.

ALTER TABLE availability_day
ADD COLUMN in_use_s double precision NOT NULL DEFAULT 0,
ADD COLUMN in_service_s double precision NOT NULL DEFAULT 0;
COMMENT ON COLUMN availability_day.plugged_s IS
'Preparing, Charging, SuspendedEV, SuspendedEVSE or Finishing, s; and in_use_s';
COMMENT ON COLUMN availability_day.in_use_s IS
'Part of plugged_s that only transactions tell of: one ran, the state was Available, Reserved or unknown, and no later status said so, s';
COMMENT ON COLUMN availability_day.in_service_s IS
'Part of unknown_s that counts as time in operation: between the first and the last transaction, without any status so far, s';

CREATE FUNCTION seconds_in(ranges tstzmultirange) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT coalesce(sum(extract(EPOCH FROM upper(part.slot) - lower(part.slot))), 0)::double precision
    FROM unnest(ranges) AS part (slot)
$$;
COMMENT ON FUNCTION seconds_in IS 'The length of these intervals together, s';

-- Charge points that send transactions and nothing else have connectors too.
INSERT INTO connector (charge_point_id, connector_id)
SELECT DISTINCT tx.charge_point_id, tx.connector_id
FROM transaction AS tx
ON CONFLICT DO NOTHING;

CREATE OR REPLACE VIEW report.availability AS
SELECT
    av.day,
    cp.identity AS charge_point,
    av.connector_id,
    cp.site,
    av.observed_s,
    av.up_s,
    av.down_s,
    av.unknown_s,
    av.excluded_s,
    100 * av.up_s / nullif(av.up_s + av.down_s, 0) AS technical_percent,
    100 * (av.up_s + av.excluded_s) / nullif(av.up_s + av.down_s, 0) AS nevi_percent,
    av.plugged_s,
    100 * av.plugged_s / nullif(av.up_s + av.in_service_s, 0) AS occupancy_percent,
    av.available_s,
    av.preparing_s,
    av.charging_s,
    av.suspended_ev_s,
    av.suspended_evse_s,
    av.finishing_s,
    av.reserved_s,
    av.unavailable_s,
    av.faulted_s,
    av.offline_s,
    av.computed_at,
    av.in_use_s,
    av.up_s + av.in_service_s AS operational_s
FROM availability_day AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id;
COMMENT ON COLUMN report.availability.plugged_s IS
'Preparing, Charging, SuspendedEV, SuspendedEVSE or Finishing, s; and in_use_s';
COMMENT ON COLUMN report.availability.operational_s IS
'Time in operation, s: up_s, and unknown time in which transactions show that the connector worked';

CREATE OR REPLACE VIEW report.availability_month AS
SELECT
    date_trunc('month', av.day)::date AS month,
    cp.identity AS charge_point,
    av.connector_id,
    cp.site,
    sum(av.observed_s) AS observed_s,
    sum(av.up_s) AS up_s,
    sum(av.down_s) AS down_s,
    sum(av.unknown_s) AS unknown_s,
    sum(av.excluded_s) AS excluded_s,
    100 * sum(av.up_s) / nullif(sum(av.up_s + av.down_s), 0) AS technical_percent,
    100 * sum(av.up_s + av.excluded_s) / nullif(sum(av.up_s + av.down_s), 0) AS nevi_percent,
    sum(av.plugged_s) AS plugged_s,
    100 * sum(av.plugged_s) / nullif(sum(av.up_s + av.in_service_s), 0) AS occupancy_percent,
    sum(av.up_s + av.in_service_s) AS operational_s
FROM availability_day AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id
GROUP BY date_trunc('month', av.day)::date, cp.identity, av.connector_id, cp.site;
COMMENT ON COLUMN report.availability_month.plugged_s IS
'Preparing, Charging, SuspendedEV, SuspendedEVSE or Finishing, s; and in_use_s';
COMMENT ON COLUMN report.availability_month.occupancy_percent IS '100 x plugged_s / operational_s';
COMMENT ON COLUMN report.availability_month.operational_s IS 'Time in operation, s, as in report.availability';

CREATE OR REPLACE VIEW report.utilisation AS
SELECT
    av.day,
    cp.identity AS charge_point,
    av.connector_id,
    cp.site,
    kind.rated_power_w,
    charging.seconds AS charging_s,
    charging.source AS charging_source,
    av.up_s,
    coalesce(con.energy_wh, 0) AS energy_wh,
    kind.rated_power_w * (operation.seconds + av.down_s) / 3600 AS capacity_wh,
    100 * charging.seconds / nullif(operation.seconds, 0) AS utilisation_percent,
    100 * coalesce(con.energy_wh, 0) / nullif(kind.rated_power_w * (operation.seconds + av.down_s) / 3600, 0)
        AS energy_utilisation_percent,
    operation.seconds AS operational_s
FROM availability_day AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id
LEFT JOIN connector AS kind ON av.charge_point_id = kind.charge_point_id AND av.connector_id = kind.connector_id
LEFT JOIN consumption_day AS con
    ON av.charge_point_id = con.charge_point_id AND av.connector_id = con.connector_id AND av.day = con.day
CROSS JOIN LATERAL (
    SELECT av.up_s + av.in_service_s AS seconds
) AS operation
CROSS JOIN LATERAL (
    SELECT
        coalesce(con.is_timed, con.charging_s IS NOT NULL) AS by_readings
) AS told
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN told.by_readings THEN coalesce(con.charging_s, 0)
            ELSE greatest(con.charging_s, av.charging_s + av.in_use_s)
        END AS seconds,
        CASE WHEN told.by_readings THEN 'readings' ELSE 'state' END AS source
) AS charging;
COMMENT ON VIEW report.utilisation IS
'Utilisation per connector and local day: by time = charging_s / operational_s, by energy = energy_wh / capacity_wh.
For longer windows divide sums, never average percentages';
COMMENT ON COLUMN report.utilisation.charging_s IS
'Time with power above the threshold, s; time in state Charging, or in transactions without a status, where readings do not tell';
COMMENT ON COLUMN report.utilisation.capacity_wh IS 'Rated power x (operational_s + down_s), Wh; NULL: no rated power';
COMMENT ON COLUMN report.utilisation.utilisation_percent IS '100 x charging_s / operational_s';
COMMENT ON COLUMN report.utilisation.operational_s IS 'Time in operation, s, as in report.availability';
COMMENT ON COLUMN report.utilisation.up_s IS 'Time up by statuses and connections, s, as in report.availability';
