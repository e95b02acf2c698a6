"""A rung keeps every record it is given, says when that is too much, and keeps their order."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream.job_queue import Queue
from jobstream_processors.core.headers import Carried, Headers, render
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delay.rung import (
    BYTES_MAX,
    EXACT_BYTES_MAX,
    PROCESS_BYTES_MAX,
    RECORDS_MAX,
    ROOM_BYTES_MIN,
    Rung,
    share_room,
)

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
        return render(Carried(delay_ms=self.delay_ms, partition=0))

    def timestamp(self) -> tuple[int, int]:
        return 1, APPENDED_MS


def rung(name: str) -> Rung:
    made = Rung(PLAN, name, (f"shop.mail.retry.{name}", 0))
    made.watermark = Watermark(0)
    return made


@pytest.mark.parametrize(
    ("name", "size", "kept"),
    [("5s", 10, RECORDS_MAX), ("5s", BYTES_MAX // 4, 4), ("0s", EXACT_BYTES_MAX // 8, 8)],
)
def test_a_rung_is_full_by_number_or_bytes_and_keeps_what_comes_still(
    name: str, size: int, kept: int
) -> None:
    full = rung(name)
    share_room([full])

    for at in range(kept):
        assert not full.is_full()
        full.take(Waits(at, size))
    assert full.is_full()
    full.take(Waits(kept, size))

    assert len(full) == kept + 1
    assert full.bytes == (kept + 1) * size


def test_a_full_rung_has_room_again_when_half_of_it_left() -> None:
    full = rung("5s")
    share_room([full])
    for at in range(RECORDS_MAX):
        full.take(Waits(at))
    now_ms = APPENDED_MS + 5_000

    full.leave(now_ms, RECORDS_MAX // 2 - 1)
    assert not full.is_full()
    assert not full.has_room()
    full.leave(now_ms, 1)

    assert full.has_room()


def test_rungs_of_one_process_share_a_bound_and_each_has_some_room() -> None:
    many = [rung("0s") for _ in range(40)] + [rung("1h") for _ in range(5_000)]

    share_room(many)

    assert {r.room.bytes for r in many[:40]} == {PROCESS_BYTES_MAX // 2 // 40}
    assert {r.room.bytes for r in many[40:]} == {ROOM_BYTES_MIN}
    share_room(many[:1])
    assert many[0].room.bytes == EXACT_BYTES_MAX


def test_nothing_leaves_before_its_rung_is_over() -> None:
    waiting = rung("5s")
    waiting.take(Waits(0))

    assert waiting.leave(APPENDED_MS + 4_999, 1) == []
    assert len(waiting.leave(APPENDED_MS + 5_000, 1)) == 1
