"""A shop that is watched by everything that ships, for drills: what is run, and how it is hurried.

The rules are the shipped ones, with seconds where production waits for minutes; Alertmanager's
configuration is the shipped one, with receivers and without its pauses.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from confluent_kafka.admin import (  # type: ignore[attr-defined] # documented, not in __all__
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from tests.harness.fleet import Fleet
from tests.harness.waiting import wait_until

from jobstream_processors.core.duration import to_ms

if TYPE_CHECKING:
    from tests.observe.conftest import Prometheus, Webhook

ROOT = Path(__file__).resolve().parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
LIMIT_S = 180.0
LASTS = "2s"
INVOICES = 320
"""So many that a hundred die in a row on each of two partitions, and some are left."""
HURRIED = {
    "JobsDelayerLate": ("> 60", "> 2"),
    "JobsCanaryMissing": ("> 180", "> 4"),
    "JobsOutboxBehind": ("> 60", "> 2"),
    "JobsRebalanceStorm": ("> 10", "> 3"),
    "JobsViewsBehind": ("> 60", "> 3"),
}
"""What production allows for a minute and more, and how little of it a drill does."""
LONGER = {
    "--timeout 20s": "--timeout 3m",
    "control pause": "control pause --timeout 3m",
    "control resume": "control resume --timeout 3m",
}
"""What workers have seconds for in a runbook, and what a busy machine is given for it."""
BLOCK = re.compile(
    r"^```sh\n# drill(?P<mended>, when mended)?\n(?P<lines>.*?)^```$", re.MULTILINE | re.DOTALL
)

SHOP = """
import asyncio, os, time
from dataclasses import dataclass
from pathlib import Path
from jobstream import App, Backoff, Breaker, Context, Snooze

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
    if not Path(args.order_id).exists():
        raise Snooze("1s")

@app.job(queue=mail, timeout="10m")
async def await_file(args: Order) -> None:
    while not Path(args.order_id).exists():
        await asyncio.sleep(0.1)

@app.job(queue=mail, retry=Backoff(attempts=3, first="1s", cap="1s"))
async def flaky(args: Order, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ConnectionError(args.order_id)

@app.job(queue=mail, retry=once)
async def refund(args: Order) -> None:
    raise LookupError(args.order_id)

@app.job(queue=mail, retry=once)
async def invoice(args: Order) -> None:
    raise LookupError(args.order_id)

@app.job(queue=mail, retry=Backoff(attempts=2, first="1h", cap="1h"))
async def charge(args: Order) -> None:
    raise ConnectionError(args.order_id)

bank = Breaker("bank", least=3, open="2s", open_max="2s", probes=1)

@app.job(queue=mail, breaker=bank, retry=Backoff(attempts=100, first="1s", cap="1s"))
async def pay(args: Order) -> None:
    if not Path(args.order_id).exists():
        raise ConnectionError(args.order_id)

@app.job(queue=mail, timeout="1s", retry=once)
def print_label(args: Order) -> None:
    while not Path(args.order_id).exists():
        time.sleep(0.1)
"""


MENDED = SHOP.replace(
    "async def invoice(args: Order) -> None:\n    raise LookupError(args.order_id)",
    "async def invoice(args: Order) -> None:\n    pass",
)
"""What is deployed when somebody has found out why no invoice can be written."""

WRITES = """
import sys
from sqlalchemy import create_engine
from sqlalchemy.orm import Session
from jobstream.sql import create_tables, enqueue_in
from shop import Order, send_receipt

engine = create_engine(sys.argv[1])
create_tables(engine)
with Session(engine) as session, session.begin():
    for order in sys.argv[2:]:
        enqueue_in(session, send_receipt, Order(order))
"""
"""What a service runs that commits jobs for the orders it is given, to the outbox there."""


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
        watching = [*ours, "exporter", "--interval", "500ms", "--slo", "mail=5s"]
        watching += ["--stalled-after", "3s"]
        self.exporters = Fleet(watching, folder / "exporters", self.environ)
        probing = [*ours, "canary", "--interval", "1s", "--timeout", "5s"]
        self.canaries = Fleet(probing, folder / "canaries", self.environ)
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
            patient(line.partition("#")[0].rstrip())
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
            timeout=LIMIT_S * len(blocks),
            check=False,
        )
        assert ran.returncode == 0, f"{blocks}: {ran.stdout}{ran.stderr}"

    def keep_for(self, retention: str) -> None:
        """Set the retention of the queue's topic, as a cluster's operator may."""
        ms = str(to_ms(retention))
        change = ConfigEntry("retention.ms", ms, incremental_operation=AlterConfigOpType.SET)
        topic = ConfigResource(
            ResourceType.TOPIC, f"{self.name}.mail", incremental_configs=[change]
        )
        admin = AdminClient({"bootstrap.servers": self.environ["JOBSTREAM_BOOTSTRAP_SERVERS"]})
        admin.incremental_alter_configs([topic])[topic].result(LIMIT_S)

    def healthy(self) -> None:
        """Wait until two workers and the exporter answer and the group has both."""
        while len(self.workers.alive) < 2:
            self.workers.start()
        if not self.exporters.alive:
            self.exporters.start()
        self.is_so("count(up == 1)", 3)
        self.is_so('max(jobs_group_members{group!~".+delay"})', 2)

    def deploy(self, code: str) -> None:
        """Replace the workers, one after the other, by workers that run `code`."""
        (self.folder / "shop.py").write_text(code)
        for member in list(self.workers.alive):
            self.workers.start()
            self.workers.drain(member)

    def close(self) -> None:
        """End every process."""
        self.workers.end()
        self.exporters.end()
        self.canaries.end()


def patient(line: str) -> str:
    """A line of a runbook, with time for a busy machine."""
    for shown, longer in LONGER.items():
        line = line.replace(shown, longer)
    return line


def hurried_rules(text: str) -> str:
    """Rules of which some fire earlier than as shipped."""
    document = yaml.safe_load(text)
    for rule in (rule for group in document["groups"] for rule in group["rules"]):
        if rule.get("alert") in HURRIED:
            shipped, hurry = HURRIED[rule["alert"]]
            assert rule["expr"].endswith(shipped)
            rule["expr"] = rule["expr"].removesuffix(shipped) + hurry
    return yaml.safe_dump(document)


def hurried(url: str) -> dict[str, Any]:
    """The shipped configuration with receivers, and without waiting for more of a group."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "alertmanager/alertmanager.yml").read_text())
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{url}{receiver['name']}", "send_resolved": True}]
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    return config


def status_of(port: int) -> int | None:
    """How a look at the queues is answered; None while nothing listens."""
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/api/v1/queues", timeout=LIMIT_S
        ) as it:
            return int(it.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return None
