"""A rung keeps a bounded number of records, loses none that it dropped, and keeps their order."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream.queue import Queue
from jobstream_processors.core.headers import Headers, Trip, render
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.rung import BUFFER_BYTES_MAX, BUFFER_MAX, HEAP_BYTES_MAX, Rung

APPENDED_MS = 1_000_000
PLAN = Queue("mail").plan("shop")


@dataclass(frozen=True)
class Waits:
    """A record that waits on a rung."""

    at: int
    size: int = 10
    delay_ms: int = 7_000

    def topic(self) -> str:
        return "rung"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes:
        return b"key"

    def value(self) -> bytes:
        return b"v" * self.size

    def headers(self) -> Headers:
        return render(Trip(delay_ms=self.delay_ms, partition=0))

    def timestamp(self) -> tuple[int, int]:
        return 1, APPENDED_MS


def rung(name: str) -> Rung:
    made = Rung(PLAN, name, (f"shop.mail.retry.{name}", 0))
    made.watermark = Watermark(0)
    return made


@pytest.mark.parametrize(
    ("name", "size", "kept"),
    [("5s", 10, BUFFER_MAX), ("5s", BUFFER_BYTES_MAX // 4, 4), ("0s", HEAP_BYTES_MAX // 8, 8)],
)
def test_a_full_rung_drops_the_rest_and_knows_from_where(name: str, size: int, kept: int) -> None:
    full = rung(name)

    for at in range(kept + 5):
        full.take(Waits(at, size))

    assert full.is_full
    assert len(full) == kept
    assert full.refetch == kept


def test_a_full_rung_has_room_again_when_half_of_it_left() -> None:
    full = rung("5s")
    for at in range(BUFFER_MAX):
        full.take(Waits(at))
    now_ms = APPENDED_MS + 5_000

    full.leave(now_ms, BUFFER_MAX // 2 - 1)
    assert not full.is_full
    assert not full.has_room
    full.leave(now_ms, 1)

    assert full.has_room


def test_what_was_dropped_is_taken_up_when_it_is_read_again() -> None:
    full = rung("5s")
    for at in range(BUFFER_MAX + 5):
        full.take(Waits(at))
    left = [hop.waiting.offset for hop in full.leave(APPENDED_MS + 5_000, BUFFER_MAX)]

    first, full.refetch = full.refetch, None
    assert first == BUFFER_MAX
    for at in range(first, BUFFER_MAX + 5):
        full.take(Waits(at))
    left += [hop.waiting.offset for hop in full.leave(APPENDED_MS + 5_000, BUFFER_MAX)]

    assert left == list(range(BUFFER_MAX + 5))


def test_nothing_leaves_before_its_rung_is_over() -> None:
    waiting = rung("5s")
    waiting.take(Waits(0))

    assert waiting.leave(APPENDED_MS + 4_999, 1) == []
    assert len(waiting.leave(APPENDED_MS + 5_000, 1)) == 1
