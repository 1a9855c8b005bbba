"""Passwords at the door: slow hashes for few, quick digests for many, guesses for nobody."""

import asyncio
import base64
import http
import time
from dataclasses import replace
from typing import Any

import pytest

from ingest import admission as door
from ingest.admission import Admission, Admitted, Proof, Refused
from ingest.credentials import hash_password
from ingest.registration import Registration
from ingest.turns import Turns

PEPPER = b"p" * 32
HASHED = hash_password("the right password")


def registered(identity: str, password_hash: str = HASHED) -> Registration:
    return Registration(1, identity, "registered", "UTC", password_hash, None, 1, False)


def proof(identity: str, password: str = "the right password", address: str = "192.0.2.1") -> Proof:
    basic = base64.b64encode(f"{identity}:{password}".encode()).decode()
    return Proof(address, f"Basic {basic}")


async def status(admission: Admission, identity: str, password: str, address: str) -> int:
    try:
        await admission.admit(registered(identity), proof(identity, password, address))
    except Refused as exc:
        return int(exc.status)
    return 101


async def test_a_digest_lets_the_same_password_in_without_a_slow_hash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = registered("CP-1")
    first = await Admission(pepper=PEPPER).admit(known, proof("CP-1"))
    assert first.password_digest is not None
    kept = replace(known, password_digest=first.password_digest)

    def slow(*_: object) -> bool:
        raise AssertionError("a slow hash was computed")

    monkeypatch.setattr(door, "check_password", slow)
    again = await Admission(pepper=PEPPER).admit(kept, proof("CP-1"))
    assert (again.security_profile, again.password_digest) == (1, None)


@pytest.mark.parametrize("what", ["password", "pepper", "identity", "hash"])
async def test_a_digest_proves_nothing_else(what: str) -> None:
    known = registered("CP-1")
    digest = (await Admission(pepper=PEPPER).admit(known, proof("CP-1"))).password_digest
    other = replace(
        known,
        password_digest=digest,
        identity="CP-2" if what == "identity" else "CP-1",
        password_hash=hash_password("another") if what == "hash" else HASHED,
    )
    admission = Admission(pepper=b"q" * 32 if what == "pepper" else PEPPER)
    assert not admission._is_proved(
        other, other.password_hash or "", b"wrong" if what == "password" else b"the right password"
    )


async def test_without_a_pepper_no_digest_is_made() -> None:
    assert (await Admission().admit(registered("CP-1"), proof("CP-1"))).password_digest is None


@pytest.mark.parametrize("fill", ["", "=", "=="])
async def test_what_only_fills_credentials_up_may_be_left_out(fill: str) -> None:
    header = proof("CP-1").authorization or ""
    assert header.endswith("=")

    given = Proof("192.0.2.1", header.rstrip("=") + fill)

    assert (await Admission().admit(registered("CP-1"), given)).security_profile == 1


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (None, "credentials are missing"),
        ("Basic ?", "credentials cannot be read"),
        ("Bearer x", "credentials cannot be read"),
        ("Basic b3RoZXI6", "the user is not the charge point"),
    ],
)
async def test_a_refusal_tells_what_is_wrong_with_the_credentials(
    header: str | None, complaint: str
) -> None:
    with pytest.raises(Refused, match=complaint):
        await Admission().admit(registered("CP-1"), Proof("192.0.2.1", header))


async def test_one_address_guesses_over_many_identities_and_an_honest_one_comes_in() -> None:
    """Ten times what it may guess of one charge point, then none of them costs a hash."""
    admission = Admission(wrong_per_minute=2)
    guesses = [
        asyncio.create_task(status(admission, f"CP-{number}", "guess", "198.51.100.1"))
        for number in range(300)
    ]
    await asyncio.sleep(0.05)
    began = time.monotonic()
    honest = await status(admission, "HONEST", "the right password", "192.0.2.1")
    waited_s = time.monotonic() - began
    unfinished = sum(not guess.done() for guess in guesses)
    said = [await guess for guess in guesses]
    assert honest == 101
    assert unfinished > 0 or waited_s < 0.2, "it waited behind all the guesses"
    assert 20 <= said.count(http.HTTPStatus.UNAUTHORIZED) <= 40, "some come back with time"
    assert said.count(http.HTTPStatus.TOO_MANY_REQUESTS) == 300 - said.count(401)


async def test_many_guessers_do_not_forgive_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "_MOST_GUESSERS", 50)
    admission = Admission(wrong_per_minute=1)
    assert await status(admission, "CP-1", "guess", "198.51.100.1") == 401
    assert await status(admission, "CP-1", "guess", "198.51.100.1") == 401  # it has no debt yet
    for number in range(30):
        admission._allowance_of(f"198.51.100.{number}")
        admission._allowance_of("198.51.100.1", "CP-1")
    assert await status(admission, "CP-1", "guess", "198.51.100.1") == 429
    assert len(admission._guesses) <= 50


async def test_names_take_turns() -> None:
    turns = Turns(at_once=1)
    served: list[str] = []

    async def wait(name: str) -> None:
        async with turns.turn(name):
            served.append(name)
            await asyncio.sleep(0)

    crowd = [asyncio.create_task(wait("crowd")) for _ in range(10)]
    await asyncio.sleep(0)
    await asyncio.gather(wait("one"), wait("two"), *crowd)
    assert max(served.index("one"), served.index("two")) <= 5, served
    assert len(served) == 12


async def test_who_gives_up_waiting_takes_no_turn_along() -> None:
    turns = Turns(at_once=1)

    async def wait() -> None:
        async with turns.turn("x"):
            await asyncio.sleep(0.01)

    waiting = [asyncio.create_task(wait()) for _ in range(20)]
    await asyncio.sleep(0.015)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    async with asyncio.timeout(1):
        await wait()
    assert turns._busy == 0


@pytest.mark.parametrize(
    ("came_with", "change", "stands"),
    [
        ({"profile": 1}, {}, True),
        ({"profile": 1}, {"password_hash": "another"}, False),
        ({"profile": 1}, {"password_hash": None}, True),
        ({"profile": 1}, {"new_password_hash": "told"}, True),
        ({"profile": 1}, {"security_profile": 2}, False),
        ({"profile": 2}, {"security_profile": 2}, True),
        ({"profile": 1, "new": "told"}, {"password_hash": "told"}, True),
        ({"profile": 1, "new": "told"}, {"new_password_hash": "newer told"}, True),
        ({"profile": 0, "password": None}, {"password_hash": None}, True),
        ({"profile": 0, "password": None}, {}, False),
        ({"profile": 3}, {"password_hash": "another", "security_profile": 3}, True),
    ],
)
def test_what_was_proved_is_judged_by_what_the_registry_says_now(
    came_with: dict[str, Any], change: dict[str, Any], stands: bool
) -> None:
    now = replace(registered("CP-1"), security_profile=0)
    then = replace(now, password_hash=came_with.get("password", HASHED))
    admitted = Admitted(then, came_with["profile"], came_with.get("new"))
    assert admitted.stands_up_to(replace(now, **change)) == stands
