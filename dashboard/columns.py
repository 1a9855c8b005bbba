"""Columns of tables that stand on a page and in a report."""

from dashboard.blocks import Column

SESSIONS = (
    Column("started_at", "column.started_at", "instant"),
    Column("name", "column.name"),
    Column("connector_id", "column.connector", "integer"),
    Column("id_tag_alias", "column.tag"),
    Column("is_attempt", "sessions.counts_as", "term", terms="sessions.is_attempt_"),
    Column("energy_wh", "column.energy_kwh", "kwh", 2),
    Column("energy_source", "column.energy_source", "term", terms="energy_source."),
    Column("duration_s", "column.duration", "duration"),
    Column("soc_start_percent", "column.soc_start", "percent", 0),
    Column("soc_end_percent", "column.soc_end", "percent", 0),
    Column("peak_power_w", "column.peak_kw", "kw"),
    Column("mean_power_w", "column.mean_kw", "kw"),
    Column("idle_s", "column.idle", "duration"),
    Column("cost", "column.cost", "cost"),
    Column("stop_reason", "column.stop_reason", "glossed", terms="reason."),
    Column("flags", "column.flags", "term", terms="finding."),
    Column("unpriced_wh", "costs.unpriced", "kwh", 2),
    Column("current_type", "column.current_type"),
    Column("stopped_at", "column.stopped_at", "instant"),
    Column("transaction_id", "column.transaction", "code"),
    Column("continues", "sessions.continues", "code"),
    Column("pack_estimate_wh", "sessions.pack", "kwh", 0),
)
STATIONS = (
    Column("name", "column.name"),
    Column("state", "column.state", "state"),
    Column("site", "column.site"),
    Column("last_message_at", "column.last_message", "instant"),
    Column("technical_percent", "column.availability", "percent", 2),
    Column("utilisation_percent", "column.utilisation", "percent"),
    Column("energy_wh", "column.energy_kwh", "kwh"),
    Column("sessions", "column.sessions", "integer"),
    Column("faults", "column.faults", "integer"),
    Column("model", "column.model"),
    Column("firmware_version", "column.firmware"),
    Column("charge_point", "column.identity", "code"),
)
DAYS = (
    Column("day", "column.day", "day"),
    Column("energy_wh", "column.energy_kwh", "kwh"),
    Column("sessions", "column.sessions", "integer"),
    Column("cost", "column.cost", "cost"),
    Column("unpriced_wh", "costs.unpriced", "kwh"),
    Column("idle_s", "column.idle", "duration"),
    Column("technical_percent", "column.availability", "percent", 2),
    Column("utilisation_percent", "column.utilisation", "percent"),
)
