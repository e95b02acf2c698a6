"""Tells the other processes of an app that a breaker opened here, by the control topic.

They need not learn it by failing. An opening that can't be told is a warning and nothing else: each
process counts for itself anyway.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from jobstream.kafka.follow.control_topic import told_record
from jobstream.topics.names import control_topic
from jobstream_processors.core.orders import (
    BREAKER_OPENED,
    LASTS_MS_MAX,
    LASTS_MS_MIN,
    NO_LIMITS,
    TEXT_CHARS_MAX,
)
from jobstream_processors.errors import WorkerStopped
from jobstream_schemas import ControlRecord

if TYPE_CHECKING:
    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Sink

log = logging.getLogger("jobstream.roles")

UNTOLD_FIX = (
    "the other workers find by themselves that what it guards is failing; see whether the control "
    "topic can be written: jobstream topics plan MODULE:APP"
)


class BreakerNews:
    """Writes openings of one process to its app's control topic."""

    def __init__(self, sink: Sink, app: str, who: str) -> None:
        self._sink = sink
        self._topic = control_topic(app)
        self._who = who

    def tell(self, name: str, why: str, lasts_ms: int) -> None:
        """Write that the breaker is open for so long; returns at once, and raises nothing."""
        lasts_ms = min(max(lasts_ms, LASTS_MS_MIN), LASTS_MS_MAX)
        said = ControlRecord(
            BREAKER_OPENED, name, self._who, why[:TEXT_CHARS_MAX], lasts_ms, NO_LIMITS
        )

        def done(failure: PublishFailure | None) -> None:
            if failure is not None:
                _warn(name, failure.reason)

        try:
            self._sink.publish_soon(told_record(self._topic, said), done)
        except WorkerStopped as error:
            _warn(name, str(error))


def _warn(name: str, reason: str) -> None:
    extra = {"breaker": name, "reason": reason, "fix": UNTOLD_FIX}
    log.warning("breaker_news_unsent", extra=extra)
