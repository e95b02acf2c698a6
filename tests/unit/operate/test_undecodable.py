"""The look at what waits: bounded, from the oldest on, and silent about what has ended."""

from __future__ import annotations

import json
from dataclasses import make_dataclass
from typing import TYPE_CHECKING, Any

from jobstream import App
from jobstream.operate.backlog import SAMPLE_MAX
from jobstream.operate.positions import GroupPlace
from jobstream.operate.undecodable import Undecodable, judges_of, look
from jobstream.testing.memory_record import MemoryRecord
from jobstream_processors.ports import Outgoing, Position
from jobstream_schemas import Catalogue, JobCodec, Meta, Mirror

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobstream_processors.ports import Record, TopicPartition

PLACE = ("shop.mail", 0)
OLD: Any = JobCodec(make_dataclass("Thing", [("a", int)]), "send")
NEW: Any = JobCodec(make_dataclass("Thing", [("a", int), ("b", str)]), "send")


def looked_at(count: int, old: range, finished: tuple[tuple[int, int], ...] = ()) -> Undecodable:
    """A look at a partition of so many jobs, of which those of `old` are of the old schema."""
    catalogue = Catalogue()
    judges = {OLD.schema.fingerprint: catalogue.register(OLD.schema).misfit(NEW)}
    catalogue.register(NEW.schema)
    meta = Meta("a", 0, "t")
    values = [OLD.encode(meta, OLD.cls(1)), NEW.encode(meta, NEW.cls(1, "x"))]

    def read(spans: Mapping[TopicPartition, tuple[int, int]]) -> Iterator[Record]:
        for (topic, partition), (start, stop) in spans.items():
            for offset in range(start, stop):
                made = Outgoing(topic, b"k", values[offset not in old], partition)
                yield MemoryRecord(made, (partition, offset), 7, 0)

    mirror = (
        Mirror(
            group="g", topic=PLACE[0], topic_id="", partition=0, position=0, finished=finished,
            unclean=0, at=0, claim=0, may_begin=0,
        )
        if finished
        else None
    )  # fmt: skip
    standing = GroupPlace(PLACE, 0, count, Position(0), mirror, "")
    return look(judges, catalogue, [standing], read)


def test_all_of_a_small_backlog_is_looked_at() -> None:
    looked = looked_at(40, range(30, 40))

    assert (looked.looked, looked.waiting) == (40, 40)
    assert [*looked.misfits.values()] == [10]


def test_what_has_ended_beyond_a_slow_job_does_not_wait() -> None:
    looked = looked_at(40, range(30, 40), finished=((30, 40),))

    assert (looked.looked, [*looked.misfits]) == (30, [])


def test_of_a_large_backlog_the_oldest_and_a_spread_are_looked_at() -> None:
    for old in (range(1), range(500_000, 1_000_000)):
        looked = looked_at(1_000_000, old)

        assert SAMPLE_MAX < looked.looked <= 2 * SAMPLE_MAX
        assert looked.waiting == 1_000_000
        assert looked.misfits


def test_nothing_is_read_where_nothing_waits() -> None:
    assert looked_at(0, range(0)) == Undecodable(looked_at(0, range(0)).misfits, 0, 0)


def test_a_schema_that_cannot_be_compared_is_judged_by_its_jobs() -> None:
    foreign: Any = json.loads(OLD.schema.json)
    foreign["fields"][1]["type"]["fields"][0]["order"] = "sideways"
    app, catalogue = App("shop"), Catalogue()
    catalogue.register(foreign)

    @app.declare("send", NEW.cls).handler
    def send(args: Any) -> None:  # noqa: ANN401 - declared above
        """Do nothing."""

    (judge,) = judges_of(catalogue, app.specs()).values()

    value = OLD.encode(Meta("a", 0, "t"), OLD.cls(1))
    assert "args.b: was not written" in judge(value, catalogue.decode(value).args_bytes_at)
