"""What operators enter on the registry page, as the database has it afterwards."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import db, visitor
from dashboard.data import costs, operations
from tests.integration.test_dashboard_pages import opened, said


@pytest.fixture
def network(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with psycopg.connect(database_url) as conn:
        conn.execute("INSERT INTO charge_point (identity) VALUES ('CP')")
        conn.execute("INSERT INTO connector (charge_point_id, connector_id) VALUES (1, 1)")
    monkeypatch.setenv("ELETROPOSTO_DATABASE_URL", database_url)
    visitor.sign_in("ana", "operator")
    yield database_url
    db.close_all()
    st.cache_data.clear()


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        return conn.execute(query).fetchall()


def field(elements: Any, label: str) -> Any:
    return next(element for element in elements if element.label == label)


def press(page: AppTest, label: str = "Salvar") -> None:
    field(page.button, label).click().run()
    assert not page.exception


def test_a_tariff_is_entered_with_its_last_day_and_its_demand(monkeypatch, network):
    page = opened(monkeypatch, network, "registry", parte="tariffs")
    field(page.text_input, "Nome").set_value("Verde")
    field(page.selectbox, "Modalidade").set_value("verde")
    field(page.date_input, "Vale desde").set_value(date(2026, 1, 1))
    field(page.date_input, "Último dia (vazio = em aberto)").set_value(date(2026, 6, 30))
    field(page.number_input, "Demanda contratada (kW)").set_value(75.0)
    field(page.number_input, "Preço da demanda (R$/kW por mês)").set_value(31.5)
    field(page.number_input, "Fora ponta (R$/kWh)").set_value(0.6)

    press(page)

    assert rows(
        network,
        "SELECT name, consumer_group, valid_from, valid_to, contracted_demand_kw,"
        " demand_price_per_kw FROM tariff",
    ) == [("Verde", "A", date(2026, 1, 1), date(2026, 7, 1), 75, 31.5)]
    assert "30/06/2026" in said(page)


def test_a_new_price_ends_the_open_one_and_an_overlap_is_told(network):
    about = {"name": "x", "consumer_group": "B", "modality": "convencional"}
    prices = [{"posto": "fora_ponta", "price_per_kwh": 1}]
    operations.add_tariff({**about, "valid_from": "2026-01-01"}, prices)
    operations.add_tariff({**about, "valid_from": "2026-03-01"}, prices)

    frame = costs.tariffs()
    with pytest.raises(db.NoAnswer) as refused:
        operations.add_tariff({**about, "valid_from": "2026-02-01"}, prices)
    operations.end_tariff(2, date(2026, 12, 31))

    assert frame["valid_to"].tolist() == [None, date(2026, 2, 28)]
    assert "holds from 2026-01-01 to 2026-03-01" in refused.value.detail
    assert rows(network, "SELECT valid_to FROM tariff WHERE tariff_id = 2") == [(date(2027, 1, 1),)]


def test_a_tariff_goes_only_when_that_was_agreed_to(monkeypatch, network):
    operations.add_tariff(
        {"name": "x", "consumer_group": "B", "modality": "branca", "valid_from": "2026-01-01"},
        [{"posto": "fora_ponta", "price_per_kwh": 1}],
    )
    page = opened(monkeypatch, network, "registry", parte="tariffs")

    press(page, "Remover")
    assert rows(network, "SELECT count(*) FROM tariff") == [(1,)]
    page.button(key="confirm_agree").click().run()

    assert rows(network, "SELECT count(*) FROM tariff") == [(0,)]


def test_holidays_are_listed_and_removed(network):
    day = date(2026, 12, 25)
    operations.add_holiday(day, "Natal")
    listed = operations.holidays()
    operations.remove_holiday(day)

    assert listed.values.tolist() == [[day, "Natal"]]
    assert rows(network, "SELECT * FROM holiday") == []
    assert rows(network, "SELECT who, what FROM operation_log ORDER BY at") == [
        ("ana", "add_holiday"),
        ("ana", "remove_holiday"),
    ]


def test_a_vehicle_is_entered(monkeypatch, network):
    page = opened(monkeypatch, network, "registry", parte="vehicles")
    field(page.text_input, "Etiqueta (idTag)").set_value("bus-1")
    field(page.text_input, "Veículo").set_value("Ônibus 1")
    field(page.number_input, "Capacidade útil (kWh)").set_value(324.0)

    press(page)

    assert rows(network, "SELECT * FROM vehicle") == [("BUS-1", "Ônibus 1", 324_000, None)]
    page = opened(monkeypatch, network, "registry", parte="vehicles")
    assert not page.exception
    assert len(page.dataframe) == 1


def test_what_a_charger_does_not_tell_is_entered(network):
    operations.set_energy_factor("CP", 1000)
    operations.set_connector("CP", 1, "DC", 50_000)

    [(factor,)] = rows(network, "SELECT energy_factor FROM charge_point")
    assert factor == 1000
    known = operations.connectors_known("CP").iloc[0]
    assert (known["current_type"], known["rated_power_w"]) == ("DC", 50_000)


def test_a_charge_point_that_is_chosen_shows_its_equipment(monkeypatch, network):
    page = opened(monkeypatch, network, "registry", parte="points")
    page.session_state["points_table"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    page.run()
    field(page.number_input, "Fator da energia").set_value(1000.0)
    field(page.selectbox, "Corrente do conector 1").set_value("AC")
    field(page.number_input, "Potência nominal do conector 1 (kW)").set_value(7.4)

    page.button[-1].click().run()

    assert not page.exception
    assert rows(network, "SELECT energy_factor FROM charge_point") == [(1000,)]
    assert rows(network, "SELECT current_type, rated_power_w FROM connector") == [("AC", 7400)]


TAG = "SELECT status, alias, parent_id_tag, max_active, expiry_at FROM id_tag"


def kept_tag(url: str, tag: str, *values: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as conn:
        conn.execute(
            "INSERT INTO id_tag (id_tag, status, alias, parent_id_tag, max_active, expiry_at)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            [tag, *values],
        )
    return rows(url, TAG)


def test_a_tag_that_is_chosen_changes_in_nothing_but_what_was_entered(monkeypatch, network):
    expiry = datetime(2026, 12, 1, 15, tzinfo=UTC)
    [(_, *others)] = kept_tag(network, "TT", "Accepted", "tag-12 Maria", "FROTA", 5000, expiry)
    page = opened(monkeypatch, network, "registry", parte="tags")
    page.session_state["id_tags_table"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    page.run()
    field(page.selectbox, "Estado").set_value("Blocked")

    press(page)

    assert rows(network, TAG) == [("Blocked", *others)]


def test_another_last_day_holds_to_its_end(monkeypatch, network):
    kept_tag(network, "TT", "Accepted", None, None, None, datetime(2026, 12, 1, 15, tzinfo=UTC))
    page = opened(monkeypatch, network, "registry", parte="tags")
    page.session_state["id_tags_table"] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    page.run()
    field(page.date_input, "Vale até").set_value(date(2026, 12, 2))

    press(page)

    until = datetime(2026, 12, 3, 2, 59, 59, tzinfo=UTC)
    assert rows(network, TAG) == [("Accepted", None, None, None, until)]


def test_a_tag_that_is_known_is_not_unblocked_by_adding_it_again(monkeypatch, network):
    before = kept_tag(network, "04AABBCC", "Blocked", "Ladrao", "FROTA", 1, None)
    page = opened(monkeypatch, network, "registry", parte="tags")
    field(page.text_input, "Etiqueta (idTag)").set_value(" 04aabbcc")

    press(page)

    assert "já existe" in page.error[0].value
    with pytest.raises(db.NoAnswer):  # whatever the page did
        operations.save_id_tag("04aabbcc", "Accepted", None, "", None, "", is_new=True)
    assert rows(network, TAG) == before


def test_a_new_tag_is_entered(monkeypatch, network):
    page = opened(monkeypatch, network, "registry", parte="tags")
    field(page.text_input, "Etiqueta (idTag)").set_value("04CC")
    field(page.text_input, "Apelido").set_value("Ana")

    press(page)

    assert rows(network, TAG) == [("Accepted", "Ana", None, None, None)]


@pytest.mark.parametrize(
    ("part", "button"),
    [("tags", "Salvar"), ("vehicles", "Salvar"), ("holidays", "Acrescentar feriado")],
)
def test_what_is_missing_is_told_in_the_language_of_the_page(monkeypatch, network, part, button):
    page = opened(monkeypatch, network, "registry", parte=part)

    press(page, button)

    assert "recusou" not in said(page)
    assert page.error[0].value


@pytest.mark.parametrize("part", ["holidays", "vehicles", "tariffs", "points", "log"])
@pytest.mark.parametrize("language", ["pt", "en"])
def test_each_part_draws_with_and_without_rows(monkeypatch, network, part, language):
    page = opened(monkeypatch, network, "registry", parte=part, lang=language)
    assert not page.exception
    operations.add_holiday(date.today() - timedelta(days=1), "Ontem")
    operations.save_vehicle("T", "", None, 1.2)
    operations.add_tariff(
        {"name": "x", "consumer_group": "B", "modality": "branca", "valid_from": "2026-01-01"},
        [{"posto": "fora_ponta", "price_per_kwh": 1}],
    )

    page.run()

    assert not page.exception
