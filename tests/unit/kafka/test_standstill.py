"""A partition that has records and brings none is started anew; one that is slow or idle is not."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.consume.source import KafkaSource
from jobstream.kafka.consume.standstill import LOOK_MS, Standstill

MAIL, OTHER = ("mail", 0), ("mail", 1)


def looks(*seen: tuple[int, int]) -> list[bool]:
    """Whether each look, at a place and an end, starts the partition anew, if the client is dry."""
    standstill = Standstill()
    return [standstill.look({MAIL: place}, {MAIL: end}, dry=True) == [MAIL] for place, end in seen]


def busy_looks(*others: tuple[int, int]) -> list[bool]:
    """Likewise while another partition, at these places and ends, keeps the client busy."""
    standstill = Standstill()
    return [
        standstill.look({MAIL: 5, OTHER: place}, {MAIL: 9, OTHER: end}, dry=False) == [MAIL]
        for place, end in others
    ]


def test_the_same_place_behind_the_end_twice_is_started_anew() -> None:
    assert looks((5, 9), (5, 9)) == [False, True]


def test_what_moves_or_has_nothing_before_it_is_left_alone() -> None:
    assert looks((5, 9), (6, 9), (7, 9)) == [False] * 3
    assert looks((9, 9), (9, 9), (9, 10), (10, 10)) == [False] * 4


def test_an_end_that_brings_no_record_is_tried_with_growing_pauses() -> None:
    """As after a foreign transaction, whose marker takes an offset and is never delivered."""
    tried = looks(*[(5, 6)] * 31)

    assert [number for number, again in enumerate(tried, 1) if again] == [2, 6, 14, 30]


def test_an_end_that_grew_is_tried_as_the_first_one() -> None:
    assert looks(*[(5, 6)] * 6, (5, 7), (5, 7))[-3:] == [True, False, True]


def test_what_was_paused_in_between_begins_anew() -> None:
    standstill = Standstill()
    standstill.look({MAIL: 5}, {MAIL: 9}, dry=True)

    standstill.forget([MAIL])

    assert standstill.look({MAIL: 5}, {MAIL: 9}, dry=True) == []


def test_records_of_others_that_were_written_later_have_passed_it() -> None:
    assert busy_looks((10, 20), (21, 30), (31, 40)) == [False, False, True]
    assert busy_looks((10, 20), (15, 30), (31, 40)) == [False, False, True]


def test_a_backlog_of_others_may_have_its_records_behind_it() -> None:
    assert busy_looks((10, 200), (60, 250), (110, 300), (160, 350), (210, 400)) == [False] * 5


def test_a_look_at_which_it_had_just_come_to_stand_proves_nothing() -> None:
    """Its records may have been fetched a moment ago, behind what was fetched before."""
    standstill = Standstill()
    seen = [({MAIL: 4, OTHER: 10}, 20), ({MAIL: 5, OTHER: 21}, 30), ({MAIL: 5, OTHER: 31}, 40)]
    for places, end in seen:
        assert standstill.look(places, {MAIL: 9, OTHER: end}, dry=False) == []

    assert standstill.look({MAIL: 5, OTHER: 41}, {MAIL: 9, OTHER: 50}, dry=False) == [MAIL]


def test_one_that_was_sent_elsewhere_has_passed_nothing() -> None:
    standstill = Standstill()
    for place, end in ((10, 20), (15, 30)):
        standstill.look({MAIL: 5, OTHER: place}, {MAIL: 9, OTHER: end}, dry=False)

    standstill.forget([OTHER])

    assert standstill.look({MAIL: 5, OTHER: 35}, {MAIL: 9, OTHER: 40}, dry=False) == []


def test_nothing_is_asked_while_all_are_moving() -> None:
    standstill = Standstill()
    assert standstill.asks({MAIL: 5, OTHER: 5})
    standstill.look({MAIL: 5, OTHER: 5}, {MAIL: 9, OTHER: 9}, dry=False)

    assert not standstill.asks({MAIL: 6, OTHER: 6})
    assert standstill.asks({MAIL: 6, OTHER: 7})


class Silent:
    """Stands in for a client's consumer that lost a fetch: the log has 9, it brings none."""

    def __init__(self) -> None:
        self.end = 9
        self.others = 0
        """Where the other partitions stand, and end."""
        self.sought: list[int] = []
        self.away = False
        self.gives: list[Any] = []

    def poll(self, timeout_s: float) -> Any:  # noqa: ANN401 - a message, or None
        del timeout_s
        return self.gives[0] if self.gives else None

    def consume(self, count: int, timeout_s: float) -> list[Any]:
        del timeout_s
        return self.gives * count

    def offsets_for_times(self, places: list[Place], timeout: float) -> list[Place]:
        assert timeout > 0
        if self.away:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "away"))  # noqa: SLF001 - its name
        return [self._at(p, self.end) for p in places]

    def _at(self, place: Place, offset: int) -> Place:
        mail = (place.topic, place.partition) == MAIL
        return Place(place.topic, place.partition, offset if mail else self.others)

    def seek(self, place: Place) -> None:
        self.sought.append(place.offset)

    def pause(self, places: list[Place]) -> None:
        """Nothing more to pause."""

    def resume(self, places: list[Place]) -> None:
        """Nothing to resume."""


