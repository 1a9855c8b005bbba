INSERT INTO charge_point (identity, registration, name, site, time_zone, energy_factor, password_hash, boot, booted_at)
VALUES
('CP-1', 'registered', 'Terra 54', 'Campus', 'America/Belem', 1, 'scrypt$1$2', '{"chargePointVendor": "ABB"}', '2026-03-01T11:00Z'),
('CP-2', 'registered', NULL, NULL, 'UTC', 1000, NULL, NULL, NULL),
('CP-3', 'pending', NULL, NULL, 'UTC', 1, NULL, NULL, NULL);

INSERT INTO connector (charge_point_id, connector_id, current_type, rated_power_w, status, error_code, status_at)
SELECT charge_point_id, 1, 'DC', 50000, 'Charging', 'NoError', '2026-03-01T12:00Z' FROM charge_point;

INSERT INTO replica (replica_id, host, started_at, seen_at)
VALUES ('00000000-0000-0000-0000-000000000001', 'old-host', '2026-03-01T00:00Z', '2026-03-02T00:00Z');

INSERT INTO connection (opened_at, closed_at, charge_point_id, replica_id, reason, remote_address)
VALUES
('2026-03-01T11:00Z', '2026-03-01T18:00Z', 1, '00000000-0000-0000-0000-000000000001', 'closed by the charge point', '10.0.0.7'),
('2026-03-01T18:01Z', NULL, 1, '00000000-0000-0000-0000-000000000001', NULL, '10.0.0.7');

INSERT INTO id_tag (id_tag, status, expiry_at, parent_id_tag, max_active, alias)
VALUES ('Bus-1', 'Accepted', 'infinity', 'FLEET', 1, 'Bus 1'), ('lost', 'Blocked', NULL, NULL, NULL, NULL);

INSERT INTO transaction (
    charge_point_id, connector_id, id_tag, id_tag_status, started_at, meter_start_wh, stopped_at, meter_stop_wh, reason, flags
)
VALUES
(1, 1, 'Bus-1', 'Accepted', '2026-03-01T12:00Z', 1000, '2026-03-01T16:00Z', 181000, 'EVDisconnected', '{zone}'),
(1, 2, 'Bus-1', 'ConcurrentTx', '2026-03-01T17:00Z', NULL, NULL, NULL, NULL, '{meter_start}'),
(2, 1, NULL, 'Invalid', '2026-03-01T17:30Z', 5, NULL, NULL, NULL, '{}');

INSERT INTO orphan_stop (received_at, charge_point_id, transaction_id, stopped_at, meter_stop_wh, reason)
VALUES ('2026-03-01T19:00Z', 2, 4711, '2026-03-01T18:59Z', 77, 'PowerLoss');

INSERT INTO meter_value (
    sampled_at, charge_point_id, connector_id, context, origin, transaction_id, energy_wh, power_w, soc_percent, extra
)
SELECT
    at, 1, 1, 0, 0, 1, 1000 + 125 * row_number() OVER (ORDER BY at), 45000, 50,
    CASE WHEN extract(MINUTE FROM at) = 0 THEN '{"Voltage.L1-N": 230.1, "flags": ["unit"]}'::jsonb END
FROM generate_series('2026-03-01T12:00Z'::timestamptz, '2026-03-01T16:00Z', '10 seconds') AS at;

INSERT INTO ocpp_message (received_at, charge_point_id, message_type, direction, action, message_id, raw, answer, answered_at)
VALUES
(
    '2026-03-01T12:00:10Z', 1, 2, 'i', 'MeterValues', 'm1', '[2,"m1","MeterValues",{"connectorId":1,"meterValue":[]}]',
    '[3,"m1",{}]', '2026-03-01T12:00:10.004Z'
),
('2026-03-01T12:00:11Z', 1, NULL, 'i', NULL, NULL, '[2,"no frame', NULL, NULL),
('2026-03-02T12:00:11Z', 1, 2, 'o', 'Reset', 'r1', '[2,"r1","Reset",{"type":"Soft"}]', NULL, NULL);

INSERT INTO set_aside (received_at, charge_point_id, reason, raw)
VALUES ('2026-03-01T12:00:11Z', 1, 'not JSON', '[2,"no frame');

INSERT INTO touched_window (charge_point_id, hour, marked_at)
VALUES (1, '2026-03-01T12:00Z', '2026-03-01T12:00:10Z');

INSERT INTO status_notification (at, received_at, charge_point_id, connector_id, status, error_code, vendor_error_code, flags)
VALUES
('2026-03-01T11:59Z', '2026-03-01T11:59Z', 1, 1, 'Preparing', 'NoError', NULL, '{}'),
('2026-03-01T12:00Z', '2026-03-01T12:00Z', 1, 1, 'Charging', 'NoError', NULL, '{clock}'),
('2026-03-01T20:00Z', '2026-03-01T20:00Z', 2, 1, 'Faulted', 'OtherError', '0x17', '{value}');

INSERT INTO command (charge_point_id, action, payload, requested_by, requested_at, expires_at, status, finished_at, response)
VALUES
(1, 'Reset', '{"type": "Soft"}', 'someone', '2026-03-02T12:00Z', '2026-03-02T12:01Z', 'answered', '2026-03-02T12:00:12Z', '{"status": "Accepted"}'),
(2, 'ClearCache', '{}', 'someone', '2026-03-02T12:00Z', '2026-03-02T12:01Z', 'expired', '2026-03-02T12:01Z', NULL);

INSERT INTO dojot_feed (since) VALUES ('2026-02-01T00:00Z');

INSERT INTO dojot_outbox (shard, charge_point_ids, sampled_ats, connector_ids, contexts)
VALUES (1, '{1,1}', '{2026-03-01T15:59:50Z,2026-03-01T16:00Z}', '{1,1}', '{0,0}');
