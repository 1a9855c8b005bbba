"""What reports say about demand and about outages."""

from datetime import timedelta
from typing import Any

from tests.flow_facts import Facts
from tests.integration.test_flows_consumption import WEDNESDAY, charge, local, tariff


def test_the_report_of_the_network_has_the_cost_of_demand(facts: Facts):
    cp = facts.charge_point("A", site="Garage")
    about: dict[str, Any] = {"consumer_group": "A", "modality": "verde", "site": "Garage"}
    tariff(facts, **about, contracted_demand_kw=30, demand_price_per_kw=41.15)
    charge(facts, cp, WEDNESDAY, 9, 1, 20)
    facts.run()

    facts.run("reports", start=local(WEDNESDAY, 9), end=local(WEDNESDAY, 10))

    pages = {
        row["charge_point"]: bytes(row["content"]).decode()
        for row in facts.rows(
            "SELECT charge_point, content FROM report.monthly_report"
            " WHERE format = 'html' AND language = 'en'"
        )
    }
    assert "1,234.50" in pages[None]  # 30 kW x 41.15
    assert "Cost of demand" not in pages["A"]


def test_a_connector_known_by_its_energy_alone_is_in_the_report(facts: Facts):
    cp = facts.charge_point("A", connectors=())
    charge(facts, cp, WEDNESDAY, 9, 1, 20)
    facts.run()

    facts.run("reports", start=local(WEDNESDAY, 9), end=local(WEDNESDAY, 10))

    (page,) = facts.rows(
        "SELECT content FROM report.monthly_report"
        " WHERE format = 'html' AND language = 'en' AND charge_point = 'A'"
    )
    connectors = bytes(page["content"]).decode().split("<h2>Connectors</h2>")[1].split("<h2>")[0]
    assert "<td>A</td><td>1</td>" in connectors
    assert "20.0" in connectors


def test_the_quarterly_export_has_every_outage(facts: Facts):
    """Down from ten days before the quarter's end until two days after it."""
    first = WEDNESDAY.replace(month=(WEDNESDAY.month - 1) // 3 * 3 + 1, day=1)
    last = (first + timedelta(days=95)).replace(day=1)
    cp = facts.charge_point()
    facts.conn.execute(
        "INSERT INTO outage (charge_point_id, connector_id, started_at, ended_at, states)"
        " VALUES (%(cp)s, 1, local_midnight(%(last)s) - INTERVAL '10 days',"
        " local_midnight(%(last)s) + INTERVAL '2 days', '{Faulted}'),"
        " (%(cp)s, 1, local_midnight(%(first)s) - INTERVAL '2 days',"
        " local_midnight(%(first)s), '{offline}')",
        {"cp": cp, "first": first, "last": last},
    )

    month = facts.rows("SELECT local_midnight(%s) AS at", last - timedelta(days=20))[0]["at"]
    facts.run("reports", start=month, end=month + timedelta(days=1))

    (row,) = facts.rows(
        "SELECT content FROM report.monthly_report WHERE kind = 'quarterly_outages'"
    )
    head, line = bytes(row["content"]).decode().splitlines()
    told = dict(zip(head.split(","), line.split(","), strict=True))
    assert float(told["duration_min"]) == 12 * 24 * 60
    assert float(told["in_quarter_min"]) == 10 * 24 * 60
    assert told["states"] == "Faulted"
