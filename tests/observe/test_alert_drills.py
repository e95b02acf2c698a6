"""Alerts from cause to delivery: real workers, exporter, Prometheus, Alertmanager, and a receiver.

The rules are the shipped ones, with two seconds where production waits for minutes; Alertmanager's
configuration is the shipped one, with receivers and without its pauses. Each drill runs the
commands of the runbook of the alert that it causes, at the moment at which people would.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from grafana.src.alerts.__main__ import for_prometheus

from jobstream.testing.fleet import Fleet
from jobstream.testing.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.observe.conftest import Prometheus, StartAlertmanager, StartPrometheus, Webhook

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
BURNING = ("JobsFreshnessBurnFast", "JobsFreshnessBurnSlow")
LIMIT_S = 90.0
UNDRILLED = (
    "JobsPartitionStalled",
    "JobsDelayerLate",
    "JobsRetentionAtRisk",
    "JobsCanaryMissing",
    "JobsRebalanceStorm",
)
LASTS = "2s"
SILENT_S = 5
BLOCK = re.compile(
    r"^```sh\n# drill(?P<mended>, when mended)?\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL
)

SHOP = """
import os, time
from dataclasses import dataclass
from pathlib import Path
from jobstream import App, Backoff, Context, Snooze

app = App(os.environ["SHOP"], commit_interval="100ms", drain="2s")
mail = app.queue("mail", partitions=2)
once = Backoff(attempts=1)

@dataclass(frozen=True)
class Order:
    order_id: str

@app.job(queue=mail)
async def send_receipt(args: Order) -> None:
    pass

@app.job(queue=mail)
async def await_payment(args: Order) -> None:
    if time.time() < float(args.order_id):
        raise Snooze("1s")

