-- The dictionary of the data. Asked by dashboard/data/about.py, as eletroposto_dashboard, of report only.

-- name: dictionary
-- Views and columns others may rely on, with their comments.
SELECT
    pg_class.relname::text AS view_name,
    pg_attribute.attname::text AS column_name,
    format_type(pg_attribute.atttypid, NULL) AS type_name,
    col_description(pg_class.oid, pg_attribute.attnum) AS column_comment,
    obj_description(pg_class.oid) AS view_comment
FROM pg_class
INNER JOIN pg_namespace ON pg_class.relnamespace = pg_namespace.oid
INNER JOIN pg_attribute ON pg_class.oid = pg_attribute.attrelid
WHERE pg_namespace.nspname = 'report' AND pg_attribute.attnum > 0 AND NOT pg_attribute.attisdropped
ORDER BY pg_class.relname, pg_attribute.attnum;
