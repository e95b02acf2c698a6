"""Who should own which partition: balanced, and with as few moves as balance allows. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from jobstream_processors.ports import TopicPartition


def assign(
    subscriptions: Mapping[str, Collection[str]],
    partitions: Iterable[TopicPartition],
    current: Mapping[TopicPartition, str],
) -> dict[TopicPartition, str]:
    """Partition → member. A partition whose topic no member subscribed to is in no value.

    Members that read the same topics end up with numbers of partitions that differ by at most one.
    """
    eligible = {
        partition: sorted(name for name, topics in subscriptions.items() if partition[0] in topics)
        for partition in sorted(partitions)
    }
    target: dict[TopicPartition, str] = {}
    load = Counter(dict.fromkeys(subscriptions, 0))
    for partition, members in eligible.items():
        owner = current.get(partition)
        if owner in members:
            target[partition] = owner
            load[owner] += 1
    for partition, members in eligible.items():
        if members and partition not in target:
            chosen = min(members, key=load.__getitem__)
            target[partition] = chosen
            load[chosen] += 1
    while move := _move(target, eligible, load):
        partition, receiver = move
        load[target[partition]] -= 1
        load[receiver] += 1
        target[partition] = receiver
    return target


def _move(
    target: Mapping[TopicPartition, str],
    eligible: Mapping[TopicPartition, list[str]],
    load: Mapping[str, int],
) -> tuple[TopicPartition, str] | None:
    """One move that brings two members closer together, if there is any."""
    for partition, owner in target.items():
        receiver = min(eligible[partition], key=load.__getitem__)
        if load[receiver] + 1 < load[owner]:
            return partition, receiver
    return None
