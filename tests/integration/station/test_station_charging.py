"""Charging profiles change what a simulated charge point gives."""

from tests.station_bench import LIMIT, bench, charging, status


async def test_a_charging_profile_takes_power_away_and_gives_it_back(central_system):
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await central_system.until_processed("MeterValues", 10)

        async def power_w(beyond):
            """The power and the offer of a reading so many frames from now."""
            count = len(central_system.payloads("MeterValues")) + beyond
            last = (await central_system.until_processed("MeterValues", count))[-1]
            samples = last["meterValue"][0]["sampledValue"]
            values = {it["measurand"]: float(it["value"]) for it in samples}
            return values["Power.Active.Import"], values["Power.Offered"]

        full, _ = await power_w(1)
        await central_system.call(
            "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": LIMIT}
        )
        limited = await power_w(5)
        schedule = await central_system.call(
            "GetCompositeSchedule", {"connectorId": 1, "duration": 600, "chargingRateUnit": "A"}
        )
        cleared = await central_system.call("ClearChargingProfile", {"id": 1})
        again, _ = await power_w(5)

    assert full > 45_000
    assert limited == (12_000, 12_000)
    assert schedule["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 20}
    ]
    assert cleared == {"status": "Accepted"}
    assert again > 45_000


async def test_a_limit_of_nothing_suspends(central_system):
    schedule = LIMIT["chargingSchedule"] | {
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}]
    }
    nothing = LIMIT | {"chargingSchedule": schedule}
    async with bench(central_system) as charge_point:
        charging(charge_point)
        await status(central_system, "Charging")
        await central_system.call(
            "SetChargingProfile", {"connectorId": 1, "csChargingProfiles": nothing}
        )
        await status(central_system, "SuspendedEVSE")
        await central_system.call("ClearChargingProfile", {})
        await status(central_system, "Charging")


async def test_profiles_that_do_not_suit_are_rejected(central_system):
    async def install(connector_id, **changes):
        profile = {**LIMIT, **changes}
        answer = await central_system.call(
            "SetChargingProfile", {"connectorId": connector_id, "csChargingProfiles": profile}
        )
        return answer["status"]

    async with bench(central_system):
        assert await install(9) == "Rejected"
        assert await install(1, stackLevel=11) == "Rejected"
        assert await install(1, chargingProfilePurpose="TxProfile") == "Rejected"
        assert await install(1, chargingProfilePurpose="ChargePointMaxProfile") == "Rejected"
        assert await install(0, chargingProfilePurpose="ChargePointMaxProfile") == "Accepted"
