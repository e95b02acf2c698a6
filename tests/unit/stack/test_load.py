"""The example's load holds the trouble that it promises, and is the same each time."""

from __future__ import annotations

from collections import Counter

from examples.shop.load import BURST, BURST_EVERY_S, arrivals

MINUTES = [arrivals(second, rate=1) for second in range(1, 10 * BURST_EVERY_S + 1)]


def test_a_second_is_always_the_same() -> None:
    assert arrivals(7, rate=1) == MINUTES[6]


def test_there_is_trouble_of_every_kind_and_mostly_none() -> None:
    receipts = Counter(each.trouble for second in MINUTES for each in second.receipts)
    charges = Counter(each.trouble for second in MINUTES for each in second.charges)

    for troubles in (receipts, charges):
        assert set(troubles) == {"none", "flaky", "broken"}
        assert troubles["none"] > 0.9 * troubles.total()
        assert troubles["broken"] < troubles["flaky"]


def test_pictures_come_in_bursts() -> None:
    counts = [len(second.pictures) for second in MINUTES]

    assert sorted(counts)[-10:] == [BURST + 1] * 10
    assert counts.count(1) == len(counts) - 10


def test_rate_multiplies_what_comes() -> None:
    assert len(arrivals(1, rate=2).receipts) == 2 * len(arrivals(1, rate=1).receipts)
