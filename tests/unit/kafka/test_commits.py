"""A refused commit is sent again, unless a newer one took its place or the partition has left."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place
from tests.harness.waiting import wait_until

from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.consume.refused_commits import (
    AGAIN_MS,
    AGAIN_MS_MAX,
    TROUBLE_MS,
    UNDER_WAY_MS,
    Commits,
)
from jobstream.kafka.consume.source import KafkaSource
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    import pytest

LIMIT_S = 120.0
MOVED = KafkaError(KafkaError.NOT_COORDINATOR)
STALE = KafkaError(KafkaError.STALE_MEMBER_EPOCH)
BROKEN = KafkaError(KafkaError._TRANSPORT)  # noqa: SLF001 - its name


def place(offset: int, partition: int = 0) -> Place:
    return Place("mail", partition, offset, f"note {offset}")


def offsets(places: list[Place]) -> list[int]:
    return [place.offset for place in places]


def test_a_refused_commit_is_due_again_after_a_pause_until_it_is_sent() -> None:
    commits, refused = Commits(), place(5)
    commits.sent([refused, place(3, 1)])

    commits.answered(MOVED, [refused], 100)

    assert commits.again(100 + AGAIN_MS - 1) == []
    assert commits.again(100 + AGAIN_MS) == [refused], "its note with it"
    commits.sent([refused])
    assert commits.again(100 + 10 * AGAIN_MS) == []


def test_an_accepted_commit_is_not_repeated() -> None:
    commits = Commits()
    commits.sent([place(5)])
    commits.answered(None, [place(5)], 0)

    assert commits.again(AGAIN_MS) == []


def test_an_answer_to_an_older_commit_brings_no_older_place_back() -> None:
    commits = Commits()
    commits.sent([place(5)])
    commits.sent([place(9)])

    commits.answered(MOVED, [place(5)], 0)
    assert commits.again(AGAIN_MS) == []

    commits.answered(MOVED, [place(9)], 0)
    assert offsets(commits.again(AGAIN_MS)) == [9]


def test_a_newer_commit_takes_the_place_of_a_refused_one() -> None:
    commits = Commits()
    commits.sent([place(5)])
    commits.answered(MOVED, [place(5)], 0)

    commits.sent([place(6)])

    assert commits.again(AGAIN_MS) == []


def test_what_others_own_is_left_to_them() -> None:
    commits = Commits()
    commits.sent([place(5), place(7, 1)])
    commits.answered(MOVED, [place(5), place(7, 1)], 0)

    commits.forget([("mail", 0)])

    assert offsets(commits.again(AGAIN_MS)) == [7]
    commits.answered(MOVED, [place(5)], 0)
    assert offsets(commits.again(2 * AGAIN_MS)) == [7], "a late answer for a partition that left"


def test_what_would_be_refused_again_is_not_repeated() -> None:
    commits = Commits()
    commits.sent([place(5)])

    commits.answered(KafkaError(KafkaError.OFFSET_METADATA_TOO_LARGE), [place(5)], 0)

    assert commits.again(AGAIN_MS) == []


def test_one_commit_is_on_its_way_and_the_newest_place_follows_its_answer() -> None:
    commits = Commits()
    commits.sent([place(5)], UNDER_WAY_MS)
    assert commits.is_held(100)

    commits.later([place(7)])
    commits.later([place(9)])
    assert commits.again(100) == []

    commits.answered(None, [place(5)], 200)
    assert offsets(commits.again(200)) == [9]


def test_refusals_in_a_row_leave_room_for_heartbeats_and_an_acceptance_ends_that() -> None:
    commits, now_ms, pauses = Commits(), 0, []
    for _ in range(5):
        commits.sent([place(5)], now_ms + UNDER_WAY_MS)
        commits.answered(MOVED, [place(5)], now_ms)
        pause = next(ms for ms in range(0, 60_000, 500) if not commits.is_held(now_ms + ms))
        pauses.append(pause)
        now_ms += pause
    assert pauses == [AGAIN_MS, 2 * AGAIN_MS, AGAIN_MS_MAX, AGAIN_MS_MAX, AGAIN_MS_MAX]

    commits.sent([place(5)], now_ms + UNDER_WAY_MS)
    commits.answered(None, [place(5)], now_ms)
    assert not commits.is_held(now_ms)


def test_after_a_broker_was_lost_commits_wait_until_the_replicas_do_without_it() -> None:
    commits = Commits()
    commits.trouble(BROKEN)

    assert commits.is_held(100)
    assert commits.is_held(100 + TROUBLE_MS - 1)
    commits.later([place(5)])
    assert commits.again(100 + TROUBLE_MS - 1) == []
    assert offsets(commits.again(100 + TROUBLE_MS)) == [5]


def test_a_broker_that_stays_away_does_not_keep_commits_back_for_ever() -> None:
    commits = Commits()
    for now_ms in range(0, 40_000, 1_000):
        commits.trouble(BROKEN)
        commits.is_held(now_ms)

    assert not commits.is_held(40_000)


def test_a_commit_that_is_never_answered_holds_up_the_next_for_a_bounded_time() -> None:
    commits = Commits()
    commits.sent([place(5)], UNDER_WAY_MS)
    commits.later([place(6)])

    assert commits.again(UNDER_WAY_MS - 1) == []
    assert offsets(commits.again(UNDER_WAY_MS)) == [6]


def test_a_source_whose_connection_broke_sends_no_commit_that_can_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[dict[str, Any]] = []
    asked: list[bool] = []

    class Noting:
        def __init__(self, options: dict[str, Any]) -> None:
            made.append(options)

        def commit(self, *, offsets: list[Place], asynchronous: bool) -> list[Place]:
            asked.append(asynchronous)
            return offsets

    monkeypatch.setattr("jobstream.kafka.consume.source.Consumer", Noting)
    source = KafkaSource({}, "group", ["mail"], BrokerClock())
    made[0]["error_cb"](BROKEN)

    source.commit({("mail", 0): Position(5)}, wait=False)
    assert asked == []
    source.commit({("mail", 0): Position(5)}, wait=True)
    assert asked == [False]


class Rebalancing:
    """Stands in for the client library's consumer while its group rebalances."""

    def __init__(self, answers: list[list[KafkaError | None] | KafkaError]) -> None:
        self._answers = answers
        self.asked: list[list[tuple[Any, ...]]] = []

    def commit(self, *, offsets: list[Place], asynchronous: bool) -> list[Place]:
        assert not asynchronous
        self.asked.append([(p.topic, p.partition, p.offset, p.metadata) for p in offsets])
        answer = self._answers.pop(0) if self._answers else [None] * len(offsets)
        if isinstance(answer, KafkaError):
            raise KafkaException(answer)
        return [
            SimpleNamespace(topic=p.topic, partition=p.partition, offset=p.offset, error=error)  # type: ignore[misc] # no Place with an error can be made
            for p, error in zip(offsets, answer, strict=True)
        ]


