"""The dashboard in a real browser: what a person sees, clicks, downloads, and what leaves."""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pandas as pd
import psycopg
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from dashboard import users
from dashboard.formats import ZONE
from testbench.embedded import EmbeddedPostgres
from testbench.seed import ChargePoint, Plan, seed
from tests.acceptance.dashboard_server import (
    ARGUMENTS,
    CHROMIUM,
    Dashboard,
    Watched,
    install_chromium,
)
from tests.acceptance.issuer import CLIENT, SECRET, Issuer, running
from tests.waiting import wait_until

PAGES = (
    "/", "/estacoes", "/sessoes", "/consumo", "/disponibilidade", "/custos", "/relatorios",
    "/qualidade", "/mensagens", "/sobre", "/operacoes", "/cadastros",
)  # fmt: skip
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
MOST_BYTES = 1_000_000
WIDE: ViewportSize = {"width": 1366, "height": 768}
NARROW = {"width": 390, "height": 844}
FITS = "document.querySelector('[data-testid=stMain]').scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def seeded(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[tuple[str, list[ChargePoint]]]:
    url = postgres_server.create_database("dashboard_browser", template=migrated_template)
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    yield url, seed(url, Plan(until, charge_points=3, days=10, raw_days=10, sample_s=60))
    postgres_server.drop_database("dashboard_browser")


@pytest.fixture(scope="module")
def dashboard(seeded, tmp_path_factory) -> Iterator[Dashboard]:
    url, _ = seeded
    server = Dashboard(url, tmp_path_factory.mktemp("dashboard") / "log")
    server.start()
    yield server
    server.stop()
    assert "Traceback" not in server.log, server.log


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    install_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def watched(dashboard: Dashboard) -> Iterator[Watched]:
    """Whatever a test looks at: nothing leaves the machine, nothing breaks in the browser."""
    watching = Watched(dashboard.url)
    yield watching
    assert watching.outside == []
    assert watching.complaints == []


@pytest.fixture
def page(chromium: Browser, watched: Watched) -> Iterator[Page]:
    context = chromium.new_context(viewport=WIDE, accept_downloads=True)
    context.set_default_timeout(PATIENCE_MS)
    opened = context.new_page()
    watched.watch(opened)
    yield opened
    context.close()


def settled(page: Page) -> None:
    """Until the script of the page has run to its end."""
    page.wait_for_selector("h1")
    expect(page.get_by_test_id("stApp")).to_have_attribute(
        "data-test-script-state", re.compile("notRunning|initial")
    )


def test_every_page_draws_sends_less_than_a_megabyte_and_fits_a_narrow_screen(
    page, dashboard, watched, seeded
):
    _, made = seeded
    session = next(one for one in made[0].sessions if not one.is_open)
    details = (f"/estacao?ponto={made[0].identity}", f"/sessao?transacao={session.transaction_id}")
    for path in (*PAGES, *details):
        watched.received.clear()
        page.set_viewport_size(WIDE)
        page.goto(dashboard.url + path)
        settled(page)
        assert sum(watched.received.values()) < MOST_BYTES, path
        assert page.get_by_test_id("stException").count() == 0, path
        page.set_viewport_size(NARROW)
        wait_until(lambda: page.evaluate(FITS), f"{path} scrolls sideways")


def test_one_walks_through_the_pages_and_back(page, dashboard):
    page.goto(dashboard.url + "/?de=2026-11-01")
    settled(page)

    page.get_by_role("link", name="Sessões", exact=True).click()
    expect(page.locator("h1")).to_have_text("Sessões")
    page.get_by_role("link", name="Custos e CO₂").click()
    expect(page.locator("h1")).to_have_text("Custos e CO₂")
    back_to(page, "/sessoes")

    expect(page.locator("h1")).to_have_text("Sessões")


def test_the_period_goes_along_from_page_to_page(page, dashboard):
    page.goto(dashboard.url + "/sessoes?de=2026-01-02&ate=2026-01-05&lang=en")
    settled(page)
    page.get_by_test_id("stDateInput").first.wait_for()

    page.get_by_role("link", name="Stations", exact=True).click()

    expect(page.locator("h1")).to_have_text("Stations")
    expect(page).to_have_url(re.compile("de=2026-01-02"))
    expect(page).to_have_url(re.compile("lang=en"))


def test_a_link_shows_what_its_sender_saw(page, dashboard, seeded):
    _, made = seeded
    page.goto(f"{dashboard.url}/sessoes?lang=en&estacao={made[1].identity}")
    settled(page)

    expect(page.locator("h1")).to_have_text("Sessions")
    expect(page.get_by_test_id("stMultiSelect")).to_contain_text(made[1].name)


