"""Every number a worker and a delayer expose, beside what really happened to the jobs."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.harness.installed import program
from tests.harness.served import Served
from tests.harness.waiting import wait_until

from jobstream import App, Backoff, Cancel, Context, Dead, Snooze
from jobstream.observe.metrics import CATALOGUE
from jobstream.observe.targets import folder_of, living
from jobstream_schemas import JobCodec, Meta

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 120
LATE_S = 10
WORK_S = 0.2
SHORTLY = "50ms"
WHY = "for a reason"
Found = dict[tuple[str, ...], float]
STRANGE = ("jobs_settled_total", "_unknown", "retry", "mail")
"""How often a job of no known type was sent to wait: it comes back after five seconds at first."""


@dataclass(frozen=True)
class Mail:
    to: str


async def fine(_args: Mail) -> None:
    """End at once."""


async def waits(_args: Mail) -> None:
    await asyncio.sleep(WORK_S)  # work


def in_thread(_args: Mail) -> None:
    time.sleep(WORK_S)  # work


async def fails_once(_args: Mail, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ConnectionError(WHY)


async def snoozes_once(_args: Mail, ctx: Context) -> None:
    if ctx.seq == 0:
        raise Snooze(SHORTLY)


async def parks_once(_args: Mail, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ConnectionError(WHY)


async def dies(_args: Mail) -> None:
    raise Dead(WHY)


async def refuses(_args: Mail) -> None:
    raise ValueError(WHY)


async def is_cancelled(_args: Mail) -> None:
    raise Cancel(WHY)


async def is_late(_args: Mail) -> None:
    await asyncio.sleep(LATE_S)  # work


SOON = Backoff(attempts=2, first="50ms", cap="50ms", jitter=False)
ONCE = Backoff(attempts=1)
"""A job type, with options, for each handler above."""


def declare(app: App) -> None:
    queue = app.queue("mail", partitions=2)
    kinds: list[tuple[Any, dict[str, Any]]] = [
        (fine, {}),
        (waits, {"expect": "2s"}),
        (in_thread, {}),
        (fails_once, {"retry": SOON}),
        (snoozes_once, {"retry": SOON}),
        (parks_once, {"retry": SOON, "on_failure": "hold_key"}),
        (dies, {}),
        (refuses, {"retry": Backoff(attempts=9, dead_on=(ValueError,))}),
        (is_cancelled, {}),
        (is_late, {"retry": ONCE, "timeout": "250ms"}),
    ]
    for handler, options in kinds:
        app.job(queue=queue, **options)(handler)


class Shop:
    """A served app and its numbers."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.app = served.app
        self.plan = served.plans["mail"]

    def get(self, path: str) -> tuple[int, str]:
        folder = folder_of(self.app.settings.state_dir, self.app.name)
        (target,) = wait_until(lambda: living(folder), "the process is listed", limit_s=WAIT_S)
        try:
            with urllib.request.urlopen(f"http://{target.address}{path}", timeout=WAIT_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def scrape(self) -> Found:
        """Name and label values, sorted by label → value."""
        return {
            (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(self.get("/metrics")[1])
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def shop(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("metrics")
    name = f"metrics-{uuid.uuid4().hex[:8]}"
    servers = kafka.bootstrap_servers
    app = App(name, bootstrap_servers=servers, state_dir=folder, drain="5s")
    declare(app)
    with Served(app) as served:
        yield Shop(served)


@pytest.fixture(scope="module")
def happened(shop: Shop) -> Found:
    """Five jobs of each type to their ends, two records of strangers; then the numbers."""
    served, ids = shop.served, []
    for job in shop.app.jobs.values():
        ids += job.enqueue_many([Mail(str(n)) for n in range(5)])
    served.put(shop.plan.topic, b"these bytes are no job")
    for job_id in ids:
        served.end_of(job_id)
    served.put(shop.plan.topic, stranger())

    def all_counted() -> Found | None:
        """Rows and copies are seen in Kafka a moment before their writer counts them."""
        found = shop.scrape()
        settled = Counter[str]()
        for name, *labels in found:
            if name == "jobs_settled_total":
                settled[labels[1]] += int(found[name, *labels])
        is_ended = settled["done"] + settled["dead"] + settled["cancelled"] == len(ids) + 1
        are_back = found["jobs_delay_lateness_seconds_count", "mail"] >= 10
        return found if is_ended and are_back and found[STRANGE] else None

    found = wait_until(all_counted, "all is counted", limit_s=WAIT_S)
    assert found is not None
    return found


def stranger() -> bytes:
    """A job event of a type, with a schema, that nobody declared here."""
    codec = JobCodec(Mail, "someone_elses")
    return codec.encode(Meta(str(uuid.uuid4()), time.time_ns() // 1_000_000, "test"), Mail("x"))


def counted(found: Found, name: str, job_type: str) -> dict[str, float]:
    """The values of a counter of that type by its one other label; zeros left out."""
    own = {job_type, "mail"}
    shown = {(*key[1:],): value for key, value in found.items() if key[0] == name and value}
    return {(*set(key) - own,)[0]: value for key, value in shown.items() if own <= set(key)}


TRUTH = {
    "fine": ({"done": 5}, {}, {}),
    "waits": ({"done": 5}, {}, {}),
    "in_thread": ({"done": 5}, {}, {}),
    "fails_once": ({"done": 5, "retry": 5}, {"transient": 5}, {"0s": 5}),
    "snoozes_once": ({"done": 5, "snoozed": 5}, {}, {"0s": 5}),
    "parks_once": ({"done": 5}, {"transient": 5}, {"in place": 5}),
    "dies": ({"dead": 5}, {"permanent": 5}, {}),
    "refuses": ({"dead": 5}, {"permanent": 5}, {}),
    "is_cancelled": ({"cancelled": 5}, {}, {}),
    "is_late": ({"dead": 5}, {"timeout": 5}, {}),
}
"""Settled by outcome, failures by kind, retries by rung."""


@pytest.mark.parametrize("job_type", TRUTH)
def test_counters_are_what_happened(happened: Found, job_type: str) -> None:
    settled, failures, retries = TRUTH[job_type]

    assert counted(happened, "jobs_settled_total", job_type) == settled
    assert counted(happened, "jobs_failures_total", job_type) == failures
    assert counted(happened, "jobs_retries_total", job_type) == retries


def test_strangers_are_counted_each_time_they_come(happened: Found) -> None:
    """The one that may be of other code comes back every few seconds."""
    settled = counted(happened, "jobs_settled_total", "_unknown")
    retries = counted(happened, "jobs_retries_total", "_unknown")

    assert settled == {"dead": 1, "retry": sum(retries.values())}
    assert retries["5s"] >= 1
    assert counted(happened, "jobs_failures_total", "_unknown") == {"undecodable": 1}


def test_histograms_hold_every_run(happened: Found) -> None:
    def count(name: str, *labels: str) -> float:
        return happened[f"{name}_count", *labels]

    assert count("jobs_run_duration_seconds", "fine", "mail", "ok") == 5
    assert count("jobs_run_duration_seconds", "fails_once", "mail", "ok") == 5
    assert count("jobs_run_duration_seconds", "fails_once", "mail", "error") == 5
    assert count("jobs_run_duration_seconds", "is_late", "mail", "error") == 5
    assert count("jobs_queue_wait_seconds", "fails_once", "mail") == 10
    assert count("jobs_end_to_end_seconds", "fails_once", "mail") == 5
    for job_type in ("waits", "in_thread"):
        total = happened["jobs_run_duration_seconds_sum", job_type, "mail", "ok"]
        assert 5 * WORK_S <= total < 5 * WAIT_S
    for job_type, first, second in (("fine", 5, 5), ("fails_once", 0, 5), ("dies", 5, 5)):
        upto = [happened["jobs_attempts_bucket", job_type, le, "mail"] for le in ("1.0", "2.0")]
        assert upto == [first, second]


def test_dead_letters_by_reason(happened: Found) -> None:
    reasons = {
        "dies": {"dead_by_handler": 5},
        "refuses": {"permanent": 5},
        "is_late": {"attempts_exhausted": 5},
        "_unknown": {"undecodable": 1},
    }
    for job_type, expected in reasons.items():
        assert counted(happened, "jobs_dead_letters_total", job_type) == expected


def test_strangers_make_no_series_of_their_own(happened: Found, shop: Shop) -> None:
    types = {key[1] for key in happened if key[0] == "jobs_settled_total"}

    assert types == {*shop.app.jobs, "_unknown"}
    assert not [key for key in happened if "someone_elses" in key]


def test_what_is_exposed_is_what_the_catalogue_says(shop: Shop, happened: Found) -> None:
    exposed = set(re.findall(r"^# TYPE (jobs_\w+)", shop.get("/metrics")[1], re.MULTILINE))
    roles = {"producer", "worker", "delayer", "scheduler", "every role"}

    assert exposed == {metric.name for metric in CATALOGUE if metric.role in roles}
    assert happened["jobs_expected_seconds", "waits", "mail"] == 2
    for job_type in ("fine", "is_late"):
        assert happened["jobs_enqueued_total", job_type, "mail"] == 5


def test_the_delayer_counts_its_hops(happened: Found) -> None:
    most = 10 + happened[STRANGE]
    assert 10 <= happened["jobs_hops_total", "mail", "0s", "queue"] <= most
    assert 10 <= happened["jobs_delay_lateness_seconds_count", "mail"] <= most
    assert happened["jobs_delay_lateness_seconds_sum", "mail"] < most * WAIT_S
    assert happened["jobs_hops_total", "mail", "5s", "0s"] <= happened[STRANGE]


def test_what_the_worker_holds_and_spends(shop: Shop) -> None:
    seen = wait_until(
        lambda: (
            (found := shop.scrape())["jobs_in_flight", "mail"] == 0
            and found["jobs_commit_gap_records", "mail"] == 0
            and found
        ),
        "nothing is in flight and all is committed",
        limit_s=WAIT_S,
    )
    assert seen
    found = {key: value for key, value in seen.items() if "mail" in key and len(key) == 2}
    group = shop.app.name

    assert found["jobs_partitions_assigned", "mail"] == 2
    assert found["jobs_partitions_restoring", "mail"] == 0
    assert found["jobs_dedup_rows", "mail"] > 0
    assert found["jobs_dedup_rows_budget", "mail"] == 2_000_000
    assert 0 < seen["jobs_dedup_memory_bytes",] < 64 << 20
    assert seen["jobs_rebalances_total", group, "assigned"] >= 1
    assert abs(time.time() - seen["jobs_last_poll_timestamp_seconds", group]) < WAIT_S


def test_the_parts_of_the_loop_sum_to_wall_clock(shop: Shop) -> None:
    def spent() -> tuple[float, float]:
        found = shop.scrape()
        parts = [value for key, value in found.items() if key[0] == "jobs_loop_seconds_total"]
        return time.perf_counter(), sum(parts)

    at, before = spent()

    def are_equal() -> bool:
        later, after = spent()
        passed = later - at
        return passed > 1 and abs(after - before - passed) < passed / 10

    # A scrape, and the turn that it falls into, take some of it: less and less as time passes.
    wait_until(are_equal, "the parts are nine tenths of what passed", limit_s=WAIT_S)


def test_probes_and_status_say_that_all_is_well(shop: Shop) -> None:
    wait_until(lambda: shop.get("/readyz")[0] == 200, "it is ready", limit_s=WAIT_S)

    assert [shop.get(path)[0] for path in ("/livez", "/startupz")] == [200, 200]
    told = json.loads(shop.get("/status")[1])
    assert (told["app"], told["role"], told["partitions"]) == (shop.app.name, "worker", 2)
    assert (told["ready"], told["failed"], told["running"]) == (True, [], 0)


def test_statistics_of_the_clients_arrive(shop: Shop) -> None:
    clients = {"worker", "delayer", "sink"}

    def told() -> Found | None:
        """Each client tells of itself when it comes to it."""
        found = shop.scrape()
        up = {key[1] for key, value in found.items() if key[0] == "jobs_kafka_brokers_up" and value}
        return found if up >= clients else None

    found = wait_until(told, "the library told its statistics", limit_s=WAIT_S)

    assert found is not None
    assert {k[1] for k in found if k[0] == "jobs_kafka_brokers_up"} == clients
    assert found["jobs_kafka_brokers_up", "worker"] == 1
    assert [k for k in found if k[0] == "jobs_kafka_round_trip_seconds" and k[2] == "worker"]


def test_prometheus_finds_nothing_to_complain_of(shop: Shop) -> None:
    checked = subprocess.run(
        [program("promtool"), "check", "metrics"],
        input=shop.get("/metrics")[1],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )

    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_status_lists_the_process_and_what_it_holds(shop: Shop) -> None:
    wait_until(lambda: shop.get("/readyz")[0] == 200, "it is ready", limit_s=WAIT_S)
    environ = {**os.environ, "JOBSTREAM_STATE_DIR": str(shop.app.settings.state_dir)}
    command = [sys.executable, "-m", "jobstream", "status", "--app", shop.app.name]

    def status(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *options],
            env=environ,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    told = status("--json")
    (process,) = json.loads(told.stdout)
    table = status()

    assert (told.returncode, table.returncode) == (0, 0), told.stderr + table.stderr
    assert (process["pid"], process["role"], process["partitions"]) == (os.getpid(), "worker", 2)
    assert process["worker"] == f"{socket.gethostname()}:{os.getpid()}", "as `quiet` asks for it"
    assert process["worker"] in table.stdout
    assert (process["live"], process["ready"], process["in_flight"]) == (True, True, 0)
    assert table.stdout.split()[0] == "role"
    assert str(os.getpid()) in table.stdout

    elsewhere = status("--app", "nobody")
    assert elsewhere.returncode == 1
    assert "no process of 'nobody'" in elsewhere.stderr