LAST = {("mail", 0): Position(5, "clean"), ("mail", 1): Position(7, "clean")}
BOTH = [("mail", 0, 5, "clean"), ("mail", 1, 7, "clean")]


def committed_last(
    monkeypatch: pytest.MonkeyPatch,
    *answers: list[KafkaError | None] | KafkaError,
    within_s: float = LIMIT_S,
) -> list[list[tuple[Any, ...]]]:
    """Commit two places for good; what the client was asked."""
    client = Rebalancing(list(answers))
    monkeypatch.setattr("jobstream.kafka.consume.sent_commits.LAST_S", within_s)
    monkeypatch.setattr("jobstream.kafka.consume.source.Consumer", lambda _: client)
    KafkaSource({}, "group", ["mail"], BrokerClock()).commit(LAST, wait=True)
    return client.asked


def test_the_last_commit_is_repeated_while_the_member_has_not_heard_of_its_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert committed_last(monkeypatch, STALE, STALE) == [BOTH] * 3


def test_of_a_last_commit_what_was_refused_alone_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client raises nothing then: it tells each partition's error in its answer."""
    assert committed_last(monkeypatch, [None, MOVED]) == [BOTH, BOTH[1:]]


def test_what_every_repetition_would_be_refused_for_is_asked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forbidden = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)

    assert committed_last(monkeypatch, forbidden) == [BOTH]


def test_a_last_commit_that_is_always_refused_ends_within_its_bound(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert committed_last(monkeypatch, *[STALE] * 50, within_s=0.0) == [BOTH]
    assert [record.getMessage() for record in caplog.records] == ["commit_failed"]


class Refusing:
    """Stands in for the client library's consumer: the first commit is refused, in its callback."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._on_commit = options["on_commit"]
        self._answers: list[tuple[KafkaError | None, list[Place]]] = []
        self.asked: list[list[Place]] = []

    def commit(self, *, offsets: list[Place], asynchronous: bool) -> None:
        assert asynchronous
        self._answers.append((None if self.asked else MOVED, offsets))
        self.asked.append(offsets)

    def poll(self, timeout_s: float) -> None:
        del timeout_s
        while self._answers:
            self._on_commit(*self._answers.pop())


def test_a_source_sends_a_refused_commit_again_while_it_polls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Refusing] = []
    monkeypatch.setattr(
        "jobstream.kafka.consume.source.Consumer",
        lambda options: made.append(Refusing(options)) or made[0],  # type: ignore[func-returns-value]
    )
    source = KafkaSource({}, "group", ["mail"], BrokerClock())
    source.commit({("mail", 0): Position(5, "note 5")}, wait=False)

    wait_until(
        lambda: not source.poll(1, 0) and len(made[0].asked) > 1,
        "it is sent again",
        limit_s=LIMIT_S,
    )

    assert [(p.offset, p.metadata) for (p,) in made[0].asked] == [(5, "note 5")] * 2
