"""The stand-in answers questions about history as DOJOT 0.7 does.

Each test names the section of docs/dojot-contract.md.
"""

import httpx
import pytest

from testbench.dojot import StandIn, running
from testbench.embedded import host
from tests.dojot_client import history, log_in, make_device, now_ms, send, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_one_name_is_a_list_and_several_are_an_object(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract section 5: list versus object, both forms of ts, JSON types kept."""
    now = now_ms()
    await send(dojot, "d1", {"power": 7.25, "timestamp": now}, {"on": True, "timestamp": now + 271})
    one = (await history(api, "d1", "attr=power")).json()
    both = (await history(api, "d1", "attr=power,on")).json()
    repeated = (await history(api, "d1", "attr=power&attr=on")).json()

    second = text_of(now)
    expected = {"attr": "power", "value": 7.25, "device_id": "d1", "ts": second, "metadata": {}}
    assert one == [expected]
    assert both == repeated
    assert both["power"] == one
    assert both["on"][0]["value"] is True
    assert both["on"][0]["ts"] == second.replace("Z", ".271000Z")


async def test_an_escaped_comma_is_part_of_a_name(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: only bare commas separate, and only where a name is first mentioned."""
    await send(dojot, "d1", {"a": 1, "b": 2, "a,b": 3})

    async def names(query: str) -> list[str]:
        found = (await history(api, "d1", query)).json()
        return list(found) if isinstance(found, dict) else [entry["attr"] for entry in found]

    assert await names("attr=a,b") == await names("attr=a&attr=b") == ["a", "b"]
    assert await names("attr=a%2Cb") == ["a,b"]
    assert await names("attr=a&attr=a,b") == ["a", "a,b"]
    assert await names("attr=a,b&attr=a%2Cb") == ["a", "b", "a,b"]
    missing = await history(api, "d1", "attr=b%2Ca")
    assert (missing.status_code, missing.json()["title"]) == (404, "Attr not found")
    assert (await history(api, "d1", "attr=a&firstN=1&firstN=2")).status_code == 500


async def test_a_request_line_has_4094_bytes(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: gunicorn refuses a longer one; the gateway's /history is not in it."""
    await send(dojot, "d1", {"a": 1})
    room = 4094 - len("GET /device/d1/history?attr=a& HTTP/1.1")

    fits = await history(api, "d1", "attr=a&" + "x" * room)
    too_long = await history(api, "d1", "attr=a&" + "x" * (room + 1))

    assert fits.status_code == 200
    assert too_long.status_code == 400
    assert not too_long.headers["content-type"].startswith("application/json")


async def test_404_is_for_one_name_only(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: 404 for a single attribute without rows, 200 with empty lists else."""
    await send(dojot, "d1", {"power": 1})
    unknown_device = await history(api, "d2", "attr=power,on")
    one = await history(api, "d1", "attr=other")
    several = await history(api, "d1", "attr=other,more")

    assert (unknown_device.status_code, unknown_device.json()["title"]) == (404, "Device not found")
    assert (one.status_code, one.json()["title"]) == (404, "Attr not found")
    assert (several.status_code, several.json()) == (200, {"other": [], "more": []})


async def test_limits_count_per_attribute(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: firstN ascends, lastN and hLimit descend, 0 and none mean all."""
    now = now_ms()
    await send(dojot, "d1", *({"a": n, "b": -n, "timestamp": now + n} for n in range(5)), {"c": 1})

    async def values(query: str) -> list[int]:
        found = (await history(api, "d1", f"attr=a,b&{query}")).json()
        assert [entry["value"] for entry in found["b"]] == [-e["value"] for e in found["a"]]
        return [entry["value"] for entry in found["a"]]

    assert await values("firstN=2&lastN=1") == [0, 1]
    assert await values("lastN=2&hLimit=1") == [4, 3]
    assert await values("hLimit=-2") == [4, 3]
    assert await values("") == await values("lastN=0") == [4, 3, 2, 1, 0]
    wrong = await history(api, "d1", "attr=a&lastN=x")
    assert (wrong.status_code, wrong.json()["description"]) == (
        400,
        'The "lastN" parameter is invalid. Must be integer.',
    )


async def test_windows_are_inclusive_and_a_bare_plus_is_a_trap(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract section 5: both ends count; + becomes a space and the time is misread."""
    now = now_ms()
    await send(dojot, "d1", *({"a": n, "timestamp": now + 1000 * n} for n in range(4)))
    window = f"dateFrom={text_of(now + 1000)}&dateTo={text_of(now + 2000)}"
    with_plus = window.replace("Z", "+23:59")  # 23:59 o'clock, as the space lets it be read
    inside = await history(api, "d1", f"attr=a&{window}")
    misread = await history(api, "d1", f"attr=a&{with_plus}")
    epoch = await history(api, "d1", f"attr=a&dateFrom={now}")

    assert [entry["value"] for entry in inside.json()] == [2, 1]
    assert misread.status_code == 404
    assert epoch.status_code == 500
    assert not epoch.headers["content-type"].startswith("application/json")


async def test_all_attributes_are_those_of_the_templates(
    dojot: StandIn, api: httpx.AsyncClient
) -> None:
    """Contract sections 4b and 5: others are stored, yet missing; a deleted device is a 500."""
    device_id = (await make_device(api))["id"]
    await send(dojot, device_id, {"power": 1, "extra": 2, "reset": " "})
    everything = (await history(api, device_id, "")).json()
    by_name = (await history(api, device_id, "attr=extra")).json()
    await api.delete(f"/device/{device_id}")
    deleted = await history(api, device_id, "")
    still_there = await history(api, device_id, "attr=extra")

    assert set(everything) == {"power", "vendor", "reset", "key"}
    assert (len(everything["power"]), everything["vendor"], everything["reset"]) == (1, [], [])
    assert [entry["value"] for entry in by_name] == [2]
    assert deleted.status_code == 500
    assert still_there.status_code == 200


async def test_csv_by_accept(dojot: StandIn, api: httpx.AsyncClient) -> None:
    """Contract section 5: CSV that calls itself JSON; other kinds are 406."""
    now = now_ms()
    await send(dojot, "d1", {"a": 1, "timestamp": now})
    path = "/history/device/d1/history?attr=a"
    as_csv = await api.get(path, headers={"accept": "text/csv"})
    as_xml = await api.get(path, headers={"accept": "text/xml"})

    assert as_csv.text.splitlines() == ["attr,value,device_id,ts", f"a,1,d1,{text_of(now)}"]
    assert as_csv.headers["content-type"] == "application/json"
    assert as_xml.status_code == 406


async def test_history_survives_a_restart_of_the_stand_in() -> None:
    with host.temporary_folder() as folder:
        database = str(folder / "dojot.sqlite")
        async with running(folder / "broker", database=database) as first:
            await send(first, "d1", {"a": 1})
        async with (
            running(folder / "broker", database=database) as second,
            httpx.AsyncClient(base_url=second.url) as client,
        ):
            token = (await log_in(client)).json()["jwt"]
            client.headers["Authorization"] = f"Bearer {token}"
            found = await history(client, "d1", "attr=a")

    assert [entry["value"] for entry in found.json()] == [1]
