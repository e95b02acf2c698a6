"""What follows from an alert that is on is held back: by a real Alertmanager, as it is shipped."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from tests.observe.conftest import StartAlertmanager

SHIPPED = Path(__file__).resolve().parents[2] / "alertmanager" / "alertmanager.yml"
NOBODY = {"alertname": "JobsNoWorkers", "app": "shop", "group": "shop"}
TOLD = [
    NOBODY,
    {"alertname": "JobsQueueBehind", "app": "bank", "queue": "mail"},
    {"alertname": "JobsDelayerLate", "app": "shop", "queue": "mail", "tier": "retry-5s"},
    {"alertname": "JobsFreshnessBurnFast", "app": "bank", "queue": "reports"},
    {"alertname": "JobsNoWorkers", "app": "toys", "group": "toys.delay"},
    {"alertname": "JobsQueueBehind", "app": "toys", "queue": "mail"},
    {"alertname": "JobsDeadLetters", "app": "shop", "queue": "mail", "job_type": "refund"},
]
HELD = [
    {"alertname": "JobsQueueBehind", "app": "shop", "queue": "mail"},
    {"alertname": "JobsFreshnessBurnFast", "app": "shop", "queue": "mail"},
    {"alertname": "JobsCanaryMissing", "app": "shop", "queue": "mail"},
    {"alertname": "JobsPartitionStalled", "app": "shop", "group": "shop", "queue": "mail"},
    {"alertname": "JobsQueueBehind", "app": "bank", "queue": "reports"},
    {"alertname": "JobsDelayerLate", "app": "toys", "queue": "mail", "tier": "retry-5s"},
]


def named(labels: dict[str, str]) -> str:
    return " ".join(value for _, value in sorted(labels.items()))


def asked(address: str, method: str, body: bytes = b"") -> bytes:
    connection = HTTPConnection(address, timeout=60)
    try:
        connection.request(method, "/api/v2/alerts", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()
    finally:
        connection.close()


def test_what_explains_others_is_told_alone(start_alertmanager: StartAlertmanager) -> None:
    server = start_alertmanager(yaml.safe_load(SHIPPED.read_text()))
    server_at = server.address.removeprefix("http://")
    sent = json.dumps([{"labels": labels} for labels in (*TOLD, *HELD)]).encode()
    wanted = {named(labels): "active" for labels in TOLD}
    wanted |= {named(labels): "suppressed" for labels in HELD}

    def states() -> dict[str, str]:
        found = json.loads(asked(server_at, "GET"))
        return {named(one["labels"]): one["status"]["state"] for one in found}

    asked(server_at, "POST", sent)
    wait_until(lambda: states() == wanted, f"states are {wanted}", limit_s=180)
