from hypothesis import given
from hypothesis import strategies as st

from ingest.redaction import HIDDEN, is_secret, without_secrets

SECRET = ("AuthorizationKey", "authorizationkey", "WifiPassword", "SimPIN", "APN-Pass", "ApiToken")
OPEN = ("WebSocketPingInterval", "LocalAuthListEnabled", "AuthorizeRemoteTxRequests", "CpoName")


def test_names_of_secrets() -> None:
    assert all(is_secret(name) for name in SECRET)
    assert not any(is_secret(name) for name in OPEN)


def test_values_are_replaced_wherever_they_are() -> None:
    told = {"configurationKey": [{"key": name, "value": "v"} for name in (*SECRET, *OPEN)]}
    shown = {entry["key"]: entry["value"] for entry in without_secrets(told)["configurationKey"]}
    assert shown == {**dict.fromkeys(SECRET, HIDDEN), **dict.fromkeys(OPEN, "v")}


def test_addresses_lose_their_password_only() -> None:
    request = {"requestId": 1, "log": {"remoteLocation": "ftp://a:b@h.example/x?u=c@d"}}
    shown = without_secrets(request)
    assert shown == {"requestId": 1, "log": {"remoteLocation": "ftp://***@h.example/x?u=c@d"}}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_has_no_secret_is_the_same_object(value: object) -> None:
    payload = {"data": value}
    assert without_secrets(payload) is payload
