"""From the Operations page to a charge point and back."""

from playwright.async_api import async_playwright

from tests.acceptance.dashboard_server import ARGUMENTS, CHROMIUM, Dashboard, install_chromium
from tests.acceptance.network import Network
from tests.acceptance.operator_desk import simulated

PATIENCE_MS = 30_000
# The table is painted on a canvas; what it holds is also there for screen readers.
ANSWERED = """identity => [...document.querySelectorAll('[data-testid=stDataFrame] [role=row]')]
    .some(row => row.textContent.includes(identity) && row.textContent.includes('respondido'))"""

UNLOCKED = """() => [...document.querySelectorAll('[data-testid=stDataFrame] [role=row]')]
    .some(row => row.textContent.includes('UnlockConnector')
        && row.textContent.includes('Unlocked'))"""


async def test_a_command_goes_from_the_page_to_the_charge_point_and_back(
    network: Network, tmp_path
) -> None:
    """Operations page, database, central system, simulated charge point, and the answer shown."""
    install_chromium()
    identity = network.new_identity()
    server = Dashboard(network.database_url, tmp_path / "log")
    server.start()
    try:
        async with simulated(network.url, identity), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            page = await browser.new_page()
            page.set_default_timeout(PATIENCE_MS)
            await page.goto(f"{server.url}/operacoes?ponto={identity}&comando=GetLocalListVersion")
            await page.get_by_role("button", name="Enviar").click()
            table = page.get_by_test_id("stDataFrame")
            await table.wait_for()
            await page.wait_for_function(ANSWERED, arg=identity)

            await page.goto(f"{server.url}/operacoes?ponto={identity}&comando=UnlockConnector")
            await page.get_by_role("button", name="Enviar").click()
            question = page.get_by_role("dialog")
            await question.get_by_text(identity).wait_for()
            assert len(network.rows("command", identity)) == 1  # not before somebody agreed
            await question.get_by_role("button", name="Enviar agora").click()
            await question.wait_for(state="detached")
            await page.wait_for_function(UNLOCKED)
            await browser.close()
    finally:
        server.stop()

    commands = network.rows("command", identity)
    assert [(command["action"], command["status"]) for command in commands] == [
        ("GetLocalListVersion", "answered"),
        ("UnlockConnector", "answered"),
    ]
    assert {command["requested_by"] for command in commands} == {"dashboard"}
