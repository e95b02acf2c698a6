"""One letter redriven, and what became of its job: watched in the log, for a bounded time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal

from jobstream.operate.open_letters import letter_of_record, with_originals
from jobstream.operate.redrive import By, redrive_batch
from jobstream.operate.scan import row_of
from jobstream_processors.core import known

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobstream.operate.layout import QueueTopics
    from jobstream.operate.open_letters import Letter
    from jobstream.operate.redrive import Publisher
    from jobstream.operate.view import AppView
    from jobstream_processors.ports import Record

LOOK_EVERY_S = 0.25
Outcome = Literal["done", "dead", "ended", "retrying", "waiting", "failed"]
DONE: Final = "done"
AGAIN: Final = "dead"
ENDED: Final = "ended"
RETRYING: Final = "retrying"
WAITING: Final = "waiting"
FAILED: Final = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one redriven job within the time that was waited."""

    fingerprint: str
    """Of the cause that was tried."""
    job_id: str
    queue: str
    redrive: int
    """The number of this redrive."""
    outcome: Outcome
    """`done`; `dead` again; `ended` otherwise, as the detail says; `retrying`: it failed, or waits,
    and comes back by itself; `waiting`: no worker has settled it yet; `failed`: it was not redriven
    and its letter is open."""
    detail: str = ""
    same_cause: bool = False
    """It died again, and of the same cause."""
    new_fingerprint: str = ""
    """Of the letter with which it died again."""
    waited_s: float = 0.0


def try_letter(
    view: AppView,
    sink: Publisher,
    queue: QueueTopics,
    letter: Letter,
    *,
    by: By,
    timeout_s: float,
    told: Callable[[str], object] | None = None,
) -> Trial:
    """Redrive the letter, and watch its job until it ends, at most `timeout_s` from then on.

    `told` hears that the job is on its queue, and of each retry. Raises what reading raises; the
    job is on its queue then all the same, if `told` was called.
    """
    watched = _Watched(view, queue, letter)
    began_s = time.monotonic()
    nothing = Trial(letter.fingerprint, letter.id, letter.queue, letter.redrive + 1, WAITING)
    (closed,) = redrive_batch(sink, {queue.name: queue}, list(with_originals(view, [letter])), by)
    if closed.outcome == FAILED:
        return replace(nothing, outcome=FAILED, detail=closed.reason)
    if told is not None:
        told("its job is back on the queue")
    pause = threading.Event()
    while True:
        found = watched.look(told)
        waited_s = time.monotonic() - began_s
        if found.outcome not in {WAITING, RETRYING} or waited_s >= timeout_s:
            return replace(found, waited_s=waited_s)
        pause.wait(min(LOOK_EVERY_S, max(0.0, timeout_s - waited_s)))


class _Watched:
    """Reads what is written about one job from now on."""

    def __init__(self, view: AppView, queue: QueueTopics, letter: Letter) -> None:
        self._view = view
        self._queue = queue
        self._letter = letter
        carried = letter.carried
        partition = carried.partition if carried.partition is not None else letter.place[1]
        self._places = (queue.dedup, partition), (queue.dlq, partition)
        self._next = {place: view.log.span(place)[1] for place in self._places}
        self._found = Trial(
            letter.fingerprint, letter.id, letter.queue, letter.redrive + 1, WAITING
        )

    def look(self, told: Callable[[str], object] | None) -> Trial:
        """What is known by now; blocks while what is new is read."""
        for place in self._places:
            stop = self._view.log.span(place)[1]
            for batch in self._view.log.read(place, self._next[place], stop):
                for record in batch:
                    before = self._found
                    self._take(record, is_row=place is self._places[0])
                    if told is not None and self._found is not before and self._found.detail:
                        told(self._found.detail)
            self._next[place] = max(stop, self._next[place])
        return self._found

    def _take(self, record: Record, *, is_row: bool) -> None:
        if is_row:
            self._row(record)
        elif record.key() == f"{self._letter.id}:{self._found.redrive}".encode():
            self._died(record)

    def _row(self, record: Record) -> None:
        row = row_of(record)
        if row is None or row.id != self._letter.id or row.redrive != self._found.redrive:
            return
        if row.kind == "job" and row.state == known.DONE:
            self._found = replace(self._found, outcome=DONE, detail=f"after {row.attempt} attempts")
        elif row.kind == "job" and row.state != known.DEAD:
            detail = f"{row.state}: {row.detail}" if row.detail else row.state
            self._found = replace(self._found, outcome=ENDED, detail=detail)
        elif row.kind in {"moved", "parked"}:
            self._found = replace(
                self._found, outcome=RETRYING, detail=f"attempt {row.attempt} is to be repeated"
            )

    def _died(self, record: Record) -> None:
        if record.value() is None:
            return
        letter = letter_of_record(self._view, self._queue.name, record)
        carried = letter.carried
        told = (carried.error or carried.reason, carried.message)
        self._found = replace(
            self._found,
            outcome=AGAIN,
            detail=": ".join(text for text in told if text),
            same_cause=letter.fingerprint == self._letter.fingerprint,
            new_fingerprint=letter.fingerprint,
        )
