"""The command line against a real broker: what an operator types, in the order of a bad day."""

from __future__ import annotations

import json
import time
import uuid
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import Producer
from tests.integration.by_command import WAIT_S, Shop, Worker

from jobstream.cli.options import brokers_now, moment
from jobstream.operate.view import AppView
from jobstream.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
HOUR_MS = 3_600_000
HUGE_BYTES = 1_048_000
"""Fits on the queue, but not with the headers of a copy."""


def test_topics_are_planned_then_applied(tmp_path: Path, kafka: EmbeddedKafka) -> None:
    shop = Shop(f"shop-{uuid.uuid4().hex[:8]}", tmp_path, kafka.bootstrap_servers)

    planned = shop.run("topics", "plan", "shop:app", code=2)
    each = shop.run("topics", "plan", "shop:app", "--all", code=2)
    refused = shop.run("enqueue", "shop:app", "send_receipt", '{"order_id": "o"}', code=1)
    shop.run("topics", "apply", "shop:app")
    told = shop.json("topics", "plan", "shop:app")

    assert "mail" in planned
    assert "in all: 14 topics, 25 partitions, 1 copy of each" in planned
    assert len(planned.splitlines()) < 10
    assert f"{shop.name}.mail.retry.1h" in each
    assert "jobstream topics apply shop:app" in refused
    assert {each["status"] for each in told["topics"]} == {"as it should be"}


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
    worker.hear("ready")
    busy = shop.run("offsets", "reset", "mail", "--to", "latest", code=1)
    shop.enqueue("o-1")
    worker.hear("sent o-1")

    assert worker.drain() == 0
    assert "has 1 member (" in busy


def test_many_are_enqueued_from_lines(shop: Shop) -> None:
    orders = "\n".join(json.dumps({"order_id": f"o-{n}"}) for n in range(50))

    ids = shop.run("enqueue", "shop:app", "send_receipt", "-", "--many", stdin=orders).split()
    bad = shop.run(
        "enqueue", "shop:app", "send_receipt", '{"order_id": "x"}\n{"order": 1}', "--many", code=1
    )

    assert len(set(ids)) == 50
    assert shop.json("lag")[0]["lag"] in {50, 51}
    assert "line 2: 2 fields are wrong:" in bad
    assert "Receipt has no field 'order'; did you mean order_id?" in bad


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

    (letter,) = shop.letters(1)  # The worker says so before its letter is acknowledged.
    none = shop.lines("dlq", "list", "--reason", "permanent")
    shown = shop.json("dlq", "show", job_id)
    printed = shop.run("dlq", "show", job_id)
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
    assert letter["frame"] == shown["frame"]
    assert letter["frame"].startswith("shop.py:")
    assert shown["traceback"].startswith("Traceback (most recent call last):\n  File ")
    assert shown["traceback"].endswith("LookupError: no order bad-1\n")
    assert f"\ntraceback:\n{shown['traceback']}" in printed
    assert told["traceback"] == shown["traceback"]
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


def test_a_length_of_time_counts_from_the_brokers_now(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command's machine is an hour ahead."""
    shop.enqueue("o-1")
    view = AppView(shop.name, Settings.load({}, bootstrap_servers=shop.servers))
    right_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: right_ns() + HOUR_MS * 1_000_000)

    found = moment("--since", "2h", brokers_now(view))

    assert found is not None
    late_ms = found + 2 * HOUR_MS - right_ns() // 1_000_000
    assert -60_000 <= late_ms <= 0
    assert shop.lines("dlq", "list", "--since", "2h") == []


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
    pointed = shop.json("dlq", "show", huge["id"])
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

    assert "no trace of job" in told
    assert "the whole log" in told


def test_no_broker_is_one_line_with_the_fix(tmp_path: Path) -> None:
    shop = Shop("shop", tmp_path, "127.0.0.1:1")

    told = shop.run("lag", code=1)

    assert told.count("\n") == 1
    assert "JOBSTREAM_BOOTSTRAP_SERVERS" in told
