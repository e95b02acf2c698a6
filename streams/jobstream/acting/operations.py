"""Acts on many things, one after the other: with progress, and stopped on request.

An operation lives in this process: where that ends, what it did stays done, and a new one with the
same filter does the rest.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import uuid_utils

from jobstream.acting.act_record import audited
from jobstream.answers.errors import NoSuch, TooBusy
from jobstream_processors.background import in_background, log_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jobstream.acting.act_record import ActedBy

log = logging.getLogger("jobstream.acting")

RUNNING_MAX = 4
KEPT_MAX = 100
FAILURES_MAX = 20
"""Failures that an operation names; it counts all."""
Step = tuple[str, str]
"""What became of one thing, in a word, and if it failed, of which and why."""


@dataclass(frozen=True, slots=True)
class OperationNow:
    """How far an operation is."""

    id: str
    what: str
    """As in `redrive`."""
    who: str
    why: str
    state: str
    """`running`, `done`, `stopped` or `failed`."""
    total: int
    done: int
    outcomes: Mapping[str, int]
    """As in `redriven` or `failed` → how many."""
    failures: tuple[str, ...]
    """The first of them, each with what failed and why."""
    began_at: datetime
    ended_at: datetime | None
    error: str
    """Why it failed as a whole; empty if it did not."""


class Operation:
    """One of them. Its own thread writes; any may read and stop it."""

    def __init__(self, what: str, total: int, by: ActedBy) -> None:
        self.id = str(uuid_utils.uuid7())
        self._what, self._total, self._by = what, total, by
        self._began_s = time.time()
        self._ended_s: float | None = None
        self._outcomes: Counter[str] = Counter()
        self._failures: list[str] = []
        self._state, self._error = "running", ""
        self._stopping = threading.Event()

    @property
    def is_running(self) -> bool:
        """Whether it goes on."""
        return self._ended_s is None

    def stop(self) -> None:
        """Let it end after what it does now."""
        self._stopping.set()

    def now(self) -> OperationNow:
        """How far it is."""
        return OperationNow(
            id=self.id,
            what=self._what,
            who=self._by.who,
            why=self._by.why,
            state=self._state,
            total=self._total,
            done=sum(self._outcomes.values()),
            outcomes=dict(self._outcomes),
            failures=tuple(self._failures),
            began_at=datetime.fromtimestamp(self._began_s, UTC),
            ended_at=None if self.is_running else datetime.fromtimestamp(self._ended_s or 0, UTC),
            error=self._error,
        )

    def run(self, steps: Callable[[], Iterator[Step]]) -> None:
        """Take step after step until there are none, or it is stopped."""
        state = "failed"
        try:
            with audited(self._by, self._what, f"{self._total} by operation {self.id}") as more:
                try:
                    state = self._take(steps())
                finally:
                    more["outcomes"] = dict(self._outcomes)
        except Exception as error:
            self._error = str(error)
            log.exception("operation_failed", extra={"operation": self.id})
        finally:
            self._state, self._ended_s = state, time.time()

    def _take(self, steps: Iterator[Step]) -> str:
        for outcome, trouble in steps:
            self._outcomes[outcome] += 1
            if trouble and len(self._failures) < FAILURES_MAX:
                self._failures.append(trouble)
            if self._stopping.is_set():
                return "stopped"
        return "done"


class Operations:
    """Those of one process, the newest last; at most 4 run and 100 are kept. Safe in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Operation] = OrderedDict()

    def begin(
        self, what: str, total: int, by: ActedBy, steps: Callable[[], Iterator[Step]]
    ) -> OperationNow:
        """Start one on a thread of its own; raises TooBusy while four go on."""
        made = Operation(what, total, by)
        with self._lock:
            running = [each for each in self._known.values() if each.is_running]
            if len(running) >= RUNNING_MAX:
                message = f"{RUNNING_MAX} operations go on: stop one, or wait for its end"
                raise TooBusy(message)
            self._known[made.id] = made
            while len(self._known) > KEPT_MAX:
                oldest = next(key for key, each in self._known.items() if not each.is_running)
                del self._known[oldest]
        in_background("jobstream-operation", lambda: made.run(steps), log_end("operation"))
        return made.now()

    def list(self) -> tuple[OperationNow, ...]:
        """All that are kept, the newest first."""
        with self._lock:
            return tuple(each.now() for each in reversed(self._known.values()))

    def running(self) -> tuple[OperationNow, ...]:
        """Those that go on, the newest first."""
        return tuple(each for each in self.list() if each.ended_at is None)

    def get(self, operation_id: str) -> Operation:
        """The one of that id; raises NoSuch."""
        with self._lock:
            found = self._known.get(operation_id)
        if found is None:
            message = f"no operation {operation_id!r:.100} in this process"
            raise NoSuch(message)
        return found

    def stop_all(self) -> None:
        """Let all end after what they do now."""
        with self._lock:
            for each in self._known.values():
                each.stop()
