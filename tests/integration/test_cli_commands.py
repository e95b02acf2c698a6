"""The command line against a real broker: what an operator types, in the order of a bad day."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 120
HUGE_BYTES = 1_048_000
"""Fits on the queue, but not with the headers of a copy."""

APP = """
import os
from dataclasses import dataclass
from jobstream import App, Backoff

app = App("{name}", drain="10s")
mail = app.queue("mail", partitions=2)

@dataclass(frozen=True)
class Receipt:
    order_id: str

@app.job(queue=mail, retry=Backoff(attempts=1))
async def send_receipt(args: Receipt) -> None:
    if args.order_id.startswith("bad") and not os.path.exists("repaired"):
        raise LookupError("no order " + args.order_id)
    print("sent", args.order_id, flush=True)
"""


class Shop:
    """An app of its own in a folder of its own, driven by commands alone."""

    def __init__(self, name: str, folder: Path, servers: str) -> None:
        self.name = name
        self.folder = folder
        self.servers = servers
        (folder / "shop.py").write_text(APP.format(name=name))
        self.environ = {
            **os.environ,
            "JOBSTREAM_BOOTSTRAP_SERVERS": servers,
            "JOBSTREAM_STATE_DIR": str(folder / "state"),
            "JOBSTREAM_APP": name,
        }

    def run(self, *words: str, stdin: str = "", code: int = 0) -> str:
        """Run a command to its end, and hold it to its exit code; what it printed."""
        ran = subprocess.run(
            [sys.executable, "-m", "jobstream", *words],
            cwd=self.folder,
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        assert ran.returncode == code, f"{words}: {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran.stdout if code == 0 or "--json" in words else ran.stdout + ran.stderr

    def json(self, *words: str, code: int = 0) -> Any:  # noqa: ANN401 - any JSON
        return json.loads(self.run(*words, "--json", code=code))

    def lines(self, *words: str, code: int = 0) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.run(*words, "--json", code=code).splitlines()]

    def letters(self, count: int) -> list[dict[str, Any]]:
        """Ask for the open letters until there are so many."""
        deadline = time.monotonic() + WAIT_S
        while len(found := self.lines("dlq", "list")) < count:
            assert time.monotonic() < deadline, f"{len(found)} letters of {count}"
        return sorted(found, key=lambda letter: str(letter["origin"]))

    def enqueue(self, order_id: str) -> str:
        args = json.dumps({"order_id": order_id})
        told = self.json("enqueue", "shop:app", "send_receipt", args)
        return str(told["job_id"])

    def enqueue_on(self, partition: int, order_id: str) -> None:
        """Enqueue jobs of that name until one stands on the partition."""
        args = json.dumps({"order_id": order_id})
        while self.json("enqueue", "shop:app", "send_receipt", args)["partition"] != partition:
            pass


class Worker:
    """`jobstream worker` as a process, and the lines it says."""

    def __init__(self, shop: Shop, *options: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobstream", "worker", "shop:app", "--log", "json", *options],
            cwd=shop.folder,
            env=shop.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def hear(self, word: str, times: int = 1) -> list[str]:
        """Wait until so many lines have the word; an empty line is the end of all."""
        while len(found := [line for line in self.said if word in line]) < times:
            try:
                line = self._lines.get(timeout=WAIT_S)
            except queue.Empty:
                line = ""
            assert line, f"{word!r} was said {len(found)} times of {times}: {self.said}"
            self.said.append(line.strip())
        return found

    def drain(self) -> int:
        """SIGTERM; its exit code once it has left, and its children with it."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(WAIT_S)
        self._reader.join(WAIT_S)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.drain()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")


@pytest.fixture
def shop(tmp_path: Path, kafka: EmbeddedKafka) -> Shop:
    made = Shop(f"shop-{uuid.uuid4().hex[:8]}", tmp_path, kafka.bootstrap_servers)
    made.run("topics", "apply", "shop:app")
    return made


@pytest.fixture
def workers() -> Iterator[list[Worker]]:
    started: list[Worker] = []
    yield started
    for worker in started:
        worker.close()


