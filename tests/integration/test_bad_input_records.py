"""Records that no producer of ours would write, put on the topics by another client.

Each ends as a dead letter that keeps its bytes and tells its reason, and its partition goes on.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.harness.served import Served

from jobstream import App
from jobstream_schemas import JobCodec, Meta

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.harness.served import Letter

    from jobstream.broker.embedded import EmbeddedKafka

pytestmark = pytest.mark.kafka


@dataclass(frozen=True)
class Note:
    text: str


@dataclass(frozen=True)
class Other:
    text: str
    more: int


NOTE: JobCodec[Note] = JobCodec(Note, "note")
SEEN: list[str] = []


@pytest.fixture(scope="module")
def served(kafka: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    app = App(
        f"bad-{uuid.uuid4().hex[:8]}",
        bootstrap_servers=kafka.bootstrap_servers,
        state_dir=tmp_path_factory.mktemp("state"),
        commit_interval="200ms",
    )
    queue = app.queue("default", partitions=2)

    @app.job(queue=queue)
    async def note(args: Note) -> None:
        SEEN.append(args.text)

    @app.job(queue=queue)
    async def other(args: Other) -> None:
        SEEN.append(args.text)

    with Served(app) as served:
        note.enqueue(Note("the schema is known from here on"))
        yield served


@pytest.fixture
def queue(served: Served) -> str:
    return served.plans["default"].topic


def encoded(job_id: str, text: str) -> bytes:
    meta = Meta(id=job_id, enqueued_at=1, source="elsewhere")
    return NOTE.encode(meta, Note(text))


def new_id() -> str:
    return str(uuid.uuid4())


def noise() -> bytes:
    """Bytes that no framing begins with: a zero would be Confluent's, of a schema to wait for."""
    return b"\xff" + os.urandom(39)


def assert_goes_on(served: Served, partition: int = 0) -> None:
    """A job behind whatever was put on the partition still runs."""
    job_id = new_id()
    served.put(served.plans["default"].topic, encoded(job_id, job_id), partition=partition)
    assert served.end_of(job_id) == "done"
    assert job_id in SEEN


def letter_from(served: Served, topic: str, offset: int, partition: int = 0) -> Letter:
    """The letter of the record that stands there, if its own id could not be trusted."""
    return served.letter_of(f"@{topic}:{partition}:{offset}")


GARBAGE = {
    "no framing": b"hello, world",
    "empty": b"",
    "json": b'{"id": 1}',
    "marker alone": b"\xc3\x01",
    "no id": encoded("x", "text").replace(b"\x02x", b"\x00", 1),
    "above the byte cap of a decoder": encoded("big", "x")[:10] + os.urandom(1 << 19),
}


