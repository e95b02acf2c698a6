"""`topics plan` at a glance: a line for each queue, which hides nothing that is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream import App
from jobstream.cli.topics_table import TableLines, queue_lines, statuses, topic_lines
from jobstream.job_queue import Queue
from jobstream.topics.by_queue import by_queue
from jobstream.topics.plan import Plan, plan
from jobstream.topics.specs import specs
from jobstream.topics.topic_rules import TopicState

if TYPE_CHECKING:
    from collections.abc import Mapping

SMALL = App("shop", size="small")
QUEUES = [SMALL.queue("mail"), SMALL.queue("images"), Queue("bulk")]
NEEDED = specs("shop", QUEUES, 3)


def existing() -> dict[str, TopicState]:
    return {
        s.name: TopicState(s.name, s.partitions, s.replication, dict(s.configs)) for s in NEEDED
    }


def planned(there: Mapping[str, TopicState]) -> Plan:
    return plan("shop", QUEUES, there, brokers=3)


def shown(there: Mapping[str, TopicState]) -> TableLines:
    return queue_lines(by_queue(NEEDED), statuses(planned(there)))


def test_a_fresh_broker_gets_a_line_for_each_queue() -> None:
    assert shown({}) == TableLines(
        ("queue", "topics>", "partitions", "copies", "status"),
        [
            ("mail", 11, "4 partitions each, 1 a rung", "3 copies", "to be created"),
            ("images", 11, "4 partitions each, 1 a rung", "3 copies", "to be created"),
            ("bulk", 11, "12 partitions each", "3 copies", "to be created"),
            ("(the app)", 3, "1 partition each", "3 copies", "to be created"),
        ],
    )
    assert not planned({}).details()


def test_what_is_wrong_with_one_topic_shows_in_its_queue_and_below() -> None:
    there = existing()
    del there["shop.mail.retry.1h"]
    mail = there["shop.mail"]
    there["shop.mail"] = replace(mail, configs={**mail.configs, "retention.bytes": "1"})
    rows = there["shop.images.dedup"]
    there["shop.images.dedup"] = replace(rows, configs={**rows.configs, "segment.bytes": "1"})

    found = {row[0]: row[-1] for row in shown(there).rows}

    assert found == {
        "mail": "1 UNSAFE, 1 to be created",
        "images": "1 to be altered",
        "bulk": "as it should be",
        "(the app)": "as it should be",
    }
    told = "\n".join(planned(there).details())
    assert "+ shop.mail.retry.1h: 1 partition, 3 copies" in told
    assert "! shop.mail: retention.bytes is 1" in told
    assert "~ shop.images.dedup: segment.bytes 1" in told


def test_each_topic_has_a_line_where_that_is_asked_for() -> None:
    lines = topic_lines(NEEDED, statuses(planned(existing())))

    assert [row[0] for row in lines.rows] == [spec.name for spec in NEEDED]
    assert {row[-1] for row in lines.rows} == {"as it should be"}
