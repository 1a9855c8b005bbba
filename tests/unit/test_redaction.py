import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.redaction import (
    HIDDEN,
    is_secret,
    secrets_in,
    text_without_secrets,
    without_echo,
    without_secrets,
)

SECRET = (
    "AuthorizationKey",
    "authorizationkey",
    "WifiPassword",
    "SimPIN",
    "APN-Pass",
    "ApiToken",
    "WPA2-PSK",
    "FtpPwd",
)
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


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ({"data": {"password": "hunter2"}}, {"data": {"password": HIDDEN}}),
        (
            {"data": {"wifi": [{"psk": "abc", "ssid": "x"}]}},
            {"data": {"wifi": [{"psk": HIDDEN, "ssid": "x"}]}},
        ),
        ({"credentials": {"login": "a", "n": 1}}, {"credentials": {"login": HIDDEN, "n": HIDDEN}}),
        ({"data": '{"pwd": "x", "a": 1}'}, {"data": f'{{"pwd": "{HIDDEN}", "a": 1}}'}),
        ({"data": "password=hunter2;user=a"}, {"data": f"password={HIDDEN};user=a"}),
        ({"name": "FtpPwd", "value": "x"}, {"name": "FtpPwd", "value": HIDDEN}),
        (
            {"key": "CentralSystemURL", "value": "wss://u:p@h/x"},
            {"key": "CentralSystemURL", "value": "wss://***@h/x"},
        ),
        ({"data": "see wss://u:p@h/x or a@b"}, {"data": "see wss://***@h/x or a@b"}),
    ],
)
def test_secrets_in_fields_and_texts(told: object, shown: object) -> None:
    assert without_secrets(told) == shown


@pytest.mark.parametrize(
    "told",
    [
        {"key": ["AuthorizationKey", "WPA2-PSK"]},
        {"unknownKey": ["ApiToken"], "configurationKey": []},
        {"localAuthorizationList": [{"idTag": "A", "idTagInfo": {"status": "Accepted"}}]},
        {"certificateHashData": {"issuerKeyHash": "ab", "serialNumber": "1"}},
        {"authorized": True, "password": "", "token": None},
        {"data": "12:30:00 a@b http://h/x"},
    ],
)
def test_what_only_sounds_like_a_secret_stays(told: object) -> None:
    assert without_secrets(told) is told


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            '[3,"1",{"configurationKey":[{"key":"WPA2-PSK","readonly":false,"value":"a\\"b"},{"key":"X","value":"o"}',
            '[3,"1",{"configurationKey":[{"key":"WPA2-PSK","readonly":false,"value":"***"},{"key":"X","value":"o"}',
        ),
        (
            '[2,"1","DataTransfer",{"data":{"pwd":"cut of',
            '[2,"1","DataTransfer",{"data":{"pwd":"***"',
        ),
        (
            '[4,"1","X","password: hunter2 at ftp://u:p@h/x",{}]',
            '[4,"1","X","password: *** at ftp://***@h/x",{}]',
        ),
        (
            '[4,"1","FormationViolation","no field key",{}]',
            '[4,"1","FormationViolation","no field key",{}]',
        ),
    ],
)
def test_texts_that_are_no_json_lose_their_secrets_too(text: str, shown: str) -> None:
    assert text_without_secrets(text) == shown


def test_an_answer_does_not_bring_back_what_was_told() -> None:
    told = secrets_in({"key": "AuthorizationKey", "value": "a1b2c3d4"})
    assert told == {"a1b2c3d4"}
    assert without_echo("value 'a1b2c3d4' is too short", told) == "value '***' is too short"


@pytest.mark.parametrize(
    "piece", ["://", '"key":"pass",', "pass", '"a":"', "password=", "[", '"x" :  ']
)
def test_no_text_takes_long(piece: str) -> None:
    """Whoever sends a megabyte of it must not hold up the others."""
    text = piece * (200_000 // len(piece)) + "@"
    began = time.process_time()
    text_without_secrets(text)
    without_secrets({"data": text, "location": text})
    assert time.process_time() - began < 2


@given(st.text(alphabet='"\\{}[]:=/@ passkeyvalue'))
def test_any_text_can_be_shown(text: str) -> None:
    shown = text_without_secrets(text)
    assert text_without_secrets(shown) == shown
    without_secrets({"data": text, "location": text})
