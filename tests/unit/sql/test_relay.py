"""The relay on SQLite and the broker in memory: order, topics that take nothing, other relays."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from tests.harness.relaying import running
from tests.harness.waiting import wait_until
from tests.unit.sql.ledger import Receipt, shop
from tests.unit.sql.relay_bench import LIMIT_S, Bench, Clock, spoil

from jobstream import App
from jobstream.sql import TablesMissing, enqueue_in
from jobstream.sql.one_relay import OneRelay
from jobstream.sql.opening import engine_of, opened
from jobstream.sql.outbox_rows import OutboxRows
from jobstream.sql.relay import STANDS_BY
from jobstream.sql.schema import outbox
from jobstream.testing import memory
from jobstream_processors.core.headers import parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from jobstream.testing.faults import Fate
    from jobstream_processors.ports import Outgoing


def test_committed_rows_are_published_and_gone(bench: Bench) -> None:
    bench.write(*range(50))
    with Session(bench.engine) as session:
        enqueue_in(session, bench.job, Receipt(99))
        with bench.relaying() as relay:
            wait_until(lambda: relay.started, "it has begun", limit_s=LIMIT_S)
            session.rollback()
            bench.wait_for_left(0)
            wait_until(lambda: relay.published == 50, "all are counted", limit_s=LIMIT_S)

    assert sorted(bench.published()) == list(range(50))
    bench.jobs.run_until_idle()
    bench.jobs.assert_done(bench.job)


def test_a_database_that_is_locked_makes_no_row_go_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(1)
    store = OutboxRows.store
    failed: list[Sequence[int]] = []

    def locked_once(self: OutboxRows, gone: Sequence[int], refused: Mapping[int, str]) -> None:
        if not failed and gone:
            failed.append(gone)
            message = "DELETE"
            raise OperationalError(message, {}, sqlite3.OperationalError("database is locked"))
        store(self, gone, refused)

    monkeypatch.setattr(OutboxRows, "store", locked_once)
    with bench.relaying():
        bench.wait_for_left(0)

    assert failed
    assert bench.in_log() == [1]


def test_rows_of_a_key_are_published_in_their_order(bench: Bench) -> None:
    for order in range(30):
        bench.write(order, key="o-1")
    with bench.relaying():
        bench.wait_for_left(0)

    assert bench.in_log() == list(range(30))


def test_what_was_published_twice_runs_once(bench: Bench) -> None:
    bench.write(1)
    with bench.engine.connect() as connection:
        (row,) = connection.execute(outbox.select()).mappings()
    with bench.relaying():
        bench.wait_for_left(0)
    with bench.engine.begin() as connection:
        connection.execute(outbox.insert(), dict(row))
    with bench.relaying():
        bench.wait_for_left(0)

    assert bench.in_log() == [1, 1]
    bench.jobs.run_until_idle()
    (seen,) = bench.jobs.seen(bench.job)
    assert (seen.state, seen.attempt) == ("done", 1)


@pytest.mark.parametrize("delay", [None, "1h"])
@pytest.mark.parametrize("named", [{"key": "o-1"}, {"idempotency_key": "o-2"}])
def test_rows_of_before_a_growth_go_where_their_key_is_now(
    bench: Bench, named: dict[str, Any], delay: str | None
) -> None:
    small, old = shop(partitions=1)
    with Session(bench.engine) as session, session.begin():
        enqueue_in(session, old, Receipt(1), delay=delay, **named)
    small.close()
    with Session(bench.engine) as session, session.begin():
        now = enqueue_in(session, bench.job, Receipt(1), delay=delay, **named)
    with bench.engine.connect() as connection:
        before, after = connection.execute(outbox.select().order_by(outbox.c.n)).all()
    assert (before.partition, before.headers) != (after.partition, after.headers)
    with bench.relaying():
        bench.wait_for_left(0)

    records = bench.jobs.broker.records(now.topic)
    first, second = [(each.partition(), parse(each.headers()).partition) for each in records]
    assert first == second


def test_a_type_that_the_code_does_not_know_yet_waits_for_a_deploy(bench: Bench) -> None:
    bench.write(1, 2)
    spoil(bench, 1, job_type="brand_new")
    with bench.relaying() as relay:
        bench.wait_for_left(1)
        wait_until(lambda: relay.seen.rows == 1, "it is seen", limit_s=LIMIT_S)

    assert relay.set_aside == 0
    assert OutboxRows(bench.engine, "shop").set_aside() == []
    spoil(bench, 1, job_type=bench.job.name)
    with bench.relaying():
        bench.wait_for_left(0)


def test_a_missing_topic_holds_its_own_rows_and_no_others(bench: Bench) -> None:
    orders = bench.app.queue("orders")

    @bench.app.job(queue=orders)
    def ship(args: Receipt) -> None:
        """Nothing."""

    with Session(bench.engine) as session, session.begin():
        enqueue_in(session, ship, Receipt(1))
        enqueue_in(session, bench.job, Receipt(2))
        enqueue_in(session, ship, Receipt(3))
    with bench.relaying() as relay:
        bench.wait_for_left(2)
        wait_until(lambda: "shop.orders" in relay.held, "it is held", limit_s=LIMIT_S)
        assert "topics apply" in relay.held["shop.orders"]
        for suffix in ("", ".dlq"):
            bench.jobs.broker.create_topic(f"shop.orders{suffix}", 4)
        bench.clock.now_s += 60
        bench.wait_for_left(0)
        wait_until(lambda: not relay.held, "nothing is held", limit_s=LIMIT_S)

    orders_ = [
        ship.codec.args(r.value() or b"").order for r in bench.jobs.broker.records("shop.orders")
    ]
    assert sorted(orders_) == [1, 3]


@pytest.mark.parametrize("fate", ["absent", "appended"])
def test_without_an_acknowledgement_the_rows_stay_and_go_again(bench: Bench, fate: Fate) -> None:
    def of_jobs(record: Outgoing) -> bool:
        return record.topic == "shop.mail"

    for order in range(5):
        bench.write(order, key="o-1")
    bench.jobs.broker.fail_publishes(of_jobs, fate=fate)
    with bench.relaying() as relay:
        wait_until(lambda: relay.failed >= 5, "all have failed", limit_s=LIMIT_S)
        assert bench.left() == 5
        bench.jobs.broker.heal()
        bench.clock.now_s += 60
        bench.wait_for_left(0)

    log = bench.in_log()
    assert list(dict.fromkeys(log)) == list(range(5)), "first appearances are in order"
    assert len(log) == (5 if fate == "absent" else 10)


def test_it_waits_for_every_answer_before_it_sends_more(bench: Bench) -> None:
    bench.jobs.broker.hold_publishes(lambda record: record.topic == "shop.mail")
    bench.write(1, key="o-1")
    with bench.relaying() as relay:
        wait_until(lambda: "no acknowledgement" in relay.trouble, "it waits", limit_s=LIMIT_S)
        bench.write(2, key="o-1")
        wait_until(lambda: relay.seen.rows == 2, "both wait", limit_s=LIMIT_S)
        wait_until(lambda: relay.oldest_s > 0, "the oldest grows older", limit_s=LIMIT_S)
        bench.jobs.broker.heal()
        bench.wait_for_left(0)

    assert bench.in_log() == [1, 2]


def test_a_second_relay_stands_by_until_the_first_has_ended(bench: Bench) -> None:
    with bench.relaying() as first:
        bench.write(1)
        bench.wait_for_left(0)
        with bench.relaying() as second:
            wait_until(lambda: second.trouble == STANDS_BY, "it stands by", limit_s=LIMIT_S)
            first.close()
            wait_until(lambda: not second.trouble, "it is its turn", limit_s=LIMIT_S)
            bench.write(2)
            bench.wait_for_left(0)
            wait_until(lambda: second.published == 1, "the second did it", limit_s=LIMIT_S)


def test_relays_of_two_apps_share_a_file_and_both_work(bench: Bench) -> None:
    """Rows are of an app, so a relay that stands by for another app's would never publish them."""
    billing = App("billing", size="small")

    @billing.job
    def bill(args: Receipt) -> None:
        """Nothing."""

    with memory(billing) as jobs, bench.relaying() as first:
        other = Bench(billing, bill, bench.engine, jobs, Clock())
        with other.relaying() as second:
            bench.write(1)
            other.write(2)
            bench.wait_for_left(0)
            wait_until(lambda: not second.trouble, "it works", limit_s=LIMIT_S)
            assert not first.trouble

    assert (bench.published(), other.published()) == ([1], [2])


