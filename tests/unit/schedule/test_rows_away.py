"""A partition of rows that can't be read holds up the schedules that wait for it, and no other."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until
from tests.unit.schedule.conftest import Cluster, Nothing

from jobstream.kafka.follow.schedule_topic import schedule_record
from jobstream.testing.memory_broker import MemoryBroker
from jobstream.testing.memory_log import MemoryLog
from jobstream.testing.virtual_clock import VirtualClock
from jobstream_processors.errors import TableUnavailable
from jobstream_processors.ports import Outgoing
from jobstream_processors.schedule.ends import Ends
from jobstream_processors.schedule.row_look import (
    FAILING_MAX,
    REST_MS_MAX,
    SLOW_MS,
    LogOffset,
    RowAnswer,
    RowLook,
    RowsAsked,
    RowsSeen,
)
from jobstream_schemas import OrderRecord

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream import App
    from jobstream_processors.ports import TopicPartition

MINUTE_MS = 60_000
LIMIT_S = 120.0
QUEUES = ("mail", "bills")


def rows_of(queue: str) -> str:
    return f"shop.{queue}.dedup"


class Shop:
    """Two queues, each with a schedule of a minute whose jobs end as soon as they are made."""

    def __init__(self, overlap: str = "skip") -> None:
        def declare(app: App) -> None:
            for name in QUEUES:
                queue = app.queue(name, partitions=1)

                @app.every("1m", name=name, overlap=overlap)  # type: ignore[arg-type] # drawn by a test
                @app.job(queue=queue, name=name)
                def work(_args: Nothing) -> None:
                    """Nothing."""

        self.cluster = Cluster(declare)
        self._settled = dict.fromkeys(QUEUES, 0)

    def run_for(self, minutes: int) -> dict[str, int]:
        """How many jobs are made in that time, by queue."""
        before = dict(self._settled)
        for _ in range(12 * minutes):
            self.cluster.run_for(5_000)
            self._settle()
        return {name: count - before[name] for name, count in self._settled.items()}

    def _settle(self) -> None:
        for name, settled in self._settled.items():
            records = self.cluster.broker.records(f"shop.{name}")
            keys = [b"job:" + (record.key() or b"") for record in records[settled:]]
            self.cluster.broker.publish([Outgoing(rows_of(name), key, b"", 0) for key in keys])
            self._settled[name] = len(records)


@pytest.mark.parametrize("overlap", ["skip", "queue_one"])
def test_schedules_of_other_queues_go_on_and_its_own_do_once_it_is_back(overlap: str) -> None:
    shop = Shop(overlap)
    process = shop.cluster.start()
    assert shop.run_for(5) == {"mail": 5, "bills": 5}

    shop.cluster.away.add(rows_of("mail"))
    # It can't be known whether the last job of the one goes on.
    assert shop.run_for(30) == {"mail": 0, "bills": 30}

    shop.cluster.away.clear()
    assert shop.run_for(10)["mail"] in {10, 11}
    (table,) = [table for table in process.scheduler.tables() if "mail" in table.standings]
    place = table.standings["mail"].place
    assert place.fired + place.missed + place.merged == 45, "no tick is forgotten"


def test_a_first_tick_whose_rows_are_away_ends_nothing_and_waits_alone() -> None:
    shop = Shop()
    shop.cluster.away.add(rows_of("mail"))
    shop.cluster.start()

    assert shop.run_for(5) == {"mail": 0, "bills": 5}

    shop.cluster.away.clear()
    assert shop.run_for(5)["mail"] in {5, 6}


def test_a_run_that_is_asked_for_does_not_wait_for_rows() -> None:
    shop = Shop()
    shop.cluster.start()
    shop.run_for(5)
    shop.cluster.away.add(rows_of("mail"))
    shop.run_for(5)

    order = OrderRecord("mail", "run", "1", "ann", "now", 0, 0)
    shop.cluster.broker.publish([schedule_record("shop.schedules", 4, order)])

    assert shop.run_for(1)["mail"] == 1
    records = shop.cluster.broker.records("shop.schedules")
    assert [r.value() is None for r in records if r.key() == b"run:mail:1"] == [False, True]


def test_what_can_not_be_read_is_asked_for_ever_more_seldom() -> None:
    shop = Shop()
    process = shop.cluster.start()
    shop.run_for(5)
    shop.cluster.away.add(rows_of("mail"))
    shop.cluster.asked_away = 0
    shop.run_for(30)

    assert 30 < shop.cluster.asked_away < 2 * 30 * MINUTE_MS // REST_MS_MAX
    wakes_ms = process.scheduler.next_ms()
    assert wakes_ms is not None
    assert wakes_ms >= shop.cluster.clock.broker_ms() + 500, "its owner may rest"


# -- on threads


class SlowLog(MemoryLog):
    """Places that are away keep who asks until they are back."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.back = threading.Event()
        self.away: set[TopicPartition] = set()

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        if partition in self.away and not self.back.wait(LIMIT_S):
            raise TableUnavailable
        return super().span(partition)


