"""A shard is restored up to the own claim, kept warm, and thrown away when it can't be trusted."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest

from jobstream.dedup.shard import Mark, RocksShard
from jobstream.dedup.table import Table
from jobstream.testing import MemoryLog
from jobstream_processors.core.known import Known
from jobstream_processors.errors import NoLongerWanted, TableUnavailable
from jobstream_schemas import Row, done_key, encode_row

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.dedup.conftest import Bench

    from jobstream_processors.ports import Shard, TopicPartition
    from jobstream_schemas.dedup_rows import RowKind

    Damage = Callable[[Path], object]

AT = 1_700_000_000_000
PRINT, DIGEST = b"schema--", b"args----"
FAR_MS = 48 * 3_600_000


def row(kind: RowKind, job_id: str, state: str = "", seq: int = 0, attempt: int = 0) -> Row:
    return Row(kind, job_id, state, 0, seq, attempt, DIGEST, PRINT, AT, 0, "")


def settled(shard: Shard, *ids: str) -> list[bool]:
    return [known is not None and known.done for known in shard.get(ids)]


def mark_of(shard: Shard) -> Mark:
    assert isinstance(shard, RocksShard)
    return shard.marked()


def test_an_empty_topic_gives_an_empty_shard(bench: Bench) -> None:
    opened = bench.open()

    assert settled(opened.shard, "a") == [False]
    assert opened.previous_claim is None


def test_a_restore_that_nobody_needs_any_more_is_given_up_and_gone_on_with(bench: Bench) -> None:
    ids = [f"job-{number}" for number in range(1_200)]
    bench.done(*ids)
    looks = iter([True, True, False])  # before it opens, and before each batch

    with pytest.raises(NoLongerWanted, match=r"given up at offset 500 of 1201"):
        bench.open(needed=lambda: next(looks))

    opened = bench.open(needed=lambda: True)
    assert opened.restored == 702
    assert all(settled(opened.shard, *ids))


def test_restores_every_kind_of_fact(bench: Bench) -> None:
    bench.done("a")
    bench.row(row("moved", "b", seq=1))
    bench.row(row("job", "c", "dead"))
    bench.row(row("crash", "d", attempt=2))
    bench.row(row("parked", "e", attempt=3)._replace(detail="7:99"))

    known = bench.open().shard.get(["a", "b", "c", "d", "e"])

    identity = (PRINT, DIGEST)
    assert list(known) == [
        Known(done=True, identity=identity),
        Known(moved=(0, 1), identity=identity),
        Known(ended=(0, 4), identity=identity),
        Known(crashes=(0, 2), identity=identity),
        Known(parked=(0, 0, 3, 0, 7, 99), identity=identity),
    ]


def test_restores_up_to_the_own_claim_and_not_beyond(bench: Bench) -> None:
    bench.done("before")
    claim = bench.claim()
    bench.done("after")

    shard = bench.open(claim).shard

    assert settled(shard, "before", "after") == [True, False]
    assert mark_of(shard) == Mark(claim + 1, claim)


@pytest.mark.parametrize("order", [("moved", "done"), ("done", "moved")])
def test_rows_of_one_id_in_one_batch_merge_in_any_order(
    bench: Bench, order: tuple[str, str]
) -> None:
    for kind in order:
        if kind == "done":
            bench.done("a")
        else:
            bench.row(row("moved", "a", seq=7))

    assert settled(bench.open().shard, "a") == [True]


def test_duplicate_rows_change_nothing(bench: Bench) -> None:
    for _ in range(3):
        bench.done("a")
        bench.row(row("moved", "b", seq=2))
    bench.row(row("moved", "b", seq=1))

    known = bench.open().shard.get(["a", "b"])

    assert [k and (k.done, k.moved) for k in known] == [(True, (-1, -1)), (False, (0, 2))]


def test_gaps_of_compaction_end_no_restore_early(bench: Bench) -> None:
    for number in range(1200):  # several batches of the log
        bench.done(str(number % 7), str(number))
    claim = bench.claim()
    bench.done("0", "5")
    bench.broker.compact(bench.topic)

    opened = bench.open(claim)

    assert all(settled(opened.shard, *map(str, range(1, 5)), *map(str, range(7, 1200))))
    assert mark_of(opened.shard) == Mark(claim + 1, claim)


def test_a_claim_that_was_compacted_away_is_still_the_end(bench: Bench) -> None:
    bench.done("a")
    claim = bench.claim()
    bench.claim()
    bench.broker.compact(bench.topic)

    shard = bench.open(claim).shard

    assert settled(shard, "a") == [True]
    assert mark_of(shard).next_offset == claim + 1


def test_rows_of_strangers_are_skipped_and_counted_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.done("a")
    bench.publish(b"job:b:done:0", b"garbage")
    bench.publish(b"\xff\xfe", None)
    bench.publish(done_key("c", 0), encode_row(row("job", "another", "done")))
    bench.row(row("job", "d", "unheard-of"))
    # Of a later version, perhaps: no fact, and no garbage. No type of today knows its kind.
    bench.row(row(cast("RowKind", "wish"), "e"))
    bench.done("z")

    shard = bench.open().shard

    assert settled(shard, *"abcdez") == [True, False, False, False, False, True]
    (warning,) = (r for r in caplog.records if r.message == "dedup_rows_unreadable")
    assert vars(warning)["skipped"] == 4


def test_tells_the_claim_before_the_own_one(bench: Bench) -> None:
    bench.claim()
    previous = bench.claim()
    bench.done("a")

    assert bench.open().previous_claim == previous


def test_a_warm_shard_remembers_the_claim_that_the_topic_has_lost(bench: Bench) -> None:
    first = bench.claim()
    bench.open(first)
    bench.close()
    second = bench.claim()
    bench.broker.compact(bench.topic)

    assert bench.open(second).previous_claim == first


def test_later_claims_are_not_the_one_before(bench: Bench) -> None:
    own = bench.claim()
    bench.claim()

    assert bench.open(own).previous_claim is None


def test_a_warm_start_reads_only_what_is_new(bench: Bench) -> None:
    bench.done(*map(str, range(50)))
    bench.open()
    bench.close()
    bench.done("new")

    opened = bench.open()

    assert opened.restored == 2  # the new row and the claim
    assert all(settled(opened.shard, *map(str, range(50)), "new"))


def test_close_reads_what_another_owner_wrote_meanwhile(bench: Bench) -> None:
    bench.open()
    bench.done("of-a-zombie")

    bench.close()

    opened = bench.open()
    assert opened.restored == 1  # the claim
    assert settled(opened.shard, "of-a-zombie") == [True]


def test_without_catching_up_the_mark_stays(bench: Bench) -> None:
    claim = bench.claim()
    shard = bench.open(claim).shard
    bench.done("a")
    shard.put_done([("a", PRINT, DIGEST)])
    bench.close(catch_up_s=0)

    assert bench.open().restored == 2


def test_catching_up_goes_on_beside_the_owner_and_stops_in_time(bench: Bench) -> None:
    shard = bench.open().shard
    bench.done(*map(str, range(1200)))

    first = bench.catch_up(seconds=0)
    rest = bench.catch_up()

    assert 0 < first < 1200
    assert first + rest == 1200
    assert mark_of(shard).next_offset == bench.broker.span(bench.place)[1]


def test_catching_up_a_closed_shard_reads_nothing(bench: Bench) -> None:
    bench.open()
    bench.close()

    assert bench.catch_up() == 0


def test_a_late_close_leaves_the_shard_of_a_later_assignment_open(bench: Bench) -> None:
    bench.done("a")
    dead = bench.open().shard
    living = bench.open().shard

    bench.table.close(bench.place, dead)

    assert settled(living, "a") == [True]
    living.put_done([("b", PRINT, DIGEST)])
    bench.close()
    assert settled(bench.open().shard, "a", "b") == [True, True]


def test_an_open_in_the_middle_of_a_late_close_keeps_its_table(bench: Bench) -> None:
    class Busy(MemoryLog):
        """The log, and what happens when somebody asks for its end."""

        then: Callable[[], object] | None = None

        def span(self, partition: TopicPartition) -> tuple[int, int]:
            then, self.then = self.then, None
            if then is not None:
                then()
            return super().span(partition)

    bench.done("a")
    bench.log = log = Busy(bench.broker)
    bench.table = Table(bench.slot, log, now_ms=lambda: 0, memory=bench.memory)
    dead = bench.open().shard
    log.then = bench.open

    bench.table.close(bench.place, dead)

    bench.close()
    assert bench.open().restored == 1, "its own claim: the table was closed well"
    assert bench.folders() == ["jobs.mail.dedup-0"]


def test_an_open_waits_for_an_earlier_one_and_goes_on_where_it_has_come_to(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.done(*map(str, range(1_200)))
    reading, go_on = threading.Event(), threading.Event()

    def slowly(_partition: tuple[str, int], _rows: int, remaining: int) -> None:
        if remaining == 0 and not reading.is_set():
            reading.set()
            assert go_on.wait(60.0)

    bench.table = Table(bench.slot, bench.log, slowly, now_ms=lambda: 0, memory=bench.memory)
    with ThreadPoolExecutor(2) as pool:
        dead = pool.submit(bench.open)
        assert reading.wait(60.0)
        living = pool.submit(bench.open)
        go_on.set()
        opened = living.result(60.0)

    bench.table.close(bench.place, dead.result().shard)
    assert opened.restored == 1, "its own claim: the other rows were there"
    assert settled(opened.shard, "0", "1199") == [True, True]
    assert not [r for r in caplog.records if r.message == "dedup_shard_rebuilt"]


def test_an_open_that_comes_after_that_of_its_heir_closes_nothing(bench: Bench) -> None:
    bench.done("a")
    opened = bench.open()

    with pytest.raises(NoLongerWanted):
        bench.open(claim=0, needed=lambda: False)

    assert settled(opened.shard, "a") == [True]


def test_rows_deleted_by_retention_are_passed_over(bench: Bench) -> None:
    bench.done("old", "older")
    bench.open()
    bench.close()
    bench.done("gone")
    bench.broker.truncate(bench.topic, 0, bench.broker.span(bench.place)[1])
    bench.done("new")

    shard = bench.open().shard

    assert settled(shard, "old", "gone", "new") == [True, False, True]
    assert bench.folders() == ["jobs.mail.dedup-0"]


def test_an_earlier_assignment_is_closed_first(bench: Bench) -> None:
    old = bench.open().shard

    new = bench.open().shard

    with pytest.raises(TableUnavailable, match="closed"):
        old.get(["a"])
    assert settled(new, "a") == [False]
    assert bench.folders() == ["jobs.mail.dedup-0"]


def test_partitions_do_not_meet(bench: Bench) -> None:
    bench.done("a")
    bench.open()
    other = bench.table.open(
        (bench.topic, 1), claim=0, topic_id=bench.broker.topic_id(bench.topic), window_ms=3_600_000
    )

    assert settled(other.shard, "a") == [False]
    assert bench.folders() == ["jobs.mail.dedup-0", "jobs.mail.dedup-1"]


def test_progress_ends_with_nothing_remaining(bench: Bench) -> None:
    bench.done(*map(str, range(30)))

    bench.open()

    assert bench.told == [(bench.place, 31, 0)]
