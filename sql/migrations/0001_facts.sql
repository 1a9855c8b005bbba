-- The facts: what charge points said, as ingest stores it. Base units throughout:
-- Wh, W, A, V, percent, degrees Celsius; every instant is timestamptz. Unknown is NULL, never 0.

DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['eletroposto_ingest', 'eletroposto_flows', 'eletroposto_dashboard']
    LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;  -- roles belong to the server: another database made it
        END;
        EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    END LOOP;
END;
$$;

CREATE SCHEMA report;
COMMENT ON SCHEMA report IS 'The public face: views with text identities and units in their names';

-- ---------------------------------------------------------------- charge points

CREATE TABLE charge_point (
    charge_point_id    integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    identity           text        NOT NULL UNIQUE CHECK (identity <> ''),
    registration       text        NOT NULL DEFAULT 'registered'
                                   CHECK (registration IN ('registered', 'pending', 'refused')),
    name               text,
    site               text,
    latitude           double precision CHECK (latitude BETWEEN -90 AND 90),
    longitude          double precision CHECK (longitude BETWEEN -180 AND 180),
    time_zone          text        NOT NULL DEFAULT 'UTC',
    energy_factor      double precision NOT NULL DEFAULT 1 CHECK (energy_factor > 0),
    security_profile   smallint    NOT NULL DEFAULT 0 CHECK (security_profile BETWEEN 0 AND 3),
    password_hash      text,
    vendor             text,
    model              text,
    serial_number      text,
    firmware_version   text,
    boot               jsonb,
    booted_at          timestamptz,
    created_at         timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE charge_point IS 'A charge point known by its identity, the last segment of its URL';
COMMENT ON COLUMN charge_point.charge_point_id IS 'Our number for it; every other table uses this';
COMMENT ON COLUMN charge_point.registration IS
'registered: may connect. pending: knocked, was answered 404, waits for approval. refused: approval denied';
COMMENT ON COLUMN charge_point.time_zone IS 'Zone of timestamps it sends without one (IANA name)';
COMMENT ON COLUMN charge_point.energy_factor IS
'Multiplies its energy readings in the aggregates; 1000 for one that labels kWh as Wh. Set by people only';
COMMENT ON COLUMN charge_point.security_profile IS 'Highest OCPP security profile it has used; never goes down by itself';
COMMENT ON COLUMN charge_point.password_hash IS 'Slow hash of its AuthorizationKey; NULL: no password asked';
COMMENT ON COLUMN charge_point.boot IS 'Payload of its last BootNotification, whole';
COMMENT ON COLUMN charge_point.booted_at IS 'When its last BootNotification was received';

CREATE TABLE connector (
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    connector_id    smallint    NOT NULL CHECK (connector_id >= 0),
    current_type    text        CHECK (current_type IN ('AC', 'DC')),
    rated_power_w   real        CHECK (rated_power_w > 0),
    status          text,
    error_code      text,
    status_at       timestamptz,
    PRIMARY KEY (charge_point_id, connector_id)
);
COMMENT ON TABLE connector IS 'Connectors seen so far; 0 is the charge point as a whole';
COMMENT ON COLUMN connector.status IS 'The newest status by its own time (OCPP 1.6 7.7)';
COMMENT ON COLUMN connector.status_at IS 'Time of that status: the charge point''s clock, or ours where that was not usable';

CREATE TABLE replica (
    replica_id uuid        PRIMARY KEY,
    host       text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE replica IS 'Running ingest processes; one that is silent for 30 s is taken for dead';
COMMENT ON COLUMN replica.seen_at IS 'Its last sign of life, every 5 s';

CREATE TABLE connection (
    opened_at       timestamptz NOT NULL,
    closed_at       timestamptz CHECK (closed_at >= opened_at),
    charge_point_id integer     NOT NULL,
    replica_id      uuid        NOT NULL,
    reason          text,
    remote_address  text
);
SELECT create_hypertable('connection', by_range('opened_at', INTERVAL '30 days'), create_default_indexes => FALSE);
CREATE UNIQUE INDEX connection_key ON connection (charge_point_id, opened_at);
CREATE INDEX connection_open ON connection (charge_point_id) WHERE closed_at IS NULL;
COMMENT ON TABLE connection IS 'Intervals in which a charge point''s websocket was open';
COMMENT ON COLUMN connection.closed_at IS 'NULL while open';
COMMENT ON COLUMN connection.reason IS 'Why it ended, in words: closed by the charge point, no pong, replaced, ...';

-- ---------------------------------------------------------------- the raw log

CREATE TABLE ocpp_message (
    received_at     timestamptz NOT NULL,
    charge_point_id integer     NOT NULL,
    message_type    smallint,
    direction       text        NOT NULL CHECK (direction IN ('i', 'o')),
    action          text,
    message_id      text,
    raw             text        NOT NULL,
    answer          text,
    answered_at     timestamptz
);
SELECT create_hypertable('ocpp_message', by_range('received_at', INTERVAL '1 day'), create_default_indexes => FALSE);
CREATE INDEX ocpp_message_by_charge_point ON ocpp_message (charge_point_id, received_at);
CREATE INDEX ocpp_message_by_time ON ocpp_message USING brin (received_at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE ocpp_message IS
'Every frame of both directions, also what could not be parsed. A CALL of a charge point and our answer share a row';
COMMENT ON COLUMN ocpp_message.received_at IS 'When it reached us, or left us: our clock';
COMMENT ON COLUMN ocpp_message.message_type IS '2 CALL, 3 CALLRESULT, 4 CALLERROR; NULL: unreadable';
COMMENT ON COLUMN ocpp_message.direction IS 'i: from the charge point, o: from us';
COMMENT ON COLUMN ocpp_message.action IS 'Of a CALL; of an answer, the action it answers';
COMMENT ON COLUMN ocpp_message.raw IS 'The frame as received; NUL characters and secrets replaced';
COMMENT ON COLUMN ocpp_message.answer IS 'Our answer to this CALL; NULL: none was due';
COMMENT ON COLUMN ocpp_message.answered_at IS 'When the answer was made, just before the commit that lets it leave';

CREATE TABLE set_aside (
    set_aside_id    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at     timestamptz NOT NULL,
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    reason          text        NOT NULL,
    raw             text        NOT NULL
);
CREATE INDEX set_aside_by_charge_point ON set_aside (charge_point_id, received_at);
COMMENT ON TABLE set_aside IS 'What was confirmed but could not become a fact: the piece and why';

-- ---------------------------------------------------------------- readings

CREATE FUNCTION context_name(code smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (ARRAY[
    'Sample.Periodic', 'Sample.Clock', 'Transaction.Begin', 'Transaction.End',
    'Interruption.Begin', 'Interruption.End', 'Trigger', 'Other'
])[code + 1];
COMMENT ON FUNCTION context_name IS 'The reading context (OCPP 1.6 7.33) behind meter_value.context';

CREATE TABLE meter_value (
    sampled_at        timestamptz NOT NULL,
    energy_wh         double precision,
    transaction_id    bigint,
    charge_point_id   integer     NOT NULL,
    power_w           real,
    current_a         real,
    voltage_v         real,
    soc_percent       real,
    temperature_c     real,
    current_offered_a real,
    power_offered_w   real,
    connector_id      smallint    NOT NULL CHECK (connector_id >= 0),
    context           smallint    NOT NULL CHECK (context BETWEEN 0 AND 7),
    origin            smallint    NOT NULL DEFAULT 0 CHECK (origin BETWEEN 0 AND 3),
    extra             jsonb
);
SELECT create_hypertable('meter_value', by_range('sampled_at', INTERVAL '1 day'), create_default_indexes => FALSE);
-- A charge point resends a frame we failed to confirm, under a new message id (OCPP 1.6 3.7.1):
-- the key makes the second copy harmless. Two contexts may share an instant.
CREATE UNIQUE INDEX meter_value_key ON meter_value (charge_point_id, sampled_at, connector_id, context);
CREATE INDEX meter_value_by_time ON meter_value USING brin (sampled_at) WITH (pages_per_range = 16, autosummarize = on);
COMMENT ON TABLE meter_value IS 'One row per charge point, connector, instant and context; a later part of an instant merges';
COMMENT ON COLUMN meter_value.sampled_at IS 'The charge point''s clock; ours where that was not usable (then extra.flags has "clock")';
COMMENT ON COLUMN meter_value.energy_wh IS 'Energy.Active.Import.Register in Wh, as counted by the meter, not corrected';
COMMENT ON COLUMN meter_value.transaction_id IS 'As sent, or found by connector and time; NULL outside a transaction';
COMMENT ON COLUMN meter_value.power_w IS 'Power.Active.Import in W: the total, or the sum of the phases';
COMMENT ON COLUMN meter_value.current_a IS 'Current.Import in A; NULL where only phases were sent (see extra)';
COMMENT ON COLUMN meter_value.voltage_v IS 'Voltage in V; NULL where only phases were sent (see extra)';
COMMENT ON COLUMN meter_value.soc_percent IS 'State of charge of the vehicle, 0 to 100';
COMMENT ON COLUMN meter_value.temperature_c IS 'Temperature in degrees Celsius';
COMMENT ON COLUMN meter_value.current_offered_a IS 'Current.Offered in A';
COMMENT ON COLUMN meter_value.power_offered_w IS 'Power.Offered in W';
COMMENT ON COLUMN meter_value.context IS 'See context_name()';
COMMENT ON COLUMN meter_value.origin IS
'0 MeterValues, 1 transactionData of a StopTransaction, 2 imported from DOJOT, 3 rebuilt from the raw log';
COMMENT ON COLUMN meter_value.extra IS
'Everything else: {"Voltage.L1-N": 230.1, "Frequency": 60, "flags": ["unit"]}: measurand[.phase][@location], base units';

CREATE TABLE touched_window (
    charge_point_id integer     NOT NULL,
    hour            timestamptz NOT NULL,
    marked_at       timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX touched_window_by_time ON touched_window (marked_at);
COMMENT ON TABLE touched_window IS
'Hours of a charge point in which facts were stored since the flows last looked; ingest marks each at least once a minute';

-- ---------------------------------------------------------------- statuses, authorisation, transactions

CREATE TABLE status_notification (
    at                timestamptz NOT NULL,
    received_at       timestamptz NOT NULL,
    charge_point_id   integer     NOT NULL,
    connector_id      smallint    NOT NULL CHECK (connector_id >= 0),
    status            text        NOT NULL,
    error_code        text,
    info              text,
    vendor_id         text,
    vendor_error_code text,
    flags             text[]      NOT NULL DEFAULT '{}'
);
SELECT create_hypertable('status_notification', by_range('at', INTERVAL '30 days'), create_default_indexes => FALSE);
CREATE UNIQUE INDEX status_notification_key ON status_notification
(charge_point_id, connector_id, at, status, error_code, vendor_error_code) NULLS NOT DISTINCT;
COMMENT ON TABLE status_notification IS 'What connectors said of themselves; a status lasts until the next one';
COMMENT ON COLUMN status_notification.at IS 'The charge point''s time; ours where it sent none, or none that can be';
COMMENT ON COLUMN status_notification.flags IS 'clock: its time could not be used; zone: it came without a zone; value: status or code was normalised';

CREATE TABLE id_tag (
    id_tag        text        NOT NULL CHECK (btrim(id_tag) <> ''),
    id_tag_key    text        PRIMARY KEY GENERATED ALWAYS AS (upper(btrim(id_tag))) STORED,
    status        text        NOT NULL DEFAULT 'Accepted' CHECK (status IN ('Accepted', 'Blocked', 'Expired', 'Invalid')),
    expiry_at     timestamptz,
    parent_id_tag text,
    max_active    integer     CHECK (max_active >= 0),
    alias         text,
    created_at    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE id_tag IS 'Identifiers that may charge. Personal data: shown by alias or pseudonym';
COMMENT ON COLUMN id_tag.id_tag_key IS 'How it is compared: without case and outer blanks (OCPP 1.6 7.28)';
COMMENT ON COLUMN id_tag.max_active IS 'Most transactions at one time; NULL: no limit';

CREATE SEQUENCE transaction_number AS integer;  -- what charge points can hold: a positive int32
CREATE TABLE transaction (
    transaction_id  bigint      PRIMARY KEY DEFAULT nextval('transaction_number'),
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    connector_id    smallint    NOT NULL CHECK (connector_id >= 0),
    id_tag          text,
    id_tag_status   text        NOT NULL,
    reservation_id  integer,
    started_at      timestamptz NOT NULL,
    meter_start_wh  double precision,
    stopped_at      timestamptz,
    meter_stop_wh   double precision,
    stop_id_tag     text,
    reason          text,
    flags           text[]      NOT NULL DEFAULT '{}',
    changed_at      timestamptz NOT NULL DEFAULT now(),
    -- The same start may come again under another message id when our answer was lost.
    CONSTRAINT transaction_start UNIQUE NULLS NOT DISTINCT
    (charge_point_id, connector_id, started_at, meter_start_wh, id_tag)
);
CREATE INDEX transaction_open ON transaction (charge_point_id, connector_id) WHERE stopped_at IS NULL;
CREATE INDEX transaction_active_tag ON transaction (upper(btrim(id_tag))) WHERE stopped_at IS NULL;
CREATE INDEX transaction_by_time ON transaction (started_at);
CREATE INDEX transaction_by_charge_point ON transaction (charge_point_id, started_at);
CREATE INDEX transaction_by_change ON transaction (changed_at);
COMMENT ON TABLE transaction IS 'From StartTransaction to StopTransaction, as the charge point told it; sessions are computed by the flows';
COMMENT ON COLUMN transaction.id_tag IS 'As presented, trimmed';
COMMENT ON COLUMN transaction.id_tag_status IS 'What we answered to the start: Accepted, Invalid, Blocked, Expired, ConcurrentTx';
COMMENT ON COLUMN transaction.started_at IS 'The charge point''s clock; ours where that was not usable';
COMMENT ON COLUMN transaction.meter_start_wh IS 'Register of the connector at the start, Wh';
COMMENT ON COLUMN transaction.stopped_at IS 'NULL: no StopTransaction was received';
COMMENT ON COLUMN transaction.reason IS 'Why it stopped (OCPP 1.6 7.36); Local when the charge point gave none';
COMMENT ON COLUMN transaction.changed_at IS 'When this row last changed: flows follow it';

CREATE TABLE orphan_stop (
    orphan_stop_id  bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    received_at     timestamptz NOT NULL,
    charge_point_id integer     NOT NULL REFERENCES charge_point,
    transaction_id  bigint,
    id_tag          text,
    stopped_at      timestamptz NOT NULL,
    meter_stop_wh   double precision,
    reason          text,
    UNIQUE NULLS NOT DISTINCT (charge_point_id, transaction_id, stopped_at, meter_stop_wh)
);
COMMENT ON TABLE orphan_stop IS 'StopTransactions that no open transaction answers to: kept, confirmed, shown as a finding';

-- ---------------------------------------------------------------- commands

CREATE TABLE command (
    command_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    charge_point_id   integer     NOT NULL REFERENCES charge_point,
    action            text        NOT NULL,
    payload           jsonb       NOT NULL DEFAULT '{}',
    requested_by      text        NOT NULL DEFAULT session_user,
    requested_at      timestamptz NOT NULL DEFAULT now(),
    expires_at        timestamptz NOT NULL DEFAULT now() + INTERVAL '60 seconds',
    status            text        NOT NULL DEFAULT 'queued'
                                  CHECK (status IN ('queued', 'sent', 'answered', 'failed', 'expired')),
    replica_id        uuid,
    message_id        text,
    sent_at           timestamptz,
    finished_at       timestamptz,
    response          jsonb,
    error_code        text,
    error_description text
);
CREATE INDEX command_queued ON command (charge_point_id) WHERE status = 'queued';
CREATE INDEX command_by_charge_point ON command (charge_point_id, requested_at);
COMMENT ON TABLE command IS 'CALLs to charge points: anybody with the right inserts, the replica that holds the socket sends';
COMMENT ON COLUMN command.status IS
'queued -> sent -> answered (CALLRESULT) | failed (CALLERROR, dead socket, time-out, refused by us); queued -> expired';
COMMENT ON COLUMN command.response IS 'Payload of the CALLRESULT; also of one that came too late';

CREATE FUNCTION announce_command() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_command', NEW.charge_point_id::text);
    RETURN NULL;
END;
$$;
CREATE TRIGGER announce AFTER INSERT ON command FOR EACH ROW EXECUTE FUNCTION announce_command();

CREATE FUNCTION announce_answer() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('eletroposto_answer', NEW.command_id::text);
    RETURN NULL;
END;
$$;
CREATE TRIGGER announce_answer AFTER UPDATE OF status ON command
FOR EACH ROW WHEN (NEW.status IN ('answered', 'failed', 'expired')) EXECUTE FUNCTION announce_answer();

-- ---------------------------------------------------------------- towards DOJOT

CREATE TABLE dojot_feed (
    only_row boolean     PRIMARY KEY DEFAULT TRUE CHECK (only_row),
    since    timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE dojot_feed IS 'Has its one row once a relay was set up: only then do commits fill the outbox';

CREATE TABLE dojot_outbox (
    outbox_id        bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    shard            smallint    NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    charge_point_ids integer[]   NOT NULL,
    sampled_ats      timestamptz[] NOT NULL,
    connector_ids    smallint[]  NOT NULL,
    contexts         smallint[]  NOT NULL
);
COMMENT ON TABLE dojot_outbox IS 'Keys of readings not yet handed to DOJOT: one row per commit and shard, deleted when the broker has all of them';
COMMENT ON COLUMN dojot_outbox.shard IS 'charge_point_id % 8: relays share the charge points by shard';
COMMENT ON COLUMN dojot_outbox.charge_point_ids IS 'With the three arrays beside it: the keys of meter_value, by position';

-- ---------------------------------------------------------------- rights

GRANT USAGE ON SCHEMA public TO eletroposto_ingest, eletroposto_flows;
GRANT USAGE ON SCHEMA report TO eletroposto_ingest, eletroposto_flows, eletroposto_dashboard;
GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO eletroposto_ingest;
GRANT DELETE ON dojot_outbox, replica TO eletroposto_ingest;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO eletroposto_flows;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO eletroposto_ingest;

DO $$
BEGIN
    EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO eletroposto_ingest', current_database());
END;
$$;
