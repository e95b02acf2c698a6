"""Alerts as rules that Grafana evaluates itself, in the form its file provisioning reads.

`query` asks Prometheus. Where it gives a number in sickness and in health, the next node compares
it. Where it filters by itself, any value means that the alert is on, a zero among them, so a node
in between turns values into ones; no data is health then. Nothing here asks Grafana.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from grafana.src.alerts.prometheus import dumped, texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grafana.src.alerts.alert import Alert

SOURCE = "prometheus"
EXPRESSION = "__expr__"
LOOK_BACK_S = 600
ANY_VALUE = "is_number($query) || is_nan($query) || is_inf($query)"


def managed_rules(alerts: Iterable[Alert]) -> str:
    """The file for `grafana/provisioning/alerting/`."""
    group = {
        "orgId": 1,
        "name": "jobstream",
        "folder": "jobstream",
        "interval": "30s",
        "rules": [_rule(alert) for alert in alerts],
    }
    return dumped({"apiVersion": 1, "groups": [group]})


def _rule(alert: Alert) -> dict[str, Any]:
    return {
        "uid": alert.name.lower(),
        "title": alert.name,
        "condition": "threshold",
        "data": _nodes(alert),
        # The exporter's absence is told once, by JobsLagBlind, and not by every rule that asks it.
        # A comparison without data means more: that the recorded series are missing.
        "noDataState": "OK" if alert.above is None else "NoData",
        "execErrState": "Error",
        "for": alert.lasts,
        "labels": {"severity": alert.severity},
        "annotations": {
            name: text.replace("$value", "$values.query.Value")
            for name, text in texts(alert).items()
        },
        "dashboardUid": alert.board,
        "panelId": alert.panel_number,
    }


def _nodes(alert: Alert) -> list[dict[str, Any]]:
    query = {
        "refId": "query",
        "relativeTimeRange": {"from": LOOK_BACK_S, "to": 0},
        "datasourceUid": SOURCE,
        "model": {"refId": "query", "expr": alert.query, "instant": True, "range": False},
    }
    if alert.above is not None:
        return [query, _threshold("query", alert.above)]
    any_value = _node({"refId": "any_value", "type": "math", "expression": ANY_VALUE})
    return [query, any_value, _threshold("any_value", 0)]


def _threshold(of: str, above: float) -> dict[str, Any]:
    condition = {"evaluator": {"type": "gt", "params": [above]}}
    return _node(
        {"refId": "threshold", "type": "threshold", "expression": of, "conditions": [condition]}
    )


def _node(model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": model["refId"],
        "relativeTimeRange": {"from": 0, "to": 0},
        "datasourceUid": EXPRESSION,
        "model": model,
    }
