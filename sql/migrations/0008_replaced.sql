-- The notice that a newer socket came names the older one: a charge point that moves quickly may
-- already be back, and the socket it has now must stay.

CREATE OR REPLACE FUNCTION announce_replaced() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify(
        'eletroposto_replaced',
        format(
            '%s %s %s', OLD.replica_id, OLD.charge_point_id,
            (extract(EPOCH FROM OLD.opened_at) * 1000000)::bigint
        )
    );
    RETURN NULL;
END;
$$;
