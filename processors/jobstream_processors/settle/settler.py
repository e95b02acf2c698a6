"""Step 11: make decisions durable, in the one order that loses nothing.

Copies first, acknowledged; then the rows that absorb what the copies replace, acknowledged; then
the local shard. Only what came through all of it may finish its offset. A failed publish leaves the
delivery unsettled, to be tried again: nothing is skipped. Where a shard can't be written, what it
lacks is settled all the same, since its topic has the rows; the worker hears of it, and starts no
more jobs.

Each partition goes this way by itself. One whose brokers do not answer soon is left waiting, with
all that gathers for it, while the others go on.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from jobstream_processors.core.decide import DeadLetter, Finish, LetGo, Postpone, Retry
from jobstream_processors.core.letters import TOO_LARGE
from jobstream_processors.errors import PublishFailure, TableUnavailable
from jobstream_processors.ports import Sent
from jobstream_processors.settle.key_rows import AsksEnd, KeyRows
from jobstream_processors.settle.limit_rows import limit_rows
from jobstream_processors.settle.records import Settlement, settlement_of
from jobstream_processors.settle.unsent import tell_failed
from jobstream_schemas import DoneRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.known import Known
    from jobstream_processors.delivery import Decided
    from jobstream_processors.ports import Clock, Sink
    from jobstream_processors.queue_plan import QueuePlan

Failures = Mapping[int, PublishFailure]
Steps = Generator[Sent, Failures, None]
Work = list[tuple["Decided", Settlement]]
"""The way of one batch of one lane: yields what it sent, goes on when that is answered."""
PATIENCE_MS = 250
"""So long a round waits for its acknowledgements: far above what healthy brokers take."""


class Settler:
    """Settles batches, each lane's by itself. Used by one thread at a time."""

    def __init__(
        self,
        sink: Sink,
        plans: Mapping[str, QueuePlan],
        clock: Clock,
        unwritable: Callable[[TableUnavailable], object] | None = None,
        *,
        ends: AsksEnd | None = None,
    ) -> None:
        """`unwritable` hears of each write to a shard that failed; without it, that is raised.

        `ends` tells ends of logs: no unique job can be settled without it.
        """
        self._key_rows = KeyRows(sink, ends)
        self._sink = sink
        self._plans = plans
        self._clock = clock
        self._unwritable = unwritable
        self._gathered: dict[tuple[Lane, bool], list[Decided]] = {}
        """What no way was begun for, by lane and whether it is `done`; bounded by the windows."""
        self._under_way: dict[tuple[Lane, bool], _UnderWay] = {}
        """At most one for each lane and kind; an entry is left only while it is late."""
        self._late: frozenset[Lane] = frozenset()
        self._adrift: dict[Lane, list[Sent]] = {}
        """What lanes that have ended sent, and nobody has answered."""
        self._settled: list[Decided] = []
        self._again: list[Decided] = []

    @property
    def waits(self) -> bool:
        """Whether some of what it was given waits for acknowledgements: call `settle` again."""
        return bool(self._under_way or self._adrift)

    def is_adrift(self, lane: Lane) -> bool:
        """Whether brokers may still append what `lane`, which has ended, sent: `settle` looks."""
        return lane in self._adrift

    def is_late(self, lane: Lane) -> bool:
        """Whether what `lane` settles waits for its brokers. Safe from any thread."""
        return lane in self._late

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        """(settled, to be tried again). Blocks for about a quarter of a second at most.

        What is not acknowledged by then is returned by a later call, which may be given nothing
        new. Deliveries of ended assignments are returned by none.
        """
        gathered = self._gathered
        lane: Lane | None = None
        done = False
        alike: list[Decided] = []
        for item in batch:
            is_done = type(item[1]) is Finish and not item[0].limited and item[0].unique is None
            if item[0].lane is not lane or is_done is not done:
                # Seldom: neighbours are of one lane nearly always, as they were polled.
                lane, done = item[0].lane, is_done
                alike = gathered.setdefault((lane, done), [])
            alike.append(item)
        for key, way in list(self._under_way.items()):
            if not key[0].live:
                if way.sent is not None:
                    self._adrift.setdefault(key[0], []).append(way.sent)
                del self._under_way[key]
            elif way.goes_on(0.0) and way.ended:
                del self._under_way[key]
        if self._adrift:
            self._look_adrift()
        # Copies set out first: they have the longer way.
        for key in sorted(gathered, key=itemgetter(1)):
            if not key[0].live:
                del gathered[key]
            elif key not in self._under_way:
                self._begin(key, gathered.pop(key))
        self._wait([way for way in self._under_way.values() if way.fresh])
        if self._under_way or self._late:
            self._late = frozenset(lane for lane, _ in self._under_way)
        settled, again = self._settled, self._again
        self._settled, self._again = [], []  # Nothing of them stays in memory until the next call.
        return settled, again

    def _look_adrift(self) -> None:
        for lane, sent in list(self._adrift.items()):
            sent[:] = [each for each in sent if each.failures(0.0) is None]
            if not sent:
                del self._adrift[lane]

    def _begin(self, key: tuple[Lane, bool], items: list[Decided]) -> None:
        lane, done = key
        way = _UnderWay(self._done(lane, items) if done else self._others(lane, items))
        if not way.ended:
            self._under_way[key] = way

    def _wait(self, ways: list[_UnderWay]) -> None:
        """Let them go on for as long as all are answered soon."""
        until_ms, now_ms = self._clock.monotonic_ms() + PATIENCE_MS, self._clock.monotonic_ms
        while ways:
            # One after the other, and all of them together no longer than that.
            ways = [
                way
                for way in ways
                if way.goes_on(max(0, until_ms - now_ms()) / 1_000) and not way.ended
            ]
        for key, way in list(self._under_way.items()):
            way.fresh = False
            if way.ended:
                del self._under_way[key]

    def _done(self, lane: Lane, items: list[Decided]) -> Steps:
        """The hot path: one row each, encoded by hand, no copy."""
        done = DoneRows(self._clock.broker_ms())
        place = self._plans[lane.queue].dedup, lane.source[1]
        rows: list[dict[str, bytes]] = []
        facts: list[tuple[str, bytes, bytes]] = []
        for delivery, _ in items:
            fingerprint, digest = delivery.identity()
            job_id, carried = delivery.id, delivery.carried
            key, value = done.row(digest, fingerprint, job_id, carried.redrive, carried.attempt)
            rows.append({"key": key, "value": value})
            facts.append((job_id, fingerprint, digest))
        failed = yield self._sink.send_rows(place, rows)
        if failed:
            tell_failed(failed, lambda _: place)
            self._again += [item for index, item in enumerate(items) if index in failed]
            items = [item for index, item in enumerate(items) if index not in failed]
            facts = [fact for index, fact in enumerate(facts) if index not in failed]
        self._keep(partial(lane.shard.put_done, facts))
        self._settled += items

    def _others(self, lane: Lane, items: list[Decided]) -> Steps:
        """Everything else: copies, then rows, then the shard."""
        now_ms, plan = self._clock.broker_ms(), self._plans[lane.queue]
        work: list[tuple[Decided, Settlement]] = []
        plain: list[Decided] = []
        for delivery, decision in items:
            if type(decision) is LetGo or (type(decision) is Finish and not delivery.limited):
                plain.append((delivery, decision))  # After a row of its key, no row, or the usual.
                continue
            wanted = settlement_of(delivery, decision, plan, now_ms)
            if wanted is not None:
                work.append(((delivery, decision), wanted))
        with_copy = [index for index, (_, wanted) in enumerate(work) if wanted.copy is not None]
        if with_copy:
            copies = [copy for _, wanted in work if (copy := wanted.copy) is not None]
            failed = yield self._sink.send(copies)
            tell_failed(failed, lambda at: (copies[at].topic, copies[at].partition))
            work = self._copied(work, {with_copy[index]: why for index, why in failed.items()})
        work = yield from self._keyed(lane, plain, work, now_ms)
        if not work:
            return
        limits = limit_rows([item for item, _ in work], (plan.dedup, lane.source[1]), now_ms)
        if limits:
            failed = yield self._sink.send([each.record for each in limits])
            if failed:  # Whose they are is not told apart: one row is for many.
                tell_failed(
                    failed, lambda at: (limits[at].record.topic, limits[at].record.partition)
                )
                self._again += [item for item, _ in work]
                return
            self._keep(partial(lane.shard.merge, [each.fact for each in limits]))
        rows = [wanted.row for _, wanted in work]
        failed = yield self._sink.send(rows)
        tell_failed(failed, lambda at: (rows[at].topic, rows[at].partition))
        facts: list[tuple[str, Known]] = []
        for index, (item, wanted) in enumerate(work):
            if index in failed:
                self._again.append(item)
            else:
                facts.append((item[0].id, wanted.fact))
                self._settled.append(item)
        self._keep(partial(lane.shard.merge, facts))

    def _keyed(
        self, lane: Lane, plain: list[Decided], work: Work, now_ms: int
    ) -> Generator[Sent, Failures, Work]:
        """Write rows of unique keys, and end what needs but the usual row; returns what goes on."""
        keyed = plain + [item for item, _ in work]
        dedup = self._plans[lane.queue].dedup
        undone, facts = yield from self._key_rows.write(lane, keyed, dedup, now_ms)
        if facts:
            self._keep(partial(lane.shard.keep_key_facts, facts))
        if undone:
            self._again += [keyed[at] for at in undone]
            work = [each for at, each in enumerate(work, len(plain)) if at not in undone]
            plain = [item for at, item in enumerate(plain) if at not in undone]
        self._settled += [item for item in plain if type(item[1]) is LetGo]
        ended = [item for item in plain if type(item[1]) is Finish]
        if ended:
            yield from self._done(lane, ended)
        return work

    def _keep(self, write: Callable[[], None]) -> None:
        try:
            write()
        except TableUnavailable as error:
            if self._unwritable is None:
                raise
            self._unwritable(error)

    def _copied(
        self, work: list[tuple[Decided, Settlement]], bad: Failures
    ) -> list[tuple[Decided, Settlement]]:
        """The work whose copies, if any, are acknowledged."""
        for index, failure in bad.items():
            item = work[index][0]
            self._again.append(_too_large(item) if failure.too_large else item)
        return [each for index, each in enumerate(work) if index not in bad]


class _UnderWay:
    """One batch of one lane on its way."""

    __slots__ = ("_steps", "ended", "fresh", "sent")

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.sent = next(steps, None)
        self.ended = self.sent is None
        self.fresh = True
        """Whether it began in this round, which still waits for it."""

    def goes_on(self, timeout_s: float) -> bool:
        """Take the next step if the last is answered by then; False if it is not."""
        if self.sent is None:
            return False
        failures = self.sent.failures(timeout_s)
        if failures is None:
            return False
        try:
            self.sent = self._steps.send(failures)
        except StopIteration:
            self.ended, self.sent = True, None
        return True


def _too_large(item: Decided) -> Decided:
    """A record that can't be copied dies, with a letter that points to where it stands.

    Before that it is tried without its traceback: that is worth no record.
    """
    delivery, decision = item
    if isinstance(decision, Retry | Postpone | DeadLetter) and decision.carried.traceback:
        return delivery, replace(decision, carried=replace(decision.carried, traceback=""))
    if isinstance(decision, DeadLetter):
        return delivery, replace(decision, pointer=True)
    return delivery, DeadLetter(replace(delivery.carried, reason=TOO_LARGE), pointer=True)
