"""Rows of the outbox that can't be published: set aside with the reason, and in nobody's way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from tests.harness.waiting import wait_until
from tests.unit.sql.relay_bench import LIMIT_S, spoil

from jobstream.sql.outbox_rows import OutboxRows

if TYPE_CHECKING:
    from tests.unit.sql.relay_bench import Bench


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"value": b"garbage"}, "can't be read as a job"),
        ({"writer_schema": "{"}, "schema is not JSON"),
        ({"writer_schema": '{"type": "\\ud800\\u0000"}'}, "can't be read as a job"),
        ({"writer_schema": "[" * 100_000}, "can't be read as a job"),
        ({"headers": "[1]"}, "headers"),
        ({"headers": '[[5, "x"]]'}, "not those of a job: each is two texts"),
        ({"headers": '[[null, "x"]]'}, "not those of a job: each is two texts"),
        ({"headers": '{"ab": 1}'}, "not those of a job"),
        ({"headers": '[["\\ud800", "x"]]'}, "not those of a job: 'utf-8' codec"),
        ({"headers": "[" * 100_000}, "not those of a job"),
        ({"headers": text("CAST(x'5bff' AS TEXT)")}, "not those of a job"),
        ({"value": text("'abc'")}, "column value holds 'abc', which is no bytes"),
        ({"value": text("5")}, "column value holds 5"),
        ({"key": text("'abc'")}, "column key holds 'abc'"),
        ({"key": text("7")}, "column key holds 7"),
        ({"partition": text("'x'")}, "column partition holds 'x', which is no int"),
        ({"job_id": text("x'ff'")}, "column job_id holds b'\\xff', which is no str"),
        ({"topic": text("x'ff'")}, "column topic holds b'\\xff'"),
        ({"job_type": text("x'ff'"), "written_ms": 1}, "column job_type holds b'\\xff'"),
        ({"job_id": "another"}, "the row says 'another'"),
        ({"job_type": "unheard_of", "written_ms": 1}, "'unheard_of' is not declared"),
        ({"topic": "shop.gone"}, "'shop.gone' is of no queue"),
        ({"value": b"x" * 1_000_000}, "the cap is 900000"),
    ],
)
def test_poison_is_set_aside_with_its_reason_and_holds_up_nobody(
    bench: Bench, columns: dict[str, object], says: str
) -> None:
    for order in (1, 2, 3):
        bench.write(order, key="o-1")
    spoil(bench, 2, **columns)
    with bench.relaying() as relay:
        bench.wait_for_left(1)
        wait_until(lambda: relay.seen.set_aside == 1, "it is counted", limit_s=LIMIT_S)

    assert bench.in_log() == [1, 3]
    rows = OutboxRows(bench.engine, "shop")
    (aside,) = rows.set_aside()
    assert says in aside.error
    assert rows.waiting().rows == 0
    assert relay.set_aside == 1


def test_a_schema_that_no_topic_takes_is_set_aside_and_holds_up_nobody(bench: Bench) -> None:
    bench.write(1, 2)
    spoil(bench, 1, writer_schema=bench.job.codec.schema.json + " " * 1_047_000)
    with bench.relaying() as relay:
        bench.wait_for_left(1)
        wait_until(lambda: relay.seen.set_aside == 1, "it is counted", limit_s=LIMIT_S)
        assert relay.held == {}

    (aside,) = OutboxRows(bench.engine, "shop").set_aside()
    assert "Kafka refuses the schema of its job" in aside.error
    assert bench.in_log() == [2]


def test_a_row_without_a_time_is_no_end_of_it(bench: Bench) -> None:
    bench.write(1)
    spoil(bench, 1, written_ms=text("'yesterday'"))
    assert OutboxRows(bench.engine, "shop").waiting().rows == 1
    with bench.relaying():
        bench.wait_for_left(0)


def test_a_partition_that_is_not_there_is_refused(bench: Bench) -> None:
    bench.write(1, 2)
    spoil(bench, 1, partition=99)
    with bench.relaying() as relay:
        bench.wait_for_left(1)
        wait_until(lambda: relay.seen.set_aside == 1, "it is counted", limit_s=LIMIT_S)

    (aside,) = OutboxRows(bench.engine, "shop").set_aside()
    assert "has 4 partitions, and no 99" in aside.error


def test_a_row_that_kafka_refuses_is_set_aside_and_can_be_retried(bench: Bench) -> None:
    with bench.relaying():
        bench.write(0)
        bench.wait_for_left(0)
        bench.jobs.broker._logs._record_bytes_max = 10  # noqa: SLF001 - as a smaller limit there
        bench.write(1, 2)
        rows = OutboxRows(bench.engine, "shop")
        wait_until(lambda: len(rows.set_aside()) == 2, "both are", limit_s=LIMIT_S)
        assert "Kafka refuses the record" in rows.set_aside()[0].error
        bench.jobs.broker._logs._record_bytes_max = 1_000_000  # noqa: SLF001 - mended
        assert rows.retry([rows.set_aside()[0].n]) == 1
        bench.wait_for_left(1)
        assert rows.retry(None) == 1
        bench.wait_for_left(0)

    assert sorted(bench.published()) == [0, 1, 2]
