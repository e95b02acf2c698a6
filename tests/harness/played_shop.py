"""A shop in memory whose jobs end as scripts say: real logs, for those who read logs."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from jobstream import App, Backoff, Cancel, Context, Dead, Job, Snooze
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.kafka.follow.schema_topic import SchemaFollower
from jobstream.operate.job_states import JobNow, JobStates, Wanted
from jobstream.operate.positions import GroupPlace
from jobstream.operate.state_names import DELAYED, RETRYING, WAITING
from jobstream.testing import MemoryJobs, MemoryLog, memory
from jobstream.topics.names import delay_group, offsets_topic, schemas_topic, worker_group
from jobstream_processors.core.headers import headers_of, parse, render
from jobstream_processors.core.letters import redriven
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

    from jobstream.testing.memory_record import MemoryRecord
    from jobstream_processors.ports import TopicPartition

EVERY = Wanted(limit=1_000)
Turn = tuple[list[tuple[tuple[str, ...], str]], str, str]
"""What is enqueued (how its runs end, how it waits), the time that passes, what is done then."""
RAISED: dict[str, Callable[[], BaseException]] = {
    "fail": OSError,
    "snooze": lambda: Snooze("20m"),
    "cancel": lambda: Cancel("not wanted"),
    "dead": lambda: Dead("order is gone"),
}
ENDS = "ok", *RAISED


@dataclass(frozen=True)
class Play:
    number: int


@dataclass
class Shop:
    """An app in memory, what its handlers did, and the looks at it."""

    app: App
    jobs: MemoryJobs
    kinds: tuple[Job[Play, object], ...]
    scripts: list[list[str]] = field(default_factory=list)
    """By number: how each run that is to come ends; beyond it, well."""
    runs: dict[str, list[str]] = field(default_factory=dict)
    """By id: how each run since the last enqueue or redrive ended."""
    late: set[str] = field(default_factory=set)
    """Enqueued with a delay, and not begun."""

    def play(self, history: list[Turn]) -> None:
        for enqueued, time, then in history:
            for script, how in enqueued:
                self.enqueue(script, how)
            self.jobs.run_for(time)
            if then == "restart":
                self.jobs.restart()
            elif then:
                self.close(redrive=then == "redrive")

    def enqueue(self, script: tuple[str, ...], how: str) -> None:
        by_ladder, in_place = self.kinds
        play = Play(len(self.scripts))
        self.scripts.append(list(script))
        if how == "in_place":
            job = in_place.enqueue(play, key="one")
        elif how == "expires":
            job = by_ladder.enqueue(play, delay="2h", expires_in="1h")
        else:
            job = by_ladder.enqueue(play, delay="2h" if how == "delayed" else None)
        self.runs[job.job_id] = []
        if how in {"delayed", "expires"}:
            self.late.add(job.job_id)

    def letters(self) -> list[MemoryRecord]:
        found: dict[bytes | None, MemoryRecord] = {}
        for record in self.jobs.broker.records("shop.mail.dlq"):
            found.pop(record.key(), None)
            if record.value() is not None:
                found[record.key()] = record
        return list(found.values())

    def close(self, *, redrive: bool) -> None:
        """Redrive or discard the oldest open letter, as the commands do: the copy first."""
        for letter in self.letters()[:1]:
            headers = headers_of(letter) or []
            carried = redriven(parse(headers))
            value = letter.value()
            assert value is not None
            tombstone = Outgoing("shop.mail.dlq", letter.key(), None, letter.partition())
            copy = Outgoing(
                "shop.mail", dict(headers)["js-key"] or None, value, carried.partition or 0,
                render(carried, headers),
            )  # fmt: skip
            self.jobs.broker.publish([copy, tombstone] if redrive else [tombstone])
            if redrive:
                self.runs[(letter.key() or b"").decode().rpartition(":")[0]] = []

    def standing(self, group: str, place: TopicPartition, mirrors: KafkaMirrors) -> GroupPlace:
        broker = self.jobs.broker
        topic_id = broker.topic_id(place[0])
        return GroupPlace(
            place, *broker.span(place), broker.committed(group, place),
            mirrors.get(group, place, topic_id), topic_id,
        )  # fmt: skip

    def look(self, *, recorded: bool, wanted: Wanted = EVERY) -> tuple[list[JobNow], Counter[str]]:
        """As the command does; without what the groups recorded all of the log may wait."""
        broker, plan, log = self.jobs.broker, self.app.plans()["mail"], MemoryLog(self.jobs.broker)
        rungs = {topic: name for name, (topic, _) in plan.rungs.items()}
        offsets = offsets_topic("shop")
        mirrors = KafkaMirrors(log, offsets, broker.topics()[offsets])
        places = [(t, n) for t in (plan.topic, *rungs) for n in range(broker.topics()[t])]
        standings = {
            place: self.standing(
                worker_group("shop") if place[0] == plan.topic else delay_group("shop"),
                place,
                mirrors,
            )
            if recorded
            else GroupPlace(place, *broker.span(place), None, None, "")
            for place in places
        }
        catalogue = Catalogue()
        SchemaFollower(log, schemas_topic("shop"), catalogue).catch_up()
        states = JobStates(catalogue, standings, wanted)
        for record in chain.from_iterable(broker.records(topic) for topic in (plan.topic, *rungs)):
            states.copy(record, "mail", rungs.get(record.topic(), ""))
        for record in broker.records(plan.dlq):
            states.letter(record, "mail")
        for record in broker.records(plan.dedup):
            states.row(record, "mail")
        return states.found()

    def truth(self) -> dict[str, str]:
        """Id → state, by `seen()` and by what the handlers did."""
        return {
            seen.id: self._standing(seen.id) if seen.state == WAITING else seen.state
            for seen in self.jobs.seen()
        }

    def _standing(self, job_id: str) -> str:
        ends = self.runs[job_id]
        if "fail" in ends:
            return RETRYING
        return DELAYED if ends or job_id in self.late else WAITING


@contextmanager
def opened() -> Iterator[Shop]:
    app = App("shop")
    mail = app.queue("mail", partitions=2)
    backoff = Backoff(attempts=3, first="10m", jitter=False)

    def play(args: Play, ctx: Context) -> None:
        end = shop.scripts[args.number].pop(0) if shop.scripts[args.number] else "ok"
        shop.runs[ctx.job_id].append(end)
        shop.late.discard(ctx.job_id)
        if (error := RAISED.get(end)) is not None:
            raise error()

    by_ladder = app.job(queue=mail, retry=backoff, name="by_ladder")(play)
    in_place = app.job(queue=mail, retry=backoff, name="in_place", on_failure="hold_key")(play)
    with memory(app) as jobs:
        shop = Shop(app, jobs, (by_ladder, in_place))
        yield shop


scripts = st.lists(st.sampled_from(ENDS), min_size=1, max_size=4).map(tuple)
enqueues = st.tuples(scripts, st.sampled_from(("now", "in_place", "delayed", "expires")))
times = st.sampled_from(("1s", "1s", "15m", "3h"))
turns = st.tuples(
    st.lists(enqueues, max_size=4),
    times,
    st.sampled_from(("", "", "redrive", "discard", "restart")),
)
histories = st.lists(turns, min_size=1, max_size=5)
