-- When a transaction last changed bounds the search for its frames: a charge point that was offline tells it late.
CREATE OR REPLACE VIEW report.transaction AS
SELECT
    tx.transaction_id,
    cp.identity AS charge_point,
    tx.connector_id,
    tx.id_tag,
    tx.started_at,
    tx.meter_start_wh,
    tx.stopped_at,
    tx.meter_stop_wh,
    tx.reason,
    tx.id_tag_status,
    tx.stop_id_tag,
    tx.reservation_id,
    tx.flags,
    tx.stopped_at IS NULL
    AND tx.superseded_at IS NULL
    AND NOT EXISTS (
        SELECT FROM session AS ses
        WHERE ses.transaction_id = tx.transaction_id AND ses.inferred_by IS NOT NULL
    ) AS is_running,
    tx.changed_at
FROM transaction AS tx
INNER JOIN charge_point AS cp ON tx.charge_point_id = cp.charge_point_id;
COMMENT ON COLUMN report.transaction.changed_at IS
'When what is known of it last changed, by our clock: neither its start nor its stop arrived later';

COMMENT ON COLUMN session.mean_power_w IS
'Mean of the readings of power while power flowed, W; without such readings energy over charging time';
COMMENT ON COLUMN report.session.mean_power_w IS
'Mean of the readings of power while power flowed, W; without such readings energy over charging time';
