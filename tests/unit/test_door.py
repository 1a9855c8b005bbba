"""Places for connections, and complaints about who takes too many: bounded whoever knocks."""

import logging

import pytest

from ingest.door import Complaints, Door, network_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


async def test_two_addresses_do_not_keep_charge_points_out() -> None:
    door = Door(most=16, most_from_one=12)
    door.befriend(["192.0.2.1"])
    entered = [sum(door.enter(address) for _ in range(50)) for address in ("10.0.0.1", "10.0.0.2")]
    assert sum(entered) == 12, "a quarter is not for strangers"
    assert sum(door.enter("192.0.2.1") for _ in range(50)) == 4
    door.leave("10.0.0.1")
    assert door.enter("192.0.2.1")


async def test_connections_leave_files_to_come_in_by() -> None:
    """Strangers leave a quarter of what those who are connected leave."""
    door = Door(most=100, most_from_one=100, files=20)
    door.befriend(["192.0.2.1"])
    for _ in range(12):
        assert door.enter("192.0.2.1")
        door.leave("192.0.2.1")
    assert sum(door.enter("10.0.0.1") for _ in range(50)) == 6
    assert sum(door.enter("192.0.2.1") for _ in range(50)) == 2
    assert (door.refused, door.full) == (0, 44 + 48)
    door.close()
    assert door.enter("192.0.2.1")


async def test_the_log_blames_handshakes_or_the_limit_of_files_whichever_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door(most=100, most_from_one=2, files=4)
    door.befriend(["192.0.2.1", "192.0.2.2", "192.0.2.3"])
    assert [door.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert [door.enter("192.0.2.2") for _ in range(2)] == [True, True]
    for address in ("192.0.2.1", "192.0.2.2"):
        door.leave(address)
        door.leave(address)

    assert not door.enter("192.0.2.3") and not door.enter("192.0.2.1")
    assert (door.open, door.refused, door.full) == (4, 1, 2)
    assert [record.getMessage() for record in caplog.records] == [
        "192.0.2.1: too many unfinished handshakes",
        "192.0.2.3: no room: the limit of open files allows 4 connections (ulimit -n)",
    ]


async def test_one_subscriber_of_ipv6_is_one_address() -> None:
    door = Door(most=100, most_from_one=3)
    assert sum(door.enter(f"2001:db8::{number:x}") for number in range(10)) == 3
    assert door.enter("2001:db8:0:1::1")


async def test_a_quarter_is_kept_only_for_those_who_came_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ingest.door._MOST_FRIENDS", 2)
    door = Door(most=4, most_from_one=4)
    door.befriend(["a", "b", "a", "c"])
    assert [sum(door.enter(name) for _ in range(9)) for name in ("b", "a")] == [3, 1]


def test_many_names_are_not_kept_for_ever_nor_all_written_down() -> None:
    complaints = Complaints()
    written = sum(complaints.about(f"name {n}", n / 10_000) is not None for n in range(20_000))
    assert 100 <= written <= 130, "a hundred at once, then ten a second"
    assert len(complaints._named) <= 1000


def test_one_name_is_written_once_a_minute_with_what_was_left_out() -> None:
    complaints = Complaints()
    said = [complaints.about("x", float(second)) for second in range(121)]
    assert [count for count in said if count is not None] == [0, 59, 59]


async def test_a_flood_of_identities_is_one_line_of_its_address(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door(most=1, most_from_one=1)
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            door.complain("192.0.2.1", f"refused {number}: 404", about="192.0.2.1 404")
    assert [record.getMessage() for record in caplog.records] == ["192.0.2.1: refused 0: 404"]
