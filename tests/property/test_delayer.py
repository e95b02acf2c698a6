"""The ladder never stops: whatever comes in whatever order, each job is there when it is due.

Two delayers share the rungs of one queue on the broker in memory. Records of any size come in
bursts, time goes on in steps of any length, partitions move and are lost, publishes fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jobstream.job_queue import Queue
from jobstream.kafka.follow.mirror_topic import KafkaMirrors
from jobstream.testing import MemoryBroker, MemoryLog, MemorySink, MemorySource, VirtualClock
from jobstream_processors.assignment.pulse import Pulse
from jobstream_processors.core.headers import Carried, render
from jobstream_processors.core.ladder import RUNG_MS, rung_for
from jobstream_processors.delay.delayer import HOPS_MAX, Delayer, DelayerParts
from jobstream_processors.delay.hops import FAILED_HOLD_MS
from jobstream_processors.delay.rung import EXACT_BYTES_MAX, RECORDS_MAX
from jobstream_processors.ports import Outgoing
from jobstream_schemas import Catalogue

if TYPE_CHECKING:
    from jobstream_processors.ports import Listener

OFFSETS, GROUP = "shop.offsets", "shop.delay"
STEP_MS = 600_000
QUIET_ROUNDS = 6
BULK = b"x" * 300_000

delays = st.integers(0, 2 * STEP_MS) | st.sampled_from([0, 4_999, 5_000, 29_999, 30_000])
sizes = st.sampled_from([10, 2_000, 300_000])
counts = st.sampled_from([1, 3, RECORDS_MAX // 2 + 1, RECORDS_MAX + 1])
partitions = st.integers(0, 1)


class NeverStops(RuleBasedStateMachine):
    """Everything that may happen to a ladder."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.broker = MemoryBroker(self.clock)
        self.plan = Queue("mail", partitions=2, rungs={"5s": 1}).plan("shop")
        for topic, count in self.plan.rungs.values():
            self.broker.create_topic(topic, count)
        self.broker.create_topic(self.plan.topic, 2)
        self.broker.create_topic(self.plan.dlq, 2, compacted=True)
        self.broker.create_topic(OFFSETS, 1, compacted=True)
        self.sink = MemorySink(self.broker)
        self.due: dict[bytes, int] = {}
        self.members = [self._member() for _ in range(2)]

    def _member(self) -> tuple[Delayer, MemorySource]:
        reader = MemoryLog(self.broker)
        delayer = Delayer(
            DelayerParts(
                GROUP,
                self.sink,
                reader,
                KafkaMirrors(reader, OFFSETS, 1),
                self.clock,
                Pulse(self.clock, 1 << 60),
                {"mail": self.plan},
                Catalogue(),
            )
        )
        topics = [topic for topic, _ in self.plan.rungs.values()]
        source = MemorySource(self.broker, GROUP, topics)

        def join(listener: Listener) -> MemorySource:
            source.listen(listener)
            return source

        delayer.join(join)
        return delayer, source

    @rule(delay_ms=delays, size=sizes, count=counts, partition=partitions)
    def put(self, delay_ms: int, size: int, count: int, partition: int) -> None:
        topic, of = self.plan.rungs[rung_for(delay_ms)]
        headers = render(Carried(delay_ms=delay_ms, partition=partition))
        count = min(count, 3_000_000 // size)
        values = [b"%d:%s" % (len(self.due) + i, BULK[:size]) for i in range(count)]
        self.broker.heal()
        self.sink.publish(
            [Outgoing(topic, b"key", value, partition % of, headers) for value in values]
        )
        self.due |= dict.fromkeys(values, self.clock.broker_ms() + delay_ms)

    @rule(ms=st.integers(0, STEP_MS) | st.sampled_from([1, 5_000, 30_000]))
    def time_passes(self, ms: int) -> None:
        self.clock.advance(ms)

    @rule(member=st.integers(0, 1), turns=st.integers(1, 5))
    def turn(self, member: int, turns: int) -> None:
        for _ in range(turns):
            self.members[member][0].cycle(0)

    @rule()
    def partitions_move(self) -> None:
        self.broker.rebalance(GROUP)

    @rule(member=st.integers(0, 1))
    def partitions_are_lost(self, member: int) -> None:
        name = self.members[member][1].member
        owned = [p for p, owner in self.broker.owners(GROUP).items() if owner == name]
        if owned:
            self.broker.lose(name, owned)

    @rule(member=st.integers(0, 1))
    def member_dies(self, member: int) -> None:
        source = self.members[member][1]
        if source.member in self.broker.group(GROUP).subscriptions:
            self.broker.expire(source.member)
        self.members[member] = self._member()

    @rule(count=st.integers(1, 50), fate=st.sampled_from(["absent", "appended", "mixed"]))
    def publishes_fail(self, count: int, fate: str) -> None:
        self.broker.fail_publishes(count, fate=fate)  # type: ignore[arg-type] # one of the literals

    @invariant()
    def nothing_is_early(self) -> None:
        for record in self.broker.records(self.plan.topic):
            assert record.timestamp()[1] >= self.due[record.value() or b""]

    @invariant()
    def memory_is_bounded(self) -> None:
        for delayer, _ in self.members:
            for (_, rung), records in delayer.held().items():
                of = self.plan.rungs[rung][1]
                if RUNG_MS[rung]:
                    assert records <= of * (RECORDS_MAX + HOPS_MAX)
                else:
                    assert records <= of * (EXACT_BYTES_MAX // 10 + HOPS_MAX)

    def teardown(self) -> None:
        """Once nothing is broken any more, all that is due arrives."""
        self.broker.heal()
        healed_ms = self.clock.broker_ms()
        while True:
            self._rest()
            times = [at for delayer, _ in self.members if (at := delayer.next_ms()) is not None]
            if not times:
                break
            self.clock.advance(max(1, min(times) - self.clock.broker_ms()))
        arrived: dict[bytes | None, int] = {}
        for record in self.broker.records(self.plan.topic):
            arrived.setdefault(record.value(), record.timestamp()[1])
        missing = [value[:20] for value in self.due if value not in arrived]
        assert not missing, f"{len(missing)} of {len(self.due)} never arrived: {missing[:3]}"
        # The clock only went to what could leave next, so nothing has to be late any more.
        for value, due_ms in self.due.items():
            assert arrived[value] <= max(due_ms, healed_ms) + FAILED_HOLD_MS, value[:20]

    def _rest(self) -> None:
        """Turns until nothing moves: partitions change hands in several of them."""
        quiet, held = 0, self._held()
        while quiet < QUIET_ROUNDS:
            made = sum(delayer.cycle(0) for delayer, _ in self.members)
            # What is only read moves, too: what is due may stand behind thousands that are not.
            before, held = held, self._held()
            quiet = 0 if made or held != before else quiet + 1

    def _held(self) -> list[int]:
        return [sum(delayer.held().values()) for delayer, _ in self.members]


def test_what_is_due_behind_thousands_that_are_not_arrives_in_time() -> None:
    ladder = NeverStops()
    for _ in range(6):
        ladder.put(delay_ms=4_999, size=10, count=RECORDS_MAX + 1, partition=0)
    ladder.put(delay_ms=0, size=10, count=1, partition=0)
    ladder.teardown()


TestNeverStops = NeverStops.TestCase
TestNeverStops.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
