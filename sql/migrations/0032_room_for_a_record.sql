-- On a full disk a row can be changed where it is, but none be added: retention, which is what helps then, finds the
-- rows of its record there.
ALTER TABLE dropped_facts ALTER COLUMN dropped_before DROP NOT NULL;
COMMENT ON TABLE dropped_facts IS 'Up to when the facts of a hypertable were dropped by retention';
COMMENT ON COLUMN dropped_facts.dropped_before IS
'Facts from before are gone, but for the status and connection of each place that lasted until then, and open connections; NULL: none were ever dropped';
COMMENT ON COLUMN dropped_facts.updated_at IS 'When retention last dropped some; or since when it could have';
INSERT INTO dropped_facts (hypertable)
VALUES ('ocpp_message'), ('meter_value'), ('status_notification'), ('connection')
ON CONFLICT (hypertable) DO NOTHING;
