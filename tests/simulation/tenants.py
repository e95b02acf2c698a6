"""A loud tenant and a quiet one, who take turns: their jobs, and how long the quiet one waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import jobs
from tests.simulation.jobs import OK, Run, Script
from tests.simulation.plan import Plan
from tests.simulation.ruled import Deed

from jobstream_processors.core.identity import from_caller

if TYPE_CHECKING:
    from random import Random

    from tests.simulation.ledger import Ledger

SLOTS = 4
LOUD, QUIET = 200, 8
"""How many jobs each of both enqueues."""
LENGTH_S = 30.0
AHEAD_ROUNDS = 4
"""So many rounds of the slots are under way at most while nobody knows how long jobs run: see
`FairPool`. Beside them a job of the other tenant may be first, and one runs in each slot."""
READ_S = 1.0
"""To read what stands before it, and to send that on."""


def plan(loud: int = LOUD) -> Plan:
    """One worker in quiet: what a tenant waits for is other jobs alone."""
    return Plan(jobs=loud, length_s=LENGTH_S, members=1, slots=SLOTS, tenants=True, ruled=True)


def tenant_scripts(rng: Random, loud: int) -> list[Script]:
    """Many jobs at once of one tenant, and a few of another all the time."""
    seconds = rng.choice((0.3, 0.6, 1.0))
    made: list[Script] = []
    at_s = [("loud", 0.5 + rng.random()) for _ in range(loud)]
    at_s += [("quiet", 1.5 + rng.random() * (LENGTH_S - 5)) for _ in range(QUIET)]
    for number, (tenant, when_s) in enumerate(at_s):
        script = Script(
            number,
            "shared",
            (Run(OK, seconds),),
            at_s=when_s,
            args=Deed(number, "", tenant),
            job_id=from_caller("shared", str(number)),
        )
        script.ends = jobs.ends_of(script)
        made.append(script)
    return made


def judge_turns(ledger: Ledger) -> None:
    """No job of the quiet tenant waited for more than its turn, however many the loud one has."""
    for script in ledger.scripts:
        runs = ledger.starts.get(script.number)
        if getattr(script.args, "tenant", "") != "quiet" or not runs:
            continue
        waited_us = runs[0].at_us - ledger.rules.came_us[script.job_id]
        most_s = READ_S + (AHEAD_ROUNDS + 1) * script.runs[0].seconds
        if waited_us > most_s * 1e6:
            ledger.violation(
                f"job {script.number} of the quiet tenant waited for {waited_us / 1e6:.1f} s"
            )
