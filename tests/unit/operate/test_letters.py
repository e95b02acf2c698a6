"""Choosing dead letters, the copy that a redrive makes, its pace; what a pointer may name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from tests.unit.operate.letters import letter

from jobstream.errors import ConfigError
from jobstream.operate.errors import NotThere
from jobstream.operate.filters import LetterFilter
from jobstream.operate.history import start_for, time_in
from jobstream.operate.job_events import hex_dump
from jobstream.operate.layout import QueueTopics, queues_of
from jobstream.operate.open_letters import Original, pointed_at
from jobstream.operate.redrive import copy_of, discard_batch, read_rate, redrive_batch
from jobstream_processors.core.headers import Carried, parse
from jobstream_processors.core.ladder import RUNGS
from jobstream_processors.errors import PublishFailed, PublishFailure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobstream_processors.ports import Outgoing, TopicPartition

QUEUE = QueueTopics(
    "mail",
    "shop.mail",
    "dead",
    "rows",
    MappingProxyType({"0s": "rung"}),
    MappingProxyType({"shop.mail": 4, "dead": 4}),
)


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (LetterFilter(), True),
        (LetterFilter(ids=("j-0", "j-1")), True),
        (LetterFilter(ids=("j-0",)), False),
        (LetterFilter(job_types=("send_*",)), True),
        (LetterFilter(job_types=("other",)), False),
        (LetterFilter(error="Refused"), True),
        (LetterFilter(error="shop.errors.Refused"), True),
        (LetterFilter(error="shop.*"), True),
        (LetterFilter(error="errors"), False),
        (LetterFilter(reason="exhausted"), True),
        (LetterFilter(reason="crash*"), False),
        (LetterFilter(since_ms=1_000, until_ms=1_001), True),
        (LetterFilter(since_ms=1_001), False),
        (LetterFilter(until_ms=1_000), False),
        (LetterFilter(ids=("j-1",), reason="crash*"), False),
    ],
    ids=str,
)
def test_a_letter_must_meet_every_condition(wanted: LetterFilter, *, passes: bool) -> None:
    assert wanted.passes(letter()) is passes


def test_the_copy_has_the_original_bytes_and_starts_anew() -> None:
    headers = [("traceparent", b"t"), ("js-key", b"k"), ("js-attempt", b"8")]

    copy = copy_of(letter(), Original(b"k", b"bytes", headers), QUEUE)

    assert (copy.topic, copy.key, copy.value, copy.partition) == ("shop.mail", b"k", b"bytes", 3)
    assert parse(copy.headers) == Carried(redrive=3, partition=3, origin="shop.mail:3:17")
    assert ("traceparent", b"t") in (copy.headers or [])
    assert "js-key" not in dict(copy.headers or [])


class Refusing:
    """A sink that acknowledges all but the values and tombstones it is told to refuse."""

    def __init__(self, *refused: tuple[str, bytes | None]) -> None:
        self.refused = refused
        self.sent: list[Outgoing] = []

    def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
        bad = {i: r for i, r in enumerate(records) if (r.topic, r.key) in self.refused}
        self.sent += [record for i, record in enumerate(records) if i not in bad]
        if bad:
            raise PublishFailed({i: PublishFailure("refused") for i in bad})
        return {}


def test_every_copy_is_acknowledged_before_the_first_tombstone() -> None:
    sink = Refusing()
    batch = [(letter(f"j-{n}"), Original(b"%d" % n, b"bytes", [])) for n in range(3)]

    closed = list(redrive_batch(sink, {"mail": QUEUE}, batch))

    assert [each.outcome for each in closed] == ["redriven"] * 3
    assert [(r.topic, r.value) for r in sink.sent] == [
        *[("shop.mail", b"bytes")] * 3,
        *[("dead", None)] * 3,
    ]
    assert [(r.key, r.partition) for r in sink.sent[3:]] == [
        (b"j-0:2", 3),
        (b"j-1:2", 3),
        (b"j-2:2", 3),
    ]


def test_a_letter_whose_job_was_not_acknowledged_stays_open() -> None:
    sink = Refusing(("shop.mail", b"1"))
    batch = [(letter(f"j-{n}"), Original(b"%d" % n, b"bytes", [])) for n in range(3)]

    closed = {each.letter.id: each for each in redrive_batch(sink, {"mail": QUEUE}, batch)}

    assert closed["j-1"].outcome == "failed"
    assert "refused" in closed["j-1"].reason
    assert [r.key for r in sink.sent if r.value is None] == [b"j-0:2", b"j-2:2"]


def test_a_lost_tombstone_is_told_but_the_job_is_redriven() -> None:
    sink = Refusing(("dead", b"j-0:2"))

    (closed,) = redrive_batch(sink, {"mail": QUEUE}, [(letter("j-0"), Original(None, b"", []))])

    assert closed.outcome == "redriven"
    assert "still open" in closed.reason


def test_what_cannot_be_had_or_trusted_is_not_redriven() -> None:
    sink = Refusing()
    gone = (letter("j-0"), NotThere("deleted by retention"))
    odd = (letter("j-1", trouble="header js-attempt is odd"), Original(None, b"", []))

    closed = list(redrive_batch(sink, {"mail": QUEUE}, [gone, odd]))

    assert [each.outcome for each in closed] == ["failed", "failed"]
    assert not sink.sent


def test_a_discard_sends_tombstones_alone() -> None:
    sink = Refusing(("dead", b"j-1:2"))

    closed = list(discard_batch(sink, [letter("j-0"), letter("j-1")]))

    assert [each.outcome for each in closed] == ["discarded", "failed"]
    assert [(r.topic, r.key, r.value, r.partition) for r in sink.sent] == [
        ("dead", b"j-0:2", None, 3)
    ]


@pytest.mark.parametrize(
    ("text", "per_s", "batch"),
    [("50/s", 50, 50), ("50", 50, 50), ("120/m", 2, 2), ("1800/h", 0.5, 1), ("9999/s", 9999, 500)],
)
def test_a_rate_is_told_in_several_ways(text: str, per_s: float, batch: int) -> None:
    rate = read_rate(text)

    assert (rate.per_s, rate.batch) == (per_s, batch)


@pytest.mark.parametrize("text", ["", "fast", "0/s", "-1/s", "5/day", "inf/s", "nan", "1e-10/s"])
def test_another_rate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="50/s"):
        read_rate(text)


def test_a_rate_holds_back_by_what_was_sent() -> None:
    rate = read_rate("10/s")

    assert rate.wait_s(sent=20, elapsed_s=0.5) == 1.5
    assert rate.wait_s(sent=20, elapsed_s=5) == 0


def test_a_pointer_names_a_record_of_its_own_queue() -> None:
    assert pointed_at(b"shop.mail:3:17", QUEUE) == ("shop.mail", 3, 17)
    assert pointed_at(b"rung:0:1", QUEUE) == ("rung", 0, 1)


@pytest.mark.parametrize(
    "raw", [None, b"", b"bank.money:0:1", b"shop.mail:x:1", b"shop.mail:1", b"\xff:1:1"]
)
def test_any_other_pointer_is_refused(raw: bytes | None) -> None:
    with pytest.raises(NotThere, match="discard"):
        pointed_at(raw, QUEUE)


def test_queues_are_read_off_topic_names() -> None:
    counts = {
        "shop.mail": 3,
        "shop.mail.dlq": 3,
        "shop.mail.dedup": 3,
        "shop.mail.retry.1h": 1,
        "shop.mail.retry.0s": 3,
        "shop.stranger": 7,
        "shop.offsets": 1,
        "shopping.mail": 3,
        "shopping.mail.dlq": 3,
        "__consumer_offsets": 50,
    }

    (mail,) = queues_of("shop", counts, RUNGS)

    assert mail.name == "mail"
    assert list(mail.rungs) == ["0s", "1h"]
    assert mail.places(mail.topic) == [("shop.mail", 0), ("shop.mail", 1), ("shop.mail", 2)]
    assert mail.places("shop.stranger") == []


def test_the_time_in_an_id_narrows_the_search() -> None:
    made_ms = 1_769_860_800_000
    timed = "019c13ec-9e00-7000-8000-000000000000"

    assert time_in(timed) == made_ms
    assert start_for(timed, None) == made_ms - 300_000
    assert start_for(timed, 5) == 5
    assert time_in("00000000-0000-4000-8000-000000000000") is None
    assert start_for("@shop.mail:0:1", None) is None


def test_bytes_are_dumped_with_a_limit() -> None:
    lines = hex_dump(bytes(range(60, 80)) + b"\x00" * 5_000).split("\n")

    assert lines[0] == (
        "00000000  3c 3d 3e 3f 40 41 42 43 44 45 46 47 48 49 4a 4b  <=>?@ABCDEFGHIJK"
    )
    assert lines[-1] == "… and 924 bytes more"
