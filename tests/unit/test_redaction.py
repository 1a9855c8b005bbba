import pytest
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


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ftp://a:b@h.example/x", "ftp://***@h.example/x"),
        ("ftp://a:p@ss@h.example/x", "ftp://***@h.example/x"),
        ("ftp://a:p/ss@h.example/x", "ftp://***@h.example/x"),
        ("ftp://a:p?s#s@h.example/x", "ftp://***@h.example/x"),
        ("https://h.example/x?sig=abc&expires=1", "https://h.example/x?***"),
        ("https://a:b@h.example/x?sig=abc", "https://***@h.example/x?***"),
        ("https://h.example/x#y", "https://h.example/x#y"),
    ],
)
def test_addresses_lose_their_secrets_only(address: str, shown: str) -> None:
    request = {"requestId": 1, "log": {"remoteLocation": address}}
    assert without_secrets(request) == {"requestId": 1, "log": {"remoteLocation": shown}}
    assert without_secrets({"location": [address]}) == {"location": [shown]}


@pytest.mark.parametrize("value", ["text", 12345, 0, True, {"a": 1}, ["x"]])
def test_a_secret_may_be_of_any_type_and_its_field_in_any_case(value: object) -> None:
    change = {"key": " authorizationKEY", "Value": value}
    assert without_secrets(change) == {"key": " authorizationKEY", "Value": HIDDEN}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_has_no_secret_is_the_same_object(value: object) -> None:
    payload = {"data": value}
    assert without_secrets(payload) is payload
