"""Jobs that share a unique key: one has it, and the others end, or wait for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from jobstream_processors.core.decide import (
    FINISH,
    CountCrash,
    DeadLetter,
    End,
    LetGo,
    RetryInPlace,
    WaitInPlace,
)
from jobstream_processors.core.known import DUPLICATE
from jobstream_processors.core.orders import NOTHING
from jobstream_processors.core.unique_answer import (
    Asks,
    Duplicate,
    Free,
    Later,
    Refused,
    Takes,
    Waits,
)
from jobstream_processors.core.unique_keys import UniqueKeys
from jobstream_processors.core.verdict import MOMENT_MS, NotBefore
from jobstream_processors.delivery import DECIDED, offset_of
from jobstream_processors.engine.gates.freed import Freed
from jobstream_processors.engine.gates.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.key_facts import HeldBy, KeyFacts
    from jobstream_processors.core.orders import Orders
    from jobstream_processors.core.unique_answer import Answer
    from jobstream_processors.core.unique_part import UniquePart
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.engine.waiting import WaitingRoom
    from jobstream_processors.ports import Shard

UNIQUE = "unique"
"""Another job has its unique key, or its burst is not over."""
UNTIL_DUE = "later"
"""It was enqueued for a time to come."""
STEP_MS = (5_000, 30_000)
"""How long a job that waits for its key stays on the ladder before it asks again."""
HELD_REASON = "unique_held"
_STAYS = frozenset({RetryInPlace, CountCrash, WaitInPlace})
"""Decisions after which a delivery runs again where it stands, with its key."""


class _Table:
    """What the shard of one lane tells of unique keys."""

    def __init__(self, shard: Shard, gate: Uniques) -> None:
        self._shard, self._gate = shard, gate

    def key_facts(self, name: str) -> KeyFacts:
        return self._shard.key_facts(name)

    def facts_of_keys(self, names: Sequence[str]) -> Sequence[KeyFacts]:
        return self._shard.facts_of_keys(names)

    def is_over(self, held: HeldBy) -> bool:
        if held.job_id in self._gate.cancelled:
            return True  # It stands on the ladder, and comes back only to end without a run.
        (known,) = self._shard.get([held.job_id])
        return known is not None and (known.done or held.redrive <= known.ended[0])


class _Asked:
    """The keys of one lane, and who waits here for them."""

    def __init__(self, lane: Lane, gate: Uniques) -> None:
        self.keys: UniqueKeys[Delivery] = UniqueKeys(_Table(lane.shard, gate))
        self.waiting: dict[str, dict[Delivery, None]] = {}


class Uniques(Gate):
    """Knows the unique keys of every lane of one process."""

    has_rules = True

    def __init__(self) -> None:
        self._lanes: dict[Lane, _Asked] = {}
        self._freed = Freed()
        self._now_ms = 0
        """Broker time, as a question told it last."""
        self.cancelled = NOTHING.cancels
        """By operators: such a job keeps no key while it is away on the ladder."""

    def obey(self, orders: Orders) -> Collection[str]:
        """Know who is cancelled; that those end, another gate says."""
        self.cancelled = orders.cancels
        return ()

    def begin(self, room: WaitingRoom) -> None:
        """Know of no key that anybody asked for."""
        self._lanes[room.lane] = _Asked(room.lane, self)

    def forget(self, room: WaitingRoom) -> None:
        """Forget the keys of the lane: its next owner reads the same jobs again."""
        self._lanes.pop(room.lane, None)
        self._freed.forget(room.lane)

    def expects(self, room: WaitingRoom, deliveries: Sequence[Delivery]) -> None:
        """Look their keys up, all at once."""
        if (asked := self._lanes.get(room.lane)) is not None:
            names = [stand.name for each in deliveries if (stand := each.unique) is not None]
            asked.keys.look_ahead(names)

    def meets(
        self, room: WaitingRoom, delivery: Delivery, judged: Decision | None, now_ms: int
    ) -> Decision | None:
        """Take the key for it, or end it; what waits is told when it `asks`."""
        stand, asked = delivery.unique, self._lanes.get(room.lane)
        if stand is None or asked is None:
            return None
        asked.keys.enter(stand.name, delivery.id, delivery)
        if judged is not None and judged is not FINISH:
            return None  # It ends, or leaves, without a run, and so has no part in the key.
        given = self._ask(asked, delivery, stand, now_ms)
        if isinstance(given, Duplicate) and not _is_ending(asked, stand, given.of):
            return End(DUPLICATE, f"of {given.of}")
        return _refusal(delivery, given.holder) if isinstance(given, Refused) else None

    def asks(
        self, room: WaitingRoom, delivery: Delivery, now_ms: int
    ) -> NotBefore | Decision | None:
        """Whether it has the key, or needs it no more; else how long it waits, or that it ends."""
        stand, asked = delivery.unique, self._lanes.get(room.lane)
        if stand is None or asked is None:
            return None
        if (waiting := asked.waiting.get(stand.name)) is not None:
            waiting.pop(delivery, None)
        if stand.freed:
            return None
        if stand.holds and now_ms < stand.expires_ms:
            return _until_due(delivery, stand, now_ms)  # It still has what it took.
        given = self._ask(asked, delivery, stand, now_ms)
        match given:
            case Takes() | Free():
                return _until_due(delivery, stand, now_ms)
            case Duplicate(of):
                if _is_ending(asked, stand, of):
                    return self._keep(asked, delivery, stand, now_ms + MOMENT_MS)
                return End(DUPLICATE, f"of {of}")
            case Refused(holder):
                return _refusal(delivery, holder)
            case Waits(holder):
                if _is_ending(asked, stand, holder):
                    return self._keep(asked, delivery, stand, now_ms + MOMENT_MS)
                until_ms = now_ms + _step_ms(delivery, stand, now_ms)
                return self._keep_till_due(asked, delivery, stand, until_ms)
            case Later(due_ms):
                return self._keep_till_due(asked, delivery, stand, due_ms)
            case _:
                assert_never(given)

    def taken(self, room: WaitingRoom, delivery: Delivery) -> None:  # noqa: ARG002 - the shape of it
        """It begins: its end tells how far the log went."""
        if delivery.unique is not None:
            delivery.unique.began = True

    def settled(self, delivery: Delivery, decision: Decision) -> None:
        """Its rows are in the table: the key is free, or held from elsewhere."""
        stand, asked = delivery.unique, self._lanes.get(delivery.lane)
        if stand is None or asked is None:
            return
        if type(decision) is LetGo:
            stand.freed = True
            asked.keys.freed(stand.name, delivery.id)
            self._pass_on(asked, stand)
        elif type(decision) not in _STAYS and not delivery.outlived:
            self._left(asked, stand, delivery)

    def returned(self, delivery: Delivery) -> None:
        """Its handler has stopped at last: only now is nothing of it under way."""
        stand, asked = delivery.unique, self._lanes.get(delivery.lane)
        if stand is not None and asked is not None and delivery.decided is not None:
            self._left(asked, stand, delivery)

    def released(self) -> Sequence[Delivery]:
        """Those for whose key something has changed."""
        return self._freed.take()

    def _ask(self, asked: _Asked, delivery: Delivery, stand: UniquePart, now_ms: int) -> Answer:
        carried, self._now_ms = delivery.carried, max(now_ms, self._now_ms)
        asks = Asks(
            delivery.id,
            stand.mode,
            stand.place,
            stand.appended_ms,
            stand.expires_ms,
            again=carried.place is not None,
            began=carried.attempt > 1 or carried.snoozes > 0 or delivery.crashes > 0,
            redriven=carried.redrive > 0 and carried.seq == 0,
        )
        given = asked.keys.ask(stand.name, asks, (carried.redrive, carried.seq), now_ms)
        stand.holds = isinstance(given, Takes)
        was_waiting, stand.waits = stand.waits, isinstance(given, Waits | Later)
        if stand.waits:
            stand.behind = asked.keys.holder(stand.name)
        if isinstance(given, Later):
            stand.first_ms = given.first_ms
        if stand.waits and not was_waiting:
            stand.waits_from_ms = now_ms
            self._wake(asked, stand.name)  # Those before it are not the newest any more.
        return given

    def _keep(
        self, asked: _Asked, delivery: Delivery, stand: UniquePart, until_ms: int
    ) -> NotBefore:
        asked.waiting.setdefault(stand.name, {})[delivery] = None
        return NotBefore(UNIQUE, until_ms)

    def _keep_till_due(
        self, asked: _Asked, delivery: Delivery, stand: UniquePart, until_ms: int
    ) -> NotBefore:
        """At least till its own time: a copy that waits for less has no header for that."""
        kept = self._keep(asked, delivery, stand, until_ms)
        own = _until_due(delivery, stand, until_ms)
        return kept if own is None else own._replace(reason=UNIQUE)

    def _left(self, asked: _Asked, stand: UniquePart, delivery: Delivery) -> None:
        asked.keys.leave(stand.name, delivery.id, delivery)
        if (waiting := asked.waiting.get(stand.name)) is not None:
            waiting.pop(delivery, None)
        self._pass_on(asked, stand)

    def _pass_on(self, asked: _Asked, left: UniquePart) -> None:
        """The key is for the first in the log that asked, though it may have more to wait for."""
        if left.holds and not left.mode.latest:
            for each in sorted(asked.keys.asking(left.name), key=offset_of):
                stand = each.unique
                if stand is None or stand.freed or each.stage is DECIDED:
                    continue
                if isinstance(self._ask(asked, each, stand, self._now_ms), Takes):
                    break
        self._wake(asked, left.name)

    def _wake(self, asked: _Asked, name: str) -> None:
        if (waiting := asked.waiting.pop(name, None)) is not None:
            self._freed.add(waiting)


def _is_ending(asked: _Asked, stand: UniquePart, job_id: str) -> bool:
    """Whether that job's decision is being settled: what it writes decides about the key."""
    other = asked.keys.item(stand.name, job_id)
    return other is not None and other.stage is DECIDED


