"""A member of a consumer group on the broker in memory: the `Source` port.

It learns of assignments only when it polls, keeps what it believes to own until then, and calls the
listener without holding the broker's lock, so that a listener may publish, commit and block.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Self

from jobstream.kafka.consume.standstill import LOOK_MS, Standstill
from jobstream.testing.errors import NotOwned
from jobstream.testing.memory_group import Steps

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from jobstream.kafka.client.broker_clock import BrokerClock
    from jobstream.testing.memory_broker import MemoryBroker
    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.ports import Listener, Position, TopicPartition

log = logging.getLogger("jobstream.testing")
_END = 1 << 62


class _Holding:
    """One partition this member believes to own."""

    __slots__ = ("paused", "place", "position")

    def __init__(self) -> None:
        self.position = -1
        """Where it goes on to fetch."""
        self.place = -1
        """Where it goes on by what was delivered."""
        self.paused = True


class MemorySource:
    """Joins its group with the first poll. Used by one thread."""

    def __init__(
        self,
        broker: MemoryBroker,
        group: str,
        topics: Collection[str],
        clock: BrokerClock | None = None,
    ) -> None:
        """`clock` learns from what is read, as on Kafka."""
        self._broker = broker
        self._clock = clock
        self._group = group
        self._topics = frozenset(topics)
        self._listener: Listener | None = None
        self.member = broker.new_member(group)
        """The name by which `MemoryBroker.lose` and `expire` know it."""
        self._held: dict[TopicPartition, _Holding] = {}
        self._revoked: set[TopicPartition] = set()
        """Of that, what is to be given back and is not released yet."""
        self._unsent: dict[TopicPartition, Position] = {}
        self._left_out: dict[tuple[TopicPartition, int], int] = {}
        self._standstill = Standstill()
        self._dry = False
        """Whether it had nothing more to give since the last look."""
        self._next_look_ms = 0
        self._closed = False
        self._heard_ms = broker.clock.monotonic_ms()

    def is_silent(self, limit_ms: int) -> bool:
        """Whether the group has not been heard for longer than that, by the virtual clock."""
        return self._broker.clock.monotonic_ms() - self._heard_ms > limit_ms

    def listen(self, listener: Listener) -> Self:
        """Subscribe: `listener` hears of assignments from inside `poll` and `close`."""
        self._listener = listener
        return self

    def poll(self, limit: int, timeout_s: float) -> Sequence[MemoryRecord]:
        """Up to `limit` records; waits at most `timeout_s` of real time for the first."""
        if self._closed or self._listener is None:
            message = f"member {self.member} is closed or has no listener; call listen first"
            raise RuntimeError(message)
        deadline = time.monotonic() + timeout_s
        while True:
            if self._broker.is_frozen:
                return ()
            self._heard_ms = self._broker.clock.monotonic_ms()
            self._send_commits()
            self._follow_assignment()
            self._tell_misplaced()
            self._look()
            with self._broker.changed:
                records = self._take(limit)
                left_s = deadline - time.monotonic()
                if records or (left_s <= 0 and not self._has_steps()):
                    if records and self._clock is not None:
                        self._clock.observe(records[-1].timestamp()[1])
                    return records
                if not self._has_steps():
                    self._broker.changed.wait(left_s)

    def start(self, partition: TopicPartition, offset: int) -> None:
        """Deliver an assigned partition from `offset` on; raises NotOwned."""
        holding = self._held.get(partition)
        if holding is None:
            message = f"{self.member} was not assigned {partition}; start only what it owns"
            raise NotOwned(message)
        holding.position = holding.place = offset
        holding.paused = False
        self._standstill.forget([partition])

    def pause(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver nothing from these until resumed."""
        for partition in partitions:
            if partition in self._held:
                self._held[partition].paused = True
                self._standstill.forget([partition])

    def resume(self, partitions: Iterable[TopicPartition]) -> None:
        """Deliver again from where it stopped."""
        for partition in partitions:
            if partition in self._held:
                self._held[partition].paused = False

    def commit(self, positions: Mapping[TopicPartition, Position], *, wait: bool) -> None:
        """Commit. Without `wait` it is sent with the next call: a member that dies first loses it.

        A refused commit is logged, as the next one would tell the same.
        """
        self._unsent.update(positions)
        if wait:
            self._send_commits()

    def close(self) -> None:
        """Leave the group, after the listener has heard of it and released its partitions."""
        if self._closed:
            return
        self._send_commits()
        try:
            steps = self._steps()
            self._lose(steps.lost)
            self._give_back(sorted(self._held.keys() - self._revoked))
            while self._revoked:
                self._told().go_on()
        finally:
            self._closed = True
            self._send_commits()
            self._broker.leave(self._group, self.member)

    def leave_out(self, partition: TopicPartition, offset: int, times: int = 1) -> None:
        """Skip that record the next `times` it is fetched, as a client with a fault would.

        The last of its partition is fetched again as on Kafka, once the partition has stood before
        it for two looks, 5 s apart by the virtual clock.
        """
        self._left_out[partition, offset] = times

    def kill(self) -> None:
        """Die as by kill -9: send no commit and no goodbye. The broker notices at `expire`."""
        self._closed = True
        self._unsent.clear()
        self._held.clear()

    def _told(self) -> Listener:
        assert self._listener is not None  # noqa: S101 - partitions are held after `listen` only
        return self._listener

    def _send_commits(self) -> None:
        if not self._unsent:
            return
        positions, self._unsent = self._unsent, {}
        with self._broker.changed:
            refused = self._broker.group(self._group).commit(self.member, positions)
        for partition, reason in refused.items():
            log.warning("commit_refused", extra={"partition": partition, "reason": reason})

    def _follow_assignment(self) -> None:
        """Do what the coordinator wants: first what is lost, then give back, then take."""
        with self._broker.changed:
            self._broker.fence_overdue(self._group)
            is_member = self.member in self._broker.group(self._group).subscriptions
        if not is_member:
            self._lose(sorted(self._held))
            self._broker.join(self._group, self.member, self._topics)
        steps = self._steps()
        self._lose(steps.lost)
        self._give_back(steps.revoke)
        if steps.grant and not self._revoked:
            self._take_over()

    def _steps(self) -> Steps:
        """The next duties, without those under way and those that must wait for them."""
        with self._broker.changed:
            steps = self._broker.group(self._group).steps(self.member, self._held)
        revoke = [partition for partition in steps.revoke if partition not in self._revoked]
        return Steps(steps.lost, revoke, [] if self._revoked else steps.grant)

    def _has_steps(self) -> bool:
        group = self._broker.group(self._group)
        return self.member not in group.subscriptions or any(self._steps())

    def _lose(self, partitions: Sequence[TopicPartition]) -> None:
        if not partitions:
            return
        self._revoked.difference_update(partitions)
        for partition in partitions:
            del self._held[partition]
        self._told().lost(partitions)

    def _give_back(self, partitions: Sequence[TopicPartition]) -> None:
        """Tell the listener; only once it releases may another member be given these."""
        if not partitions:
            return
        self._revoked.update(partitions)
        with self._broker.changed:
            self._broker.revoking(self._group, self.member, partitions)
        try:
            self._told().revoked(partitions)
        except BaseException:
            self.release(partitions)  # As the client library does.
            raise

    def release(self, partitions: Iterable[TopicPartition]) -> None:
        """Give back what was revoked; what was committed goes first."""
        self._send_commits()
        free = [p for p in partitions if p in self._revoked]
        self._revoked.difference_update(free)
        for partition in free:
            del self._held[partition]
        with self._broker.changed:
            self._broker.group(self._group).free(self.member, free)
            self._broker.changed.notify_all()

    def _take_over(self) -> None:
        with self._broker.changed:
            group = self._broker.group(self._group)
            granted = self._steps().grant
            group.grant(self.member, granted)
            committed = {partition: group.committed.get(partition) for partition in granted}
        for partition in granted:
            self._held[partition] = _Holding()
        if committed:
            self._told().assigned(committed)

    def _take(self, limit: int) -> list[MemoryRecord]:
        """Records of what runs here; the partition served first goes last next time."""
        taken: list[MemoryRecord] = []
        for partition, (_, end) in self._broker.spans(self._delivering()).items():
            holding = self._held[partition]
            if holding.position >= end or len(taken) >= limit:
                continue
            found = self._broker.read(partition, holding.position, _END, limit - len(taken))
            if found:
                holding.position = found[-1].offset() + 1
                self._held[partition] = self._held.pop(partition)
                kept = self._delivered(partition, found) if self._left_out else found
                if kept:
                    holding.place = max(holding.place, kept[-1].offset() + 1)
                taken += kept
        if len(taken) < limit:
            self._dry = True
        return taken

    def _delivered(
        self, partition: TopicPartition, found: list[MemoryRecord]
    ) -> list[MemoryRecord]:
        """The records of `found` without those that are to be left out."""
        kept = []
        for record in found:
            mark = (partition, record.offset())
            if left := self._left_out.get(mark, 0):
                self._left_out[mark] = left - 1
            else:
                kept.append(record)
        return kept

    def _delivering(self) -> list[TopicPartition]:
        return [p for p, held in self._held.items() if held.position >= 0 and not held.paused]

    def _look(self) -> None:
        """Fetch anew what stands before its log's end, though there is nothing more to give."""
        now_ms = self._broker.clock.monotonic_ms()
        if now_ms < self._next_look_ms:
            return
        self._next_look_ms = now_ms + LOOK_MS
        dry, self._dry = self._dry, False
        places = {partition: self._held[partition].place for partition in self._delivering()}
        if not self._standstill.asks(places):
            return
        ends = {partition: end for partition, (_, end) in self._broker.spans(places).items()}
        for partition in self._standstill.look(places, ends, dry=dry):
            extra = {"partition": partition, "offset": places[partition], "end": ends[partition]}
            log.warning("partition_started_anew", extra=extra)
            self.start(partition, places[partition])

    def _tell_misplaced(self) -> None:
        """Stop what has its place outside its log, as Kafka does where nothing resets it."""
        for partition, (first, end) in self._broker.spans(self._delivering()).items():
            holding = self._held[partition]
            if first <= holding.position <= end:
                continue
            reason = f"offset {holding.position} of {partition} is outside the log [{first}, {end}]"
            holding.position = -1
            self._told().misplaced(partition, reason)