def test_a_bar_of_figure_4_leads_to_its_session(page, dashboard):
    page.goto(f"{dashboard.url}/sessoes")
    settled(page)

    pick_bar(page, "figure4")

    expect(page.locator("h1")).to_contain_text("Sessão ·")
    expect(page.get_by_text("Curvas", exact=True)).to_be_visible()
    assert "transacao=" in page.url


@pytest.mark.parametrize("lang", ["pt", "en"])
def test_a_row_or_a_bar_leads_on_in_the_language_and_period_of_the_reader(
    page, dashboard, seeded, lang
):
    """Every place that leads to another page by a choice in it."""
    _, made = seeded
    kept = {"de": [str(datetime.now(ZONE).date() - timedelta(days=6))]}
    kept |= {"lang": ["en"]} if lang == "en" else {}
    station = f"estacao?ponto={made[0].identity}&"
    session = "Sessão ·" if lang == "pt" else "Session ·"
    for path, choose, place, title in (
        ("estacoes?", pick_row, "stations_table", "Eletroposto 0"),
        ("sessoes?", pick_row, "sessions_table", session),
        ("sessoes?", pick_bar, "figure4", session),
        (station, pick_row, "station_sessions", session),
        (station, pick_bar, "station_bars", session),
    ):
        page.goto(f"{dashboard.url}/{path}{urlencode(kept, doseq=True)}")
        settled(page)
        choose(page, place)
        expect(page.locator("h1")).to_contain_text(title)
        settled(page)
        found = parse_qs(urlsplit(page.url).query)
        assert {name: found[name] for name in found if name in ("de", "lang")} == kept, path


@pytest.mark.parametrize("lang", ["pt", "en"])
def test_a_finding_leads_to_the_sessions_of_its_day(page, dashboard, seeded, lang):
    url, _ = seeded
    with psycopg.connect(url) as conn:
        ((day, charge_point),) = conn.execute(
            "SELECT day, charge_point FROM report.quality_finding LIMIT 1"
        ).fetchall()
    since = day - timedelta(days=1)
    page.goto(f"{dashboard.url}/qualidade?lang={lang}&estacao={charge_point}&de={since}&ate={day}")
    settled(page)

    pick_row(page, "findings_table")

    expect(page.locator("h1")).to_have_text("Sessões" if lang == "pt" else "Sessions")
    expect(page).to_have_url(re.compile(f"de={day}"))
    expect(page).to_have_url(re.compile(f"estacao={charge_point}"))


def pick_row(page: Page, table: str) -> None:
    """Tick the first row: a table is a picture, its rows are places in it."""
    grid = page.locator(f".st-key-{table}").get_by_test_id("stDataFrame")
    grid.scroll_into_view_if_needed()
    grid.click(position={"x": 14, "y": 52})


def pick_bar(page: Page, chart: str) -> None:
    bar = page.locator(f".st-key-{chart} .barlayer .point path").first
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] - 2)


def test_going_back_shows_what_one_saw(page, dashboard):
    """Whoever came by the menu, which names no period, comes back to theirs."""
    page.goto(dashboard.url + "/estacoes?de=2026-01-02&ate=2026-01-05&lang=en")
    settled(page)
    page.get_by_role("link", name="Sessions", exact=True).click()
    expect(page).to_have_url(re.compile(r"/sessoes\?.*lang=en"))
    settled(page)
    back_to(page, "/estacoes")

    expect(page.locator("h1")).to_have_text("Stations")
    expect(page).to_have_url(re.compile("de=2026-01-02"))


def back_to(page: Page, path: str) -> None:
    """Go back, and once more where the browser notes the menu's bare address and then ours.

    What the bare address shows is what the other does.
    """
    for _ in range(2):
        shown = page.locator("[data-testid=stDateInput] input").first.input_value()
        left = urlsplit(page.url).path
        page.go_back()
        settled(page)
        if path in page.url:
            return
        assert urlsplit(page.url).path == left
        dates = page.locator("[data-testid=stDateInput] input")
        expect(dates.first).to_have_value(shown)
    raise AssertionError(f"no way back to {path}: {page.url}")


def test_a_link_that_cannot_be_followed_says_so(page, dashboard):
    for asked in ("estacao=NOPE", "de=2026-13-45", "ate=9999-12-31", "lang=fr", "tipo=none"):
        page.goto(f"{dashboard.url}/sessoes?{asked}")

        expect(page.get_by_test_id("stAlert").filter(has_text=asked)).to_be_visible(timeout=20_000)


