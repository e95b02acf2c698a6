"""What every shard of the dedup table does, in RocksDB and in memory alike."""

from __future__ import annotations

from itertools import count, permutations
from typing import TYPE_CHECKING, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobstream.dedup.rocks import ShardMemory
from jobstream.dedup.shard import RocksShard
from jobstream.testing.memory_shard import MemoryShard
from jobstream_processors.core.key_facts import NO_FACTS, GivenUp, HeldBy, KeyFacts, Newest
from jobstream_processors.core.known import UNKNOWN, Known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jobstream_processors.ports import Shard

PRINT = b"schema--"
DIGEST = b"args----"
DONE = Known(done=True, identity=(PRINT, DIGEST))
MOVED = Known(moved=(0, 1), identity=(PRINT, DIGEST))
DEAD = Known(ended=(1, 4), identity=(PRINT, DIGEST))
PARKED = Known(parked=(0, 0, 2, 1_700_000_000_000, 1, 1_600_000_000_000))
CRASHED = Known(crashes=(0, 3))
WEAKER = (MOVED, DEAD, PARKED, CRASHED)


class Kind(NamedTuple):
    """One kind of shard: a new one, and the same one closed and opened again."""

    new: Callable[[], Shard]
    reopened: Callable[[Shard], Shard]


def rocks(folder: Path) -> Kind:
    memory = ShardMemory(cache_bytes=8 << 20, write_bytes=4 << 20)
    numbers = count()
    paths: dict[int, Path] = {}

    def opened(path: Path) -> RocksShard:
        shard = RocksShard(path, ttl_seconds=3600, memory=memory, now_ms=lambda: 0)
        paths[id(shard)] = path
        return shard

    def reopened(shard: Shard) -> Shard:
        shard.close()
        return opened(paths[id(shard)])

    return Kind(lambda: opened(folder / str(next(numbers))), reopened)


def memory(_: Path) -> Kind:
    def reopened(shard: Shard) -> Shard:
        assert isinstance(shard, MemoryShard)
        shard.close()
        return shard.reopened()

    return Kind(MemoryShard, reopened)


@pytest.fixture(params=[rocks, memory], ids=["rocks", "memory"], scope="module")
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    made: Kind = request.param(tmp_path_factory.mktemp("shards"))
    return made


@pytest.fixture
def shard(kind: Kind) -> Iterator[Shard]:
    made = kind.new()
    yield made
    made.close()


def one(shard: Shard, job_id: str) -> Known:
    (known,) = shard.get([job_id])
    assert known is not None
    return known


def test_knows_nothing_of_a_new_id(shard: Shard) -> None:
    assert list(shard.get(["a", "b"])) == [None, None]


def test_asked_for_nothing_answers_nothing(shard: Shard) -> None:
    assert list(shard.get([])) == []


def test_answers_in_the_order_asked(shard: Shard) -> None:
    shard.put_done([("a", PRINT, DIGEST)])
    shard.merge([("b", MOVED)])

    assert list(shard.get(["b", "missing", "a", "b"])) == [MOVED, None, DONE, MOVED]


def test_ids_do_not_touch_each_other(shard: Shard) -> None:
    shard.put_done([("job", PRINT, DIGEST)])

    assert list(shard.get(["jo", "job1", "JOB", "b", ""])) == [None] * 5


@pytest.mark.parametrize("job_id", ["@jobs.mail:3:42", "a.b_c-d", "x" * 128])
def test_takes_every_id(shard: Shard, job_id: str) -> None:
    shard.put_done([(job_id, PRINT, DIGEST)])

    assert one(shard, job_id).done


@pytest.mark.parametrize(
    "identity", [(b"", b""), (PRINT, b""), (b"", DIGEST)], ids=["neither", "print", "digest"]
)
def test_done_keeps_whatever_identity_is_known(shard: Shard, identity: tuple[bytes, bytes]) -> None:
    shard.put_done([("a", *identity)])
    shard.merge([("b", Known(done=True, identity=identity))])

    assert list(shard.get(["a", "b"])) == [Known(done=True, identity=identity)] * 2


@pytest.mark.parametrize("before", WEAKER)
def test_done_absorbs_what_was_known_before(shard: Shard, before: Known) -> None:
    shard.merge([("a", before)])
    shard.put_done([("a", PRINT, DIGEST)])

    assert one(shard, "a").absorbs(99, 99) == "done"
    assert one(shard, "a").identity == (PRINT, DIGEST)


@pytest.mark.parametrize("after", WEAKER)
def test_done_stays_done(shard: Shard, after: Known) -> None:
    shard.put_done([("a", PRINT, DIGEST)])
    shard.merge([("a", after)])

    assert one(shard, "a").absorbs(99, 99) == "done"
    assert one(shard, "a").identity == (PRINT, DIGEST)


@pytest.mark.parametrize("fact", WEAKER)
def test_a_fact_comes_back_as_it_was(shard: Shard, fact: Known) -> None:
    shard.merge([("a", fact)])

    assert one(shard, "a") == fact


def test_merges_in_any_order_to_the_same(shard: Shard) -> None:
    orders = list(permutations(WEAKER))
    for number, order in enumerate(orders):
        for fact in order:
            shard.merge([(str(number), fact)])

    expected = UNKNOWN
    for fact in WEAKER:
        expected = expected.merge(fact)
    assert list(shard.get([str(number) for number in range(len(orders))])) == (
        [expected] * len(orders)
    )


