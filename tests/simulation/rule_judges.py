"""Whether the rules of job types hold, whichever of them one type has: seen from outside.

Runs of processes that were given up count for nothing: they are not told that they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.jobs import FAIL, OK
from tests.simulation.ruled import (
    FIRST,
    LATEST,
    OPEN_S,
    RULES,
    STARTED,
    rules_of,
    unique_of,
    value_of,
)

if TYPE_CHECKING:
    from tests.simulation.jobs import Run, Script
    from tests.simulation.ledger import Ledger
    from tests.simulation.runtime import Process
    from tests.simulation.seen import Start

    from jobstream_schemas.dedup_rows import Row

SLACK_US, STILL_US = 150_000, 1_500_000
"""How long after it was counted a handler begins, at most; and where a process stands still."""
LEAST, WINDOW_US = 4, 22_000_000
"""Of the breaker: its window, and the part in which it forgets."""
SETTLED_US = 500_000


@dataclass(slots=True)
class Failing:
    """What one process must know of what fails."""

    since_us: int = -1
    well_us: int = -WINDOW_US
    failed_us: list[int] = field(default_factory=list)
    open_us: tuple[int, int] = (0, 0)
    """Surely open from then to then."""


class RuleJudge:
    """Judges every start, and in the end every job that gave way to another."""

    def __init__(self, ledger: Ledger) -> None:
        """Know the jobs by their unique keys."""
        self.ledger = ledger
        self.is_alone = False
        """One process runs all, and nothing goes wrong but handlers: what it knows is known."""
        self.slack_us = SLACK_US
        self.places: dict[str, tuple[str, int, int]] = {}
        self.came_us: dict[str, int] = {}
        self.ended_us: dict[str, list[int]] = {}
        self.winners: dict[str, str] = {}
        self.by_key: dict[tuple[str, ...], list[Script]] = {}
        self.paced_us: dict[tuple[str, int, str], list[int]] = {}
        self.failing: dict[Process, Failing] = {}
        self.changes: dict[str, int] = {}
        """How often operators changed a limit of a type, or ended that."""
        self.held_us: list[tuple[int, int]] = []
        """When operators surely held the breaker open: after all had heard of it."""
        self.paused_us: list[tuple[str, int, int]] = []
        """Which type operators surely had paused, and when."""
        self.is_handled = False
        """Whether they did anything to the breaker: what it knows by itself is not known then."""
        for script in ledger.scripts:
            if (key := unique_of(script)) is not None:
                self.by_key.setdefault(key, []).append(script)

    def came(self, job_id: str, place: tuple[str, int, int]) -> None:
        """A job was appended to its queue for the first time."""
        self.places.setdefault(job_id, place)
        self.came_us.setdefault(job_id, self.ledger.scheduler.now_us)

    def row(self, row: Row) -> None:
        """A job has an end."""
        self.ended_us.setdefault(row.id, []).append(self.ledger.scheduler.now_us)
        if row.state == "duplicate":
            self.winners[row.id] = row.detail.removeprefix("of ")

    def began(self, start: Start) -> None:
        """A handler begins."""
        script = self.ledger.scripts[start.number]
        rules = rules_of(script.kind)
        if start.excused:
            return
        if rules.unique in {FIRST, LATEST}:
            self._alone(start, script)
        if rules.unique == FIRST:
            self._first(start, script)
        for most, per in rules.at_once:
            self._at_once(start, script, most, per)
        # There is one child, and a start is counted when its job begins to wait for it.
        paces = () if start.in_child else rules.paces
        for number, pace in enumerate(paces):
            at_us = self.paced_us.setdefault((script.kind, number, value_of(script, pace.per)), [])
            self._paced(start, script.kind, at_us, pace.burst, pace.each_s)
        if self.is_alone:
            self._paused(start, script.kind)
        if rules.breaks and self.is_alone:
            self._shut(start)

    def ended(self, start: Start, run: Run) -> None:
        """A handler came to an end by itself."""
        rules = RULES.get(self.ledger.scripts[start.number].kind)
        if not self.is_alone or rules is None or not rules.breaks:
            return
        now_us, known = self.ledger.scheduler.now_us, self._known(start)
        if run.end == OK:
            known.well_us = now_us
            known.failed_us.clear()
        elif run.end == FAIL and start.at_us > known.since_us:
            known.failed_us.append(now_us)
            first_us = known.failed_us[max(0, len(known.failed_us) - LEAST)]
            enough = len(known.failed_us) >= LEAST and first_us > now_us - OPEN_S * 1_000_000
            if enough and known.well_us < now_us - WINDOW_US:
                until_us = first_us + OPEN_S * 1_000_000 - SETTLED_US
                known.open_us = now_us + SETTLED_US, until_us
                known.since_us = now_us
                known.failed_us.clear()

    def over(self) -> None:
        """Nothing more happens: every job that gave way names the one that did not."""
        for loser, winner in self.winners.items():
            self._named(loser, winner)

    def _alone(self, start: Start, script: Script) -> None:
        """No other job of its key is between its first run and its end."""
        ledger = self.ledger
        if ledger.claims_before:
            return  # In a queue that was made anew, holds of the old one count for nothing.
        for other in self._others(script):
            starts = ledger.starts.get(other.number, ())
            if other.job_id not in ledger.waiting or not starts:
                continue
            if _is_cancelled(other, start.at_us):
                continue
            last = starts[-1]
            is_old = last.delivery[1] != ledger.redriven.get(other.job_id, 0)
            if is_old or any(each.excused for each in starts) or self._is_elsewhere(start, last):
                continue
            ledger.violation(f"job {script.number} starts while job {other.number} has its key")

    def _first(self, start: Start, script: Script) -> None:
        """None before it in the log ran to an end after this one was there."""
        ledger, mine = self.ledger, self.places.get(script.job_id)
        if mine is None or start.delivery[1] or ledger.is_out_of_order:
            return
        came_us = self.came_us[script.job_id]
        for other in self._others(script):
            theirs = self.places.get(other.job_id)
            if theirs is None or theirs[:2] != mine[:2] or theirs > mine:
                continue
            ended_us = min(self.ended_us.get(other.job_id, (0,)))
            if ledger.redriven.get(other.job_id) or ended_us <= came_us:
                continue
            if _is_cancelled(other, ledger.starts.get(script.number, [start])[0].at_us):
                continue
            runs = ledger.starts.get(other.number, ())
            if any(run.excused for run in runs):
                continue
            if any(came_us < (run.ended_us or 0) <= ended_us for run in runs):
                ledger.violation(
                    f"job {script.number} starts though it came while job {other.number} had its"
                    " key"
                )

    def _named(self, loser: str, winner: str) -> None:
        ledger, number = self.ledger, self.ledger.ids[loser]
        script = ledger.scripts[number]
        if script.args is None:
            return
        if winner not in ledger.ids or winner == loser:
            ledger.violation(f"job {number} is a duplicate of {winner or 'nobody'}")
            return
        other = ledger.scripts[ledger.ids[winner]]
        if unique_of(other) != unique_of(script) or unique_of(script) is None:
            ledger.violation(f"job {number} is a duplicate of job {other.number} of another key")
        chain = [loser]
        while (following := self.winners.get(chain[-1])) is not None and following not in chain:
            chain.append(following)
        if following is not None and not any("done" in ledger.ends.get(e, ()) for e in chain):
            ledger.violation(f"job {number} is a duplicate of those that are duplicates of it")
        mine, theirs = self.places.get(loser), self.places.get(winner)
        # In a queue that was made anew a job of the old one stands where its copy does.
        is_clear = not (
            ledger.is_out_of_order or ledger.claims_before or ledger.redriven.get(winner)
        )
        if mine is None or theirs is None or mine[:2] != theirs[:2] or not is_clear:
            return
        rules = RULES[script.kind]
        # One that was released as it started may have to wait again, behind one that came since.
        if rules.unique != STARTED and (theirs > mine) is not (rules.unique == LATEST):
            ledger.violation(f"job {number} is a duplicate of job {other.number}, the wrong one")
        last_us = max(self.ended_us.get(winner, (self.came_us[loser],)))
        if rules.unique == FIRST and last_us < self.came_us[loser]:
            ledger.violation(f"job {number} came after the end of job {other.number}, not during")

    def _others(self, script: Script) -> list[Script]:
        key = unique_of(script)
        same = self.by_key.get(key, []) if key is not None else []
        return [other for other in same if other is not script]

    def _is_elsewhere(self, start: Start, other: Start) -> bool:
        """Whether one of both stood in a topic that is gone."""
        ledger = self.ledger
        at = (ledger.incarnation(other.source[0]), *other.source[1:])
        return start.source[1] != other.source[1] or ledger.at.get(at) != other.delivery

    def _at_once(self, start: Start, script: Script, most: int, per: str) -> None:
        ledger, count = self.ledger, 1
        for other in ledger.open:
            theirs = ledger.scripts[other.number]
            same = theirs.kind == script.kind and value_of(theirs, per) == value_of(script, per)
            here = other.process is start.process and other.claim == start.claim
            late = other.limit_us <= start.at_us and not here
            count += same and not (other.excused or other.process.dead or late)
        if count > most:
            of = value_of(script, per) or script.kind
            ledger.violation(f"job {script.number} is the {count}th at once of {of}")

    def _paced(self, start: Start, kind: str, at_us: list[int], burst: int, each_s: float) -> None:
        """In no window that ends now there are more starts than the rate and the burst let.

        A change of the rate may let one burst more through, if another owner comes with it.
        """
        changes = self.changes.get(kind, 0)
        now_us, slack_us = start.at_us, self.slack_us + 2_000 * self.ledger.skew_max_ms
        span_us = round(each_s * 1_000_000)
        at_us.append(now_us)
        for count, since_us in enumerate(reversed(at_us), 1):
            if count > burst * (1 + changes) + (now_us - since_us + slack_us) / span_us:
                passed_s = (now_us - since_us) / 1e6
                self.ledger.violation(
                    f"job {start.number} is the {count}th start in {passed_s:.3f} s"
                )
                return

    def _paused(self, start: Start, kind: str) -> None:
        for paused, low_us, high_us in self.paused_us:
            if paused == kind and low_us < start.at_us < high_us:
                self.ledger.violation(f"job {start.number} starts while its type is paused")

    def _shut(self, start: Start) -> None:
        if any(low_us < start.at_us < high_us for low_us, high_us in self.held_us):
            self.ledger.violation(f"job {start.number} starts while its breaker is held open")
        low_us, high_us = self._known(start).open_us
        if self.is_handled:
            return
        if low_us < start.at_us < high_us:
            self.ledger.violation(f"job {start.number} starts while its breaker is open")

    def _known(self, start: Start) -> Failing:
        return self.failing.setdefault(start.process, Failing())


def _is_cancelled(script: Script, at_us: int) -> bool:
    """Away on the ladder it keeps no key from then on, and where it is, is not known here."""
    return script.cancelled_at_s is not None and script.cancelled_at_s * 1_000_000 <= at_us
