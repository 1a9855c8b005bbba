INSERT INTO dojot_device (charge_point_id, tenant, device_id, label, template_id, found_at)
VALUES (1, 'admin', '3bb9', 'CP-1', '7', '2026-03-01T00:00Z');

INSERT INTO dojot_tenant (url, username, tenant) VALUES ('http://dojot:8000', 'admin', 'admin');

INSERT INTO dojot_relay (relay_id, host) VALUES ('00000000-0000-0000-0000-000000000002', 'old-host');

UPDATE dojot_shard SET relay_id = '00000000-0000-0000-0000-000000000002', claimed_until = '2026-03-01T00:00Z' WHERE shard = 3;

INSERT INTO dojot_event (shard, charge_point_id, at, attrs)
VALUES (1, 1, '2026-03-01T16:00Z', '{"transaction_stop": 1}');

INSERT INTO dojot_frame_cursor (shard, received_at) VALUES (3, '2026-03-01T16:00Z');