def test_merges_facts_of_one_id_in_one_call(shard: Shard) -> None:
    shard.merge([("a", Known(moved=(0, 1))), ("a", Known(moved=(0, 3))), ("a", DEAD)])

    assert one(shard, "a") == DEAD.merge(Known(moved=(0, 3)))


def test_an_older_fact_makes_nothing_weaker(shard: Shard) -> None:
    shard.merge([("a", Known(moved=(2, 5)))])
    shard.merge([("a", Known(moved=(1, 9)))])
    shard.merge([("a", Known(moved=(2, 4)))])

    assert one(shard, "a") == Known(moved=(2, 5))


FACTS = st.builds(
    Known,
    done=st.booleans(),
    ended=st.tuples(st.integers(-1, 9), st.integers(0, 5)),
    moved=st.tuples(st.integers(-1, 9), st.integers(-1, 2**31 - 1)),
    parked=st.tuples(
        st.integers(-1, 9),
        *[st.integers(0, 2**31 - 1)] * 2,
        *[st.integers(0, 2**62)] * 3,
    ),
    crashes=st.tuples(st.integers(-1, 9), st.integers(0, 9)),
    identity=st.sampled_from([(b"", b""), (PRINT, DIGEST)]),
)


@settings(max_examples=30, deadline=None)
@given(written=st.lists(st.tuples(st.sampled_from("abc"), FACTS), max_size=12))
def test_knows_what_the_merge_of_all_facts_knows(
    kind: Kind, written: list[tuple[str, Known]]
) -> None:
    shard = kind.new()
    try:
        expected: dict[str, Known] = {}
        for job_id, fact in written:
            shard.merge([(job_id, fact)])
            expected[job_id] = expected.get(job_id, UNKNOWN).merge(fact)

        shard = kind.reopened(shard)
        for job_id, known in expected.items():
            found = one(shard, job_id)
            assert (found.done, found.identity) == (known.done, known.identity)
            assert found.done or found == known
    finally:
        shard.close()


def test_is_warm_when_opened_again(kind: Kind) -> None:
    shard = kind.new()
    shard.put_done([(str(number), PRINT, DIGEST) for number in range(1000)])
    shard.merge([("moved", MOVED)])

    again = kind.reopened(shard)

    assert list(again.get([*map(str, range(1000)), "moved"])) == [*[DONE] * 1000, MOVED]
    again.close()


def test_a_second_close_does_nothing(kind: Kind) -> None:
    shard = kind.new()
    shard.close()
    shard.close()


# -- unique keys

LEFT = KeyFacts(held=HeldBy(7, 0, 1, "first", 1_700_000_000_000))
GONE = KeyFacts(released=GivenUp(7, 0, 1, 12, "first"))
NEWEST = KeyFacts(waits=Newest(9, "second", 1_600_000_000_000))


def test_knows_nothing_of_a_new_unique_key(shard: Shard) -> None:
    assert shard.key_facts("key") == NO_FACTS


@pytest.mark.parametrize("name", ["key", "", "x" * 600, "a:b;c \u00e4"])
def test_takes_every_unique_key(shard: Shard, name: str) -> None:
    shard.keep_key_facts([(name, LEFT)])

    assert shard.key_facts(name) == LEFT


def test_unique_keys_and_ids_do_not_touch_each_other(shard: Shard) -> None:
    shard.put_done([("same", PRINT, DIGEST)])
    shard.keep_key_facts([("same", LEFT)])

    assert one(shard, "same") == DONE
    assert shard.key_facts("same") == LEFT
    assert shard.key_facts("sam") == NO_FACTS


def test_merges_holds_in_any_order_to_the_same(shard: Shard) -> None:
    orders = list(permutations((LEFT, GONE, NEWEST)))
    for number, order in enumerate(orders):
        for fact in order:
            shard.keep_key_facts([(str(number), fact)])

    expected = LEFT.merge(GONE).merge(NEWEST)
    assert {shard.key_facts(str(number)) for number in range(len(orders))} == {expected}


def test_merges_holds_of_one_key_in_one_call(shard: Shard) -> None:
    shard.keep_key_facts([("a", LEFT), ("b", NEWEST), ("a", GONE)])

    assert shard.key_facts("a") == LEFT.merge(GONE)
    assert shard.key_facts("b") == NEWEST


def test_tells_of_many_keys_in_one_read_in_the_order_of_the_names(shard: Shard) -> None:
    shard.keep_key_facts([("a", LEFT), ("b", NEWEST)])
    shard.keep_key_facts([("b", LEFT), ("c", GONE)])

    told = shard.facts_of_keys(["c", "none", "a", "b", "a"])

    assert list(told) == [GONE, NO_FACTS, LEFT, LEFT.merge(NEWEST), LEFT]
    assert list(shard.facts_of_keys([])) == []


def test_holds_are_warm_when_opened_again(kind: Kind) -> None:
    shard = kind.new()
    shard.keep_key_facts([("a", LEFT)])

    again = kind.reopened(shard)

    assert again.key_facts("a") == LEFT
    again.close()
