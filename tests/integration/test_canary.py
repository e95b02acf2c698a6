"""The canary on a real broker: it sees a living worker, and it sees that there is none."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.harness.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 180
SUCCESS, FAILURES = "jobs_canary_round_trip_seconds_count", "jobs_canary_failures_total"
SENT = "jobs_canary_sent_total"
LAST = "jobs_canary_last_success_timestamp_seconds"

APP = """
from dataclasses import dataclass
from jobstream import App

app = App("{name}", drain="5s")
mail = app.queue("mail", partitions=3)

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=mail)
async def send_receipt(args: Receipt) -> None: ...
"""


class Shop:
    """An app of its own, in a folder of its own."""

    def __init__(self, folder: Path, servers: str) -> None:
        self.name = f"canary-{uuid.uuid4().hex[:8]}"
        self.folder = folder
        self.environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_APP": self.name,
        }
        (folder / "shop.py").write_text(APP.format(name=self.name))
        assert self.run("topics", "apply", "shop:app").returncode == 0

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "jobstream", *words],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    @contextmanager
    def process(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A role that runs until the block ends, or until it is killed inside."""
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "jobstream", *words],
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(WAIT_S)

    def get(self, path: str, role: str = "canary") -> tuple[int, str]:
        """What the process of that role answers; (0, "") while it is not there."""
        for file in (self.folder / "state" / self.name / "targets").glob(f"{role}-*.json"):
            (entry,) = json.loads(file.read_text())
            try:
                with urllib.request.urlopen(f"http://{entry['targets'][0]}{path}") as answer:
                    return answer.status, answer.read().decode()
            except urllib.error.HTTPError as refusal:
                return refusal.code, refusal.read().decode()
            except OSError:
                continue
        return 0, ""

    def under_way(self) -> float:
        """Probes that were sent and have not ended, all told by one scrape."""
        counted = dict.fromkeys((SENT, SUCCESS, FAILURES), 0.0)
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name in counted:
                    counted[sample.name] += sample.value
        return counted[SENT] - counted[SUCCESS] - counted[FAILURES]

    def metric(self, name: str, **labels: str) -> float | None:
        """The one sample with these labels, as the canary exposes it now."""
        for family in text_string_to_metric_families(self.get("/metrics")[1]):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None


@pytest.fixture
def shop(tmp_path: Path, kafka: EmbeddedKafka) -> Shop:
    return Shop(tmp_path, kafka.bootstrap_servers)


def test_canary_tells_a_living_worker_from_none(shop: Shop) -> None:
    canary = ("canary", "--app", shop.name, "--interval", "1s", "--timeout", "3s")
    with shop.process("worker", "shop:app") as worker, shop.process(*canary) as process:
        wait_until(lambda: (shop.metric(SUCCESS, queue="mail") or 0) >= 3, "three probes are done",
                   limit_s=WAIT_S)  # fmt: skip
        assert shop.get("/readyz")[0] == 200
        assert shop.get("/startupz")[0] == 200
        once = shop.run("canary", "--once", "--json")
        probed = json.loads(once.stdout)

        worker.kill()
        worker.wait(WAIT_S)
        before = shop.metric(FAILURES, queue="mail", reason="timeout") or 0
        wait_until(lambda: (shop.metric(FAILURES, queue="mail", reason="timeout") or 0) > before,
                   "a probe has failed", limit_s=WAIT_S)  # fmt: skip
        stands = shop.metric(LAST, queue="mail")
        counted = shop.metric(FAILURES, queue="mail", reason="timeout") or 0
        wait_until(lambda: (shop.metric(FAILURES, queue="mail", reason="timeout") or 0) > counted,
                   "the next one has, too", limit_s=WAIT_S)  # fmt: skip

        assert shop.metric(LAST, queue="mail") == stands
        assert stands is not None
        assert 0 < time.time() - stands < WAIT_S
        assert shop.get("/readyz")[0] == 200, "a canary that sees death is well"
        assert shop.metric(FAILURES, queue="mail", reason="enqueue") == 0
        assert shop.under_way() in {0, 1}, "one at a time, and each has ended"
        dead = shop.run("canary", "--once", "--timeout", "1s")

    assert once.returncode == 0, once.stderr
    assert probed["ok"]
    assert 0 < probed["seconds"] < WAIT_S
    assert dead.returncode == 1
    assert "timeout" in dead.stdout
    assert process.returncode == 0
    jobs = [json.loads(shop.run("job", "show", probed["job_id"], "--json").stdout)]
    assert [(job["type"], job["state"]) for job in jobs] == [("_canary", "done")]


def test_an_unknown_queue_is_refused(shop: Shop) -> None:
    refused = shop.run("canary", "--once", "--queues", "mail,nope")

    assert refused.returncode == 1
    assert "has no queue 'nope'; it has: mail" in refused.stderr
