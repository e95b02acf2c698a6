"""Whether a worker or delayer lives, is ready, has started: pure decisions over a few facts.

A handler stuck in a thread changes none of the answers; one that blocks the event loop does. A
broker that is away makes a process unready, never dead: a new one would not have it either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobstream.observe.health import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

LOOP_S_MAX = 10.0
"""The event loop comes round twenty times a second."""
TURN_S_MAX = 60.0
"""A thread that polls comes round ten times a second, but a slow coordinator may take most of a
minute to tell offsets."""
PHASE_S_MAX = 180.0
"""Beyond the drain, for changes of assignment: a publish alone may take two minutes."""
SILENT_S_MAX = 10.0
"""How long no broker may be connected before the process says that it is not ready."""


@dataclass(frozen=True, slots=True)
class TurnFacts:
    """One thread that polls for one group."""

    group: str
    turned_s: float | None
    """Seconds since it last came round; None before its first poll."""
    phase: str
    """Work that may rightly take longer, or ""."""
    joined: bool
    """The group has taken this member in, if only without a partition."""


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The facts about a process at one moment."""

    verified: bool
    """The topics were found to be as declared."""
    ticked_s: float | None
    """Seconds since the event loop came round; None while no worker runs here."""
    stepping: str
    """The job type whose `async` handler has the event loop; "" if none has."""
    turns: tuple[TurnFacts, ...]
    restoring: int
    """Partitions owned whose dedup table is not there yet."""
    silent_s: float | None
    """Seconds since a broker was connected; None if none ever was."""
    up_s: float
    """For how long one has been connected without a break."""
    leaving: bool
    drain_s: float


def live(facts: ProcessFacts) -> Sequence[Check]:
    """Whether the process gets on; a process that leaves is bounded by its drain instead."""
    checks = []
    if facts.ticked_s is not None:
        ok = facts.leaving or facts.ticked_s <= LOOP_S_MAX
        who = f"the handler of {facts.stepping!r}" if facts.stepping else "something"
        why = f"{who} has blocked the event loop for {facts.ticked_s:.0f} s"
        checks.append(Check("event_loop", ok, why))
    for turn in facts.turns:
        if turn.turned_s is None:
            continue
        bound = PHASE_S_MAX + facts.drain_s if turn.phase else TURN_S_MAX
        # Without a broker it may wait for one; after it came back, it gets the same time again.
        ok = facts.leaving or turn.turned_s <= bound or facts.up_s <= bound
        why = f"the thread that polls for {turn.group} has been stuck for {turn.turned_s:.0f} s"
        checks.append(Check(f"polling:{turn.group}", ok, why))
    return checks


def ready(facts: ProcessFacts) -> Sequence[Check]:
    """Whether the process does its work now."""
    # Without a group it has nothing to hear, as a scheduler of an app without schedules.
    heard = not facts.turns or (facts.silent_s is not None and facts.silent_s <= SILENT_S_MAX)
    silence = "yet" if facts.silent_s is None else f"for {facts.silent_s:.0f} s"
    return [
        Check("staying", not facts.leaving, "it is draining"),
        *started(facts),
        Check(
            "restored",
            not facts.restoring,
            f"the dedup tables of {facts.restoring} partitions are being restored",
        ),
        Check("broker", heard, f"no broker has been connected {silence}"),
    ]


def started(facts: ProcessFacts) -> Sequence[Check]:
    """Whether the process came up: topics verified, and taken in by its groups."""
    return [
        Check("topics", facts.verified, "the topics are not verified yet"),
        *(
            Check(f"group:{turn.group}", turn.joined, "the group has not answered yet")
            for turn in facts.turns
        ),
    ]
