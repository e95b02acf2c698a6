"""The follower of the schemas topic: what it reads, and what it notices."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from jobstream.kafka.follow.schema_topic import SchemaFollower, schema_record
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink
from jobstream_processors.errors import PublishFailed
from jobstream_schemas import Catalogue, JobCodec, JobSchema

TOPIC = "shop.schemas"


@dataclass(frozen=True)
class Mail:
    to: str


@dataclass(frozen=True)
class Bill:
    order_id: str


MAIL, BILL = JobCodec(Mail, "mail").schema, JobCodec(Bill, "bill").schema


class Board:
    """The schemas topic in memory, producers and a follower."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, 1, compacted=True)
        self.catalogue = Catalogue()
        sink = MemorySink(self.broker)
        self.follower = SchemaFollower(MemoryLog(self.broker), TOPIC, self.catalogue, sink)

    def publish(self, *schemas: JobSchema) -> None:
        MemorySink(self.broker).publish([schema_record(TOPIC, schema) for schema in schemas])

    def known(self) -> set[str]:
        self.follower.catch_up()
        return set(self.catalogue.job_types())


def test_what_came_since_the_last_look_is_known() -> None:
    board = Board()
    board.publish(MAIL)
    assert board.known() == {"mail"}

    board.publish(BILL)

    assert board.known() == {"mail", "bill"}


@pytest.mark.parametrize("schemas", [[BILL], [MAIL, BILL], [BILL, MAIL, MAIL]])
def test_a_topic_that_was_created_again_is_read_from_its_start(schemas: list[JobSchema]) -> None:
    """It may end before the place that was read in the old one, at it, or beyond it."""
    board = Board()
    board.publish(MAIL, MAIL)
    assert board.known() == {"mail"}

    board.broker.delete_topic(TOPIC)
    board.broker.create_topic(TOPIC, 1, compacted=True)
    board.publish(*schemas)

    assert "bill" in board.known()


def test_what_a_topic_made_anew_has_lost_is_put_back_once() -> None:
    board = Board()
    board.publish(MAIL, BILL)
    board.known()

    board.broker.recreate_topic(TOPIC)
    board.publish(BILL)
    board.known()
    board.known()

    held = [record.key() for record in board.broker.records(TOPIC)]
    assert held == [schema_record(TOPIC, schema).key for schema in (BILL, MAIL)]


def test_what_could_not_be_put_back_is_tried_again() -> None:
    board = Board()
    board.publish(MAIL)
    board.known()
    board.broker.recreate_topic(TOPIC)
    board.broker.fail_publishes(1, fate="absent")

    with pytest.raises(PublishFailed):
        board.known()
    board.known()

    assert len(board.broker.records(TOPIC)) == 1
