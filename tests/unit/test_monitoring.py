"""The files for Prometheus and Grafana name metrics that exist, and sections that exist."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import yaml
from prometheus_client import generate_latest

from ingest.__main__ import Ingest, _show
from ingest.metrics import Metrics
from ingest.relay.metrics import Metrics as RelayMetrics
from ingest.relay.settings import RelaySettings
from ingest.settings import Settings

ROOT = Path(__file__).parent.parent.parent
METRIC = re.compile(r"\beletroposto_[a-z_]+")


def exported() -> set[str]:
    ingest = Ingest(Settings(database_url="postgresql://nowhere/none"))
    _show(ingest)
    text = generate_latest(ingest.metrics.registry) + generate_latest(RelayMetrics().registry)
    told = set(re.findall(r"^# TYPE (\S+)", text.decode(), re.MULTILINE))
    return told | {f"{name}_bucket" for name in told}


def test_alerts_name_metrics_that_exist_and_sections_to_read() -> None:
    rules = yaml.safe_load((ROOT / "monitoring/alerts.yml").read_text())
    manual = (ROOT / "docs/operations.md").read_text().lower()
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert set(METRIC.findall(rule["expr"])) <= exported(), rule["alert"]
            advice = rule["annotations"]["what_to_do"]
            if advice.startswith("docs/operations.md"):
                assert advice.partition(", ")[2].lower() in manual, rule["alert"]


def test_names_that_charge_points_make_up_are_counted_as_one_action() -> None:
    metrics = Metrics()
    long = "X" * 40
    for action in [*(f"Junk{n}" for n in range(100)), f"{long}1", f"{long}2", "StartTransaction"]:
        metrics.answered(action, datetime.now(UTC))

    counted = re.findall(
        r"^eletroposto_calls_total(.*)$", generate_latest(metrics.registry).decode(), re.MULTILINE
    )
    assert counted == ['{action="other"} 102.0', '{action="StartTransaction"} 1.0']


def test_the_dashboard_file_names_metrics_that_exist() -> None:
    dashboard = json.loads((ROOT / "monitoring/grafana.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            assert set(METRIC.findall(target["expr"])) <= exported(), panel["title"]


def test_alerts_look_for_jobs_that_the_scrape_configuration_has() -> None:
    rules = (ROOT / "monitoring/alerts.yml").read_text()
    scraping = yaml.safe_load((ROOT / "monitoring/prometheus.yml").read_text())
    jobs = {it["job_name"]: it["static_configs"] for it in scraping["scrape_configs"]}
    assert set(re.findall(r'job="([^"]+)"', rules)) == set(jobs)
    assert scraping["rule_files"] == ["alerts.yml"]
    ports = {
        "eletroposto-ingest": Settings.model_fields["health_port"].default,
        "eletroposto-relay": RelaySettings.model_fields["relay_health_port"].default,
    }
    for job, (configuration,) in jobs.items():
        for target in configuration["targets"]:
            assert target.endswith(f":{ports[job]}"), target
