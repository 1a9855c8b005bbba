-- The meaning of a column is written once, at its table; the views that pass it on say the same. Runs after every
-- upgrade, since any migration may bring a view.

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
