"""What a member learns by another client: that others are answered, and nothing of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.harness.waiting import wait_until

from jobstream.kafka.consume.deaf import asks_anew

if TYPE_CHECKING:
    from jobstream.broker import EmbeddedKafka

pytestmark = pytest.mark.kafka


def test_an_answer_to_another_client_is_not_heard_by_the_member(kafka: EmbeddedKafka) -> None:
    # Given a member whose client tells its statistics fifty times a second
    told: list[str] = []
    options = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "statistics.interval.ms": 20,
        "stats_cb": told.append,
    }
    ask = asks_anew(options, "deaf", "nothing")

    # When it asks, till the first group of a new broker has its coordinator
    wait_until(ask, "the coordinator answers", limit_s=120.0)

    assert not told


def test_a_coordinator_that_is_away_answers_nobody() -> None:
    ask = asks_anew({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}, "deaf", "nothing")

    assert not ask()
