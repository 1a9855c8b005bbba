INSERT INTO dojot_outbox (shard, charge_point_ids, sampled_ats, connector_ids, contexts, is_old)
VALUES (1, '{1}', '{2026-03-01T12:00:20Z}', '{1}', '{0}', TRUE);

INSERT INTO dojot_event (shard, charge_point_id, at, attrs, is_old)
VALUES (2, 2, '2026-03-01T17:30Z', '{"transaction_start": 3}', TRUE);

UPDATE dojot_frame_cursor SET snapshot = '10:20:10,14,15';

INSERT INTO reconciliation (charge_point_id, window_start, window_end, rows_database, rows_dojot, verdict, awaited)
VALUES (1, '2026-03-01T16:00Z', '2026-03-01T17:00Z', 10, 8, 'different', 2);
