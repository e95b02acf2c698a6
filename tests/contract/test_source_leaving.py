"""What a member may rely on while it keeps a partition that it is to give back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.contract.test_source import filled, owner, publish
from tests.harness.member import turn_until

if TYPE_CHECKING:
    from tests.harness.bench import Bench

BENCHES = ("memory", "kafka", "kafka-classic")


def test_what_is_kept_is_delivered_while_a_revoked_partition_is_not_released(bench: Bench) -> None:
    # Given a member that owns two partitions and has read what is there
    group, topic = bench.group(), filled(bench, partitions=2, count=3)
    first = owner(bench, group, topic, 2)
    for place in first.owned:
        first.source.start(place, 0)
    turn_until([first], lambda: len(first.records) == 6)

    # When one is to move and is not released, and more is written meanwhile
    written: list[int] = []
    second = bench.member(group, topic)
    taken_early: list[bool] = []

    def both_came() -> bool:
        (moving,) = first.leaving
        kept = 1 - moving[1]
        if not written:
            first.source.pause([moving])
            publish(bench, topic, 2, kept, start=3)
            written.append(kept)
        taken_early.append(bool(second.owned))
        return len(first.records) >= 8

    first.may_leave = both_came
    turn_until([first, second], lambda: bool(second.owned))

    # Then it came, and what follows comes once and in order
    kept = written[0]
    assert second.owned == {(topic, 1 - kept)}
    publish(bench, topic, 2, kept, start=5)
    turn_until([first, second], lambda: len(first.records) >= 10)
    of_kept = [int(r.value() or b"") for r in first.records if r.partition() == kept]
    assert of_kept == list(range(7))
    # And nobody had the other one before
    assert not any(taken_early)
