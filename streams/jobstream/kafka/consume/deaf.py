"""Whether a member's client has lost its brokers for good, while they answer others.

A broker that comes back may answer a question about topics before it counts itself in: with no
brokers at all. The client library then forgets every broker it knew, the ones it was given
included, and asks nobody again (librdkafka issue 5301, seen with 2.16). Nothing ends that but a
new client. So a member that hears nothing asks by another client, now and then; if that one is
answered, and goes on being answered while the member hears nothing, the process is replaced.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaException
from confluent_kafka import TopicPartition as Place

from jobstream.kafka.client.construct import made
from jobstream_processors.errors import ReplaceProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobstream.kafka.consume.hearing import Hearing

UNHEARD_S = 30.0
"""So long a silence is no reason to ask: brokers fail over, and a client finds them again."""
ASK_EVERY_S = 10.0
GIVE_UP_S = 30.0
"""How long others may be answered before a client that hears nothing is given up."""
ANSWER_S = 3.0
DEAF = "the Kafka client has heard nothing of its group"
"""So begins the reason why a process is replaced."""


class Deafness:
    """What is known of one member's client. Used by the thread that polls."""

    def __init__(
        self,
        hearing: Hearing,
        others_hear: Callable[[], bool],
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`others_hear` asks the group's coordinator by another client; it may block."""
        self._hearing = hearing
        self._others_hear = others_hear
        self._now_s = now_s
        self._ask_s = 0.0
        self._others_since_s: float | None = None

    def check(self) -> None:
        """Ask if it is time to; raises ReplaceProcess if the client is deaf. Mostly asks nobody."""
        if self._hearing.unheard_s() < UNHEARD_S:
            self._others_since_s = None
            return
        now_s = self._now_s()
        if now_s < self._ask_s:
            return
        heard = self._others_hear()
        self._ask_s = self._now_s() + ASK_EVERY_S
        if not heard:
            self._others_since_s = None
        elif self._others_since_s is None:
            self._others_since_s = now_s
        elif now_s - self._others_since_s >= GIVE_UP_S:
            message = (
                f"{DEAF} for {self._hearing.unheard_s():.0f} s, "
                "though the coordinator answers another one"
            )
            raise ReplaceProcess(message)


def asks_anew(options: Mapping[str, Any], group: str, topic: str) -> Callable[[], bool]:
    """A question to the coordinator of `group` by a client of its own, made for it alone.

    By a consumer that does not join: an admin client that asks for a group while its coordinator is
    away ends the process by an assertion, now and then (librdkafka 2.16). It tells no statistics:
    `options` are the member's, and what another client hears is not heard by that one.
    """
    own = {**options, "group.id": group, "enable.auto.commit": False, "log_level": 2}
    own["statistics.interval.ms"] = 0
    own.pop("stats_cb", None)

    def ask() -> bool:
        with closing(made(Consumer, own)) as client:
            try:
                client.committed([Place(topic, 0)], timeout=ANSWER_S)
            except KafkaException:
                return False
            return True

    return ask
