"""What a probe is, apart from Kafka: where it goes and what the rows say of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from jobstream.canary.probing import Probed, end_of, id_on, pause_s, verdict
from jobstream_processors.core.partition import partition_for
from jobstream_schemas import Row, encode_done, encode_row, row_key

if TYPE_CHECKING:
    from jobstream_processors.ports import Record

ID, OTHER_ID = "0199c7a5-0000-7000-8000-000000000001", "0199c7a5-0000-7000-8000-000000000002"


class Stored:
    """A record as a reader of the topic gets it."""

    def __init__(self, key: bytes | None, value: bytes | None) -> None:
        self._key, self._value = key, value

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def topic(self) -> str:
        return "shop.mail.dedup"

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return 0

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, 0


def done(job_id: str) -> Record:
    return Stored(f"job:{job_id}:done:0".encode(), encode_done(b"d" * 8, b"f" * 8, job_id, 0, 1, 1))


def row(kind: str, state: str = "") -> Record:
    made = Row(kind=kind, id=ID, state=state, at=1)  # type: ignore[arg-type] # one of the kinds
    return Stored(row_key(made), encode_row(made))


@pytest.mark.parametrize("partitions", [1, 2, 12, 100])
def test_every_partition_gets_an_id_of_its_own(partitions: int) -> None:
    numbers = count()

    ids = [id_on(p, partitions, lambda: f"id-{next(numbers)}") for p in range(partitions)]

    assert [partition_for(job_id.encode(), partitions) for job_id in ids] == list(range(partitions))


def test_the_done_row_is_found_among_those_of_others() -> None:
    strange = [
        Stored(None, b"x"),
        Stored(b"claim", b"x"),
        Stored(f"job:{ID}:done:0".encode(), None),
    ]

    assert end_of(ID, [done(OTHER_ID), *strange, done(ID)]) == "done"
    assert end_of(ID, [done(OTHER_ID), *strange]) is None


def test_rows_that_end_nothing_are_passed_over() -> None:
    unreadable = Stored(f"job:{ID}:done:0".encode(), b"no row")

    assert end_of(ID, [row("moved"), row("parked"), unreadable]) is None


@pytest.mark.parametrize("state", ["dead", "cancelled", "expired"])
def test_any_other_end_is_a_failure_of_that_name(state: str) -> None:
    found = end_of(ID, [row("job", state)])

    assert verdict(Probed("mail", 0, ID, 0.5), found).failure == state


def test_a_state_from_the_future_has_a_bounded_name() -> None:
    assert end_of(ID, [row("job", "sent-to-the-moon")]) == "other"


def test_no_row_is_a_timeout_and_done_is_success() -> None:
    probed = Probed("mail", 3, ID, 1.5)

    assert verdict(probed, None).failure == "timeout"
    assert verdict(replace(probed, detail="why"), None).detail == "why"
    assert verdict(probed, "done") == probed


def test_intervals_run_from_start_to_start() -> None:
    assert pause_s(30, 2) == 28
    assert pause_s(30, 65) == 0
