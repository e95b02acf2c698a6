"""A member of a group whose client is in the middle of something: it asks again, not for ever."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.errors import SourceFailed
from jobstream.kafka.clock import BrokerClock
from jobstream.kafka.source import KafkaSource


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

    monkeypatch.setattr("jobstream.kafka.source.Consumer", made)
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
    monkeypatch.setattr("jobstream.kafka.source.Consumer", given.update)

    KafkaSource(
        {}, "g", ["mail"], BrokerClock(), protocol=protocol, session_ms=9_000, heartbeat_ms=500
    )

    found = {name: given.get(f"{name}.ms") for name in ("session.timeout", "heartbeat.interval")}
    own = {"session.timeout": 9_000, "heartbeat.interval": 500}
    assert found == (own if protocol == "classic" else dict.fromkeys(own))
