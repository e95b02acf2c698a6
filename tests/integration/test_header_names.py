"""Records whose header names are no text: bytes on the wire, which the client can't hand out.

It raises once and hands out a list with a hole the next time: touching that ends the process.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served
from tests.harness.waiting import wait_until
from tests.integration.foreign_client import put_raw

from jobstream import App
from jobstream.cli.letter_text import document
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.produce.sink import KafkaSink
from jobstream.observe.exporter import Exporter
from jobstream.operate.history import history
from jobstream.operate.onlooker import Onlooker
from jobstream.operate.open_letters import open_letters, with_originals
from jobstream.operate.redrive import redrive
from jobstream.operate.view import AppView
from jobstream_schemas import JobCodec, Meta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness.served import Letter as Dead

    from jobstream.broker.embedded import EmbeddedKafka
    from jobstream.operate.open_letters import Letter

pytestmark = pytest.mark.kafka
LIMIT_S = 180.0
NAMES = [(b"theirs\xff", b"x"), (b"js-attempt", b"1")]
PLAIN_CALLS = 50
"""So many calls, and Python has specialised those that would be plain ones."""


@dataclass(frozen=True)
class Note:
    text: str


NOTE: JobCodec[Note] = JobCodec(Note, "note")
SEEN: list[str] = []


@pytest.fixture
def served(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Not started."""
    app = App(
        f"names-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("state"),
        tracing=True,
    )
    queue = app.queue("default", partitions=1)

    @app.job(queue=queue)
    async def note(args: Note) -> None:
        SEEN.append(args.text)

    served = Served(app)
    note.enqueue(Note("the schema is known from here on"))
    yield served
    served.close()


def encoded(job_id: str) -> bytes:
    return NOTE.encode(Meta(id=job_id, enqueued_at=1, source="elsewhere"), Note(job_id))


def put(served: Served, topic: str, value: bytes) -> None:
    put_raw(served.app.settings.bootstrap_servers, (topic, 0), (b"theirs:0", value), NAMES)


def test_they_are_dead_letters_and_their_partition_goes_on(served: Served) -> None:
    topic = served.plans["default"].topic
    for number in range(PLAIN_CALLS):
        served.put(topic, encoded(f"before-{number}"), headers=[("theirs", b"x")])
    values = [encoded(str(uuid.uuid4())) for _ in range(3)]
    for value in values:
        put(served, topic, value)
    behind = str(uuid.uuid4())
    served.put(topic, encoded(behind))

    served.start()

    assert served.end_of(behind) == "done"

    def written() -> list[Dead]:
        return [letter for letter in served.letters() if letter.value in values]

    # What is done is settled by itself: its row tells of no letter.
    wait_until(lambda: len(written()) >= len(values), "they are dead", limit_s=LIMIT_S)
    letters = written()
    assert [letter.value for letter in letters] == values
    assert {letter.reason for letter in letters} == {"bad_headers"}
    assert "name is not UTF-8" in letters[0].told("message")
    assert "theirs" not in "".join(letters[0].headers)


@pytest.mark.parametrize("rung", ["0s", "5s"])
def test_they_leave_a_rung_at_once(served: Served, rung: str) -> None:
    topic, _ = served.plans["default"].rungs[rung]
    for number in range(PLAIN_CALLS):
        served.put(topic, encoded(f"{rung}-{number}"), headers=[("theirs", b"x")])
    value = encoded(str(uuid.uuid4()))
    put(served, topic, value)

    served.start()

    letter = served.letter(lambda found: found.value == value, "it is dead")
    assert letter.reason == "bad_headers"
    assert served.end_of(f"{rung}-{PLAIN_CALLS - 1}") == "done"


def test_who_looks_from_outside_survives_them(served: Served) -> None:
    app, plan = served.app, served.plans["default"]
    places = [plan.topic, plan.rungs["5s"][0], plan.rungs["0s"][0], plan.dlq]
    for topic in places:
        put(served, topic, encoded("any"))
    view = AppView(app.name, app.settings)

    exporter = Exporter(Onlooker(view), interval_s=1.0, objectives_s={})
    exporter.look()
    assert exporter.probes.status()["trouble"] is None

    (letter,) = open_letters(view, view.queues())
    assert "name is not UTF-8" in letter.trouble
    assert document(view, letter, {}, dump=False)["headers"] == {}
    for job_id in ("any", f"@{plan.topic}:0:1", f"@{places[1]}:0:0"):
        found = history(view, job_id, view.queues(), since_ms=0)
        assert found.entries[0].detail["reason"] == "bad_headers"


def test_a_letter_of_one_can_be_redriven_and_runs(served: Served) -> None:
    job_id = str(uuid.uuid4())
    put(served, served.plans["default"].topic, encoded(job_id))
    served.start()
    served.letter(lambda found: found.reason == "bad_headers", "it is dead")
    view = AppView(served.app.name, served.app.settings)
    letters: list[Letter] = open_letters(view, view.queues())
    assert [original for _, original in with_originals(view, letters)]

    sink = KafkaSink(served.app.settings.client_options(), BrokerClock())
    try:
        (closed,) = redrive(view, sink, letters)
    finally:
        sink.close()

    assert closed.outcome == "redriven"
    assert served.end_of(job_id) == "done"
