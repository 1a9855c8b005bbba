-- The meaning of a column is written once, at its table; the views that pass it on say the same.

DO $$
DECLARE
    passed_on record;
BEGIN
    FOR passed_on IN
        SELECT DISTINCT ON (shown.table_name, shown.column_name)
            shown.table_name, shown.column_name, col_description(source.oid, att.attnum) AS meaning
        FROM information_schema.columns AS shown
        INNER JOIN information_schema.view_column_usage AS used
            ON
                shown.table_schema = used.view_schema
                AND shown.table_name = used.view_name
                AND shown.column_name = used.column_name
        INNER JOIN pg_class AS source ON used.table_name = source.relname
        INNER JOIN pg_namespace AS place ON source.relnamespace = place.oid AND used.table_schema = place.nspname
        INNER JOIN pg_attribute AS att ON source.oid = att.attrelid AND used.column_name = att.attname
        WHERE
            shown.table_schema = 'report'
            AND col_description(source.oid, att.attnum) IS NOT NULL
            AND col_description(
                format('%I.%I', shown.table_schema, shown.table_name)::regclass, shown.ordinal_position
            ) IS NULL
        ORDER BY shown.table_name, shown.column_name, used.table_name
    LOOP
        EXECUTE format(
            'COMMENT ON COLUMN report.%I.%I IS %L', passed_on.table_name, passed_on.column_name, passed_on.meaning
        );
    END LOOP;
END;
$$;

COMMENT ON COLUMN report.session.charge_point IS 'Identity of the charge point';
COMMENT ON COLUMN report.session.id_tag_alias IS 'Alias of the identifier, or a pseudonym; never the identifier itself';
COMMENT ON COLUMN report.session.stopped_at IS 'End of the session, also where inferred; NULL while open';
COMMENT ON COLUMN report.session.last_evidence_at IS 'The end, or for an open session the last sign of it';
COMMENT ON COLUMN report.session.cost IS 'Cost of the priced energy, in the currency of the tariff; NULL: no tariff';
COMMENT ON COLUMN report.session.unpriced_wh IS 'Energy without a price, Wh';
COMMENT ON COLUMN report.availability.technical_percent IS '100 x up / (up + down)';
COMMENT ON COLUMN report.availability.nevi_percent IS '100 x (up + excluded) / (up + down), of this window';
COMMENT ON COLUMN report.availability.occupancy_percent IS '100 x plugged / up';
COMMENT ON COLUMN report.energy_bucket.mean_power_w IS 'Energy over a quarter of an hour: the 15-minute demand, W';
COMMENT ON COLUMN report.site_demand.demand_w IS 'Mean power of the site over the quarter of an hour, W';
COMMENT ON COLUMN report.tariff.full_price_per_kwh IS 'Price with surcharge and tax';
