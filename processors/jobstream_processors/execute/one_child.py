"""One child process as the pool knows it: what it was handed, what of that has begun, how it ends.

Used on the event loop's thread. Only what the child said that it begins has begun: all else that it
was handed is taken back from it, or from its remains, and counts for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections import deque
from typing import TYPE_CHECKING

from jobstream_processors.core.outcome import Crashed, TimedOut, Unstarted
from jobstream_processors.execute.crossing import (
    BACK,
    BEGINS,
    ENDS,
    LEAVES,
    READY,
    RETURNS,
    UNREAD_MAX,
    UNREADY,
    Answer,
    AnswerStream,
    outcome_in,
    token_of,
)
from jobstream_processors.execute.outbox import BEGIN_BY_MS, LONG, InHand, Outbox, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.execute.child_pool import ChildPool
    from jobstream_processors.execute.line import ChildLine, LineEar

log = logging.getLogger("jobstream.worker")

START_S_MAX = 60.0
"""How long a child may take to start and import the handler before it counts as failed."""
ENDED_S_MAX = 5.0
"""How long a child may take to say how a job ended whose handler is known to have ended."""
LEFT_S_MAX = 10.0
"""How long a child that leaves by itself may take to end."""
HEARD_MAX = 16
"""Looks for more of what a child says, before others get a turn."""


class OneChild:
    """One child process."""

    def __init__(
        self, pool: ChildPool[OneChild], open_line: Callable[[LineEar], ChildLine]
    ) -> None:
        self._pool = pool
        self._loop = asyncio.get_running_loop()
        self._awake_s = pool.machine.awake_s
        self.handed: deque[InHand] = deque()
        """In order. The first may have begun; all others are ahead."""
        self.began_s = 0.0
        """When the first of them began; 0 if it has not."""
        self.ahead_s = 0.0
        """How long what is ahead is likely to run."""
        self.condemned = False
        """It is to be killed, or has died, and is handed nothing any more."""
        self._reserved: Delivery | None = None
        """What it gets ready for."""
        self._readying = 0
        """The number of that preparation; 0 if it is ready."""
        self._answers = AnswerStream()
        self._heard: deque[Answer] = deque()
        self._deaf = False
        self._endings: dict[int, Outcome] = {}
        """What those are to end as, whatever comes first, for which it is to be killed."""
        self._enforces = self._killed_late = False
        self._fate = ""
        """Why it was to die, if that says more than how it did."""
        self._timer: asyncio.TimerHandle | None = None
        self._served = False
        """Whether it ever began a job."""
        self._line = open_line(self)
        self.out = Outbox(self._line, pool.enter)

    # -- what the pool asks of it

    @property
    def idle(self) -> bool:
        """Whether it can be given a job that begins at once."""
        return not (self.handed or self._readying or self.condemned)

    @property
    def is_brisk(self) -> bool:
        """Whether what is handed to it now is likely to begin soon, though it has a job."""
        return bool(
            self.handed
            and not self._endings
            and not self.condemned
            and self.handed[0].cost_s < LONG
            and self.out.unread < UNREAD_MAX
        )

    def prepare(self, delivery: Delivery) -> None:
        """Have it import the handler before it is handed the job, which it begins at once.

        While this takes, the worker may freeze and lose the job.
        """
        self._reserved = delivery
        self._readying = number = self.out.prepare(delivery)
        self._loop.call_later(START_S_MAX, self._unready, number)

    def hand(self, delivery: Delivery, cost_s: float, now_s: float, until_ms: int) -> None:
        """Hand it a job, to begin by `until_ms` or not at all; `out.flush` sends it."""
        if self.handed:
            self.ahead_s += cost_s
        self.handed.append(self.out.hand(delivery, cost_s, now_s, until_ms))

    def take_back(self, *, first: bool = False) -> list[Delivery]:
        """Take back, in order, what is ahead and what it has not taken yet.

        With `first`, also the job that it is to begin now.
        """
        self.out.flush()
        if not self.handed or self._readying:
            return []
        # It takes them in order, so these are of the last ones.
        back = [self.handed.pop() for _ in self._line.take_back()][::-1]
        if back and not self.handed and not first:
            self.handed.append(back.pop(0))
            self._line.send(b"", bytes([token_of(self.handed[0].number)]))
        self.ahead_s = sum(ahead.cost_s for ahead in list(self.handed)[1:])
        return [handed.delivery for handed in back]

    def cut(self, delivery: Delivery, outcome: Outcome) -> None:
        """End it by this outcome: without a start if it has not begun, else by killing the child.

        If it has ended by then, that is how it ended.
        """
        if delivery is self._reserved:
            self._reserved = None
            self._pool.ended(delivery, outcome, self._awake_s())
            return
        back = self.take_back(first=True)
        others = [each for each in back if each is not delivery]
        if len(others) < len(back):
            self._pool.ended(delivery, outcome, self._awake_s())
        self._pool.returns(others)
        for handed in self.handed:
            if handed.delivery is delivery:
                self._endings[handed.number] = outcome
                self._enforce()
                return
        if not self.handed:
            if self.out.unread >= UNREAD_MAX:
                self._kill()
            self._pool.free(self)

    def let_go(self) -> bool:
        """Ask it to end by itself; False if it has a job, or gets ready for one.

        Nothing is told of it any more if it was asked.
        """
        if not self.idle:
            return False
        self.condemned = True
        self._disarm()
        self._line.let_go()
        return True

    def ended(self, limit_s: float) -> None:
        """Wait so long for its end, at most, after it was let go; blocks."""
        self._line.ended(limit_s)

    def close(self) -> None:
        """Kill it; nothing is told of it any more."""
        self.condemned = True
        self._disarm()
        self._line.close()

    # -- what it says

    def listen(self) -> None:
        """Hear what it has said, and act on it."""
        self._hear(HEARD_MAX)
        if self.handed and self.handed[0].number in self._endings:
            self._enforce()
        elif self.idle:
            self._pool.free(self)

    def died(self, how: str) -> None:
        """Its process has ended, or could not be started."""
        self.condemned = True
        self._hear(None)
        self._disarm()
        self._line.close()
        self._pool.gone(self)
        how = self._fate or how
        now_s, handed, back = self._awake_s(), list(self.handed), []
        self.handed.clear()
        if (reserved := self._reserved) is not None:
            self._reserved = None
            self._pool.ended(reserved, _unstarted(how), now_s)
        for place, each in enumerate(handed):
            outcome = self._endings.get(each.number)
            if outcome is None and not place:
                outcome = self._charge(how)
            if outcome is not None:
                self._pool.ended(each.delivery, outcome, now_s)
            else:
                each.delivery.begins(0.0)
                back.append(each.delivery)
        self._pool.returns(back)

    def _charge(self, how: str) -> Outcome | None:
        """What the child's end says of the first job that it had; None: nothing."""
        if self.began_s:
            return None if self._killed_late else Crashed(f"its process died: {how}")
        # A child that never began anything may never: those that follow must not be tried for ever.
        return None if self._served else _unstarted(how)

    def _hear(self, most: int | None) -> None:
        """Take in what it has said, all of it or so many pieces."""
        while not self._deaf and most != 0 and (data := self._line.hear()) is not None:
            most = most - 1 if most is not None else None
            if not data:
                self._deaf = True
                self._kill()
                break
            self._heard.extend(self._answers.take(data))
            if self._answers.nonsense:
                break
        # The pool may make it hear while one of these is told: they stay in order.
        while self._heard:
            answer = self._heard.popleft()
            try:
                self._told(answer)
            except Exception as error:  # noqa: BLE001 - user code may have written it
                self._misheard(str(error), error)
        if self._answers.nonsense:
            self._misheard(self._answers.nonsense)

    def _told(self, answer: Answer) -> None:
        if answer.kind == LEAVES:
            self._leaves(answer.body.decode())
        elif answer.kind in {READY, UNREADY}:
            self._readiness(answer)
        else:
            self._progress(answer)

    def _leaves(self, why: str) -> None:
        """It begins nothing more, and ends by itself: what its handlers share has ended."""
        log.error("lifespan_ended_in_child", extra={"reason": why})
        self.condemned = True
        back = self.take_back(first=True)
        if self._reserved is not None:
            back.append(self._reserved)
            self._reserved = None
        self._pool.returns(back)
        self._loop.call_later(LEFT_S_MAX, self._line.kill)

    def _progress(self, answer: Answer) -> None:
        """A job has begun, has ended, or came too late."""
        kind, number, at_s, _ = answer
        first = self.handed[0]
        if number != first.number or (kind in {RETURNS, ENDS}) is not bool(self.began_s):
            message = f"it told of job {number}"
            raise ValueError(message)
        now_s = self._awake_s()
        if kind == BEGINS:
            self._served = True
            self.out.has_read(first)
            # By its own clock, which is the worker's, unless user code has set it.
            self.began_s = at_s if first.handed_s <= at_s <= now_s else now_s
            first.delivery.begins(self.began_s)
            if self._timer is None:
                self._arm()
            return
        outcome = self._endings.get(number) if kind == BACK else outcome_in(answer)
        self.handed.popleft()
        self._endings.pop(number, None)
        if self.handed:
            self.ahead_s = max(0.0, self.ahead_s - self.handed[0].cost_s)
        if kind == BACK:
            self.out.has_read(first)
        at_s = at_s if self.began_s <= at_s <= now_s else now_s
        self.began_s = 0.0
        if outcome is None:
            self._pool.returns((first.delivery,))
        else:
            self._pool.ended(first.delivery, outcome, at_s)

    def _readiness(self, answer: Answer) -> None:
        """It has imported a handler, or can't."""
        if answer.number != self._readying:
            message = f"it told of handler {answer.number}"
            raise ValueError(message)
        delivery, self._reserved = self._reserved, None
        self._readying = 0
        if answer.kind == UNREADY:
            outcome: Unstarted = pickle.loads(answer.body)  # noqa: S301 - from our own child
            self._kill()
            if delivery is not None:
                self._pool.ended(delivery, outcome, self._awake_s())
            return
        self.out.is_ready()
        if delivery is None:
            return
        if (bar := self._pool.barred(delivery)) is not None:
            self._pool.ended(delivery, bar, self._awake_s())
            return
        until_ms = self._pool.machine.monotonic_ms() + BEGIN_BY_MS
        self.hand(delivery, LONG, self._awake_s(), until_ms)
        self.out.flush()

    # -- how it is killed

    def _enforce(self) -> None:
        """Kill it for the first job that it has, unless that has ended."""
        if self._enforces or self.condemned:
            return
        self._enforces = True
        self._pool.returns(self.take_back(first=True))
        self._hear(None)
        self._enforces = False
        if not self.handed or self.handed[0].number not in self._endings:
            if self.idle:
                self._pool.free(self)
        elif len(self.handed) == 1:
            self._kill()
        else:
            # It has taken the next one, so the handler of the first has ended: it is about to say
            # how, and a kill would hit the next one.
            self._loop.call_later(ENDED_S_MAX, self._kill_late, self.handed[0].number)

    def _kill_late(self, number: int) -> None:
        """It should have said long ago how that job ended."""
        if self.handed and self.handed[0].number == number:
            self._killed_late = True
            self._kill()

    def _kill(self) -> None:
        if not self.condemned:
            self.condemned = True
            self._pool.returns(self.take_back(first=True))
        self._line.kill()

    def _misheard(self, what: str, error: Exception | None = None) -> None:
        """It answered nonsense: nobody knows what it does."""
        self._heard.clear()
        if not self._deaf:
            self._deaf = True
            fields = self.handed[0].delivery.fields() if self.handed else {}
            log.error("child_answers_nonsense", exc_info=error, extra=fields | {"what": what})
            self._fate = f"it answered nonsense: {what}"
        self._kill()

    def _unready(self, number: int) -> None:
        if self._readying == number and not self.condemned:
            self._fate = f"it did not get ready within {START_S_MAX:.0f} s"
            self._kill()

    def _arm(self) -> None:
        """Look at the limit of the job that runs when it passes, or later: jobs come and go."""
        limit_s = self.began_s + spec_of(self.handed[0].delivery).timeout_ms / 1_000
        self._timer = self._loop.call_later(limit_s - self._awake_s(), self._look)

    def _look(self) -> None:
        self._timer = None
        if not self.began_s or self.condemned:
            return
        first = self.handed[0]
        timeout_ms = spec_of(first.delivery).timeout_ms
        if self._awake_s() < self.began_s + timeout_ms / 1_000:
            self._arm()
        else:
            self._endings.setdefault(first.number, TimedOut(timeout_ms))
            self._enforce()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _unstarted(how: str) -> Unstarted:
    return Unstarted("child_not_started", f"the process ended before the handler: {how}")
