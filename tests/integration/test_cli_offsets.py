"""`jobstream offsets` against a real broker: a place that is gone, and a reset on purpose."""

from __future__ import annotations

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from tests.harness.waiting import wait_until
from tests.integration.by_command import WAIT_S, Shop, Worker

pytestmark = pytest.mark.kafka


def is_at_its_end(shop: Shop) -> bool:
    partitions = shop.json("offsets", "show", "mail")["partitions"]
    return all(each["position"] == each["end"] for each in partitions)


def test_a_place_that_retention_passed_is_left_by_a_reset(
    shop: Shop, workers: list[Worker]
) -> None:
    for partition in range(2):  # Each has a place to go on from before the worker leaves.
        shop.enqueue_on(partition, f"o-{partition}")
    workers.append(first := Worker(shop))
    wait_until(lambda: is_at_its_end(shop), "both partitions are read", limit_s=WAIT_S)
    assert first.drain() == 0
    shop.enqueue_on(0, "gone")
    shop.enqueue_on(1, "kept")
    gone = TopicPartition(f"{shop.name}.mail", 0, -1)
    admin = AdminClient({"bootstrap.servers": shop.servers})
    admin.delete_records([gone])[gone].result(WAIT_S)

    # The partition that lost its jobs stands still, and says so; the other one goes on.
    workers.append(refused := Worker(shop))
    (told, *_) = refused.hear("partition_refused")
    assert "was deleted by retention" in told
    refused.hear("sent kept")
    shop.enqueue_on(1, "later")
    refused.hear("sent later")
    (status,) = shop.json("status", code=None)  # It may not have heard of a broker yet.
    assert [each["reasons"] for each in status["paused"]] == [["not_in_log"]]
    assert refused.drain() == 0
    shop.run("offsets", "reset", "mail", "--to", "earliest")
    for partition in range(2):  # Each has a place of its own before the worker leaves.
        shop.enqueue_on(partition, f"last-{partition}")
    workers.append(last := Worker(shop))
    last.hear("sent last-", times=2)
    # What it took over without a clean note may end after the jobs behind it.
    wait_until(lambda: is_at_its_end(shop), "all before has ended, too", limit_s=WAIT_S)

    assert last.drain() == 0
    assert shop.json("offsets", "reset", "mail", "--to", "latest", "--dry-run") == []


def test_a_reset_moves_offset_and_mirror_and_rows_still_hold(
    shop: Shop, workers: list[Worker]
) -> None:
    for n in range(3):
        shop.enqueue(f"o-{n}")
    workers.append(first := Worker(shop))
    first.hear("sent o-", times=3)
    assert first.drain() == 0

    outside = shop.run("offsets", "reset", "mail", "--to", "999", code=1)
    tried = shop.json("offsets", "reset", "mail", "--to", "earliest", "--dry-run")
    kept = shop.json("offsets", "show", "mail")
    done = shop.json("offsets", "reset", "mail", "--to", "earliest")
    moved = shop.json("offsets", "show", "mail")
    shop.enqueue("o-3")
    workers.append(second := Worker(shop))
    second.hear("sent o-3")
    # The partition without it may be taken over later.
    wait_until(lambda: is_at_its_end(shop), "both partitions are read", limit_s=WAIT_S)
    assert second.drain() == 0

    assert "offset 999 is not in" in outside
    assert [each["to"] for each in tried] == [0] * len(tried) != []
    assert sum(each["position"] for each in kept["partitions"]) == 3
    assert len(done) == len(tried)
    assert [each["position"] for each in moved["partitions"]] == [0, 0]
    assert all(each["mirrored"] in {0, None} for each in moved["partitions"])
    assert len([line for line in second.said if "sent o-" in line]) == 1, "rows drop what settled"
    assert shop.json("lag")[0]["lag"] == 0
