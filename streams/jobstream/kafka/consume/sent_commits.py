"""Sends the commits of one client, and repeats those that its coordinator refused.

Without waiting, what was refused is sent again from a later poll. The last commit of what is given
back has no later poll, so it is repeated here, within a bound.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from confluent_kafka import KafkaError, KafkaException

from jobstream.kafka.consume.refused_commits import UNDER_WAY_MS, Commits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from confluent_kafka import Consumer
    from confluent_kafka import TopicPartition as Place

    from jobstream.kafka.client.broker_clock import BrokerClock

log = logging.getLogger("jobstream.kafka")

LAST_S = 3.0
"""How long a commit that is waited for is repeated, beside what each answer takes."""
LAST_AGAIN_S = 0.2
"""A member hears of its new epoch by its next heartbeat, which a refusal makes it send at once."""


class SentCommits:
    """Used by the thread that polls; `attach` it to its client before the first commit."""

    def __init__(self, clock: BrokerClock) -> None:
        self._clock = clock
        self._commits = Commits()
        self._nap = threading.Event()
        self._consumer: Consumer
        self.trouble = self._commits.trouble
        self.forget = self._commits.forget

    def attach(self, consumer: Consumer) -> None:
        """Send by this client from now on; its `on_commit` must be `answered`."""
        self._consumer = consumer

    def commit(self, places: list[Place], *, wait: bool) -> None:
        """Commit; a failure is logged. With `wait` it blocks, without it `repeat` is to follow."""
        if wait:
            self._commit_now(places)
        elif not self._commits.puts_off(places, self._clock.monotonic_ms()):
            self._send(places)

    def repeat(self, now_ms: int) -> None:
        """Send again what was refused or put off, once that may be; returns at once."""
        if again := self._commits.again(now_ms):
            self._send(again)

    def answered(self, error: KafkaError | None, places: Iterable[Place]) -> None:
        """The coordinator's answer: `error` for all of them, or each its own."""
        answered = list(places)
        self._commits.answered(error, answered, self._clock.monotonic_ms())
        errors = [error] if error is not None else [p.error for p in answered if p.error]
        if errors:
            log.warning("commit_failed", extra={"reason": errors[0].str()})

    def _send(self, places: list[Place]) -> None:
        self._commits.sent(places, self._clock.monotonic_ms() + UNDER_WAY_MS)
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            self.answered(error.args[0], places)

    def _commit_now(self, places: list[Place]) -> None:
        """Commit until it is taken, within LAST_S.

        While a group rebalances, a member that has not heard of its new epoch is refused.
        """
        until_s = time.monotonic() + LAST_S
        while places:
            self._commits.sent(places)
            try:
                answer = self._consumer.commit(offsets=places, asynchronous=False)
            except KafkaException as error:
                self.answered(error.args[0], places)
            else:
                # Of several partitions some may be refused, which raises nothing.
                self.answered(None, answer)
            places = self._commits.refused(places)
            if time.monotonic() >= until_s:
                return
            if places:
                self._nap.wait(LAST_AGAIN_S)
