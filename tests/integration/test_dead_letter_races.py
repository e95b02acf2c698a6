"""Dead letters that two operators close at the same time, and reads whose caller takes its time."""

from __future__ import annotations

import time
import uuid
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from jobstream import App
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.operate import scan as scan_module
from jobstream.operate.open_letters import open_letters
from jobstream.operate.redrive import discard, read_rate, redrive
from jobstream.operate.scan import scan
from jobstream.operate.view import AppView
from jobstream.topics.apply import apply, survey
from jobstream_processors.core.headers import Carried, render
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream.broker import EmbeddedKafka
    from jobstream.operate.open_letters import Letter

pytestmark = pytest.mark.kafka


class Office:
    """An app without any worker, and dead letters that were put there by hand."""

    def __init__(self, servers: str) -> None:
        self.app = App(f"shop-{uuid.uuid4().hex[:8]}", bootstrap_servers=servers)
        queue = self.app.queue("mail", partitions=1)
        admin = Admin(self.app.settings)
        apply(survey(admin, self.app.name, [queue], self.app.settings), admin)
        self.plan = self.app.plan(queue)
        self.sink = KafkaSink(self.app.settings.client_options(), BrokerClock())

    def kill(self, *names: str) -> list[Letter]:
        """Append letters; returns all that are open."""
        carried = Carried(attempt=3, reason="attempts_exhausted", partition=0)
        headers = render(carried)
        self.sink.publish(
            [Outgoing(self.plan.dlq, f"{n}:0".encode(), n.encode(), 0, headers) for n in names]
        )
        return self.open()

    def open(self) -> list[Letter]:
        view = self.view()
        return open_letters(view, view.queues())

    def view(self) -> AppView:
        return AppView(self.app.name, self.app.settings)

    def queued(self) -> list[bytes | None]:
        view = self.view()
        place = (self.plan.topic, 0)
        return [record.value() for record in view.records(view.cluster.spans([place]))]


@pytest.fixture
def office(kafka: EmbeddedKafka) -> Iterator[Office]:
    made = Office(kafka.bootstrap_servers)
    with closing(made.sink):
        yield made


def test_a_slow_redrive_runs_nothing_that_was_discarded_meanwhile(office: Office) -> None:
    chosen = office.kill("a", "b", "c")
    going = redrive(office.view(), office.sink, chosen, read_rate("1.9/s"))
    first = next(going)

    others = list(discard(office.view(), office.sink, office.open()))
    rest = list(going)

    assert (first.letter.id, first.outcome) == ("a", "redriven")
    assert [each.outcome for each in others] == ["discarded", "discarded"]
    assert [each.outcome for each in rest] == ["closed", "closed"]
    assert office.queued() == [b"a"]


def test_a_discard_says_which_letters_had_been_redriven_meanwhile(office: Office) -> None:
    chosen = office.kill("a", "b")
    list(redrive(office.view(), office.sink, office.open()[:1]))

    told = {each.letter.id: each.outcome for each in discard(office.view(), office.sink, chosen)}

    assert told == {"a": "closed", "b": "discarded"}
    assert office.open() == []


def test_time_that_the_caller_takes_is_no_silence_of_the_broker(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.kill("a", "b")
    place = (office.plan.dlq, 0)
    options, spans = office.app.settings.client_options(), {place: (0, 2)}
    reading = scan(options, spans)
    next(reading)

    monkeypatch.setattr(scan_module, "STALL_S_MAX", 3.0)
    for _ in reading:
        time.sleep(3.2)  # work
