"""Faults that the product never had, one for each promise that no other trouble tries."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

from tests.simulation.mutations import put

from jobstream import job
from jobstream.operate import redrive
from jobstream_processors.assignment.feed import Feed
from jobstream_processors.core import decide
from jobstream_processors.core.identity import from_parent
from jobstream_processors.core.watermark import Watermark
from jobstream_processors.delay import group_member
from jobstream_processors.delay.group_member import GroupMember
from jobstream_processors.settle.settler import Settler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobstream_processors.assignment.lane import Lane
    from jobstream_processors.core.decide import Case, Decision
    from jobstream_processors.core.headers import Carried
    from jobstream_processors.core.outcome import Again
    from jobstream_processors.delay.rung import Rung
    from jobstream_processors.ports import Position


@contextmanager
def children_named_by_the_run() -> Iterator[None]:
    """A parent that runs again enqueues other children."""
    runs = count()

    def by_run(parent_id: str, job_type: str, name: str, occurrence: int) -> str:
        return from_parent(parent_id, job_type, f"{name} of run {next(runs)}", occurrence)

    with put((job, "from_parent", by_run)):
        yield


@contextmanager
def snoozes_that_use_attempts() -> Iterator[None]:
    """A job that is not ready yet is dead after as many snoozes as it has attempts."""
    again = decide._again  # noqa: SLF001 - the place of the fault

    def costly(case: Case, wanted: Again) -> Decision:
        return again(case, replace(wanted, uses_attempt=True))

    with put((decide, "_again", costly)):
        yield


@contextmanager
def redrives_that_keep_their_number() -> Iterator[None]:
    """The row of its death absorbs the copy, and the letter is closed."""

    def unchanged(carried: Carried) -> Carried:
        return carried

    with put((redrive, "redriven", unchanged)):
        yield


@contextmanager
def rungs_without_their_topic() -> Iterator[None]:
    """A rung reads on in a topic made anew, and commits there what it had in the old one."""

    def follow(self: GroupMember[Rung]) -> None:
        """Nobody looks."""

    def unmarked(position: Position, topic_id: str) -> Position:  # noqa: ARG001 - the shape of it
        return position

    with put((GroupMember, "_follow_topics", follow), (group_member, "in_topic", unmarked)):
        yield


@contextmanager
def holes_that_nobody_looks_into() -> Iterator[None]:
    """What a rung's client left out counts as compacted."""

    def explained(self: GroupMember[Rung], rung: Rung) -> None:  # noqa: ARG001 - the shape of it
        rung.watermark.explain(tuple(rung.watermark.holes))

    with put((GroupMember, "_mind_skipped", explained)):
        yield


@contextmanager
def repeats_that_begin_again() -> Iterator[None]:
    """A record that is handed out again is another job, for the watermark."""
    begin = Watermark.begin

    def again(self: Watermark, offset: int) -> bool:
        if self.position <= offset < self.begun:
            self.taken += 1
            return True
        return begin(self, offset)

    with put((Watermark, "begin", again)):
        yield


@contextmanager
def windows_without_an_end() -> Iterator[None]:
    """The feed takes up whatever there is."""

    def look(self: Feed) -> tuple[int, list[Lane]]:  # noqa: ARG001 - the shape of it
        return 1_000, []

    with put((Feed, "_look", look)):
        yield


@contextmanager
def rungs_that_are_never_full() -> Iterator[None]:
    """The delayer pauses nothing."""

    def unbalanced(self: GroupMember[Rung]) -> None:
        """It reads on."""

    with put((GroupMember, "_balance", unbalanced)):
        yield


@contextmanager
def claims_that_wait_for_no_row() -> Iterator[None]:
    """A partition that comes back is claimed while rows of its jobs are on their way."""
    with put((Settler, "is_adrift", lambda *_: False)):
        yield
