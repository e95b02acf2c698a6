"""What every store of idempotency keys does: in memory, on SQLite and on PostgreSQL."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import insert, update
from tests.harness.kept_keys import ANSWER, SLOT, TERMS, Awaited, Kept, KeptInSql, in_sql
from tests.harness.postgres import Postgres

from jobstream.idempotency import MemoryKeyStore, StoreAway, StoreNotReady
from jobstream.idempotency.key_states import (
    Answered,
    InUse,
    KeySlot,
    KeyTerms,
    Mine,
    NewerFormat,
    OtherRequest,
    Unkept,
)
from jobstream.idempotency.stored_answer import StoredAnswer
from jobstream.sql import SqlKeyStore
from jobstream.sql.key_statements import sweep
from jobstream.sql.schema import idempotency_keys as table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    with Postgres() as server:
        yield server.url


def url_of(request: pytest.FixtureRequest, folder: Path) -> str:
    is_file = request.param == "sqlite"
    return f"sqlite:///{folder}/k.db" if is_file else str(request.getfixturevalue("postgres"))


@pytest.fixture(params=["sqlite", "postgresql", "awaited"])
def in_tables(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KeptInSql]:
    with in_sql(url_of(request, tmp_path), awaited=request.param == "awaited") as found:
        yield found


@pytest.fixture(params=["memory", "sqlite", "postgresql", "awaited"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kept]:
    if request.param != "memory":
        with in_sql(url_of(request, tmp_path), awaited=request.param == "awaited") as found:
            yield found
        return
    now = [1_000_000.0]

    def passes(ms: int) -> None:
        now[0] += ms

    yield Kept(MemoryKeyStore(now_ms=lambda: now[0]), passes)


def test_one_run_at_a_time(kept: Kept) -> None:
    mine = kept.take()

    assert mine.attempt == 1
    assert kept.store.begin(SLOT, "d", TERMS) == InUse()
    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()
    assert kept.take(KeySlot("you", "k")).attempt == 1
    assert kept.take(KeySlot("me", "l")).attempt == 1


def test_an_answer_is_given_back_byte_for_byte(kept: Kept) -> None:
    assert kept.store.keep(kept.take(), ANSWER, TERMS)

    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)
    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()


def test_that_it_was_answered_is_remembered_without_the_answer(kept: Kept) -> None:
    assert kept.store.keep(kept.take(), Unkept(202, "streamed"), TERMS)

    assert kept.store.begin(SLOT, "d", TERMS) == Unkept(202, "streamed")


def test_a_released_key_runs_again_for_the_same_request_alone(kept: Kept) -> None:
    assert kept.store.release(kept.take())

    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()
    assert kept.take().attempt == 2


def test_a_renewal_that_comes_behind_the_end_of_its_run_changes_nothing(kept: Kept) -> None:
    released = kept.take()
    assert kept.store.release(released)
    assert not kept.store.renew(released, TERMS)
    again = kept.take()
    assert again.attempt == 2

    assert kept.store.keep(again, ANSWER, TERMS)
    assert not kept.store.renew(again, TERMS)
    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)


def test_a_lease_that_is_over_frees_the_key_and_fences_its_run_off(kept: Kept) -> None:
    late = kept.take()
    kept.passes(TERMS.lease_ms // 2)
    assert kept.store.begin(SLOT, "d", TERMS) == InUse()
    kept.passes(TERMS.lease_ms // 2 + 1)
    assert kept.store.begin(SLOT, "other", TERMS) == OtherRequest()
    heir = kept.take()

    assert heir.attempt == 2
    assert not kept.store.renew(late, TERMS)
    assert not kept.store.release(late)
    assert not kept.store.keep(late, StoredAnswer(500, (), b"late"), TERMS)
    assert kept.store.keep(heir, ANSWER, TERMS)
    assert not kept.store.keep(late, StoredAnswer(500, (), b"late"), TERMS)
    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)


def test_a_late_run_that_has_no_heir_keeps_its_answer(kept: Kept) -> None:
    late = kept.take()
    kept.passes(TERMS.lease_ms + 1)

    assert kept.store.keep(late, ANSWER, TERMS)
    assert kept.store.begin(SLOT, "d", TERMS) == Answered(ANSWER)


def test_a_lease_is_renewed(kept: Kept) -> None:
    mine = kept.take()
    kept.passes(TERMS.lease_ms * 2 // 3)
    assert kept.store.renew(mine, TERMS)
    kept.passes(TERMS.lease_ms * 2 // 3)

    assert kept.store.begin(SLOT, "d", TERMS) == InUse()


def test_a_run_outlives_the_time_that_answers_are_kept(kept: Kept) -> None:
    short = KeyTerms(lease_ms=TERMS.lease_ms, keep_ms=1_000)
    kept.take(terms=short)
    kept.passes(TERMS.lease_ms // 2)

    assert kept.store.begin(SLOT, "d", short) == InUse()


def test_what_expired_is_free_for_any_request(kept: Kept) -> None:
    kept.store.keep(kept.take(), ANSWER, TERMS)
    kept.passes(TERMS.keep_ms + 1)

    assert kept.take(digest="other").attempt == 1


def test_a_sweep_deletes_what_expired_and_no_more_than_it_may(kept: Kept) -> None:
    for number in range(5):
        kept.store.keep(kept.take(KeySlot("me", str(number))), ANSWER, TERMS)
    kept.passes(TERMS.keep_ms + 1)
    young = kept.take(KeySlot("me", "young"))

    assert [kept.store.sweep(3) for _ in range(3)] == [3, 2, 0]
    assert kept.store.renew(young, TERMS)


def test_of_many_threads_one_gets_the_key(kept: Kept) -> None:
    start = threading.Barrier(8)

    def take(_: int) -> list[object]:
        start.wait(60)
        return [kept.store.begin(KeySlot("me", str(n)), "d", TERMS) for n in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(take, range(8)))

    for begun in zip(*found, strict=True):
        assert sum(isinstance(each, Mine) for each in begun) == 1
        assert sum(isinstance(each, InUse) for each in begun) == 7


def test_a_row_of_a_newer_format_is_never_taken_for_what_it_is_not(in_tables: KeptInSql) -> None:
    newer = {
        "caller": "me", "key": "k", "format": 2, "digest": "d", "token": "t", "attempt": 1,
        "state": 0, "lease_ms": 0, "expires_ms": 2**53,
    }  # fmt: skip
    with in_tables.engine.begin() as connection:
        connection.execute(insert(table).values(**newer))

    assert in_tables.store.begin(SLOT, "d", TERMS) == NewerFormat()
    assert in_tables.store.begin(SLOT, "other", TERMS) == NewerFormat()
    with in_tables.engine.begin() as connection:
        connection.execute(update(table).values(expires_ms=1))
    assert in_tables.take().attempt == 1, "what expired is nobody's, in every format"


def test_a_missing_table_is_named_with_the_call_that_makes_it(in_tables: KeptInSql) -> None:
    store = in_tables.store
    assert isinstance(store, SqlKeyStore | Awaited)
    store.check()
    table.drop(in_tables.engine)

    for call in (store.check, store.sweep, lambda: store.begin(SLOT, "d", TERMS)):
        with pytest.raises(StoreNotReady, match=r"call jobstream\.sql\.create_tables\(engine\)"):
            call()


def test_a_sweep_of_a_large_table_reads_its_index_alone(in_tables: KeptInSql) -> None:
    dialect = in_tables.engine.dialect.name
    with in_tables.engine.begin() as connection:
        rows = [
            {
                "caller": "me", "key": str(n), "format": 1, "digest": "d", "token": "t",
                "attempt": 1, "state": 1, "lease_ms": 0, "expires_ms": 2**53,
            }
            for n in range(5_000)
        ]  # fmt: skip
        connection.execute(insert(table), rows)
        if dialect == "postgresql":
            connection.exec_driver_sql("ANALYZE jobstream_idempotency_keys")
        explain = "EXPLAIN" if dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        compiled = str(sweep(dialect).compile(dialect=in_tables.engine.dialect))
        text = re.sub(r"%\(\w+\)s(::\w+)?|\?", "10", compiled)
        plan = " ".join(map(str, connection.exec_driver_sql(f"{explain} {text}")))

    assert "jobstream_idempotency_keys_by_end" in plan
    assert "expires_ms<" in plan or "Index Cond: (expires_ms <=" in plan


def test_a_store_in_memory_is_bounded() -> None:
    now = [0.0]
    store = MemoryKeyStore(keys_max=2, now_ms=lambda: now[0])
    for key in ("a", "b"):
        store.begin(KeySlot("me", key), "d", TERMS)
    with pytest.raises(StoreAway, match="2 keys of 2"):
        store.begin(SLOT, "d", TERMS)
    now[0] += TERMS.keep_ms

    assert isinstance(store.begin(SLOT, "d", TERMS), Mine)
    small = MemoryKeyStore(bytes_max=2_000)
    mine = small.begin(SLOT, "d", TERMS)
    assert isinstance(mine, Mine)
    small.keep(mine, StoredAnswer(200, (), b"x" * 2_000), TERMS)
    with pytest.raises(StoreAway, match="bytes"):
        small.begin(KeySlot("me", "b"), "d", TERMS)
