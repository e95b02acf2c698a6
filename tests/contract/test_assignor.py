"""Whatever joins or leaves: every partition has an owner, shares are fair, and little moves."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jobstream.testing.assignor import assign

NAMES = st.sampled_from("abcdef")
ALL_TOPICS = ("t1", "t2", "t3")
TOPICS = st.sampled_from(ALL_TOPICS)
SUBSCRIPTIONS = st.dictionaries(NAMES, st.frozensets(TOPICS, min_size=1))
PARTITIONS = st.lists(st.tuples(TOPICS, st.integers(0, 7)), unique=True)

CURRENT = st.dictionaries(st.tuples(TOPICS, st.integers(0, 7)), NAMES)


@given(SUBSCRIPTIONS, PARTITIONS, CURRENT)
def test_every_partition_somebody_reads_has_one_owner_who_reads_it(
    subscriptions: dict[str, frozenset[str]],
    partitions: list[tuple[str, int]],
    current: dict[tuple[str, int], str],
) -> None:
    target = assign(subscriptions, partitions, current)

    read = {topic for topics in subscriptions.values() for topic in topics}
    assert set(target) == {partition for partition in partitions if partition[0] in read}
    assert all(partition[0] in subscriptions[owner] for partition, owner in target.items())


@given(st.sets(NAMES, min_size=1), PARTITIONS, st.lists(NAMES, min_size=24, max_size=24))
def test_equal_members_have_fair_shares_whatever_was_before(
    members: set[str], partitions: list[tuple[str, int]], owners: list[str]
) -> None:
    current = dict(zip(partitions, owners, strict=False))

    target = assign(dict.fromkeys(members, ALL_TOPICS), partitions, current)

    shares = Counter(target.values())
    load = [shares[member] for member in members]
    assert max(load) - min(load) <= 1


@given(st.sets(NAMES, min_size=1), PARTITIONS)
def test_who_stays_keeps_what_it_has(members: set[str], partitions: list[tuple[str, int]]) -> None:
    settled = assign(dict.fromkeys(members, ALL_TOPICS), partitions, {})
    assert assign(dict.fromkeys(members, ALL_TOPICS), partitions, settled) == settled

    left = dict.fromkeys(sorted(members)[1:], ALL_TOPICS)
    after = assign(left, partitions, settled)

    stayed = [partition for partition, owner in settled.items() if owner in left]
    assert all(after[partition] == settled[partition] for partition in stayed)
