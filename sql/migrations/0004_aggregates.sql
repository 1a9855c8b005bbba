-- What the flows compute from the facts. Every row can be made again from the facts, except what
-- people entered (settings, tariffs, holidays, vehicles, exclusions) and what outlives raw data.
-- Base units: Wh, W, s, percent. Days are local days of America/Sao_Paulo. Intervals are [start, end).
-- Unknown is NULL, never 0.

CREATE FUNCTION local_day(at timestamptz) RETURNS date
LANGUAGE sql STABLE PARALLEL SAFE
RETURN (at AT TIME ZONE 'America/Sao_Paulo')::date;
COMMENT ON FUNCTION local_day IS 'The day an instant belongs to in reports';

CREATE FUNCTION local_midnight(day date) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
RETURN day::timestamp AT TIME ZONE 'America/Sao_Paulo';
COMMENT ON FUNCTION local_midnight IS 'The instant at which a day of the reports begins';

CREATE FUNCTION id_tag_alias(tag text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
RETURN coalesce(
    (SELECT known.alias FROM id_tag AS known WHERE known.id_tag_key = upper(btrim(tag))),
    'tag-' || left(md5(upper(btrim(tag))), 6)
);
COMMENT ON FUNCTION id_tag_alias IS 'What to show in place of an identifier: its alias, or a pseudonym; NULL for none';

CREATE TYPE reported AS (status text, error_code text, vendor_error_code text);
COMMENT ON TYPE reported IS 'What a status notification said, carried along while it lasts';

CREATE FUNCTION estimated_power_w(voltage_v real, current_a real, extra jsonb, current_type text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- DC, or one phase without a power factor: the product.
    WHEN voltage_v IS NOT NULL AND current_a IS NOT NULL AND (extra IS NULL OR NOT extra ? 'Current.Import.L2')
        THEN voltage_v * current_a * coalesce((extra ->> 'Power.Factor')::double precision, 1)
    -- Three phases, each with its own voltage and current.
    WHEN current_type IS DISTINCT FROM 'DC' AND extra ? 'Voltage.L1-N' AND extra ? 'Current.Import.L1'
        THEN (
            (extra ->> 'Voltage.L1-N')::double precision * (extra ->> 'Current.Import.L1')::double precision
            + coalesce((extra ->> 'Voltage.L2-N')::double precision * (extra ->> 'Current.Import.L2')::double precision, 0)
            + coalesce((extra ->> 'Voltage.L3-N')::double precision * (extra ->> 'Current.Import.L3')::double precision, 0)
        ) * coalesce((extra ->> 'Power.Factor')::double precision, 1)
    -- Line voltage and the currents of three phases.
    WHEN current_type IS DISTINCT FROM 'DC' AND extra ?& ARRAY['Voltage.L1-L2', 'Current.Import.L1', 'Current.Import.L2', 'Current.Import.L3']
        THEN (extra ->> 'Voltage.L1-L2')::double precision / sqrt(3) * (
            (extra ->> 'Current.Import.L1')::double precision
            + (extra ->> 'Current.Import.L2')::double precision
            + (extra ->> 'Current.Import.L3')::double precision
        ) * coalesce((extra ->> 'Power.Factor')::double precision, 1)
END;
COMMENT ON FUNCTION estimated_power_w IS 'Power from voltage and current, for charge points that do not measure it; W';

-- ---------------------------------------------------------------- sessions

CREATE TABLE session (
    transaction_id       bigint      PRIMARY KEY,
    charge_point_id      integer     NOT NULL,
    connector_id         smallint    NOT NULL,
    visit_id             bigint,
    started_at           timestamptz NOT NULL,
    ended_at             timestamptz NOT NULL,
    is_open              boolean     NOT NULL,
    inferred_by          text        CHECK (inferred_by IN ('next start', 'boot', 'available', 'silence')),
    is_attempt           boolean     NOT NULL,
    duration_s           double precision NOT NULL CHECK (duration_s >= 0),
    energy_wh            double precision CHECK (energy_wh >= 0),
    energy_source        text        NOT NULL
                                     CHECK (energy_source IN ('register', 'register_series', 'interval', 'integral', 'none')),
    energy_register_wh   double precision,
    energy_series_wh     double precision,
    energy_integral_wh   double precision,
    energy_delta_percent double precision,
    gap_s                double precision CHECK (gap_s >= 0),
    readings             integer     NOT NULL,
    peak_power_w         double precision,
    mean_power_w         double precision,
    charging_s           double precision CHECK (charging_s >= 0),
    temperature_max_c    double precision,
    energised_at         timestamptz,
    last_power_at        timestamptz,
    unplugged_at         timestamptz,
    idle_s               double precision CHECK (idle_s >= 0),
    stop_reason          text,
    flags                text[]      NOT NULL DEFAULT '{}',
    computed_at          timestamptz NOT NULL DEFAULT now(),
    CHECK (ended_at >= started_at),
    CHECK ((energy_wh IS NULL) = (energy_source = 'none')),
    CHECK (NOT (is_open AND inferred_by IS NOT NULL))
);
CREATE INDEX session_by_connector ON session (charge_point_id, connector_id, started_at);
CREATE INDEX session_by_time ON session (started_at);
CREATE INDEX session_by_visit ON session (visit_id);
-- What late facts may still change although it began long ago.
CREATE INDEX session_unsettled ON session (charge_point_id)
WHERE is_open OR unplugged_at IS NULL OR unplugged_at - started_at > INTERVAL '48 hours' OR ended_at - started_at > INTERVAL '48 hours';
COMMENT ON TABLE session IS 'A charging session per transaction: bounds, energy with its source, power, idle time';
COMMENT ON COLUMN session.visit_id IS 'transaction_id of the first session of the visit: same connector and tag, gap up to 5 min, cable never left';
COMMENT ON COLUMN session.ended_at IS 'StopTransaction, or the last evidence where that is missing (then inferred_by or is_open says so)';
COMMENT ON COLUMN session.inferred_by IS 'What ended it, where no StopTransaction came';
COMMENT ON COLUMN session.is_attempt IS 'Ended within 60 s or below 0.1 kWh';
COMMENT ON COLUMN session.energy_source IS
'First of: register (meterStop - meterStart), register_series (rises of the register), interval, integral (of power), none';
COMMENT ON COLUMN session.energy_register_wh IS 'meterStop - meterStart, also where implausible';
COMMENT ON COLUMN session.energy_series_wh IS 'Sum of the rises of the register within the session';
COMMENT ON COLUMN session.energy_integral_wh IS 'Trapezoid over Power.Active.Import, gaps left out';
COMMENT ON COLUMN session.energy_delta_percent IS '(energy - integral) / energy; above 3 amber, above 10 red';
COMMENT ON COLUMN session.gap_s IS 'Time without readings, where longer than 5 min and 3 sample periods; NULL: no readings at all';
COMMENT ON COLUMN session.mean_power_w IS 'Energy over the time in which power flowed';
COMMENT ON COLUMN session.charging_s IS 'Time with more than 50 W';
COMMENT ON COLUMN session.energised_at IS 'When 0.1 kWh had been delivered';
COMMENT ON COLUMN session.last_power_at IS 'Last time with more than 50 W';
COMMENT ON COLUMN session.unplugged_at IS 'Available reported, or the next session began; NULL: not seen';
COMMENT ON COLUMN session.idle_s IS 'Plugged in after the last power, less SuspendedEVSE and the grace (10 min DC, 30 min AC)';
COMMENT ON COLUMN session.flags IS 'What is odd about it, see docs/how-numbers-are-calculated.md';

CREATE FUNCTION session_before(asked bigint)
RETURNS TABLE (transaction_id bigint, visit_id bigint, goes_on boolean)
LANGUAGE sql STABLE AS $$
    SELECT
        before.transaction_id,
        before.visit_id,
        ses.started_at <= before.ended_at + INTERVAL '5 minutes'
        AND upper(btrim(tx.id_tag)) = upper(btrim(tx_before.id_tag))
        AND NOT EXISTS (
            SELECT FROM status_notification AS sn
            WHERE
                sn.charge_point_id = ses.charge_point_id
                AND sn.connector_id = ses.connector_id
                AND sn.status = 'Available'
                AND sn.at > before.ended_at AND sn.at <= ses.started_at
        )
    FROM session AS ses
    INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
    CROSS JOIN LATERAL (
        SELECT earlier.transaction_id, earlier.visit_id, earlier.ended_at
        FROM session AS earlier
        WHERE
            earlier.charge_point_id = ses.charge_point_id
            AND earlier.connector_id = ses.connector_id
            AND earlier.started_at < ses.started_at
        ORDER BY earlier.started_at DESC
        LIMIT 1
    ) AS before
    INNER JOIN transaction AS tx_before ON before.transaction_id = tx_before.transaction_id
    WHERE ses.transaction_id = asked
$$;
COMMENT ON FUNCTION session_before IS 'The session before on the same connector, and whether this one goes on with its visit';

CREATE TABLE session_soc (
    transaction_id    bigint      PRIMARY KEY,
    soc_start_percent real        NOT NULL CHECK (soc_start_percent BETWEEN 0 AND 100),
    soc_end_percent   real        NOT NULL CHECK (soc_end_percent BETWEEN 0 AND 100),
    first_at          timestamptz NOT NULL,
    last_at           timestamptz NOT NULL,
    soc_gain_percent  real        NOT NULL,
    is_extrapolated   boolean     NOT NULL,
    pack_estimate_wh  double precision CHECK (pack_estimate_wh > 0),
    efficiency        double precision,
    computed_at       timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE session_soc IS 'State of charge of sessions in which the vehicle told it';
COMMENT ON COLUMN session_soc.is_extrapolated IS 'The first or last sample is more than 2 min from the edge of the session';
COMMENT ON COLUMN session_soc.pack_estimate_wh IS 'Energy over gain, only where the gain is at least 20 points';
COMMENT ON COLUMN session_soc.efficiency IS 'Usable capacity x gain / energy; NULL unless the vehicle is known';

CREATE TABLE vehicle (
    id_tag_key           text PRIMARY KEY,
    name                 text,
    usable_capacity_wh   double precision CHECK (usable_capacity_wh > 0),
    consumption_wh_per_km double precision CHECK (consumption_wh_per_km > 0)
);
COMMENT ON TABLE vehicle IS 'Vehicles behind identifiers, entered by people; id_tag_key as in id_tag';

CREATE TABLE energy_bucket (
    started_at      timestamptz NOT NULL,
    transaction_id  bigint      NOT NULL,
    charge_point_id integer     NOT NULL,
    connector_id    smallint    NOT NULL,
    posto           text        CHECK (posto IN ('ponta', 'intermediario', 'fora_ponta')),
    energy_wh       double precision NOT NULL CHECK (energy_wh >= 0),
    charging_s      real,
    max_power_w     real,
    price_per_kwh   double precision,
    cost            double precision
);
SELECT create_hypertable('energy_bucket', by_range('started_at', INTERVAL '30 days'), create_default_indexes => FALSE);
CREATE UNIQUE INDEX energy_bucket_key ON energy_bucket (transaction_id, started_at);
CREATE INDEX energy_bucket_by_charge_point ON energy_bucket (charge_point_id, started_at);
CREATE INDEX energy_bucket_by_time ON energy_bucket USING brin (started_at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE energy_bucket IS 'Energy of sessions in quarters of an hour; the buckets of a session sum to it';
COMMENT ON COLUMN energy_bucket.started_at IS 'Start of the quarter of an hour';
COMMENT ON COLUMN energy_bucket.max_power_w IS 'Highest Power.Active.Import reading in it';
COMMENT ON COLUMN energy_bucket.price_per_kwh IS 'From the tariff in force; NULL: none, or more than one';

CREATE TABLE session_cost (
    transaction_id bigint PRIMARY KEY,
    cost           double precision,
    unpriced_wh    double precision NOT NULL
);
COMMENT ON TABLE session_cost IS 'Sum of the priced quarters of a session, and the energy of the others';

CREATE TABLE consumption_day (
    day                  date     NOT NULL,
    charge_point_id      integer  NOT NULL,
    connector_id         smallint NOT NULL,
    energy_wh            double precision NOT NULL,
    ponta_wh             double precision NOT NULL,
    intermediario_wh     double precision NOT NULL,
    fora_ponta_wh        double precision NOT NULL,
    cost                 double precision,
    cost_ponta           double precision,
    cost_intermediario   double precision,
    cost_fora_ponta      double precision,
    cost_if_fora_ponta   double precision,
    unpriced_wh          double precision NOT NULL,
    charging_s           double precision,
    peak_demand_w        double precision,
    peak_demand_at       timestamptz,
    sessions             integer  NOT NULL,
    attempts             integer  NOT NULL,
    idle_s               double precision,
    plug_ins             integer  NOT NULL,
    plug_ins_served      integer  NOT NULL,
    computed_at          timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_point_id, connector_id, day)
);
CREATE INDEX consumption_day_by_day ON consumption_day (day);
COMMENT ON TABLE consumption_day IS 'Consumption of a connector per local day; sessions count on the day they began';
COMMENT ON COLUMN consumption_day.cost IS 'Of the priced energy; NULL where no energy of the day has a price';
COMMENT ON COLUMN consumption_day.cost_if_fora_ponta IS 'The same energy at the price outside the peak';
COMMENT ON COLUMN consumption_day.unpriced_wh IS 'Energy for which no tariff, or more than one, is in force';
COMMENT ON COLUMN consumption_day.peak_demand_w IS 'Highest mean of a quarter of an hour';
COMMENT ON COLUMN consumption_day.sessions IS 'Sessions begun that day, attempts not counted';
COMMENT ON COLUMN consumption_day.plug_ins IS 'Times a connector went to Preparing, plus sessions begun without it';
COMMENT ON COLUMN consumption_day.plug_ins_served IS 'Of these, with 0.1 kWh delivered within 5 min';

CREATE TABLE site_demand (
    started_at timestamptz NOT NULL,
    site       text        NOT NULL,
    energy_wh  double precision NOT NULL,
    connectors integer     NOT NULL,
    PRIMARY KEY (started_at, site)
);
COMMENT ON TABLE site_demand IS 'Coincident demand of a site per quarter of an hour; the site '''' holds charge points without one';
COMMENT ON COLUMN site_demand.connectors IS 'Connectors that drew energy in it';

-- ---------------------------------------------------------------- availability

CREATE TABLE state_interval (
    started_at        timestamptz NOT NULL,
    ended_at          timestamptz NOT NULL CHECK (ended_at > started_at),
    day               date        NOT NULL,
    charge_point_id   integer     NOT NULL,
    connector_id      smallint    NOT NULL,
    state             text        NOT NULL,
    error_code        text,
    vendor_error_code text
);
SELECT create_hypertable('state_interval', by_range('started_at', INTERVAL '30 days'), create_default_indexes => FALSE);
CREATE UNIQUE INDEX state_interval_key ON state_interval (charge_point_id, connector_id, started_at);
CREATE INDEX state_interval_by_time ON state_interval USING brin (started_at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE state_interval IS 'What state a connector was in, cut at local midnight; offline beats what was reported';
COMMENT ON COLUMN state_interval.state IS
'A status of OCPP 1.6 7.7, or offline, or unknown (before the first message, or while we were not listening)';

CREATE TABLE availability_day (
    day             date     NOT NULL,
    charge_point_id integer  NOT NULL,
    connector_id    smallint NOT NULL,
    observed_s      double precision NOT NULL,
    up_s            double precision NOT NULL,
    down_s          double precision NOT NULL,
    unknown_s       double precision NOT NULL,
    excluded_s      double precision NOT NULL,
    plugged_s       double precision NOT NULL,
    available_s     double precision NOT NULL,
    preparing_s     double precision NOT NULL,
    charging_s      double precision NOT NULL,
    suspended_ev_s  double precision NOT NULL,
    suspended_evse_s double precision NOT NULL,
    finishing_s     double precision NOT NULL,
    reserved_s      double precision NOT NULL,
    unavailable_s   double precision NOT NULL,
    faulted_s       double precision NOT NULL,
    offline_s       double precision NOT NULL,
    computed_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (charge_point_id, connector_id, day)
);
CREATE INDEX availability_day_by_day ON availability_day (day);
COMMENT ON TABLE availability_day IS 'Seconds of a connector per local day; observed = up + down + unknown';
COMMENT ON COLUMN availability_day.observed_s IS 'Length of the day, up to now for today';
COMMENT ON COLUMN availability_day.down_s IS 'Faulted, Unavailable or offline';
COMMENT ON COLUMN availability_day.excluded_s IS 'Part of down_s that people excluded';
COMMENT ON COLUMN availability_day.plugged_s IS 'Preparing, Charging, SuspendedEV, SuspendedEVSE or Finishing';

CREATE TABLE outage (
    charge_point_id integer     NOT NULL,
    connector_id    smallint    NOT NULL,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    states          text[]      NOT NULL,
    error_code      text,
    PRIMARY KEY (charge_point_id, connector_id, started_at)
);
CREATE INDEX outage_by_time ON outage (started_at);
COMMENT ON TABLE outage IS 'Contiguous time in which a connector was Faulted, Unavailable or offline';
COMMENT ON COLUMN outage.ended_at IS 'NULL: still so when last looked at';
COMMENT ON COLUMN outage.states IS 'Which of the three, in order of first appearance';

CREATE TABLE fault_episode (
    charge_point_id   integer     NOT NULL,
    connector_id      smallint    NOT NULL,
    started_at        timestamptz NOT NULL,
    ended_at          timestamptz,
    error_code        text,
    vendor_error_code text,
    parts             integer     NOT NULL,
    faulted_s         double precision NOT NULL,
    PRIMARY KEY (charge_point_id, connector_id, started_at)
);
CREATE INDEX fault_episode_by_time ON fault_episode (started_at);
COMMENT ON TABLE fault_episode IS 'Faulted without a break, or again with the same error code within 5 min';
COMMENT ON COLUMN fault_episode.ended_at IS 'NULL: still faulted when last looked at';
COMMENT ON COLUMN fault_episode.parts IS 'Stretches of Faulted it is made of';
COMMENT ON COLUMN fault_episode.faulted_s IS 'Time in Faulted, up to when last looked at';

CREATE TABLE downtime_exclusion (
    downtime_exclusion_id bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    connector_id    smallint,
    started_at      timestamptz NOT NULL,
    ended_at        timestamptz NOT NULL,
    reason          text        NOT NULL CHECK (reason IN (
        'utility interruption', 'vehicle', 'scheduled maintenance', 'vandalism', 'natural disaster', 'outside operating hours'
    )),
    evidence        text        NOT NULL CHECK (btrim(evidence) <> ''),
    author          text        NOT NULL CHECK (btrim(author) <> ''),
    created_at      timestamptz NOT NULL DEFAULT now(),
    withdrawn_at    timestamptz,
    withdrawn_by    text,
    CHECK (ended_at > started_at)
);
CREATE INDEX downtime_exclusion_by_charge_point ON downtime_exclusion (charge_point_id, started_at);
COMMENT ON TABLE downtime_exclusion IS 'Down time the operator is not answerable for (23 CFR 680.116), entered by people';
COMMENT ON COLUMN downtime_exclusion.connector_id IS 'NULL: all of the charge point';

-- ---------------------------------------------------------------- what people enter

CREATE TABLE setting (
    name        text PRIMARY KEY,
    value       double precision,
    unit        text NOT NULL,
    meaning     text NOT NULL,
    source      text,
    source_year integer,
    updated_at  timestamptz NOT NULL DEFAULT now(),
    updated_by  text
);
COMMENT ON TABLE setting IS 'Numbers that formulas use; those without a value switch their figure off';
INSERT INTO setting (name, value, unit, meaning, source) VALUES
('power_threshold_w', 50, 'W', 'Power above which a connector counts as charging', 'default'),
('default_rated_power_w', 400000, 'W', 'Rated power assumed where a connector has none', 'default'),
('idle_grace_dc_s', 600, 's', 'Time a vehicle may stay plugged in after DC charging', 'default'),
('idle_grace_ac_s', 1800, 's', 'Time a vehicle may stay plugged in after AC charging', 'default'),
('ac_charging_efficiency', NULL, '1', 'Share of AC energy that reaches the battery, for the pack estimate', NULL),
('grid_co2_kg_per_kwh', NULL, 'kg/kWh', 'Emission factor of the grid', NULL),
('combustion_co2_kg_per_km', NULL, 'kg/km', 'Emissions of the vehicle that would have driven instead', NULL),
('vehicle_consumption_kwh_per_km', NULL, 'kWh/km', 'Consumption of the electric vehicle', NULL),
('raw_log_days', 90, 'd', 'How long frames are kept', 'default'),
('meter_value_days', NULL, 'd', 'How long readings are kept; none: for ever', NULL),
('status_days', NULL, 'd', 'How long status notifications and connections are kept; none: for ever', NULL);

CREATE TABLE holiday (
    day  date PRIMARY KEY,
    name text NOT NULL
);
COMMENT ON TABLE holiday IS 'Days that count as fora ponta throughout, beside weekends';

CREATE TABLE tariff (
    tariff_id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name            text    NOT NULL CHECK (btrim(name) <> ''),
    consumer_group  text    NOT NULL CHECK (consumer_group IN ('A', 'B')),
    modality        text    NOT NULL CHECK (modality IN ('convencional', 'branca', 'azul', 'verde')),
    site            text,
    valid_from      date    NOT NULL,
    valid_to        date,
    currency        text    NOT NULL DEFAULT 'BRL',
    tax_percent     double precision NOT NULL DEFAULT 0 CHECK (tax_percent >= 0),
    surcharge_per_kwh double precision NOT NULL DEFAULT 0,
    contracted_demand_kw double precision CHECK (contracted_demand_kw > 0),
    demand_price_per_kw  double precision CHECK (demand_price_per_kw >= 0),
    source          text,
    author          text    NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    CHECK (valid_to > valid_from)
);
COMMENT ON TABLE tariff IS 'Prices with the days they hold for, entered by people; none is shipped';
COMMENT ON COLUMN tariff.site IS 'NULL: every site that has none of its own';
COMMENT ON COLUMN tariff.valid_to IS 'The first day it no longer holds; NULL: open';
COMMENT ON COLUMN tariff.tax_percent IS 'Added to the prices';
COMMENT ON COLUMN tariff.surcharge_per_kwh IS 'Bandeira, before tax';
COMMENT ON COLUMN tariff.demand_price_per_kw IS 'Per kW of contracted demand and month (group A), before tax';

CREATE TABLE tariff_period (
    tariff_id     integer NOT NULL REFERENCES tariff ON DELETE CASCADE,
    posto         text    NOT NULL CHECK (posto IN ('ponta', 'intermediario', 'fora_ponta')),
    from_time     time,
    to_time       time,
    price_per_kwh double precision NOT NULL CHECK (price_per_kwh >= 0),
    UNIQUE NULLS NOT DISTINCT (tariff_id, posto, from_time),
    CHECK ((from_time IS NULL) = (posto = 'fora_ponta')),
    CHECK ((to_time IS NULL) = (posto = 'fora_ponta')),
    CHECK (to_time > from_time),
    CHECK (extract(EPOCH FROM from_time)::integer % 900 = 0 AND extract(EPOCH FROM to_time)::integer % 900 = 0)
);
COMMENT ON TABLE tariff_period IS 'Local hours of the postos on working days, whole quarters; fora_ponta is the rest and has no hours';

-- ---------------------------------------------------------------- reconciliation, quality, runs, reports

CREATE TABLE reconciliation (
    charge_point_id     integer     NOT NULL,
    window_start        timestamptz NOT NULL,
    window_end          timestamptz NOT NULL,
    rows_database       integer,
    rows_dojot          integer,
    missing_in_dojot    integer,
    missing_in_database integer,
    duplicates          integer,
    republished         integer     NOT NULL DEFAULT 0,
    imported            integer     NOT NULL DEFAULT 0,
    energy_database_wh  double precision,
    energy_dojot_wh     double precision,
    verdict             text        NOT NULL CHECK (verdict IN ('ok', 'waiting', 'repaired', 'different', 'unreachable')),
    detail              text,
    checked_at          timestamptz NOT NULL DEFAULT now(),
    flow_run_url        text,
    PRIMARY KEY (charge_point_id, window_start, window_end),
    CHECK (window_end > window_start)
);
CREATE INDEX reconciliation_by_time ON reconciliation (window_start);
COMMENT ON TABLE reconciliation IS 'Readings of the database against those of DOJOT, per charge point and window';
COMMENT ON COLUMN reconciliation.verdict IS
'ok: equal. waiting: the relay has still to send the rest. repaired: was unequal, sent again or imported.
different: unequal, and repairing did not help. unreachable: DOJOT could not be asked';

CREATE TABLE quality_finding (
    day             date        NOT NULL,
    charge_point_id integer     NOT NULL,
    connector_id    smallint,
    kind            text        NOT NULL,
    severity        text        NOT NULL CHECK (severity IN ('info', 'amber', 'red')),
    occurrences     integer     NOT NULL CHECK (occurrences > 0),
    value           double precision,
    unit            text,
    evidence        jsonb       NOT NULL DEFAULT '{}',
    found_at        timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (charge_point_id, day, kind, connector_id)
);
CREATE INDEX quality_finding_by_day ON quality_finding (day);
COMMENT ON TABLE quality_finding IS 'What is odd about the data of a charge point on a day; nothing is corrected because of it';
COMMENT ON COLUMN quality_finding.kind IS 'gap, clock_skew, zone, duplicate, missing_readings, energy_unit, stuck_register, ...';
COMMENT ON COLUMN quality_finding.evidence IS 'Enough to find the facts it rests on';

CREATE TABLE flow_run (
    flow_run_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flow         text        NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at  timestamptz,
    status       text        NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'completed', 'failed')),
    parameters   jsonb       NOT NULL DEFAULT '{}',
    summary      jsonb,
    message      text,
    url          text
);
CREATE INDEX flow_run_by_flow ON flow_run (flow, started_at);
COMMENT ON TABLE flow_run IS 'Runs of the flows, and what they did';

CREATE TABLE flow_watermark (
    flow       text        PRIMARY KEY,
    done_until timestamptz NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE flow_watermark IS 'How far a flow has followed the facts; it looks back a little from there';

CREATE TABLE touched_work (
    flow            text        NOT NULL,
    charge_point_id integer     NOT NULL,
    hour            timestamptz NOT NULL,
    claimed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (flow, charge_point_id, hour)
);
COMMENT ON TABLE touched_work IS 'Touched hours a flow has still to look at; availability, consumption and quality work by local days';

CREATE TABLE session_work (
    flow           text        NOT NULL,
    transaction_id bigint      NOT NULL,
    claimed_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (flow, transaction_id)
);
COMMENT ON TABLE session_work IS 'Sessions that were computed anew and that a later flow has still to look at';

CREATE TABLE report_file (
    report_file_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            text        NOT NULL CHECK (kind IN ('monthly', 'quarterly_ports', 'quarterly_sessions')),
    period_start    date        NOT NULL,
    charge_point_id integer     REFERENCES charge_point,
    language        text        NOT NULL CHECK (language IN ('pt', 'en')),
    format          text        NOT NULL CHECK (format IN ('html', 'xlsx', 'csv')),
    file_name       text        NOT NULL,
    content         bytea       NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (kind, period_start, charge_point_id, language, format)
);
COMMENT ON TABLE report_file IS 'Reports as they were made; charge_point_id NULL: the whole network';

-- ---------------------------------------------------------------- the public face

CREATE VIEW report.session AS
SELECT
    cp.identity AS charge_point,
    ses.connector_id,
    ses.transaction_id,
    ses.visit_id,
    id_tag_alias(tx.id_tag) AS id_tag_alias,
    ses.started_at,
    CASE WHEN NOT ses.is_open THEN ses.ended_at END AS stopped_at,
    ses.ended_at AS last_evidence_at,
    ses.is_open,
    ses.inferred_by,
    ses.is_attempt,
    ses.duration_s,
    ses.energy_wh,
    ses.energy_source,
    ses.energy_register_wh,
    ses.energy_series_wh,
    ses.energy_integral_wh,
    ses.energy_delta_percent,
    tx.meter_start_wh,
    tx.meter_stop_wh,
    ses.gap_s,
    ses.readings,
    soc.soc_start_percent,
    soc.soc_end_percent,
    soc.soc_gain_percent,
    soc.is_extrapolated AS soc_is_extrapolated,
    soc.pack_estimate_wh,
    soc.efficiency,
    ses.peak_power_w,
    ses.mean_power_w,
    ses.charging_s,
    ses.temperature_max_c,
    ses.energised_at,
    ses.last_power_at,
    ses.unplugged_at,
    ses.idle_s,
    ses.stop_reason,
    price.cost,
    coalesce(price.unpriced_wh, 0) AS unpriced_wh,
    con.current_type,
    con.rated_power_w,
    cp.site,
    ses.flags,
    ses.computed_at
FROM session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point_id = cp.charge_point_id
INNER JOIN transaction AS tx ON ses.transaction_id = tx.transaction_id
LEFT JOIN connector AS con ON ses.charge_point_id = con.charge_point_id AND ses.connector_id = con.connector_id
LEFT JOIN session_soc AS soc ON ses.transaction_id = soc.transaction_id
LEFT JOIN session_cost AS price ON ses.transaction_id = price.transaction_id;
COMMENT ON VIEW report.session IS
'Sessions: Wh, W, s, percent. stopped_at NULL: still open (energy so far). inferred_by: no StopTransaction came.
energy_source none: energy unknown. flags: what is odd. cost in the currency of the tariff; NULL: no tariff';

CREATE VIEW report.visit AS
SELECT
    cp.identity AS charge_point,
    ses.connector_id,
    ses.visit_id,
    min(ses.started_at) AS started_at,
    CASE WHEN NOT bool_or(ses.is_open) THEN max(ses.ended_at) END AS stopped_at,
    sum(ses.energy_wh) AS energy_wh,
    count(*) AS sessions,
    array_agg(ses.transaction_id ORDER BY ses.started_at, ses.transaction_id) AS transaction_ids
FROM session AS ses
INNER JOIN charge_point AS cp ON ses.charge_point_id = cp.charge_point_id
GROUP BY cp.identity, ses.connector_id, ses.visit_id;
COMMENT ON VIEW report.visit IS 'Sessions of one plug-in merged: same connector and tag, gap up to 5 min, cable never left';

CREATE VIEW report.energy_bucket AS
SELECT
    eb.started_at,
    cp.identity AS charge_point,
    eb.connector_id,
    eb.transaction_id,
    eb.energy_wh,
    eb.energy_wh * 4 AS mean_power_w,
    eb.max_power_w,
    eb.charging_s,
    eb.posto,
    eb.price_per_kwh,
    eb.cost,
    cp.site
FROM energy_bucket AS eb
INNER JOIN charge_point AS cp ON eb.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.energy_bucket IS 'Energy of sessions per quarter of an hour; sums exactly to report.session';

CREATE VIEW report.consumption_day AS
SELECT
    con.day,
    cp.identity AS charge_point,
    con.connector_id,
    cp.site,
    con.energy_wh,
    con.ponta_wh,
    con.intermediario_wh,
    con.fora_ponta_wh,
    con.cost,
    con.cost_ponta,
    con.cost_intermediario,
    con.cost_fora_ponta,
    con.cost_if_fora_ponta,
    con.unpriced_wh,
    con.charging_s,
    con.peak_demand_w,
    con.peak_demand_at,
    con.sessions,
    con.attempts,
    con.idle_s,
    con.plug_ins,
    con.plug_ins_served,
    kind.rated_power_w,
    kind.current_type,
    con.computed_at
FROM consumption_day AS con
INNER JOIN charge_point AS cp ON con.charge_point_id = cp.charge_point_id
LEFT JOIN connector AS kind ON con.charge_point_id = kind.charge_point_id AND con.connector_id = kind.connector_id;
COMMENT ON VIEW report.consumption_day IS
'Consumption per connector and local day. Driver success = plug_ins_served / plug_ins. Only days with something to count';

CREATE VIEW report.site_demand AS
SELECT
    sd.started_at,
    nullif(sd.site, '') AS site,
    sd.energy_wh,
    sd.energy_wh * 4 AS demand_w,
    sd.connectors
FROM site_demand AS sd;
COMMENT ON VIEW report.site_demand IS 'Coincident 15-minute demand per site; sum over sites for the network';

CREATE VIEW report.state_interval AS
SELECT
    cp.identity AS charge_point,
    si.connector_id,
    si.started_at,
    si.ended_at,
    si.day,
    si.state,
    si.error_code,
    si.vendor_error_code
FROM state_interval AS si
INNER JOIN charge_point AS cp ON si.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.state_interval IS 'States of connectors for the timeline, cut at local midnight; the newest ends when last looked at';

CREATE VIEW report.availability AS
SELECT
    av.day,
    cp.identity AS charge_point,
    av.connector_id,
    cp.site,
    av.observed_s,
    av.up_s,
    av.down_s,
    av.unknown_s,
    av.excluded_s,
    100 * av.up_s / nullif(av.up_s + av.down_s, 0) AS technical_percent,
    100 * (av.up_s + av.excluded_s) / nullif(av.up_s + av.down_s, 0) AS nevi_percent,
    av.plugged_s,
    100 * av.plugged_s / nullif(av.up_s, 0) AS occupancy_percent,
    av.available_s,
    av.preparing_s,
    av.charging_s,
    av.suspended_ev_s,
    av.suspended_evse_s,
    av.finishing_s,
    av.reserved_s,
    av.unavailable_s,
    av.faulted_s,
    av.offline_s,
    av.computed_at
FROM availability_day AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.availability IS
'Seconds per connector and local day: observed = up + down + unknown. technical = up / (up + down);
nevi = (up + down - (down - excluded)) / (up + down), of this window. For longer windows divide sums, never average percentages';

CREATE VIEW report.availability_month AS
SELECT
    date_trunc('month', av.day)::date AS month,
    cp.identity AS charge_point,
    av.connector_id,
    cp.site,
    sum(av.observed_s) AS observed_s,
    sum(av.up_s) AS up_s,
    sum(av.down_s) AS down_s,
    sum(av.unknown_s) AS unknown_s,
    sum(av.excluded_s) AS excluded_s,
    100 * sum(av.up_s) / nullif(sum(av.up_s + av.down_s), 0) AS technical_percent,
    100 * sum(av.up_s + av.excluded_s) / nullif(sum(av.up_s + av.down_s), 0) AS nevi_percent,
    sum(av.plugged_s) AS plugged_s,
    100 * sum(av.plugged_s) / nullif(sum(av.up_s), 0) AS occupancy_percent
FROM availability_day AS av
INNER JOIN charge_point AS cp ON av.charge_point_id = cp.charge_point_id
GROUP BY date_trunc('month', av.day)::date, cp.identity, av.connector_id, cp.site;
COMMENT ON VIEW report.availability_month IS 'Availability per connector and month, as in report.availability';

CREATE VIEW report.outage AS
SELECT
    cp.identity AS charge_point,
    outage.connector_id,
    outage.started_at,
    outage.ended_at,
    extract(EPOCH FROM coalesce(outage.ended_at, now()) - outage.started_at)::double precision AS duration_s,
    outage.states,
    outage.error_code,
    (
        SELECT string_agg(DISTINCT ex.reason, ', ')
        FROM downtime_exclusion AS ex
        WHERE
            ex.charge_point_id = outage.charge_point_id
            AND ex.withdrawn_at IS NULL
            AND (ex.connector_id IS NULL OR ex.connector_id = outage.connector_id)
            AND ex.started_at < coalesce(outage.ended_at, now())
            AND ex.ended_at > outage.started_at
    ) AS excluded_for
FROM outage
INNER JOIN charge_point AS cp ON outage.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.outage IS 'Every stretch of down time with its states and the reasons people excluded it for';

CREATE VIEW report.fault_episode AS
SELECT
    cp.identity AS charge_point,
    fault.connector_id,
    fault.started_at,
    fault.ended_at,
    extract(EPOCH FROM coalesce(fault.ended_at, now()) - fault.started_at)::double precision AS duration_s,
    fault.faulted_s,
    fault.error_code,
    fault.vendor_error_code,
    fault.parts
FROM fault_episode AS fault
INNER JOIN charge_point AS cp ON fault.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.fault_episode IS 'Faults. MTBF = up time / episodes, MTTR = faulted_s / episodes';

CREATE VIEW report.reconciliation AS
SELECT
    cp.identity AS charge_point,
    rec.window_start,
    rec.window_end,
    rec.rows_database,
    rec.rows_dojot,
    rec.missing_in_dojot,
    rec.missing_in_database,
    rec.duplicates,
    rec.verdict,
    rec.republished,
    rec.imported,
    rec.energy_database_wh,
    rec.energy_dojot_wh,
    rec.detail,
    rec.checked_at,
    rec.flow_run_url
FROM reconciliation AS rec
INNER JOIN charge_point AS cp ON rec.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.reconciliation IS 'Readings of the database against those of DOJOT, per charge point and window';

CREATE VIEW report.quality_finding AS
SELECT
    qf.day,
    cp.identity AS charge_point,
    qf.connector_id,
    qf.kind,
    qf.severity,
    qf.occurrences,
    qf.value,
    qf.unit,
    qf.evidence,
    qf.found_at
FROM quality_finding AS qf
INNER JOIN charge_point AS cp ON qf.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.quality_finding IS 'What is odd about the data of a charge point on a day, with the evidence';

CREATE VIEW report.tariff AS
SELECT
    tar.tariff_id,
    tar.name,
    tar.consumer_group,
    tar.modality,
    tar.site,
    tar.valid_from,
    tar.valid_to,
    per.posto,
    per.from_time,
    per.to_time,
    per.price_per_kwh,
    (per.price_per_kwh + tar.surcharge_per_kwh) * (1 + tar.tax_percent / 100) AS full_price_per_kwh,
    tar.currency,
    tar.tax_percent,
    tar.surcharge_per_kwh,
    tar.contracted_demand_kw,
    tar.demand_price_per_kw,
    tar.source,
    tar.author,
    tar.created_at
FROM tariff AS tar
LEFT JOIN tariff_period AS per ON tar.tariff_id = per.tariff_id;
COMMENT ON VIEW report.tariff IS 'Tariffs, a row per posto and hours; full_price_per_kwh has surcharge and tax';

CREATE VIEW report.holiday AS
SELECT
    hol.day,
    hol.name
FROM holiday AS hol;
COMMENT ON VIEW report.holiday IS 'Days that are fora ponta throughout';

CREATE VIEW report.downtime_exclusion AS
SELECT
    ex.downtime_exclusion_id,
    cp.identity AS charge_point,
    ex.connector_id,
    ex.started_at,
    ex.ended_at,
    ex.reason,
    ex.evidence,
    ex.author,
    ex.created_at,
    ex.withdrawn_at,
    ex.withdrawn_by
FROM downtime_exclusion AS ex
INNER JOIN charge_point AS cp ON ex.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.downtime_exclusion IS 'Down time excluded by people; connector_id NULL: the whole charge point';

CREATE VIEW report.setting AS
SELECT
    st.name,
    st.value,
    st.unit,
    st.meaning,
    st.source,
    st.source_year,
    st.updated_at,
    st.updated_by
FROM setting AS st;
COMMENT ON VIEW report.setting IS 'Numbers that formulas use, with source and year';

CREATE VIEW report.flow_run AS
SELECT
    run.flow_run_id,
    run.flow,
    run.started_at,
    run.finished_at,
    run.status,
    run.parameters,
    run.summary,
    run.message,
    run.url
FROM flow_run AS run;
COMMENT ON VIEW report.flow_run IS 'Runs of the flows; url leads to the run in Prefect where there is one';

CREATE VIEW report.flow_freshness AS
SELECT
    wm.flow,
    wm.done_until,
    wm.updated_at,
    (SELECT count(*) FROM touched_work AS tw WHERE tw.flow = wm.flow)
    + (SELECT count(*) FROM session_work AS sw WHERE sw.flow = wm.flow) AS waiting
FROM flow_watermark AS wm;
COMMENT ON VIEW report.flow_freshness IS 'How far each flow has followed the facts, and how much waits for it';

CREATE VIEW report.monthly_report AS
SELECT
    rf.report_file_id,
    rf.kind,
    rf.period_start,
    cp.identity AS charge_point,
    rf.language,
    rf.format,
    rf.file_name,
    octet_length(rf.content) AS bytes,
    rf.created_at,
    rf.content
FROM report_file AS rf
LEFT JOIN charge_point AS cp ON rf.charge_point_id = cp.charge_point_id;
COMMENT ON VIEW report.monthly_report IS
'Reports as made by the flow: kind monthly, quarterly_ports or quarterly_sessions; charge_point NULL: the network';

CREATE VIEW report.co2 AS
SELECT
    grid.value AS grid_kg_per_kwh,
    ice.value AS combustion_kg_per_km,
    use.value AS consumption_kwh_per_km,
    ice.value / nullif(use.value, 0) - grid.value AS avoided_kg_per_kwh
FROM setting AS grid, setting AS ice, setting AS use
WHERE
    grid.name = 'grid_co2_kg_per_kwh'
    AND ice.name = 'combustion_co2_kg_per_km'
    AND use.name = 'vehicle_consumption_kwh_per_km';
COMMENT ON VIEW report.co2 IS 'Factors of the CO2 estimate (one row); avoided_kg = energy in kWh x avoided_kg_per_kwh; NULL until all are set';

-- ---------------------------------------------------------------- what people enter through the dashboard

CREATE FUNCTION report.charge_point_number(identity text) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    number integer;
BEGIN
    SELECT cp.charge_point_id INTO number FROM charge_point AS cp WHERE cp.identity = charge_point_number.identity;
    IF number IS NULL THEN
        RAISE EXCEPTION 'no charge point %', quote_nullable(identity) USING ERRCODE = 'no_data_found';
    END IF;
    RETURN number;
END;
$$;
COMMENT ON FUNCTION report.charge_point_number IS 'Our number of a charge point; an error names one that is unknown';

CREATE FUNCTION touch_days(asked_flow text, charge_point integer, first_at timestamptz, last_at timestamptz) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT asked_flow, charge_point, local_midnight(day::date)
    FROM generate_series(local_day(first_at)::timestamp, local_day(least(last_at, now()))::timestamp, INTERVAL '1 day') AS day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_days IS 'Have these days of a charge point computed anew by a flow that works by days';

CREATE FUNCTION report.add_downtime_exclusion(
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
    RETURN exclusion;
END;
$$;
COMMENT ON FUNCTION report.add_downtime_exclusion IS
'Exclude down time (connector_id NULL: whole charge point); counted at the next availability run. Returns its number';

CREATE FUNCTION report.withdraw_downtime_exclusion(exclusion bigint, author text) RETURNS boolean
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
    RETURN TRUE;
END;
$$;
COMMENT ON FUNCTION report.withdraw_downtime_exclusion IS 'Take an exclusion back; it stays on record';

CREATE FUNCTION touch_prices(first_day date, last_day date) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO touched_work (flow, charge_point_id, hour)
    SELECT 'consumption', con.charge_point_id, local_midnight(con.day)
    FROM consumption_day AS con
    WHERE con.day >= first_day AND (last_day IS NULL OR con.day < last_day)
    GROUP BY con.charge_point_id, con.day
    ON CONFLICT (flow, charge_point_id, hour) DO UPDATE SET claimed_at = clock_timestamp()
$$;
COMMENT ON FUNCTION touch_prices IS 'Have costs computed anew for these days; last_day exclusive, NULL: open';

CREATE FUNCTION report.add_tariff(tariff jsonb, periods jsonb, author text) RETURNS integer
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
COMMENT ON FUNCTION report.add_tariff IS
'tariff: columns of report.tariff as JSON; periods: [{"posto": "ponta", "from_time": "18:00", "to_time": "21:00", "price_per_kwh": 1.9}, ...]';

CREATE FUNCTION report.remove_tariff(tariff_number integer) RETURNS boolean
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
COMMENT ON FUNCTION report.remove_tariff IS 'Remove a tariff with its periods; costs follow at the next run';

CREATE FUNCTION report.add_holiday(day date, name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO holiday AS hol (day, name) VALUES (add_holiday.day, add_holiday.name)
    ON CONFLICT ON CONSTRAINT holiday_pkey DO UPDATE SET name = excluded.name;
    PERFORM touch_prices(add_holiday.day, add_holiday.day + 1);
END;
$$;
COMMENT ON FUNCTION report.add_holiday IS 'Make a day fora ponta throughout';

CREATE FUNCTION report.set_setting(setting_name text, new_value double precision, source text, source_year integer, author text)
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
COMMENT ON FUNCTION report.set_setting IS 'Change a number that formulas use; takes effect on what is computed from then on';

-- ---------------------------------------------------------------- retention

CREATE FUNCTION drop_facts(hypertable text, older_than timestamptz) RETURNS SETOF text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF hypertable NOT IN ('ocpp_message', 'meter_value', 'status_notification', 'connection') THEN
        RAISE EXCEPTION 'nothing is dropped from %', quote_nullable(hypertable);
    END IF;
    RETURN QUERY SELECT drop_chunks(hypertable::regclass, older_than => drop_facts.older_than);
END;
$$;
COMMENT ON FUNCTION drop_facts IS 'Drop whole chunks of raw facts; only their owner may, so the flows ask through this';

-- ---------------------------------------------------------------- rights

GRANT SELECT, INSERT, UPDATE, DELETE ON
session, session_soc, session_cost, vehicle, energy_bucket, consumption_day, site_demand, state_interval, availability_day, outage,
fault_episode, downtime_exclusion, setting, holiday, tariff, tariff_period, reconciliation, quality_finding, flow_run,
flow_watermark, touched_work, session_work, report_file
TO eletroposto_flows;
GRANT DELETE ON touched_window TO eletroposto_flows;
GRANT INSERT ON meter_value TO eletroposto_flows;  -- what only DOJOT has; what is rebuilt from the raw log
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO eletroposto_flows;
GRANT SELECT ON ALL TABLES IN SCHEMA report TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;

REVOKE EXECUTE ON FUNCTION touch_days, touch_prices, drop_facts FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION
report.charge_point_number, report.add_downtime_exclusion, report.withdraw_downtime_exclusion,
report.add_tariff, report.remove_tariff, report.add_holiday, report.set_setting
FROM PUBLIC;
GRANT EXECUTE ON FUNCTION touch_days, touch_prices, drop_facts TO eletroposto_flows;
GRANT EXECUTE ON FUNCTION report.charge_point_number TO eletroposto_flows, eletroposto_dashboard;

DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO eletroposto_flows', current_database());
END;
$$;
