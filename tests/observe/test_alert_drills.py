"""Alerts from cause to delivery: real workers, exporter, Prometheus, Alertmanager, and a receiver.

Each drill runs the commands of the runbook of the alert that it causes, at the moment at which
people would.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from grafana.src.alerts.__main__ import for_prometheus
from tests.harness.fleet import Fleet
from tests.harness.waiting import wait_until
from tests.observe.drilled import (
    INVOICES,
    LASTS,
    LIMIT_S,
    MENDED,
    WRITES,
    Shop,
    hurried,
    hurried_rules,
    status_of,
)

from jobstream.broker.free_ports import some_free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.observe.conftest import StartAlertmanager, StartPrometheus, Webhook

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka

BURNING = ("JobsFreshnessBurnFast", "JobsFreshnessBurnSlow")
SILENT_S = 5
BUSY_SCRAPE_S = 0.3
"""Thirty times what it takes on an idle machine. On one so busy jobs are late, and that is told."""
LATE = {
    *BURNING, "JobsQueueBehind", "JobsPartitionStalled", "JobsDelayerLate", "JobsTargetDown",
    "JobsLagBlind",
}  # fmt: skip


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
        rules[-1].write_text(hurried_rules(text))
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


def test_retries_by_design_are_silent(shop: Shop, tmp_path: Path) -> None:
    shop.healthy()
    wait_until(lambda: not shop.prometheus.values("ALERTS"), "no alert is on", limit_s=LIMIT_S)
    before = len(shop.webhook.received)
    started = time.time()

    paid = tmp_path / "paid"
    shop.enqueue("await_payment", *[paid] * 30)
    shop.enqueue("flaky", *range(3))
    snoozed = 'sum(jobs_settled_total{outcome="snoozed"})'
    wait_until(
        lambda: (shop.prometheus.value(snoozed) or 0) >= 60, "all snoozed twice", limit_s=LIMIT_S
    )
    paid.touch()

    done = 'sum(jobs_settled_total{job_type=~"await_payment|flaky",outcome="done"})'
    shop.is_so(done, 33)
    # Not at once: for as long as a worker is too busy to answer, its numbers are not there.
    shop.is_so('sum(jobs_settled_total{outcome="retry"})', 3)
    settled = time.time()
    wait_until(
        lambda: (shop.prometheus.value("max(timestamp(up))") or 0) > settled + SILENT_S,
        "what came of it has been judged",
        limit_s=LIMIT_S,
    )
    # Rounded down: the last alert of before may have ended within this second.
    past = f"{int(time.time() - started)}s"
    scrape_s = shop.prometheus.value(f"max(max_over_time(scrape_duration_seconds[{past}]))")
    assert scrape_s is not None
    excused = LATE if scrape_s > BUSY_SCRAPE_S else set()
    fired = shop.prometheus.values(f"count by (alertname) (max_over_time(ALERTS[{past}]))")
    told = {
        alert["labels"]["alertname"]
        for delivery in shop.webhook.received[before:]
        for alert in delivery["alerts"]
        # That an alert of before is over may be told only now.
        if datetime.fromisoformat(alert["startsAt"]).timestamp() > started
    }
    assert {*fired, *told} <= excused, f"the slowest scrape took {scrape_s:.2f} s"


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


def test_breaker_that_does_not_close_is_told(shop: Shop, tmp_path: Path) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    free = tmp_path / "bank-is-open"

    shop.enqueue("pay", *[free] * 8)

    shop.told("JobsBreakerOpen", "firing", since, breaker="bank")
    shop.follow("JobsBreakerOpen")
    free.touch()
    shop.told("JobsBreakerOpen", "resolved", since, breaker="bank")
    shop.follow("JobsBreakerOpen", mended=True)
    shop.is_so("sum(max_over_time(jobs_settled_total{job_type='pay',outcome='done'}[10m]))", 8)


def test_page_when_a_partition_stands_still(shop: Shop, tmp_path: Path) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    free = tmp_path / "free"

    shop.enqueue("await_file", free)

    told = shop.told("JobsPartitionStalled", "firing", since, queue="mail")
    assert told["receiver"] == "page"
    shop.follow("JobsPartitionStalled")
    free.touch()
    shop.told("JobsPartitionStalled", "resolved", since, queue="mail")
    shop.follow("JobsPartitionStalled", mended=True)


def test_read_side_that_stands_is_told(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    path = shop.folder / "views.db"
    url = f"sqlite:///{path}"
    environ = {**shop.environ, "JOBSTREAM_VIEWS_DATABASE": url}
    command = [sys.executable, "-m", "jobstream", "views"]

    with Fleet(command, shop.folder / "views", environ) as projections:
        projection = projections.start()
        shop.enqueue("send_receipt", "o-1")
        asked = [*command, "status"]

        def has_read_all() -> bool:
            given = {**os.environ, **environ}
            return not subprocess.run(asked, env=given, timeout=LIMIT_S, check=False).returncode

        wait_until(has_read_all, "it has read everything once", limit_s=LIMIT_S)
        shop.is_so("max(jobs_views_behind_seconds) < bool 3", 1)
        with closing(sqlite3.connect(path, timeout=LIMIT_S)) as database:
            database.execute("BEGIN IMMEDIATE")
            shop.enqueue("send_receipt", "o-2")
            assert shop.told("JobsViewsBehind", "firing", since)["receiver"] == "ticket"
            shop.follow("JobsViewsBehind", JOBSTREAM_VIEWS_DATABASE=url)
        shop.told("JobsViewsBehind", "resolved", since)
        wait_until(has_read_all, "it has caught up", limit_s=LIMIT_S)
        shop.follow("JobsViewsBehind", mended=True, JOBSTREAM_VIEWS_DATABASE=url)
        projections.drain(projection)
    shop.is_so("count(up == 1)", 3)


def test_what_waits_unrun_is_told(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    for member in list(shop.workers.alive):
        shop.workers.kill(member)

    shop.run("enqueue", "shop:app", "send_receipt", '{"order_id": "o-1"}', "--delay", "1s")
    shop.enqueue("send_receipt", "o-2")
    shop.keep_for("40s")

    # Not that it is told: it is held back once brokers have given up the killed delayers.
    shop.is_so('count(ALERTS{alertname="JobsDelayerLate",alertstate="firing"}) > bool 0', 1)
    assert shop.told("JobsRetentionAtRisk", "firing", since, queue="mail")["receiver"] == "page"
    shop.follow("JobsDelayerLate", "JobsRetentionAtRisk")
    shop.run("topics", "apply", "shop:app")
    # Where all this took longer than the retention, jobs are gone, and workers refuse to skip them.
    shop.run("offsets", "reset", "mail", "--to", "earliest")
    shop.healthy()
    shop.told("JobsRetentionAtRisk", "resolved", since, queue="mail")
    shop.is_so('absent(ALERTS{alertname="JobsDelayerLate",alertstate="firing"})', 1)
    shop.follow("JobsDelayerLate", "JobsRetentionAtRisk", mended=True)


def test_page_when_no_canary_comes_through(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    canary = shop.canaries.start()
    seen = "jobs_canary_last_success_timestamp_seconds"
    wait_until(lambda: shop.prometheus.value(seen), "a canary came through", limit_s=LIMIT_S)

    shop.canaries.kill(canary)

    assert shop.told("JobsCanaryMissing", "firing", since, queue="mail")["receiver"] == "page"
    shop.follow("JobsCanaryMissing")
    shop.canaries.start()
    shop.told("JobsCanaryMissing", "resolved", since, queue="mail")
    shop.follow("JobsCanaryMissing", mended=True)
    shop.canaries.drain_all()


def test_held_queue_is_told(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)

    shop.enqueue("invoice", *range(INVOICES))

    shop.told("JobsFloodGuardClosed", "firing", since, queue="mail")
    shop.follow("JobsFloodGuardClosed")
    dead = 'max(jobs_open_dead_letters{job_type="invoice"})'
    wait_until(lambda: (shop.prometheus.value(dead) or 0) >= 100, "many died", limit_s=LIMIT_S)
    shop.deploy(MENDED)
    shop.told("JobsFloodGuardClosed", "resolved", since, queue="mail")
    shop.follow("JobsFloodGuardClosed", mended=True, TYPE="invoice")
    done = "sum(max_over_time(jobs_settled_total{job_type='invoice',outcome='done'}[10m]))"
    shop.is_so(done, INVOICES)
    assert not shop.run("dlq", "list", "--type", "invoice", "--json")


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


def test_group_that_does_not_come_to_rest_is_told(shop: Shop) -> None:
    shop.healthy()
    delayers = f"{shop.name}.delay"

    # Six guests are enough, but for those that leave before they were given anything.
    for _ in range(30):
        if shop.prometheus.values(f'ALERTS{{alertname="JobsRebalanceStorm",group="{delayers}"}}'):
            break
        guest = shop.workers.start()
        shop.is_so(f'max(jobs_group_members{{group="{delayers}"}})', 3)
        shop.workers.drain(guest)
        shop.is_so(f'max(jobs_group_members{{group="{delayers}"}})', 2)

    # At any time: on a busy machine members may have come and gone before.
    shop.told("JobsRebalanceStorm", "firing", group=delayers)
    shop.follow("JobsRebalanceStorm")


def test_http_side_that_fails_is_told(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    port = some_free_port()
    command = [sys.executable, "-m", "jobstream", "web", "--app", shop.name, "--port", str(port)]
    failed = 'sum(increase(jobs_http_requests_total{status="503"}[10m]))'
    brokerless = {"JOBSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{some_free_port()}"}

    with Fleet(command, shop.folder / "webs", shop.environ) as webs:
        web = webs.start(brokerless)
        wait_until(
            lambda: status_of(port) == 503 and (shop.prometheus.value(failed) or 0) > 5,
            "many are refused",
            limit_s=LIMIT_S,
        )
        assert shop.told("JobsApiErrors", "firing", since)["receiver"] == "ticket"
        shop.follow("JobsApiErrors")
        webs.drain(web)
    shop.is_so("count(up == 1)", 3)


def test_outbox_that_no_relay_publishes_is_told(shop: Shop) -> None:
    shop.healthy()
    since = len(shop.webhook.received)
    url = f"sqlite:///{shop.folder / 'orders.db'}"
    environ = {**shop.environ, "JOBSTREAM_DATABASE": url}
    brokerless = {"JOBSTREAM_BOOTSTRAP_SERVERS": f"127.0.0.1:{some_free_port()}"}

    def write(*orders: str) -> None:
        command = [sys.executable, "-c", WRITES, url, *orders]
        subprocess.run(command, env=environ, check=True, timeout=LIMIT_S)

    write("o-1", "o-2")
    command = [sys.executable, "-m", "jobstream", "relay", "shop:app"]
    with Fleet(command, shop.folder / "relays", environ) as relays:
        relay = relays.start(brokerless)
        told = shop.told("JobsOutboxBehind", "firing", since)
        assert told["receiver"] == "page"
        shop.follow("JobsOutboxBehind", JOBSTREAM_DATABASE=url)
        relays.drain(relay)
        relay = relays.start()
        shop.told("JobsOutboxBehind", "resolved", since)
        shop.is_so("max(jobs_outbox_published_total)", 2)

        with closing(sqlite3.connect(shop.folder / "orders.db", timeout=LIMIT_S)) as database:
            database.execute(
                "INSERT INTO jobstream_outbox (app, lane, job_id, job_type, topic, partition,"
                " key, value, writer_schema)"
                " VALUES (?, 0, 'o-4', 'send_receipt', ?, 0, x'01', x'01', '{')",
                (shop.name, f"{shop.name}.mail"),
            )
            database.commit()
        assert shop.told("JobsOutboxRowsSetAside", "firing", since)["receiver"] == "ticket"
        shop.follow("JobsOutboxRowsSetAside", JOBSTREAM_DATABASE=url)
        with closing(sqlite3.connect(shop.folder / "orders.db", timeout=LIMIT_S)) as database:
            database.execute("DELETE FROM jobstream_outbox WHERE job_id = 'o-4'")
            database.commit()
        shop.told("JobsOutboxRowsSetAside", "resolved", since)
        relays.drain(relay)
    shop.is_so("count(up == 1)", 3)