@pytest.mark.parametrize("value", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_kept_byte_for_byte(served: Served, queue: str, value: bytes) -> None:
    offset = served.put(queue, value, key=b"theirs")

    letter = letter_from(served, queue, offset)

    assert letter.reason == "undecodable"
    assert letter.value == value
    assert letter.told("message")
    assert letter.told("origin") == f"{queue}:0:{offset}"
    assert letter.told("key") == "theirs"
    assert served.end_of(letter.id) == "dead"
    assert_goes_on(served)


@pytest.mark.parametrize("harm", [lambda v: v[:-3], lambda v: v + b"!"], ids=["cut", "longer"])
def test_args_that_do_not_fit_are_a_letter_of_their_job(
    served: Served, queue: str, harm: Callable[[bytes], bytes]
) -> None:
    job_id = new_id()
    value = harm(encoded(job_id, "never runs"))

    served.put(queue, value)

    letter = served.letter_of(job_id)
    assert letter.reason == "undecodable"
    assert letter.value == value
    assert_goes_on(served)


def test_tombstone_on_the_queue_is_undecodable(served: Served, queue: str) -> None:
    offset = served.put(queue, None, key=b"theirs")

    letter = letter_from(served, queue, offset)

    assert letter.reason == "undecodable"
    # A letter without a value would be a tombstone: it would close itself.
    assert letter.value == b""
    assert_goes_on(served)


def test_record_without_a_key_runs(served: Served, queue: str) -> None:
    job_id = new_id()

    served.put(queue, encoded(job_id, job_id), key=None, partition=1)

    assert served.end_of(job_id) == "done"


def of_a_stranger() -> bytes:
    stranger: JobCodec[Other] = JobCodec(Other, "stranger")
    return stranger.encode(Meta(id=new_id(), enqueued_at=1, source="x"), Other("text", 1))


@pytest.mark.parametrize(
    "value",
    [of_a_stranger(), b"\x00\x00\x00\x00\x07" + os.urandom(35)],
    ids=["fingerprint", "an id of Confluent's registry"],
)
def test_unknown_schema_is_retried_without_using_attempts(
    served: Served, queue: str, value: bytes
) -> None:
    offset = served.put(queue, value)
    assert_goes_on(served)

    rung, count = served.plans["default"].rungs["5s"]
    copies = [dict(r.headers() or []) for r in served.records(rung, count) if r.value() == value]
    # It may have come back by now, and wait once more.
    (headers,) = [headers for headers in copies if headers["js-seq"] == b"1"]
    assert {headers["js-attempt"] for headers in copies} == {b"1"}
    assert headers["js-error"] == b"jobstream.UnknownSchema"
    assert headers["js-origin"] == f"{queue}:0:{offset}".encode()


NONSENSE = {
    "attempt below one": [("js-attempt", b"-1")],
    "attempt zero": [("js-attempt", b"0")],
    "due time": [("js-due-ms", b"abc")],
    "due time of other digits": [("js-due-ms", "١٢٣".encode())],
    "number without end": [("js-seq", b"9" * 10_000)],
    "null number": [("js-redrive", None)],
    "twice": [("js-attempt", b"1"), ("js-attempt", b"2")],
    "thousand headers": [(f"theirs-{n}", b"x") for n in range(1_000)],
    "huge": [("js-message", b"x" * 500_000)],
    "no UTF-8": [("js-origin", b"\xff\xfe")],
}


@pytest.mark.parametrize("headers", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_in_our_headers_is_a_dead_letter(
    served: Served, queue: str, headers: list[tuple[str, bytes]]
) -> None:
    value = encoded(new_id(), "never runs")

    offset = served.put(queue, value, headers=headers)

    letter = letter_from(served, queue, offset)
    assert letter.reason == "bad_headers"
    assert letter.value == value
    assert len(letter.headers) <= 64
    assert_goes_on(served)


NONSENSE_ON_RUNG = {
    **NONSENSE,
    "partition that is not there": [("js-partition", b"999")],
    "partition below zero": [("js-partition", b"-1")],
}


@pytest.mark.parametrize("headers", NONSENSE_ON_RUNG.values(), ids=NONSENSE_ON_RUNG.keys())
def test_nonsense_on_a_rung_is_a_dead_letter(
    served: Served, headers: list[tuple[str, bytes]]
) -> None:
    value = encoded(new_id(), "never runs")
    topic, _ = served.plans["default"].rungs["0s"]

    offset = served.put(topic, value, headers=headers)

    letter = letter_from(served, topic, offset)
    assert letter.reason == "bad_headers"
    assert letter.value == value


def test_partition_of_a_stranger_means_nothing_on_the_queue(served: Served, queue: str) -> None:
    job_id = new_id()

    served.put(queue, encoded(job_id, job_id), headers=[("js-partition", b"999")])

    assert served.end_of(job_id) == "done"


@pytest.mark.parametrize("rung", ["0s", "1d"])
def test_garbage_on_a_rung_reaches_the_dead_letters(served: Served, rung: str) -> None:
    topic, _ = served.plans["default"].rungs[rung]
    value = noise()

    served.put(topic, value)

    letter = served.letter(lambda found: found.value == value, "the garbage is dead")
    assert letter.reason == "undecodable"
    assert served.end_of(letter.id) == "dead"


def test_job_put_on_a_rung_without_headers_runs_at_once(served: Served) -> None:
    topic, _ = served.plans["default"].rungs["1h"]
    job_id = new_id()

    served.put(topic, encoded(job_id, job_id), key=None)

    assert served.end_of(job_id) == "done"


def test_same_id_with_other_args_is_a_conflict(served: Served, queue: str) -> None:
    job_id = new_id()
    served.put(queue, encoded(job_id, job_id))
    assert served.end_of(job_id) == "done"
    value = encoded(job_id, "other args")

    offset = served.put(queue, value)

    letter = letter_from(served, queue, offset)
    assert letter.reason == "id_conflict"
    assert letter.value == value
    assert "other args" not in SEEN
    assert served.end_of(job_id) == "done"
    assert_goes_on(served)


def test_same_id_with_other_meta_is_the_same_job(served: Served, queue: str) -> None:
    job_id = new_id()
    served.put(queue, encoded(job_id, job_id))
    again = NOTE.encode(Meta(id=job_id, enqueued_at=2, source="again"), Note(job_id))

    served.put(queue, again)
    assert_goes_on(served)

    assert SEEN.count(job_id) == 1
    assert not [letter for letter in served.letters() if letter.value == again]


def test_same_id_with_another_type_is_a_conflict(served: Served, queue: str) -> None:
    job_id = new_id()
    served.put(queue, encoded(job_id, job_id))
    other = served.app.jobs["other"]
    other.enqueue(Other("its schema is known", 1))
    value = other.codec.encode(Meta(id=job_id, enqueued_at=1, source="x"), Other("other type", 1))

    offset = served.put(queue, value)

    letter = letter_from(served, queue, offset)
    assert letter.reason == "id_conflict"
    assert letter.value == value
    assert "other type" not in SEEN
    assert served.end_of(job_id) == "done"


def test_two_strangers_that_claim_one_origin_are_both_kept(served: Served, queue: str) -> None:
    values = [noise(), noise()]
    headers = [("js-origin", b"elsewhere:0:7")]

    for value in values:
        served.put(queue, value, headers=headers)
    assert_goes_on(served)

    kept = {letter.value for letter in served.letters()}
    assert set(values) <= kept
