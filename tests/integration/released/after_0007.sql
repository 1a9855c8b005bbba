INSERT INTO configuration_key (charge_point_id, name, value, is_readonly, is_known, read_at, asked_value, asked_status)
VALUES (1, 'MeterValueSampleInterval', '10', FALSE, TRUE, '2026-03-01T11:00Z', '10', 'Accepted');

INSERT INTO boot_configuration (charge_point_id, configured_at, measurands_level) VALUES (1, '2026-03-01T11:00Z', 1);

INSERT INTO local_list (charge_point_id, list_version, sent_at) VALUES (1, 4, '2026-03-01T11:00Z');

INSERT INTO local_list_entry (charge_point_id, id_tag, status, list_version) VALUES (1, 'Bus-1', 'Accepted', 4);

INSERT INTO reservation (charge_point_id, reservation_id, connector_id, id_tag, expires_at, status, answer, reserved_at, command_id)
VALUES (1, 9, 1, 'Bus-1', '2026-03-03T00:00Z', 'active', 'Accepted', '2026-03-02T12:00Z', 1);

INSERT INTO charging_profile (
    charge_point_id, connector_id, charging_profile_id, purpose, stack_level, profile, assigned_at
)
VALUES (1, 1, 5, 'TxDefaultProfile', 0, '{"chargingProfileId": 5}', '2026-03-01T11:00Z');

INSERT INTO installed_certificate (charge_point_id, certificate_type, serial_number, subject)
VALUES (1, 'CentralSystemRootCertificate', 'ab12', 'CN=Root');

INSERT INTO certificate_signing (charge_point_id, requested_at, csr, status, reason)
VALUES (1, '2026-03-01T11:00Z', 'CSR', 'refused', 'no authority');

INSERT INTO connector_availability (charge_point_id, connector_id, is_operative, is_scheduled, changed_at)
VALUES (1, 2, FALSE, FALSE, '2026-03-01T11:00Z');
