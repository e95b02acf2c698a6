"""Each rule of settlement taken out by itself, with the scenario that needs it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.model.rules import RULES, Rules
from tests.model.scenarios import (
    ANY_ONE,
    CRASHES,
    FORGETTING,
    FREEZE,
    NEIGHBOUR,
    REPEATS,
    Scenario,
)

from jobstream_processors.core.headers import Trip
from jobstream_processors.core.known import UNKNOWN, Known

if TYPE_CHECKING:
    from jobstream_processors.core.watermark import Watermark

LOST = "the job is lost"
AGAIN = "starts although"


@dataclass(frozen=True, slots=True)
class Mutation:
    """A set of rules with one taken out, and the property that must break."""

    rules: Rules
    scenario: Scenario
    breaks: str


def begun(mark: Watermark, unfinished: frozenset[int]) -> int:  # noqa: ARG001 - shape of the rule
    return mark.begun


def last_finished(mark: Watermark, unfinished: frozenset[int]) -> int:  # noqa: ARG001 - shape of the rule
    ranges = mark.ranges()
    return ranges[-1][1] if ranges else mark.position


def moved_forgotten(found: Known, redrive: int, seq: int) -> str | None:
    return found._replace(moved=UNKNOWN.moved).absorbs(redrive, seq)


def ends_forgotten(found: Known, redrive: int, seq: int) -> str | None:
    return found._replace(ended=UNKNOWN.ended).absorbs(redrive, seq)


def done_until_redriven(found: Known, redrive: int, seq: int) -> str | None:
    return found._replace(done=found.done and redrive == 0).absorbs(redrive, seq)


def same_seq(before: Trip, after: Trip) -> Trip:
    return replace(after, seq=before.seq)


def same_redrive(letter: Trip) -> Trip:
    return Trip(redrive=letter.redrive)


def done_or_redriven(found: Known, redrive: int) -> bool:
    return found.done or found.ended[0] > redrive or found.moved[0] > redrive


MUTATIONS = {
    "copy before row": Mutation(
        replace(RULES, settlement=("row", "copy", "finish")), CRASHES, LOST
    ),
    "row before finish": Mutation(
        replace(RULES, settlement=("copy", "finish", "row")), CRASHES, LOST
    ),
    "finish before commit": Mutation(replace(RULES, committable=begun), CRASHES, LOST),
    "commit only what is contiguous": Mutation(
        replace(RULES, committable=last_finished), NEIGHBOUR, LOST
    ),
    "moved absorbs what its copy replaced": Mutation(
        replace(RULES, absorbs=moved_forgotten), CRASHES, AGAIN
    ),
    "another end absorbs its redrive": Mutation(
        replace(RULES, absorbs=ends_forgotten), CRASHES, AGAIN
    ),
    "done absorbs all": Mutation(replace(RULES, absorbs=done_until_redriven), CRASHES, AGAIN),
    "state, redrive and seq in the row's key": Mutation(
        replace(RULES, row_key=lambda _: b"job"), FREEZE, AGAIN
    ),
    "a redrive raises the redrive number": Mutation(
        replace(RULES, redriven=same_redrive), ANY_ONE, "copies of (0, 0)"
    ),
    "a retry raises seq": Mutation(replace(RULES, climbed=same_seq), ANY_ONE, LOST),
    "claim and restore before the first run": Mutation(
        replace(RULES, restored=lambda _: UNKNOWN), CRASHES, AGAIN
    ),
    "start at the highest watermark anyone recorded": Mutation(
        replace(RULES, start=lambda committed, _: committed or 0), FORGETTING, AGAIN
    ),
    "a clock gap stops the process": Mutation(replace(RULES, gap_stops=False), FREEZE, AGAIN),
    "the owner closes stale letters": Mutation(
        replace(RULES, is_stale=lambda *_: False), CRASHES, "is open although its job went on"
    ),
    "a letter of a cancelled job is stale": Mutation(
        replace(RULES, is_stale=done_or_redriven), ANY_ONE, "is open although its job went on"
    ),
    "the delayer copies before it commits": Mutation(
        replace(RULES, hop_copy_first=False), REPEATS, LOST
    ),
    "the redriver copies before its tombstone": Mutation(
        replace(RULES, redrive_copy_first=False), CRASHES, LOST
    ),
}
