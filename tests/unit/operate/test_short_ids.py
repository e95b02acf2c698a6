"""When a job was made, by the beginning of its id; what a job's history says of where it is."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from jobstream.operate.history import History, HistoryEntry
from jobstream.operate.short_ids import times_in
from jobstream_processors.core.known import Known

MADE_MS = round(datetime(2026, 1, 31, 12, 0, 0, 123_000, tzinfo=UTC).timestamp() * 1_000)
DRAWN = str(uuid.UUID(int=MADE_MS << 80 | 7 << 76 | 2 << 62 | 0x1234))
DERIVED = str(uuid.uuid5(uuid.NAMESPACE_URL, "order-1"))
PLACE = ("shop.mail", 0, 1)
QUEUED = HistoryEntry(1_000, "queued", "mail", PLACE, {"redrive": 0})
WAITS = HistoryEntry(2_000, "waits", "mail", PLACE, {"redrive": 0, "rung": "10m"})
DEAD = HistoryEntry(3_000, "row", "mail", PLACE, {"redrive": 0, "state": "dead"})
LETTER = HistoryEntry(3_500, "dead letter", "mail", PLACE, {"redrive": 0})
AGAIN = HistoryEntry(4_000, "queued", "mail", PLACE, {"redrive": 1})


@pytest.mark.parametrize("size", [4, 8, 9, 13, 14, 15, 20, 35])
def test_the_time_of_a_drawn_id_lies_in_that_of_its_beginning(size: int) -> None:
    meant = times_in(DRAWN[:size])

    assert meant is not None
    assert meant[0] <= MADE_MS <= meant[1]


def test_more_of_an_id_tells_its_time_more_closely() -> None:
    lengths = [last - first for first, last in filter(None, (times_in(DRAWN[:n]) for n in (8, 13)))]

    assert lengths == [(1 << 16) - 1, 0], "65 seconds, then to the millisecond"


@pytest.mark.parametrize("prefix", [DERIVED[:8], DERIVED[:20], DRAWN[:14] + "5", "0000", "ffff"])
def test_other_ids_carry_no_time(prefix: str) -> None:
    assert times_in(prefix) is None


@pytest.mark.parametrize(
    ("entries", "facts", "state", "told_by"),
    [
        ([QUEUED], Known(), "queued or running", QUEUED),
        ([QUEUED, WAITS], Known(), "waiting", WAITS),
        ([QUEUED, WAITS, DEAD, LETTER], Known(ended=(0, 4)), "dead", DEAD),
        ([QUEUED, DEAD, LETTER, AGAIN], Known(ended=(0, 4)), "queued or running", AGAIN),
        ([LETTER], Known(), "?", LETTER),
        ([], Known(), "?", None),
    ],
)
def test_the_record_that_tells_the_state_is_known(
    entries: list[HistoryEntry], facts: Known, state: str, told_by: HistoryEntry | None
) -> None:
    found = History("j-1", None, entries, facts=facts)

    assert found.state == state
    assert found.told_by is told_by
    assert found.has_ended is (state == "dead")
