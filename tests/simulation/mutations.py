"""Faults that the product once had, each put back by itself."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from jobstream_processors.assignment import committed, departures, roster
from jobstream_processors.assignment.departures import Within
from jobstream_processors.assignment.handover import Left, clean_note
from jobstream_processors.assignment.roster import Roster
from jobstream_processors.delay import rung
from jobstream_processors.delay.rung import Rung
from jobstream_processors.execute.on_loop import LoopExecutor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_processors.assignment.pressure import Limits
    from jobstream_processors.ports import Position, Record


@contextmanager
def put(*places: tuple[object, str, object]) -> Iterator[None]:
    """Each (owner, name, value) holds inside the block."""
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, value in places:
        setattr(owner, name, value)
    try:
        yield
    finally:
        for owner, name, value in before:
            setattr(owner, name, value)


@contextmanager
def rung_drops_what_has_no_room() -> Iterator[None]:
    """A full rung forgets what it is given, and nobody fetches that again."""
    take = Rung.take

    def dropping(self: Rung, record: Record) -> None:
        if len(self) < rung.RECORDS_MAX:
            take(self, record)
        elif self.watermark.begin(record.offset() or 0):
            self.watermark.finish(record.offset() or 0)

    with put((Rung, "take", dropping)):
        yield


@contextmanager
def limits_judged_by_another_clock() -> Iterator[None]:
    """Set by a clock that a suspended machine stops, judged by one that goes on."""
    expire = LoopExecutor.expire

    def by_passed_time(self: LoopExecutor) -> None:
        own = self._now_s
        self._now_s = lambda: self._machine.monotonic_ms() / 1_000
        try:
            expire(self)
        finally:
            self._now_s = own

    with put((LoopExecutor, "expire", by_passed_time)):
        yield


@contextmanager
def places_without_their_topic() -> Iterator[None]:
    """A lane reads on in a topic made anew, and commits there what it had in the old one."""

    def look(self: Roster) -> None:
        """Nobody looks."""

    def unmarked(position: Position, topic_id: str) -> Position:  # noqa: ARG001 - the shape of it
        return position

    with put((Roster, "look", look), (committed, "in_topic", unmarked)):
        yield


@contextmanager
def revoked_partitions_are_cut() -> Iterator[None]:
    """Five seconds after a revocation its jobs are cut, and nobody tells the next owner of them."""

    def five_seconds(limits: Limits) -> Within:  # noqa: ARG001 - the shape of it
        return Within(5_000, 5_000)

    def silent(claim: int, position: int, suspect_before: int, left: Left) -> str:  # noqa: ARG001
        return clean_note(claim, position, suspect_before)

    with put((roster, "moving", five_seconds), (departures, "clean_note", silent)):
        yield
