"""By how much a producer's clock is off, as far as a report can tell."""

from __future__ import annotations

import pytest

from jobstream.kafka.produce.producer_clock import ProducerClock


@pytest.mark.parametrize(
    ("sent_ms", "stamp_ms", "reported_ms", "ahead_ms"),
    [
        (1_000, 1_000, 1_000, 0),
        (1_000, 90_000, 100_000, 0),  # it took long, and the stamp lies between
        (100_000, 1_000, 100_010, 99_000),
        (1_000, 100_000, 1_010, -98_990),
        (100_000, 1_000, 200_000, 99_000),  # how long it took is no fault of the clock
    ],
)
def test_a_stamp_lies_between_sending_and_report(
    sent_ms: int, stamp_ms: int, reported_ms: int, ahead_ms: int
) -> None:
    assert ProducerClock().compare(sent_ms, stamp_ms, reported_ms) == ahead_ms
