"""Settling what holds a unique key: the row of the key first, with the end of the queue's log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from jobstream_processors.core.decide import EXPIRED, FINISH, LET_GO, End, Retry
from jobstream_processors.core.headers import Carried
from jobstream_processors.core.key_facts import HeldBy
from jobstream_processors.core.known import DUPLICATE
from jobstream_processors.core.unique_mode import Mode
from jobstream_processors.core.unique_part import UniquePart
from jobstream_processors.settle.ends_aside import EndsAside
from jobstream_processors.settle.key_rows import EndHere, EndsHere
from jobstream_processors.settle.settler import Settler

if TYPE_CHECKING:
    from tests.unit.shop import Shop

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.key_facts import KeyFacts
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import TopicPartition

LIFE_MS = 1_000
LEFT = Retry(Carried(seq=1, attempt=2, delay_ms=7_000))


class Silent:
    """No broker says how far a log goes."""

    def ask(self, _: TopicPartition) -> EndHere:
        return EndHere(None)


class Span:
    """A reader whose broker answers once."""

    def __init__(self) -> None:
        self.answers = [(3, 17)]

    def span(self, _: TopicPartition) -> tuple[int, int]:
        return self.answers.pop()


@pytest.fixture
def settler(shop: Shop) -> Settler:
    return Settler(shop.sink, shop.plans, shop.clock, ends=EndsHere(shop.log))


def holder(shop: Shop, lane: Lane, job_id: str, *, began: bool = True) -> Delivery:
    (made,) = shop.deliver(lane, shop.send(job_id))
    made.unique = part = UniquePart("key", Mode(), made.offset, 0, LIFE_MS)
    part.holds, part.began = True, began
    return made


def unique_rows(lane: Lane) -> KeyFacts:
    return lane.shard.key_facts("key")


def test_an_end_says_first_how_far_the_log_goes(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    job = holder(shop, lane, "a")
    shop.send("later")

    settled, again = settler.settle([(job, FINISH)])

    assert ([done for done, _ in settled], again) == ([job], [])
    assert [kind for kind, _, _ in shop.told()] == ["unique", "job"]
    assert unique_rows(lane).released[:4] == (0, 0, 0, 2)


def test_who_leaves_says_first_that_it_keeps_the_key(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    job = holder(shop, lane, "a")

    settler.settle([(job, LEFT)])

    assert [kind for kind, _, _ in shop.told()] == ["unique", "moved"]
    assert unique_rows(lane).holder(LIFE_MS - 1) == (0, 0, 1, "a", LIFE_MS)


def test_who_waits_on_the_ladder_names_the_holder_whose_record_is_read_again(
    shop: Shop, settler: Settler
) -> None:
    lane = shop.lane()
    running, newer = holder(shop, lane, "a"), holder(shop, lane, "b", began=False)
    part = newer.unique
    assert part is not None
    part.holds, part.waits = False, True
    part.behind = HeldBy(running.offset, 0, 0, "a", LIFE_MS)

    settler.settle([(newer, LEFT)])

    facts = unique_rows(lane)
    assert facts.holder(LIFE_MS - 1) == part.behind
    assert facts.waits[:2] == (newer.offset, "b")
    assert [(kind, job_id) for kind, job_id, _ in shop.told()] == [
        ("unique", "a"),
        ("unique", "b"),
        ("moved", "b"),
    ]


def test_one_whose_rows_both_fail_is_settled_again_once(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    newer = holder(shop, lane, "b", began=False)
    part = newer.unique
    assert part is not None
    part.holds, part.waits, part.behind = False, True, HeldBy(0, 0, 0, "a", LIFE_MS)
    shop.broker.fail_publishes(lambda record: record.topic.endswith(".dedup"))

    settled, again = settler.settle([(newer, LEFT)])

    assert (settled, again) == ([], [(newer, LEFT)])


def test_who_gives_its_key_up_to_begin_writes_that_alone(shop: Shop, settler: Settler) -> None:
    lane = shop.lane()
    job = holder(shop, lane, "a", began=False)

    settled, _ = settler.settle([(job, LET_GO)])

    assert settled == [(job, LET_GO)]
    assert [kind for kind, _, _ in shop.told()] == ["unique"]


@pytest.mark.parametrize("decision", [EXPIRED, End(DUPLICATE, "of another")])
def test_an_end_without_a_run_says_nothing_of_the_key(
    shop: Shop, settler: Settler, decision: Decision
) -> None:
    job = holder(shop, shop.lane(), "a", began=False)

    settler.settle([(job, decision)])

    assert [kind for kind, _, _ in shop.told()] == ["job"]


def test_while_the_end_of_the_log_is_not_known_it_stays_unsettled(shop: Shop) -> None:
    lane = shop.lane()
    job, other = holder(shop, lane, "a"), holder(shop, lane, "b")
    settler = Settler(shop.sink, shop.plans, shop.clock, ends=Silent())

    settled, again = settler.settle([(job, FINISH), (other, LEFT)])

    assert again[0] == (job, FINISH)
    assert settled == [(other, LEFT)]
    assert [(kind, job_id) for kind, job_id, _ in shop.told()] == [("unique", "b"), ("moved", "b")]


def test_ends_are_asked_for_on_a_thread_of_their_own() -> None:
    ends = EndsAside(Span(), print)  # type: ignore[arg-type]  # only that is asked
    first, second = ends.ask(("jobs.mail", 0)), ends.ask(("jobs.mail", 1))

    assert first.failures(10) == second.failures(10) == {}
    assert (first.end, second.end) == (17, None)  # The second time the broker is away.
