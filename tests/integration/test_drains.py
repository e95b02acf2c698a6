"""A worker that an operator drains, as a process: what comes after it, and what does not."""

from __future__ import annotations

import json
import socket
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.integration.by_command import Shop, Worker

if TYPE_CHECKING:
    from pathlib import Path

    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka
WAIT_S = 180


@pytest.fixture
def shop(tmp_path: Path, kafka: EmbeddedKafka) -> Shop:
    made = Shop(f"drains-{uuid.uuid4().hex[:8]}", tmp_path, kafka.bootstrap_servers)
    made.run("topics", "apply", "shop:app")
    return made


def names(worker: Worker, count: int) -> list[str]:
    """How workers are called, in the order of their starts."""
    return [json.loads(line)["worker"] for line in worker.hear("worker_started", count)]


def test_a_supervised_worker_is_followed_by_another_at_once(
    shop: Shop, workers: list[Worker]
) -> None:
    workers.append(parent := Worker(shop, "--processes", "2"))
    first, second = names(parent, 2)
    parent.hear("queue_served")

    said = shop.run("control", "drain", first, "--why", "a leak", "--timeout", "2m", code=None)
    assert f"every worker on this machine acts on it ({first})" in said
    (told,) = parent.hear("child_replaced")
    assert json.loads(told)["again_in_s"] == 0
    third = names(parent, 3)[2]
    assert third not in {first, second}

    shop.run("control", "drain", f"{socket.gethostname()}:*", "--timeout", "2m")
    assert len({*names(parent, 5)}) == 5
    shop.enqueue("o-1")
    parent.hear("sent o-1")
    assert parent.drain() == 0
    parent.hear("stopped", 5)
    assert len([line for line in parent.said if "child_replaced" in line]) == 3
    assert not [line for line in parent.said if "child_died" in line]


def test_a_worker_by_itself_ends_with_0_and_stays_when_it_is_started_again(
    shop: Shop, workers: list[Worker]
) -> None:
    workers.append(worker := Worker(shop))
    names(worker, 1)
    worker.hear("queue_served")

    shop.run("control", "drain", f"{socket.gethostname()}:*", "--who", "ann", "--no-wait")
    assert worker.process.wait(WAIT_S) == 0
    (told,) = worker.hear("draining")
    assert json.loads(told)["who"] == "ann"

    shop.enqueue("o-1")
    workers.append(again := Worker(shop))
    again.hear("sent o-1")
    assert again.drain() == 0
    (told,) = again.hear("draining")
    assert json.loads(told)["signal"] == "SIGTERM"