def test_a_second_name_of_the_file_is_the_same_file(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(tmp_path / "shop.db")
    with bench.relaying() as first, opened(f"sqlite:///{link}") as engine:
        wait_until(lambda: not first.trouble, "it works", limit_s=LIMIT_S)
        assert not OneRelay(engine, "shop").is_mine()


def test_without_tables_it_says_how_to_make_them(bench: Bench, tmp_path: Path) -> None:
    file = tmp_path / "bare.db"
    file.touch()
    with opened(f"sqlite:///{file}") as bare, pytest.raises(TablesMissing, match=str(file)):
        bench.relay(bare).run()


def test_a_database_that_is_away_is_waited_for(bench: Bench) -> None:
    away = engine_of(make_url("postgresql+psycopg://nobody:secret@127.0.0.1:9/none"))
    with running(bench.relay(away), LIMIT_S) as relay:
        where = "OperationalError at postgresql://nobody:***@127.0.0.1:9/none"
        wait_until(lambda: where in relay.trouble, "it says so", limit_s=LIMIT_S)
        wait_until(lambda: relay.oldest_s > 1, "the age grows", limit_s=LIMIT_S)
    away.dispose()
    assert not relay.started


def test_rows_of_other_apps_are_left_alone(bench: Bench) -> None:
    bench.write(1)
    spoil(bench, 1, app="another")
    with bench.relaying() as relay, closing(bench.engine.connect()) as connection:
        bench.write(2)
        wait_until(lambda: relay.published == 1, "its own is gone", limit_s=LIMIT_S)
        apps = connection.execute(text("SELECT app FROM jobstream_outbox")).scalars().all()

    assert apps == ["another"]
