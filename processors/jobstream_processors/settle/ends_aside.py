"""Asks brokers for ends of logs on a thread of its own, so that what settles waits for no leader.

It begins with the first unique job that ends here.
"""

from __future__ import annotations

import logging
import queue
import threading
from typing import TYPE_CHECKING

from jobstream_processors.background import in_background

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream_processors.errors import PublishFailure
    from jobstream_processors.ports import Log, TopicPartition

log = logging.getLogger("jobstream.worker")


class EndAside:
    """An answer that may be to come."""

    def __init__(self, place: TopicPartition) -> None:
        self.place = place
        self.end: int | None = None
        self._answered = threading.Event()

    def answer(self, end: int | None) -> None:
        """Give the end; None if brokers did not say."""
        self.end = end
        self._answered.set()

    def failures(self, timeout_s: float) -> Mapping[int, PublishFailure] | None:
        """Nothing, once there is an answer; None if there is none by then."""
        return {} if self._answered.wait(timeout_s) else None


class EndsAside:
    """Takes questions from any thread."""

    def __init__(self, reader: Log, failed: Callable[[BaseException], object]) -> None:
        """`failed` hears of the end of the thread."""
        self._reader, self._failed = reader, failed
        self._questions: queue.SimpleQueue[EndAside] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, place: TopicPartition) -> EndAside:
        """Ask; the answer comes within the time for which the reader waits for a leader."""
        question = EndAside(place)
        self._questions.put(question)
        if self._thread is None:
            self._thread = in_background("jobstream-ends", self._serve, self._failed)
        return question

    def _serve(self) -> None:
        while True:
            question = self._questions.get()
            try:
                question.answer(self._reader.span(question.place)[1])
            except Exception as error:  # noqa: BLE001 - brokers that do not answer: it is asked again
                told = {"partition": question.place, "reason": f"{type(error).__name__}: {error}"}
                log.warning("end_not_known", extra=told)
                question.answer(None)
