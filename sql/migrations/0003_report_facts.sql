-- The facts as dashboards, notebooks and BI tools may rely on them: text identities, units in names.

CREATE FUNCTION frame_as_jsonb(raw text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT AS $$
BEGIN
    RETURN raw::jsonb;
EXCEPTION WHEN data_exception OR program_limit_exceeded OR statement_too_complex THEN
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION frame_as_jsonb IS 'The frame, or NULL where it is not JSON: one odd frame must not break a view';

CREATE VIEW report.charge_point AS
SELECT
    cp.identity AS charge_point,
    cp.registration,
    coalesce(cp.name, cp.identity) AS name,
    cp.site,
    cp.latitude,
    cp.longitude,
    cp.vendor,
    cp.model,
    cp.serial_number,
    cp.firmware_version,
    cp.booted_at,
    cp.created_at,
    cp.security_profile,
    online.opened_at IS NOT NULL AS is_online,
    coalesce(online.opened_at, last_seen.closed_at) AS online_changed_at
FROM charge_point AS cp
LEFT JOIN LATERAL (
    SELECT conn.opened_at
    FROM connection AS conn
    INNER JOIN replica AS rep ON conn.replica_id = rep.replica_id
    WHERE
        conn.charge_point_id = cp.charge_point_id
        AND conn.closed_at IS NULL
        AND rep.seen_at > now() - INTERVAL '30 seconds'
    ORDER BY conn.opened_at DESC
    LIMIT 1
) AS online ON TRUE
LEFT JOIN LATERAL (
    SELECT conn.closed_at
    FROM connection AS conn
    WHERE conn.charge_point_id = cp.charge_point_id
    ORDER BY conn.opened_at DESC
    LIMIT 1
) AS last_seen ON TRUE;
COMMENT ON VIEW report.charge_point IS 'Charge points, and whether their websocket is open now';

CREATE VIEW report.connector AS
SELECT
    cp.identity AS charge_point,
    con.connector_id,
    con.current_type,
    con.rated_power_w,
    con.status,
    con.error_code,
    con.status_at
FROM connector AS con
INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.connector IS 'Connectors with their newest status; 0 is the whole charge point';

CREATE VIEW report.ocpp_message AS
SELECT
    msg.received_at,
    cp.identity AS charge_point,
    CASE msg.direction WHEN 'i' THEN 'in' ELSE 'out' END AS direction,
    msg.message_type,
    msg.message_id,
    msg.action,
    CASE msg.message_type
        WHEN 2 THEN frame_as_jsonb(msg.raw) -> 3
        WHEN 3 THEN frame_as_jsonb(msg.raw) -> 2
        WHEN 4 THEN frame_as_jsonb(msg.raw)
    END AS payload,
    msg.raw
FROM ocpp_message AS msg
INNER JOIN charge_point AS cp ON msg.charge_point_id = cp.charge_point_id
UNION ALL
SELECT
    msg.answered_at,
    cp.identity,
    'out',
    substr(msg.answer, 2, 1)::smallint,
    msg.message_id,
    msg.action,
    CASE substr(msg.answer, 2, 1)
        WHEN '3' THEN frame_as_jsonb(msg.answer) -> 2
        ELSE frame_as_jsonb(msg.answer)
    END,
    msg.answer
FROM ocpp_message AS msg
INNER JOIN charge_point AS cp ON msg.charge_point_id = cp.charge_point_id
WHERE msg.answer IS NOT NULL;
COMMENT ON VIEW report.ocpp_message IS
'Every frame, a row each. payload: of a CALL or CALLRESULT; of a CALLERROR the whole frame; NULL where unreadable';

CREATE VIEW report.ocpp_exchange AS
SELECT
    msg.received_at,
    cp.identity AS charge_point,
    CASE msg.direction WHEN 'i' THEN 'in' ELSE 'out' END AS direction,
    msg.message_type,
    msg.message_id,
    msg.action,
    msg.raw,
    msg.answered_at,
    msg.answer
FROM ocpp_message AS msg
INNER JOIN charge_point AS cp ON msg.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.ocpp_exchange IS 'Frames with the answer to a charge point''s CALL in the same row: quicker to search than ocpp_message';

CREATE VIEW report.set_aside AS
SELECT
    aside.received_at,
    cp.identity AS charge_point,
    aside.reason,
    aside.raw
FROM set_aside AS aside
INNER JOIN charge_point AS cp ON aside.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.set_aside IS 'What was confirmed but could not become a fact, and why';

CREATE VIEW report.meter_value AS
SELECT
    mv.sampled_at,
    cp.identity AS charge_point,
    mv.connector_id,
    mv.transaction_id,
    context_name(mv.context) AS context,
    mv.energy_wh,
    mv.power_w,
    mv.current_a,
    mv.voltage_v,
    mv.soc_percent,
    mv.temperature_c,
    mv.current_offered_a,
    mv.power_offered_w,
    mv.extra,
    (ARRAY['MeterValues', 'StopTransaction', 'DOJOT', 'raw log'])[mv.origin + 1] AS origin
FROM meter_value AS mv
INNER JOIN charge_point AS cp ON mv.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.meter_value IS 'Readings in base units, a row per connector, instant and context';

CREATE VIEW report.transaction AS
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
    tx.flags
FROM transaction AS tx
INNER JOIN charge_point AS cp ON tx.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.transaction IS 'Transactions as charge points told them';

CREATE VIEW report.orphan_stop AS
SELECT
    stop.received_at,
    cp.identity AS charge_point,
    stop.transaction_id,
    stop.id_tag,
    stop.stopped_at,
    stop.meter_stop_wh,
    stop.reason
FROM orphan_stop AS stop
INNER JOIN charge_point AS cp ON stop.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.orphan_stop IS 'StopTransactions without an open transaction';

CREATE VIEW report.status AS
SELECT
    sn.at,
    cp.identity AS charge_point,
    sn.connector_id,
    sn.status,
    sn.error_code,
    sn.info,
    sn.vendor_id,
    sn.vendor_error_code,
    sn.received_at,
    sn.flags
FROM status_notification AS sn
INNER JOIN charge_point AS cp ON sn.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.status IS 'Status notifications; connector 0 is the whole charge point';

CREATE VIEW report.connection AS
SELECT
    cp.identity AS charge_point,
    conn.opened_at,
    coalesce(
        conn.closed_at,
        CASE WHEN rep.seen_at < now() - INTERVAL '30 seconds' THEN greatest(rep.seen_at, conn.opened_at) END
    ) AS closed_at,
    CASE
        WHEN conn.closed_at IS NULL AND rep.seen_at < now() - INTERVAL '30 seconds'
            THEN 'the central system stopped'
        ELSE conn.reason
    END AS reason,
    conn.remote_address
FROM connection AS conn
INNER JOIN charge_point AS cp ON conn.charge_point_id = cp.charge_point_id
LEFT JOIN replica AS rep ON conn.replica_id = rep.replica_id;
COMMENT ON VIEW report.connection IS 'Intervals in which a websocket was open; closed_at is NULL while it is';

CREATE VIEW report.command AS
SELECT
    cmd.command_id,
    cp.identity AS charge_point,
    cmd.action,
    cmd.payload,
    cmd.requested_by,
    cmd.requested_at,
    cmd.expires_at,
    CASE
        WHEN cmd.status = 'queued' AND cmd.expires_at < now() THEN 'expired'
        ELSE cmd.status
    END AS status,
    cmd.sent_at,
    cmd.finished_at,
    cmd.response,
    cmd.error_code,
    cmd.error_description
FROM command AS cmd
INNER JOIN charge_point AS cp ON cmd.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.command IS 'Commands to charge points and what became of them';

CREATE VIEW report.id_tag AS
SELECT
    tag.id_tag,
    coalesce(tag.alias, 'tag-' || left(md5(tag.id_tag_key), 6)) AS id_tag_alias,
    tag.status,
    tag.expiry_at,
    tag.parent_id_tag,
    tag.max_active,
    tag.created_at
FROM id_tag AS tag;
COMMENT ON VIEW report.id_tag IS 'Identifiers with the name to show in their place';

GRANT SELECT ON ALL TABLES IN SCHEMA report TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