@app.job(queue=mail, retry=Backoff(attempts=3, first="1s", cap="1s"))
async def flaky(args: Order, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ConnectionError(args.order_id)

@app.job(queue=mail, retry=once)
async def refund(args: Order) -> None:
    raise LookupError(args.order_id)

@app.job(queue=mail, retry=Backoff(attempts=2, first="1h", cap="1h"))
async def charge(args: Order) -> None:
    raise ConnectionError(args.order_id)

@app.job(queue=mail, timeout="1s", retry=once)
def print_label(args: Order) -> None:
    while not Path(args.order_id).exists():
        time.sleep(0.1)
"""


class Shop:
    """An app with two workers, an exporter, and everything that watches them."""

    def __init__(self, servers: str, folder: Path) -> None:
        self.name = f"shop-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        (folder / "shop.py").write_text(SHOP)
        self.environ = {
            "SHOP": self.name,
            "JOBSTREAM_APP": self.name,
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "PYTHONPATH": str(folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "QUEUE": "mail",
        }
        ours = [sys.executable, "-m", "jobstream"]
        self.workers = Fleet([*ours, "worker", "shop:app"], folder / "workers", self.environ)
        watching = [*ours, "exporter", "--interval", "500ms", "--slo", "mail=2s"]
        self.exporters = Fleet(watching, folder / "exporters", self.environ)
        self.targets = folder / "state" / self.name / "targets"
        self.prometheus: Prometheus
        self.webhook: Webhook

    def run(self, *words: str, said: str | None = None) -> str:
        """Run a command of ours to its end; returns what it printed."""
        command = [sys.executable, "-m", "jobstream", *words]
        environ = {**os.environ, **self.environ}
        ran = subprocess.run(
            command,
            input=said,
            env=environ,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == 0, f"{words}: {ran.stderr}"
        return ran.stdout

    def enqueue(self, job_type: str, *orders: object) -> None:
        """Enqueue a job for each order."""
        lines = "\n".join(json.dumps({"order_id": str(order)}) for order in orders)
        self.run("enqueue", "shop:app", job_type, "-", "--many", said=lines + "\n")

    def is_so(self, expr: str, value: float) -> None:
        """Wait until an expression is that number."""
        wait_until(
            lambda: self.prometheus.value(expr) == value, f"{expr} is {value}", limit_s=LIMIT_S
        )

    def told(self, alert: str, status: str, since: int = 0, **labels: str) -> dict[str, Any]:
        """Wait until an alert was delivered; `since`: how many deliveries not to look at."""

        def found() -> dict[str, Any] | None:
            return next(
                (
                    {**delivery, "alert": one}
                    for delivery in self.webhook.received[since:]
                    for one in delivery["alerts"]
                    if one["status"] == status
                    and {"alertname": alert, **labels}.items() <= one["labels"].items()
                ),
                None,
            )

        delivered = wait_until(found, f"{alert} {labels} was told as {status}", limit_s=LIMIT_S)
        assert delivered is not None
        return delivered

    def follow(self, *alerts: str, mended: bool = False, **variables: str) -> None:
        """Run the commands of runbooks that are for this moment; each must succeed.

        What stands in several is run once.
        """
        blocks = dict.fromkeys(
            line.partition("#")[0].rstrip()
            for alert in alerts
            for block in BLOCK.finditer((RUNBOOKS / f"{alert}.md").read_text())
            if bool(block["mended"]) is mended
            for line in block["lines"].splitlines()
        )
        assert blocks, f"the runbooks of {alerts} have no commands for this moment"
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", "\n".join(blocks)],  # noqa: S607 - any bash
            cwd=self.folder,
            env={**os.environ, **self.environ, **variables},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ran.returncode == 0, f"{blocks}: {ran.stdout}{ran.stderr}"

    def healthy(self) -> None:
        """Wait until two workers and the exporter answer and the group has both."""
        while len(self.workers.alive) < 2:
            self.workers.start()
        if not self.exporters.alive:
            self.exporters.start()
        self.is_so("count(up == 1)", 3)
        self.is_so('max(jobs_group_members{group!~".+delay"})', 2)

    def close(self) -> None:
        """End every process."""
        self.workers.end()
        self.exporters.end()


@pytest.fixture(scope="module")
def shop(
    kafka: EmbeddedKafka,
    start_prometheus: StartPrometheus,
    start_alertmanager: StartAlertmanager,
    webhook: Webhook,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("drills")
    made = Shop(kafka.bootstrap_servers, folder)
    made.run("topics", "apply", "shop:app")
    rules = []
    for name, text in for_prometheus(LASTS).items():
        rules.append(folder / name)
        rules[-1].write_text(text)
    try:
        made.workers.start()
        made.workers.start()
        made.exporters.start()
        wait_until(
            lambda: len(list(made.targets.glob("*.json"))) == 3, "all three answer", limit_s=LIMIT_S
        )
        made.webhook = webhook
        alertmanager = start_alertmanager(hurried(webhook.url))
        made.prometheus = start_prometheus(
            str(made.targets / "*.json"), rules=rules, alertmanager=alertmanager.address
        )
        made.healthy()
        wait_until(lambda: not made.prometheus.values("ALERTS"), "no alert is on", limit_s=LIMIT_S)
        yield made
    finally:
        made.close()


def hurried(url: str) -> dict[str, Any]:
    """The shipped configuration with receivers, and without waiting for more of a group."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "alertmanager/alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{url}{receiver['name']}", "send_resolved": True}]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    return config


def test_retries_by_design_are_silent(shop: Shop) -> None:
    shop.healthy()
    before = len(shop.webhook.received)
    started = time.time()
    assert not shop.prometheus.values("ALERTS")

    shop.enqueue("await_payment", *[time.time() + 3] * 30)
    shop.enqueue("flaky", *range(3))

    done = 'sum(jobs_settled_total{job_type=~"await_payment|flaky",outcome="done"})'
    shop.is_so(done, 33)
    assert (shop.prometheus.value('sum(jobs_settled_total{outcome="snoozed"})') or 0) >= 60
    assert shop.prometheus.value('sum(jobs_settled_total{outcome="retry"})') == 3
    settled = time.time()
    wait_until(
        lambda: (shop.prometheus.value("max(timestamp(up))") or 0) > settled + SILENT_S,
        "what came of it has been judged",
        limit_s=LIMIT_S,
    )
    past = f"{time.time() - started:.0f}s"
    assert not shop.prometheus.values(f"max_over_time(ALERTS[{past}])")
    assert shop.webhook.received[before:] == []


def test_page_when_all_workers_are_killed(shop: Shop, say: Callable[[object], None]) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    shop.enqueue("send_receipt", *range(200))

    for member in list(shop.workers.alive):
        shop.workers.kill(member)
    killed = time.monotonic()
    shop.enqueue("send_receipt", *range(200))

    told = shop.told("JobsNoWorkers", "firing", since, group=shop.name)
    say(f"{time.monotonic() - killed:.1f} s from the last kill to the delivered page")
    assert told["receiver"] == "page"
    assert told["alert"]["annotations"]["runbook_url"] == "docs/runbooks/JobsNoWorkers.md"
    shop.told("JobsTargetDown", "firing", since, role="worker")
    for alert in ("JobsQueueBehind", "JobsFreshnessBurnFast", "JobsFreshnessBurnSlow"):
        shop.is_so(f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})', 1)
    shop.follow("JobsNoWorkers", "JobsTargetDown", "JobsQueueBehind", *BURNING)
    shop.workers.start()
    shop.workers.start()
    shop.told("JobsNoWorkers", "resolved", since, group=shop.name)
    shop.told("JobsTargetDown", "resolved", since, role="worker")
    shop.is_so('max(jobs_lag_records{tier="main"})', 0)
    shop.follow("JobsNoWorkers", mended=True)


