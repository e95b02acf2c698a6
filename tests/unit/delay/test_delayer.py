"""The delayer: never early, in order, nothing lost when a hop or a header fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream.observe.metrics.metric import EDGES
from jobstream_processors.core.headers import Carried, parse
from jobstream_processors.core.ladder import EARLY_MS
from jobstream_processors.core.orders import CANCEL, NOTHING, Order, Orders
from jobstream_processors.delay.delay_meter import DelayMeter
from jobstream_processors.delay.group_member import COMMIT_MS
from jobstream_processors.delay.hops import FAILED_HOLD_MS
from jobstream_processors.ports import Outgoing, Position
from jobstream_processors.topic_marks import in_topic
from jobstream_schemas import Catalogue, Mirror, decode_mirror, encode_mirror, mirror_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.unit.shop import Ladder

    from jobstream.testing.faults import Fate
    from jobstream_processors.core.headers import Headers
    from jobstream_processors.ports import TopicPartition

GROUP = "shop.delay"
OFFSETS = "shop.offsets"


def test_a_job_arrives_when_it_is_due_and_not_a_millisecond_before(ladder: Ladder) -> None:
    ladder.put("0s", b"a", Carried(delay_ms=1_234, partition=1))

    assert ladder.pass_ms(1_233) == 0
    assert ladder.pass_ms(1) == 1

    (job,) = ladder.queue()
    assert (job.value(), job.partition()) == (b"a", 1)


def test_a_hop_counts_from_the_append_and_leaves_what_remains(ladder: Ladder) -> None:
    start_ms = ladder.shop.clock.broker_ms()
    ladder.put("5s", b"a", Carried(seq=4, attempt=3, delay_ms=7_000, partition=1))

    assert ladder.pass_ms(4_999) == 0
    assert ladder.pass_ms(101) == 1

    (copy,) = ladder.on("0s")
    carried = parse(copy.headers())
    assert (carried.due_ms, carried.delay_ms) == (start_ms + 7_000, 1_900)
    # A hop is the same delivery: with another seq the table could not drop a hop made twice.
    assert (carried.seq, carried.attempt, carried.partition) == (4, 3, 1)
    ladder.pass_ms(1_899)
    assert ladder.arrived() == []
    ladder.pass_ms(1)
    assert ladder.arrived() == [b"a"]


def test_a_rung_is_first_in_first_out_and_the_exact_one_goes_by_due_time(ladder: Ladder) -> None:
    for delay_ms in (900, 300, 600):
        ladder.put("0s", b"%d" % delay_ms, Carried(delay_ms=delay_ms, partition=0))
    ladder.pass_ms(900)
    assert ladder.arrived() == [b"300", b"600", b"900"]

    for number in range(3):
        ladder.put("5s", b"%d" % number, Carried(delay_ms=5_000, partition=0))
    ladder.pass_ms(5_000)
    assert ladder.arrived()[3:] == [b"0", b"1", b"2"]


def test_a_wait_that_is_over_leaves_at_once_whatever_its_rung(ladder: Ladder) -> None:
    past_ms = ladder.shop.clock.broker_ms() - 1
    ladder.put("1h", b"a", Carried(due_ms=past_ms, partition=0))

    ladder.turns()

    assert ladder.arrived() == [b"a"]


@pytest.mark.parametrize(
    ("is_appended", "arrived"), [(False, [b"b", b"a"]), (True, [b"a", b"b", b"a"])]
)
def test_a_hop_that_failed_is_made_again_and_its_offset_waits(
    ladder: Ladder, arrived: list[bytes], *, is_appended: bool
) -> None:
    shop = ladder.shop
    for value in (b"a", b"b"):
        ladder.put("5s", value, Carried(delay_ms=5_000, partition=0))
    fate: Fate = "appended" if is_appended else "absent"
    shop.broker.fail_publishes(lambda record: record.value == b"a", fate=fate)

    assert ladder.pass_ms(5_000) == 1
    shop.broker.heal()
    shop.clock.advance(COMMIT_MS)
    assert ladder.turns() == 1
    assert ladder.pass_ms(FAILED_HOLD_MS) == 0
    ladder.delayer.close()

    # At-least-once: an acknowledgement that was lost makes the hop twice.
    assert ladder.arrived() == arrived
    place = (shop.plan.rungs["5s"][0], 0)
    assert shop.broker.committed(GROUP, place) == in_topic(
        Position(2), shop.broker.topic_id(place[0])
    )


def order(job_id: str) -> Orders:
    return Orders(cancels={job_id: Order(CANCEL, job_id, "ann", "", 0, 1 << 60)})


def test_a_cancelled_job_is_fetched_at_its_hop_and_says_when_it_would_be_due(
    ladder: Ladder,
) -> None:
    shop = ladder.shop
    due_ms = shop.clock.broker_ms() + 600_000
    unwanted = shop.event("unwanted")
    for value in (unwanted, shop.event("wanted")):
        ladder.put("5s", value, Carried(seq=4, delay_ms=600_000, partition=1))
    ladder.put("5s", b"no job", Carried(delay_ms=600_000, partition=1))
    ladder.turns()
    ladder.delayer.obey(order("unwanted"))

    assert ladder.pass_ms(4_999) == 0
    assert ladder.pass_ms(1) == 3

    (job,) = ladder.queue()
    assert (job.value(), job.partition()) == (unwanted, 1)
    # The worker must see that it came early, should the order be no more by then.
    carried = parse(job.headers())
    assert (carried.seq, carried.due_ms) == (4, due_ms)
    assert len(ladder.on("2m")) == 2


def test_a_cancelled_job_that_is_due_soon_goes_its_usual_way(ladder: Ladder) -> None:
    ladder.put("5s", ladder.shop.event("a"), Carried(delay_ms=EARLY_MS + 4_999, partition=0))
    ladder.turns()
    ladder.delayer.obey(order("a"))

    ladder.pass_ms(5_000)

    assert ladder.arrived() == []
    assert len(ladder.on("30s")) == 1


@pytest.mark.pure("takes a method out of a compiled class")
def test_no_job_is_looked_into_while_nothing_is_cancelled(
    ladder: Ladder, monkeypatch: pytest.MonkeyPatch
) -> None:
    ladder.put("5s", ladder.shop.event("a"), Carried(delay_ms=600_000, partition=0))
    ladder.turns()
    ladder.delayer.obey(order("a"))
    ladder.delayer.obey(NOTHING)
    monkeypatch.setattr(Catalogue, "decode", None)

    assert ladder.pass_ms(5_000) == 1
    assert len(ladder.on("2m")) == 1


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([("js-delay-ms", b"soon")], b"js-delay-ms"),
        ([("js-partition", b"2"), ("js-delay-ms", b"5")], b"js-partition=2"),
    ],
)
def test_headers_that_can_not_be_followed_make_a_dead_letter(
    ladder: Ladder, headers: Headers, told: bytes
) -> None:
    ladder.put("5s", b"bytes", Carried(), headers)

    ladder.turns()

    rung = ladder.shop.plan.rungs["5s"][0]
    letter = ladder.shop.letters()[f"@{rung}:0:0:0"]
    assert letter["js-reason"] == b"bad_headers"
    assert letter["js-origin"] == f"{rung}:0:0".encode()
    assert told in (letter["js-message"] or b"")
    assert letter["js-key"] == b"key"
    assert ladder.shop.broker.records(ladder.shop.plan.dlq)[0].value() == b"bytes"
    assert ladder.arrived() == []


def test_commits_are_mirrored(ladder: Ladder) -> None:
    shop = ladder.shop
    ladder.put("0s", b"a", Carried(delay_ms=1, partition=1))
    ladder.pass_ms(1)
    ladder.pass_ms(COMMIT_MS)

    place = (shop.plan.rungs["0s"][0], 1)
    topic_id = shop.broker.topic_id(place[0])
    assert shop.broker.committed(GROUP, place) == in_topic(Position(1), topic_id)
    mirrors = [decode_mirror(r.value() or b"") for r in shop.broker.records(OFFSETS)]
    newest = [m for m in mirrors if (m.topic, m.partition) == place][-1]
    assert (newest.group, newest.position) == (GROUP, 1)


def test_nothing_is_committed_that_is_not_mirrored(ladder: Ladder) -> None:
    # Given a place that can't be mirrored: retention may take what is behind a commit
    shop, place = ladder.shop, (ladder.shop.plan.rungs["0s"][0], 0)

    def committed() -> int:
        position = shop.broker.committed(GROUP, place)
        return position.offset if position is not None else 0

    ladder.put("0s", b"a", Carried(delay_ms=1, partition=0))
    shop.broker.fail_publishes(lambda record: record.topic == OFFSETS, fate="absent")
    ladder.pass_ms(COMMIT_MS)
    assert (ladder.arrived(), committed()) == ([b"a"], 0)

    # When it can be again, then both are made up for
    shop.broker.heal()
    ladder.pass_ms(COMMIT_MS)
    assert committed() == 1
    assert shop.broker.span((OFFSETS, 0))[1]


def test_a_publish_is_marked_as_what_may_hold_a_turn_up(ladder: Ladder) -> None:
    """Brokers that are there, too few to acknowledge: a minute of it must not kill the process."""
    shop, phases = ladder.shop, list[str]()
    meter = DelayMeter(GROUP, shop.plans, EDGES)

    class Noting:
        def publish(self, records: Sequence[Outgoing]) -> Mapping[TopicPartition, int]:
            phases.append(meter.turn.phase)
            return shop.sink.publish(records)

        send, send_rows = shop.sink.send, shop.sink.send_rows
        publish_soon = shop.sink.publish_soon

    ladder.delayer.close()
    ladder.new_delayer(Noting(), meter)
    ladder.put("0s", b"a", Carried(delay_ms=1, partition=1))
    ladder.turns()
    assert ladder.pass_ms(COMMIT_MS) == 1
    assert ladder.pass_ms(COMMIT_MS) == 0

    assert phases == ["publish", "publish"], "the hop, and the mirror of its commit"
    assert meter.turn.phase == ""


def test_what_hopped_is_not_hopped_again_by_the_next_owner(ladder: Ladder) -> None:
    ladder.put("0s", b"now", Carried(delay_ms=1, partition=0))
    ladder.put("0s", b"later", Carried(delay_ms=1_000, partition=0))
    ladder.pass_ms(1)
    ladder.delayer.close()

    ladder.new_delayer()
    ladder.pass_ms(1_000)

    assert ladder.arrived() == [b"now", b"later"]


def test_what_was_lost_is_hopped_by_the_next_owner_alone(ladder: Ladder) -> None:
    ladder.put("0s", b"a", Carried(delay_ms=100, partition=0))
    ladder.turns()

    ladder.listener.lost([(ladder.shop.plan.rungs["0s"][0], 0)])

    assert ladder.pass_ms(100) == 0
    assert ladder.delayer.next_ms() is None


def mirror(ladder: Ladder, position: int) -> None:
    """Mirror a place on the rung 5s, as the delayer before this one did; then start this one."""
    shop = ladder.shop
    ladder.delayer.close()
    topic = shop.plan.rungs["5s"][0]
    at_ms = shop.clock.broker_ms()
    made = Mirror(GROUP, topic, shop.broker.topic_id(topic), 0, position, (), 0, at_ms)
    shop.sink.publish([Outgoing(OFFSETS, mirror_key(made), encode_mirror(made), 0)])
    ladder.new_delayer()


@pytest.mark.parametrize("place", [0, 9], ids=["deleted", "beyond the end"])
def test_a_rung_whose_place_is_not_in_its_log_stands_still_alone(
    ladder: Ladder, caplog: pytest.LogCaptureFixture, place: int
) -> None:
    shop = ladder.shop
    mirror(ladder, place)
    for value in (b"gone", b"kept"):
        ladder.put("5s", value, Carried(delay_ms=5_000, partition=0))
    shop.broker.truncate(shop.plan.rungs["5s"][0], 0, 1)
    ladder.put("0s", b"other", Carried(delay_ms=100, partition=0))

    ladder.turns()
    ladder.pass_ms(10_000)

    assert "partition_refused" in caplog.messages
    assert ladder.arrived() == [b"other"]
    ladder.delayer.close()


def test_a_rung_whose_place_gets_lost_while_it_is_read_stands_still_alone(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    shop = ladder.shop
    topic = shop.plan.rungs["5s"][0]
    for number in range(3):
        ladder.put("5s", b"%d" % number, Carried(delay_ms=5_000, partition=0))
    ladder.turns()

    shop.broker.cut(topic, 0, 1)
    ladder.put("0s", b"other", Carried(delay_ms=100, partition=0))
    ladder.pass_ms(10_000)

    assert "partition_refused" in caplog.messages
    assert sorted(ladder.arrived(), key=str) == [b"0", b"1", b"2", b"other"]


def test_a_rung_that_is_made_anew_is_read_from_its_start(
    ladder: Ladder, caplog: pytest.LogCaptureFixture
) -> None:
    shop = ladder.shop
    topic = shop.plan.rungs["5s"][0]
    for number in range(3):
        ladder.put("5s", b"%d" % number, Carried(delay_ms=5_000, partition=0))
    ladder.pass_ms(5_000)
    ladder.pass_ms(COMMIT_MS)

    shop.broker.recreate_topic(topic)
    for number in range(100, 105):
        ladder.put("5s", b"%d" % number, Carried(delay_ms=5_000, partition=0))
    ladder.turns()
    shop.log.topic_id(topic, anew=True)  # as a worker asks every two seconds
    ladder.pass_ms(5_000)
    ladder.pass_ms(COMMIT_MS)

    assert "topic_made_anew" in caplog.messages
    arrived = [int(value or b"") for value in ladder.arrived()]
    assert set(arrived) == {0, 1, 2, *range(100, 105)}
    committed = Position(5)
    assert shop.broker.committed(GROUP, (topic, 0)) == in_topic(
        committed, shop.broker.topic_id(topic)
    )
    ladder.delayer.close()
    ladder.new_delayer()
    ladder.pass_ms(5_000)
    assert [int(value or b"") for value in ladder.arrived()] == arrived, "nothing hops again"
