"""The costs page: what demand costs, and where the factors of the CO2 estimate come from."""

from collections.abc import Iterator

import psycopg
import pytest
import streamlit as st

from dashboard import db
from tests.integration.test_dashboard_pages import opened, said


@pytest.fixture
def network(database_url: str) -> Iterator[str]:
    """A site of 30 kW contracted that drew 20 kW a moment ago, and 10 kWh of it today."""
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO charge_point (identity, site) VALUES ('CP', 'Garagem')")
        conn.execute("INSERT INTO site_demand VALUES (now(), 'Garagem', 5000, 1)")
        conn.execute(
            "INSERT INTO consumption_day (day, charge_point_id, connector_id, energy_wh, ponta_wh,"
            " intermediario_wh, fora_ponta_wh, unpriced_wh, sessions, attempts, plug_ins,"
            " plug_ins_served) VALUES (local_day(now()), 1, 1, 10000, 0, 0, 0, 10000, 1, 0, 1, 1)"
        )
    yield database_url
    db.close_all()
    st.cache_data.clear()


def test_the_cost_of_demand_is_shown_apart(monkeypatch, network):
    with psycopg.connect(network) as conn:
        conn.execute(
            "INSERT INTO tariff (name, consumer_group, modality, valid_from, author,"
            " contracted_demand_kw, demand_price_per_kw)"
            " VALUES ('Verde', 'A', 'verde', '2020-01-01', 'x', 30, 40)"
        )

    page = opened(monkeypatch, network, "costs", lang="en")

    assert not page.exception
    (table,) = [frame.value for frame in page.dataframe if "demand_cost" in frame.value.columns]
    assert table["demand_cost"].tolist() == [30 * 40]
    assert table["site"].tolist() == ["Garagem"]
    assert "costs above are those of energy alone" not in said(page)


def test_without_a_price_of_demand_the_page_says_what_costs_are(monkeypatch, network):
    page = opened(monkeypatch, network, "costs", lang="en")

    assert not page.exception
    assert "the costs above are those of energy alone" in said(page)


def test_the_estimate_names_the_sources_of_its_factors(monkeypatch, network):
    before = opened(monkeypatch, network, "costs", lang="en")
    assert "are missing, with source and year" in said(before)
    with psycopg.connect(network) as conn:
        for name, value in (
            ("grid_co2_kg_per_kwh", 0.05),
            ("combustion_co2_kg_per_km", 1.1),
            ("vehicle_consumption_kwh_per_km", 1.2),
        ):
            conn.execute(
                "SELECT report.set_setting(%s, %s, 'an invented one', 2026, 'x')", [name, value]
            )
    st.cache_data.clear()

    after = opened(monkeypatch, network, "costs", lang="en")

    assert not after.exception
    assert said(after).count("an invented one 2026") == 3
