"""A duration that is refused is named, with the limits that are true for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from jobstream import App, Backoff, RetryAfter, Snooze
from jobstream.cli.options import seconds
from jobstream.job_queue import Queue
from jobstream.settings import Settings
from jobstream.testing import memory

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Mail:
    to: str


def enqueued(**options: Any) -> None:  # noqa: ANN401 - what an enqueue takes
    app = App("shop")
    mail = app.declare("mail", Mail)
    with memory(app):
        mail.enqueue(Mail("a"), **options)


def declared(**options: Any) -> None:  # noqa: ANN401 - what a job type takes
    App("shop").declare("mail", Mail, **options)


def paused(for_: str) -> None:
    app = App("shop")
    queue = app.queue("mail")
    with memory(app):
        app.control.pause(queue=queue, for_=for_)


ALL = ("0s", "3650d")
GIVEN: dict[str, tuple[Callable[[Any], object], str, str]] = {
    "delay": (lambda value: enqueued(delay=value), *ALL),
    "expires_in": (lambda value: enqueued(expires_in=value), "1ms", "3650d"),
    "RetryAfter(delay)": (RetryAfter, *ALL),
    "Snooze(delay)": (Snooze, *ALL),
    "first": (lambda value: Backoff(first=value, cap="3650d"), *ALL),
    "cap": (lambda value: Backoff(first=0, cap=value), *ALL),
    "max_age": (lambda value: Backoff(max_age=value), *ALL),
    "timeout": (lambda value: declared(timeout=value), "1ms", "1d"),
    "expect": (lambda value: declared(expect=value, timeout="1h"), "1ms", "1h"),
    "retention": (lambda value: Queue("mail", retention=value), "1m", "3650d"),
    "dedup": (lambda value: Queue("mail", dedup=value), "1m", "3650d"),
    "slo": (lambda value: Queue("mail", slo=value), "1s", "3650d"),
    "for_": (paused, "1s", "366d"),
    "drain": (lambda value: Settings.load({}, drain=value), "0s", "1h"),
    "rebalance_drain": (lambda value: Settings.load({}, rebalance_drain=value), "0s", "1h"),
    "JOBSTREAM_SESSION_TIMEOUT": (
        lambda value: Settings.load({"JOBSTREAM_SESSION_TIMEOUT": value}, heartbeat="100ms"),
        "1s",
        "1h",
    ),
    "heartbeat": (
        lambda value: Settings.load({}, heartbeat=value, session_timeout="1h"),
        "100ms",
        "1h",
    ),
    "enqueue_timeout": (lambda value: Settings.load({}, enqueue_timeout=value), "1ms", "10m"),
    "commit_interval": (lambda value: Settings.load({}, commit_interval=value), "10ms", "10m"),
    "--interval": (lambda value: seconds("--interval", value, 100), "100ms", "3650d"),
    "--timeout": (lambda value: seconds("--timeout", value, 1_000), "1s", "3650d"),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_is_outside_is_refused_with_the_limits_and_they_are_true(name: str) -> None:
    give, least, most = GIVEN[name]

    for value in ("-1ms", "3651d"):
        told = f"{name}={value!r} is outside {least} .. {most}"
        with pytest.raises(ValueError, match=re.escape(told)):
            give(value)
    give(least)
    if name not in NOT_THE_MOST:
        give(most)


NOT_THE_MOST = {"heartbeat"}
"""A session of an hour has no room for it."""


def test_the_latest_moment_is_named() -> None:
    enqueued(run_at=datetime(3084, 12, 11, tzinfo=UTC))

    with pytest.raises(ValueError, match=r"run_at=3084-12-13T00:00:00.*before 3084-12-12"):
        enqueued(run_at=datetime(3084, 12, 13, tzinfo=UTC))
