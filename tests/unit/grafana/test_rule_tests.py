"""Each alert is tried by promtool: it fires, it stays silent, and both at the edge."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana.src.alerts import ALERTS
from grafana.src.alerts.recordings import RECORDINGS

from jobstream.observe.metrics import BY_NAME

if TYPE_CHECKING:
    from tests.unit.grafana.conftest import Tool

FOLDER = Path(__file__).resolve().parents[3] / "prometheus" / "tests"
RULES = ["../rules/recording.yml", "../rules/watch.yml", "../rules/alerts.yml"]
KINDS = ("fires", "silent", "edge")
NAMES = sorted(alert.name for alert in ALERTS)
LAST_ONE = "the last one is gone, and took its series with it"
TOLD_BY = {
    "canary": ("JobsCanaryMissing", "the canary itself is gone"),
    "exporter": ("JobsLagBlind", "the exporter of one app is gone, the other's is not"),
    "relay": ("JobsOutboxBehind", LAST_ONE),
    "scheduler": ("JobsScheduleBroken", LAST_ONE),
    "views": ("JobsViewsBehind", LAST_ONE),
    "web": ("JobsTargetDown", "the pages are gone"),
    "worker": ("JobsNoWorkers", "records wait and the group has no member"),
}
"""Who is asked by alerts: which of them tells that the last such process is gone, and its case."""

Json = dict[str, Any]


def cases(name: str, kind: str) -> list[Json]:
    document = yaml.safe_load((FOLDER / f"{name}.yml").read_text())
    assert document["rule_files"] == RULES, "the committed rules are what is tried"
    return [case for case in document["tests"] if case["name"].startswith(f"{kind}: ")]


def answers(case: Json, name: str) -> list[bool]:
    """Whether the alert is to be firing, for each question about it."""
    return [
        any('alertstate="firing"' in sample["labels"] for sample in question["exp_samples"])
        for question in case["promql_expr_test"]
        if f'ALERTS{{alertname="{name}"' in question["expr"]
    ]


def test_every_alert_has_a_file_and_every_file_an_alert() -> None:
    assert sorted(path.stem for path in FOLDER.iterdir()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_alert_is_tried_from_all_sides(name: str) -> None:
    fires, silent, edge = (cases(name, kind) for kind in KINDS)

    assert fires
    assert all(True in answers(case, name) for case in fires)
    assert silent
    assert all(answers(case, name) and True not in answers(case, name) for case in silent)
    assert {told for case in edge for told in answers(case, name)} in ({True, False}, {False})
    assert len([told for case in edge for told in answers(case, name)]) >= 2


def test_no_alert_goes_silent_with_the_process_that_it_asks_without_another_to_tell() -> None:
    asked = {
        metric.role
        for rule in (*ALERTS, *RECORDINGS)
        for metric in BY_NAME.values()
        if re.search(rf"(?<![:\w]){metric.name}(?:_count)?(?![:\w])", rule.expr)
    }

    assert asked == TOLD_BY.keys()
    for name, case in TOLD_BY.values():
        assert f"fires: {case}" in {each["name"] for each in cases(name, "fires")}


@pytest.mark.parametrize("name", NAMES)
def test_promtool_agrees(name: str, tool: Tool) -> None:
    code, said = tool("promtool", "test", "rules", str(FOLDER / f"{name}.yml"))

    assert code == 0, said
