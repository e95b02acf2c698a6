"""From when on a record is late: by its append, its due time, or because nobody carries it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.operate.peek import Head, Peek, head_of
from jobstream.testing.memory_record import MemoryRecord
from jobstream_processors.core.headers import Carried, render
from jobstream_processors.core.ladder import RUNG_MS
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.core.headers import Headers
    from jobstream_processors.ports import Record, TopicPartition

APPENDED = 1_000_000_000
HOUR = RUNG_MS["1h"]


def record(headers: Headers | None = None, *, offset: int = 0) -> MemoryRecord:
    out = Outgoing("shop.mail", b"k", b"v", 0, headers)
    return MemoryRecord(out, (0, offset), APPENDED, 0)


def late_after_ms(rung: str, carried: Carried) -> int:
    """Milliseconds from the append until the record is late."""
    head = head_of(record(render(carried)), rung)
    assert head.append_ms == APPENDED
    return head.late_from_ms - APPENDED


def test_on_a_queue_a_record_is_late_at_once() -> None:
    """A retry comes back as a new record: its due time is over."""
    assert late_after_ms("", Carried(due_ms=APPENDED + HOUR)) == 0


@pytest.mark.parametrize(
    ("rung", "carried", "late_ms"),
    [
        ("0s", Carried(delay_ms=3_000), 3_000),
        ("0s", Carried(due_ms=APPENDED + 2_000), 2_000),
        ("1h", Carried(delay_ms=HOUR), HOUR),
        # To be hopped on after an hour, though the job is due in a month: a dead delayer shows.
        ("1h", Carried(due_ms=APPENDED + 30 * 24 * HOUR), HOUR),
        # Due before the rung lets it go: the job waits for nothing it wanted.
        ("1h", Carried(due_ms=APPENDED + 60_000), 60_000),
        # Over when it was appended: it leaves at once.
        ("1h", Carried(due_ms=APPENDED - HOUR), 0),
        ("1h", Carried(), 0),
    ],
)
def test_on_a_rung_it_is_late_when_due_or_not_carried_on(
    rung: str, carried: Carried, late_ms: int
) -> None:
    assert late_after_ms(rung, carried) == late_ms


def test_headers_that_cannot_be_read_wait_for_nothing() -> None:
    bad = record([("js-due-ms", b"tomorrow")])

    assert head_of(bad, "1h") == Head(APPENDED, APPENDED)


class Log:
    """Serves a record at every offset asked for, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[TopicPartition, int]] = []

    def __call__(self, starts: Mapping[TopicPartition, int]) -> dict[TopicPartition, Record]:
        self.asked.append(dict(starts))
        return {place: record(offset=at) for place, at in starts.items() if at < 100}


def test_only_places_that_moved_are_fetched_again() -> None:
    log = Log()
    peek = Peek(log)
    a, b = ("shop.mail", 0), ("shop.mail", 1)

    peek.at({a: ("id", 1), b: ("id", 1)}, {})
    peek.at({a: ("id", 1), b: ("id", 2)}, {})
    found = peek.at({a: ("id", 1)}, {})
    peek.at({a: ("id", 1), b: ("id", 2)}, {})

    assert log.asked == [{a: 1, b: 1}, {b: 2}, {}, {b: 2}]
    assert found == {a: Head(APPENDED, APPENDED)}


def test_another_topic_of_the_same_name_is_fetched_again() -> None:
    log = Log()
    peek = Peek(log)
    place = ("shop.mail", 0)

    peek.at({place: ("old", 1)}, {})
    peek.at({place: ("new", 1)}, {})

    assert log.asked == [{place: 1}, {place: 1}]


def test_a_place_without_a_record_has_no_head_and_is_asked_again() -> None:
    log = Log()
    peek = Peek(log)

    assert peek.at({("shop.mail", 0): ("id", 100)}, {}) == {}
    assert peek.at({("shop.mail", 0): ("id", 100)}, {}) == {}
    assert len(log.asked) == 2
