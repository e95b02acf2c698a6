"""A circuit breaker of two workers on a real Kafka: what one finds, both obey; operators, too."""

from __future__ import annotations

import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import END_LIMIT_S, Served
from tests.harness.waiting import wait_until
from tests.integration.terminal import Terminal

from jobstream import App, Backoff, Breaker
from jobstream.roles.process import Roles
from jobstream_processors.core.headers import parse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka
JOBS = 20
OPEN_S = 20
"""Long enough for a busy machine to do all that happens meanwhile."""


@dataclass(frozen=True)
class Mail:
    to: str


class Post:
    """An app in a process that may not reach its provider, and what its handlers did."""

    def __init__(self, name: str, servers: str, folder: Path) -> None:
        self.app = App(name, bootstrap_servers=servers, state_dir=folder, replication=1, drain="5s")
        self.is_down = False
        self.runs: list[str] = []
        self.seen = threading.Event()
        smtp = Breaker("smtp", least=4, open=OPEN_S, open_max=2 * OPEN_S, probes=1)
        mail = self.app.queue("mail", partitions=2)

        @self.app.job(queue=mail, breaker=smtp, retry=Backoff(first="1s", cap="1s", factor=1))
        async def send(mail: Mail) -> None:
            self.runs.append(mail.to)
            if self.is_down:
                message = "no route to the provider"
                raise ConnectionError(message)

        @self.app.job(queue=mail)
        async def note(mail: Mail) -> None:  # noqa: ARG001 - that it runs is enough
            self.seen.set()

        self.send, self.note = send, note


@contextmanager
def serving(app: App) -> Iterator[None]:
    """Another worker of the same group, in this process."""
    roles = Roles(app)
    thread = threading.Thread(target=roles.run, name="another", daemon=True)
    thread.start()
    yield
    roles.stop()
    wait_until(lambda: not thread.is_alive(), "the other worker has left", limit_s=END_LIMIT_S)


def test_what_one_worker_finds_failing_the_other_need_not_try(
    kafka: EmbeddedKafka, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "jobstream.worker")
    name = f"breakers-{uuid.uuid4().hex[:8]}"
    first, second = (Post(name, kafka.bootstrap_servers, tmp_path) for _ in range(2))
    with Served(first.app) as served, serving(second.app):
        # Given two workers with a partition each, of which the first does not reach the provider
        _until_both_run(first, second)
        first.is_down = True
        failed = []
        while len([to for to in first.runs if to == "early"]) < 4:
            failed.append(first.send.enqueue(Mail("early")))
            first.note.enqueue(Mail("x"))
        wait_until(lambda: _openings(caplog) >= 2, "both have opened it", limit_s=END_LIMIT_S)

        # When more jobs come, on both partitions
        sent = [first.send.enqueue(Mail(f"ann{number}")) for number in range(JOBS)]
        ids = {job.job_id for job in sent}
        assert len({job.partition for job in sent}) == 2
        wait_until(
            lambda: ids <= _postponed(served), "all of them wait on the ladder", limit_s=END_LIMIT_S
        )

        # Then none of them was tried, and all are done once the provider is back
        assert not {to for to in first.runs + second.runs if to.startswith("ann")}
        first.is_down = False
        assert {served.end_of(job.job_id) for job in (*failed, *sent)} == {"done"}
        assert sorted(to for to in first.runs + second.runs if to.startswith("ann")) == sorted(
            f"ann{number}" for number in range(JOBS)
        )


def _until_both_run(first: Post, second: Post) -> None:
    def both() -> bool:
        first.note.enqueue(Mail("x"))
        return first.seen.is_set() and second.seen.is_set()

    wait_until(both, "both workers run jobs", limit_s=END_LIMIT_S)


def _openings(caplog: pytest.LogCaptureFixture) -> int:
    return len([each for each in caplog.records if each.message == "breaker_opened"])


def _postponed(served: Served) -> set[str]:
    """Ids of the jobs that were put on the ladder since a breaker is open."""
    found = set()
    for topic, partitions in served.plans["mail"].rungs.values():
        for record in served.records(topic, partitions):
            if parse(record.headers()).waits == "breaker":
                value = record.value() or b""
                found.add(served.app.jobs["send"].codec.decode(value).meta.id)
    return found


def test_operators_hold_it_by_command_and_status_shows_it(
    kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    post = Post(f"breakers-{uuid.uuid4().hex[:8]}", kafka.bootstrap_servers, tmp_path)
    with Served(post.app) as served:
        assert served.end_of(post.note.enqueue(Mail("x")).job_id) == "done"
        terminal = Terminal(post.app)
        assert "1 closed" in terminal.run("status")

        said = terminal.run(
            *("control", "breaker", "open", "smtp"),
            *("--for", "10m", "--who", "ann", "--why", "provider moves"),
        )
        assert said.startswith("breaker smtp is held open until ")
        assert "by ann: provider moves" in said
        assert "smtp open (held)" in terminal.run("status")
        (told,) = terminal.json("status")
        (breaker,) = told["breakers"]
        assert (breaker["name"], breaker["state"]) == ("smtp", "open")
        assert "hold_breaker open" in terminal.run("control", "list")
        assert "breaker smtp is held open until" in terminal.run("lag")
        kept = post.send.enqueue(Mail("ann"))
        assert served.end_of(post.note.enqueue(Mail("y")).job_id) == "done"
        assert post.runs == []

        assert "no worker on this machine has a breaker 'mailer'; there are smtp" in terminal.said(
            "control", "breaker", "open", "mailer"
        )
        said = terminal.run("control", "breaker", "close", "smtp", "--for", "10m")
        assert said.startswith("breaker smtp is held closed until ")
        assert "smtp is held" not in terminal.run("lag"), "closed, it keeps no job waiting"
        assert served.end_of(post.send.enqueue(Mail("bob")).job_id) == "done"
        said = terminal.run("control", "breaker", "release", "smtp")
        assert said.startswith("breaker smtp is no longer held; it was by ")
        assert terminal.json("control", "breaker", "release", "smtp") == []
        assert "1 closed" in terminal.run("status")
        post.app.control.cancel(kept.job_id)
