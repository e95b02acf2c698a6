"""What the client library's own words leave out: errors that pass, and clients that do not."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from jobstream.kafka.client import admin_calls as asking
from jobstream.kafka.client.admin import Admin
from jobstream.kafka.client.error_kinds import is_fatal, is_passing, is_unanswered
from jobstream.settings import Settings


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError._TRANSPORT,  # noqa: SLF001 - the library's name
        KafkaError._DESTROY,  # noqa: SLF001 - likewise
    ],
)
def test_what_a_fail_over_answers_passes(code: int) -> None:
    assert is_passing(KafkaError(code))


def test_a_broker_that_is_named_no_more_gave_no_answer() -> None:
    """Its producer is replaced, if that goes on: it may have lost all of them."""
    assert is_unanswered(KafkaError(KafkaError._DESTROY))  # noqa: SLF001 - the library's name


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError._FATAL,  # noqa: SLF001 - the library's name
    ],
)
def test_what_stays_as_it_is_does_not_pass(code: int) -> None:
    assert not is_passing(KafkaError(code))


def test_a_client_that_broke_is_told_by_its_code_alone() -> None:
    assert is_fatal(KafkaError(KafkaError._FATAL))  # noqa: SLF001 - the library's name
    assert not is_fatal(KafkaError(KafkaError._TRANSPORT))  # noqa: SLF001 - likewise


class Moving:
    """Stands in for the client library's: the controller moves while it is asked."""

    def __init__(self, asked: list[str]) -> None:
        self._asked = asked

    def poll(self, _timeout: float) -> None: ...

    def list_topics(self, timeout: float) -> object:
        self._asked.append(f"{timeout:g}")
        if len(self._asked) < 3:
            raise KafkaException(KafkaError(KafkaError.NOT_CONTROLLER))

        class Found:
            topics = ("shop.mail",)

        return Found()


def test_a_controller_that_moves_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(asking, "AdminClient", lambda _options: Moving(asked))

    assert Admin(Settings.load({})).topics() == ("shop.mail",)
    assert len(asked) == 3
