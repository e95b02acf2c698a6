"""What must have come about once nothing more goes wrong and nothing is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.ticks import has_no_end_yet

from jobstream_processors.core.decide import CRASHES_MAX

if TYPE_CHECKING:
    from tests.simulation.jobs import Script
    from tests.simulation.ledger import Ledger
    from tests.simulation.world import World

STARTS_MAX = 4


def judge(world: World, *, over: bool) -> None:
    """Every job has the end it was to have."""
    ledger = world.ledger
    for script in ledger.scripts:
        if has_no_end_yet(ledger, script):
            continue
        if script.job_id not in ledger.lost_with_topic or ledger.ends.get(script.job_id):
            _judge_end(ledger, script)
        if script.kind == "poison":
            starts = len(ledger.starts.get(script.number, ()))
            if starts > STARTS_MAX + ledger.kills:
                ledger.violation(f"poison started {starts} times")
    ledger.rules.over()
    for process in [*world.processes, world.producer]:
        for trouble in process.troubles:
            ledger.violation(f"{process}: a thread ended by {trouble}")
    if not over and not ledger.wrong:
        ledger.violation("not at rest: a run has no end")


def _judge_end(ledger: Ledger, script: Script) -> None:
    ends = ledger.ends.get(script.job_id, set())
    if not ends and script.parent is not None and not script.acknowledged:
        if "done" in ledger.ends.get(ledger.scripts[script.parent].job_id, set()):
            ledger.violation(f"job {script.parent} is done without its child {script.number}")
    elif not ends:
        ledger.violation(f"job {script.number} ({script.kind}) has no end")
    elif ends == {"dead"} and ledger.child_kills.get(script.number, 0) >= CRASHES_MAX:
        return  # Its children were shot too often.
    elif not ends & script.ends:
        ledger.violation(f"job {script.number} ended {sorted(ends)}, not {sorted(script.ends)}")
    elif len(ends) > 1 and "done" not in ends:
        ledger.violation(f"job {script.number} has several ends: {sorted(ends)}")