ROWS = "rows"


@pytest.fixture
def slow() -> Iterator[SlowLog]:
    broker = MemoryBroker(VirtualClock())
    broker.create_topic(ROWS, 20)
    made = SlowLog(broker)
    yield made
    made.back.set()


def test_looks_that_last_are_passed_by_others(slow: SlowLog) -> None:
    slow.away = {(ROWS, number) for number in range(3)}
    errors: list[BaseException] = []
    look = RowLook(slow, errors.append)
    places = [(ROWS, number) for number in range(6)]

    look.ask(dict.fromkeys(places, RowsAsked()), 0)
    found: set[TopicPartition] = set()
    for turn in range(1, 5):
        look.ask(dict.fromkeys(places[3:], RowsAsked()), turn * (SLOW_MS + 1))

    def answered() -> set[TopicPartition]:
        found.update(each.place for each in look.answers(0))
        return found if len(found) >= 3 else set()

    assert wait_until(answered, "the others answer", limit_s=LIMIT_S) == set(places[3:])
    slow.back.set()
    wait_until(lambda: answered() == set(places), "all answer", limit_s=LIMIT_S)
    look.close()
    assert not errors


def test_those_that_fail_take_turns_and_leave_threads_to_others() -> None:
    broker = MemoryBroker(VirtualClock())
    broker.create_topic(ROWS, 3 * FAILING_MAX)
    log = Failing(broker)
    look = RowLook(log)
    places = [(ROWS, number) for number in range(3 * FAILING_MAX)]
    per_turn = list[int]()
    for turn in range(60):
        before = len(log.asked)
        look.ask(dict.fromkeys(places, RowsAsked()), turn * REST_MS_MAX)
        per_turn.append(len(log.asked) - before)
        assert look.answers(turn * REST_MS_MAX) == []

    assert per_turn == [len(places)] + 59 * [FAILING_MAX]
    counts = [log.asked.count(place) for place in places]
    assert max(counts) - min(counts) <= 1


class Failing(MemoryLog):
    """No place of it can be read."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.asked: list[TopicPartition] = []

    def span(self, partition: TopicPartition) -> tuple[int, int]:
        self.asked.append(partition)
        raise TableUnavailable


def test_a_look_that_has_not_come_to_the_end_tells_of_no_job_that_it_goes_on() -> None:
    ends, place = Ends(), (ROWS, 0)
    ends.watch("one", place, LogOffset("id", 0))
    wanted = frozenset({"one"})

    ends.learn(RowAnswer(place, 5, RowsSeen("id", 0, 100, 50, wanted, frozenset())))
    assert ends.looked_ms(place) == -1
    assert ends.asked(place) == {place: RowsAsked(LogOffset("id", 50), wanted)}

    ends.learn(RowAnswer(place, 7, RowsSeen("id", 0, 100, 100, wanted, frozenset())))
    assert ends.looked_ms(place) == 7
    assert not ends.has_ended("one", place)
