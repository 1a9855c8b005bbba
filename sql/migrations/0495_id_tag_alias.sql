-- An alias can be edited for what it is, and adding an id tag never changes one that is known.

CREATE OR REPLACE VIEW report.id_tag AS
SELECT
    tag.id_tag,
    coalesce(tag.alias, 'tag-' || left(md5(tag.id_tag_key), 6)) AS id_tag_alias,
    tag.status,
    tag.expiry_at,
    tag.parent_id_tag,
    tag.max_active,
    tag.created_at,
    tag.alias
FROM id_tag AS tag;

CREATE FUNCTION operation.add_id_tag(
    tag text, new_status text, new_expiry timestamptz, new_parent text, new_max_active integer,
    new_alias text, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO id_tag (id_tag, status) VALUES (btrim(tag), new_status)
    ON CONFLICT (id_tag_key) DO NOTHING;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'this id tag is known already';
    END IF;
    PERFORM operation.save_id_tag(tag, new_status, new_expiry, new_parent, new_max_active, new_alias, who);
END;
$$;
COMMENT ON FUNCTION operation.add_id_tag IS 'Add an id tag; one that is known is refused and stays as it is';
REVOKE EXECUTE ON FUNCTION operation.add_id_tag FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operation.add_id_tag TO eletroposto_operator;
