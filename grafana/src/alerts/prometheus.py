"""Alerts and recordings as rule files of Prometheus 2.42 and later: pure, text comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grafana.src.alerts.alert import Alert, Recording

HEAD = "# Written by `make alerts` from grafana/src/alerts/: change it there.\n"
AT_ONCE = "0s"


def recording_rules(recordings: Iterable[Recording]) -> str:
    """The file with what alerts are computed from."""
    rules = [{"record": recording.name, "expr": recording.expr} for recording in recordings]
    return dumped({"groups": [{"name": "jobstream-recordings", "rules": rules}]})


def alert_rules(group: str, alerts: Iterable[Alert], lasts: str | None = None) -> str:
    """A file with one group of alerts. `lasts` takes the place of how long each must be so."""
    rules = [_rule(alert, lasts) for alert in alerts]
    return dumped({"groups": [{"name": group, "rules": rules}]})


def texts(alert: Alert) -> dict[str, str]:
    """What is sent with an alert, for people."""
    return {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": alert.runbook,
        "dashboard_url": alert.dashboard,
    }


def dumped(document: dict[str, Any]) -> str:
    """YAML in the order given, with a line that says where it comes from."""
    return HEAD + yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)


def _rule(alert: Alert, lasts: str | None) -> dict[str, Any]:
    must_last = lasts or alert.lasts
    rule: dict[str, Any] = {"alert": alert.name, "expr": alert.expr}
    if must_last != AT_ONCE:
        rule["for"] = must_last
    rule["labels"] = {"severity": alert.severity}
    rule["annotations"] = texts(alert)
    return rule
