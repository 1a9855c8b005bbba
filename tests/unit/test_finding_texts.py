"""Every kind of finding that the flows can store has a text in both languages."""

import re
from pathlib import Path

import pytest

from dashboard.i18n import texts
from sql import load

ROOT = Path(__file__).parents[2]
# What ingest flags, and where. The flows make findings of it: reading_*, status_*, and bare ones.
READINGS = {"clock", "zone", "unit", "measurand", "context", "range", "phases", "conflict"}
STATUSES = {"clock", "zone", "value"}
TRANSACTIONS = {"clock", "zone", "connector", "meter_start", "meter_stop", "matched"}


def of_the_flow() -> set[str]:
    text = "\n".join(load("flows_quality").values())
    third = re.findall(r"(?:connector_id|NULL::smallint|NULL),\s+'([a-z_]+)',", text)
    return set(third) | set(re.findall(r"(?:THEN|ELSE) '([a-z]+_[a-z_]+)'", text))


def of_sessions() -> set[str]:
    _, flags = load("flows_sessions_store")["store_sessions"].split("array_remove(ARRAY[")
    return set(re.findall(r"THEN '([a-z_]+)'", flags.split("], NULL)")[0]))


def flagged_by_ingest() -> set[str]:
    lines = [
        line
        for path in (ROOT / "ingest").glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"flag|Instant\(|_beside\(", line)
    ]
    return set(re.findall(r'"([a-z_]+)"', "\n".join(lines))) - {"flags"}


def test_the_flags_of_ingest_are_all_known_here():
    assert flagged_by_ingest() | {"matched"} == READINGS | STATUSES | TRANSACTIONS


def test_the_kinds_are_read_from_the_queries():
    assert {"duplicate", "orphan_stop", "readings_after_stop", "clock_skew"} <= of_the_flow()
    assert {"gap", "delta_red", "inferred_end"} <= of_sessions()


@pytest.mark.parametrize("language", ["pt", "en"])
def test_every_kind_has_a_text(language):
    flags = {f"reading_{flag}" for flag in READINGS} | {f"status_{flag}" for flag in STATUSES}
    kinds = of_the_flow() | of_sessions() | flags | TRANSACTIONS

    assert {f"finding.{kind}" for kind in kinds} - texts(language).keys() == set()
