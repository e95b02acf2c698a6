"""The servers that the other tests here rely on do what they rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.observe.conftest import StartAlertmanager, StartPrometheus, Webhook

RULE = """
groups:
  - name: always
    rules:
      - alert: Always
        expr: vector(1)
"""


def test_alert_goes_all_the_way(
    start_prometheus: StartPrometheus,
    start_alertmanager: StartAlertmanager,
    webhook: Webhook,
    tmp_path: Path,
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULE)
    receiver = {"name": "test", "webhook_configs": [{"url": webhook.url}]}
    route = {"receiver": "test", "group_wait": "0s"}
    alertmanager = start_alertmanager({"route": route, "receivers": [receiver]})

    prometheus = start_prometheus(
        str(tmp_path / "*.json"), rules=[rules], alertmanager=alertmanager.address
    )

    wait_until(lambda: webhook.alerts("Always", "firing"), "the alert is delivered", limit_s=180)
    assert prometheus.value("vector(7)") == 7
    assert prometheus.value("jobs_lag_seconds") is None
