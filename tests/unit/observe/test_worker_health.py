"""Alive, ready, started: each answer for each thing that can be wrong, and for nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from jobstream.observe.worker_health import (
    LOOP_S_MAX,
    PHASE_S_MAX,
    SILENT_S_MAX,
    TURN_S_MAX,
    ProcessFacts,
    TurnFacts,
    live,
    ready,
    started,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobstream.observe.health import Check

DRAIN_S = 25.0
POLLING = TurnFacts(group="shop", turned_s=0.1, phase="", joined=True)
WELL = ProcessFacts(
    verified=True,
    ticked_s=0.05,
    stepping="",
    turns=(POLLING,),
    restoring=0,
    silent_s=1.0,
    up_s=3_600.0,
    leaving=False,
    drain_s=DRAIN_S,
)
STUCK_S = PHASE_S_MAX + DRAIN_S + 1


def failed(checks: Sequence[Check]) -> list[str]:
    return [check.name for check in checks if not check.ok]


def turning(**changes: Any) -> ProcessFacts:  # noqa: ANN401 - fields of TurnFacts
    return replace(WELL, turns=(replace(POLLING, **changes),))


def test_all_is_well() -> None:
    assert not failed([*live(WELL), *ready(WELL), *started(WELL)])


def test_a_process_without_a_group_has_nobody_to_hear() -> None:
    # As one that only fires schedules, where the app has none.
    assert not failed(ready(replace(WELL, turns=(), silent_s=None)))


def test_the_handler_that_blocks_the_loop_is_named() -> None:
    blocked = replace(WELL, ticked_s=99.0, stepping="send_receipt")
    (check,) = [each for each in live(blocked) if not each.ok]
    assert check.why == "the handler of 'send_receipt' has blocked the event loop for 99 s"


@pytest.mark.parametrize(
    ("facts", "dead"),
    [
        (replace(WELL, ticked_s=LOOP_S_MAX), []),
        (replace(WELL, ticked_s=LOOP_S_MAX + 1), ["event_loop"]),
        (replace(WELL, ticked_s=None), []),
        (replace(WELL, ticked_s=99.0, leaving=True), []),
        (turning(turned_s=TURN_S_MAX), []),
        (turning(turned_s=TURN_S_MAX + 1), ["polling:shop"]),
        (turning(turned_s=None), []),
        (turning(turned_s=TURN_S_MAX + 1, phase="revoked"), []),
        (turning(turned_s=STUCK_S, phase="revoked"), ["polling:shop"]),
        (replace(turning(turned_s=STUCK_S), leaving=True), []),
        (replace(turning(turned_s=STUCK_S), up_s=0.0), []),
        (replace(turning(turned_s=STUCK_S), up_s=TURN_S_MAX), []),
        (replace(WELL, silent_s=99.0, up_s=0.0), []),
        (replace(WELL, restoring=3, verified=False), []),
    ],
)
def test_what_kills(facts: ProcessFacts, dead: list[str]) -> None:
    assert failed(live(facts)) == dead


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (replace(WELL, verified=False), ["topics"]),
        (turning(joined=False), ["group:shop"]),
        (replace(WELL, restoring=1), ["restored"]),
        (replace(WELL, silent_s=SILENT_S_MAX), []),
        (replace(WELL, silent_s=SILENT_S_MAX + 1), ["broker"]),
        (replace(WELL, silent_s=None), ["broker"]),
        (replace(WELL, leaving=True), ["staying"]),
        (replace(WELL, ticked_s=99.0), []),
    ],
)
def test_what_makes_it_unready(facts: ProcessFacts, missing: list[str]) -> None:
    assert failed(ready(facts)) == missing


@pytest.mark.parametrize(
    ("facts", "missing"),
    [
        (replace(WELL, verified=False), ["topics"]),
        (turning(joined=False), ["group:shop"]),
        (replace(WELL, restoring=1, silent_s=None), []),
    ],
)
def test_what_has_not_started(facts: ProcessFacts, missing: list[str]) -> None:
    assert failed(started(facts)) == missing


def test_each_failure_says_why_in_numbers() -> None:
    facts = replace(WELL, restoring=3, silent_s=42.0)

    told = {check.name: check.why for check in ready(facts) if not check.ok}

    assert told == {
        "restored": "the dedup tables of 3 partitions are being restored",
        "broker": "no broker has been connected for 42 s",
    }
