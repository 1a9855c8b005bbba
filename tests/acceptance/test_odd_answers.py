"""Answers to our CALLs that mean what they say, and are not written as the standard writes them."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.acceptance.network import Network
from tests.acceptance.operator_desk import Desk, eletroposto


@pytest.mark.parametrize("written", ["accepted", " Accepted ", "ACCEPTED"])
async def test_a_status_is_meant_however_it_is_written(network: Network, written: str) -> None:
    def agreeing(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {"status": written}

    async with network.charge_point(on_call=agreeing) as charge_point:
        identity = charge_point.charge_point_id
        payload = '{"connectorId": 1, "expiryDate": "2050-01-01T00:00:00Z", "idTag": "T",' \
            ' "reservationId": 7}'  # fmt: skip
        said = await eletroposto(network.database.info.dsn, "send", identity, "ReserveNow", payload)
    reservation = Desk(network.database).row(
        "SELECT * FROM report.reservation WHERE charge_point = %s", identity
    )
    assert (said.code, said.err) == (0, "")
    assert reservation["status"] == "active"


async def test_an_answer_without_its_status_is_no_yes(network: Network) -> None:
    def mute(action: str, payload: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    async with network.charge_point(on_call=mute) as charge_point:
        identity, dsn = charge_point.charge_point_id, network.database.info.dsn
        refused = await eletroposto(dsn, "send", identity, "ClearCache")
        needs_none = await eletroposto(dsn, "send", identity, "GetConfiguration")
    assert (refused.code, refused.out) == (1, "{}\n")
    assert "the answer has no status" in refused.err
    assert needs_none.code == 0
