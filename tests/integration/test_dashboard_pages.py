"""Every page, in both languages, over an empty, a seeded and an absent database."""

import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import db
from dashboard.data import sessions
from dashboard.i18n import LANGUAGES, Language, Words
from testbench.embedded import EmbeddedPostgres
from testbench.seed import ChargePoint, Plan, seed

APP = Path(__file__).parents[2] / "dashboard" / "app.py"
VIEWS = sorted(path.stem for path in (APP.parent / "views").glob("*.py") if path.stem != "__init__")
BELEM = ZoneInfo("America/Sao_Paulo")
# Nobody listens there.
NOWHERE = "host=127.0.0.1 port=1 dbname=x user=x"


@pytest.fixture(scope="module")
def seeded(
    postgres_server: EmbeddedPostgres, migrated_template: str
) -> Iterator[tuple[str, list[ChargePoint]]]:
    """A network of four charge points with twelve days behind it."""
    url = postgres_server.create_database("dashboard_seeded", template=migrated_template)
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    yield url, seed(url, Plan(until, charge_points=4, days=12, raw_days=12, sample_s=120))
    db.close_all()
    postgres_server.drop_database("dashboard_seeded")


@pytest.fixture(scope="module")
def empty(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """A database in which nothing has happened, for tests that only look."""
    yield postgres_server.create_database("dashboard_empty", template=migrated_template)
    db.close_all()
    postgres_server.drop_database("dashboard_empty")


@pytest.fixture(autouse=True)
def closed_pools() -> Iterator[None]:
    yield
    db.close_all()
    st.cache_data.clear()


def opened(
    monkeypatch: pytest.MonkeyPatch, url: str, view: str = "overview", **address: str
) -> AppTest:
    """A page as a browser would open it."""
    monkeypatch.delenv("ELETROPOSTO_DASHBOARD_USERS", raising=False)
    page = AppTest.from_file(str(APP), default_timeout=60)
    page.query_params.update(address)
    if view != "overview":
        # Only a run makes the pages known; without a database it costs little.
        monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", "")
        page.run().switch_page(f"views/{view}.py")
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", url)
    page.query_params.update(address)
    return page.run()


def said(page: AppTest) -> str:
    kinds = (page.info, page.warning, page.error, page.success, page.markdown, page.caption)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def metric(page: AppTest, label: str) -> str:
    return next(element.value for element in page.metric if element.label == label)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_page_draws_over_a_seeded_database(monkeypatch, seeded, view, language):
    url, made = seeded
    address = {"ponto": made[0].identity, "transacao": str(made[0].sessions[0].transaction_id)}

    page = opened(monkeypatch, url, view, lang=language, **address)

    assert not page.exception
    assert page.title[0].value == title(view, made[0], language)
    assert Words(language)("failure.away") not in said(page)
    assert not page.error


@pytest.mark.parametrize("view", VIEWS)
def test_a_page_draws_over_an_empty_database(monkeypatch, empty, view):
    page = opened(monkeypatch, empty, view)

    assert not page.exception
    assert page.title
    assert not page.error


def title(view: str, point: ChargePoint, language: Language) -> str:
    words = Words(language)
    if view == "station":
        return point.name
    if view == "session":
        return words("session.of", name=f"{point.name} · {point.sessions[0].connector_id}")
    return words(f"{view}.title")


def test_every_page_says_in_its_language_that_the_database_is_away(monkeypatch):
    """And says it quickly: one wait for all of them, not one for each question."""
    silent = []
    began = datetime.now(UTC)
    for view in VIEWS:
        for language in LANGUAGES:
            page = opened(monkeypatch, NOWHERE, view, lang=language, transacao="1", ponto="x")
            assert not page.exception, view
            text = said(page)
            if Words(language)("failure.away") not in text:
                silent.append((view, language, text[:200]))
            assert "psycopg" not in text and "Traceback" not in text

    assert silent == []
    assert datetime.now(UTC) - began < timedelta(seconds=60)


def test_the_first_run_says_how_to_begin(monkeypatch, empty):
    page = opened(monkeypatch, empty)

    assert Words("pt")("first.title") in said(page)
    assert "ws://" in page.code[0].value


def test_figures_of_the_period_are_those_of_the_sessions_sent(monkeypatch, seeded):
    """The sums are taken from what was seeded, reading by reading, not from the database."""
    url, made = seeded
    today = datetime.now(BELEM).date()
    first = today - timedelta(days=6)
    energy_wh, sessions = 0.0, 0
    for session in (session for point in made for session in point.sessions):
        sessions += session.started_at.astimezone(BELEM).date() >= first
        for before, after in zip(session.readings, session.readings[1:], strict=False):
            if before.at.astimezone(BELEM).date() >= first:
                energy_wh += after.energy_wh - before.energy_wh

    page = opened(monkeypatch, url, de=f"{first}", ate=f"{today}")

    shown = metric(page, "Energia").removesuffix(" kWh").replace(".", "")
    assert float(shown) == pytest.approx(energy_wh / 1000, abs=1)
    assert metric(page, "Sessões") == str(sessions)


def test_the_energy_of_a_session_is_the_one_its_meter_counted(monkeypatch, seeded):
    url, made = seeded
    session = next(one for one in made[1].sessions if not one.is_open)

    page = opened(monkeypatch, url, "session", transacao=str(session.transaction_id))

    counted = f"{session.energy_wh / 1000:.2f}".replace(".", ",")
    assert f"{counted} kWh" in "".join(element.proto.body for element in page.get("html"))


def test_a_running_session_says_until_when_its_figures_count(monkeypatch, seeded):
    url, made = seeded
    running = next(session for session in made[0].sessions if session.is_open)
    with psycopg.connect(url) as conn:
        [(until,)] = conn.execute(
            "SELECT started_at + duration_s * interval '1 s' FROM report.session"
            " WHERE transaction_id = %s",
            [running.transaction_id],
        ).fetchall()
    clock = f"{until.astimezone(BELEM):%H:%M}"

    page = opened(monkeypatch, url, "session", transacao=str(running.transaction_id))
    assert f"números até {clock}" in said(page)
    page = opened(monkeypatch, url, "sessions", estacao=made[0].identity)
    assert f"contam até {clock}" in said(page)


def test_nothing_is_compared_with_half_a_period(monkeypatch, seeded):
    """The network has twelve days: of the seven before these seven, five."""
    url, _ = seeded
    first = datetime.now(BELEM).date() - timedelta(days=6)

    page = opened(monkeypatch, url, de=str(first))
    assert not metrics_with_change(page)
    assert "Sem comparação com o período anterior" in said(page)

    page = opened(monkeypatch, url, de=str(first + timedelta(days=3)))
    assert "Energia" in metrics_with_change(page)
    assert "Sem comparação" not in said(page)


def metrics_with_change(page: AppTest) -> list[str]:
    return [one.label for one in page.metric if one.delta[:1] in ("+", "-")]


def test_the_live_strip_shows_what_charges_now(monkeypatch, seeded):
    url, made = seeded
    running = next(one for one in made[0].sessions if one.is_open)

    page = opened(monkeypatch, url)

    cards = "".join(element.proto.body for element in page.get("html"))
    assert "Charging" in cards
    assert f"{running.energy_wh / 1000:.1f}".replace(".", ",") + " kWh" in cards


def test_a_flow_that_stopped_makes_the_page_say_how_old_its_figures_are(monkeypatch, seeded):
    """Messages still come, so their age alone would look fresh."""
    url, _ = seeded
    with psycopg.connect(url) as conn:
        conn.execute(
            "UPDATE flow_watermark SET done_until = now() - INTERVAL '2 hours'"
            " WHERE flow = 'consumption'"
        )
    behind = opened(monkeypatch, url)
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE flow_watermark SET done_until = now()")
    st.cache_data.clear()
    fresh = opened(monkeypatch, url)

    assert re.search(r"red-badge.*consumo: calculado até", said(behind))
    assert "calculado até" not in said(fresh)
    assert "dados até" in said(fresh)


def test_a_cost_that_lacks_a_part_says_so(monkeypatch, seeded):
    url, _ = seeded
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE consumption_day SET unpriced_wh = 2000 WHERE charge_point_id = 1")
    page = opened(monkeypatch, url)
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE consumption_day SET unpriced_wh = 0")

    assert "sem tarifa" in next(each.delta for each in page.metric if each.label == "Custo")


def test_a_day_of_unknown_availability_is_a_gap_in_its_curve(monkeypatch, seeded):
    """Not a day at 0 %."""
    url, _ = seeded
    today = datetime.now(BELEM).date()

    page = opened(monkeypatch, url, de=f"{today - timedelta(days=13)}", ate=f"{today}")

    drawn = next(each.proto for each in page.metric if each.label == "Disponibilidade").chart_data
    assert len(drawn) == 14
    assert all(math.isnan(each) for each in drawn[:2])
    assert min(each for each in drawn if not math.isnan(each)) > 50


def test_what_is_faulted_or_silent_wants_attention(monkeypatch, seeded):
    url, made = seeded

    page = opened(monkeypatch, url)

    links = "\n".join(element.proto.label for element in page.get("page_link"))
    assert f"{made[3].name} · 1 – em falha" in links
    assert f"{made[2].name} – sem contato" in links


def test_a_link_restores_period_station_and_language(monkeypatch, seeded):
    url, made = seeded

    page = opened(
        monkeypatch, url, "sessions",
        lang="en", de="2026-01-02", ate="2026-01-05", estacao=made[1].identity,
    )  # fmt: skip

    assert page.title[0].value == "Sessions"
    assert str(page.date_input(key="de").value) == "2026-01-02"
    assert page.multiselect(key="estacao").value == [made[1].identity]


def test_an_empty_period_leads_to_the_nearest_data(monkeypatch, seeded):
    url, made = seeded
    last = max(one.started_at for point in made for one in point.sessions)
    tomorrow = last.astimezone(BELEM).date() + timedelta(days=40)

    page = opened(monkeypatch, url, "sessions", de=f"{tomorrow}", ate=f"{tomorrow}")
    assert f"Nada aconteceu de {tomorrow:%d/%m/%Y}" in said(page)
    page.button(key="nearest_earlier").click().run()

    assert page.date_input(key="de").value == last.astimezone(BELEM).date()


def test_filters_that_let_nothing_through_can_be_cleared(monkeypatch, seeded):
    url, _ = seeded

    page = opened(
        monkeypatch, url, "sessions", etiqueta="nobody", motivo="EmergencyStop", max_min="90"
    )
    assert "nobody" in said(page)
    assert "EmergencyStop" in said(page)
    assert "1 h 30 min" in said(page)
    page.button(key="clear_session_filters").click().run()

    assert page.dataframe


def test_reversed_dates_are_put_in_order_and_told(monkeypatch, seeded):
    url, _ = seeded
    today = datetime.now(BELEM).date()

    page = opened(monkeypatch, url, de=f"{today}", ate=f"{today - timedelta(days=3)}")

    assert Words("pt")("header.reversed") in said(page)
    assert not page.exception


@pytest.mark.parametrize(
    ("view", "address"),
    [
        ("session", {"transacao": "<script>alert(1)</script>"}),
        ("session", {"transacao": "99999999999999999999"}),
        ("session", {"transacao": "1; DROP TABLE session"}),
        ("session", {}),
        ("station", {"ponto": "' OR 1=1 --"}),
        ("station", {"ponto": "x" * 10_000}),
        ("sessions", {"de": "31/02/2026", "ate": "never", "estacao": "<img src=x>", "tipo": "%00"}),
        ("sessions", {"conector": "-1", "min_kwh": "NaN", "etiqueta": "'; --"}),
        ("consumption", {"passo": "century", "lang": "xx"}),
        ("registry", {"parte": "../../etc/passwd"}),
        ("operations", {"comando": "Explode", "ponto": "nobody"}),
        ("reports", {"mes": "2026-13"}),
        ("messages", {"acao": "x", "texto": "%' OR 1=1"}),
    ],
)
def test_nonsense_in_the_address_does_no_harm(monkeypatch, seeded, view, address):
    url, _ = seeded

    page = opened(monkeypatch, url, view, **address)

    assert not page.exception
    assert not page.error


def test_text_from_chargers_is_shown_letter_by_letter(monkeypatch, database_url):
    """Markup, Markdown and 10,000 characters in every text a charge point or a person sends."""
    hostile = "<script>alert(1)</script>![x](http://evil.example/x.png) :material/home: $x$"
    with psycopg.connect(database_url) as conn:
        seed_hostile(conn, hostile)

    for view in ("overview", "stations", "sessions", "registry"):
        page = opened(monkeypatch, database_url, view, parte="tags")
        assert not page.exception
        bodies = "".join(element.proto.body for element in page.get("html"))
        labels = "".join(element.proto.label for element in page.get("page_link"))
        assert "<script>alert" not in bodies
        assert "![x](http" not in said(page) + labels


def seed_hostile(conn: psycopg.Connection, text: str) -> None:
    conn.execute(
        "INSERT INTO charge_point (identity, name, vendor) VALUES ('CP', %s, %s)",
        [text, "v" * 10_000],
    )
    conn.execute(
        "INSERT INTO connector (charge_point_id, connector_id, status, status_at)"
        " SELECT charge_point_id, 1, 'Faulted', now() FROM charge_point"
    )
    conn.execute("INSERT INTO id_tag (id_tag, alias) VALUES (%s, %s)", ["<script>", text])


def test_a_session_without_soc_says_so(monkeypatch, seeded):
    url, made = seeded
    ac = next(one for one in made[0].sessions if one.connector_id == 2)

    page = opened(monkeypatch, url, "session", transacao=str(ac.transaction_id))

    assert "não informado" in "".join(element.proto.body for element in page.get("html"))


def test_a_session_tells_its_battery_its_visit_and_energy_of_intervals(monkeypatch, seeded):
    """What the flows know of few sessions is shown where they know it, and only there."""
    url, made = seeded
    first, other, plain = [one for one in made[1].sessions if one.connector_id == 1][:3]
    with psycopg.connect(url) as conn:
        conn.execute(
            "UPDATE session_soc SET pack_estimate_wh = 248000, efficiency = 0.913,"
            " is_extrapolated = true WHERE transaction_id = %s",
            [first.transaction_id],
        )
        conn.execute(
            "UPDATE session SET energy_source = 'interval' WHERE transaction_id = %s",
            [first.transaction_id],
        )
        conn.execute(
            "UPDATE session SET visit_id = %s WHERE transaction_id = %s",
            [first.transaction_id, other.transaction_id],
        )

    page = opened(monkeypatch, url, "session", transacao=str(first.transaction_id))
    facts = "".join(element.proto.body for element in page.get("html"))
    lone = opened(monkeypatch, url, "session", transacao=str(plain.transaction_id))
    lone_facts = "".join(element.proto.body for element in lone.get("html"))

    assert "≈ 248 kWh" in facts and "91,3 %" in facts and "extrapolado" in facts
    assert re.search(r"intervalos ✓</dt><dd>[\d.,]+ kWh", facts)
    whole = (first.energy_wh + other.energy_wh) / 1000
    assert f"Parte 1 de 2 da mesma conexão do cabo, que somou {whole:.2f}".replace(
        ".", ","
    ) in said(page)
    assert "≈" not in lone_facts and "intervalos" not in lone_facts
    assert "mesma conexão" not in said(lone)


def test_without_a_tariff_there_is_no_cost_and_no_zero(monkeypatch, database_url):
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP')")

    page = opened(monkeypatch, database_url)

    assert metric(page, "Custo") == "—"
    assert metric(page, "Energia") == "—"


def test_the_last_known_data_stay_when_the_database_goes_away(monkeypatch, postgres_server,
                                                              migrated_template):  # fmt: skip
    """With their age, and a way to try again."""
    name = "dashboard_going"
    url = postgres_server.create_database(name, template=migrated_template)
    until = datetime.now(UTC).replace(second=0, microsecond=0)
    seed(url, Plan(until, charge_points=1, days=3, raw_days=3, sample_s=300))
    page = opened(monkeypatch, url)
    energy = metric(page, "Energia")

    postgres_server.drop_database(name)
    st.cache_data.clear()
    page.run()

    assert not page.exception
    assert metric(page, "Energia") == energy
    assert "últimos dados conhecidos" in said(page)
    assert page.button(key="retry_kept")


def test_the_figures_of_a_month_do_not_wait_for_its_sessions(monkeypatch, seeded):
    """The sessions of a month are many; only its report needs them, and only when asked for."""
    url, _ = seeded
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE session IN ACCESS EXCLUSIVE MODE")
        page = opened(monkeypatch, url, "reports")

    assert not page.exception
    assert Words("pt")("failure.slow") not in said(page)
    assert "kWh" in "".join(element.proto.body for element in page.get("html"))


def test_a_slow_question_costs_its_card_only(monkeypatch, seeded, postgres_server):
    """Somebody holds a lock on the tariffs: the page stands, the card says why it is empty."""
    url, _ = seeded
    with psycopg.connect(url) as holder:
        holder.execute("LOCK TABLE tariff IN ACCESS EXCLUSIVE MODE")
        page = opened(monkeypatch, url, "costs")

    assert not page.exception
    assert Words("pt")("failure.slow") in said(page)
    assert page.dataframe


def test_the_page_of_a_station_has_the_period_of_its_address_and_shows_it(monkeypatch, seeded):
    url, made = seeded
    last = max(one.started_at for one in made[1].sessions).astimezone(BELEM).date()

    page = opened(
        monkeypatch, url, "station", ponto=made[1].identity, de="2026-01-02", ate="2026-01-05"
    )
    assert str(page.date_input(key="de").value) == "2026-01-02"
    assert "Nada aconteceu de 02/01/2026" in said(page)
    assert not page.multiselect  # it is about one station
    page.button(key="nearest_later").click().run()

    assert page.date_input(key="de").value <= last
    assert "Nada aconteceu" not in said(page)


def test_every_reading_of_a_session_can_be_had_and_not_only_its_curve(monkeypatch, seeded):
    url, made = seeded
    session = next(one for one in made[1].sessions if not one.is_open)
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", url)
    span = sessions.Span(
        made[1].identity, session.connector_id, session.transaction_id, session.started_at,
        session.ended_at,
    )  # fmt: skip

    frame = sessions.readings(span)

    inside = [one for one in session.stored if one.at <= session.ended_at]
    assert len(frame) == len(inside)
    assert frame["power_w"].max() == pytest.approx(max(one.power_w for one in inside), rel=1e-4)
