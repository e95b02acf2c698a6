"""The client library's log: once, then counted; nothing that matters is kept back."""

from __future__ import annotations

import logging

import pytest

from jobstream.kafka.client import client_log as module
from jobstream.kafka.client.client_log import AGAIN_S, PASSING, TEXTS_MAX, Sparse, client_log

FAIL = (
    "FAIL [jobstream#producer-{n}] [thrd:b:9092/1]: b:9092/1: "
    "Connection refused (after {n}ms in state CONNECT)"
)


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def shown(sparse: Sparse, text: str, level: int = logging.ERROR) -> str | None:
    record = logging.LogRecord("jobstream.client", level, "", 0, "%s", (text,), None)
    return record.getMessage() if sparse.filter(record) else None


def test_the_same_trouble_of_every_client_is_shown_once_and_counted(clock: Clock) -> None:
    sparse = Sparse()

    seen = [shown(sparse, FAIL.format(n=n)) for n in range(50)]
    clock.now += AGAIN_S

    assert seen == [FAIL.format(n=0), *[None] * 49]
    assert shown(sparse, FAIL.format(n=7)) == FAIL.format(n=7) + " (49 more like it since)"


def test_what_passes_by_itself_is_shown_only_if_it_does_not(clock: Clock) -> None:
    sparse = Sparse()
    text = "GETPID [jobstream#producer-1] [thrd:main]: b:9092/1: Broker: " + PASSING

    seen = [shown(sparse, text, logging.WARNING) for _ in range(3)]
    clock.now += AGAIN_S

    assert seen == [None] * 3
    assert shown(sparse, text, logging.WARNING) == text + " (3 more like it since)"


def test_another_broker_or_another_level_is_another_text(clock: Clock) -> None:
    del clock
    sparse = Sparse()

    assert shown(sparse, FAIL.format(n=1))
    assert shown(sparse, FAIL.format(n=1).replace("b:9092", "c:9092"))
    assert shown(sparse, FAIL.format(n=1), logging.WARNING)


@pytest.mark.parametrize("level", [logging.DEBUG, logging.CRITICAL])
def test_what_was_asked_for_and_what_is_fatal_always_shows(level: int) -> None:
    sparse = Sparse()

    assert [shown(sparse, "the same", level) for _ in range(3)] == ["the same"] * 3


def test_memory_is_bounded_and_the_log_has_one_filter() -> None:
    sparse = Sparse()
    for n in range(2 * TEXTS_MAX):
        shown(sparse, f"text {n}")

    assert len(vars(sparse)["_shown"]) == TEXTS_MAX
    assert len([f for f in client_log().filters if isinstance(f, Sparse)]) == 1
    assert client_log() is client_log()
