"""Whether the group still counts this member in, judged by what its client hears.

The coordinator gives a member's partitions away a session after the last heartbeat that reached it,
and a member that is cut off from it is told nothing. What it can know is when the coordinator
answered last: the client has a connection for it alone, and its statistics tell how long that has
been idle. A member whose heartbeats are answered hears it every heartbeat.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from confluent_kafka import KafkaException
from confluent_kafka import TopicPartition as Place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from confluent_kafka import Consumer

    from jobstream_processors.ports import TopicPartition

HEAR_MS_MAX = 1_000
"""Time between two statistics at most."""
ASK_S = 1.0
"""How long the coordinator has for an answer, and the time between two questions."""
OVERDUE_S = 1.5
FAILOVER_S = 30.0
"""How long a group may be without a coordinator. Its successor counts every session anew."""
_AT = re.compile(r'"ts":\s*(\d+)')
_BROKER = re.compile(
    r'"source":\s*"(\w+)",\s*"state":\s*"([\w-]+)".*?"rxidle":\s*(-?\d+)', re.DOTALL
)
_COORDINATOR = "logical"


class Hearing:
    """When the coordinator, and any broker, was heard last. `is_silent` may be asked anywhere."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        """`now_s` is the clock of the statistics, which on Linux is that of `time.monotonic`."""
        self._now_s = now_s
        self._coordinator_s = self._any_s = now_s()
        self._is_connected = False
        """Whether there is a connection to the coordinator, heard or not."""
        self._silent_since_s = 0.0
        self._every_s = HEAR_MS_MAX / 1_000
        self._taken_s = now_s()
        """When statistics were taken last."""

    def options(self, watched: Mapping[str, Any], limit_ms: int) -> dict[str, Any]:
        """Options that make a client report here often enough to tell a silence of `limit_ms`.

        It reports to `watched`, the options of another who takes its statistics, as well.
        """
        also, every_ms = watched.get("stats_cb"), min(HEAR_MS_MAX, limit_ms // 5)
        self._every_s = every_ms / 1_000

        def take(text: str) -> None:
            self.take(text)
            if also is not None:
                also(text)

        return {**watched, "statistics.interval.ms": every_ms, "stats_cb": take}

    def take(self, text: str) -> None:
        """Statistics of the client; they may have waited to be taken."""
        at = _AT.search(text)
        brokers = _BROKER.findall(text, 0, max(text.find('"topics":'), 0))
        if at is None:
            return
        at_s, self._taken_s = int(at[1]) / 1e6, self._now_s()
        self._is_connected = False
        for source, state, idle in brokers:
            # -1 where it was never heard, or is not connected.
            heard_s = at_s - int(idle) / 1e6 if int(idle) >= 0 else 0.0
            if source == _COORDINATOR:
                self._is_connected = state == "UP"
                self._coordinator_s = max(self._coordinator_s, heard_s)
            self._any_s = max(self._any_s, heard_s)

    def heard(self) -> None:
        """The coordinator has answered just now."""
        self._coordinator_s = self._any_s = self._taken_s = self._now_s()

    def ask(self, consumer: Consumer, partitions: Collection[TopicPartition]) -> None:
        """Ask the coordinator what is committed, unless it was heard within ASK_S.

        For the time in which statistics are not taken. Blocks for ASK_S at most.
        """
        if partitions and self._now_s() - self._coordinator_s > ASK_S:
            with suppress(KafkaException):
                consumer.committed([Place(*next(iter(partitions)))], timeout=ASK_S)
                self.heard()

    def unheard_s(self) -> float:
        """How long the coordinator has said nothing; 0 while nobody takes the statistics."""
        now_s = self._now_s()
        if now_s - self._taken_s > OVERDUE_S:
            return 0.0
        return now_s - self._coordinator_s

    def is_silent(self, limit_ms: int) -> bool:
        """Whether the coordinator may have given this member up: it was silent for longer.

        One that died is no silence while other brokers answer, unless it lasts; one that keeps its
        connection and says nothing is. Once silent, only the coordinator ends that.
        """
        if self._silent_since_s and self._coordinator_s <= self._silent_since_s:
            return True
        self._silent_since_s = 0.0
        now_s, limit_s = self._now_s(), limit_ms / 1_000
        # A full process does not poll for a moment, and takes no statistics: no silence, either.
        overdue = now_s - self._taken_s > self._every_s
        until_s = max(self._taken_s, now_s - OVERDUE_S) if overdue else now_s
        if until_s - self._coordinator_s <= limit_s:
            return False
        fails_over = not self._is_connected and now_s - self._coordinator_s <= FAILOVER_S
        if fails_over and until_s - self._any_s <= limit_s:
            return False
        self._silent_since_s = now_s
        return True
