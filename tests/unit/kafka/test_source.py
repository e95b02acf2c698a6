"""A member of a group whose client is in the middle of something: it asks again, not for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.errors import SourceFailed
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.kafka.consume.source import KafkaSource
from jobstream_processors.turn_meter import TurnMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from jobstream_processors.ports import Position, TopicPartition


class Busy:
    """Stands in for the client library's consumer: the first seeks are overtaken by its own."""

    def __init__(self, times: int) -> None:
        self._times = times
        self.at: list[int] = []
        self.resumed = 0

    def seek(self, place: Place) -> None:
        self.at.append(place.offset)
        if len(self.at) <= self._times:
            raise KafkaException(KafkaError(KafkaError._OUTDATED, "Local: Outdated"))  # noqa: SLF001 - its name

    def resume(self, places: list[Place]) -> None:
        self.resumed += len(places)


def source(monkeypatch: pytest.MonkeyPatch, client: Busy) -> KafkaSource:
    def made(_options: dict[str, Any]) -> Busy:
        return client

    monkeypatch.setattr("jobstream.kafka.consume.source.Consumer", made)
    return KafkaSource({}, "group", ["mail"], BrokerClock())


def test_a_start_that_the_client_forgot_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Busy(2)

    source(monkeypatch, client).start(("mail", 0), 5)

    assert (client.at, client.resumed) == ([5, 5, 5], 1)


def test_a_start_that_is_refused_again_and_again_ends_the_member(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SourceFailed, match=r"mail \[0\]"):
        source(monkeypatch, Busy(9)).start(("mail", 0), 5)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_session_and_heartbeat_are_the_members_own_only_in_the_classic_protocol(
    monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    given: dict[str, Any] = {}

    def made(options: dict[str, Any]) -> Busy:
        given.update(options)
        return Busy(0)

    monkeypatch.setattr("jobstream.kafka.consume.source.Consumer", made)

    KafkaSource(
        {}, "g", ["mail"], BrokerClock(), protocol=protocol, session_ms=9_000, heartbeat_ms=500
    )

    found = {name: given.get(f"{name}.ms") for name in ("session.timeout", "heartbeat.interval")}
    own = {"session.timeout": 9_000, "heartbeat.interval": 500}
    assert found == (own if protocol == "classic" else dict.fromkeys(own))


class Watched:
    """Stands in for the consumer and for the listener: notes the phase whenever it is called."""

    def __init__(self) -> None:
        self.turn = TurnMeter("group")
        self.phases: list[tuple[str, str]] = []
        self.on_assign: Callable[[Watched, list[Place]], None]
        self.on_revoke: Callable[[Watched, list[Place]], None]
        self.source: KafkaSource

    def note(self, what: str) -> None:
        self.phases.append((what, self.turn.phase))

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        assert topics
        self.on_assign, self.on_revoke = callbacks["on_assign"], callbacks["on_revoke"]

    def committed(self, places: list[Place], timeout: float) -> list[Place]:
        assert timeout
        self.note("committed")
        return places

    def offsets_for_times(self, places: list[Place], timeout: float) -> list[Place]:
        assert timeout
        self.note("ends")
        return places

    def incremental_assign(self, _places: list[Place]) -> None: ...
    def incremental_unassign(self, _places: list[Place]) -> None: ...
    def pause(self, _places: list[Place]) -> None: ...

    def assigned(self, _partitions: Mapping[TopicPartition, Position | None]) -> None:
        self.note("assigned")

    def revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self.note("revoked")
        self.source.release(partitions)

    def go_on(self) -> None: ...

    def lost(self, _partitions: Iterable[TopicPartition]) -> None: ...

    def misplaced(self, _partition: TopicPartition, _reason: str) -> None: ...


def test_all_that_a_rebalance_asks_and_does_is_marked_as_such(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A turn that is marked has minutes before its process counts as dead, any other has one."""
    client = Watched()
    monkeypatch.setattr("jobstream.kafka.consume.source.Consumer", lambda _options: client)
    source = KafkaSource({}, "group", ["mail"], BrokerClock(), turn=client.turn)
    source.listen(client)
    client.source = source

    client.on_assign(client, [Place("mail", 0, 5)])
    client.note("between")
    client.on_revoke(client, [Place("mail", 0)])

    marked = [(what, "rebalance") for what in ("committed", "ends", "assigned")]
    assert client.phases == [*marked, ("between", ""), ("revoked", "rebalance")]