def test_topics_are_planned_then_applied(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    shop = Shop(f"shop-{uuid.uuid4().hex[:8]}", tmp_path, kafka.bootstrap_servers)

    planned = shop.run("topics", "plan", "shop:app", "--rate", "50", code=2)
    refused = shop.run("enqueue", "shop:app", "send_receipt", '{"order_id": "o"}', code=1)
    shop.run("topics", "apply", "shop:app")
    told = shop.json("topics", "plan", "shop:app")

    assert f"{shop.name}.mail.retry.1h" in planned
    assert "GiB" in planned
    assert "jobstream topics apply MODULE:APP" in refused
    assert {each["status"] for each in told["topics"]} == {"as it should be"}
    assert all(each["disk_bytes"] > 0 for each in told["topics"])


def test_a_topic_of_another_size_is_unsafe(shop: Shop) -> None:
    code = (shop.folder / "shop.py").read_text()
    (shop.folder / "shop.py").write_text(code.replace("partitions=2", "partitions=3"))

    planned = shop.run("topics", "plan", "shop:app", code=3)
    shop.run("topics", "apply", "shop:app", code=3)

    assert "UNSAFE" in planned
    assert "declare 2" in planned


def test_a_job_runs_and_its_way_is_told(shop: Shop, workers: list[Worker]) -> None:
    job_id = shop.enqueue("o-1")
    before = shop.json("lag")[0]
    workers.append(worker := Worker(shop, "--processes", "2"))
    worker.hear("sent o-1")
    assert worker.drain() == 0
    after = shop.json("lag")[0]

    told = shop.json("job", "show", job_id)

    assert (before["lag"], after["lag"]) == (1, 0)
    assert before["oldest_s"] > 0
    assert before["partitions"][0]["committed"] is None
    assert told["state"] == "done"
    assert told["type"] == "send_receipt"
    assert told["args"] == {"order_id": "o-1"}
    assert [each["what"] for each in told["timeline"]] == ["queued", "row"]


def test_one_process_drains_and_leaves(shop: Shop, workers: list[Worker]) -> None:
    workers.append(worker := Worker(shop))
    worker.hear("partition_served", times=2)
    busy = shop.run("offsets", "reset", "mail", "--to", "latest", code=1)
    shop.enqueue("o-1")
    worker.hear("sent o-1")

    assert worker.drain() == 0
    assert "has 1 members" in busy


def test_many_are_enqueued_from_lines(shop: Shop) -> None:
    orders = "\n".join(json.dumps({"order_id": f"o-{n}"}) for n in range(50))

    ids = shop.run("enqueue", "shop:app", "send_receipt", "-", "--many", stdin=orders).split()
    bad = shop.run(
        "enqueue", "shop:app", "send_receipt", '{"order_id": "x"}\n{"order": 1}', "--many", code=1
    )

    assert len(set(ids)) == 50
    assert shop.json("lag")[0]["lag"] in {50, 51}
    assert "line 2: Receipt has no field 'order'; did you mean order_id?" in bad


def test_a_delayed_job_is_seen_on_its_rung(shop: Shop) -> None:
    told = shop.json("enqueue", "shop:app", "send_receipt", '{"order_id": "o"}', "--delay", "3h")

    found = shop.json("job", "show", told["job_id"])
    rungs = [each for each in shop.json("lag")[0]["partitions"] if each["rung"] and each["lag"]]

    assert found["state"] == "waiting"
    assert [each["rung"] for each in rungs] == ["1h"]
    assert rungs[0]["oldest_s"] > 0


def test_a_dead_job_is_shown_redriven_and_done(shop: Shop, workers: list[Worker]) -> None:
    job_id = shop.enqueue("bad-1")
    workers.append(worker := Worker(shop))
    worker.hear("job_dead")

    (letter,) = shop.lines("dlq", "list")
    none = shop.lines("dlq", "list", "--type", "other")
    (shown,) = shop.json("dlq", "show", job_id)
    (planned,) = shop.lines("dlq", "redrive", "--error", "LookupError", "--dry-run")
    (shop.folder / "repaired").touch()
    (closed,) = shop.lines("dlq", "redrive", "--error", "LookupError", "--rate", "50/s")
    worker.hear("sent bad-1")
    assert worker.drain() == 0
    told = shop.json("job", "show", job_id)

    assert (letter["id"], letter["type"], letter["attempts"]) == (job_id, "send_receipt", 1)
    assert letter["error"] == "builtins.LookupError"
    assert none == []
    assert shown["args"] == {"order_id": "bad-1"}
    assert shown["headers"]["js-message"] == "no order bad-1"
    assert planned["outcome"] == "would redrive"
    assert closed["outcome"] == "redriven"
    assert shop.lines("dlq", "list") == []
    assert told["state"] == "done"
    what = [(each["what"], each["redrive"]) for each in told["timeline"]]
    assert sorted(what) == [
        ("dead letter", 0),
        ("letter closed", 0),
        ("queued", 0),
        ("queued", 1),
        ("row", 0),
        ("row", 1),
    ]


def test_garbage_is_told_shown_as_bytes_when_asked_and_discarded(
    shop: Shop, workers: list[Worker]
) -> None:
    stranger = Producer({"bootstrap.servers": shop.servers, "message.max.bytes": 2_000_000})
    stranger.produce(f"{shop.name}.mail", b"not a job\x1b[31m", b"k")
    stranger.produce(f"{shop.name}.mail", b"x" * HUGE_BYTES, b"k")
    assert stranger.flush(WAIT_S) == 0
    workers.append(worker := Worker(shop))

    small, huge = shop.letters(2)
    assert worker.drain() == 0
    told, shown = (shop.run("dlq", "show", small["id"], *how) for how in ((), ("--bytes",)))
    (pointed,) = shop.json("dlq", "show", huge["id"])
    failed = shop.lines("dlq", "redrive", "--id", huge["id"], code=1)
    refused = shop.run("dlq", "discard", code=2)
    closed = shop.lines("dlq", "discard", "--id", small["id"], "--id", huge["id"])

    assert small["id"].startswith(f"@{shop.name}.mail:")
    assert small["reason"] == "undecodable"
    assert "--bytes" in told
    assert "6e 6f 74" not in told
    assert "6e 6f 74 20 61 20 6a 6f 62" in shown
    assert "\x1b" not in shown
    assert pointed["value_bytes"] == HUGE_BYTES, "fetched from where the letter points"
    assert failed[0]["outcome"] == "failed"
    assert "--all" in refused
    assert [each["outcome"] for each in closed] == ["discarded"] * 2
    assert shop.lines("dlq", "list") == []


def test_a_place_that_retention_passed_is_left_by_a_reset(
    shop: Shop, workers: list[Worker]
) -> None:
    shop.enqueue("o-1")
    workers.append(first := Worker(shop))
    first.hear("sent o-1")
    assert first.drain() == 0
    shop.enqueue_on(0, "gone")
    shop.enqueue_on(1, "kept")
    gone = TopicPartition(f"{shop.name}.mail", 0, -1)
    AdminClient({"bootstrap.servers": shop.servers}).delete_records([gone])[gone].result(WAIT_S)

    # The partition that lost its jobs stands still, and says so; the other one goes on.
    workers.append(refused := Worker(shop))
    (told, *_) = refused.hear("partition_refused")
    assert "was deleted by retention" in told
    refused.hear("sent kept")
    shop.enqueue_on(1, "later")
    refused.hear("sent later")
    (status,) = shop.json("status", code=1)
    assert "in_log" in [each["check"] for each in status["failed"]]
    assert [each["reasons"] for each in status["paused"]] == [["not_in_log"]]
    assert refused.drain() == 0
    shop.run("offsets", "reset", "mail", "--to", "earliest")
    shop.enqueue_on(0, "last")
    workers.append(last := Worker(shop))
    last.hear("sent last")

    assert last.drain() == 0
    assert shop.json("offsets", "reset", "mail", "--to", "latest", "--dry-run") == []


def test_a_reset_moves_offset_and_mirror_and_rows_still_hold(
    shop: Shop, workers: list[Worker]
) -> None:
    for n in range(3):
        shop.enqueue(f"o-{n}")
    workers.append(first := Worker(shop))
    first.hear("sent o-", times=3)
    assert first.drain() == 0

    outside = shop.run("offsets", "reset", "mail", "--to", "999", code=1)
    tried = shop.json("offsets", "reset", "mail", "--to", "earliest", "--dry-run")
    kept = shop.json("offsets", "show", "mail")
    done = shop.json("offsets", "reset", "mail", "--to", "earliest")
    moved = shop.json("offsets", "show", "mail")
    shop.enqueue("o-3")
    workers.append(second := Worker(shop))
    second.hear("sent o-3")
    assert second.drain() == 0

    assert "offset 999 is not in" in outside
    assert [each["to"] for each in tried] == [0] * len(tried) != []
    assert sum(each["position"] for each in kept["partitions"]) == 3
    assert len(done) == len(tried)
    assert [each["position"] for each in moved["partitions"]] == [0, 0]
    assert all(each["mirrored"] in {0, None} for each in moved["partitions"])
    assert len([line for line in second.said if "sent o-" in line]) == 1, "rows drop what settled"
    assert shop.json("lag")[0]["lag"] == 0


def test_lag_says_what_waits_without_any_group(shop: Shop) -> None:
    shop.enqueue("o-1")

    table = shop.run("lag")
    (queue_lag,) = shop.json("lag", "--queue", "mail")
    missing = shop.run("lag", "--queue", "nope", code=1)
    nobody = shop.run("lag", "--app", "nobody", code=1)

    assert "mail" in table
    assert queue_lag["lag"] == 1
    assert queue_lag["open_letters"] == 0
    assert "has no queue 'nope'; it has: mail" in missing
    assert "app 'nobody' has no queues" in nobody


def test_an_unknown_job_is_not_found(shop: Shop) -> None:
    shop.enqueue("o-1")

    told = shop.run("job", "show", "00000000-0000-4000-8000-000000000000", code=1)

    assert "nothing of job" in told
    assert "the whole log" in told


def test_no_broker_is_one_line_with_the_fix(tmp_path: Path) -> None:
    shop = Shop("shop", tmp_path, "127.0.0.1:1")

    told = shop.run("lag", code=1)

    assert told.count("\n") == 1
    assert "JOBSTREAM_BOOTSTRAP_SERVERS" in told
