INSERT INTO session (
    transaction_id, charge_point_id, connector_id, started_at, ended_at, is_open, is_attempt, duration_s, energy_wh, energy_source,
    energy_register_wh, readings, flags
)
VALUES (1, 1, 1, '2026-03-01T12:00Z', '2026-03-01T16:00Z', FALSE, FALSE, 14400, 180000, 'register', 180000, 1441, '{}');

INSERT INTO session_soc (
    transaction_id, soc_start_percent, soc_end_percent, first_at, last_at, soc_gain_percent, is_extrapolated
)
VALUES (1, 20, 90, '2026-03-01T12:00Z', '2026-03-01T16:00Z', 70, FALSE);

INSERT INTO energy_bucket (started_at, transaction_id, charge_point_id, connector_id, posto, energy_wh, charging_s)
VALUES ('2026-03-01T12:00Z', 1, 1, 1, 'fora_ponta', 11250, 900);

INSERT INTO state_interval (started_at, ended_at, day, charge_point_id, connector_id, state)
VALUES ('2026-03-01T12:00Z', '2026-03-01T16:00Z', '2026-03-01', 1, 1, 'Charging');

INSERT INTO outage (charge_point_id, connector_id, started_at, states) VALUES (2, 1, '2026-03-01T20:00Z', '{Faulted}');

INSERT INTO downtime_exclusion (charge_point_id, connector_id, started_at, ended_at, reason, evidence, author)
VALUES (2, 1, '2026-03-01T20:00Z', '2026-03-02T06:00Z', 'utility interruption', 'letter 12/2026', 'someone');

INSERT INTO vehicle (id_tag_key, name, usable_capacity_wh) VALUES ('BUS-1', 'Bus 1', 324000);

UPDATE setting SET value = 0.9, updated_by = 'someone' WHERE name = 'ac_charging_efficiency';

INSERT INTO holiday (day, name) VALUES ('2026-08-15', 'Adesão do Pará') ON CONFLICT DO NOTHING;

INSERT INTO tariff (name, consumer_group, modality, valid_from, author)
VALUES ('A4 verde', 'A', 'verde', '2026-01-01', 'someone');

INSERT INTO tariff_period (tariff_id, posto, from_time, to_time, price_per_kwh)
SELECT tariff_id, 'ponta', TIME '18:00', TIME '21:00', 2.1 FROM tariff
UNION ALL
SELECT tariff_id, 'fora_ponta', NULL, NULL, 0.5 FROM tariff;

INSERT INTO reconciliation (charge_point_id, window_start, window_end, rows_database, rows_dojot, verdict)
VALUES (1, '2026-03-01T12:00Z', '2026-03-01T16:00Z', 1441, 1440, 'different');

INSERT INTO quality_finding (day, charge_point_id, kind, severity, occurrences)
VALUES ('2026-03-01', 2, 'energy_unit', 'amber', 3);

INSERT INTO flow_run (flow, status, summary) VALUES ('sessions', 'completed', '{"sessions": 1}');

INSERT INTO flow_watermark (flow, done_until) VALUES ('reconcile_dojot', '2026-03-01T16:00Z');

INSERT INTO report_file (kind, period_start, language, format, file_name, content)
VALUES ('monthly', '2026-02-01', 'pt', 'html', '2026-02.html', '\x3c703e');
