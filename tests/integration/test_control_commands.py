"""`jobstream control` on a real Kafka: what each command says, changes and refuses."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.integration.terminal import Terminal

from jobstream import App
from jobstream.testing.served import Served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Receipt:
    order_id: str


async def send_receipt(args: Receipt) -> None: ...


@pytest.fixture(scope="module")
def terminal(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    app = App(
        f"orders-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("orders"),
        replication=1,
    )
    app.job(queue=app.queue("mail", partitions=1))(send_receipt)
    served = Served(app)
    yield Terminal(app)
    served.close()


def test_what_the_app_does_not_have_is_refused_and_nothing_is_written(terminal: Terminal) -> None:
    assert "has no queue 'post'; it has: mail" in terminal.run(
        "control", "pause", "--queue", "post", code=1
    )
    assert "has no job type 'send'" in terminal.run("control", "pause", "--type", "send", code=1)
    assert "one of them" in terminal.run("control", "pause", code=1)
    assert "one of them" in terminal.run("control", "resume", "--queue", "mail", "id", code=1)
    assert "366d" in terminal.run("control", "pause", "--queue", "mail", "--for", "400d", code=1)
    assert "no queues" in terminal.run(
        "control", "pause", "--app", "nobody", "--queue", "mail", code=1
    )
    assert terminal.held() == []


def test_a_pause_is_told_wherever_its_queue_is_shown(terminal: Terminal) -> None:
    sent = terminal.app.jobs["send_receipt"].enqueue(Receipt("o-1"))
    words = ("control", "pause", "--queue", "mail", "--for", "2h", "--who", "ann@laptop")

    said = terminal.run(*words, "--why", "provider\x1b[31m is down")

    assert said.startswith("queue mail is paused until ")
    assert "by ann@laptop: provider" in said
    assert "\x1b" not in said
    assert said.strip() in terminal.run("lag")
    assert said.strip() in terminal.run("job", "show", sent.job_id)
    (queue,) = terminal.json("lag")
    (order,) = queue["orders"]
    assert (order["subject"], order["who"]) == ("mail", "ann@laptop")
    assert terminal.json("job", "show", sent.job_id)["orders"] == [order]

    resumed = terminal.run("control", "resume", "--queue", "mail")
    assert resumed.startswith("queue mail is not paused any more; it was by ann@laptop")
    again = terminal.run("control", "resume", "--queue", "mail")
    assert again == "queue mail is not paused any more; nothing was in force\n"
    assert "paused" not in terminal.run("lag")


def test_types_jobs_and_workers(terminal: Terminal) -> None:
    sent = terminal.app.jobs["send_receipt"].enqueue(Receipt("o-2"))
    paused = terminal.run("control", "pause", "--type", "send_receipt")
    assert paused.startswith("job type send_receipt is paused until ")
    cancelled = terminal.json("control", "cancel", sent.job_id, "--why", "wrong customer")
    assert cancelled["why"] == "wrong customer"
    assert "workers host:* take no new jobs until" in terminal.run("control", "quiet", "host:*")

    assert terminal.held() == [
        ("pause_type", "send_receipt"),
        ("cancel", sent.job_id),
        ("quiet", "host:*"),
    ]
    assert f"job {sent.job_id} is cancelled until" in terminal.run("job", "show", sent.job_id)
    assert "wrong customer" not in terminal.run("lag"), "a cancel holds up no queue"
    assert "wrong customer" in terminal.run("control", "list")

    terminal.run("control", "resume", "--type", "send_receipt")
    assert [e["why"] for e in terminal.json("control", "resume", sent.job_id)] == ["wrong customer"]
    assert "take jobs again" in terminal.run("control", "unquiet", "host:*")
    assert terminal.held() == []
