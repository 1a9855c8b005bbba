-- The power of a charge point that measures none, whichever way it names the phases of voltage and current.

CREATE FUNCTION phase_voltage_v(extra jsonb, phase text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    (extra ->> ('Voltage.' || phase || '-N'))::double precision, (extra ->> ('Voltage.' || phase))::double precision
);
COMMENT ON FUNCTION phase_voltage_v IS 'Voltage of a phase to the neutral, whichever way the charge point names it; V';

CREATE FUNCTION phase_power_w(extra jsonb, phase text, other_voltage_v double precision) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    WHEN extra ? ('Current.Import.' || phase)
        THEN (extra ->> ('Current.Import.' || phase))::double precision
        * coalesce(phase_voltage_v(extra, phase), other_voltage_v)
    ELSE 0
END;
COMMENT ON FUNCTION phase_power_w IS
'Power of a phase by its current and its voltage, or the other one where it tells none; 0 without a current; W';

CREATE FUNCTION common_voltage_v(extra jsonb, voltage_v real) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN coalesce(
    phase_voltage_v(extra, 'L1'),
    -- Between two lines it is that of three phases only where there are three.
    CASE WHEN extra ? 'Current.Import.L3' THEN (extra ->> 'Voltage.L1-L2')::double precision / sqrt(3) END,
    voltage_v
);
COMMENT ON FUNCTION common_voltage_v IS 'What a phase that tells no voltage is taken to have to the neutral; V';

CREATE OR REPLACE FUNCTION estimated_power_w(voltage_v real, current_a real, extra jsonb, current_type text) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN CASE
    -- DC, or one phase without a power factor: the product.
    WHEN voltage_v IS NOT NULL AND current_a IS NOT NULL AND (extra IS NULL OR NOT extra ? 'Current.Import.L2')
        THEN voltage_v * current_a * coalesce((extra ->> 'Power.Factor')::double precision, 1)
    WHEN extra IS NULL OR current_type = 'DC' THEN NULL
    WHEN extra ?| ARRAY['Current.Import.L1', 'Current.Import.L2', 'Current.Import.L3']
        THEN (
            phase_power_w(extra, 'L1', common_voltage_v(extra, voltage_v))
            + phase_power_w(extra, 'L2', common_voltage_v(extra, voltage_v))
            + phase_power_w(extra, 'L3', common_voltage_v(extra, voltage_v))
        ) * coalesce((extra ->> 'Power.Factor')::double precision, 1)
    -- A current of no phase is that of the only phase there is; of several it may be the sum, or that of each.
    WHEN coalesce(phase_voltage_v(extra, 'L2'), 0) = 0 AND coalesce(phase_voltage_v(extra, 'L3'), 0) = 0
        THEN current_a * phase_voltage_v(extra, 'L1') * coalesce((extra ->> 'Power.Factor')::double precision, 1)
END;
