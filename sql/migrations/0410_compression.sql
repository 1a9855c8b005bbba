-- Closed chunks are compressed where the server can; the flows go on dropping old ones on both editions.
-- edition: community

ALTER TABLE meter_value SET (
    timescaledb.compress = TRUE,
    timescaledb.compress_segmentby = 'charge_point_id',
    timescaledb.compress_orderby = 'sampled_at, connector_id, context'
);
SELECT add_compression_policy('meter_value', INTERVAL '14 days');

ALTER TABLE ocpp_message SET (
    timescaledb.compress = TRUE,
    timescaledb.compress_segmentby = 'charge_point_id',
    timescaledb.compress_orderby = 'received_at'
);
SELECT add_compression_policy('ocpp_message', INTERVAL '3 days');
