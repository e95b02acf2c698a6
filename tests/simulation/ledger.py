"""What was done, seen from outside the product: every start, every record, every commit.

It judges at the moment something happens that may never happen. What must have come about in the
end is judged by the oracle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.simulation.jobs import CATALOGUE, HANG, OK, SNOOZE, TIMEOUT_S, Run, Script, mail
from tests.simulation.jobs import app as sim
from tests.simulation.places import judge_late, judge_place
from tests.simulation.redriven import judge_closed, put_back
from tests.simulation.rule_judges import RuleJudge
from tests.simulation.runtime import Process, Scheduler
from tests.simulation.seen import Identity, Start, Written
from tests.simulation.trace import Trace

from jobstream.topics.names import delay_group, offsets_topic, worker_group
from jobstream_processors.core.headers import Carried, parse
from jobstream_processors.core.outcome import Raised, TimedOut
from jobstream_processors.ports import TopicPartition
from jobstream_processors.row_facts import fact_of
from jobstream_schemas import DecodeError, decode_mirror, parse_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobstream_processors.context import Context
    from jobstream_processors.core.decide import Decision
    from jobstream_processors.core.outcome import Outcome
    from jobstream_processors.delivery import Delivery
    from jobstream_processors.ports import Outgoing, Position

PLAN = sim.plan(mail)
RUNGS = {topic: name for name, (topic, _) in PLAN.rungs.items()}
OFFSETS = offsets_topic(sim.name)
WORKERS, DELAYERS = worker_group(sim.name), delay_group(sim.name)
SLACK_MS = 5
MENDED = Run(OK, 0.3)
"""What a job does after a redrive."""


@dataclass(slots=True)
class Ledger:
    """All that happened in one simulation."""

    scheduler: Scheduler
    trace: Trace
    scripts: list[Script]
    skew_max_ms: int = 0
    wrong: list[str] = field(default_factory=list)
    starts: dict[int, list[Start]] = field(default_factory=dict)
    open: dict[Start, None] = field(default_factory=dict)
    rows: dict[str, list[Written]] = field(default_factory=dict)
    ids: dict[str, int] = field(default_factory=dict)
    """Job id → number."""
    due_ms: dict[Identity, int] = field(default_factory=dict)
    arrived: set[Identity] = field(default_factory=set)
    """Deliveries that have come to the queue, of those that had a time."""
    copies: dict[Identity, int] = field(default_factory=dict)
    """How often each delivery was appended anywhere."""
    at: dict[tuple[str, int, int], Identity] = field(default_factory=dict)
    """(topic incarnation, partition, offset) → delivery."""
    nth: dict[tuple[str, int, int], int] = field(default_factory=dict)
    judged: dict[tuple[str, str, int], int] = field(default_factory=dict)
    """(group, topic incarnation, partition) → committed and judged up to here."""
    snoozed: dict[int, int] = field(default_factory=dict)
    redriven: dict[str, int] = field(default_factory=dict)
    """Job id → the highest redrive of which there is a copy."""
    ends: dict[str, set[str]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    """Job ids without an end yet, but for children that were not enqueued yet."""
    lost_with_topic: set[str] = field(default_factory=set)
    ordered: dict[tuple[str, int, str], int] = field(default_factory=dict)
    """(topic incarnation, partition, key) → highest offset whose job has started first."""
    disturbed_us: int = 0
    claims_before: dict[int, int] = field(default_factory=dict)
    """Partition → where its claims stand that were made in the topic's earlier incarnation."""
    kills: int = 0
    is_out_of_order: bool = False
    """A client left records out: what it reads again comes after what it read before."""
    child_kills: dict[int, int] = field(default_factory=dict)
    incarnation: Callable[[str], str] = str
    end_of: Callable[[TopicPartition], int] = len
    kill: Callable[[Process], None] = print
    rules: RuleJudge = field(init=False)

    def __post_init__(self) -> None:
        """Every job is known by its id from the beginning."""
        self.ids = {script.job_id: script.number for script in self.scripts}
        self.waiting = {script.job_id for script in self.scripts if script.parent is None}
        self.rules = RuleJudge(self)

    def add(self, script: Script) -> None:
        """One job more."""
        self.scripts.append(script)
        self.ids[script.job_id] = script.number
        self.waiting.add(script.job_id)

    def violation(self, what: str) -> None:
        self.trace.tell("WRONG", what)
        self.wrong.append(what)

    # -- runs

    def children(self, number: int) -> list[Script]:
        return [self.scripts[child] for child in self.scripts[number].children]

    def _run(self, script: Script, delivery: Identity, attempt: int) -> Run:
        if self.snoozed.get(script.number, 0) < script.snoozes:
            return Run(SNOOZE, 0.01)
        return MENDED if delivery[1] else script.run(attempt)

    def began(self, number: int, ctx: Context) -> tuple[Run, Start]:
        """A handler begins, on a loop or in a thread."""
        facts = ctx._facts  # noqa: SLF001 - users need not know where a job stood
        delivery = (facts.job_id, facts.redrive, facts.seq)
        return self.begin(number, delivery, facts.attempt, facts.fencing_token, facts.source)

    def begin(
        self,
        number: int,
        delivery: Identity,
        attempt: int,
        claim: int,
        source: tuple[str, int, int],
        *,
        in_child: bool = False,
    ) -> tuple[Run, Start]:
        process = self.scheduler.process or self.scheduler.world
        script, now = self.scripts[number], self.scheduler.now_us
        start = Start(
            number, process, delivery, attempt, claim, source, now, process.slept_us, script.key
        )
        start.group, start.in_child = script.group, in_child
        start.limit_us = now + round(TIMEOUT_S * 1e6)
        run = self._run(script, delivery, attempt)
        if process.dead:
            return run, start
        self.trace.tell("start", process, number, *delivery[1:], f"attempt={attempt}", *source)
        topic, partition, offset = source
        replaced = claim < self.claims_before.get(partition, 0)
        if replaced or self.at.get((self.incarnation(topic), partition, offset)) != delivery:
            start.excused = "its topic is gone"
        self._absorbed(start)
        self._early(start)
        self._overlaps(start)
        self._in_order(start)
        self.rules.began(start)
        self.starts.setdefault(number, []).append(start)
        self.open[start] = None
        return run, start

    def ended(self, start: Start, run: Run) -> None:
        if start.process.dead:
            return
        start.ended_us = self.scheduler.now_us
        self.open.pop(start, None)
        self.trace.tell("end", start.process, start.number, run.end)
        self.rules.ended(start, run)
        if run.end == SNOOZE:
            self.snoozed[start.number] = self.snoozed.get(start.number, 0) + 1

    def cut(self, start: Start) -> None:
        if start.process.dead:
            return
        start.ended_us = self.scheduler.now_us
        self.open.pop(start, None)
        self.trace.tell("cut", start.process, start.number)

    def take_along(self, start: Start) -> None:
        """The handler kills its process."""
        if not start.process.dead:
            self.trace.tell("poisoned", start.process, start.number)
            self.kill(start.process)

    def died(self, process: Process) -> None:
        for start in [start for start in self.open if start.process is process]:
            start.ended_us = self.scheduler.now_us
            del self.open[start]

    def excuse(self, process: Process, why: str, places: set[TopicPartition] | None = None) -> None:
        """What it runs now may go on beside a successor's run."""
        for start in self.open:
            if start.process is process and (places is None or start.source[:2] in places):
                start.excused = why

    def failed(self, delivery: Delivery, outcome: Outcome | None, _: Decision) -> None:
        """A worker tells that a run did not succeed."""
        cut = isinstance(outcome, Raised) and outcome.error == "asyncio.CancelledError"
        process = self.scheduler.process or self.scheduler.world
        if not (cut or isinstance(outcome, TimedOut)) or process.dead:
            return
        number = self.ids.get(delivery.id)
        if number is None:
            return
        script = self.scripts[number]
        run = script.run(delivery.carried.attempt)
        if run.end == HANG or run.seconds > TIMEOUT_S:
            return
        last = [s for s in self.starts.get(number, ()) if s.process is process]
        ran_us = self.scheduler.now_us - last[-1].at_us if last else 0
        if ran_us < TIMEOUT_S * 1e6 - 100_000:
            self.violation(f"job {number} timed out after {ran_us / 1e6:.3f} s of {TIMEOUT_S} s")

    def _absorbed(self, start: Start) -> None:
        job_id, redrive, seq = start.delivery
        for row in self.rows.get(job_id, ()):
            if row.fact.absorbs(redrive, seq) is None or row.partition != start.source[1]:
                continue
            if row.offset < start.claim:
                self.violation(
                    f"job {start.number} starts though a row before its claim absorbs it"
                )
            elif row.writer is start.process and row.acknowledged:
                self.violation(f"job {start.number} starts again after its row was acknowledged")

    def _early(self, start: Start) -> None:
        due_ms = self.due_ms.get(start.delivery)
        if due_ms is None:
            return
        now_ms = 1_800_000_000_000 + self.scheduler.now_us // 1_000
        if now_ms + self.skew_max_ms < due_ms - SLACK_MS:
            self.violation(f"job {start.number} starts {due_ms - now_ms} ms early")

    def _overlaps(self, start: Start) -> None:
        if start.process.expelled:
            start.excused = "expelled"
        if start.excused:
            return
        for other in self.open:
            if not start.excludes(other) or other.excused or other.process.dead:
                continue
            if self.claims_before and not start.excludes(other, by_group=False):
                continue  # In a queue that was made anew, holds of the old one count for nothing.
            late = other.limit_us <= start.at_us
            # Only the lane that it runs in keeps its key for it beyond its limit.
            here = other.process is start.process and other.claim == start.claim
            if late and not (here and start.key is not None):
                continue
            if self.is_out_of_order and not here and other.source > start.source:
                continue  # It began past a record left out; its heir can't know that run's key.
            self.violation(
                f"job {start.number} starts while job {other.number} of key {other.key} runs "
                f"in {other.process}"
            )

    def _in_order(self, start: Start) -> None:
        if start.key is None or start.delivery[2] or self.starts.get(start.number):
            return
        if start.excused or self.is_out_of_order:
            return
        topic, partition, offset = start.source
        place = (self.incarnation(topic), partition, start.key)
        if self.ordered.get(place, -1) > offset:
            self.violation(f"job {start.number} starts after a later one of key {start.key}")
        self.ordered[place] = max(offset, self.ordered.get(place, -1))

    # -- records

    def appended(
        self, record: Outgoing, place: TopicPartition, offset: int, stamp_ms: int
    ) -> Written | None:
        topic = record.topic
        if topic == PLAN.dedup:
            return self._row(record, place, offset)
        if topic == OFFSETS:
            self._mirror(record)
        elif topic == PLAN.topic or topic in RUNGS or topic == PLAN.dlq:
            self._copy(record, place, offset, stamp_ms)
        return None

    def _row(self, record: Outgoing, place: TopicPartition, offset: int) -> Written | None:
        row = parse_row(record.key or b"", record.value or b"")
        self.trace.tell(
            "row",
            self.scheduler.process,
            row.kind,
            self.ids.get(row.id, ""),
            row.state,
            row.redrive,
            row.seq,
            *place,
            offset,
        )
        if row.kind == "claim":
            return None
        written = Written(
            fact_of(row), offset, place[1], self.scheduler.process, acknowledged=False
        )
        self.rows.setdefault(row.id, []).append(written)
        if row.kind == "crash":
            self._crashed_with(self.ids.get(row.id, -1), row.attempt)
        is_newest = row.state == "done" or row.redrive >= self.redriven.get(row.id, 0)
        if row.kind == "job" and is_newest:
            self.ends.setdefault(row.id, set()).add(row.state)
            self.waiting.discard(row.id)
        if row.kind == "job":
            self.rules.row(row)
        return written

    def _crashed_with(self, number: int, deaths: int) -> None:
        """Only poison kills its process; what counts for another was done to it."""
        innocent = number >= 0 and self.scripts[number].kind != "poison"
        if innocent and deaths > self.child_kills.get(number, 0):
            self.violation(f"a death counts for job {number} that was not its own")

    def _copy(self, record: Outgoing, place: TopicPartition, offset: int, stamp_ms: int) -> None:
        if record.value is None:
            if record.topic == PLAN.dlq:
                judge_closed(self, record.key)
            return
        carried = (
            parse(record.headers) if record.headers and record.topic != PLAN.dlq else Carried()
        )
        try:
            job_id = CATALOGUE.decode(record.value).id
        except DecodeError:
            return
        delivery = (job_id, carried.redrive, carried.seq)
        where = (self.incarnation(place[0]), place[1], offset)
        self.trace.tell(
            "append",
            self.scheduler.process,
            self.ids.get(job_id, ""),
            carried.redrive,
            carried.seq,
            *place,
            offset,
        )
        if record.topic == PLAN.dlq:
            return
        self._appeared(job_id, carried.redrive)
        self.at[where] = delivery
        self.copies[delivery] = self.copies.get(delivery, 0) + 1
        self.nth[where] = self.copies[delivery]
        due_ms = carried.due_ms or (stamp_ms + carried.delay_ms if carried.delay_ms else None)
        if due_ms is not None:
            # Enqueued twice, a job is due when the first of the two is.
            self.due_ms[delivery] = min(due_ms, self.due_ms.get(delivery, due_ms))
        if record.topic == PLAN.topic:
            self.rules.came(job_id, where)
            judge_late(self, delivery)

    def _appeared(self, job_id: str, redrive: int) -> None:
        number = self.ids.get(job_id)
        if number is None:
            self.violation(f"job {job_id} was enqueued by nobody")
        elif redrive:
            put_back(self, job_id, redrive)
        elif self.scripts[number].parent is not None and not self.ends.get(job_id):
            self.waiting.add(job_id)

    def has_gone_on(self, where: tuple[str, int, int], delivery: Identity) -> bool:
        return self.copies[delivery] > self.nth[where]

    def recreated(self, topic: str) -> None:
        """What waited in the topic went with it, by an operator's hand."""
        old = self.incarnation(topic)
        for where, delivery in self.at.items():
            if where[0] != old or delivery[0] not in self.waiting:
                continue
            if topic == PLAN.topic or not self.has_gone_on(where, delivery):
                self.lost_with_topic.add(delivery[0])
                self.waiting.discard(delivery[0])
        if topic != PLAN.topic:
            return
        for partition in range(PLAN.partitions):
            self.claims_before[partition] = self.end_of((PLAN.dedup, partition))
        for start in self.open:
            start.excused = "its topic is gone"

    # -- places

    def committing(
        self, group: str, member: str, positions: Mapping[TopicPartition, Position]
    ) -> None:
        self.trace.tell("commit", member, sorted((p, at.offset) for p, at in positions.items()))
        for (topic, partition), position in positions.items():
            _, of, named = position.note.rpartition("@")
            if of and named != self.incarnation(topic):
                continue  # It says itself that it is a place in another incarnation.
            self._judge(group, topic, partition, position.offset)
            if position.offset > self.end_of((topic, partition)):
                self.violation(f"{group} commits {position.offset} beyond {topic} [{partition}]")

    def _mirror(self, record: Outgoing) -> None:
        if record.value is None:
            return
        mirror = decode_mirror(record.value)
        if mirror.topic_id == self.incarnation(mirror.topic):
            self._judge(mirror.group, mirror.topic, mirror.partition, mirror.position)

    def _judge(self, group: str, topic: str, partition: int, position: int) -> None:
        judge_place(self, group, (topic, partition), position)
