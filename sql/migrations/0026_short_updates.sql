-- What the flows ask at every update takes no longer with a longer history; a tariff of one site has that site alone
-- computed anew.

-- ---------------------------------------------------------------- since when a charge point is heard of

CREATE FUNCTION heard_since(of_charge_point integer) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
    SELECT least(
        (
            SELECT min(first.at)
            FROM (
                SELECT con.connector_id FROM connector AS con WHERE con.charge_point_id = of_charge_point
                UNION
                SELECT 0::smallint
            ) AS place
            CROSS JOIN LATERAL (
                SELECT sn.at
                FROM status_notification AS sn
                WHERE sn.charge_point_id = of_charge_point AND sn.connector_id = place.connector_id
                ORDER BY sn.at
                LIMIT 1
            ) AS first
        ),
        (
            SELECT conn.opened_at
            FROM connection AS conn
            WHERE conn.charge_point_id = of_charge_point
            ORDER BY conn.opened_at
            LIMIT 1
        )
    )
$$;
COMMENT ON FUNCTION heard_since IS
'When a charge point was first heard of, by a status or a connection; read by the index of each connector, not over all that it said';

-- When the central system was back: the first connection of any charge point after it had stopped.
CREATE INDEX connection_by_time ON connection (opened_at);

-- ---------------------------------------------------------------- prices of one site

