-- What operators look up, and the functions (act_) by which they act. Asked by dashboard/data/operations.py, as eletroposto_dashboard, of report only.

-- name: commands
-- Commands to charge points, newest first.
SELECT
    cmd.command_id,
    cmd.requested_at,
    cmd.charge_point,
    cmd.action,
    cmd.status,
    coalesce(cmd.response ->> 'status', cmd.error_code) AS outcome,
    extract(EPOCH FROM cmd.finished_at - cmd.sent_at)::double precision AS answered_after_s,
    cmd.requested_by,
    left(cmd.payload::text, 2000) AS payload,
    left(cmd.response::text, 8000) AS response,
    cmd.error_description
FROM report.command AS cmd
WHERE %(charge_point)s::text IS NULL OR cmd.charge_point = %(charge_point)s
ORDER BY cmd.requested_at DESC
LIMIT 60;

-- name: running_transactions
-- Transactions of a charge point that still run.
SELECT
    tx.transaction_id,
    tx.connector_id,
    tx.started_at
FROM report.transaction AS tx
WHERE tx.charge_point = %(charge_point)s AND tx.is_running AND tx.started_at > now() - INTERVAL '7 days'
ORDER BY tx.started_at DESC
LIMIT 20;

-- name: connectors_of
-- The connectors of a charge point.
SELECT con.connector_id
FROM report.connector AS con
WHERE con.charge_point = %(charge_point)s AND con.connector_id > 0
ORDER BY con.connector_id;

-- name: reservations
-- Reservations of a charge point that have not ended.
SELECT
    res.reservation_id,
    res.connector_id,
    res.expires_at,
    res.status
FROM report.reservation AS res
WHERE res.charge_point = %(charge_point)s AND res.ended_at IS NULL
ORDER BY res.reserved_at DESC
LIMIT 50;

-- name: knocking
-- Charge points that wait for approval or were refused.
SELECT
    cp.charge_point,
    cp.registration,
    cp.created_at,
    cp.vendor,
    cp.model
FROM report.charge_point AS cp
WHERE cp.registration <> 'registered'
ORDER BY cp.registration, cp.created_at DESC
LIMIT 300;

-- name: known_charge_points
-- Registered charge points with what people may describe.
SELECT
    cp.charge_point,
    cp.name,
    cp.site,
    cp.latitude,
    cp.longitude,
    cp.security_profile,
    setup.energy_factor,
    cp.created_at
FROM report.charge_point AS cp
INNER JOIN report.charge_point_setup AS setup ON cp.charge_point = setup.charge_point
WHERE cp.registration = 'registered'
ORDER BY cp.name;

-- name: connectors_known
-- What is known of the connectors of a charge point.
SELECT
    con.connector_id,
    con.current_type,
    con.rated_power_w
FROM report.connector AS con
WHERE con.charge_point = %(charge_point)s AND con.connector_id > 0
ORDER BY con.connector_id;

-- name: holidays
SELECT
    hol.day,
    hol.name
FROM report.holiday AS hol
ORDER BY hol.day DESC
LIMIT 300;

-- name: vehicles
SELECT
    car.id_tag,
    car.id_tag_alias,
    car.name,
    car.usable_capacity_wh,
    car.consumption_wh_per_km / 1000 AS consumption_kwh_per_km
FROM report.vehicle AS car
ORDER BY car.name, car.id_tag_alias
LIMIT 1000;

-- name: id_tags
-- Identifiers that may charge: so many rows of all; rows NULL: every one.
SELECT
    count(*) OVER () AS of_all,
    tag.id_tag,
    tag.id_tag_alias,
    tag.status,
    tag.expiry_at,
    tag.parent_id_tag,
    tag.max_active,
    tag.created_at,
    tag.alias
FROM report.id_tag AS tag
WHERE
    %(text)s::text IS NULL
    OR strpos(lower(tag.id_tag), lower(%(text)s)) > 0
    OR strpos(lower(tag.id_tag_alias), lower(%(text)s)) > 0
ORDER BY tag.id_tag_alias, tag.id_tag
LIMIT %(rows)s;

-- name: operation_log
-- Who changed what.
SELECT
    entry.at,
    entry.who,
    entry.what,
    entry.subject,
    left(entry.details::text, 500) AS details
FROM report.operation_log AS entry
ORDER BY entry.at DESC
LIMIT 200;

-- name: act_queue_command
SELECT operation.queue_command(%(charge_point)s, %(action)s, %(payload)s::jsonb, %(who)s, %(seconds)s);

-- name: act_end_transaction
SELECT operation.end_transaction(%(transaction_id)s, %(who)s);

-- name: act_register_charge_point
SELECT operation.register_charge_point(%(charge_point)s, %(decision)s, %(who)s);

-- name: act_describe_charge_point
SELECT operation.describe_charge_point(%(charge_point)s, %(name)s, %(site)s, %(latitude)s, %(longitude)s, %(who)s);

-- name: act_add_id_tag
SELECT operation.add_id_tag(
    %(tag)s, %(status)s, %(expiry)s, %(parent)s, %(max_active)s, %(alias)s, %(who)s
);

-- name: act_save_id_tag
SELECT operation.save_id_tag(
    %(tag)s, %(status)s, %(expiry)s, %(parent)s, %(max_active)s, %(alias)s, %(who)s
);

-- name: act_exclude
SELECT report.add_downtime_exclusion(
    %(charge_point)s, %(connector_id)s, %(started_at)s, %(ended_at)s, %(reason)s, %(evidence)s, %(who)s
);

-- name: act_withdraw_exclusion
SELECT report.withdraw_downtime_exclusion(%(exclusion)s, %(who)s);

-- name: act_add_tariff
SELECT report.add_tariff(%(tariff)s::jsonb, %(periods)s::jsonb, %(who)s);

-- name: act_remove_tariff
SELECT report.remove_tariff(%(tariff_id)s, %(who)s);

-- name: act_end_tariff
-- last_day is the last one it holds; NULL: until further notice.
SELECT report.end_tariff(%(tariff_id)s, %(last_day)s::date + 1, %(who)s);

-- name: act_add_holiday
SELECT report.add_holiday(%(day)s, %(name)s, %(who)s);

-- name: act_remove_holiday
SELECT report.remove_holiday(%(day)s, %(who)s);

-- name: act_set_energy_factor
SELECT operation.set_energy_factor(%(charge_point)s, %(factor)s, %(who)s);

-- name: act_set_connector
SELECT operation.set_connector(%(charge_point)s, %(connector_id)s, %(current_type)s, %(rated_power_w)s, %(who)s);

-- name: act_save_vehicle
SELECT operation.save_vehicle(%(tag)s, %(name)s, %(usable_capacity_wh)s, %(consumption_wh_per_km)s, %(who)s);

-- name: act_remove_vehicle
SELECT operation.remove_vehicle(%(tag)s, %(who)s);

-- name: act_set_setting
SELECT report.set_setting(%(name)s, %(value)s, %(source)s, %(source_year)s, %(who)s);
