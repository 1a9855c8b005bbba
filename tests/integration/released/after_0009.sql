-- Retention has run before what it drops was written down (0010); DOJOT is behind while its tables change (0013).
INSERT INTO flow_watermark (flow, done_until) VALUES ('retention', '2026-03-01T16:00Z');

INSERT INTO dojot_backfill (charge_point_id, reached) VALUES (1, '2026-03-01T12:00Z');

INSERT INTO dojot_outbox (shard, charge_point_ids, sampled_ats, connector_ids, contexts)
VALUES (1, '{1,1}', '{2026-03-01T12:00:00Z,2026-03-01T12:00:10Z}', '{1,1}', '{0,0}');

UPDATE dojot_shard SET sent_at = '2026-03-01T16:00Z' WHERE shard = 3;

UPDATE dojot_relay SET messages_per_s = 12.5, broker_is_away = TRUE, problem = 'login_refused';

INSERT INTO consumption_day (
    day, charge_point_id, connector_id, energy_wh, ponta_wh, intermediario_wh, fora_ponta_wh, unpriced_wh, sessions, attempts,
    plug_ins, plug_ins_served
)
VALUES ('2026-03-01', 1, 1, 180000, 0, 0, 180000, 0, 1, 0, 1, 1);
