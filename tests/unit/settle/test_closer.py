"""The closer: ends letters whose job is done or went on, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.known import DEAD, Known, rank_of
from jobstream_processors.core.letters import parse_key
from jobstream_processors.ports import Outgoing
from jobstream_processors.settle.letter_closer import REST_SWEEPS, Closer

if TYPE_CHECKING:
    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane


def closer(shop: Shop, *lanes: Lane) -> Closer:
    return Closer(shop.plans, shop.log, shop.sink, lambda: list(lanes))


def write(shop: Shop, key: bytes, value: bytes | None = b"job", partition: int = 0) -> None:
    shop.sink.publish([Outgoing(shop.plan.dlq, key, value, partition)])


def tombstones(shop: Shop) -> list[bytes | None]:
    return [r.key() for r in shop.broker.records(shop.plan.dlq) if r.value() is None]


@pytest.mark.parametrize(
    ("fact", "closed"),
    [
        (Known(done=True), True),
        (Known(ended=(1, rank_of(DEAD))), False),
        (Known(ended=(2, rank_of(DEAD))), True),
        (Known(moved=(2, 0)), True),
        (Known(moved=(1, 5)), False),
        (Known(parked=(2, 0, 1, 0, 0, 0)), True),
        (Known(crashes=(2, 1)), True),
    ],
)
def test_a_letter_is_closed_when_its_job_is_done_or_in_a_later_redrive(
    shop: Shop, fact: Known, *, closed: bool
) -> None:
    lane = shop.lane()
    lane.shard.merge([("a", fact)])
    write(shop, b"a:1")

    assert closer(shop, lane).sweep() == int(closed)
    assert tombstones(shop) == [b"a:1"] * closed


def test_a_letter_is_closed_once_and_what_is_closed_by_hand_is_left(shop: Shop) -> None:
    lane = shop.lane()
    lane.shard.merge([("a", Known(done=True)), ("b", Known(done=True))])
    watching = closer(shop, lane)
    write(shop, b"a:0")
    write(shop, b"b:0")
    write(shop, b"b:0", None)

    assert [watching.sweep(), watching.sweep()] == [1, 0]
    assert sorted(tombstones(shop), key=str) == [b"a:0", b"b:0"]


def test_letters_of_a_topic_made_anew_are_read_from_its_start(shop: Shop) -> None:
    lane = shop.lane()
    watching = closer(shop, lane)
    for key in (b"a:0", b"b:0"):
        write(shop, key)
    watching.sweep()

    shop.broker.recreate_topic(shop.plan.dlq)
    shop.log.topic_id(shop.plan.dlq, anew=True)  # as a worker asks every two seconds
    for key in (b"c:0", b"d:0", b"e:0"):
        write(shop, key)
    lane.shard.merge([(job_id, Known(done=True)) for job_id in "abc"])
    watching.sweep()

    assert tombstones(shop) == [b"c:0"]


def test_a_job_that_is_done_later_closes_its_letter_then(shop: Shop) -> None:
    lane = shop.lane()
    watching = closer(shop, lane)
    write(shop, b"a:0")
    assert watching.sweep() == 0

    lane.shard.merge([("a", Known(done=True))])

    assert watching.sweep() == 1


def test_a_tombstone_that_failed_is_tried_again(shop: Shop) -> None:
    lane = shop.lane()
    lane.shard.merge([("a", Known(done=True))])
    watching = closer(shop, lane)
    write(shop, b"a:0")
    shop.broker.fail_publishes(1, fate="absent")

    assert [watching.sweep(), watching.sweep()] == [0, 1]


def test_each_lane_closes_letters_of_its_own_partition_while_it_lives(shop: Shop) -> None:
    lane = shop.lane()
    lane.shard.merge([("a", Known(done=True))])
    write(shop, b"a:0", partition=1)
    assert closer(shop, lane).sweep() == 0

    write(shop, b"a:0")
    lane.live = False
    assert closer(shop, lane).sweep() == 0


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """So many letters are watched at a time."""
    monkeypatch.setattr("jobstream_processors.settle.letter_closer.OPEN_MAX", 2)
    return 2


def test_more_letters_than_memory_may_hold_are_looked_at_in_turns(shop: Shop, few: int) -> None:
    lane = shop.lane()
    watching = closer(shop, lane)
    names = "abcdefg"
    for name in names:
        write(shop, f"{name}:0".encode())
    lane.shard.merge([(name, Known(done=True)) for name in "afg"])

    assert [watching.sweep() for _ in range(4)] == [1, 0, 0, 2]
    assert sorted(tombstones(shop), key=str) == [b"a:0", b"f:0", b"g:0"]
    assert all(len(letters.open) <= few for letters in watching._letters.values())  # noqa: SLF001 - the bound itself


@pytest.mark.usefixtures("few")
def test_a_letter_that_made_room_is_looked_at_again_in_the_next_round(shop: Shop) -> None:
    lane = shop.lane()
    watching = closer(shop, lane)
    for name in "abcde":
        write(shop, f"{name}:0".encode())
    assert [watching.sweep() for _ in range(3)] == [0, 0, 0]
    lane.shard.merge([("a", Known(done=True))])

    closed = []
    for number in range(REST_SWEEPS):
        # One that grows all the while has its rounds as well.
        write(shop, f"new-{number}:0".encode())
        closed.append(watching.sweep())

    assert closed == [0] * (REST_SWEEPS - 1) + [1]
    assert tombstones(shop) == [b"a:0"]


@pytest.mark.usefixtures("few")
def test_a_letter_whose_tombstone_was_not_read_yet_is_not_closed_twice(shop: Shop) -> None:
    lane = shop.lane()
    watching = closer(shop, lane)
    for name in "abcde":
        write(shop, f"{name}:0".encode())
    write(shop, b"a:0", None)
    lane.shard.merge([(name, Known(done=True)) for name in "ab"])

    assert watching.sweep() == 1
    assert tombstones(shop) == [b"a:0", b"b:0"]


@pytest.mark.usefixtures("few")
def test_letters_stay_watched_until_their_tombstones_are_acknowledged(shop: Shop) -> None:
    lane = shop.lane()
    watching = closer(shop, lane)
    for name in "abcde":
        write(shop, f"{name}:0".encode())
    lane.shard.merge([("a", Known(done=True))])
    shop.broker.fail_publishes(1, fate="absent")
    assert [watching.sweep(), watching.sweep()] == [0, 1]


@pytest.mark.parametrize(
    ("key", "found"),
    [
        (b"a:0", ("a", 0)),
        (b"@shop.mail:1:7:2", ("@shop.mail:1:7", 2)),
        (None, None),
        (b"a", None),
        (b":1", None),
        (b"a:", None),
        (b"a:-1", None),
        ("a:\u0663".encode(), None),
        (b"a:" + b"9" * 5_000, None),
    ],
)
def test_keys_of_strangers_are_no_letters(key: bytes | None, found: tuple[str, int] | None) -> None:
    assert parse_key(key) == found