def _step_ms(delivery: Delivery, stand: UniquePart, now_ms: int) -> int:
    """Longer and longer, as the wait is: it costs a hop each time."""
    since_ms = stand.waits_from_ms
    if delivery.carried.waits == UNIQUE and delivery.carried.waits_since_ms is not None:
        since_ms = min(since_ms, delivery.carried.waits_since_ms)
    waited_ms = now_ms - since_ms
    if waited_ms < MOMENT_MS:
        return MOMENT_MS
    return max(STEP_MS[0], min(waited_ms, STEP_MS[1]))


def _until_due(delivery: Delivery, stand: UniquePart, now_ms: int) -> NotBefore | None:
    """A unique job for later asks for its key first, and then waits on the ladder."""
    due_ms, carried = delivery.carried.due_ms, delivery.carried
    if due_ms is None and carried.seq == 0 and carried.delay_ms is not None:
        due_ms = stand.appended_ms + carried.delay_ms
    if due_ms is None or due_ms <= now_ms:
        return None
    return NotBefore(UNTIL_DUE, due_ms, own=True)


def _refusal(delivery: Delivery, holder: str) -> DeadLetter:
    """Back to the dead letters: with the reason, for the operator who redrove it."""
    message = (
        f"its unique key is held by job {holder}; redrive it again when that has ended, or discard"
        " it"
    )
    carried = replace(
        delivery.carried,
        delay_ms=None,
        due_ms=None,
        waits="",
        waits_since_ms=None,
        reason=HELD_REASON,
        error="jobstream.UniqueHeld",
        message=message,
        frame="",
        traceback="",
    )
    return DeadLetter(carried)
