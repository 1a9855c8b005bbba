-- Two reports of one time that tell different things: one too many for the key before.
INSERT INTO charge_point_report (at, received_at, charge_point_id, kind, status, detail)
VALUES
('2026-03-01T10:00Z', '2026-03-01T10:00:01Z', 1, 'security', 'FirmwareUpdated', '5.9.2'),
('2026-03-01T10:00Z', '2026-03-01T10:00:02Z', 1, 'security', 'FirmwareUpdated', NULL);

INSERT INTO charge_point (identity, registration) VALUES ('CP-4', 'pending'), ('CP-5', 'refused');
