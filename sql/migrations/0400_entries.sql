-- What people enter and the flows count with: exclusions of down time, tariffs, holidays, settings.

CREATE FUNCTION touch_days(charge_point integer, first_at timestamptz, last_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT 'availability', charge_point, local_midnight(day::date)
    FROM generate_series(local_day(first_at)::timestamp, local_day(least(last_at, now()))::timestamp, INTERVAL '1 day') AS day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_days IS 'Have availability computed anew for these days';

CREATE FUNCTION operation.add_downtime_exclusion(
    charge_point text, connector_id integer, started_at timestamptz, ended_at timestamptz,
    reason text, evidence text, author text
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number integer := operation.charge_point_number(charge_point);
    exclusion bigint;
BEGIN
    INSERT INTO downtime_exclusion (charge_point_id, connector_id, started_at, ended_at, reason, evidence, author)
    VALUES (
        number, add_downtime_exclusion.connector_id, add_downtime_exclusion.started_at, add_downtime_exclusion.ended_at,
        add_downtime_exclusion.reason, add_downtime_exclusion.evidence, add_downtime_exclusion.author
    )
    RETURNING downtime_exclusion_id INTO exclusion;
    PERFORM touch_days(number, add_downtime_exclusion.started_at, add_downtime_exclusion.ended_at);
    RETURN exclusion;
END;
$$;
COMMENT ON FUNCTION operation.add_downtime_exclusion IS
'Exclude down time (connector_id NULL: whole charge point); counted at the next availability run. Returns its number';

CREATE FUNCTION operation.withdraw_downtime_exclusion(exclusion bigint, author text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone downtime_exclusion;
BEGIN
    UPDATE downtime_exclusion SET withdrawn_at = now(), withdrawn_by = author
    WHERE downtime_exclusion_id = exclusion AND withdrawn_at IS NULL
    RETURNING * INTO gone;
    IF gone.downtime_exclusion_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_days(gone.charge_point_id, gone.started_at, gone.ended_at);
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION operation.withdraw_downtime_exclusion IS 'Take an exclusion back; it stays on record';

CREATE FUNCTION touch_prices(first_day date, last_day date) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO session_work (flow, transaction_id)
    SELECT 'consumption', ses.transaction_id
    FROM session AS ses
    WHERE
        ses.ended_at >= local_midnight(first_day)
        AND ses.started_at < coalesce(local_midnight(last_day), 'infinity')
    ON CONFLICT (flow, transaction_id) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_prices IS 'Have the cost of sessions computed anew for these days; last_day exclusive, NULL: open';

CREATE FUNCTION operation.add_tariff(tariff jsonb, periods jsonb, author text) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added tariff;
BEGIN
    added := jsonb_populate_record(NULL::tariff, add_tariff.tariff);
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
    PERFORM touch_prices(added.valid_from, added.valid_to);
    RETURN added.tariff_id;
END;
$$;
COMMENT ON FUNCTION operation.add_tariff IS
'tariff: columns of report.tariff as JSON; periods: [{"posto": "ponta", "from_time": "18:00", "to_time": "21:00", "price_per_kwh": 1.9}, ...]';

CREATE FUNCTION operation.remove_tariff(tariff_number integer) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    gone tariff;
BEGIN
    DELETE FROM tariff WHERE tariff_id = tariff_number RETURNING * INTO gone;
    IF gone.tariff_id IS NULL THEN
        RETURN FALSE;
    END IF;
    PERFORM touch_prices(gone.valid_from, gone.valid_to);
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION operation.remove_tariff IS 'Remove a tariff with its periods; costs follow at the next run';

CREATE FUNCTION operation.add_holiday(day date, name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO holiday AS hol (day, name) VALUES (add_holiday.day, add_holiday.name)
    ON CONFLICT ON CONSTRAINT holiday_pkey DO UPDATE SET name = excluded.name;
    PERFORM touch_prices(add_holiday.day, add_holiday.day + 1);
END;
$$;
COMMENT ON FUNCTION operation.add_holiday IS 'Make a day fora ponta throughout';

CREATE FUNCTION operation.set_setting(setting_name text, new_value double precision, source text, source_year integer, author text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE setting AS st
    SET
        value = new_value, source = set_setting.source, source_year = set_setting.source_year,
        updated_at = now(), updated_by = author
    WHERE st.name = setting_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no setting %', quote_nullable(setting_name) USING ERRCODE = 'no_data_found';
    END IF;
END;
$$;
COMMENT ON FUNCTION operation.set_setting IS 'Change a number that formulas use; takes effect on what is computed from then on';

REVOKE EXECUTE ON FUNCTION touch_days, touch_prices FROM PUBLIC;
GRANT EXECUTE ON FUNCTION touch_days, touch_prices TO eletroposto_flows;
REVOKE EXECUTE ON FUNCTION
operation.add_downtime_exclusion, operation.withdraw_downtime_exclusion, operation.add_tariff,
operation.remove_tariff, operation.add_holiday, operation.set_setting
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
operation.add_downtime_exclusion, operation.withdraw_downtime_exclusion, operation.add_tariff,
operation.remove_tariff, operation.add_holiday, operation.set_setting
TO eletroposto_operator;
