-- What people enter reaches every number it changes: tariffs follow one another, a charge point may
-- move to another site, and whatever has to be computed anew is marked where it is entered.

-- ---------------------------------------------------------------- tariffs

CREATE FUNCTION tariffs_in_force(of_site text, on_day date) RETURNS SETOF tariff
LANGUAGE sql STABLE AS $$
    SELECT tar.*
    FROM tariff AS tar
    WHERE
        tar.valid_from <= on_day AND coalesce(tar.valid_to, 'infinity') > on_day
        AND tar.site IS NOT DISTINCT FROM (
            SELECT min(own.site) FROM tariff AS own
            WHERE own.site = of_site AND own.valid_from <= on_day AND coalesce(own.valid_to, 'infinity') > on_day
        )
$$;
COMMENT ON FUNCTION tariffs_in_force IS
'The tariffs of a site on a day: its own if it has any, else the general ones. More than one: no price';

CREATE OR REPLACE FUNCTION touch_prices(first_day date, last_day date) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT flow.name, con.charge_point_id, local_midnight(con.day)
    FROM consumption_day AS con
    CROSS JOIN (VALUES ('consumption'), ('quality')) AS flow (name)
    WHERE con.day >= first_day AND (last_day IS NULL OR con.day < last_day)
    GROUP BY flow.name, con.charge_point_id, con.day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_prices IS 'Have costs and their findings computed anew for these days; last_day exclusive, NULL: open';

CREATE FUNCTION refuse_overlap(new_tariff tariff) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    other tariff;
BEGIN
    SELECT tar.* INTO other
    FROM tariff AS tar
    WHERE
        tar.site IS NOT DISTINCT FROM new_tariff.site
        AND tar.tariff_id IS DISTINCT FROM new_tariff.tariff_id
        AND tar.valid_from < coalesce(new_tariff.valid_to, 'infinity')
        AND coalesce(tar.valid_to, 'infinity') > new_tariff.valid_from
    ORDER BY tar.valid_from
    LIMIT 1;
    IF other.tariff_id IS NOT NULL THEN
        RAISE EXCEPTION 'tariff % (%) holds from % to %: choose other days, end it, or remove it',
            other.tariff_id, other.name, other.valid_from, coalesce(other.valid_to::text, 'further notice')
        USING ERRCODE = 'exclusion_violation';
    END IF;
END;
$$;
COMMENT ON FUNCTION refuse_overlap IS 'Raise where another tariff of the same site holds on one of the days';

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
    PERFORM touch_prices(added.valid_from, CASE WHEN ended IS NULL THEN added.valid_to END);
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
COMMENT ON FUNCTION report.add_tariff IS
'tariff: columns of report.tariff as JSON; periods: [{"posto": "ponta", "from_time": "18:00", "to_time": "21:00", "price_per_kwh": 1.9}, ...].
Ends the open tariff of the same site the day it begins; an overlap with another one is refused';

CREATE FUNCTION report.end_tariff(tariff_number integer, last_day date, author text) RETURNS void
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
    PERFORM touch_prices(least(before.valid_to, last_day), NULL);
    PERFORM operation.note(
        author, 'end_tariff', before.name,
        jsonb_build_object('tariff_id', tariff_number, 'valid_to', last_day, 'before', before.valid_to)
    );
END;
$$;
COMMENT ON FUNCTION report.end_tariff IS 'Set the first day a tariff no longer holds; NULL: open. An overlap is refused';

DROP FUNCTION report.remove_tariff(integer);
CREATE FUNCTION report.remove_tariff(tariff_number integer, author text DEFAULT session_user) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone tariff;
BEGIN
    DELETE FROM tariff WHERE tariff_id = tariff_number RETURNING * INTO gone;
    IF gone.tariff_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_prices(gone.valid_from, gone.valid_to);
    PERFORM operation.note(author, 'remove_tariff', gone.name, to_jsonb(gone) - 'name');
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION report.remove_tariff IS 'Remove a tariff with its periods; costs follow at the next run';

