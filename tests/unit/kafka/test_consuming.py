"""What a member's client says, and which of it ends the member."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import KafkaError

from jobstream.errors import SourceFailed
from jobstream.kafka.consume.member_options import check

if TYPE_CHECKING:
    from confluent_kafka import Message


class Said:
    """A message that carries an error, as the client library hands it over."""

    def __init__(self, code: int) -> None:
        self._error = KafkaError(code, "so it says")

    def error(self) -> KafkaError:
        return self._error

    def topic(self) -> str:
        return "mail"

    def partition(self) -> int:
        return -1


def said(code: int) -> Message:
    return cast("Message", Said(code))


def test_a_topic_that_was_deleted_does_not_end_the_member(
    caplog: pytest.LogCaptureFixture,
) -> None:
    check(said(KafkaError.UNKNOWN_TOPIC_OR_PART))

    assert "consumer_error" in caplog.messages


def test_a_topic_that_may_not_be_read_ends_the_member() -> None:
    with pytest.raises(SourceFailed, match="mail"):
        check(said(KafkaError.TOPIC_AUTHORIZATION_FAILED))