def test_the_live_card_follows_the_meter(page, dashboard, seeded):
    """Nobody touches the page: a reading is stored, and the card shows it."""
    url, made = seeded
    running = next(session for session in made[0].sessions if session.is_open)
    page.goto(dashboard.url)
    settled(page)
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO meter_value (sampled_at, charge_point_id, connector_id, context,"
            " transaction_id, energy_wh, power_w) VALUES (now(), %s, 1, 0, %s, %s, 43210)",
            [made[0].charge_point_id, running.transaction_id, running.meter_start_wh + 98_765],
        )

    expect(page.get_by_text("98,8 kWh")).to_be_visible(timeout=15_000)
    expect(page.get_by_text("43,2 kW", exact=True)).to_be_visible()


def test_what_is_downloaded_is_what_is_on_the_screen(page, dashboard, seeded):
    """Every form reopens with the sessions that were seeded, and their energy."""
    _, made = seeded
    energies = sorted(
        round(one.energy_wh) for point in made for one in point.sessions if not one.is_open
    )
    page.set_viewport_size({"width": 1366, "height": 1700})  # the menu opens at the page's foot
    page.goto(f"{dashboard.url}/sessoes")
    settled(page)
    page.get_by_role("button", name="Baixar").click()

    for name, read, column, ended, factor in (
        ("CSV para Excel", brazilian, "Energia (kWh)", "Fim", 1000),
        ("CSV internacional", pd.read_csv, "energy_wh", "stopped_at", 1),
        ("Planilha XLSX", pd.read_excel, "Energia (kWh)", "Fim", 1000),
        ("Parquet", pd.read_parquet, "energy_wh", "stopped_at", 1),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        frame = read(io.BytesIO(Path(download.value.path()).read_bytes()))
        found = frame[frame[ended].notna()][column] * factor
        assert sorted(found.round().astype(int)) == energies, name


def brazilian(file: io.BytesIO) -> pd.DataFrame:
    return pd.read_csv(file, sep=";", decimal=",", encoding="utf-8-sig")


def test_a_keyboard_is_enough(page, dashboard, seeded):
    """The menu, the period, a command, and the question before it."""
    url, made = seeded
    page.goto(dashboard.url + "/estacoes")
    settled(page)
    tab_to(page, "a", "Sessões")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Sessões")
    settled(page)
    tab_to(page, "button", "30 dias")
    page.keyboard.press("Enter")
    page.get_by_role("menuitem").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"\bde="))

    page.goto(f"{dashboard.url}/operacoes?comando=Reset&ponto={made[1].identity}")
    settled(page)
    tab_to(page, "button", "Enviar")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text(made[1].identity)
    tab_to(page, "button", "Enviar agora")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)

    with psycopg.connect(url) as conn:
        found = conn.execute("SELECT action, payload FROM command").fetchall()
    assert found == [("Reset", {"type": "Soft"})]


def tab_to(page: Page, tag: str, text: str) -> None:
    """Press Tab until the focus is there; fail where it never comes."""
    for _ in range(120):
        page.keyboard.press("Tab")
        at = page.evaluate("[document.activeElement.tagName, document.activeElement.innerText]")
        if at[0].lower() == tag and text in str(at[1]).splitlines():
            return
    raise AssertionError(f"no way to {text} by Tab")


def test_the_dark_page_can_be_read(chromium, dashboard, watched):
    context = chromium.new_context(color_scheme="dark", viewport=WIDE)
    context.set_default_timeout(PATIENCE_MS)
    dark = context.new_page()
    watched.watch(dark)
    dark.goto(dashboard.url)
    settled(dark)
    dark.locator(".js-plotly-plot .xtick text").first.wait_for()

    paper = colour(dark, "[data-testid=stApp]", "backgroundColor")
    assert max(paper) < 60
    for selector, kind in (
        ("h1", "color"),
        ("[data-testid=stMetricValue]", "color"),
        (".js-plotly-plot .xtick text", "fill"),
    ):
        assert contrast(colour(dark, selector, kind), paper) >= 4.5, selector
    context.close()


def colour(page: Page, selector: str, kind: str) -> tuple[int, ...]:
    script = "([selector, kind]) => getComputedStyle(document.querySelector(selector))[kind]"
    found = re.findall(r"[\d.]+", page.evaluate(script, [selector, kind]))
    return tuple(int(float(part)) for part in found[:3])