DROP FUNCTION report.add_holiday(date, text);
CREATE FUNCTION report.add_holiday(day date, name text, author text DEFAULT session_user) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO holiday AS hol (day, name) VALUES (add_holiday.day, add_holiday.name)
    ON CONFLICT ON CONSTRAINT holiday_pkey DO UPDATE SET name = excluded.name;
    PERFORM touch_prices(add_holiday.day, add_holiday.day + 1);
    PERFORM operation.note(author, 'add_holiday', add_holiday.day::text, jsonb_build_object('name', add_holiday.name));
END;
$$;
COMMENT ON FUNCTION report.add_holiday IS 'Make a day fora ponta throughout';

CREATE FUNCTION report.remove_holiday(day date, author text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone holiday;
BEGIN
    DELETE FROM holiday AS hol WHERE hol.day = remove_holiday.day RETURNING * INTO gone;
    IF gone.day IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_prices(gone.day, gone.day + 1);
    PERFORM operation.note(author, 'remove_holiday', gone.day::text, jsonb_build_object('name', gone.name));
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION report.remove_holiday IS 'Let a day count as any other again; costs follow at the next run';

-- ---------------------------------------------------------------- what a change has computed anew

CREATE FUNCTION readings_kept_since() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(max(now() - make_interval(secs => st.value * 86400)), '-infinity')
    FROM setting AS st
    WHERE st.name = 'meter_value_days'
$$;
COMMENT ON FUNCTION readings_kept_since IS 'Sessions before this are not computed anew: their readings are gone';

CREATE FUNCTION touch_sessions(of_charge_point integer) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT 'sessions', ses.charge_point_id, date_trunc('hour', ses.started_at)
    FROM session AS ses
    WHERE
        (of_charge_point IS NULL OR ses.charge_point_id = of_charge_point)
        AND ses.started_at >= readings_kept_since()
    GROUP BY ses.charge_point_id, date_trunc('hour', ses.started_at)
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_sessions IS 'Have the sessions of a charge point computed anew; NULL: of all';

CREATE FUNCTION touch_soc_of(of_tag_key text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO session_work (flow, transaction_id)
    SELECT 'soc', ses.transaction_id
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    WHERE
        (of_tag_key IS NULL OR upper(btrim(tx.id_tag)) = of_tag_key)
        AND ses.started_at >= readings_kept_since()
    ON CONFLICT (flow, transaction_id) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_soc_of IS 'Have the state of charge of a tag''s sessions computed anew; NULL: of all';

CREATE FUNCTION follow_charge_point() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.energy_factor IS DISTINCT FROM OLD.energy_factor THEN
        PERFORM touch_sessions(NEW.charge_point_id);
    END IF;
    IF NEW.site IS DISTINCT FROM OLD.site THEN
        INSERT INTO touched_work (flow, charge_point_id, hour)
        SELECT 'consumption', con.charge_point_id, local_midnight(con.day)
        FROM consumption_day AS con
        WHERE con.charge_point_id = NEW.charge_point_id
        GROUP BY con.charge_point_id, con.day
        ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp();
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_charge_point IS 'Another site has other prices and another demand; another factor is another energy';
CREATE TRIGGER charge_point_followed AFTER UPDATE OF site, energy_factor ON charge_point
FOR EACH ROW EXECUTE FUNCTION follow_charge_point();

CREATE FUNCTION follow_connector() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM touch_sessions(NEW.charge_point_id);
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_connector IS 'The kind of current decides the grace of idle time, the rated power what is plausible';
CREATE TRIGGER connector_followed AFTER UPDATE OF current_type, rated_power_w ON connector
FOR EACH ROW
WHEN (OLD.current_type IS DISTINCT FROM NEW.current_type OR OLD.rated_power_w IS DISTINCT FROM NEW.rated_power_w)
EXECUTE FUNCTION follow_connector();

CREATE FUNCTION follow_vehicle() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM touch_soc_of(coalesce(NEW.id_tag_key, OLD.id_tag_key));
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_vehicle IS 'The capacity of a vehicle gives its sessions an efficiency';
CREATE TRIGGER vehicle_followed AFTER INSERT OR UPDATE OR DELETE ON vehicle
FOR EACH ROW EXECUTE FUNCTION follow_vehicle();

CREATE FUNCTION follow_setting() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.name IN ('power_threshold_w', 'default_rated_power_w', 'idle_grace_dc_s', 'idle_grace_ac_s') THEN
        PERFORM touch_sessions(NULL);
    ELSIF NEW.name = 'ac_charging_efficiency' THEN
        PERFORM touch_soc_of(NULL);
    END IF;
    RETURN NULL;
END;
$$;
COMMENT ON FUNCTION follow_setting IS 'What a number of the formulas changes; the factors of CO2 are used when they are asked for';
CREATE TRIGGER setting_followed AFTER UPDATE OF value ON setting
FOR EACH ROW WHEN (OLD.value IS DISTINCT FROM NEW.value) EXECUTE FUNCTION follow_setting();

-- ---------------------------------------------------------------- what people enter, and who did

CREATE OR REPLACE FUNCTION report.set_setting(setting_name text, new_value double precision, source text, source_year integer, author text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    before setting;
    stated text := nullif(btrim(set_setting.source), '');
BEGIN
    SELECT st.* INTO before FROM setting AS st WHERE st.name = setting_name;
    IF before.name IS NULL THEN
        RAISE EXCEPTION 'no setting %', quote_nullable(setting_name) USING ERRCODE = 'no_data_found';
    END IF;
    IF setting_name ~ '(co2|consumption)' AND new_value IS NOT NULL AND (stated IS NULL OR set_setting.source_year IS NULL) THEN
        RAISE EXCEPTION '% needs the source and the year of its value', setting_name USING ERRCODE = 'check_violation';
    END IF;
    UPDATE setting AS st
    SET
        value = new_value, source = stated, source_year = set_setting.source_year,
        updated_at = now(), updated_by = author
    WHERE st.name = setting_name;
    PERFORM operation.note(
        author, 'set_setting', setting_name,
        jsonb_build_object('value', new_value, 'before', before.value, 'source', stated, 'source_year', set_setting.source_year)
    );
END;
$$;
COMMENT ON FUNCTION report.set_setting IS
'Change a number that formulas use; what it changes is computed anew as far back as readings are kept';

CREATE OR REPLACE FUNCTION report.add_downtime_exclusion(
    charge_point text, connector_id integer, started_at timestamptz, ended_at timestamptz,
    reason text, evidence text, author text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number integer := report.charge_point_number(charge_point);
    exclusion bigint;
BEGIN
    INSERT INTO downtime_exclusion (charge_point_id, connector_id, started_at, ended_at, reason, evidence, author)
    VALUES (
        number, add_downtime_exclusion.connector_id, add_downtime_exclusion.started_at, add_downtime_exclusion.ended_at,
        add_downtime_exclusion.reason, add_downtime_exclusion.evidence, add_downtime_exclusion.author
    )
    RETURNING downtime_exclusion_id INTO exclusion;
    PERFORM touch_days('availability', number, add_downtime_exclusion.started_at, add_downtime_exclusion.ended_at);
    PERFORM operation.note(
        author, 'add_downtime_exclusion', charge_point,
        jsonb_build_object(
            'exclusion', exclusion, 'connector_id', add_downtime_exclusion.connector_id, 'reason', add_downtime_exclusion.reason,
            'started_at', add_downtime_exclusion.started_at, 'ended_at', add_downtime_exclusion.ended_at
        )
    );
    RETURN exclusion;
END;
$$;

CREATE OR REPLACE FUNCTION report.withdraw_downtime_exclusion(exclusion bigint, author text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone downtime_exclusion;
BEGIN
    UPDATE downtime_exclusion SET withdrawn_at = now(), withdrawn_by = withdraw_downtime_exclusion.author
    WHERE downtime_exclusion_id = exclusion AND withdrawn_at IS NULL
    RETURNING * INTO gone;
    IF gone.downtime_exclusion_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_days('availability', gone.charge_point_id, gone.started_at, gone.ended_at);
    PERFORM operation.note(
        author, 'withdraw_downtime_exclusion',
        (SELECT cp.identity FROM charge_point AS cp WHERE cp.charge_point_id = gone.charge_point_id),
        jsonb_build_object('exclusion', exclusion)
    );
    RETURN TRUE;
END;
$$;

CREATE FUNCTION operation.set_energy_factor(charge_point text, factor double precision, who text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE charge_point AS cp SET energy_factor = factor
    WHERE cp.charge_point_id = operation.charge_point_number(set_energy_factor.charge_point);
    PERFORM operation.note(who, 'set_energy_factor', charge_point, jsonb_build_object('energy_factor', factor));
END;
$$;
COMMENT ON FUNCTION operation.set_energy_factor IS
'What its energy readings are multiplied by (1000: labels kWh as Wh); its sessions are computed anew';

CREATE FUNCTION operation.set_connector(
    charge_point text, number integer, new_current_type text, new_rated_power_w double precision, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF number NOT BETWEEN 1 AND 32767 THEN
        RAISE EXCEPTION 'connectors are numbered from 1' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO connector AS con (charge_point_id, connector_id, current_type, rated_power_w)
    VALUES (operation.charge_point_number(charge_point), number, new_current_type, new_rated_power_w)
    ON CONFLICT (charge_point_id, connector_id) DO UPDATE SET
        current_type = coalesce(excluded.current_type, con.current_type),
        rated_power_w = coalesce(excluded.rated_power_w, con.rated_power_w);
    PERFORM operation.note(
        who, 'set_connector', charge_point,
        jsonb_build_object('connector_id', number, 'current_type', new_current_type, 'rated_power_w', new_rated_power_w)
    );
END;
$$;
COMMENT ON FUNCTION operation.set_connector IS
'AC or DC and the rated power (W) of a connector; NULL: as it was. Its sessions are computed anew';

CREATE FUNCTION operation.save_vehicle(
    tag text, new_name text, new_usable_capacity_wh double precision, new_consumption_wh_per_km double precision, who text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF length(btrim(tag)) NOT BETWEEN 1 AND 255 THEN
        RAISE EXCEPTION 'an id tag has 1 to 255 characters' USING ERRCODE = 'check_violation';
    END IF;
    INSERT INTO vehicle AS car (id_tag_key, name, usable_capacity_wh, consumption_wh_per_km)
    VALUES (upper(btrim(tag)), nullif(btrim(new_name), ''), new_usable_capacity_wh, new_consumption_wh_per_km)
    ON CONFLICT (id_tag_key) DO UPDATE SET
        name = excluded.name,
        usable_capacity_wh = excluded.usable_capacity_wh,
        consumption_wh_per_km = excluded.consumption_wh_per_km;
    PERFORM operation.note(
        who, 'save_vehicle', 'tag-' || left(md5(upper(btrim(tag))), 6),
        jsonb_build_object('usable_capacity_wh', new_usable_capacity_wh, 'consumption_wh_per_km', new_consumption_wh_per_km)
    );
END;
$$;
COMMENT ON FUNCTION operation.save_vehicle IS 'Say which vehicle a tag stands for; the log keeps the pseudonym of the tag only';

CREATE FUNCTION operation.remove_vehicle(tag text, who text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM vehicle AS car WHERE car.id_tag_key = upper(btrim(tag));
    IF NOT FOUND THEN
        RETURN FALSE;
    END IF;
    PERFORM operation.note(who, 'remove_vehicle', 'tag-' || left(md5(upper(btrim(tag))), 6), '{}');
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION operation.remove_vehicle IS 'Forget the vehicle behind a tag';

CREATE VIEW report.vehicle AS
SELECT
    car.id_tag_key AS id_tag,
    id_tag_alias(car.id_tag_key) AS id_tag_alias,
    car.name,
    car.usable_capacity_wh,
    car.consumption_wh_per_km
FROM vehicle AS car;
COMMENT ON VIEW report.vehicle IS 'Vehicles behind identifiers, for their efficiency';
COMMENT ON COLUMN report.vehicle.id_tag IS 'The identifier in upper case';
COMMENT ON COLUMN report.vehicle.usable_capacity_wh IS 'Energy the battery can use, Wh';
COMMENT ON COLUMN report.vehicle.consumption_wh_per_km IS 'Consumption of the vehicle, Wh/km';

CREATE VIEW report.charge_point_setup AS
SELECT
    cp.identity AS charge_point,
    cp.energy_factor,
    cp.time_zone
FROM charge_point AS cp;
COMMENT ON VIEW report.charge_point_setup IS 'How the readings of a charge point are to be read';
COMMENT ON COLUMN report.charge_point_setup.energy_factor IS 'Multiplies its energy readings; 1000 for one that labels kWh as Wh';
COMMENT ON COLUMN report.charge_point_setup.time_zone IS 'Zone of times it sends without one (IANA name)';

-- ---------------------------------------------------------------- what the quality flow looks for since its last run

CREATE INDEX set_aside_by_time ON set_aside (received_at);
CREATE INDEX orphan_stop_by_time ON orphan_stop (received_at);
CREATE INDEX reconciliation_with_duplicates ON reconciliation (checked_at) WHERE duplicates > 0;

-- ---------------------------------------------------------------- demand of group A

CREATE INDEX site_demand_by_site ON site_demand (site, started_at);

CREATE VIEW report.demand_month AS
WITH month AS (
    SELECT
        place.site,
        every.month::date AS month,
        (every.month + INTERVAL '1 month')::date AS next_month
    FROM (SELECT DISTINCT coalesce(cp.site, '') AS site FROM charge_point AS cp) AS place
    CROSS JOIN LATERAL (
        SELECT min(sd.started_at) AS first_at FROM site_demand AS sd WHERE sd.site = place.site
    ) AS seen
    CROSS JOIN LATERAL generate_series(
        date_trunc('month', local_day(seen.first_at)::timestamp), date_trunc('month', local_day(now())::timestamp), INTERVAL '1 month'
    ) AS every (month)
),

held AS (
    SELECT
        month.site,
        month.month,
        month.next_month,
        priced.tariff_id,
        count(*) AS days,
        min(dates.day)::date AS first_day,
        max(dates.day)::date AS final_day
    FROM month
    CROSS JOIN LATERAL generate_series(month.month::timestamp, month.next_month - INTERVAL '1 day', INTERVAL '1 day') AS dates (day)
    CROSS JOIN LATERAL (
        SELECT min(tar.tariff_id) AS tariff_id
        FROM tariff AS tar
        WHERE
            tar.valid_from <= dates.day AND coalesce(tar.valid_to, 'infinity') > dates.day
            AND tar.site IS NOT DISTINCT FROM (
                SELECT min(own.site) FROM tariff AS own
                WHERE own.site = month.site AND own.valid_from <= dates.day AND coalesce(own.valid_to, 'infinity') > dates.day
            )
        HAVING count(*) = 1
    ) AS priced
    GROUP BY month.site, month.month, month.next_month, priced.tariff_id
)

SELECT
    held.month,
    nullif(held.site, '') AS site,
    tar.tariff_id,
    tar.name AS tariff,
    tar.modality,
    tar.currency,
    held.days,
    held.next_month <= local_day(now()) AS is_finished,
    tar.contracted_demand_kw,
    peak.energy_wh * 4 / 1000 AS measured_demand_kw,
    peak.started_at AS measured_at,
    greatest(tar.contracted_demand_kw, peak.energy_wh * 4 / 1000) AS billed_demand_kw,
    tar.demand_price_per_kw * (1 + tar.tax_percent / 100) AS full_price_per_kw,
    greatest(tar.contracted_demand_kw, peak.energy_wh * 4 / 1000) * tar.demand_price_per_kw * (1 + tar.tax_percent / 100)
    * held.days / (held.next_month - held.month) AS demand_cost
FROM held
INNER JOIN tariff AS tar ON held.tariff_id = tar.tariff_id
LEFT JOIN LATERAL (
    SELECT sd.energy_wh, sd.started_at
    FROM site_demand AS sd
    WHERE
        sd.site = held.site
        AND sd.started_at >= local_midnight(held.first_day) AND sd.started_at < local_midnight(held.final_day + 1)
    ORDER BY sd.energy_wh DESC, sd.started_at
    LIMIT 1
) AS peak ON TRUE
WHERE tar.consumer_group = 'A' OR tar.contracted_demand_kw IS NOT NULL OR tar.demand_price_per_kw IS NOT NULL;
COMMENT ON VIEW report.demand_month IS
'Demand of each site, month and tariff: the greater of contracted and measured (highest 15 minutes of the charge points),
priced by the share of the month the tariff held. Charges for exceeding the contract are not included. NULL: no price entered';
COMMENT ON COLUMN report.demand_month.month IS 'First day of the month';
COMMENT ON COLUMN report.demand_month.days IS 'Days of the month on which the tariff holds';
COMMENT ON COLUMN report.demand_month.is_finished IS 'FALSE: the measured demand may still rise';
COMMENT ON COLUMN report.demand_month.contracted_demand_kw IS 'Contracted demand of the tariff, kW';
COMMENT ON COLUMN report.demand_month.measured_demand_kw IS 'Highest 15-minute demand of the site on these days, kW';
COMMENT ON COLUMN report.demand_month.measured_at IS 'Start of that quarter of an hour';
COMMENT ON COLUMN report.demand_month.billed_demand_kw IS 'The greater of contracted and measured, kW';
COMMENT ON COLUMN report.demand_month.full_price_per_kw IS 'Price per kW and month, with tax';
COMMENT ON COLUMN report.demand_month.demand_cost IS 'billed_demand_kw x full_price_per_kw x days / days of the month';

-- ---------------------------------------------------------------- utilisation

ALTER TABLE consumption_day ADD COLUMN is_timed boolean;
COMMENT ON COLUMN consumption_day.is_timed IS
'TRUE: readings tell the charging time of every session of the day; FALSE: of one at least they do not; NULL: not looked at';

CREATE VIEW report.utilisation AS
SELECT
    av.day,
    cp.identity AS charge_point,
    av.connector_id,
    cp.site,
    kind.rated_power_w,
    charging.seconds AS charging_s,
    charging.source AS charging_source,
    av.up_s,
    coalesce(con.energy_wh, 0) AS energy_wh,
    kind.rated_power_w * (av.up_s + av.down_s) / 3600 AS capacity_wh,
    100 * charging.seconds / nullif(av.up_s, 0) AS utilisation_percent,
    100 * coalesce(con.energy_wh, 0) / nullif(kind.rated_power_w * (av.up_s + av.down_s) / 3600, 0) AS energy_utilisation_percent
FROM availability_day AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id
LEFT JOIN connector AS kind ON av.charge_point_id = kind.charge_point_id AND av.connector_id = kind.connector_id
LEFT JOIN consumption_day AS con
    ON av.charge_point_id = con.charge_point_id AND av.connector_id = con.connector_id AND av.day = con.day
CROSS JOIN LATERAL (
    SELECT
        coalesce(con.is_timed, con.charging_s IS NOT NULL) AS by_readings
) AS told
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN told.by_readings THEN coalesce(con.charging_s, 0)
            ELSE greatest(con.charging_s, av.charging_s)
        END AS seconds,
        CASE WHEN told.by_readings THEN 'readings' ELSE 'state' END AS source
) AS charging;
COMMENT ON VIEW report.utilisation IS
'Utilisation per connector and local day: by time = charging_s / up_s, by energy = energy_wh / capacity_wh.
For longer windows divide sums, never average percentages';
COMMENT ON COLUMN report.utilisation.charging_s IS 'Time with power above the threshold, s; time in state Charging where readings do not tell';
COMMENT ON COLUMN report.utilisation.charging_source IS 'readings, or state where a session of the day has neither power nor register samples';
COMMENT ON COLUMN report.utilisation.up_s IS 'Time in operation, s, as in report.availability';
COMMENT ON COLUMN report.utilisation.energy_wh IS 'Energy of the day, Wh';
COMMENT ON COLUMN report.utilisation.capacity_wh IS 'Rated power x known time, Wh; NULL: no rated power';
COMMENT ON COLUMN report.utilisation.utilisation_percent IS '100 x charging_s / up_s';
COMMENT ON COLUMN report.utilisation.energy_utilisation_percent IS '100 x energy_wh / capacity_wh';

-- ---------------------------------------------------------------- CO2 and reports

CREATE OR REPLACE VIEW report.co2 AS
SELECT
    grid.value AS grid_kg_per_kwh,
    ice.value AS combustion_kg_per_km,
    use.value AS consumption_kwh_per_km,
    CASE
        WHEN btrim(grid.source) <> '' AND btrim(ice.source) <> '' AND btrim(use.source) <> ''
            THEN ice.value / nullif(use.value, 0) - grid.value
    END AS avoided_kg_per_kwh,
    concat_ws(' ', grid.source, grid.source_year) AS grid_source,
    concat_ws(' ', ice.source, ice.source_year) AS combustion_source,
    concat_ws(' ', use.source, use.source_year) AS consumption_source
FROM setting AS grid, setting AS ice, setting AS use
WHERE
    grid.name = 'grid_co2_kg_per_kwh'
    AND ice.name = 'combustion_co2_kg_per_km'
    AND use.name = 'vehicle_consumption_kwh_per_km';
COMMENT ON VIEW report.co2 IS
'Factors of the CO2 estimate (one row); avoided_kg = energy in kWh x avoided_kg_per_kwh; NULL until all are set with their source';
COMMENT ON COLUMN report.co2.grid_source IS 'Source and year of grid_kg_per_kwh';
COMMENT ON COLUMN report.co2.combustion_source IS 'Source and year of combustion_kg_per_km';
COMMENT ON COLUMN report.co2.consumption_source IS 'Source and year of consumption_kwh_per_km';

ALTER TABLE report_file DROP CONSTRAINT report_file_kind_check;
ALTER TABLE report_file ADD CONSTRAINT report_file_kind_check
CHECK (kind IN ('monthly', 'quarterly_ports', 'quarterly_sessions', 'quarterly_outages'));
COMMENT ON VIEW report.monthly_report IS
'Reports as made by the flow: kind monthly, quarterly_ports, _sessions or _outages; charge_point NULL: the network';

-- ---------------------------------------------------------------- rights

GRANT SELECT ON report.vehicle, report.charge_point_setup, report.demand_month, report.utilisation
TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
REVOKE EXECUTE ON FUNCTION
refuse_overlap, touch_sessions, touch_soc_of, follow_charge_point, follow_connector, follow_vehicle, follow_setting,
report.end_tariff, report.remove_tariff, report.add_holiday, report.remove_holiday,
operation.set_energy_factor, operation.set_connector, operation.save_vehicle, operation.remove_vehicle
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
report.end_tariff, report.remove_tariff, report.add_holiday, report.remove_holiday,
operation.set_energy_factor, operation.set_connector, operation.save_vehicle, operation.remove_vehicle
TO eletroposto_operator;
