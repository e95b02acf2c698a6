"""Rows are followed to the end of the log, once each, with the broker's time."""

from __future__ import annotations

from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.memory_sink import MemorySink
from jobstream.testing.rows import Rows, StampedRow, ends
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Row, encode_row, row_key


def publish(broker: MemoryBroker, row: Row, partition: int) -> None:
    MemorySink(broker).publish([Outgoing("rows", row_key(row), encode_row(row), partition)])


def test_each_row_comes_once_with_its_append_time() -> None:
    broker = MemoryBroker()
    broker.create_topic("rows", 2)
    dead, moved = Row("job", "a", "dead", 1), Row("moved", "b", "", 0, 3)
    rows = Rows(MemoryLog(broker), {"rows": 2})
    assert list(rows.new()) == []

    publish(broker, dead, 0)
    before = broker.clock.broker_ms()
    broker.clock.advance(1_000)
    publish(broker, moved, 1)

    assert list(rows.new()) == [StampedRow(dead, before), StampedRow(moved, before + 1_000)]
    assert list(rows.new()) == []
    publish(broker, dead, 1)
    assert [stamped.row for stamped in rows.new()] == [dead]


def test_tombstones_and_garbage_are_passed_over() -> None:
    broker = MemoryBroker()
    broker.create_topic("rows", 1)
    records = [(b"job:a:dead:1", None), (b"?", b"??"), (None, b"")]
    MemorySink(broker).publish([Outgoing("rows", key, value, 0) for key, value in records])
    publish(broker, Row("job", "a", "done"), 0)

    rows = list(Rows(MemoryLog(broker), {"rows": 1}).new())

    assert [stamped.row.state for stamped in rows] == ["done"]


def test_done_is_the_end_whatever_else_a_row_says() -> None:
    rows = [Row("job", "a", "done"), Row("job", "a", "dead"), Row("moved", "b"), Row("claim", "")]

    assert ends(StampedRow(row, 0) for row in rows) == {"a": "done"}
