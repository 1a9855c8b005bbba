-- A database made after 0018 was told the order of 0410 last, which lacks a column of the key; one made before has this
-- order already. Chunks that are compressed stay as they are. The tests run on the Apache edition, where this file and
-- 0410 are passed over: it was never run here.
-- edition: community

ALTER TABLE meter_value SET (
    timescaledb.compress = TRUE,
    timescaledb.compress_segmentby = 'charge_point_id',
    timescaledb.compress_orderby = 'sampled_at, connector_id, context, transaction_id'
);