def contrast(one: tuple[int, ...], other: tuple[int, ...]) -> float:
    """As WCAG 2 counts it."""

    def light(colour: tuple[int, ...]) -> float:
        parts = [part / 255 for part in colour]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(
            weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True)
        )

    brighter, darker = sorted((light(one), light(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_who_arrives_sees_places_that_fill(page, dashboard, seeded):
    """Somebody holds a table: the page says that it is at work, and goes on after."""
    url, _ = seeded
    page.goto(dashboard.url + "/estacoes?de=2026-02-03")  # what no test asked before
    settled(page)
    with psycopg.connect(url) as conn:
        conn.execute("LOCK TABLE session")
        page.get_by_role("link", name="Sessões", exact=True).click()
        expect(page.get_by_test_id("stSkeletonElement").first).to_be_visible(timeout=10_000)
        conn.rollback()

    settled(page)
    expect(page.get_by_test_id("stSkeletonElement")).to_have_count(0)
    page.locator(".barlayer .point path").first.wait_for(state="attached")


def test_people_sign_in_and_see_what_their_role_allows(chromium, seeded, tmp_path):
    url, _ = seeded
    file = tmp_path / "users"
    file.write_text(users.line("vera", "viewer", "right horse"))
    server = Dashboard(url, tmp_path / "log", {"ELETROPOSTO_DASHBOARD_USERS": str(file)})
    server.start()
    context = chromium.new_context(locale="pt-BR")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    try:
        page.goto(f"{server.url}/operacoes")
        page.get_by_role("link", name="Entrar").click()
        sign_in(page, "vera", "wrong")
        expect(page.get_by_role("alert")).to_have_text("Usuário ou senha não conferem.")
        sign_in(page, "vera", "right horse")

        expect(page.locator("h1")).to_have_text("Operações")
        expect(page.get_by_text("Esta página é para o papel operação")).to_be_visible()
        assert page.get_by_role("link", name="Mensagens OCPP").count() == 0
        [cookie] = [one for one in context.cookies() if one["name"] == "eletroposto_session"]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax"
        page.get_by_role("link", name="Sair").click()
        page.wait_for_url("**/entrar")
        page.goto(server.url)
        expect(page.get_by_text("Entre para ver o painel.")).to_be_visible()
    finally:
        context.close()
        server.stop()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running() as made:
        yield made


@pytest.fixture
def guarded(seeded, issuer, tmp_path) -> Iterator[Dashboard]:
    """For every machine, with OpenID Connect as the settings say, started in another folder."""
    secrets = tmp_path / ".streamlit/secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text(
        f"""[auth]
        redirect_uri = "http://127.0.0.1:{{port}}/oauth2callback"
        cookie_secret = "only the dashboard knows"
        client_id = "{CLIENT}"
        client_secret = "{SECRET}"
        server_metadata_url = "{issuer.url}/.well-known/openid-configuration"
        """
    )
    server = Dashboard(seeded[0], tmp_path / "log", host="0.0.0.0", folder=tmp_path)
    server.start()
    yield server
    server.stop()


def test_openid_connect_guards_a_dashboard_that_others_can_reach(chromium, guarded, issuer):
    context = chromium.new_context(locale="pt-BR")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    enter = page.get_by_role("button", name="Entrar")
    page.goto(guarded.url + "/operacoes")
    expect(page.get_by_text("Entre para ver o painel.")).to_be_visible()
    assert page.get_by_test_id("stMetric").count() == 0
    assert page.get_by_role("link", name="Operações").count() == 0

    issuer.claims = {"sub": "1", "email": "ana@example.org", "eletroposto_role": ["operator"]}
    enter.click()
    expect(page.locator("h1")).to_have_text("Visão geral")
    expect(page.get_by_text("ana@example.org")).to_be_visible()
    expect(page.get_by_role("link", name="Operações")).to_be_visible()
    page.get_by_role("button", name="Sair").click()
    expect(page.get_by_text("Entre para ver o painel.")).to_be_visible()

    issuer.claims = {"sub": "2", "email": "vera@example.org"}
    enter.click()
    expect(page.get_by_text("vera@example.org")).to_be_visible()
    expect(page.get_by_role("link", name="Sessões", exact=True)).to_be_visible()
    assert page.get_by_role("link", name="Operações").count() == 0
    context.close()


def sign_in(page: Page, name: str, password: str) -> None:
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(password)
    page.get_by_role("button", name="Entrar").click()