DROP FUNCTION touch_prices(date, date);
CREATE FUNCTION touch_prices(first_day date, last_day date, of_site text DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT flow.name, con.charge_point_id, local_midnight(con.day)
    FROM consumption_day AS con
    INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id
    CROSS JOIN (VALUES ('consumption'), ('quality')) AS flow (name)
    WHERE
        con.day >= first_day AND (last_day IS NULL OR con.day < last_day)
        AND (of_site IS NULL OR cp.site = of_site)
    GROUP BY flow.name, con.charge_point_id, con.day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_prices IS
'Have costs and their findings computed anew for these days; last_day exclusive, NULL: open; of_site NULL: of all charge points';
REVOKE EXECUTE ON FUNCTION touch_prices FROM PUBLIC;
GRANT EXECUTE ON FUNCTION touch_prices TO eletroposto_flows;

CREATE OR REPLACE FUNCTION report.add_tariff(tariff jsonb, periods jsonb, author text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added tariff;
    ended integer;
BEGIN
    added := jsonb_populate_record(NULL::tariff, add_tariff.tariff);
    added.site := nullif(btrim(added.site), '');
    IF added.valid_to <= added.valid_from THEN
        RAISE EXCEPTION 'a tariff from % cannot end on %', added.valid_from, added.valid_to USING ERRCODE = 'check_violation';
    END IF;
    LOCK TABLE tariff IN SHARE ROW EXCLUSIVE MODE;
    UPDATE tariff AS tar SET valid_to = added.valid_from
    WHERE
        tar.site IS NOT DISTINCT FROM added.site
        AND tar.valid_to IS NULL AND tar.valid_from < added.valid_from
    RETURNING tar.tariff_id INTO ended;
    PERFORM refuse_overlap(added);
    INSERT INTO tariff (
        name, consumer_group, modality, site, valid_from, valid_to, currency, tax_percent, surcharge_per_kwh,
        contracted_demand_kw, demand_price_per_kw, source, author
    ) VALUES (
        added.name, added.consumer_group, added.modality, added.site, added.valid_from, added.valid_to,
        coalesce(added.currency, 'BRL'), coalesce(added.tax_percent, 0), coalesce(added.surcharge_per_kwh, 0),
        added.contracted_demand_kw, added.demand_price_per_kw, added.source, add_tariff.author
    )
    RETURNING * INTO added;
    INSERT INTO tariff_period (tariff_id, posto, from_time, to_time, price_per_kwh)
    SELECT added.tariff_id, period.posto, period.from_time, period.to_time, period.price_per_kwh
    FROM jsonb_to_recordset(periods) AS period (posto text, from_time time, to_time time, price_per_kwh double precision);
    PERFORM touch_prices(added.valid_from, CASE WHEN ended IS NULL THEN added.valid_to END, added.site);
    PERFORM operation.note(
        author, 'add_tariff', added.name,
        jsonb_build_object(
            'tariff_id', added.tariff_id, 'site', added.site, 'valid_from', added.valid_from, 'valid_to', added.valid_to,
            'ended', ended
        )
    );
    RETURN added.tariff_id;
END;
$$;

CREATE OR REPLACE FUNCTION report.end_tariff(tariff_number integer, last_day date, author text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    before tariff;
    changed tariff;
BEGIN
    LOCK TABLE tariff IN SHARE ROW EXCLUSIVE MODE;
    SELECT tar.* INTO before FROM tariff AS tar WHERE tar.tariff_id = tariff_number;
    IF before.tariff_id IS NULL THEN
        RAISE EXCEPTION 'no tariff %', tariff_number USING ERRCODE = 'no_data_found';
    END IF;
    changed := before;
    changed.valid_to := last_day;
    IF changed.valid_to <= before.valid_from THEN
        RAISE EXCEPTION 'tariff % begins on %: it cannot end on %', tariff_number, before.valid_from, last_day
        USING ERRCODE = 'check_violation';
    END IF;
    PERFORM refuse_overlap(changed);
    UPDATE tariff AS tar SET valid_to = last_day WHERE tar.tariff_id = tariff_number;
    PERFORM touch_prices(least(before.valid_to, last_day), NULL, before.site);
    PERFORM operation.note(
        author, 'end_tariff', before.name,
        jsonb_build_object('tariff_id', tariff_number, 'valid_to', last_day, 'before', before.valid_to)
    );
END;
$$;

CREATE OR REPLACE FUNCTION report.remove_tariff(tariff_number integer, author text DEFAULT session_user) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone tariff;
BEGIN
    DELETE FROM tariff WHERE tariff_id = tariff_number RETURNING * INTO gone;
    IF gone.tariff_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_prices(gone.valid_from, gone.valid_to, gone.site);
    PERFORM operation.note(author, 'remove_tariff', gone.name, to_jsonb(gone) - 'name');
    RETURN TRUE;
END;
$$;

-- ---------------------------------------------------------------- how its times were read

CREATE TABLE time_zone_change (
    charge_point_id integer     NOT NULL REFERENCES charge_point ON DELETE CASCADE,
    changed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    time_zone       text        NOT NULL
);
CREATE INDEX time_zone_change_by_charge_point ON time_zone_change (charge_point_id, changed_at);
COMMENT ON TABLE time_zone_change IS
'Time zones that charge points had before, so that frames of the raw log are read as they were when they came';
COMMENT ON COLUMN time_zone_change.charge_point_id IS 'Number of the charge point';
COMMENT ON COLUMN time_zone_change.changed_at IS 'Until when times it sent without a zone were read in this one';
COMMENT ON COLUMN time_zone_change.time_zone IS 'Zone of times it sent without one (IANA name), until then';

CREATE FUNCTION keep_time_zone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO time_zone_change (charge_point_id, time_zone) VALUES (OLD.charge_point_id, OLD.time_zone);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION keep_time_zone IS 'Write down the time zone a charge point had until now';
CREATE TRIGGER keep_time_zone AFTER UPDATE OF time_zone ON charge_point
FOR EACH ROW WHEN (OLD.time_zone IS DISTINCT FROM NEW.time_zone) EXECUTE FUNCTION keep_time_zone();

GRANT SELECT ON time_zone_change TO eletroposto_flows;

-- ---------------------------------------------------------------- sums once per update

DROP TRIGGER write_sums ON flow_watermark;
CREATE TRIGGER write_sums AFTER INSERT OR UPDATE ON flow_watermark
FOR EACH ROW WHEN (NEW.flow = 'availability') EXECUTE FUNCTION write_sums_after_flow();
COMMENT ON FUNCTION write_sums_after_flow IS
'Write the sums down once per update: availability is the last of its flows that changes what is added up';
