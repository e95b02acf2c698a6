"""Unique keys over a partition's log, with an owner that may die at any step.

The model is a log of jobs of one key, rows that are acknowledged, and an owner that judges records
in order. What it forgets when it dies is everything but the log, the rows and what is finished.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.property.key_log import KEY, LATEST, LIFE_MS, MODES, Job, Owner, Record

from jobstream_processors.core.key_facts import NO_FACTS, HeldBy, KeyFacts, KeyRow
from jobstream_processors.core.unique_answer import (
    Answer,
    Asks,
    Duplicate,
    Free,
    Later,
    Refused,
    Takes,
    Waits,
)
from jobstream_processors.core.unique_keys import UniqueKeys
from jobstream_processors.core.unique_part import UniquePart

if TYPE_CHECKING:
    from collections.abc import Sequence


class Partition(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_ms = 0
        self.log: list[Record] = []
        self.ladder: list[Record] = []
        self.facts: KeyFacts = NO_FACTS
        self.jobs: dict[str, Job] = {}
        self.finished: set[int] = set()
        self.ended_at: dict[str, int] = {}
        """Of each job that ended done: how far the log went when it was about to say so."""
        self.modes: tuple[str, ...] = ()
        self.cut_short: set[str] = set()
        """Jobs that ran with the key when their owner died, and have not left or ended since."""
        self.owner = self._new_owner(0)
        self.count = 0

    # -- what the table tells

    def key_facts(self, name: str) -> KeyFacts:
        assert name == KEY
        return self.facts

    def facts_of_keys(self, names: Sequence[str]) -> list[KeyFacts]:
        return [self.key_facts(name) for name in names]

    def is_over(self, held: HeldBy) -> bool:
        job = self.jobs[held.job_id]
        return job.state == "done" or held.redrive <= job.redrive

    # -- the world

    @initialize(modes=st.sampled_from((tuple(MODES), LATEST)))
    def declare(self, modes: tuple[str, ...]) -> None:
        self.modes = modes

    @rule(data=st.data())
    def enqueue(self, data: st.DataObject) -> None:
        mode = data.draw(st.sampled_from(self.modes))
        self.count += 1
        job_id = f"job{self.count}"
        self.jobs[job_id] = Job(enqueued=len(self.log))
        self._append(Record(job_id, MODES[mode], 0, 0))

    @precondition(lambda self: self.ladder)
    @rule(data=st.data())
    def comes_back(self, data: st.DataObject) -> None:
        self._append(self.ladder.pop(data.draw(st.integers(0, len(self.ladder) - 1))))

    @precondition(lambda self: any(j.state == "dead" for j in self.jobs.values()))
    @rule(data=st.data())
    def redrive(self, data: st.DataObject) -> None:
        dead = [job_id for job_id, job in self.jobs.items() if job.state == "dead"]
        job_id = data.draw(st.sampled_from(dead))
        # A letter is closed once: no second copy of the same redrive.
        if any(r.job_id == job_id and r.redrive > self.jobs[job_id].redrive for r in self.log):
            return
        mode = next(r.mode for r in self.log if r.job_id == job_id)
        self.jobs[job_id].enqueued = len(self.log)
        self._append(Record(job_id, mode, 0, 0, redrive=self.jobs[job_id].redrive + 1))

    @rule(ms=st.integers(1, 5))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @rule()
    def dies(self) -> None:
        self.cut_short |= {
            record.job_id
            for record in self.owner.running.values()
            # One that is over but for its row may give way.
            if self._holds(record) and self.facts.released.job_id != record.job_id
        }
        start = next((r.offset for r in self.log if r.offset not in self.finished), len(self.log))
        self.owner = self._new_owner(start)

    # -- the owner

    @precondition(lambda self: self.owner.next < len(self.log))
    @rule(most=st.integers(1, 3))
    def reads(self, most: int) -> None:
        records = self.log[self.owner.next : self.owner.next + most]
        if most > 1:  # Together.
            self.owner.keys.look_ahead([KEY])
        for record in records:
            self.owner.next += 1
            if record.offset not in self.finished:
                self._meets(record)
        self.owner.keys.look_ahead([])

    def _meets(self, record: Record) -> None:
        job = self.jobs[record.job_id]
        if self.owner.flies(record.job_id):
            self.owner.behind.append(record)
            return
        if self._absorbed(record, job):
            self.finished.add(record.offset)
            return
        place = record.offset if record.place is None else record.place
        stand = UniquePart(KEY, record.mode, place, record.appended_ms, LIFE_MS)
        self.owner.stands[record.offset] = stand
        self.owner.keys.enter(KEY, record.job_id, record)
        self._asks(record, stand)

    @precondition(lambda self: self.owner.waiting)
    @rule(data=st.data())
    def asks_again(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.owner.waiting)))
        record = self.owner.waiting.pop(offset)
        self._asks(record, self.owner.stands[offset])

    @precondition(lambda self: self.owner.waiting)
    @rule(data=st.data())
    def waits_on_the_ladder(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.owner.waiting)))
        record = self.owner.waiting[offset]
        if self.owner.stands[offset].waits:
            del self.owner.waiting[offset]
            self._decide(record, "left")

    @precondition(lambda self: self.owner.running)
    @rule(data=st.data(), how=st.sampled_from(["done", "dead", "cancelled", "left"]))
    def ends(self, data: st.DataObject, how: str) -> None:
        offset = data.draw(st.sampled_from(sorted(self.owner.running)))
        record = self.owner.running.pop(offset)
        if how == "done":
            self.jobs[record.job_id].effects += 1
        record.began = True
        self._decide(record, how)

    @precondition(lambda self: self.owner.letting_go)
    @rule(data=st.data())
    def lets_go(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.owner.letting_go)))
        record, stand = self.owner.letting_go.pop(offset), self.owner.stands[offset]
        self._write(stand.gave_up(record.job_id, record.redrive, record.seq, len(self.log)))
        stand.freed = True
        self.owner.keys.freed(KEY, record.job_id)
        self.owner.running[offset] = record

    @precondition(lambda self: self.owner.settling)
    @rule(data=st.data())
    def settles_a_step(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.owner.settling)))
        record, how, steps = self.owner.settling[offset]
        self._step(record, how, steps.pop(0))
        if not steps:
            self._finished(record)

    # -- inside

    def _finished(self, record: Record) -> None:
        owner = self.owner
        del owner.settling[record.offset]
        self.finished.add(record.offset)
        owner.keys.leave(KEY, record.job_id, record)
        behind, owner.behind = owner.behind, []
        for each in behind:
            self._meets(each)

    def _append(self, record: Record) -> None:
        record.offset = len(self.log)
        if record.seq == 0:
            record.appended_ms = self.now_ms
        self.log.append(record)

    def _new_owner(self, start: int) -> Owner:
        return Owner(start, UniqueKeys(self))

    def _absorbed(self, record: Record, job: Job) -> bool:
        return (
            job.state == "done"
            or record.redrive <= job.redrive
            or (record.redrive, record.seq) <= job.moved
        )

    def _asks(self, record: Record, stand: UniquePart) -> None:
        if stand.freed:
            self.owner.running[record.offset] = record
            return
        asks = Asks(
            record.job_id,
            record.mode,
            stand.place,
            stand.appended_ms,
            stand.expires_ms,
            again=record.place is not None,
            began=record.began and record.seq > 0,
            redriven=record.redrive > 0 and record.seq == 0,
        )
        given: Answer = self.owner.keys.ask(KEY, asks, (record.redrive, record.seq), self.now_ms)
        stand.holds, stand.waits = isinstance(given, Takes), isinstance(given, Waits | Later)
        if stand.waits:
            stand.behind = self.owner.keys.holder(KEY)
        if isinstance(given, Takes):
            if record.mode.until_start:
                self.owner.letting_go[record.offset] = record
            else:
                self.owner.running[record.offset] = record
        elif isinstance(given, Free):
            self.owner.running[record.offset] = record
        elif isinstance(given, Duplicate | Refused):
            other = given.of if isinstance(given, Duplicate) else given.holder
            if any(r.job_id == other for r, _, _ in self.owner.settling.values()):
                self.owner.waiting[record.offset] = record  # It is asked again after that.
                return
            self.jobs[record.job_id].of = other
            self._decide(record, "duplicate" if isinstance(given, Duplicate) else "dead")
        else:
            if isinstance(given, Later):
                stand.first_ms = given.first_ms
            self.owner.waiting[record.offset] = record

    def _holds(self, record: Record) -> bool:
        stand = self.owner.stands[record.offset]
        return stand.holds and not stand.freed

    def _decide(self, record: Record, how: str) -> None:
        gives_way = how == "duplicate" and record.job_id in self.cut_short
        assert not (gives_way and self.modes == LATEST), record
        self.cut_short.discard(record.job_id)
        steps = ["copy", "held", "moved"] if how == "left" else ["released", "row"]
        self.owner.settling[record.offset] = (record, how, steps)

    def _step(self, record: Record, how: str, step: str) -> None:
        stand, job = self.owner.stands[record.offset], self.jobs[record.job_id]
        if step == "copy":
            place = stand.place if stand.stays else None if stand.freed else record.place
            self.ladder.append(
                Record(
                    record.job_id,
                    record.mode,
                    0,
                    record.appended_ms,
                    record.seq + 1,
                    record.redrive,
                    place,
                    began=record.began,
                )
            )
        elif step == "held":
            for row in stand.left(record.job_id, record.redrive, record.seq + 1):
                self._write(row)
        elif step == "moved":
            job.moved = max(job.moved, (record.redrive, record.seq))
        elif step == "released":
            self.ended_at.setdefault(record.job_id, len(self.log))
            if stand.holds and not stand.freed and how != "duplicate" and record.began:
                row = stand.gave_up(record.job_id, record.redrive, record.seq, len(self.log))
                self._write(row)
        else:
            job.state = "done" if "done" in {how, job.state} else how
            job.redrive = max(job.redrive, record.redrive)

    def _write(self, row: KeyRow | None) -> None:
        if row is not None:
            self.facts = self.facts.merge(row.fact())

    # -- what must hold

    @invariant()
    def at_most_one_has_the_key(self) -> None:
        held = [record for record in self.owner.running.values() if self._holds(record)]
        assert len(held) <= 1, held

    @invariant()
    def who_wanted_the_first_of_all_gave_way_to_whom_it_overlapped(self) -> None:
        """No job ran whose click fell into the life of one that ended done."""
        for record in self.owner.running.values():
            if record.mode is not MODES["first"]:
                continue
            mine = self.jobs[record.job_id]
            for other_id, other in self.jobs.items():
                if other_id == record.job_id or other.state != "done" or not other.effects:
                    continue
                overlaps = other.enqueued < mine.enqueued < self.ended_at.get(other_id, 0)
                kept = next(r.mode for r in self.log if r.job_id == other_id)
                assert not (overlaps and not kept.until_start and not record.redrive), (
                    record,
                    other_id,
                )

    @invariant()
    def losers_name_a_job_of_the_key(self) -> None:
        for job_id, job in self.jobs.items():
            if job.state == "duplicate":
                assert job.of in self.jobs
                assert job.of != job_id

    def teardown(self) -> None:
        """Every job ends, once nothing dies any more."""
        for _ in range(50 * (len(self.log) + len(self.ladder) + 1)):
            self.now_ms += 1
            owner = self.owner
            if owner.settling:
                offset = min(owner.settling)
                record, how, steps = owner.settling[offset]
                self._step(record, how, steps.pop(0))
                if not steps:
                    self._finished(record)
            elif owner.letting_go:
                offset = min(owner.letting_go)
                record, stand = owner.letting_go.pop(offset), owner.stands[offset]
                self._write(stand.gave_up(record.job_id, record.redrive, record.seq, len(self.log)))
                stand.freed = True
                owner.keys.freed(KEY, record.job_id)
                owner.running[offset] = record
            elif owner.running:
                offset = min(owner.running)
                record = owner.running.pop(offset)
                self.jobs[record.job_id].effects += 1
                record.began = True
                self._decide(record, "done")
            elif owner.next < len(self.log):
                self.reads(1)
            elif self.ladder:
                self._append(self.ladder.pop(0))
            elif owner.waiting:
                offset = min(owner.waiting)
                self._asks(owner.waiting.pop(offset), owner.stands[offset])
        assert len(self.owner.keys) == 0
        assert all(job.state for job in self.jobs.values()), self.jobs


Partition.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestUniqueKeys = Partition.TestCase
