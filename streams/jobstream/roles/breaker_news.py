"""Tells the other processes of an app that a breaker opened here, by the control topic.

They need not learn it by failing. An opening that can't be told is a warning and nothing else: each
process counts for itself anyway.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from jobstream.kafka.follow.control_topic import told_record
from jobstream.topics.names import control_topic
from jobstream_processors.background import in_background, log_end
from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    LASTS_MS_MAX,
    LASTS_MS_MIN,
    NO_LIMITS,
    TEXT_CHARS_MAX,
)
from jobstream_processors.errors import PublishFailed, WorkerStopped
from jobstream_schemas import ControlRecord

if TYPE_CHECKING:
    from jobstream_processors.ports import Sink

log = logging.getLogger("jobstream.roles")

UNTOLD_FIX = (
    "the other workers find by themselves that what it guards is failing; see whether the control "
    "topic can be written: jobstream topics plan MODULE:APP"
)


Apart = Callable[[Callable[[], None]], object]
THREAD = "jobstream-news"


def in_thread(work: Callable[[], None]) -> None:
    """Do it on a thread of its own, and return at once."""
    in_background(THREAD, work, log_end(THREAD))


class BreakerNews:
    """Writes openings of one process to its app's control topic."""

    def __init__(self, sink: Sink, app: str, who: str, apart: Apart = in_thread) -> None:
        """`apart` does what may block where it holds up nobody."""
        self._sink, self._apart = sink, apart
        self._topic = control_topic(app)
        self._who = who

    def tell(self, name: str, why: str, lasts_ms: int) -> None:
        """Write that the breaker is open for so long; returns at once, and raises nothing."""
        lasts_ms = min(max(lasts_ms, LASTS_MS_MIN), LASTS_MS_MAX)
        said = ControlRecord(
            BREAKER_OPENED, name, self._who, why[:TEXT_CHARS_MAX], lasts_ms, NO_LIMITS
        )

        def write() -> None:
            try:
                self._sink.publish([told_record(self._topic, said)])
            except (PublishFailed, WorkerStopped) as error:
                _warn(name, error)

        try:
            self._apart(write)
        except RuntimeError as error:  # No more threads can be started.
            _warn(name, error)


def _warn(name: str, error: BaseException) -> None:
    extra = {"breaker": name, "reason": str(error), "fix": UNTOLD_FIX}
    log.warning("breaker_news_unsent", extra=extra)
