"""Which letters may be closed, and what a job that was put back must come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobstream_processors.core.known import UNKNOWN
from jobstream_processors.core.letters import is_stale, parse_key

if TYPE_CHECKING:
    from tests.simulation.ledger import Ledger


def judge_closed(ledger: Ledger, key: bytes | None) -> None:
    """A letter is closed: its job is back on its queue, or went on without it."""
    found = parse_key(key)
    if found is None:
        return
    job_id, redrive = found
    known = UNKNOWN
    for row in ledger.rows.get(job_id, ()):
        known = known.merge(row.fact)
    if ledger.redriven.get(job_id, 0) <= redrive and not is_stale(known, redrive):
        number = ledger.ids.get(job_id)
        ledger.violation(f"the letter of job {number} is closed and nothing is back")


def put_back(ledger: Ledger, job_id: str, redrive: int) -> None:
    """A copy of a dead job was appended: it has another end before it, unless it is done."""
    number = ledger.ids.get(job_id)
    if number is None or redrive <= ledger.redriven.get(job_id, 0):
        return
    ledger.redriven[job_id] = redrive
    ends = ledger.ends.get(job_id, set())
    if "done" not in ends:
        script = ledger.scripts[number]
        # Another may have its unique key meanwhile: then it is back among the dead at once.
        may_die = {"dead"} if "duplicate" in script.ends else set()
        script.ends = (script.ends - {"dead"}) | {"done"} | may_die
        ends.clear()
        ledger.waiting.add(job_id)
