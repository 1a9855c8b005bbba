"""What the database shows of commands that still wait: no secret, whoever looks."""

import json
from typing import Any

import psycopg
import pytest
from ocpp.v16.enums import ConfigurationKey

from ingest.redaction import is_secret


def shown(url: str, action: str, payload: dict[str, Any]) -> Any:
    """Queue a command as an operator for a charge point that is away; return what a viewer sees."""
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('AWAY') ON CONFLICT DO NOTHING")
        conn.execute("SET ROLE eletroposto_operator")
        queue = "SELECT operation.queue_command('AWAY', %s, %s, 'test')"
        row = conn.execute(queue, [action, json.dumps(payload)]).fetchone()
        assert row is not None
        conn.execute("SET ROLE eletroposto_dashboard")
        view = "SELECT payload FROM report.command WHERE command_id = %s"
        seen = conn.execute(view, row).fetchone()
        assert seen is not None
        return seen[0]


def test_a_waiting_command_shows_no_secret(database_url: str) -> None:
    key = {"key": "AuthorizationKey", "value": "a1b2c3d4e5f60718"}
    assert shown(database_url, "ChangeConfiguration", key) == {**key, "value": "***"}
    wifi = {"key": " wpa2-psk ", "Value": "hunter2"}
    assert shown(database_url, "ChangeConfiguration", wifi) == {**wifi, "Value": "***"}
    url = {"key": "CentralSystemURL", "value": "wss://u:p@ss@h/x"}
    assert shown(database_url, "ChangeConfiguration", url)["value"] == "wss://***@h/x"
    for data in ("hunter2", {"password": "hunter2"}, ["hunter2"]):
        sent = {"vendorId": "v", "data": data}
        assert shown(database_url, "DataTransfer", sent) == {"vendorId": "v", "data": "***"}
    log = {"log": {"remoteLocation": "ftp://u:p@h/x?sig=abc"}, "retries": 1}
    hidden = {"log": {"remoteLocation": "ftp://***@h/x?***"}, "retries": 1}
    assert shown(database_url, "GetLog", log) == hidden
    nested = {"a": [{"ftpPassword": "x", "n": 1}, "y"]}
    assert shown(database_url, "Reset", nested) == {"a": [{"ftpPassword": "***", "n": 1}, "y"]}


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("ChangeConfiguration", {"key": "LocalAuthListEnabled", "value": "true"}),
        ("GetConfiguration", {"key": ["AuthorizationKey"]}),
        (
            "SendLocalList",
            {"listVersion": 1, "localAuthorizationList": [{"idTag": "A"}], "updateType": "Full"},
        ),
        ("Reset", {"type": "Soft"}),
        ("UpdateFirmware", {"location": "https://h/x", "retrieveDate": "2026-01-01T00:00:00Z"}),
    ],
)
def test_what_is_no_secret_is_shown(
    database_url: str, action: str, payload: dict[str, Any]
) -> None:
    assert shown(database_url, action, payload) == payload


def test_the_database_and_the_central_system_hide_the_same_names(database_url: str) -> None:
    names = [str(key.value) for key in ConfigurationKey]
    names += ["WifiPassword", "SimPIN", "Ping", "ApiToken", "FtpPwd", "WPA2-PSK", "CpoName", "x"]
    with psycopg.connect(database_url) as conn:
        rows = conn.execute(
            "SELECT name FROM unnest(%s::text[]) AS name WHERE is_secret_name(name)", [names]
        ).fetchall()
    assert {name for (name,) in rows} == {name for name in names if is_secret(name)}


def test_a_flood_of_strangers_is_listed_together(database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute("INSERT INTO charge_point (identity, registration) VALUES ('OLD', 'pending')")
        conn.execute(
            "INSERT INTO connector (charge_point_id, connector_id)"
            " SELECT charge_point_id, 1 FROM charge_point"
        )
        conn.execute("SET ROLE eletroposto_ingest")
        for batch in range(3):
            names = [f"S-{batch}-{number}" for number in range(400)] * 2
            conn.execute("SELECT list_strangers(%s, 500)", [names])
        listed = conn.execute(
            "SELECT identity FROM charge_point WHERE registration = 'pending' ORDER BY identity"
        ).fetchall()
    assert len(listed) == 501
    assert ("OLD",) in listed, "it has facts"
    assert ("S-2-0",) in listed and ("S-0-0",) not in listed
