"""The follower of the control topic: what it reads, what it skips, and what it tells when."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from jobstream import BrokerUnavailable
from jobstream.kafka.follow import control_topic
from jobstream.kafka.follow.control_topic import ControlFollower, lifted_record, told_record
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink
from jobstream_processors.core import orders
from jobstream_processors.core.orders import CANCEL, DRAIN, PAUSE_QUEUE, QUIET
from jobstream_processors.ports import Outgoing
from jobstream_schemas import ControlRecord, encode_control

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.core.orders import Orders
    from jobstream_processors.ports import TopicPartition

TOPIC = "shop.control"
WAIT_S = 60.0


class Board:
    """The control topic in memory, an operator and a follower."""

    def __init__(self, log: type[MemoryLog] = MemoryLog) -> None:
        self.broker = MemoryBroker()
        self.broker.create_topic(TOPIC, 1, compacted=True)
        self.sink = MemorySink(self.broker)
        self.follower = ControlFollower(log(self.broker), TOPIC)
        self.heard: list[Orders] = []
        self.drains: list[str] = []

    def say(self, kind: str, subject: str, lasts_ms: int = 60_000, why: str = "") -> None:
        said = ControlRecord(kind, subject, "ann@laptop", why, lasts_ms, {})
        self.sink.publish([told_record(TOPIC, said)])

    def lift(self, kind: str, subject: str) -> None:
        self.sink.publish([lifted_record(TOPIC, kind, subject)])

    def now(self) -> Orders:
        self.follower.catch_up()
        return self.follower.in_force(self.broker.clock.broker_ms())

    def joins(self) -> None:
        """What a worker does: it knows what stands there, and hears of drains from then on."""
        self.follower.catch_up()
        self.follower.listen_for_drains(lambda entry: self.drains.append(entry.subject))

    def look(self) -> None:
        self.follower.catch_up()
        self.follower.tell_changes(self.broker.clock.broker_ms())


@pytest.fixture
def board() -> Board:
    return Board()


def test_an_entry_holds_from_its_append_until_it_is_lifted(board: Board) -> None:
    board.broker.clock.advance(5_000)
    board.say(PAUSE_QUEUE, "mail", lasts_ms=60_000, why="deploy")

    entry = board.now().queues["mail"]

    assert (entry.who, entry.why) == ("ann@laptop", "deploy")
    assert entry.at_ms == board.broker.clock.broker_ms()
    assert entry.expires_ms == entry.at_ms + 60_000
    board.lift(PAUSE_QUEUE, "mail")
    assert not board.now()


def test_the_newest_entry_about_a_thing_counts_before_and_after_compaction(board: Board) -> None:
    board.say(PAUSE_QUEUE, "mail", why="first")
    board.say(CANCEL, "id")
    board.say(PAUSE_QUEUE, "mail", why="second")
    board.lift(CANCEL, "id")

    assert board.now().queues["mail"].why == "second"
    board.broker.compact(TOPIC, drop_tombstones=True)
    fresh = ControlFollower(MemoryLog(board.broker), TOPIC)
    fresh.catch_up()
    assert fresh.in_force(board.broker.clock.broker_ms()) == board.now()


def test_what_cannot_be_read_is_left_out_and_said_once(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    board.say(QUIET, "host:*")
    good = encode_control(ControlRecord(PAUSE_QUEUE, "mail", "eve", "", 60_000, {}))
    later = encode_control(ControlRecord("rate", "mail", "eve", "", 60_000, {"per_s": 10}))
    endless = encode_control(ControlRecord(PAUSE_QUEUE, "mail", "eve", "", 1 << 60, {}))
    for key, value in [
        (b"pause_queue:mail", b""),
        (b"pause_queue:mail", b"junk"),
        (b"pause_queue:mail", good + b"x"),
        (b"pause_queue:other", good),
        (b"rate:mail", later),
        (b"pause_queue:mail", endless),
    ]:
        board.sink.publish([Outgoing(TOPIC, key, value, 0)])

    now = board.now()

    assert not now.queues
    assert now.quiets_worker("host:1")
    board.now()
    assert len([r for r in caplog.records if r.message == "control_entry_skipped"]) == 6


def test_who_begins_to_listen_hears_what_holds_already(board: Board) -> None:
    board.say(PAUSE_QUEUE, "mail")
    board.look()

    board.follower.listen(board.broker.clock.broker_ms(), board.heard.append)
    board.look()

    assert [list(heard.queues) for heard in board.heard] == [["mail"]]


def test_what_is_lifted_before_the_first_look_is_told(board: Board) -> None:
    board.say(PAUSE_QUEUE, "mail")
    board.follower.catch_up()
    board.follower.listen(board.broker.clock.broker_ms(), board.heard.append)

    board.lift(PAUSE_QUEUE, "mail")
    board.look()

    assert [list(heard.queues) for heard in board.heard] == [["mail"], []]


def test_who_listened_before_hears_what_a_later_one_is_told(board: Board) -> None:
    later: list[Orders] = []
    board.follower.listen(board.broker.clock.broker_ms(), board.heard.append)
    board.say(PAUSE_QUEUE, "mail")
    board.follower.catch_up()

    board.follower.listen(board.broker.clock.broker_ms(), later.append)
    board.look()

    assert [list(heard.queues) for heard in board.heard] == [[], ["mail"]]
    assert [list(heard.queues) for heard in later] == [["mail"]]


def test_nobody_waits_for_a_broker_to_hear_what_is_known() -> None:
    asked, answer = threading.Event(), threading.Event()

    class Silent(MemoryLog):
        def span(self, partition: TopicPartition) -> tuple[int, int]:
            asked.set()
            assert answer.wait(WAIT_S)
            return super().span(partition)

    board = Board(Silent)
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(board.follower.catch_up)
        assert asked.wait(WAIT_S)

        now_ms = board.broker.clock.broker_ms()
        pool.submit(board.follower.listen, now_ms, board.heard.append).result(WAIT_S)

        answer.set()
        reading.result(WAIT_S)
    assert [list(heard.queues) for heard in board.heard] == [[]]


def test_changes_are_told_once_each_and_expiry_is_one(board: Board) -> None:
    board.follower.listen(board.broker.clock.broker_ms(), board.heard.append)
    board.look()
    board.say(PAUSE_QUEUE, "mail", lasts_ms=60_000)
    board.look()
    board.look()
    board.broker.clock.advance(59_999)
    board.look()
    assert [list(heard.queues) for heard in board.heard] == [[], ["mail"]]
    board.broker.clock.advance(1)
    board.look()

    assert [list(heard.queues) for heard in board.heard] == [[], ["mail"], []]


def test_a_topic_made_anew_forgets_what_the_old_one_said(board: Board) -> None:
    board.say(PAUSE_QUEUE, "mail")
    board.say(PAUSE_QUEUE, "other")
    assert board.now()
    board.broker.delete_topic(TOPIC)
    board.broker.create_topic(TOPIC, 1, compacted=True)
    board.say(CANCEL, "id")

    assert not board.now().queues
    assert board.now().cancels


def test_a_topic_made_anew_is_noticed_where_it_has_grown_past_the_old_one(board: Board) -> None:
    board.say(PAUSE_QUEUE, "mail")
    assert board.now().queues
    board.broker.recreate_topic(TOPIC)
    for subject in ("a", "b", "c"):
        board.say(CANCEL, subject)

    for _ in range(ControlFollower.IDS_EVERY):
        board.now()

    assert not board.now().queues
    assert set(board.now().cancels) == {"a", "b", "c"}


def test_too_many_cancels_drop_the_oldest_of_them_and_no_pause(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control_topic, "ENTRIES_MAX", 20)
    board.say(PAUSE_QUEUE, "mail")
    for number in range(20):
        board.say(CANCEL, f"id-{number}")

    now = board.now()

    assert now.queues
    assert set(now.cancels) == {f"id-{number}" for number in range(2, 20)}
    assert "control_entries_dropped" in caplog.text


def test_a_drain_is_told_once_and_never_to_who_comes_after_it(board: Board) -> None:
    board.say(DRAIN, "host:1")
    board.joins()
    board.look()
    assert board.drains == []

    board.say(DRAIN, "host:*")
    board.look()
    board.look()
    assert board.drains == ["host:*"]
    assert {entry.subject for entry in board.now().drains} == {"host:1", "host:*"}

    anew = Board()
    anew.broker, anew.follower = board.broker, ControlFollower(MemoryLog(board.broker), TOPIC)
    anew.joins()
    anew.look()
    assert anew.drains == []


def test_a_drain_that_is_repeated_is_another_one(board: Board) -> None:
    board.joins()
    for _ in range(2):
        board.say(DRAIN, "host:1")
        board.look()

    assert board.drains == ["host:1", "host:1"]


def test_a_drain_read_before_a_worker_has_joined_is_not_for_it(board: Board) -> None:
    board.follower.catch_up()
    board.say(DRAIN, "host:1")
    board.joins()
    board.look()

    assert board.drains == []


@pytest.mark.parametrize("how", ["expired", "lifted"])
def test_a_drain_that_holds_no_more_is_not_told(board: Board, how: str) -> None:
    board.joins()
    board.say(DRAIN, "host:1", lasts_ms=5_000)
    if how == "expired":
        board.broker.clock.advance(5_000)
    else:
        board.lift(DRAIN, "host:1")
    board.look()

    assert board.drains == []


def test_a_drain_that_looked_expired_by_a_clock_ahead_is_not_told_later(board: Board) -> None:
    board.say(DRAIN, "host:1", lasts_ms=5_000)
    board.joins()
    board.follower.tell_changes(board.broker.clock.broker_ms() + 60_000)
    board.look()

    assert board.drains == []


def remade(board: Board) -> None:
    board.broker.recreate_topic(TOPIC)
    board.say(DRAIN, "host:1")


def truncated(board: Board) -> None:
    board.broker.cut(TOPIC, 0, 1)


def compacted(board: Board) -> None:
    board.say(DRAIN, "host:1")
    board.look()
    board.drains.clear()
    board.broker.compact(TOPIC)


@pytest.mark.parametrize("change", [remade, truncated, compacted])
def test_a_drain_that_is_read_again_is_not_told_again(
    board: Board, change: Callable[[Board], None]
) -> None:
    board.joins()
    board.say(DRAIN, "host:1")
    board.say(CANCEL, "id")
    board.look()
    assert board.drains == ["host:1"]
    board.drains.clear()

    change(board)
    for _ in range(2 * ControlFollower.IDS_EVERY):
        board.look()
    assert board.now().drains
    assert board.drains == []

    board.say(DRAIN, "host:2")
    board.look()
    assert board.drains == ["host:2"]


def test_a_look_that_failed_halfway_does_not_make_news_of_what_stood_there() -> None:
    class Breaks(MemoryLog):
        broken = True

        def read(
            self, partition: TopicPartition, start: int, stop: int
        ) -> Iterator[Sequence[MemoryRecord]]:
            yield from super().read(partition, start, stop)
            if self.broken:
                Breaks.broken = False
                raise BrokerUnavailable

    board = Board(Breaks)
    board.say(DRAIN, "host:1")
    with pytest.raises(BrokerUnavailable):
        board.joins()
    board.joins()
    board.look()

    assert board.drains == []


def test_a_version_that_knows_no_drain_leaves_it_out_and_obeys_the_others(
    board: Board, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kinds = tuple(kind for kind in orders.KINDS if kind != DRAIN)
    monkeypatch.setattr(orders, "KINDS", kinds)
    board.joins()
    board.say(DRAIN, "host:1")
    board.say(QUIET, "host:1")
    board.follower.catch_up()

    (left_out,) = [r for r in caplog.records if r.message == "control_entry_skipped"]
    assert "no control entry of kind 'drain'" in vars(left_out)["reason"]
    assert [entry.kind for entry in board.follower.entries()] == [QUIET]


def test_a_drain_of_every_worker_written_by_another_client_is_left_out(board: Board) -> None:
    board.joins()
    board.say(DRAIN, "*")
    board.look()

    assert board.drains == []
    assert board.follower.entries() == []
