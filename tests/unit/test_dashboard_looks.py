"""Figures say what they show: scales, names, inks that can be read."""

import json
from datetime import date

import numpy as np
import pandas as pd
import pytest

from dashboard import blocks, evidence, formats
from dashboard.blocks import Column
from dashboard.charts import costs, energy, places, states, style
from dashboard.i18n import Words

PT, EN = Words("pt"), Words("en")
MONTHS = [date(2026, 10, 1), date(2026, 11, 1), date(2026, 11, 1)]


@pytest.mark.parametrize("percent", np.linspace(80, 100, 81))
def test_a_cell_of_the_matrix_can_be_read(percent):
    """WCAG AA asks for 4.5 to 1."""
    ground = states.shade(percent)

    assert style.contrast(style.rgb(style.ink(ground)), ground) >= 4.5


def test_contrast_is_that_of_wcag():
    assert style.contrast((255, 255, 255), (0, 0, 0)) == pytest.approx(21)
    assert style.contrast(style.rgb("#777777"), (255, 255, 255)) == pytest.approx(4.48, abs=0.01)


def test_the_shades_are_those_of_the_heatmap():
    assert states.shade(90) == states.shade(3) == style.rgb("#b8433a")
    assert states.shade(97) == style.rgb("#d9a22b")
    assert states.shade(100) == style.rgb("#2a8f6d")


def test_every_known_cell_of_the_matrix_is_written():
    frame = pd.DataFrame(
        {"name": ["A", "A", "B"], "month": MONTHS,
         "technical_percent": [96.5, 100.0, 99.0]}
    )  # fmt: skip

    _, texts = states.matrix(frame, PT, "technical_percent").data

    assert list(zip(texts.x, texts.y, texts.text, strict=True)) == [
        ("10/2026", "A", "96,50"), ("11/2026", "A", "100,00"), ("11/2026", "B", "99,00"),
    ]  # fmt: skip


@pytest.mark.parametrize(("most", "step"), [(1, 1), (5, 1), (6, 2), (40, 10), (21_411, 5000)])
def test_ticks_of_episodes_are_whole(most, step):
    frame = pd.DataFrame({"error_code": ["GroundFailure"], "episodes": [most]})

    assert states.pareto(frame, PT).layout.yaxis.dtick == step


def test_a_posto_without_cost_is_not_in_the_legend():
    frame = pd.DataFrame(
        {"name": ["A"], "cost": [3.0], "cost_ponta": [1.0], "cost_intermediario": [float("nan")],
         "cost_fora_ponta": [2.0]}
    )  # fmt: skip

    assert [bar.name for bar in costs.by_charge_point(frame, PT).data] == ["Fora ponta", "Ponta"]


def test_the_map_names_its_points_and_has_a_scale():
    frame = pd.DataFrame(
        {"name": ["North", "South"], "state": ["Available", "Faulted"],
         "latitude": [-1.40, -1.50], "longitude": [-48.4, -48.5]}
    )  # fmt: skip

    figure = places.network(frame, EN)

    names = next(trace for trace in figure.data if trace.mode == "markers+text")
    assert set(names.text) == {"North", "South"}
    [bar] = figure.layout.shapes
    [text] = figure.layout.annotations
    length_km = (bar.x1 - bar.x0) * 111.32 * np.cos(np.radians(-1.45))
    assert text.text == "2 km"
    assert length_km == pytest.approx(2, rel=1e-3)


def test_a_point_alone_is_drawn_too():
    frame = pd.DataFrame(
        {"name": ["A"], "state": ["Available"], "latitude": [60.0], "longitude": [0.0]}
    )

    south, north = places.network(frame, EN).layout.yaxis.range
    assert south < 60 < north


def test_incomplete_days_are_hatched_in_consumption():
    days = [date(2026, 11, 1), date(2026, 11, 2)]
    frame = pd.DataFrame(
        {"day": days, "ponta_wh": [0, 0], "intermediario_wh": [0, 0], "fora_ponta_wh": [1000, 900],
         "none_wh": [0, 0], "energy_wh": [1000, 900]}
    )  # fmt: skip

    [bars] = energy.days(frame, PT, "day", {days[1]}).data

    assert list(bars.marker.pattern.shape) == ["", "/"]


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"least_s": 3319.7, "median_s": -61, "statuses": 8},
         "least delay 55 min; median delay -1 min; 8 statuses received"),
        ({"transaction_ids": [1, 2, 3, 4, 5, 6, 7], "expected": 12},
         "transactions 1, 2, 3, 4, 5 and 2 more; 12 readings expected"),
        ({"first_at": "2026-11-22T12:00:00+00:00", "reason": "not {JSON}"},
         "the first at 2026-11-22 09:00:00; reason: not {JSON}"),
        ({"unheard_of": [1]}, "unheard_of: [1]"),
        ({}, ""),
    ],
)  # fmt: skip
def test_evidence_is_told_in_words(facts, text):
    assert evidence.told(json.dumps(facts), EN) == text


@pytest.mark.parametrize("text", ["{cut", "[1]", "", '{"first_at": 3}'])
def test_odd_evidence_is_shown_not_lost(text):
    assert evidence.told(text, PT) in (text, "o primeiro em 3")


def test_files_for_people_are_in_the_words_of_who_asked_for_them():
    """Also a posto that is none, and several states of one outage."""
    columns = (
        Column("posto", "column.posto", "term", terms="posto."),
        Column("states", "column.states", "glossed", terms="state."),
        Column("reason", "column.stop_reason", "glossed", terms="reason."),
    )
    frame = pd.DataFrame(
        {"posto": ["fora_ponta", None], "states": ["Faulted, offline", None],
         "reason": ["Local", "Unheard"]}
    )  # fmt: skip

    made = blocks.for_people(frame, columns, Words("pt"))

    assert made["posto"].tolist() == ["Fora ponta", "Sem tarifa"]
    assert made["states"][0] == "Faulted – em falha, offline – sem contato"
    assert pd.isna(made["states"][1])
    assert made["reason"].tolist() == ["Local – encerrada no eletroposto", "Unheard"]


@pytest.mark.parametrize(
    ("message", "told"),
    [("174 connector days in 30 local days", "174 dias de conector em 30 dias locais"),
     ("119 sessions computed", "119 sessões calculadas"), ("boom", "boom"), (None, None)],
)  # fmt: skip
def test_what_a_run_did_is_told_in_words(message, told):
    assert evidence.run_told(message, Words("pt")) == told


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(170137.3, "s", "1 d 23 h"), (-90.0, "s", "-1 min"), (1234.5, "Wh", "1.234,5 Wh"),
     (3.0, None, "3,0"), (float("nan"), "s", "—")],
)  # fmt: skip
def test_a_measure_has_its_unit_and_seconds_are_a_duration(value, unit, text):
    assert formats.measure(value, unit, "pt") == text
