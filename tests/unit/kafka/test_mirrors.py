"""The mirrors' reader: the newest of each key, also of an offsets topic that is made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    import pytest

TOPIC = "shop.offsets"
GROUP = "shop"


def mirror(sink: MemorySink, partition: int, position: int, unclean: int = 0) -> None:
    made = Mirror(GROUP, "shop.mail", "id", partition, position, (), unclean, 1)
    sink.publish([Outgoing(TOPIC, mirror_key(made), encode_mirror(made), 0)])


def test_a_topic_made_anew_is_read_from_its_start_and_what_the_old_one_told_stays() -> None:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1, compacted=True)
    log, sink = MemoryLog(broker), MemorySink(broker)
    mirrors = KafkaMirrors(log, TOPIC, 1)

    def position(partition: int) -> int:
        found = mirrors.get(GROUP, ("shop.mail", partition), "id")
        return found.position if found is not None else -1

    for at in (1, 2, 3):
        mirror(sink, 0, at)
    mirror(sink, 1, 7)
    assert (position(0), position(1)) == (3, 7)

    broker.recreate_topic(TOPIC)
    log.topic_id(TOPIC, anew=True)
    for at in (4, 5, 6, 7, 8):
        mirror(sink, 0, at)
    assert (position(0), position(1)) == (8, 7)

    broker.recreate_topic(TOPIC)
    log.topic_id(TOPIC, anew=True)
    mirror(sink, 1, 9)
    for at in (9, 10, 11, 12, 13):
        mirror(sink, 0, at)
    assert (position(0), position(1)) == (13, 9)


def test_a_late_mirror_pulls_no_watermark_back_and_a_reset_does() -> None:
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1, compacted=True)
    sink, mirrors = MemorySink(broker), KafkaMirrors(MemoryLog(broker), TOPIC, 1)

    def position() -> int:
        found = mirrors.get(GROUP, ("shop.mail", 0), "id")
        return found.position if found is not None else -1

    mirror(sink, 0, 7)
    mirror(sink, 0, 5)
    assert position() == 7

    mirror(sink, 0, 2, unclean=-1)
    assert position() == 2


def test_a_mirror_is_of_the_time_at_which_the_broker_took_it() -> None:
    """Its writer's clock may be hours off: the age of records is judged by this."""
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1, compacted=True)
    mirrors = KafkaMirrors(MemoryLog(broker), TOPIC, 1)
    broker.clock.advance(5_000)
    mirror(MemorySink(broker), 0, 3)
    taken_ms = broker.clock.broker_ms()
    broker.clock.advance(5_000)

    found = mirrors.get(GROUP, ("shop.mail", 0), "id")

    assert found is not None
    assert found.at == taken_ms


def test_mirrors_of_another_release_are_told_once_and_the_others_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Old and new workers side by side write one each second: that must not bury the log."""
    broker = MemoryBroker()
    broker.create_topic(TOPIC, 1, compacted=True)
    sink = MemorySink(broker)
    mirrors = KafkaMirrors(MemoryLog(broker), TOPIC, 1)
    for at in range(20):
        made = Mirror(GROUP, "shop.mail", "id", 0, at, (), 0, 1)
        other = b"\xc3\x01" + bytes(8) + encode_mirror(made)[10:]
        sink.publish([Outgoing(TOPIC, mirror_key(made), other, 0)])
    mirror(sink, 0, 5)

    found = mirrors.get(GROUP, ("shop.mail", 0), "id")

    assert found is not None
    assert found.position == 5
    told = [line for line in caplog.records if line.message == "mirror_unreadable"]
    assert len(told) == 1
    assert "another release" in told[0].__dict__["what_holds"]
