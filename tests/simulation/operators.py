"""What operators do while jobs run: dead letters are redriven, topics of rungs made anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation import jobs
from tests.simulation.jobs import CATALOGUE
from tests.simulation.ledger import PLAN
from tests.simulation.member import SimMachine
from tests.simulation.network import SimLog, SimSink

from jobstream.errors import EnqueueError
from jobstream.kafka.client.broker_clock import BrokerClock
from jobstream.operate.layout import QueueTopics, queues_of
from jobstream.operate.open_letters import open_letters
from jobstream.operate.redrive import redrive as put_back
from jobstream.operate.scan import unmoved
from jobstream_processors.core.ladder import RUNGS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from random import Random

    from tests.simulation.world import World

    from jobstream.operate.scan import Progress
    from jobstream_processors.ports import Record, TopicPartition

SECOND = 1_000_000


class View:
    """The app as a command sees it, and its cluster in one."""

    catalogue = CATALOGUE

    def __init__(self, world: World) -> None:
        self._counts = world.network.topics()
        self._log = SimLog(world.network, world.producer)
        self.cluster = self

    def queues(self, name: str | None = None) -> list[QueueTopics]:  # noqa: ARG002 - as the real one
        return queues_of(jobs.app.name, self._counts, RUNGS)

    def spans(self, places: Iterable[TopicPartition]) -> Mapping[TopicPartition, tuple[int, int]]:
        return {place: self._log.span(place) for place in places}

    def records(
        self,
        spans: Mapping[TopicPartition, tuple[int, int]],
        progress: Progress = unmoved,  # noqa: ARG002 - nobody watches it
    ) -> Iterator[Record]:
        for place, (low, high) in spans.items():
            for batch in self._log.read(place, low, high):
                yield from batch


def redrive(world: World, rng: Random) -> None:
    """All that is dead by now is put back, and will do better; poison would not."""
    world.disturbed(10)
    world.trace.tell("redrive")
    world.redriving += 1
    process = world.producer
    clock = BrokerClock(SimMachine(world.scheduler, process))
    sink = SimSink(world.network, process, clock)

    def work() -> None:
        world.scheduler.sleep(rng.random())
        view = View(world)
        letters = [
            letter
            for letter in open_letters(view, view.queues())  # type: ignore[arg-type] # as far as it is used
            if letter.job_type != "poison"
        ]
        for closed in put_back(view, sink, letters):  # type: ignore[arg-type] # likewise
            world.trace.tell("redriven", closed.letter.id, closed.outcome, closed.reason)
        world.redriving -= 1

    world.scheduler.spawn(process, "redrive", work)


def recreate_rung(world: World, rng: Random) -> None:
    """The topic of a rung is deleted and made anew, and jobs soon wait there again."""
    topic, _ = PLAN.rungs[rng.choice(("0s", "5s", "30s"))]
    world.trace.tell("recreated", topic)
    world.disturbed(30)
    world.ledger.recreated(topic)
    world.network.recreate_topic(topic)
    world.wave(rng.choice((0, 10)), delay_s=rng.choice((0.5, 6.0)))


KINDS: tuple[Callable[[World, Random], None], ...] = (redrive, recreate_rung)


def tell(world: World, order: Callable[[], object], *, insist: bool = False) -> None:
    """Give an order from a thread of its own; `insist`: until the brokers have it."""

    def work() -> None:
        while True:
            try:
                order()
            except EnqueueError:
                if insist:
                    world.scheduler.sleep(1.0)
                    continue
            return

    world.scheduler.spawn(world.producer, "operator", work)
