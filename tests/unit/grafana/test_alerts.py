"""The alerts: generated, true to the catalogue, few that page, and each one leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana.src.alerts import ALERTS
from grafana.src.alerts.__main__ import MANAGED, files, for_prometheus
from grafana.src.alerts.recordings import RECORDINGS
from grafana.src.boards import BOARDS
from grafana.src.promql import complaints

if TYPE_CHECKING:
    from grafana.src.alerts.alert import Alert
    from tests.unit.grafana.conftest import Tool

ROOT = Path(__file__).resolve().parents[3]
PAGES_MAX = 8
RECORDED = {recording.name for recording in RECORDINGS}
EXPRESSIONS = [pytest.param(rule.expr, id=rule.name) for rule in (*ALERTS, *RECORDINGS)]
EACH = pytest.mark.parametrize("alert", [pytest.param(a, id=a.name) for a in ALERTS])
VALUE = re.compile(r"\{\{[^}]*\$value")

Json = dict[str, Any]


def rules_of(path: str) -> list[Json]:
    document = yaml.safe_load((ROOT / path).read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def managed() -> dict[str, Json]:
    return {rule["title"]: rule for rule in rules_of(MANAGED)}


def test_files_are_what_the_source_makes() -> None:
    found = {path: (ROOT / path).read_text() for path in files()}

    assert found == files(), "run `make alerts`"


def test_no_other_rule_file_is_there() -> None:
    """Prometheus may be told to load all of the folder."""
    there = {path.name for path in (ROOT / "prometheus" / "rules").iterdir()}

    assert there == for_prometheus().keys()


def test_few_alerts_wake_people() -> None:
    assert len({alert.name for alert in ALERTS}) == len(ALERTS)
    assert sum(alert.severity == "page" for alert in ALERTS) <= PAGES_MAX


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_expression_is_true_to_the_catalogue(expr: str) -> None:
    assert not complaints(expr, RECORDED)


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_canaries_are_no_business(expr: str) -> None:
    business = r"jobs_(?:settled|failures|open_dead_letters)\w*(?:\{[^}]*\}|\b(?!:))"
    selectors = re.findall(rf"(?<![:\w]){business}", expr)

    assert all('job_type!="_canary"' in selector for selector in selectors)


@EACH
def test_alert_says_which_and_how_much(alert: Alert) -> None:
    assert VALUE.search(alert.description)
    for label in alert.by:
        assert f"$labels.{label}" in alert.description + alert.summary, label


@EACH
def test_alert_leads_to_a_panel_that_shows_it(alert: Alert) -> None:
    board = next(board for board in BOARDS if board.uid == alert.board)

    assert board.panels[alert.panel_number - 1].key == alert.panel


def test_every_alert_is_evaluated_once() -> None:
    """By Grafana or, where it watches, by Prometheus; alerts.yml replaces Grafana's rules."""
    grafana = set(managed())
    watching = {rule["alert"] for rule in rules_of("prometheus/rules/watch.yml")}
    instead = {rule["alert"] for rule in rules_of("prometheus/rules/alerts.yml")}
    loaded = yaml.safe_load((ROOT / "prometheus/prometheus.yml").read_text())["rule_files"]

    assert grafana == instead
    assert grafana | watching == {alert.name for alert in ALERTS}
    assert not grafana & watching
    assert loaded == ["rules/recording.yml", "rules/watch.yml"]


@pytest.mark.parametrize("title", sorted(managed()))
def test_grafana_asks_what_prometheus_asks(title: str) -> None:
    rule = managed()[title]
    nodes = {node["refId"]: node["model"] for node in rule["data"]}
    (there,) = (r for r in rules_of("prometheus/rules/alerts.yml") if r["alert"] == title)

    limit = nodes["threshold"]["conditions"][0]["evaluator"]["params"][0]
    compared = "" if "any_value" in nodes else f" > {limit:g}"
    assert nodes["query"]["expr"] + compared == there["expr"]
    assert rule["for"] == there.get("for", "0s")
    assert rule["labels"] == there["labels"]
    assert rule["condition"] == "threshold"
    assert not [text for text in rule["annotations"].values() if "$value " in text]


def test_uids_are_unique_and_short() -> None:
    uids = [rule["uid"] for rule in managed().values()]

    assert len(set(uids)) == len(uids)
    assert max(map(len, uids)) <= 40


def test_alertmanager_holds_back_alerts_that_exist() -> None:
    config = yaml.safe_load((ROOT / "alertmanager/alertmanager.yml").read_text())
    names = {alert.name for alert in ALERTS}
    for rule in config["inhibit_rules"]:
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            if named := re.fullmatch(r'alertname=~?"(.+)"', matcher):
                matching = [name for name in names if re.fullmatch(named[1], name)]
                assert len(matching) == 1 + named[1].count("|"), matcher


def test_drills_may_hurry() -> None:
    rules = yaml.safe_load(for_prometheus("1s")["alerts.yml"])["groups"][0]["rules"]

    assert {rule["for"] for rule in rules} == {"1s"}


@pytest.mark.parametrize("severity", ["page", "ticket"])
def test_alertmanager_routes_by_severity(severity: str, tool: Tool) -> None:
    config = str(ROOT / "alertmanager" / "alertmanager.yml")

    code, said = tool(
        "amtool", "config", "routes", "test", "--config.file", config, f"severity={severity}"
    )

    assert (code, said.split()) == (0, [severity])


def test_tools_accept_the_files(tool: Tool) -> None:
    rules = [str(ROOT / "prometheus" / "rules" / name) for name in for_prometheus()]

    for command in (
        ("promtool", "check", "rules", *rules),
        ("promtool", "check", "config", str(ROOT / "prometheus" / "prometheus.yml")),
        ("amtool", "check-config", str(ROOT / "alertmanager" / "alertmanager.yml")),
    ):
        code, said = tool(*command)
        assert code == 0, said
