-- The replica that holds a charge point's socket is told when an operator ends one of its transactions.

CREATE OR REPLACE FUNCTION operation.end_transaction(number bigint, who text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    ended charge_point;
BEGIN
    UPDATE transaction AS tx
    SET superseded_at = greatest(tx.started_at, now()), changed_at = now()
    FROM charge_point AS cp
    WHERE
        tx.transaction_id = number AND tx.stopped_at IS NULL AND tx.superseded_at IS NULL
        AND cp.charge_point_id = tx.charge_point_id
    RETURNING cp.* INTO ended;
    IF ended.charge_point_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM pg_notify('eletroposto_ended', ended.charge_point_id || ' ' || number);
    PERFORM operation.note(
        who, 'end_transaction', ended.identity, jsonb_build_object('transaction_id', number)
    );
    RETURN TRUE;
END;
$$;

COMMENT ON COLUMN connector.status_at IS
'Time of that status: the charge point''s clock, or ours where that was not usable or ahead';
