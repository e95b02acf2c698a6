"""Workers broken on purpose, each by taking out one rule that a guarantee rests on.

The tests must catch every one of them; none of this is anywhere near the product.
"""
# ruff: noqa: SLF001  # what is taken out is private, or users could take it out as well

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from jobstream.dedup.shard import RocksShard
from jobstream_processors.assignment.handover import CLEAN
from jobstream_processors.assignment.lane import Lane
from jobstream_processors.assignment.takeover import Takeover
from jobstream_processors.core.breaker_guard import BreakerGuard
from jobstream_processors.core.decide import Finish
from jobstream_processors.core.gcra import NEAR_MS, CellRate, Gcra
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.engine import turns
from jobstream_processors.engine.gates.limited_lane import LimitedLane
from jobstream_processors.engine.way import Way
from jobstream_processors.settle.records import settlement_of
from jobstream_processors.settle.settler import Settler

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobstream_processors.assignment.lane import Arrival
    from jobstream_processors.assignment.places import Place
    from jobstream_processors.core.decide import Case, Postpone
    from jobstream_processors.core.known import Known
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.core.verdict import NotBefore
    from jobstream_processors.delivery import Decided, Delivery
    from jobstream_processors.settle.settler import Steps


def build_in(flaw: str) -> None:
    """Break this process in the way that `flaw` names; raises KeyError for an unknown one."""
    FLAWS[flaw]()


def commit_before_acknowledgement() -> None:
    """An offset is finished when its handler is, not when its row is acknowledged."""
    flush = Way.flush

    def finish_first(self: Way) -> None:
        for delivery, decision in self._out:
            if type(decision) is Finish:
                delivery.lane.watermark.finish(delivery.offset)
        flush(self)

    Way.flush = finish_first  # type: ignore[method-assign]


def commit_last_finished() -> None:
    """The committed offset is the highest finished one, whatever still runs below it."""
    finish = Watermark.finish
    highest: dict[int, int] = {}

    def remember(self: Watermark, offset: int) -> None:
        finish(self, offset)
        highest[id(self)] = max(highest.get(id(self), 0), offset + 1)

    def show(self: Lane) -> None:
        self.snapshot = (highest.get(id(self.watermark), self.watermark.position), ())

    Watermark.finish = remember  # type: ignore[method-assign]
    Lane.show = show  # type: ignore[method-assign]


def moved_before_copy() -> None:
    """The row that absorbs a delivery is written before the copy that replaces it."""
    others = Settler._others

    def rows_first(self: Settler, lane: Lane, items: list[Decided]) -> Steps:
        plan, now_ms = self._plans[lane.queue], self._clock.broker_ms()
        found = [settlement_of(delivery, decision, plan, now_ms) for delivery, decision in items]
        yield self._sink.send([wanted.row for wanted in found if wanted is not None])
        yield from others(self, lane, items)

    Settler._others = rows_first  # type: ignore[method-assign]


def key_freed_at_handler_end() -> None:
    """A held key is free as soon as the handler has ended, though its job is to run again."""
    ended = Way.ended

    def free(self: Way, delivery: Delivery, outcome: Outcome) -> None:
        ended(self, delivery, outcome)
        self.free_key(delivery)

    Way.ended = free  # type: ignore[method-assign]


def clean_without_claim() -> None:
    """Any clean hand-over counts, not only that of the partition's last owner."""
    suspect = Takeover._suspect

    def believe(
        self: Takeover, lane: Lane, arrival: Arrival, place: Place, previous_claim: int | None
    ) -> None:
        if place.committed is not None and place.committed.note.startswith(CLEAN):
            previous_claim = None
        suspect(self, lane, arrival, place, previous_claim)

    Takeover._suspect = believe  # type: ignore[method-assign]


def no_dedup() -> None:
    """Nobody asks the table."""

    def forget(_: RocksShard, ids: Sequence[str]) -> Sequence[Known | None]:
        return [None] * len(ids)

    RocksShard.get = forget  # type: ignore[method-assign, assignment]


def breakers_that_stay_closed() -> None:
    """A breaker lets every job through."""

    def through(*_: object) -> None:
        """Nothing is in the way."""

    BreakerGuard.verdict = through  # type: ignore[method-assign,assignment]


def waits_that_cost_an_attempt() -> None:
    """What waits for its turn on the ladder uses an attempt, as a retry does."""
    made = turns.postponed  # type: ignore[attr-defined]

    def one_more(case: Case, verdict: NotBefore) -> Postpone:
        decision = made(case, verdict)
        carried = replace(decision.carried, attempt=decision.carried.attempt + 1)
        return replace(decision, carried=carried)

    turns.postponed = one_more  # type: ignore[attr-defined]


def limits_that_forget() -> None:
    """A new owner reads none of the rows that tell how far rates are used up."""

    def anew(self: LimitedLane, name: str, pace: CellRate) -> Gcra:  # noqa: ARG001 - the shape of it
        near_ms = min(pace.span_ms, NEAR_MS)
        return Gcra(pace, self._since_ms + near_ms)

    LimitedLane._taken_over = anew  # type: ignore[method-assign]


def bursts_of_twice_the_size() -> None:
    """A rate lets twice as many start at once."""
    checked = CellRate.__post_init__

    def twice(self: CellRate) -> None:
        checked(self)
        object.__setattr__(self, "ahead_ns", (2 * self.burst - 1) * self.step_ns)

    CellRate.__post_init__ = twice  # type: ignore[method-assign]


FLAWS: dict[str, Callable[[], None]] = {
    flaw.__name__: flaw
    for flaw in (
        commit_before_acknowledgement,
        commit_last_finished,
        moved_before_copy,
        key_freed_at_handler_end,
        clean_without_claim,
        no_dedup,
        breakers_that_stay_closed,
        waits_that_cost_an_attempt,
        limits_that_forget,
        bursts_of_twice_the_size,
    )
}
