"""OCPP-J frames: what is understood, and whom an unreadable one still names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.frames import (
    Call,
    CallError,
    CallResult,
    Unreadable,
    call_text,
    clean,
    error_text,
    read_frame,
    result_text,
)


def test_a_call_is_read():
    assert read_frame(b'[2,"7","Heartbeat",{"a":1}]') == Call("7", "Heartbeat", {"a": 1})


@pytest.mark.parametrize("message_id", ["36:352", "000017", "9223372036854775807", "é", " "])
def test_a_message_id_is_opaque_text(message_id):
    frame = read_frame(json.dumps([2, message_id, "Heartbeat", {}]).encode())

    assert isinstance(frame, Call)
    assert json.loads(result_text(frame.message_id, {})) == [3, message_id, {}]


def test_a_null_payload_is_an_empty_one():
    assert read_frame(b'[2,"7","Heartbeat",null]') == Call("7", "Heartbeat", {})


def test_elements_too_many_do_not_matter():
    assert read_frame(b'[2,"7","Heartbeat",{},{"x":1}]') == Call("7", "Heartbeat", {})


@pytest.mark.parametrize(
    ("raw", "message_id"),
    [
        (b'[2,"7","Heartbeat"]', "7"),
        (b'[2,"7"]', "7"),
        (b'[2,"7","Heartbeat",[]]', "7"),
        (b'[2,"7","Heartbeat","{}"]', "7"),
        (b'[2,"7",["Heartbeat"],{}]', "7"),
        (b'[2,"","Heartbeat",{}]', ""),
        (b'[2,17,"Heartbeat",{}]', 17),
        (b'[2,0,"Heartbeat",{}]', 0),
        (b'[2,1.5,"Heartbeat",{}]', 1.5),
        (b'[2,null,"Heartbeat",{}]', "-1"),
        (b'[2,true,"Heartbeat",{}]', "-1"),
        (b'[2,["7"],"Heartbeat",{}]', "-1"),
        (b"[2]", "-1"),
        (b'[2,"7","Heartbeat",{"a":', "7"),
        (b'\xef\xbb\xbf [ 2 , "7" , Heartbeat', "7"),
        (b'[2,"7","Boot",' + b"[" * 5000, "7"),
        (b'[2,"7","Boot",' + b"[" * 100 + b"]" * 100 + b"]", "7"),
    ],
)
def test_a_broken_call_names_the_message_to_answer(raw, message_id):
    frame = read_frame(raw)

    assert isinstance(frame, Unreadable)
    assert (frame.message_id, type(frame.message_id)) == (message_id, type(message_id))
    assert frame.message_id is not None
    assert json.loads(error_text(frame.message_id, "FormationViolation", frame.reason))[1] == (
        message_id
    )


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"17",
        b'"x"',
        b"[9]",
        b'[5,"7",{}]',
        b'["2","7","A",{}]',
        b"\xff",
    ],
)
def test_what_is_no_message_is_owed_no_answer(raw):
    frame = read_frame(raw)

    assert isinstance(frame, Unreadable)
    assert (frame.message_id, frame.answers) == (None, None)


@pytest.mark.parametrize(
    "raw", [b'[3,"7","ok"]', b'[3,"7"]', b'[3,"7",[]]', b'[3,"7",{"status":"Acc', b'[4,"7","Gen']
)
def test_a_malformed_answer_names_the_call_it_ends(raw):
    frame = read_frame(raw)

    assert isinstance(frame, Unreadable)
    assert (frame.message_id, frame.answers) == (None, "7")


def test_answers_are_read():
    assert read_frame(b'[3,"7",{"status":"Accepted"}]') == CallResult("7", {"status": "Accepted"})
    assert read_frame(b'[3,"7",null]') == CallResult("7", {})
    assert read_frame(b'[4,"7","InternalError","x",{"a":1}]') == CallError(
        "7", "InternalError", "x", {"a": 1}
    )


def test_a_callerror_may_lack_everything_but_its_id():
    assert read_frame(b'[4,"7"]') == CallError("7", "GenericError")
    assert read_frame(b'[4,"7",17,null,"x"]') == CallError("7", "GenericError")


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'[2,"7","A",{"a":"x\ty"}]', "x\ty"),
        (b'[2,"7","A",{"a":NaN}]', "NaN"),
        (b'[2,"7","A",{"a":"\\ud800"}]', "?"),
        (b'[2,"7","A",{"a":"\xff"}]', "�"),
        (b'[2,"7","A",{"a":"\xc3\xa9"}]', "é"),
        (b'[2,"7","A",{"a":123456789012345678901234567890}]', 1.2345678901234568e29),
        (b'[2,"7","A",{"b":NaN,"a":123456789012345678901234567890}]', 1.2345678901234568e29),
        (b'[2,"7","A",{"b":NaN,"a":9223372036854775807}]', 9223372036854775807),
    ],
)
def test_what_the_strict_parser_refuses_is_read(raw, value):
    frame = read_frame(raw)

    assert isinstance(frame, Call)
    assert frame.payload["a"] == value


def test_nul_characters_are_stripped_from_the_text_of_a_frame():
    assert clean(b'["a\x00b"]') == '["ab"]'
    assert clean(b'["a\\u0000b"]') == '["ab"]'
    assert clean(b'["a\\\\u0000b"]') == '["a\\\\u0000b"]', "an escaped backslash, then u0000"


def test_a_callerror_has_five_elements_and_a_short_description():
    frame = json.loads(error_text("7", "InternalError", "x" * 1000))

    assert frame == [4, "7", "InternalError", "x" * 255, {}]


def test_a_call_of_ours_has_four_elements():
    assert json.loads(call_text("7", "Reset", {"type": "Soft"})) == [
        2,
        "7",
        "Reset",
        {"type": "Soft"},
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(st.binary())
def test_read_frame_never_raises_for_bytes(raw):
    read_frame(raw)
    clean(raw)


@given(st.lists(json_values, max_size=6), st.sampled_from([2, 3, 4]))
def test_read_frame_never_raises_for_json(elements, message_type):
    text = json.dumps([message_type, *elements])

    for raw in (text.encode(), text.encode()[:-1], text.encode()[1:]):
        frame = read_frame(raw)
        if isinstance(frame, Unreadable) and frame.message_id is not None:
            error_text(frame.message_id, "FormationViolation", frame.reason)


@given(json_values)
def test_whatever_is_read_can_be_written(value):
    """The store writes payloads as JSON: an unwritable one would stop the writer."""
    frame = read_frame(json.dumps([2, "7", "A", {"a": value}]).encode())

    assert isinstance(frame, Call)
    result_text("7", frame.payload)
