"""What a member asks about its partitions while brokers die: asked again, and in the end told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from confluent_kafka import OFFSET_INVALID, KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.errors import SourceFailed
from jobstream.kafka.consume import starting_points as assigned
from jobstream.kafka.consume.starting_points import committed, log_ends
from jobstream_processors.ports import Position

if TYPE_CHECKING:
    from collections.abc import Callable

FENCED = KafkaError.FENCED_LEADER_EPOCH
PLACES = [Place("mail", 0), Place("mail", 1)]


class Brokers:
    """Stands in for the client library's consumer; `codes` say how it fails, call by call."""

    def __init__(self, *codes: int, alone: Callable[[Place], bool] = lambda _place: False) -> None:
        self._codes = list(codes)
        self._alone = alone
        self.asked: list[list[tuple[int, int]]] = []

    def committed(self, places: list[Place], timeout: float) -> list[Place | Failed]:
        return self._answer(places, timeout)

    def offsets_for_times(self, places: list[Place], timeout: float) -> list[Place | Failed]:
        return self._answer(places, timeout)

    def _answer(self, places: list[Place], timeout: float) -> list[Place | Failed]:
        assert timeout > 0
        self.asked.append([(place.partition, place.offset) for place in places])
        if self._codes:
            raise KafkaException(KafkaError(self._codes.pop(0), "so they say"))
        return [
            Failed(place) if self._alone(place) and len(self.asked) == 1 else self.told(place)
            for place in places
        ]

    def told(self, place: Place) -> Place:
        return Place(place.topic, place.partition, 7 + place.partition, "note")


class Failed:
    """An answer for one partition alone, with an error."""

    def __init__(self, place: Place) -> None:
        self.topic, self.partition = place.topic, place.partition
        self.offset, self.metadata = -1, ""
        self.error = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)


@pytest.mark.parametrize("code", [FENCED, KafkaError._DESTROY_BROKER, KafkaError.NOT_COORDINATOR])  # noqa: SLF001 - its names
def test_it_asks_again_while_brokers_die(code: int) -> None:
    brokers = Brokers(code, code)

    assert log_ends(brokers, PLACES) == {("mail", 0): 7, ("mail", 1): 8}  # type: ignore[arg-type]
    assert len(brokers.asked) == 3


def test_an_error_of_one_partition_is_not_taken_for_nothing_committed() -> None:
    brokers = Brokers(alone=lambda place: place.partition == 1)

    found = committed(brokers, PLACES)  # type: ignore[arg-type]

    assert found == {("mail", 0): Position(7, "note"), ("mail", 1): Position(8, "note")}
    assert [[number for number, _ in asked] for asked in brokers.asked] == [[0, 1], [1]]


def test_nothing_committed_is_told_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(place: Place) -> Place:
        return Place(place.topic, place.partition, OFFSET_INVALID)

    brokers = Brokers()
    monkeypatch.setattr(brokers, "told", nothing)

    assert committed(brokers, PLACES[:1]) == {("mail", 0): None}  # type: ignore[arg-type]


def test_it_gives_up_in_the_end_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "WAIT_S", -1.0)

    with pytest.raises(SourceFailed, match=r"mail \[0\].*so they say"):
        committed(Brokers(FENCED), PLACES)  # type: ignore[arg-type]


def test_it_gives_up_on_a_partition_that_nobody_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assigned, "WAIT_S", -1.0)
    brokers = Brokers()
    monkeypatch.setattr(brokers, "_answer", lambda _places, _timeout: [])

    with pytest.raises(SourceFailed, match=r"mail \[0\].*no answer"):
        log_ends(brokers, PLACES)  # type: ignore[arg-type]


def test_a_refusal_for_good_is_not_repeated() -> None:
    brokers = Brokers(KafkaError.GROUP_AUTHORIZATION_FAILED)

    with pytest.raises(SourceFailed):
        committed(brokers, PLACES)  # type: ignore[arg-type]
    assert len(brokers.asked) == 1
