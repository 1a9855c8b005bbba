-- What the command line asks and changes for an operator.

-- name: add_charge_point
-- Add a charge point or change what is given (NULL: as it was). A refused one stays so unless it is approved.
INSERT INTO charge_point AS cp (
    identity, password_hash, name, site, latitude, longitude, time_zone, security_profile
)
VALUES (
    %(identity)s, %(password_hash)s, %(name)s, nullif(btrim(%(site)s), ''), %(latitude)s, %(longitude)s,
    coalesce(%(time_zone)s, 'UTC'), coalesce(%(security_profile)s, 0)
)
ON CONFLICT (identity) DO UPDATE SET
    registration = CASE
        WHEN cp.registration = 'refused' AND NOT %(approve)s THEN 'refused' ELSE 'registered'
    END,
    password_hash = coalesce(excluded.password_hash, cp.password_hash),
    new_password_hash = CASE WHEN excluded.password_hash IS NULL THEN cp.new_password_hash END,
    name = coalesce(excluded.name, cp.name),
    site = coalesce(excluded.site, cp.site),
    latitude = coalesce(excluded.latitude, cp.latitude),
    longitude = coalesce(excluded.longitude, cp.longitude),
    time_zone = coalesce(%(time_zone)s, cp.time_zone),
    security_profile = coalesce(%(security_profile)s, cp.security_profile)
RETURNING cp.charge_point_id, cp.registration;

-- name: rate_connectors
-- The rated power of all its connectors; the first one is there before it is heard of (OCPP 1.6 numbers from 1).
INSERT INTO connector AS con (charge_point_id, connector_id, rated_power_w)
SELECT %(charge_point_id)s, known.connector_id, %(rated_power_w)s
FROM (
    SELECT 1 AS connector_id
    UNION
    SELECT there.connector_id FROM connector AS there
    WHERE there.charge_point_id = %(charge_point_id)s AND there.connector_id > 0
) AS known
ON CONFLICT (charge_point_id, connector_id) DO UPDATE SET rated_power_w = excluded.rated_power_w;

-- name: note_change
SELECT operation.note(%(who)s, %(what)s, %(subject)s, %(details)s);

-- name: decide_registration
SELECT operation.register_charge_point(%(identity)s, %(decision)s, %(who)s);

-- name: set_energy_factor
SELECT operation.set_energy_factor(%(identity)s, %(energy_factor)s, %(who)s);

-- name: set_connector
SELECT operation.set_connector(%(identity)s, %(connector_id)s, %(current_type)s, %(rated_power_w)s, %(who)s);

-- name: list_charge_points
SELECT
    pub.charge_point,
    pub.registration,
    CASE WHEN pub.is_online THEN 'online' ELSE 'offline' END AS connection,
    pub.online_changed_at AS since,
    pub.security_profile AS profile,
    nullif(pub.name, pub.charge_point) AS name,
    pub.site,
    concat_ws(' ', pub.vendor, pub.model) AS model
FROM report.charge_point AS pub
ORDER BY pub.registration <> 'pending', pub.charge_point;

-- name: find_charge_point
SELECT registration, is_online FROM report.charge_point WHERE charge_point = %(identity)s;

-- name: save_id_tag
SELECT operation.save_id_tag(
    %(id_tag)s, %(status)s, %(expiry_at)s, %(parent_id_tag)s, %(max_active)s, %(alias)s, %(who)s
);

-- name: list_id_tags
SELECT id_tag, status, expiry_at, parent_id_tag, max_active, id_tag_alias AS alias
FROM report.id_tag
ORDER BY id_tag;

-- name: save_vehicle
SELECT operation.save_vehicle(%(id_tag)s, %(name)s, %(usable_capacity_wh)s, %(consumption_wh_per_km)s, %(who)s);

-- name: list_vehicles
SELECT
    car.id_tag,
    car.name,
    car.usable_capacity_wh / 1000 AS capacity_kwh,
    car.consumption_wh_per_km / 1000 AS consumption_kwh_per_km
FROM report.vehicle AS car
ORDER BY car.name, car.id_tag;

-- name: remove_vehicle
SELECT operation.remove_vehicle(%(id_tag)s, %(who)s);

-- name: queue_command
SELECT operation.queue_command(%(identity)s, %(action)s, %(payload)s, %(who)s, %(seconds)s);

-- name: find_answer
SELECT status, response, error_code, error_description, finished_at
FROM report.command
WHERE command_id = %(command_id)s;
