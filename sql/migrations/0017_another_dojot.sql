-- Which DOJOT a device is in. Another one behind the same database, or the same one installed anew, knows none of our
-- devices, while its broker takes messages for any: what was sent to such an id has to be sent again.

-- ---------------------------------------------------------------- devices

ALTER TABLE dojot_device ADD COLUMN url text NOT NULL DEFAULT '';
UPDATE dojot_device AS dev SET url = login.url
FROM (
    SELECT tenant, min(url) AS url FROM dojot_tenant
    GROUP BY tenant
    HAVING count(DISTINCT url) = 1
) AS login
WHERE dev.tenant = login.tenant;
ALTER TABLE dojot_device
DROP CONSTRAINT dojot_device_pkey,
DROP CONSTRAINT dojot_device_tenant_device_id_key,
ADD PRIMARY KEY (charge_point_id, url, tenant),
ADD UNIQUE (url, tenant, device_id);
COMMENT ON COLUMN dojot_device.url IS
'Of the gateway, as the relay has it (ELETROPOSTO_DOJOT_URL); empty: from before this was kept. A relay forgets the devices of any other DOJOT';
COMMENT ON COLUMN dojot_device.found_at IS 'Since when it is this device that the charge point''s messages go to';
COMMENT ON TABLE dojot_tenant IS 'In which tenant of which DOJOT the devices of a login are, as the login told';

CREATE OR REPLACE VIEW report.dojot_device AS
SELECT cp.identity AS charge_point, dev.tenant, dev.device_id, dev.found_at, dev.url
FROM dojot_device AS dev
INNER JOIN charge_point AS cp ON dev.charge_point_id = cp.charge_point_id;
COMMENT ON COLUMN report.dojot_device.found_at IS 'Since when it is this device that the charge point''s messages go to';

-- ---------------------------------------------------------------- what is sent again

ALTER TABLE dojot_backfill
ADD COLUMN snapshot pg_snapshot,
ADD COLUMN last_transaction_id bigint,
ADD COLUMN planned_at timestamptz;
COMMENT ON TABLE dojot_backfill IS
'Charge points of which readings are still to be put into the outbox: those from before the feed, or all up to a change of its device; a row goes when all are';
COMMENT ON COLUMN dojot_backfill.snapshot IS
'What was committed when its device was gone, and is sent again to the next one; NULL: what was when the feed was opened';
COMMENT ON COLUMN dojot_backfill.last_transaction_id IS 'The newest transaction then; NULL as with snapshot';
COMMENT ON COLUMN dojot_backfill.planned_at IS 'The time then; NULL as with snapshot';
COMMENT ON COLUMN report.dojot_state.backfill_charge_points IS
'Charge points of which readings from before the first relay, or before they got another device, are still to be queued, from backfill_reached on';
