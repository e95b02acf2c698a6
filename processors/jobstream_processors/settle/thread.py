"""The thread that settles: takes decisions as they come, settles them in batches, reports back.

While one batch waits for its acknowledgements the next one gathers, so the batch size follows the
load by itself. A partition whose brokers do not answer holds up none of the others. What could not
be published is tried again with a growing pause.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from jobstream_processors.background import in_background

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.delivery import Decided
    from jobstream_processors.meter import Meter


Action = Callable[[], object]


def STOP() -> None:  # noqa: N802 - a mark, never called
    """Stands for the end of the thread."""


PAUSE_S = (0.05, 2.0)
BATCH_MAX = 5_000
LATE_S = 0.05
"""So often is looked whether partitions that are late were answered."""


class Settles(Protocol):
    """What makes decisions durable: a Settler, or one that is watched."""

    @property
    def waits(self) -> bool:
        """Whether some of what it was given waits for acknowledgements."""

    def settle(self, batch: Sequence[Decided]) -> tuple[list[Decided], list[Decided]]:
        """(settled, to be tried again); the rest waits for a later call, or its lane has ended."""

    def is_adrift(self, lane: Lane) -> bool:
        """Whether brokers may still append what `lane`, which has ended, sent: `settle` looks."""


class SettleThread:
    """Runs a Settler. `put` may be called from any thread."""

    def __init__(
        self,
        settler: Settles,
        report: Callable[[list[Decided]], None],
        stopped: Callable[[BaseException], None],
        meter: Meter | None = None,
    ) -> None:
        self._settler = settler
        self._report = report
        self._stopped = stopped
        self._meter = meter
        self._inbox: queue.SimpleQueue[list[Decided] | Action] = queue.SimpleQueue()
        self._server: threading.Thread | None = None
        self._partings: list[tuple[Lane, Action]] = []
        """What follows once brokers have answered all that a lane sent before it ended."""

    def start(self) -> None:
        """Begin settling."""
        self._server = in_background("jobstream-settle", self._serve, self._stopped)

    def put(self, batch: list[Decided]) -> None:
        """Settle these; they come back through `report` when all they wrote is acknowledged."""
        self._inbox.put(batch)

    def call(self, action: Action) -> None:
        """Run `action` on this thread after everything put before it."""
        self._inbox.put(action)

    def after(self, lane: Lane, action: Action) -> None:
        """Run `action` on this thread when all that `lane`, which has ended, sent is answered.

        Until then its rows may yet be appended. That is over within 150 s, or with this thread.
        """
        self._inbox.put(lambda: self._partings.append((lane, action)))

    def close(self, timeout_s: float) -> None:
        """Stop after what was put; waits at most `timeout_s`."""
        self._inbox.put(STOP)
        if self._server is not None:
            self._server.join(timeout_s)

    def _serve(self) -> None:
        again: list[Decided] = []
        pause_s, due_s = PAUSE_S[0], 0.0
        while True:
            batch, then = self._gather(self._idle_s(due_s if again else None))
            if again and (then is STOP or time.monotonic() >= due_s):
                batch, again = again + batch, []
            if batch or self._settler.waits:
                settled, failed = self._settler.settle(batch)
                if settled:
                    self._report(settled)
                if failed:
                    if self._meter is not None:
                        self._meter.publish_retries += len(failed)
                    if not again:
                        due_s = time.monotonic() + pause_s
                        pause_s = min(pause_s * 2, PAUSE_S[1])
                    again += failed
                elif not again:
                    pause_s = PAUSE_S[0]
                del settled, failed
            self._part(ends=then is STOP)
            del batch  # It may be long until the next: these jobs need not stay in memory.
            if then is STOP:
                return
            if then is not None:
                then()
                self._part()

    def _part(self, *, ends: bool = False) -> None:
        partings, self._partings = self._partings, []
        for lane, action in partings:
            if not ends and self._settler.is_adrift(lane):
                self._partings.append((lane, action))
            else:
                action()

    def _idle_s(self, due_s: float | None) -> float | None:
        """How long there may be nothing to do but for what is put; None: without end."""
        waits = [] if due_s is None else [max(0.0, due_s - time.monotonic())]
        if self._settler.waits:
            waits.append(LATE_S)
        return min(waits, default=None)

    def _gather(self, timeout_s: float | None) -> tuple[list[Decided], Action | None]:
        """What to settle next, and what to do after it; waits for that at most `timeout_s`."""
        batch: list[Decided] = []
        try:
            while isinstance(item := self._inbox.get(timeout=timeout_s), list):
                batch += item
                if len(batch) >= BATCH_MAX:
                    return batch, None
                timeout_s = 0.0
        except queue.Empty:
            return batch, None
        return batch, item
