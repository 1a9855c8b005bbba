UPDATE transaction SET superseded_at = '2026-03-01T21:00Z' WHERE charge_point_id = 2;

INSERT INTO charge_point_report (at, received_at, charge_point_id, kind, status, detail)
VALUES ('2026-03-01T10:00Z', '2026-03-01T10:00Z', 1, 'security', 'FirmwareUpdated', '5.9.1');
