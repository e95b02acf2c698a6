"""What the jobs on the ladder wait for is estimated from their headers, once a minute at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.operate.ladder_reasons import LadderReasons, LadderWait, reason_of
from jobstream.testing.memory_record import MemoryRecord
from jobstream_processors.core.headers import Carried, Headers, render
from jobstream_processors.ports import Outgoing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

RUNG = ("shop.mail.retry.1h", 0)
QUEUES = {RUNG: "mail"}


@pytest.mark.parametrize(
    ("carried", "reason"),
    [
        (Carried(delay_ms=5), "later"),
        (Carried(first_failed_ms=5), "retry"),
        (Carried(first_failed_ms=5, waits="rate", waits_since_ms=9), "rate"),
        (Carried(waits="a_word_of_a_newer_version"), "a_word_of_a_newer_version"),
        (Carried(reason="bad_headers"), "other"),
    ],
)
def test_a_copy_says_what_it_waits_for(carried: Carried, reason: str) -> None:
    assert reason_of(carried) == reason


class Ladder:
    """Copies that stand on one rung, appended at the time of their offset."""

    def __init__(self, *headers: Headers) -> None:
        self.headers = list(headers)
        self.looks = 0
        self.now_s = 0.0
        self.reasons = LadderReasons(self.read, lambda: self.now_s)

    def read(self, spans: Mapping[tuple[str, int], tuple[int, int]]) -> Iterator[MemoryRecord]:
        self.looks += 1
        for place, (start, stop) in spans.items():
            for offset in range(start, stop):
                out = Outgoing(place[0], b"k", b"", place[1], self.headers[offset])
                yield MemoryRecord(out, (place[1], offset), offset, offset)

    def look(self) -> Mapping[tuple[str, str], LadderWait]:
        return self.reasons.look(QUEUES, {RUNG: (0, len(self.headers))} if self.headers else {})


def test_each_reason_has_its_number_and_the_first_that_waits() -> None:
    ladder = Ladder(
        render(Carried(waits="rate", waits_since_ms=700)),
        render(Carried(waits="rate", waits_since_ms=300)),
        render(Carried(waits="rate", waits_since_ms=500)),
        render(Carried(first_failed_ms=90)),
        render(Carried(delay_ms=5)),
        [("js-seq", b"x")],
    )

    assert ladder.look() == {
        ("mail", "rate"): LadderWait(3, 300),
        ("mail", "retry"): LadderWait(1, 90),
        ("mail", "later"): LadderWait(1, 4),
        ("mail", "other"): LadderWait(1, 5),
    }


def test_it_looks_once_a_minute() -> None:
    ladder = Ladder(render(Carried(waits="rate", waits_since_ms=700)))
    before = ladder.look()
    ladder.headers.append(render(Carried(delay_ms=5)))

    ladder.now_s = 59.0
    assert ladder.look() == before
    assert ladder.looks == 1
    ladder.now_s = 61.0
    assert ladder.look().keys() == {("mail", "rate"), ("mail", "later")}


def test_what_did_not_move_is_not_read_again_and_stays_known() -> None:
    ladder = Ladder(render(Carried(waits="rate", waits_since_ms=700)))
    before = ladder.look()

    ladder.now_s = 61.0

    assert ladder.look() == before
    assert ladder.looks == 1
    ladder.headers.clear()
    ladder.now_s = 122.0
    assert ladder.look() == {}