class Message:
    """A record of another partition, the next one at each look; or one of a place given."""

    def __init__(self, client: Silent, place: tuple[str, int] = OTHER, offset: int = 0) -> None:
        self._client, self._place, self._offset = client, place, offset

    def topic(self) -> str:
        return self._place[0]

    def partition(self) -> int:
        return self._place[1]

    def offset(self) -> int:
        return self._offset or self._client.others + 5

    def error(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, 1


class Turns:
    """A source over the silent client, and looks at their interval."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.client, self.clock, self.now_ms = Silent(), BrokerClock(), 0
        monkeypatch.setattr("jobstream.kafka.consume.source.Consumer", lambda _options: self.client)
        monkeypatch.setattr(self.clock, "monotonic_ms", lambda: self.now_ms)
        self.source = KafkaSource({}, "group", ["mail"], self.clock)
        self.source.start(MAIL, 5)
        self.client.sought.clear()

    def look(self, times: int, limit: int = 10) -> list[int]:
        """Poll at so many looks; returns where the client was sent to."""
        for _ in range(times):
            self.source.poll(limit, 0)
            self.now_ms += LOOK_MS
            self.client.others += 10
        self.source.poll(limit, 0)
        return self.client.sought


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> Turns:
    return Turns(monkeypatch)


def test_a_source_starts_a_silent_partition_anew_and_says_so(
    turns: Turns, caplog: pytest.LogCaptureFixture
) -> None:
    assert turns.look(1) == []
    assert turns.look(2) == [5]
    assert "partition_started_anew" in caplog.messages


def test_a_record_that_was_left_out_at_the_end_is_fetched_anew(turns: Turns) -> None:
    """Where the client gave the last of them stands, whatever it takes for its own place."""
    turns.client.gives = [Message(turns.client, MAIL, 7)]
    turns.source.poll(1, 0)
    turns.client.gives = []

    assert turns.look(1) == []
    assert turns.look(2) == [8]


def test_a_place_goes_on_while_the_partition_is_paused(turns: Turns) -> None:
    turns.client.gives = [Message(turns.client, MAIL, 7)]
    turns.source.pause([MAIL])
    turns.source.poll(1, 0)
    turns.source.resume([MAIL])
    turns.client.gives = []

    assert turns.look(3) == [8]


def test_a_client_with_more_to_give_may_still_have_its_records(turns: Turns) -> None:
    turns.client.gives = [Message(turns.client)]

    assert turns.look(4) == []


def test_a_client_that_others_keep_busy_is_looked_at_all_the_same(turns: Turns) -> None:
    turns.source.start(OTHER, 0)
    turns.client.sought.clear()
    turns.client.gives = [Message(turns.client)]

    assert turns.look(1) == []
    assert turns.look(1) == [5]


def test_what_is_paused_or_idle_is_left_alone(turns: Turns) -> None:
    turns.source.pause([MAIL])
    assert turns.look(4) == []

    turns.source.resume([MAIL])
    turns.client.end = 5
    assert turns.look(4) == []


def test_brokers_that_are_away_are_no_standstill(turns: Turns) -> None:
    turns.client.away = True

    assert turns.look(4) == []