def test_dead_letter_is_told_until_it_is_closed(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)

    shop.run("enqueue", "shop:app", "refund", '{"order_id": "o-1"}')

    told = shop.told("JobsDeadLetters", "firing", since, job_type="refund")
    assert told["receiver"] == "ticket"
    assert told["alert"]["annotations"]["summary"] == "Dead letters of refund wait for a decision"
    (letter,) = [json.loads(line) for line in shop.run("dlq", "list", "--json").splitlines()]
    shop.follow("JobsDeadLetters", JOB=letter["id"], TYPE="refund")
    shop.run("dlq", "discard", "--id", letter["id"])
    shop.told("JobsDeadLetters", "resolved", since, job_type="refund")
    shop.follow("JobsDeadLetters", mended=True)


def test_failures_and_stuck_handlers_are_told(shop: Shop, tmp_path: Path) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    free = tmp_path / "free"

    shop.enqueue("charge", *range(40))
    shop.enqueue("print_label", free)

    shop.told("JobsFailureRatioHigh", "firing", since, job_type="charge")
    shop.told("JobsHandlersStuck", "firing", since)
    shop.follow("JobsFailureRatioHigh", "JobsHandlersStuck", TYPE="charge")
    free.touch()
    shop.told("JobsHandlersStuck", "resolved", since)


def test_commands_of_runbooks_that_no_drill_causes(shop: Shop) -> None:
    """These alerts take minutes to come about; promtool tries them, and here their commands run."""
    shop.healthy()

    shop.follow(*UNDRILLED)


def test_held_queue_is_told(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)

    shop.enqueue("refund", *range(320))

    shop.told("JobsFloodGuardClosed", "firing", since, queue="mail")
    shop.follow("JobsFloodGuardClosed")


def test_page_when_nobody_looks(shop: Shop) -> None:
    since = len(shop.webhook.received)
    (exporter,) = shop.exporters.alive

    exporter.signal(signal.SIGKILL)
    exporter.wait()

    told = shop.told("JobsLagBlind", "firing", since)
    assert told["receiver"] == "page"
    shop.follow("JobsLagBlind")
    shop.exporters.start()
    shop.told("JobsLagBlind", "resolved", since)
