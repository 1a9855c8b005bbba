-- A verdict is about one device: another one, of a DOJOT that was installed anew or of another DOJOT, may hold nothing
-- of what the first one held.

ALTER TABLE reconciliation ADD COLUMN device_id text;
COMMENT ON COLUMN reconciliation.device_id IS
'The DOJOT device that was looked at; NULL: the charge point had none, or from before this was kept';

-- Until now the youngest device was looked at; of older windows nobody asks again.
UPDATE reconciliation AS rec
SET device_id = youngest.device_id
FROM (
    SELECT DISTINCT ON (dev.charge_point_id) dev.charge_point_id, dev.device_id
    FROM dojot_device AS dev
    ORDER BY dev.charge_point_id ASC, dev.found_at DESC
) AS youngest
WHERE rec.charge_point_id = youngest.charge_point_id AND rec.window_start > now() - INTERVAL '31 days';
