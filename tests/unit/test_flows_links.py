"""Links of runs lead to the page that shows what they computed, with the same filter."""

from datetime import UTC, datetime

import pytest

from flows.links import dashboard_link
from flows.scope import LOCAL, Scope

MARCH = Scope(datetime(2026, 3, 1, tzinfo=LOCAL), datetime(2026, 4, 1, tzinfo=LOCAL))


@pytest.mark.parametrize(
    "name, scope, expected",
    [
        ("sessions", Scope(), "http://here:8501/sessoes"),
        ("retention", Scope(), "http://here:8501/"),
        ("quality", MARCH, "http://here:8501/qualidade?de=2026-03-01&ate=2026-03-31"),
        (
            "consumption",
            Scope(
                datetime(2026, 3, 1, 2, tzinfo=UTC),
                datetime(2026, 3, 1, 4, tzinfo=UTC),
                ("CP 1", "Ö&2"),
            ),
            "http://here:8501/consumo?de=2026-02-28&ate=2026-03-01&estacao=CP+1&estacao=%C3%96%262",
        ),
    ],
)
def test_the_link_of_a_run(name: str, scope: Scope, expected: str):
    assert dashboard_link("http://here:8501/", name, scope) == expected
